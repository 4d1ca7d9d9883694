// project: a folder of videos becomes training data, once.
using System.CommandLine;
using System.Globalization;
using FashionFlow.App.Media;
using FashionFlow.App.Projection;
using FashionFlow.App.Terminal;
using FashionFlow.Diffusion;
using FashionFlow.Diffusion.Preprocessing;
using FashionFlow.Diffusion.Training;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.App.Commands;

/// <summary>Makes data sets of latents.</summary>
internal static class ProjectCommand
{
    /// <summary>The command.</summary>
    public static Command Create(Screen screen, CancellationToken cancellation)
    {
        var videos = new Argument<string>("VIDEOS_DIR")
        {
            Description = "The folder of videos. Those in its train and test folders are of that split, those in the folder itself are trained on too.",
        };
        var output = new Option<string>("--output", "-o")
        {
            Description = "The folder of latents, which gets a file a video and dataset.json. What an earlier run finished in it is kept and not made again.",
            HelpName = "LATENTS_DIR",
            Required = true,
        };
        var overwrite = new Option<bool>("--overwrite") { Description = "Make anew what was made of another video, with another model or with other options. Without it that is kept." };
        var model = CommonOptions.Model();
        model.Description = "The model's folder, of which the autoencoder and CLIP are used. Default: the demo model.";
        var compat = CommonOptions.Compatibility(
            "fixed: CLIP sees frames as it was trained to, for models trained anew (default); fashionflow: as the reference feeds it. The training takes the same.");
        var fit = CommonOptions.Choice("--fit", "Frames of other proportions than the model's: crop their middle, pad them with white, or stretch them. Default: crop; stretch with --compat fashionflow.", "crop", "pad", "stretch");
        var least = CommonOptions.Count("--min-frames", "N", "Frames that a clip must have; shorter ones are reported and left out. Default: the model's frames, which a window takes.", 1, 1_000_000);
        var device = CommonOptions.Device();
        var threads = CommonOptions.Threads();
        var quiet = CommonOptions.Quiet();
        var json = CommonOptions.Json();
        var command = new WithExamples(
            "project",
            "Encode a folder of videos once, for training: every frame's latent distribution and CLIP tokens.",
            "project videos/ -o latents/",
            "project ubc-fashion/ -o latents/ --model models/full --min-frames 70",
            "project videos/ -o latents/ --fit pad --json --quiet")
        {
            videos, output, overwrite, model, compat, fit, least, device, threads, quiet, json,
        };
        command.SetAction(parsed =>
        {
            screen.IsQuiet = parsed.GetValue(quiet);
            var folder = parsed.GetRequiredValue(output);
            var plan = ProjectionPlan.Make(parsed.GetRequiredValue(videos), folder);
            Ffmpeg.Require("it reads the videos");
            using var projector = new Projector(
                parsed.GetValue(model) ?? Places.DemoModel(),
                parsed.GetValue(compat) ?? CompatibilityOptions.Fixed,
                CommonOptions.Chosen<PictureFit>(parsed.GetValue(fit)),
                parsed.GetRequiredValue(device),
                parsed.GetValue(threads) ?? 0);
            var replace = parsed.GetValue(overwrite);
            if (!replace && projector.Conflicts(folder))
            {
                throw new UserError(
                    ExitCode.Output, $"{folder} holds latents of another model or of other options", "name another folder, or make them anew with --overwrite");
            }

            return new Run(screen, projector, plan, folder, replace, parsed.GetValue(least) ?? projector.ModelFrames, parsed.GetValue(json), cancellation).All();
        });
        return command;
    }

    // One call. A video that cannot be used, and a place that is taken, are reported, and the others are made; what cannot be
    // written ends the run, since nothing else could be written either.
    private sealed class Run(
        Screen screen, Projector projector, ProjectionPlan plan, string folder, bool overwrite, int leastFrames, bool json, CancellationToken cancellation)
    {
        private bool _announced;

        public int All()
        {
            var (failed, exitCode) = (0, ExitCode.Success);
            for (var i = 0; i < plan.Clips.Count; i++)
            {
                var clip = plan.Clips[i];
                cancellation.ThrowIfCancellationRequested();
                SourceClip source;
                try
                {
                    if (plan.Clash(clip) is { } clash)
                    {
                        throw new UserError(ExitCode.Output, clash, "rename one of the videos");
                    }

                    if (Finished(clip) is { } finished)
                    {
                        Tell("kept", clip, finished, made: null);
                        continue;
                    }

                    source = Projector.Check(clip.Video, leastFrames, cancellation);
                }
                catch (UserError e)
                {
                    cancellation.ThrowIfCancellationRequested();
                    exitCode = failed++ == 0 ? e.ExitCode : exitCode;
                    screen.WriteFailure(e, json, line =>
                    {
                        line.WriteString("video", clip.Video);
                        line.WriteString("output", clip.Target);
                        line.WriteString("split", clip.Split);
                    });
                    continue;
                }

                var place = i + 1;
                var made = projector.Project(source, clip.Target, screen, device => Announce(device, clip, place), cancellation);
                Tell("made", clip, made.Clip, made);
            }

            if (failed > 0 && plan.Clips.Count > 1)
            {
                screen.Note($"{plan.Clips.Count - failed} of {plan.Clips.Count} videos are projected");
            }

            WriteIndex();
            return exitCode;
        }

        // A finished clip must still be long enough for this run.
        private LatentClipInfo? Finished(PlannedClip clip)
        {
            try
            {
                return Path.Exists(clip.Target) && projector.Finished(clip.Target, VideoFrameReader.HashVideo(clip.Video)) is { } found && found.Frames >= leastFrames ? found : null;
            }
            catch (UserError e) when (e.ExitCode == ExitCode.Output && overwrite)
            {
                return null;
            }
        }

        private void Announce(string device, PlannedClip clip, int place)
        {
            if (!_announced)
            {
                _announced = true;
                var recipe = projector.Recipe;
                screen.Note($"{device}; frames of {recipe.Width} x {recipe.Height}, fit {recipe.Fit}, compat {recipe.Compat}, latents {Sizes(recipe.LatentShape)}");
            }

            if (plan.Clips.Count > 1)
            {
                screen.Note($"{clip.Video} ({place} of {plan.Clips.Count})");
            }
        }

        private void Tell(string status, PlannedClip planned, LatentClipInfo clip, ProjectedClip? made)
        {
            if (json)
            {
                screen.WriteJson(line =>
                {
                    line.WriteString("status", status);
                    line.WriteString("video", planned.Video);
                    line.WriteString("output", planned.Target);
                    line.WriteString("split", planned.Split);
                    line.WriteNumber("frames", clip.Frames);
                    if (clip.FramesPerSecond is { } rate)
                    {
                        line.WriteNumber("fps", rate);
                    }

                    line.WriteString("source_sha256", clip.SourceSha256);
                    if (made is not null)
                    {
                        line.WriteNumber("seconds", Math.Round(made.Time.TotalSeconds, 3));
                        line.WriteNumber("peak_device_bytes", made.PeakDeviceBytes);
                    }
                });
            }
            else if (!screen.IsQuiet)
            {
                screen.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"{PrintableText.Of(planned.Target)}: {clip.Frames} frames, {(made is null ? "kept" : $"made in {ProgressDisplay.Duration(made.Time)}")}"));
            }
        }

        private void WriteIndex()
        {
            LatentIndex index;
            try
            {
                index = LatentIndex.Of(folder, projector.Recipe);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new UserError(ExitCode.Output, $"{folder} cannot be read: {e.Message}", cause: e);
            }

            if (index.Clips.Count == 0)
            {
                return;
            }

            var path = Path.Combine(folder, LatentIndex.FileName);
            PendingOutput.WriteFile(path, overwrite: true, index.WriteTo);
            var (train, frames) = (index.Clips.Count(c => c.Split == LatentIndex.Train), index.Clips.Sum(c => (long)c.Frames));
            if (json)
            {
                screen.WriteJson(line =>
                {
                    line.WriteString("status", "indexed");
                    line.WriteString("output", path);
                    line.WriteNumber("train", train);
                    line.WriteNumber("test", index.Clips.Count - train);
                    line.WriteNumber("frames", frames);
                });
            }
            else if (!screen.IsQuiet)
            {
                screen.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{PrintableText.Of(path)}: {train} clips to train on, {index.Clips.Count - train} to test on, {frames} frames"));
            }
        }

        private static string Sizes(IReadOnlyList<int> shape) => string.Join(" x ", shape);
    }
}
