// decode: the frames of a video whose sampling is done, again or in another form, without sampling anew.
using System.CommandLine;
using FashionFlow.App.Generation;
using FashionFlow.App.Media;
using FashionFlow.App.Terminal;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.App.Commands;

/// <summary>Decodes kept latents.</summary>
internal static class DecodeCommand
{
    /// <summary>The command.</summary>
    public static Command Create(Screen screen, CancellationToken cancellation)
    {
        var latents = new Argument<string>("LATENTS") { Description = "The OUT.latents of a generate whose sampling is done." };
        var output = new Option<string>("--output", "-o")
        {
            Description = "The video to write, by its ending an mp4, gif or webm; or, with --format png, a folder for its frames.",
            HelpName = "OUT",
            Required = true,
        };
        var format = CommonOptions.Choice("--format", "What to write, where OUT's ending does not say it: png for a folder of frames.", [.. VideoFormat.All.Select(f => f.Name)]);
        var overwrite = new Option<bool>("--overwrite") { Description = "Replace what exists." };
        var sheet = new Option<bool>("--contact-sheet") { Description = "Write OUT.sheet.png as well: up to 16 of the frames in one picture." };
        var fps = CommonOptions.Positive("--fps", "R", "Frames a second. Default: the recorded ones.", 1000);
        var model = CommonOptions.Model();
        model.Description = "The model's folder. Default: the recorded one.";
        var device = CommonOptions.RecordedDevice();
        var threads = CommonOptions.Threads();
        var budget = MemoryBudget.Option();
        var finite = CommonOptions.DebugFinite();
        var quiet = CommonOptions.Quiet();
        var json = CommonOptions.Json();
        var command = new WithExamples(
            "decode",
            "Decode a video from its latents, which generate keeps where it was stopped or was asked to.",
            "generate dress.jpg -o dress.mp4 --keep-latents",
            "decode dress.mp4.latents -o dress.gif",
            "decode dress.mp4.latents -o frames --format png --contact-sheet")
        {
            latents, output, format, overwrite, sheet, fps, model, device, threads, budget, finite, quiet, json,
        };
        command.SetAction(parsed =>
        {
            screen.IsQuiet = parsed.GetValue(quiet);
            var saved = SavedLatents.Open(parsed.GetRequiredValue(latents));
            if (!saved.IsSampled)
            {
                throw new UserError(
                    ExitCode.Input, $"{saved.Path} is at step {saved.StepsDone} of {saved.Recipe.Options.Steps}: there is nothing to decode yet", SavedLatents.HowToGoOn(saved.Path));
            }

            var target = parsed.GetRequiredValue(output);
            var named = VideoFormat.ForPath(target);
            var wanted = parsed.GetValue(format) is { } name ? VideoFormat.Named(name) : named;
            if (wanted is null || (named is not null && named != wanted))
            {
                throw new UserError(
                    ExitCode.Usage,
                    wanted is null ? $"--output must end in .mp4, .gif or .webm, not '{target}'" : $"--output ends in {named!.Extension}, but --format is {wanted.Name}",
                    wanted is null ? "for a folder of frames add --format png" : null);
            }

            return ResumedVideo.Make(
                saved,
                new ResumedVideo.Choices(parsed.GetValue(model), parsed.GetValue(device), parsed.GetValue(threads) ?? 0, parsed.GetValue(json))
                {
                    FramesPerSecond = parsed.GetValue(fps),
                    MemoryBudget = parsed.GetValue(budget) is { } size ? MemoryBudget.Parse(size) : null,
                },
                new VideoOutput(Path.TrimEndingDirectorySeparator(target), wanted, parsed.GetValue(overwrite)) { WithContactSheet = parsed.GetValue(sheet) },
                request => request with { ChecksFinite = parsed.GetValue(finite) },
                screen,
                cancellation);
        });
        return command;
    }
}
