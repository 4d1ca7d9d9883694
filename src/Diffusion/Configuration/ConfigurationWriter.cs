// A configuration as the text of its config.json.
using System.Text.Json;
using System.Text.Json.Nodes;
using FashionFlow.Layers;

namespace FashionFlow.Diffusion;

/// <summary>Writes configurations of models whose weights are in files, every size spelled out: what a file says then does not change with the library's defaults.</summary>
internal static class ConfigurationWriter
{
    private static readonly JsonSerializerOptions s_indented = new() { WriteIndented = true };

    /// <summary>The text that <see cref="ModelConfiguration.ForDirectory"/> reads back as the same configuration.</summary>
    public static string Write(ModelConfiguration c)
    {
        var json = new JsonObject();
        Add(json, "note", c.Note);
        json["picture"] = new JsonObject { ["width"] = c.PictureWidth, ["height"] = c.PictureHeight };
        json["frames"] = c.Frames;
        json["frame_rate"] = c.FrameRate;
        Add(json, "sampler", c.Sampler is { } sampler ? EnumWord.Of(sampler) : null);
        Add(json, "spacing", c.Spacing is { } spacing ? EnumWord.Of(spacing) : null);
        Add(json, "steps", c.Steps);
        Add(json, "compat", c.Compatibility?.Name);
        json["unet"] = Unet(c.Unet);
        json["vae"] = Vae(c.Vae);
        json["clip"] = Clip(c.Clip);
        json["schedule"] = new JsonObject
        {
            ["timesteps"] = c.Schedule.Timesteps,
            ["beta_start"] = c.Schedule.BetaStart,
            ["beta_end"] = c.Schedule.BetaEnd,
            [ScheduleOptions.PredictionKey] = c.Schedule.Prediction == PredictionType.Velocity ? ScheduleOptions.Velocity : ScheduleOptions.Epsilon,
        };
        return json.ToJsonString(s_indented) + "\n";
    }

    private static JsonObject Unet(UnetOptions o) => new()
    {
        ["dim"] = o.Dim,
        ["channels"] = o.Channels,
        ["dim_mult"] = List(o.DimMult),
        ["self_attns"] = List(o.SelfAttentions),
        ["temporal_compression"] = List(o.TemporalCompression),
        ["resnet_block_depths"] = List(o.ResnetBlockDepths),
        ["attn_dim_head"] = o.HeadWidth,
        ["attn_heads"] = o.Heads,
        ["condition_on_timestep"] = o.ConditionOnTimestep,
        ["context_dim"] = o.ContextChannels,
    };

    private static JsonObject Vae(AutoencoderOptions o) => new()
    {
        ["in_channels"] = o.InChannels,
        ["out_channels"] = o.OutChannels,
        ["block_out_channels"] = List(o.BlockOutChannels),
        ["layers_per_block"] = o.LayersPerBlock,
        ["latent_channels"] = o.LatentChannels,
        ["norm_num_groups"] = o.NormGroups,
        ["norm_eps"] = o.NormEpsilon,
        ["scaling_factor"] = o.ScalingFactor,
    };

    private static JsonObject Clip(ClipVisionOptions o) => new()
    {
        ["hidden_size"] = o.HiddenSize,
        ["num_hidden_layers"] = o.Layers,
        ["num_attention_heads"] = o.Heads,
        ["intermediate_size"] = o.IntermediateSize,
        ["image_size"] = o.ImageSize,
        ["patch_size"] = o.PatchSize,
        ["layer_norm_eps"] = o.NormEpsilon,
    };

    private static JsonArray List<T>(IEnumerable<T> values) => new([.. values.Select(v => JsonValue.Create(v))]);

    private static void Add<T>(JsonObject json, string name, T? value)
    {
        if (value is not null)
        {
            json[name] = JsonValue.Create(value);
        }
    }
}
