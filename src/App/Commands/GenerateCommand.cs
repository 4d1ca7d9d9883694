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
            Arity = ArgumentArity.ZeroOrMore,
        };
        var output = new Option<string>("--output", "-o")
        {
            Description = "The video to write, by its ending an mp4, gif or webm; or a folder, in which each video has its picture's name.",
            HelpName = "OUT",
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
        var checkpoints = CommonOptions.Count(
            "--checkpoint-every", "N", "Save what is sampled, as OUT.latents, every N steps. Default: about every 30 seconds, and when it is stopped.", 1, 1_000_000);
        var keep = new Option<bool>("--keep-latents") { Description = "Leave OUT.latents when the video is done: decode makes the video of it again, in any form." };
        var resume = new Option<string?>("--resume") { Description = "Go on with a video that was stopped, instead of PICTURE and its options; the result is the same to the byte.", HelpName = "OUT.latents" };
        var preview = CommonOptions.Count("--preview", "N", "Write OUT.preview.png every N steps: up to four frames of what the video will be.", 1, 1_000_000);
        var budget = MemoryBudget.Option();
        var graph = CommonOptions.Choice("--graph", "Whether the network's launches are captured once as a graph and repeated as a whole; frames are the same to the bit. Default: on on a GPU, off on the virtual one and with --memory-budget.", "on", "off");
        var planOnly = new Option<bool>("--plan-only") { Description = "Print what each stage takes of memory and work, and about how long it takes; make nothing." };
        var finite = CommonOptions.DebugFinite();
        var quiet = CommonOptions.Quiet();
        var json = CommonOptions.Json();
        var command = new WithExamples(
            "generate",
            "Make videos of pictures. Beside each video a JSON file says how it was made, and verify makes it again.",
            "generate dress.jpg -o dress.mp4",
            "generate dress.jpg -o dress.mp4 --model models/full --sampler ddim --steps 50 --seed 7",
            "generate dress.jpg coat.png photos/ -o videos/ --num-videos 3 --contact-sheet",
            "generate dress.jpg -o frames/ --format png --fit pad",
            "generate runway.mp4 --input-frame 12 -o dress.gif --fps 8 --device virtual",
            "generate dress.jpg -o dress.mp4 --checkpoint-every 5 --preview 10",
            "generate --resume dress.mp4.latents",
            "generate dress.jpg -o dress.mp4 --model models/full --memory-budget 3GiB --plan-only")
        {
            pictures, output, format, overwrite, sheet, model, fit, inputFrame, steps, sampler, spacing, eta, seed, videos, frames, fps, checkpoints, keep, resume, preview, device, threads,
            compat, budget, graph, planOnly, finite, quiet, json,
        };
        Option[] ofTheFirstRun = [format, fit, inputFrame, steps, sampler, spacing, eta, seed, videos, frames, fps, compat, planOnly];
        command.Validators.Add(result =>
        {
            if (result.GetValue(graph) == "on")
            {
                Option[] others = [budget, finite];
                if (others.FirstOrDefault(option => result.GetResult(option) is { Implicit: false }) is { } other)
                {
                    result.AddError($"{graph.Name} on does not go with {other.Name}: {(other == budget ? "a graph's memory is its own, beside what is planned" : "a graph's values cannot be looked at one by one")}");
                }
            }

            var hasPicture = result.GetResult(pictures)?.Tokens.Count > 0;
            if (result.GetResult(resume) is not { Implicit: false } resumed)
            {
                if (!hasPicture)
                {
                    result.AddError($"{pictures.Name} is missing");
                }
                else if (result.GetResult(output) is not { Implicit: false })
                {
                    result.AddError($"option '{output.Name}' is required");
                }
            }
            else if (hasPicture)
            {
                result.AddError($"{resume.Name} goes on with the picture that the video was begun with; leave out '{result.GetResult(pictures)!.Tokens[0].Value}'");
            }
            else if (ofTheFirstRun.FirstOrDefault(option => result.GetResult(option) is { Implicit: false }) is { } changed)
            {
                result.AddError($"{resume.Name} goes on with the options that the video was begun with; leave out {changed.Name}");
            }
        });
        command.SetAction(parsed =>
        {
            screen.IsQuiet = parsed.GetValue(quiet);
            if (parsed.GetValue(resume) is { } latents)
            {
                var saved = SavedLatents.Open(latents);
                var again = OutputOf(saved, parsed.GetValue(output), parsed.GetValue(overwrite), parsed.GetValue(sheet));
                again.DeleteLeftovers();
                var choices = new ResumedVideo.Choices(
                    parsed.GetValue(model), parsed.GetResult(device) is { Implicit: false } ? parsed.GetValue(device) : null, parsed.GetValue(threads) ?? 0, parsed.GetValue(json))
                {
                    MemoryBudget = Budget(),
                };
                return ResumedVideo.Make(saved, choices, again, request => Watched(request, saved.Output), screen, cancellation);
            }

            var form = parsed.GetValue(format) is { } name ? VideoFormat.Named(name) : null;
            var plan = OutputPlan.Make(parsed.GetRequiredValue(pictures), parsed.GetValue(output)!, form, parsed.GetValue(seed), parsed.GetValue(videos) ?? 1);
            plan.Format.Require();
            using var maker = new VideoMaker(parsed.GetValue(model) ?? Places.DemoModel(), parsed.GetRequiredValue(device), parsed.GetValue(threads) ?? 0) { MemoryBudget = Budget() };
            var options = maker.Resolve(new GenerationOptions
            {
                Sampler = CommonOptions.Chosen<SamplerKind>(parsed.GetValue(sampler)),
                Spacing = CommonOptions.Chosen<TimestepSpacing>(parsed.GetValue(spacing)),
                Eta = parsed.GetValue(eta) ?? 0,
                Steps = parsed.GetValue(steps),
                Frames = parsed.GetValue(frames),
                Fit = CommonOptions.Chosen<PictureFit>(parsed.GetValue(fit)),
                Compatibility = parsed.GetValue(compat),
            });
            var framesPerSecond = parsed.GetValue(fps) ?? maker.Configuration.FrameRate;
            CheckRate(plan.Format, framesPerSecond);
            if (parsed.GetValue(planOnly))
            {
                var (memory, times) = maker.Estimate(options, parsed.GetValue(preview) is not null);
                MemoryBudget.Print(screen, memory, times, options, parsed.GetValue(json));
                return ExitCode.Success;
            }

            var frame = parsed.GetValue(inputFrame) ?? 0;
            var template = new VideoOutput(string.Empty, plan.Format, parsed.GetValue(overwrite))
            {
                WithContactSheet = parsed.GetValue(sheet),
                WithPreview = parsed.GetValue(preview) is not null,
            };
            return new Run(screen, maker, plan, options, frame, template, Request, parsed.GetValue(json), cancellation).All();

            long? Budget() => parsed.GetValue(budget) is { } size ? MemoryBudget.Parse(size) : null;

            VideoRequest Request(SourcePicture picture, PlannedVideo video, VideoOutput output) =>
                Watched(VideoRequest.OfPicture(picture, video.Picture, frame, options with { Seed = video.Seed }, framesPerSecond, output), begun: null);

            // What a run that goes on does not say is as the first one said it.
            VideoRequest Watched(VideoRequest request, SavedOutput? begun) => request with
            {
                Options = request.Options with { UseGraph = parsed.GetValue(graph) is { } word ? word == "on" : null },
                SavesLatents = true,
                KeepsLatents = parsed.GetValue(keep) || begun?.KeepLatents == true,
                CheckpointEvery = parsed.GetValue(checkpoints) ?? begun?.CheckpointEvery,
                PreviewEvery = parsed.GetValue(preview) ?? begun?.PreviewEvery,
                ChecksFinite = parsed.GetValue(finite),
            };
        });
        return command;
    }

    /// <summary>Refuses a rate that a format cannot show.</summary>
    /// <exception cref="UserError">It cannot.</exception>
    public static void CheckRate(VideoFormat format, double framesPerSecond)
    {
        if (framesPerSecond > format.MostFramesPerSecond)
        {
            throw new UserError(
                ExitCode.Usage,
                string.Create(CultureInfo.InvariantCulture, $"{format.Name} shows at most {format.MostFramesPerSecond} frames a second, not {framesPerSecond}"),
                "give a smaller --fps");
        }
    }

    /// <summary>"blue.mp4: 16 frames of 512 x 640 at 25 fps, made in 35 s".</summary>
    public static string Describe(VideoReport report) => string.Create(
        CultureInfo.InvariantCulture,
        $"{PrintableText.Of(report.Output.Target)}: {report.Sidecar.Frames.Sha256.Count} frames of {report.Sidecar.Frames.Width} x {report.Sidecar.Frames.Height} at {report.Sidecar.Recipe.Options.Fps:0.###} fps, made in {ProgressDisplay.Duration(report.Time)}");

    /// <summary>Says what was made, as a sentence or as a line of JSON.</summary>
    public static void Report(Screen screen, VideoReport report, string picture, ulong seed, bool json)
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
            line.WriteString("picture", picture);
            line.WriteString("output", output.Target);
            line.WriteString("format", output.Format.Name);
            line.WriteString("sidecar", output.Sidecar);
            if (output.WithContactSheet)
            {
                line.WriteString("contact_sheet", output.ContactSheet);
            }

            if (report.Latents is { } latents)
            {
                line.WriteString("latents", latents);
            }

            line.WriteNumber("seed", seed);
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

    // What the first run was to write, or elsewhere. Where the files were moved, the video belongs beside the latents.
    private static VideoOutput OutputOf(SavedLatents saved, string? elsewhere, bool overwrite, bool sheet)
    {
        var begun = VideoFormat.Named(saved.Recipe.Encoder.Format);
        var beside = saved.Path.EndsWith(SavedLatents.Extension, StringComparison.Ordinal) ? saved.Path[..^SavedLatents.Extension.Length] : saved.Output.Target;
        var target = elsewhere ?? (Path.GetFileName(beside) == Path.GetFileName(saved.Output.Target) ? beside : saved.Output.Target);
        var format = VideoFormat.ForPath(target) ?? (begun.IsFolder ? begun : throw new UserError(ExitCode.Usage, $"--output must end in .mp4, .gif or .webm, not '{target}'"));
        return new VideoOutput(Path.TrimEndingDirectorySeparator(target), format, overwrite || saved.Output.Overwrite) { WithContactSheet = sheet || saved.Output.ContactSheet };
    }

    // One call: a failure of one picture is reported, and the others are made.
    private sealed class Run(
        Screen screen,
        VideoMaker maker,
        OutputPlan plan,
        GenerationOptions options,
        int inputFrame,
        VideoOutput template,
        Func<SourcePicture, PlannedVideo, VideoOutput, VideoRequest> request,
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
            output.CheckBeginning();
            if (_last?.Path != video.Picture)
            {
                _last = null;
                _last = (video.Picture, PictureReader.Read(video.Picture, inputFrame));
            }

            var report = maker.Make(request(_last.Value.Picture, video, output), screen, device => Announce(device, video), cancellation);
            GenerateCommand.Report(screen, report, video.Picture, video.Seed, json);
        }

        private void Announce(string deviceName, PlannedVideo video)
        {
            if (!_announced)
            {
                _announced = true;
                var seeds = plan.Videos[^1].Seed == video.Seed ? $"seed {video.Seed}" : $"seeds {video.Seed} to {plan.Videos[^1].Seed}";
                screen.Note($"{deviceName}; {Recipe.Word(options.Sampler!.Value)}, {options.Steps} steps, {options.Frames} frames, {seeds}, compat {options.Compatibility!.Name}");
                foreach (var line in maker.Plan is { } memory ? MemoryBudget.Describe(memory) : [])
                {
                    screen.Note(line);
                }

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
    }
}
