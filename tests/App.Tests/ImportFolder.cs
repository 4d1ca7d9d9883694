// What people have before an import: a training's checkpoint, the autoencoder's and CLIP's folders, of the tiny model.
using FashionFlow.Diffusion;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.App.Tests;

/// <summary>Writes them.</summary>
internal static class ImportFolder
{
    /// <summary>
    /// In a folder: <c>parts/</c>, the model as it should come out; <c>sizes.json</c>; <c>checkpoint.pth</c> with <c>net.</c>,
    /// <c>adapter.</c> and averages; <c>sd/vae/</c> as diffusers has it; <c>clip/</c> as Hugging Face has it, text half included.
    /// </summary>
    public static void Prepare(TemporaryFolder folder)
    {
        TinyModelFolder.WriteFiles(folder["parts"]);
        File.Copy(folder["parts/config.json"], folder["sizes.json"]);
        using var unet = Open(ModelFiles.Unet);
        using var adapter = Open(ModelFiles.Adapter);
        using var vae = Open(ModelFiles.Vae);
        using var clip = Open(ModelFiles.Clip);
        WritePyTorch(folder["checkpoint.pth"], [.. Of(unet, "net."), .. Of(adapter, "adapter.")]);
        WritePyTorch(
            folder["averaged.pth"],
            [.. Of(unet, "net.module."), .. Of(adapter, "adapter.module."), .. Of(unet, "ema.net.", DoubleValues), .. Of(adapter, "ema.adapter.")]);
        Directory.CreateDirectory(folder["sd/vae"]);
        WritePyTorch(folder["sd/vae/diffusion_pytorch_model.bin"], [.. Of(vae, string.Empty)]);
        File.WriteAllText(
            folder["sd/vae/config.json"],
            """{ "_class_name": "AutoencoderKL", "_diffusers_version": "0.2.2", "act_fn": "silu", "block_out_channels": [8, 16], "layers_per_block": 1, "norm_num_groups": 4, "sample_size": 512 }""");
        Directory.CreateDirectory(folder["clip"]);
        SafetensorsWriter.Write(folder["clip/model.safetensors"], [.. Of(clip, string.Empty), new SafetensorsTensor("text_model.final_layer_norm.weight", [2], [1, 1]), new SafetensorsTensor("logit_scale", [], [1])]);
        File.WriteAllText(
            folder["clip/config.json"],
            """{ "model_type": "clip", "projection_dim": 8, "vision_config": { "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24, "image_size": 16, "patch_size": 8, "top_p": 1.0 }, "text_config": { "hidden_size": 4 } }""");

        SafetensorsFile Open(string name) => SafetensorsFile.Open(Path.Combine(folder["parts"], name));
    }

    /// <summary>A file's tensors under other names.</summary>
    public static IEnumerable<SafetensorsTensor> Of(SafetensorsFile file, string prefix, Func<float[], float[]>? change = null)
        => file.Tensors.Values.Select(t => new SafetensorsTensor(prefix + t.Name, t.Shape, (change ?? (v => v))(file.ReadFloat32(t.Name))));

    /// <summary>Writes a PyTorch file.</summary>
    public static void WritePyTorch(string path, IReadOnlyList<SafetensorsTensor> tensors)
    {
        using var stream = File.Create(path);
        PyTorchWriter.Write(stream, path, tensors);
    }

    private static float[] DoubleValues(float[] values) => Array.ConvertAll(values, v => 2 * v);
}
