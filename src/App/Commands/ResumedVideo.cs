// A video that an earlier run began: what generate --resume and decode do alike.
using FashionFlow.App.Generation;
using FashionFlow.App.Media;
using FashionFlow.App.Terminal;

namespace FashionFlow.App.Commands;

/// <summary>Goes on with saved latents.</summary>
internal static class ResumedVideo
{
    /// <summary>Takes the steps that are left, if any, and writes the video.</summary>
    /// <param name="saved">Where the earlier run stopped.</param>
    /// <param name="choices">What may be another now.</param>
    /// <param name="output">What is written.</param>
    /// <param name="refine">Adds to the request what else was chosen.</param>
    /// <param name="screen">Where progress and result are shown.</param>
    /// <param name="cancellation">Stops it.</param>
    /// <returns>The exit code.</returns>
    /// <exception cref="UserError">The model is another one, or the output cannot be written.</exception>
    public static int Make(SavedLatents saved, Choices choices, VideoOutput output, Func<VideoRequest, VideoRequest> refine, Screen screen, CancellationToken cancellation)
    {
        output.Format.Require();
        output.Check();
        var recipe = saved.Recipe;
        using var maker = new VideoMaker(
            choices.Model ?? recipe.Model.Find(saved.Paths.Model, saved.Path), choices.Device ?? recipe.Device.Specification, choices.Threads) { MemoryBudget = choices.MemoryBudget };
        var options = maker.Resolve(recipe.ToGenerationOptions());
        var fps = choices.FramesPerSecond ?? recipe.Options.Fps;
        GenerateCommand.CheckRate(output.Format, fps);
        var report = maker.Make(refine(VideoRequest.OfSaved(saved, options, fps, output)), screen, Announce, cancellation);
        GenerateCommand.Report(screen, report, saved.Paths.Input, recipe.Options.Seed, choices.Json);
        return ExitCode.Success;

        void Announce(string device)
        {
            var (kind, program) = (maker.DescribeDevice(), VersionCommand.Program);
            screen.Note($"{device}; {saved.Path} goes on behind step {saved.StepsDone} of {recipe.Options.Steps}");
            foreach (var line in maker.Plan is { } memory ? MemoryBudget.Describe(memory) : [])
            {
                screen.Note(line);
            }

            if (kind.Kind != recipe.Device.Kind)
            {
                screen.Note($"note: it was begun on {recipe.Device.Name}; another kind of device may give other bits");
            }

            if (program != recipe.Program)
            {
                screen.Note($"note: it was begun by {recipe.Program}, and this is {program}");
            }
        }
    }

    /// <summary>What may be another than in the earlier run.</summary>
    /// <param name="Model">The model's folder; null for the recorded one.</param>
    /// <param name="Device">The device; null for one of the recorded kind.</param>
    /// <param name="Threads">Host threads of a virtual device; 0 takes one a core.</param>
    /// <param name="Json">Whether the result is a line of JSON.</param>
    public sealed record Choices(string? Model, string? Device, int Threads, bool Json)
    {
        /// <summary>The video's rate; null for the recorded one.</summary>
        public double? FramesPerSecond { get; init; }

        /// <summary>The most device memory that may be taken, in bytes; null for no bound.</summary>
        public long? MemoryBudget { get; init; }
    }
}
