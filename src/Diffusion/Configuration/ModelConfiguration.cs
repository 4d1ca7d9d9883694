// Everything that the reference hard-codes, as configuration: from config.json, from the weights' metadata, or full-size.
using FashionFlow.Layers;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.Diffusion;

/// <summary>How seeded weights start.</summary>
public enum SeededStart
{
    /// <summary>As the reference starts a training: attention outputs zero, temporal convolutions the identity.</summary>
    Training,

    /// <summary>Nothing zero, nothing the identity: every part of the network contributes.</summary>
    Random,
}

/// <summary>What a network tells of a noisy video alpha x + sigma noise.</summary>
public enum PredictionType
{
    /// <summary>The noise (Ho et al. 2020), the reference's; <c>"epsilon"</c> in configurations, as diffusers says.</summary>
    Epsilon,

    /// <summary>
    /// The velocity alpha noise - sigma x (Salimans and Ho 2022): where nearly all is noise, it is the clean video that is learned, of
    /// which an error in the noise would say nothing. <c>"v_prediction"</c> in configurations.
    /// </summary>
    Velocity,
}

/// <summary>The noise schedule's parameters.</summary>
/// <param name="Timesteps">Steps T of the forward process.</param>
/// <param name="BetaStart">The first beta.</param>
/// <param name="BetaEnd">The last beta.</param>
/// <param name="Prediction">What the network was trained to tell.</param>
public sealed record ScheduleOptions(int Timesteps = 1000, double BetaStart = 1e-4, double BetaEnd = 0.02, PredictionType Prediction = PredictionType.Epsilon)
{
    /// <summary>How configurations spell <see cref="Prediction"/>.</summary>
    internal const string PredictionKey = "prediction_type", Epsilon = "epsilon", Velocity = "v_prediction";
}

/// <summary>
/// A whole model: the sizes of its four networks, the picture and the schedule. Each network's section comes from
/// <c>config.json</c> beside the weights; where that has none, from the <c>config</c> entry of the weights' own metadata, in
/// the option names of the reference, diffusers and Hugging Face; where that has none either, it is the published full size.
/// </summary>
public sealed record ModelConfiguration
{
    /// <summary>The file's name.</summary>
    public const string FileName = "config.json";

    /// <summary>The U-Net.</summary>
    public UnetOptions Unet { get; init; } = new();

    /// <summary>The autoencoder.</summary>
    public AutoencoderOptions Vae { get; init; } = new();

    /// <summary>CLIP's vision encoder.</summary>
    public ClipVisionOptions Clip { get; init; } = new();

    /// <summary>The noise schedule.</summary>
    public ScheduleOptions Schedule { get; init; } = new();

    /// <summary>Width of picture and video in pixels.</summary>
    public int PictureWidth { get; init; } = 512;

    /// <summary>Height of picture and video in pixels.</summary>
    public int PictureHeight { get; init; } = 640;

    /// <summary>Frames of a video if nobody says otherwise.</summary>
    public int Frames { get; init; } = 70;

    /// <summary>Frames a second if nobody says otherwise.</summary>
    public int FrameRate { get; init; } = 25;

    /// <summary>The sampler if nobody says otherwise; null for the reference's.</summary>
    public SamplerKind? Sampler { get; init; }

    /// <summary>The times that the sampler visits if nobody says otherwise; null for evenly spread ones.</summary>
    public TimestepSpacing? Spacing { get; init; }

    /// <summary>Denoising steps if nobody says otherwise; null for the sampler's own. Where the model names a sampler they are of that one alone.</summary>
    public int? Steps { get; init; }

    /// <summary>The mode that the model was trained in, and is sampled in if nobody says otherwise; null for the reference's.</summary>
    public CompatibilityOptions? Compatibility { get; init; }

    /// <summary>The seed of the weights of a model without weight files; null for a model with files.</summary>
    public ulong? WeightSeed { get; init; }

    /// <summary>How seeded weights start.</summary>
    public SeededStart SeededStart { get; init; } = SeededStart.Random;

    /// <summary>What the model's makers want its users to read.</summary>
    public string? Note { get; init; }

    /// <summary>Height of a latent.</summary>
    public int LatentHeight => PictureHeight / Vae.Downscale;

    /// <summary>Width of a latent.</summary>
    public int LatentWidth => PictureWidth / Vae.Downscale;

    /// <summary>Whether the weights were learned; a seeded model's were not.</summary>
    public bool IsTrained => WeightSeed is null;

    /// <summary>A new adapter of this model's sizes.</summary>
    public EmbeddingAdapter CreateAdapter()
        => new(Clip.Tokens, Clip.HiddenSize, Vae.LatentChannels, (LatentHeight / 2) * (LatentWidth / 2));

    /// <summary>Reads the configuration of a model directory.</summary>
    /// <exception cref="ModelException">The directory or its configuration is not usable.</exception>
    public static ModelConfiguration ForDirectory(string directory)
    {
        if (!Directory.Exists(directory))
        {
            throw new ModelException($"{directory}: no such model directory; give --model a directory with {FileName} or {string.Join(", ", ModelFiles.All)}");
        }

        var path = Path.Combine(directory, FileName);
        return Read(File.Exists(path) ? path : null, directory, name => OfWeights(directory, name + ".safetensors"));
    }

    /// <summary>Reads a configuration.</summary>
    /// <param name="path">The file; null for none.</param>
    /// <param name="where">What is named where there is no file.</param>
    /// <param name="elsewhere">A section that the file does not have: unet, vae or clip; null for the published full size.</param>
    /// <exception cref="ModelException">It cannot be read, is not a configuration, or its sizes do not fit together.</exception>
    internal static ModelConfiguration Read(string? path, string where, Func<string, JsonOptions?> elsewhere)
    {
        var json = path is null ? null : JsonOptions.Parse(ReadText(path), path);
        var configuration = ReadGeneral(json) with
        {
            Unet = UnetOptions.Read(Section("unet")),
            Vae = ReadVae(Section("vae")),
            Clip = ReadClip(Section("clip")),
        };
        json?.RejectUnknown();
        configuration.Check(path ?? where);
        return configuration;

        JsonOptions Section(string name) => json?.Section(name) ?? elsewhere(name) ?? JsonOptions.Parse("{}", where);
    }

    /// <summary>Checks options against the model, before any weights are read.</summary>
    /// <returns>The options with the model's choices filled in.</returns>
    /// <exception cref="ModelException">They do not fit.</exception>
    public GenerationOptions Resolve(GenerationOptions options)
    {
        var sampler = options.Sampler ?? Sampler ?? GenerationOptions.DefaultSampler;
        var compatibility = options.Compatibility ?? Compatibility ?? CompatibilityOptions.FashionFlow;
        // As many as DDIM needs are too few for DDPM.
        var steps = options.Steps ?? (sampler == (Sampler ?? sampler) ? Steps : null)
            ?? sampler switch
            {
                SamplerKind.Ddpm => GenerationOptions.DefaultDdpmSteps,
                SamplerKind.Dpmpp => GenerationOptions.DefaultSolverSteps,
                _ => GenerationOptions.DefaultDdimSteps,
            };
        steps = options.Steps is null ? Math.Min(steps, Schedule.Timesteps) : steps;
        var frames = options.Frames ?? Frames;
        if (steps < 1 || steps > Schedule.Timesteps)
        {
            throw new ModelException($"{steps} steps are not possible; this model's schedule has 1 to {Schedule.Timesteps}");
        }

        if (Unet.DescribeFrameProblem(frames) is { } problem)
        {
            throw new ModelException(problem);
        }

        if (sampler == SamplerKind.Ddim)
        {
            DdimSampler.CheckEta(options.Eta);
        }
        else if (options.Eta != 0)
        {
            throw new ModelException($"eta is of ddim alone, and the sampler is {EnumWord.Of(sampler)}");
        }

        // A model's spacing is of its own sampler.
        var spacing = options.Spacing ?? (sampler == (Sampler ?? sampler) ? Spacing : null) ?? TimestepSpacing.Uniform;
        if (spacing == TimestepSpacing.Karras && sampler is SamplerKind.Ddpm or SamplerKind.Ddim)
        {
            throw new ModelException($"karras spacing has times between the schedule's, which {EnumWord.Of(sampler)} does not go to; take euler or dpmpp");
        }

        return options with { Sampler = sampler, Spacing = spacing, Steps = steps, Frames = frames, Fit = options.Fit ?? compatibility.Fit, Compatibility = compatibility };
    }

    /// <summary>The U-Net's options for one weights file, as <c>compare</c> needs them.</summary>
    public static UnetOptions UnetOf(string weights, SafetensorsFile file) => UnetOptions.Read(SectionOf(weights, file, "unet"));

    /// <inheritdoc cref="UnetOf"/>
    public static AutoencoderOptions VaeOf(string weights, SafetensorsFile file) => ReadVae(SectionOf(weights, file, "vae"));

    /// <inheritdoc cref="UnetOf"/>
    public static ClipVisionOptions ClipOf(string weights, SafetensorsFile file) => ReadClip(SectionOf(weights, file, "clip"));

    private static CompatibilityOptions? ReadCompatibility(JsonOptions json)
    {
        var text = json.Text("compat");
        try
        {
            return text is null ? null : CompatibilityOptions.Parse(text);
        }
        catch (ModelException e)
        {
            throw json.Error(e.Message);
        }
    }

    private static ModelConfiguration ReadGeneral(JsonOptions? json)
    {
        if (json is null)
        {
            return new ModelConfiguration();
        }

        var full = new ModelConfiguration();
        var picture = json.Section("picture");
        var schedule = json.Section("schedule");
        var configuration = full with
        {
            PictureWidth = picture?.Int("width", full.PictureWidth) ?? full.PictureWidth,
            PictureHeight = picture?.Int("height", full.PictureHeight) ?? full.PictureHeight,
            Frames = json.Int("frames", full.Frames),
            FrameRate = json.Int("frame_rate", full.FrameRate),
            Sampler = json.Word<SamplerKind>("sampler"),
            Spacing = json.Word<TimestepSpacing>("spacing"),
            Steps = json.Int("steps", 0, minimum: 0) is > 0 and var steps ? steps : null,
            Compatibility = ReadCompatibility(json),
            WeightSeed = json.UInt64("seed"),
            Note = json.Text("note"),
            SeededStart = (json.Text("start") ?? "random") switch
            {
                "random" => SeededStart.Random,
                "training" => SeededStart.Training,
                var other => throw json.Error($"start is \"{other}\"; possible are \"random\" and \"training\""),
            },
            Schedule = schedule is null
                ? full.Schedule
                : new ScheduleOptions(
                    schedule.Int("timesteps", full.Schedule.Timesteps, minimum: 2),
                    schedule.Double("beta_start", full.Schedule.BetaStart),
                    schedule.Double("beta_end", full.Schedule.BetaEnd),
                    schedule.Text(ScheduleOptions.PredictionKey) switch
                    {
                        null or ScheduleOptions.Epsilon => PredictionType.Epsilon,
                        ScheduleOptions.Velocity => PredictionType.Velocity,
                        var other => throw schedule.Error(
                            $"{ScheduleOptions.PredictionKey} is \"{other}\"; possible are \"{ScheduleOptions.Epsilon}\" and \"{ScheduleOptions.Velocity}\""),
                    }),
        };
        picture?.RejectUnknown();
        schedule?.RejectUnknown();
        return configuration;
    }

    private static AutoencoderOptions ReadVae(JsonOptions json)
    {
        var full = new AutoencoderOptions();
        json.Only("act_fn", "silu");
        var options = new AutoencoderOptions
        {
            InChannels = json.Int("in_channels", full.InChannels),
            OutChannels = json.Int("out_channels", full.OutChannels),
            BlockOutChannels = json.Ints("block_out_channels", full.BlockOutChannels),
            LayersPerBlock = json.Int("layers_per_block", full.LayersPerBlock),
            LatentChannels = json.Int("latent_channels", full.LatentChannels),
            NormGroups = json.Int("norm_num_groups", full.NormGroups),
            NormEpsilon = json.Double("norm_eps", full.NormEpsilon),
            ScalingFactor = json.Double("scaling_factor", full.ScalingFactor),
        };
        json.RejectUnknown("_class_name", "_diffusers_version", "down_block_types", "up_block_types", "sample_size", "force_upcast", "note");
        if (options.BlockOutChannels.FirstOrDefault(c => c % options.NormGroups != 0) is > 0 and var odd)
        {
            throw json.Error($"norm_num_groups {options.NormGroups} does not divide {odd} of block_out_channels");
        }

        return options;
    }

    private static ClipVisionOptions ReadClip(JsonOptions json)
    {
        var full = new ClipVisionOptions();
        json.Only("hidden_act", "quick_gelu");
        var options = new ClipVisionOptions
        {
            HiddenSize = json.Int("hidden_size", full.HiddenSize),
            Layers = json.Int("num_hidden_layers", full.Layers),
            Heads = json.Int("num_attention_heads", full.Heads),
            IntermediateSize = json.Int("intermediate_size", full.IntermediateSize),
            ImageSize = json.Int("image_size", full.ImageSize),
            PatchSize = json.Int("patch_size", full.PatchSize),
            NormEpsilon = json.Double("layer_norm_eps", full.NormEpsilon),
        };
        json.RejectUnknown(
            "architectures", "attention_dropout", "dropout", "initializer_factor", "initializer_range", "model_type", "num_channels",
            "projection_dim", "torch_dtype", "transformers_version", "note");
        return options.HiddenSize % options.Heads == 0
            ? options
            : throw json.Error($"num_attention_heads {options.Heads} does not divide hidden_size {options.HiddenSize}");
    }

    private static JsonOptions? OfWeights(string directory, string weightsName)
    {
        if (ModelFiles.Find(directory, weightsName) is not { } weights)
        {
            return null;
        }

        using var file = SafetensorsFile.Open(weights);
        return OfMetadata(weights, file);
    }

    private static JsonOptions SectionOf(string weights, SafetensorsFile file, string name)
    {
        var path = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(weights))!, FileName);
        var section = File.Exists(path) ? JsonOptions.Parse(ReadText(path), path).Section(name) : null;
        return section ?? OfMetadata(weights, file);
    }

    private static JsonOptions OfMetadata(string weights, SafetensorsFile file)
        => JsonOptions.Parse(file.Metadata.TryGetValue("config", out var text) ? text : "{}", $"{weights}: metadata \"config\"");

    private static string ReadText(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ModelException($"{path}: {e.Message}", e);
        }
    }

    private void Check(string where)
    {
        var multiple = Vae.Downscale * Unet.SpaceMultiple;
        if (PictureWidth % multiple != 0 || PictureHeight % multiple != 0)
        {
            throw new ModelException($"{where}: a picture of {PictureWidth} x {PictureHeight} does not fit; width and height must be multiples of {multiple}");
        }

        if (Unet.Channels != Vae.LatentChannels)
        {
            throw new ModelException($"{where}: the U-Net takes {Unet.Channels} channels, but the autoencoder's latents have {Vae.LatentChannels}");
        }

        if (Unet.ContextChannels != Clip.HiddenSize)
        {
            throw new ModelException($"{where}: the U-Net's context_dim is {Unet.ContextChannels}, but CLIP's hidden_size is {Clip.HiddenSize}");
        }
    }
}

/// <summary>Where a model directory keeps its weights.</summary>
public static class ModelFiles
{
    /// <summary>The U-Net's weights.</summary>
    public const string Unet = "unet.safetensors";

    /// <summary>The adapter's weights.</summary>
    public const string Adapter = "adapter.safetensors";

    /// <summary>The autoencoder's weights.</summary>
    public const string Vae = "vae.safetensors";

    /// <summary>CLIP's weights.</summary>
    public const string Clip = "clip.safetensors";

    /// <summary>All of them.</summary>
    public static IReadOnlyList<string> All { get; } = [Unet, Adapter, Vae, Clip];

    /// <summary>The path of a weights file: in the directory itself, or as diffusers and Hugging Face lay theirs out; null if there is none.</summary>
    public static string? Find(string directory, string name)
    {
        var folder = Path.GetFileNameWithoutExtension(name);
        string[] candidates =
        [
            Path.Combine(directory, name),
            Path.Combine(directory, folder, "diffusion_pytorch_model.safetensors"),
            Path.Combine(directory, folder, "model.safetensors"),
        ];
        return candidates.FirstOrDefault(File.Exists);
    }
}
