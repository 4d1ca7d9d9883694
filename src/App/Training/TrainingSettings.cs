// A training's settings as people write them: options, a configuration file, and training.json in the run's folder, all in one form.
using System.Text.Json;
using System.Text.Json.Serialization;
using FashionFlow.App.Commands;
using FashionFlow.Autograd.Optimization;
using FashionFlow.Diffusion;
using FashionFlow.Diffusion.Training;

namespace FashionFlow.App.Training;

/// <summary>
/// Settings by name; null is "not said". A configuration file holds any of them as a JSON object (<c>learning_rate</c>); the run's
/// folder records all that are in force.
/// </summary>
internal sealed record TrainingSettings
{
    /// <summary>What is trained: "denoiser", "vae" or "encoder".</summary>
    public string? Part { get; init; }

    /// <summary>Latents of <c>project</c>; for "vae" and "encoder" a folder of videos.</summary>
    public string? Data { get; init; }

    /// <summary>The model that is started from.</summary>
    public string? Model { get; init; }

    /// <summary>The mode: "fixed" or "fashionflow".</summary>
    public string? Compat { get; init; }

    /// <summary>Steps in all.</summary>
    public long? Steps { get; init; }

    /// <summary>Samples a step.</summary>
    public int? Batch { get; init; }

    /// <summary>The seed.</summary>
    public ulong? Seed { get; init; }

    /// <summary>The highest learning rate.</summary>
    public double? LearningRate { get; init; }

    /// <summary>Steps of warm-up.</summary>
    public int? Warmup { get; init; }

    /// <summary>After the warm-up: "constant" or "cosine".</summary>
    public string? Decay { get; init; }

    /// <summary>AdamW's weight decay.</summary>
    public double? WeightDecay { get; init; }

    /// <summary>The norm that gradients are clipped to; 0 clips nothing.</summary>
    public double? ClipNorm { get; init; }

    /// <summary>Decay of the weights' moving average; 0 keeps none.</summary>
    public double? Average { get; init; }

    /// <summary>Frames of a window.</summary>
    public int? Frames { get; init; }

    /// <summary>Height and width of crops; 0 for whole pictures.</summary>
    public int? Crop { get; init; }

    /// <summary>Weight of the autoencoder's divergence.</summary>
    public double? DivergenceWeight { get; init; }

    /// <summary>Temperature of the encoder's similarities.</summary>
    public double? Temperature { get; init; }

    /// <summary>Whether activations are computed again.</summary>
    public bool? Recompute { get; init; }

    /// <summary>Element type of the finished model's weights: "f32" or "f16".</summary>
    public string? Dtype { get; init; }

    /// <summary>Steps between checkpoints.</summary>
    public int? CheckpointEvery { get; init; }

    /// <summary>Checkpoints kept.</summary>
    public int? Keep { get; init; }

    /// <summary>Steps between points of the curves.</summary>
    public int? LogEvery { get; init; }

    /// <summary>Steps between sampled videos; 0 for none.</summary>
    public int? SampleEvery { get; init; }

    /// <summary>Denoising steps of a sampled video.</summary>
    public int? SampleSteps { get; init; }

    /// <summary>What made the run; recorded, never asked for.</summary>
    public string? Program { get; init; }

    /// <summary>Hashes of the model's files that the run started from; recorded, never asked for.</summary>
    public IReadOnlyDictionary<string, string>? ModelSha256 { get; init; }

    /// <summary>Hash of the latents' index; recorded, never asked for. Null for a folder of videos.</summary>
    public string? DataSha256 { get; init; }

    /// <summary>Settings that decide results: they must not change while a run goes on. Model and latents are told by their hashes, wherever they are.</summary>
    private static readonly (string Name, Func<TrainingSettings, object?> Of)[] Deciding =
    [
        ("part", s => s.Part),
        ("compat", s => s.Compat),
        ("batch", s => s.Batch),
        ("seed", s => s.Seed),
        ("learning_rate", s => s.LearningRate),
        ("warmup", s => s.Warmup),
        ("decay", s => s.Decay),
        ("weight_decay", s => s.WeightDecay),
        ("clip_norm", s => s.ClipNorm),
        ("average", s => s.Average),
        ("frames", s => s.Frames),
        ("crop", s => s.Crop),
        ("divergence_weight", s => s.DivergenceWeight),
        ("temperature", s => s.Temperature),
    ];

    /// <summary>Reads a configuration file or a run's record.</summary>
    /// <exception cref="UserError">It cannot be read or understood.</exception>
    public static TrainingSettings Read(string path)
    {
        try
        {
            var text = File.ReadAllBytes(path);
            using (var document = JsonDocument.Parse(text, new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true }))
            {
                RejectUnknown(document.RootElement, path);
            }

            return JsonSerializer.Deserialize(text, TrainingSettingsJson.Readable.TrainingSettings)!;
        }
        catch (JsonException e) when (e.Path is ['$', '.', .. var key])
        {
            throw new UserError(ExitCode.Input, $"{path}: \"{key}\" has a value of another kind than the option --{key.Replace('_', '-')} takes", cause: e);
        }
        catch (JsonException e)
        {
            throw new UserError(ExitCode.Input, FormattableString.Invariant($"{path}: not valid JSON at line {e.LineNumber + 1}, byte {e.BytePositionInLine}"), cause: e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserError(ExitCode.Input, $"{path} cannot be read: {e.Message}", cause: e);
        }
    }

    /// <summary>These settings where they are said, else those of another source.</summary>
    public TrainingSettings Over(TrainingSettings below) => new()
    {
        Part = Part ?? below.Part,
        Data = Data ?? below.Data,
        Model = Model ?? below.Model,
        Compat = Compat ?? below.Compat,
        Steps = Steps ?? below.Steps,
        Batch = Batch ?? below.Batch,
        Seed = Seed ?? below.Seed,
        LearningRate = LearningRate ?? below.LearningRate,
        Warmup = Warmup ?? below.Warmup,
        Decay = Decay ?? below.Decay,
        WeightDecay = WeightDecay ?? below.WeightDecay,
        ClipNorm = ClipNorm ?? below.ClipNorm,
        Average = Average ?? below.Average,
        Frames = Frames ?? below.Frames,
        Crop = Crop ?? below.Crop,
        DivergenceWeight = DivergenceWeight ?? below.DivergenceWeight,
        Temperature = Temperature ?? below.Temperature,
        Recompute = Recompute ?? below.Recompute,
        Dtype = Dtype ?? below.Dtype,
        CheckpointEvery = CheckpointEvery ?? below.CheckpointEvery,
        Keep = Keep ?? below.Keep,
        LogEvery = LogEvery ?? below.LogEvery,
        SampleEvery = SampleEvery ?? below.SampleEvery,
        SampleSteps = SampleSteps ?? below.SampleSteps,
        Program = Program ?? below.Program,
        ModelSha256 = ModelSha256 ?? below.ModelSha256,
        DataSha256 = DataSha256 ?? below.DataSha256,
    };

    /// <summary>What nobody said: the reference's settings in mode "fashionflow", sensible ones in mode "fixed".</summary>
    public TrainingSettings WithDefaults()
    {
        var likeReference = Compat is { } compat && CompatibilityOptions.ModeOf(compat) == CompatibilityOptions.FashionFlow.Name;
        return Over(new TrainingSettings
        {
            Part = "denoiser",
            Compat = "fixed",
            Steps = 10_000,
            Batch = Part == "encoder" ? 16 : 2,
            Seed = 0,
            LearningRate = 1e-4,
            Warmup = likeReference ? 0 : (int)Math.Min(100, (Steps ?? 10_000) / 10),
            Decay = "constant",
            WeightDecay = 0.01,
            ClipNorm = likeReference ? 0 : 1,
            Average = likeReference ? 0 : 0.999,
            Crop = 0,
            DivergenceWeight = 1e-6,
            Temperature = 0.1,
            Recompute = false,
            Dtype = "f32",
            CheckpointEvery = 500,
            Keep = 3,
            LogEvery = 10,
            SampleEvery = 1000,
        });
    }

    /// <summary>The first setting that is said here, decides results, and is another in a run that goes on; null if there is none.</summary>
    /// <param name="recorded">The run's record.</param>
    public (string Name, object? Here, object? There)? Contradiction(TrainingSettings recorded)
    {
        foreach (var (name, of) in Deciding)
        {
            if (of(this) is { } here && !here.Equals(of(recorded)))
            {
                return (name, here, of(recorded));
            }
        }

        if (recorded.DataSha256 is null && Data is { } data && data != recorded.Data)
        {
            return ("data", data, recorded.Data);
        }

        // A cosine's every rate depends on where it ends.
        return Steps is { } steps && recorded.Decay == "cosine" && steps != recorded.Steps ? ("steps", steps, recorded.Steps) : null;
    }

    /// <summary>The settings as the loop takes them.</summary>
    /// <exception cref="UserError">One is out of its range, or they do not go together.</exception>
    public TrainingOptions ToOptions()
    {
        Check();
        try
        {
            return new TrainingOptions
            {
                Part = Part switch
                {
                    "vae" => TrainedPart.Vae,
                    "encoder" => TrainedPart.Encoder,
                    "denoiser" => TrainedPart.Denoiser,
                    _ => throw new UserError(ExitCode.Usage, $"the part to train must be denoiser, vae or encoder, not \"{Part}\""),
                },
                Steps = Steps!.Value,
                Batch = Batch!.Value,
                Seed = Seed!.Value,
                Rate = Decay switch
                {
                    "cosine" => Autograd.Optimization.LearningRate.Cosine(LearningRate!.Value, Steps.Value, Warmup!.Value),
                    "constant" => Autograd.Optimization.LearningRate.Constant(LearningRate!.Value, Warmup!.Value),
                    _ => throw new UserError(ExitCode.Usage, $"the rate's decay must be constant or cosine, not \"{Decay}\""),
                },
                WeightDecay = WeightDecay!.Value,
                MaxNorm = ClipNorm is > 0 ? ClipNorm : null,
                AverageDecay = Average is > 0 ? Average : null,
                Frames = Frames,
                Crop = Crop is > 0 ? Crop : null,
                DivergenceWeight = DivergenceWeight!.Value,
                Temperature = Temperature!.Value,
                Recompute = Recompute!.Value,
                Compatibility = CompatibilityOptions.Parse(Compat!),
            };
        }
        catch (Exception e) when (e is ArgumentException or ModelException)
        {
            throw new UserError(ExitCode.Usage, FirstLine(e.Message), cause: e);
        }
    }

    /// <summary>Writes the settings, those that are said, as a JSON object.</summary>
    public void WriteTo(Stream stream)
    {
        JsonSerializer.Serialize(stream, this, TrainingSettingsJson.Readable.TrainingSettings);
        stream.WriteByte((byte)'\n');
    }

    /// <summary>What options are held to when they are parsed, for settings that came from a file.</summary>
    private void Check()
    {
        const double Whole = int.MaxValue;
        (string Name, double? Value, double Least, double Most, bool Above)[] ranges =
        [
            ("steps", Steps, 1, 1e9, false),
            ("batch", Batch, 1, 65536, false),
            ("learning_rate", LearningRate, 0, 1, true),
            ("warmup", Warmup, 0, 1e6, false),
            ("weight_decay", WeightDecay, 0, 1, false),
            ("clip_norm", ClipNorm, 0, 1e6, false),
            ("average", Average, 0, 0.999999, false),
            ("frames", Frames, 1, 100_000, false),
            ("crop", Crop, 0, 65536, false),
            ("divergence_weight", DivergenceWeight, 0, 1e6, false),
            ("temperature", Temperature, 0, 1e6, true),
            ("checkpoint_every", CheckpointEvery, 1, Whole, false),
            ("keep", Keep, 1, Whole, false),
            ("log_every", LogEvery, 1, Whole, false),
            ("sample_every", SampleEvery, 0, Whole, false),
            ("sample_steps", SampleSteps, 1, Whole, false),
        ];
        foreach (var (name, value, least, most, above) in ranges)
        {
            if (value is { } v && !(v <= most && (above ? v > least : v >= least)))
            {
                throw new UserError(ExitCode.Usage, FormattableString.Invariant($"{name} must be {(above ? "above" : "from")} {least} {(above ? "and at most" : "to")} {most}, not {v}"));
            }
        }

        if (Dtype is not ("f32" or "f16"))
        {
            throw new UserError(ExitCode.Usage, $"dtype must be f32 or f16, not \"{Dtype}\"");
        }

        // A setting that would do nothing was meant for another part.
        var misplaced = Part switch
        {
            _ when Part != "vae" && Crop > 0 => ("crop", "the autoencoder is trained on crops: --part vae"),
            _ when Part != "denoiser" && Frames is not null => ("frames", "the denoiser is trained on windows of frames"),
            _ when Part != "denoiser" && Recompute == true => ("recompute", "the denoiser alone computes again"),
            _ => default,
        };
        if (misplaced is (string setting, string why))
        {
            throw new UserError(ExitCode.Usage, $"{setting} does nothing for part {Part}: {why}", "leave it out");
        }
    }

    private static void RejectUnknown(JsonElement root, string path)
    {
        if (root.ValueKind != JsonValueKind.Object)
        {
            throw new UserError(ExitCode.Input, $"{path} must hold a JSON object of settings");
        }

        var known = TrainingSettingsJson.Readable.TrainingSettings.Properties.Select(p => p.Name).ToList();
        foreach (var property in root.EnumerateObject())
        {
            if (!known.Contains(property.Name))
            {
                throw new UserError(
                    ExitCode.Input,
                    $"{path}: unknown key \"{property.Name}\"",
                    Spelling.Nearest(property.Name, known) is { } nearest ? $"did you mean {nearest}?" : "keys are the options' names, as in learning_rate");
            }
        }
    }

    private static string FirstLine(string text) => text.Split('\n')[0].Trim();
}

/// <summary>The settings' JSON: snake_case, nothing unknown, comments allowed.</summary>
[JsonSerializable(typeof(TrainingSettings))]
internal sealed partial class TrainingSettingsJson : JsonSerializerContext
{
    /// <summary>As people write and read it.</summary>
    public static TrainingSettingsJson Readable { get; } = new(new JsonSerializerOptions
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        ReadCommentHandling = JsonCommentHandling.Skip,
        AllowTrailingCommas = true,
        WriteIndented = true,
    });
}
