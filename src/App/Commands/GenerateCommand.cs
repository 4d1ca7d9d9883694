// generate: still pictures become videos.
using System.CommandLine;
using System.Globalization;
using FashionFlow.App.Generation;
using FashionFlow.App.Media;
using FashionFlow.App.Terminal;
using FashionFlow.Diffusion;
using FashionFlow.Diffusion.Preprocessing;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.App.Commands;

/// <summary>The main command.</summary>
internal static class GenerateCommand
{
    /// <summary>The command.</summary>
    public static Command Create(Screen screen, CancellationToken cancellation)
    {
        var pictures = new Argument<string[]>("PICTURE")
        {
            Description = "JPEG, PNG, WebP, BMP or GIF files, videos (one frame of each), or folders of pictures.",
            Arity = ArgumentArity.OneOrMore,
        };
        var output = new Option<string>("--output", "-o")
        {
            Description = "The video to write, by its ending an mp4, gif or webm; or a folder, in which each video has its picture's name.",
            HelpName = "OUT",
            Required = true,
        };
        var format = CommonOptions.Choice("--format", "What to write into a folder: mp4 (default), gif, webm, or png: a folder of frames a video.", [.. VideoFormat.All.Select(f => f.Name)]);
        var overwrite = new Option<bool>("--overwrite") { Description = "Replace what exists. Without it an existing output is kept, and its video is not made." };
        var sheet = new Option<bool>("--contact-sheet") { Description = "Write OUT.sheet.png as well: up to 16 of the frames in one picture." };
        var model = CommonOptions.Model();
        var fit = CommonOptions.Choice(
            "--fit", "A picture of other proportions than the model's: crop its middle, pad it with white, or stretch it. Default: by the mode: stretch, as the reference does, with fashionflow, crop with fixed.", "crop", "pad", "stretch");
        var inputFrame = CommonOptions.Count("--input-frame", "N", "Which frame of a video or animation is the picture, from 0. Default: 0.", 0, int.MaxValue);
        var steps = CommonOptions.Steps();
        var sampler = CommonOptions.Sampler();
        var spacing = CommonOptions.Spacing();
        var eta = CommonOptions.Eta();
        var seed = CommonOptions.Seed();
        var videos = CommonOptions.Count("--num-videos", "N", "Videos a picture, with the seeds S, S+1 and so on. Default: 1.", 1, 10_000);
        var frames = CommonOptions.Count("--frames", "F", "Frames of the video; the full-size model needs an even number. Default: the model's.", 1, 100_000);
        var fps = CommonOptions.Positive("--fps", "R", "Frames a second. Default: the model's.", 1000);
        var device = CommonOptions.Device();
        var threads = CommonOptions.Threads();
        var compat = CommonOptions.Compatibility();
        var quiet = CommonOptions.Quiet();
        var json = CommonOptions.Json();
        var command = new WithExamples(
            "generate",
            "Make videos of pictures. Beside each video a JSON file says how it was made, and verify makes it again.",
            "generate dress.jpg -o dress.mp4",
            "generate dress.jpg -o dress.mp4 --model models/full --sampler ddim --steps 50 --seed 7",
            "generate dress.jpg coat.png photos/ -o videos/ --num-videos 3 --contact-sheet",
            "generate dress.jpg -o frames/ --format png --fit pad",
            "generate runway.mp4 --input-frame 12 -o dress.gif --fps 8 --device virtual")
        {
            pictures, output, format, overwrite, sheet, model, fit, inputFrame, steps, sampler, spacing, eta, seed, videos, frames, fps, device, threads, compat, quiet, json,
        };
        command.SetAction(parsed =>
        {
            screen.IsQuiet = parsed.GetValue(quiet);
            var form = parsed.GetValue(format) is { } name ? VideoFormat.Named(name) : null;
            var plan = OutputPlan.Make(parsed.GetRequiredValue(pictures), parsed.GetRequiredValue(output), form, parsed.GetValue(seed), parsed.GetValue(videos) ?? 1);
            plan.Format.Require();
            using var maker = new VideoMaker(parsed.GetValue(model) ?? Places.DemoModel(), parsed.GetRequiredValue(device), parsed.GetValue(threads) ?? 0);
            var options = maker.Resolve(new GenerationOptions
            {
                Sampler = CommonOptions.Chosen<SamplerKind>(parsed.GetValue(sampler)),
                Spacing = CommonOptions.Chosen<TimestepSpacing>(parsed.GetValue(spacing)),
                Eta = parsed.GetValue(eta) ?? 0,
                Steps = parsed.GetValue(steps),
                Frames = parsed.GetValue(frames),
                Fit = CommonOptions.Chosen<PictureFit>(parsed.GetValue(fit)),
                Compatibility = CommonOptions.CompatibilityOf(parsed.GetValue(compat)),
            });
            var framesPerSecond = parsed.GetValue(fps) ?? maker.Configuration.FrameRate;
            if (framesPerSecond > plan.Format.MostFramesPerSecond)
            {
                throw new UserError(
                    ExitCode.Usage,
                    string.Create(CultureInfo.InvariantCulture, $"{plan.Format.Name} shows at most {plan.Format.MostFramesPerSecond} frames a second, not {framesPerSecond}"),
                    "give a smaller --fps");
            }

            var template = new VideoOutput(string.Empty, plan.Format, parsed.GetValue(overwrite)) { WithContactSheet = parsed.GetValue(sheet) };
            return new Run(screen, maker, plan, options, framesPerSecond, template, parsed.GetValue(inputFrame) ?? 0, parsed.GetValue(json), cancellation).All();
        });
        return command;
    }

    /// <summary>"blue.mp4: 16 frames of 512 x 640 at 25 fps, made in 35 s".</summary>
    public static string Describe(VideoReport report) => string.Create(
        CultureInfo.InvariantCulture,
        $"{PrintableText.Of(report.Output.Target)}: {report.Sidecar.Frames.Sha256.Count} frames of {report.Sidecar.Frames.Width} x {report.Sidecar.Frames.Height} at {report.Sidecar.Recipe.Options.Fps:0.###} fps, made in {ProgressDisplay.Duration(report.Time)}");

    // One call: a failure of one picture is reported, and the others are made.
    private sealed class Run(
        Screen screen,
        VideoMaker maker,
        OutputPlan plan,
        GenerationOptions options,
        double framesPerSecond,
        VideoOutput template,
        int inputFrame,
        bool json,
        CancellationToken cancellation)
    {
        private bool _announced;
        private (string Path, SourcePicture Picture)? _last;

        public int All()
        {
            if (plan.Folder is { } folder)
            {
                PendingOutput.MakeFolder(folder);
            }

            var (failed, exitCode) = (0, ExitCode.Success);
            foreach (var video in plan.Videos)
            {
                try
                {
                    One(video);
                }
                catch (UserError e) when (e.ExitCode is ExitCode.Input or ExitCode.Output && (json || plan.Videos.Count > 1))
                {
                    cancellation.ThrowIfCancellationRequested();
                    exitCode = failed++ == 0 ? e.ExitCode : exitCode;
                    screen.WriteFailure(e, json, line =>
                    {
                        line.WriteString("picture", video.Picture);
                        line.WriteString("output", video.Target);
                        line.WriteNumber("seed", video.Seed);
                    });
                }
            }

            if (failed > 0 && plan.Videos.Count > 1)
            {
                screen.Note($"{plan.Videos.Count - failed} of {plan.Videos.Count} videos were made");
            }

            return exitCode;
        }

        private void One(PlannedVideo video)
        {
            cancellation.ThrowIfCancellationRequested();
            if (plan.Clash(video) is { } clash)
            {
                throw new UserError(ExitCode.Output, clash, "give it another --output");
            }

            var output = template with { Target = video.Target };
            output.Check();
            if (_last?.Path != video.Picture)
            {
                _last = null;
                _last = (video.Picture, PictureReader.Read(video.Picture, inputFrame));
            }

            var request = new VideoRequest(_last.Value.Picture, video.Picture, inputFrame, options with { Seed = video.Seed }, framesPerSecond, output);
            Report(video, maker.Make(request, screen, device => Announce(device, video), cancellation));
        }

        private void Announce(string deviceName, PlannedVideo video)
        {
            if (!_announced)
            {
                _announced = true;
                var seeds = plan.Videos[^1].Seed == video.Seed ? $"seed {video.Seed}" : $"seeds {video.Seed} to {plan.Videos[^1].Seed}";
                screen.Note($"{deviceName}; {Recipe.Word(options.Sampler!.Value)}, {options.Steps} steps, {options.Frames} frames, {seeds}, compat {options.Compatibility!.Name}");
                if (maker.Note is { } note)
                {
                    screen.Note($"note: {note}");
                }
            }

            if (plan.Videos.Count > 1)
            {
                screen.Note($"{video.Picture} ({plan.Videos.TakeWhile(v => v != video).Count() + 1} of {plan.Videos.Count})");
            }
        }

        private void Report(PlannedVideo video, VideoReport report)
        {
            if (!json)
            {
                if (!screen.IsQuiet)
                {
                    screen.WriteLine(Describe(report));
                }

                return;
            }

            var (output, sidecar) = (report.Output, report.Sidecar);
            screen.WriteJson(line =>
            {
                line.WriteString("status", "made");
                line.WriteString("picture", video.Picture);
                line.WriteString("output", output.Target);
                line.WriteString("format", output.Format.Name);
                line.WriteString("sidecar", output.Sidecar);
                if (output.WithContactSheet)
                {
                    line.WriteString("contact_sheet", output.ContactSheet);
                }

                line.WriteNumber("seed", video.Seed);
                line.WriteNumber("frames", sidecar.Frames.Sha256.Count);
                line.WriteNumber("width", sidecar.Frames.Width);
                line.WriteNumber("height", sidecar.Frames.Height);
                line.WriteNumber("fps", sidecar.Recipe.Options.Fps);
                if (sidecar.File is { } file)
                {
                    line.WriteString("sha256", file.Sha256);
                }

                line.WriteString("device", sidecar.Recipe.Device.Kind);
                line.WriteNumber("seconds", Math.Round(report.Time.TotalSeconds, 3));
                line.WriteNumber("peak_device_bytes", report.PeakDeviceBytes);
            });
        }
    }
}
