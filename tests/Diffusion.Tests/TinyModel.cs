// A whole model small enough that a test can make a video with it.
using FashionFlow.Diffusion;
using FashionFlow.Diffusion.Preprocessing;
using FashionFlow.Layers;

namespace FashionFlow.Tests;

internal static class TinyModel
{
    /// <summary>16 x 24 pixels, latents of 8 x 12 that the U-Net halves twice; all weights seeded.</summary>
    public static ModelConfiguration Configuration { get; } = new()
    {
        PictureWidth = 16,
        PictureHeight = 24,
        Frames = 4,
        WeightSeed = 5,
        Unet = new UnetOptions
        {
            Dim = 8,
            DimMult = [1, 2],
            SelfAttentions = [false, true],
            TemporalCompression = [false, true],
            ResnetBlockDepths = [1, 2],
            HeadWidth = 4,
            Heads = 2,
            ContextChannels = 12,
        },
        Vae = new AutoencoderOptions { BlockOutChannels = [8, 16], LayersPerBlock = 1, NormGroups = 4 },
        Clip = new ClipVisionOptions { HiddenSize = 12, Layers = 2, Heads = 2, IntermediateSize = 24, ImageSize = 16, PatchSize = 8 },
    };

    /// <summary>The same sizes as a config.json, without the seed.</summary>
    public const string Json = """
        {
          "frames": 4,
          "picture": { "width": 16, "height": 24 },
          "unet": {
            "dim": 8, "dim_mult": [1, 2], "self_attns": [false, true], "temporal_compression": [false, true],
            "resnet_block_depths": [1, 2], "attn_dim_head": 4, "attn_heads": 2, "context_dim": 12
          },
          "vae": { "block_out_channels": [8, 16], "layers_per_block": 1, "norm_num_groups": 4 },
          "clip": {
            "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24, "image_size": 16, "patch_size": 8
          }
        }
        """;

    /// <summary>A picture of soft colours that is not the model's size.</summary>
    public static Rgb8Image Picture()
    {
        var image = new Rgb8Image(20, 30);
        for (var i = 0; i < image.Data.Length; i++)
        {
            image.Data[i] = (byte)(128 + (100 * Math.Sin(i * 0.05)));
        }

        return image;
    }
}
