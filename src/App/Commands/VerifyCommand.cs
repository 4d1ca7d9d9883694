// verify: a video is made again by its recipe, and the first frame that differs is named.
using System.CommandLine;
using System.Globalization;
using FashionFlow.App.Generation;
using FashionFlow.App.Terminal;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.App.Commands;

/// <summary>Proves that a video is what its recipe says.</summary>
internal static class VerifyCommand
{
    /// <summary>The command.</summary>
    public static Command Create(Screen screen, CancellationToken cancellation)
    {
        var videos = new Argument<string[]>("VIDEO") { Description = "Videos, or folders of frames, that generate or demo wrote.", Arity = ArgumentArity.OneOrMore };
        var input = new Option<string?>("--input", "-i") { Description = "The picture. Default: the recorded one, else one of its name beside the video or here.", HelpName = "FILE" };
        var model = CommonOptions.Model();
        model.Description = "The model's folder. Default: the recorded one.";
        var device = CommonOptions.RecordedDevice();
        var threads = CommonOptions.Threads();
        var quiet = CommonOptions.Quiet();
        var json = CommonOptions.Json();
        var command = new WithExamples(
            "verify",
            "Make a video again by its recipe, and say whether it is the same or which frame differs first.",
            "verify dress.mp4",
            "verify given.mp4 --input dress.jpg --model models/full",
            "verify videos/*.mp4 --json")
        {
            videos, input, model, device, threads, quiet, json,
        };
        command.SetAction(parsed =>
        {
            screen.IsQuiet = parsed.GetValue(quiet);
            var paths = parsed.GetRequiredValue(videos);
            var asJson = parsed.GetValue(json);
            var exitCode = ExitCode.Success;
            foreach (var path in paths)
            {
                try
                {
                    var verdict = One(path);
                    exitCode = verdict.IsSame || exitCode != ExitCode.Success ? exitCode : ExitCode.Negative;
                    Report(screen, path, verdict, asJson);
                }
                catch (UserError e) when (e.ExitCode == ExitCode.Input && (asJson || paths.Length > 1))
                {
                    exitCode = exitCode == ExitCode.Success ? e.ExitCode : exitCode;
                    screen.WriteFailure(e, asJson, line => line.WriteString("video", path));
                }
            }

            return exitCode;

            Verdict One(string path)
            {
                cancellation.ThrowIfCancellationRequested();
                var verification = Verification.Open(path);
                using var maker = new VideoMaker(
                    parsed.GetValue(model) ?? verification.FindModel(), parsed.GetValue(device) ?? verification.Device, parsed.GetValue(threads) ?? 0);
                return verification.Run(maker, parsed.GetValue(input), screen, name => screen.Note($"{path}: made again on {name}"), cancellation);
            }
        });
        return command;
    }

    private static void Report(Screen screen, string path, Verdict verdict, bool asJson)
    {
        if (asJson)
        {
            screen.WriteJson(line =>
            {
                line.WriteString("status", verdict.IsSame ? "same" : "different");
                line.WriteString("video", path);
                line.WriteNumber("frames", verdict.Frames);
                line.WriteNumber("different_frames", verdict.DifferentFrames.Count);
                if (verdict.DifferentFrames.Count > 0)
                {
                    line.WriteNumber("first_different_frame", verdict.DifferentFrames[0]);
                }

                line.WriteBoolean("same_bytes", verdict.SameBytes);
                line.WriteBoolean("was_changed", verdict.WasChanged);
                line.WriteStartArray("model_differs");
                foreach (var name in verdict.ModelDiffers)
                {
                    line.WriteStringValue(name);
                }

                line.WriteEndArray();
            });
            return;
        }

        foreach (var name in verdict.ModelDiffers)
        {
            screen.Note($"note: the model's {name} is not the recorded one");
        }

        if (!screen.IsQuiet)
        {
            screen.WriteLine($"{PrintableText.Of(path)}: {Describe(verdict)}");
        }
    }

    private static string Describe(Verdict verdict)
    {
        var all = string.Create(CultureInfo.InvariantCulture, $"{verdict.Frames} frame{(verdict.Frames == 1 ? string.Empty : "s")}");
        return verdict switch
        {
            { DifferentFrames: [var first, ..] } => string.Create(CultureInfo.InvariantCulture, $"frame {first} is the first that differs; {verdict.DifferentFrames.Count} of {all} do"),
            { WasChanged: true } => $"made again with the same {all}, but it was changed after it was written",
            { SameBytes: true } => $"the same: {all}, to the byte",
            { UsedFfmpeg: var used, RecordedFfmpeg: var recorded } when used != recorded =>
                $"the same {all}; the file's bytes differ, for ffmpeg {recorded} wrote it and ffmpeg {used} is here",
            _ => $"the same {all}; the file's bytes differ",
        };
    }
}
