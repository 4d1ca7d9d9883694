// train: latents, or pictures, to a model.
using System.CommandLine;
using FashionFlow.App.Generation;
using FashionFlow.App.Media;
using FashionFlow.App.Terminal;
using FashionFlow.App.Training;
using FashionFlow.Diffusion;
using FashionFlow.Diffusion.Training;

namespace FashionFlow.App.Commands;

/// <summary>Trains a part of a model, and goes on with trainings that were stopped.</summary>
internal static class TrainCommand
{
    /// <summary>The command.</summary>
    public static Command Create(Screen screen, CancellationToken cancellation)
    {
        var o = new Options();
        var command = new WithExamples(
            "train",
            "Train a model: U-Net and adapter on projected latents, or the autoencoder or the picture encoder on videos.",
            "train --data latents/ -o run/ --steps 20000",
            "train --data latents/ -o run/ --resume",
            "train --part vae --data videos/ -o run-vae/ --model start/ --crop 64 --batch 8",
            "train --config train.json --data latents/ -o run/");
        foreach (var option in o.All)
        {
            command.Add(option);
        }

        command.SetAction(parsed =>
        {
            screen.IsQuiet = parsed.GetValue(o.Quiet);
            var folder = parsed.GetRequiredValue(o.Output);
            var given = o.Given(parsed);
            if (parsed.GetValue(o.Config) is { } config)
            {
                // A run's record is a configuration too; what it says of its own run stays behind.
                given = given.Over(TrainingSettings.Read(config) with { Program = null, ModelSha256 = null, DataSha256 = null });
            }

            if (given.Data is { } data)
            {
                given = given with { Data = Path.GetFullPath(data) };
            }

            if (given.Model is { } model)
            {
                given = given with { Model = Path.GetFullPath(model) };
            }

            using var run = Open(folder);
            var settings = Decide(run, given, parsed.GetValue(o.Resume));
            if (File.Exists(run.Settings))
            {
                // Of a run that was killed; its lock is ours.
                PendingOutput.DeleteLeftovers(run.Path);
                PendingOutput.DeleteLeftovers(run.Samples);
            }

            using var trainer = new Trainer(
                run, settings, parsed.GetRequiredValue(o.Device), parsed.GetValue(o.Threads) ?? 0, parsed.GetValue(o.Json), screen, cancellation);
            PendingOutput.WriteFile(run.Settings, overwrite: true, settings.WriteTo);
            trainer.Run();
            return ExitCode.Success;
        });
        return command;
    }

    private static RunFolder Open(string folder)
    {
        try
        {
            return RunFolder.Open(folder);
        }
        catch (ModelException e)
        {
            throw new UserError(ExitCode.Output, e.Message, cause: e);
        }
    }

    /// <summary>What is in force: of a run that goes on, what it was started with; of a new one, what was said and the defaults.</summary>
    private static TrainingSettings Decide(RunFolder run, TrainingSettings given, bool resume)
    {
        if (File.Exists(run.Settings))
        {
            if (!resume)
            {
                throw new UserError(ExitCode.Output, $"{run.Path} holds a training already", "go on with it by --resume, or name another folder");
            }

            var recorded = TrainingSettings.Read(run.Settings);
            if (given.Contradiction(recorded) is var (name, here, there))
            {
                throw new UserError(ExitCode.Usage, FormattableString.Invariant($"{run.Path} was started with {name} = {there ?? "none"}, not {here}"), "leave it out, or start another training in another folder");
            }

            return Check(given.Over(recorded));
        }

        var settings = given.Over(new TrainingSettings { Model = Path.GetFullPath(given.Model ?? Places.DemoModel()) }).WithDefaults();
        if (settings.Data is null)
        {
            throw new UserError(ExitCode.Usage, "--data is missing", settings.Part == "denoiser" ? "make latents with: fashionflow project VIDEOS_DIR -o LATENTS_DIR" : "name a folder of videos");
        }

        return Check(settings with { Program = VersionCommand.Program, ModelSha256 = Hashes(settings.Model!), DataSha256 = HashOfData(settings) });
    }

    /// <summary>Latents and model may be elsewhere by now; a training goes on with the same ones alone.</summary>
    private static TrainingSettings Check(TrainingSettings settings)
    {
        _ = settings.ToOptions();
        if (settings.DataSha256 is { } latents && HashOfData(settings) is { } found && found != latents)
        {
            throw new UserError(ExitCode.Input, $"the latents in {settings.Data} are not those that the training was started on", "bring them back, or start another training");
        }

        if (settings.ModelSha256 is { } recorded && Hashes(settings.Model!) is var now && !recorded.OrderBy(f => f.Key).SequenceEqual(now.OrderBy(f => f.Key)))
        {
            throw new UserError(ExitCode.Input, $"the model in {settings.Model} is not the one that the training was started from", "bring its files back, or start another training");
        }

        return settings;
    }

    /// <summary>Of the latents' index, which lists their clips, videos and recipe; null where there is none.</summary>
    private static string? HashOfData(TrainingSettings settings) =>
        settings.Part == "denoiser" && Path.Combine(settings.Data!, LatentIndex.FileName) is var index && File.Exists(index) ? FileHash.Compute(index) : null;

    private static Dictionary<string, string> Hashes(string model) => ModelFiles.All
        .Select(name => (Name: name, Path: ModelFiles.Find(model, name)))
        .Append((Name: ModelConfiguration.FileName, Path: Path.Combine(model, ModelConfiguration.FileName)))
        .Where(file => File.Exists(file.Path))
        .ToDictionary(file => file.Name, file => FileHash.Compute(file.Path!), StringComparer.Ordinal);

    /// <summary>The command's options.</summary>
    private sealed class Options
    {
        public Option<string?> Data { get; } = new("--data") { Description = "Latents that project made; with --part vae or encoder, a folder of videos.", HelpName = "DIR" };

        public Option<string> Output { get; } = new("--output", "-o") { Description = "The run's folder: checkpoints, curves, samples, and at the end the model.", HelpName = "RUN", Required = true };

        public Option<string?> Model { get; } = CommonOptions.Model();

        public Option<string?> Part { get; } = CommonOptions.Choice("--part", "What is trained: denoiser (U-Net and adapter, default), vae, or encoder.", "denoiser", "vae", "encoder");

        public Option<string?> Config { get; } = new("--config") { Description = "Settings from a JSON file, by the options' names (learning_rate); options win over it.", HelpName = "FILE" };

        public Option<bool> Resume { get; } = new("--resume") { Description = "Go on from the run's last checkpoint; starts afresh where there is none." };

        public Option<int?> Steps { get; } = CommonOptions.Count("--steps", "N", "Optimizer steps in all. Default: 10000.", 1, 1_000_000_000);

        public Option<int?> Batch { get; } = CommonOptions.Count("--batch", "B", "Samples a step: windows, pictures, or garments. Default: 2; 16 for the encoder.", 1, 65536);

        public Option<ulong?> Seed { get; } = new("--seed") { Description = "Seed of order, windows, timesteps and noise. Default: 0.", HelpName = "S" };

        public Option<double?> LearningRate { get; } = CommonOptions.Positive("--learning-rate", "R", "The highest learning rate of AdamW. Default: 1e-4, the reference's.", 1);

        public Option<int?> Warmup { get; } = CommonOptions.Count("--warmup", "N", "Steps over which the rate grows. Default: 100 or a tenth of the steps, what is less; 0 with --compat fashionflow.", 0, 1_000_000);

        public Option<string?> Decay { get; } = CommonOptions.Choice("--decay", "The rate after that: constant (default), or cosine to 0 at the last step.", "constant", "cosine");

        public Option<double?> WeightDecay { get; } = CommonOptions.Number("--weight-decay", "W", "AdamW's weight decay. Default: 0.01.", 1);

        public Option<double?> ClipNorm { get; } = CommonOptions.Number("--clip-norm", "N", "Clip gradients to this global norm; 0 clips nothing. Default: 1; 0 with --compat fashionflow.", 1e6);

        public Option<double?> Average { get; } = CommonOptions.Number("--average", "D", "Decay of a moving average of the weights, which samples and the model are made of; 0 keeps none. Default: 0.999; 0 with --compat fashionflow.", 0.999999);

        public Option<int?> Frames { get; } = CommonOptions.Count("--frames", "N", "Frames of a training window. Default: the model's.", 1, 100_000);

        public Option<int?> Crop { get; } = CommonOptions.Count("--crop", "N", "Train the autoencoder on random N x N parts of pictures. Default: whole pictures.", 0, 65536);

        public Option<bool?> Recompute { get; } = new("--recompute") { Description = "Compute the U-Net's activations again on the way back instead of keeping them: two fifths of the memory, a third more work, the same bits." };

        public Option<CompatibilityOptions?> Compat { get; } = CommonOptions.Compatibility(
            "fixed: new windows each epoch, the mean over frames, clipping and averaging (default); fashionflow: as the reference trains.");

        public Option<string?> Dtype { get; } = CommonOptions.Choice("--dtype", "Element type of the finished model's trained weights. Default: f32.", "f32", "f16");

        public Option<int?> CheckpointEvery { get; } = CommonOptions.Count("--checkpoint-every", "N", "Steps between checkpoints. Default: 500.", 1, 1_000_000_000);

        public Option<int?> Keep { get; } = CommonOptions.Count("--keep", "N", "Checkpoints kept. Default: 3.", 1, 1_000_000);

        public Option<int?> SampleEvery { get; } = CommonOptions.Count("--sample-every", "N", "Steps between sampled videos; 0 makes none. Default: 1000.", 0, 1_000_000_000);

        public Option<int?> SampleSteps { get; } = CommonOptions.Count("--sample-steps", "N", "Denoising steps of a sampled video. Default: the model's.", 1, 1_000_000);

        public Option<int?> LogEvery { get; } = CommonOptions.Count("--log-every", "N", "Steps between points of the curves. Default: 10.", 1, 1_000_000);

        public Option<string> Device { get; } = CommonOptions.Device();

        public Option<int?> Threads { get; } = CommonOptions.Threads();

        public Option<bool> Quiet { get; } = CommonOptions.Quiet();

        public Option<bool> Json { get; } = CommonOptions.Json();

        public IEnumerable<Option> All =>
        [
            Data, Output, Model, Part, Config, Resume, Steps, Batch, Seed, LearningRate, Warmup, Decay, WeightDecay, ClipNorm, Average, Frames, Crop, Recompute,
            Compat, Dtype, CheckpointEvery, Keep, SampleEvery, SampleSteps, LogEvery, Device, Threads, Quiet, Json,
        ];

        public TrainingSettings Given(ParseResult parsed) => new()
        {
            Data = parsed.GetValue(Data),
            Model = parsed.GetValue(Model),
            Part = parsed.GetValue(Part),
            Steps = parsed.GetValue(Steps),
            Batch = parsed.GetValue(Batch),
            Seed = parsed.GetValue(Seed),
            LearningRate = parsed.GetValue(LearningRate),
            Warmup = parsed.GetValue(Warmup),
            Decay = parsed.GetValue(Decay),
            WeightDecay = parsed.GetValue(WeightDecay),
            ClipNorm = parsed.GetValue(ClipNorm),
            Average = parsed.GetValue(Average),
            Frames = parsed.GetValue(Frames),
            Crop = parsed.GetValue(Crop),
            Recompute = parsed.GetValue(Recompute),
            Compat = parsed.GetValue(Compat)?.Name,
            Dtype = parsed.GetValue(Dtype),
            CheckpointEvery = parsed.GetValue(CheckpointEvery),
            Keep = parsed.GetValue(Keep),
            SampleEvery = parsed.GetValue(SampleEvery),
            SampleSteps = parsed.GetValue(SampleSteps),
            LogEvery = parsed.GetValue(LogEvery),
        };
    }
}
