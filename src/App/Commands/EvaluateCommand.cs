// evaluate: how good a model is on garments that it has not seen.
using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using FashionFlow.App.Evaluation;
using FashionFlow.App.Generation;
using FashionFlow.App.Media;
using FashionFlow.App.Terminal;
using FashionFlow.Diffusion;
using FashionFlow.Diffusion.Evaluation;
using FashionFlow.Diffusion.Training;
using FashionFlow.Tensors.Weights;
using Spectre.Console;

namespace FashionFlow.App.Commands;

/// <summary>Measures a model on held-out clips.</summary>
internal static class EvaluateCommand
{
    /// <summary>The command.</summary>
    public static Command Create(Screen screen, CancellationToken cancellation)
    {
        var data = new Option<string>("--data")
        {
            Description = "The folder of videos, as project takes it: with the folders train and test in it.", HelpName = "VIDEOS_DIR", Required = true,
        };
        var model = CommonOptions.Model();
        var output = new Option<string?>("--output", "-o") { Description = "The folder for evaluation.json, plots and a contact sheet. Without it only the table is printed.", HelpName = "OUT_DIR" };
        var overwrite = new Option<bool>("--overwrite") { Description = "Replace an earlier evaluation in OUT_DIR." };
        var clips = CommonOptions.Count("--clips", "N", "Evaluate the first N clips; garments are looked for among all of them nevertheless. Default: all.", 1, 1_000_000);
        var split = CommonOptions.Choice("--split", "Which clips: those held out (default), or those that were trained on.", LatentIndex.Test, LatentIndex.Train);
        var steps = CommonOptions.Steps();
        var sampler = CommonOptions.Sampler();
        var spacing = CommonOptions.Spacing();
        var eta = CommonOptions.Eta();
        var seed = CommonOptions.Seed("Seed that each clip's own is derived from.");
        var compat = CommonOptions.Compatibility();
        var device = CommonOptions.Device();
        var threads = CommonOptions.Threads();
        var quiet = CommonOptions.Quiet();
        var json = CommonOptions.Json();
        var command = new WithExamples(
            "evaluate",
            "Measure a model on held-out clips: how near its frames are to the true ones, whose garment they show, how they move.",
            "evaluate --data videos/ --model run/model",
            "evaluate --data videos/ --model run/model -o evaluation/ --clips 50 --steps 25",
            "evaluate --data videos/ --model run/model --split train --json --quiet | jq .summary")
        {
            data, model, output, overwrite, clips, split, steps, sampler, spacing, eta, seed, compat, device, threads, quiet, json,
        };
        command.SetAction(parsed =>
        {
            screen.IsQuiet = parsed.GetValue(quiet);
            using var maker = new VideoMaker(parsed.GetValue(model) ?? Places.DemoModel(), parsed.GetRequiredValue(device), parsed.GetValue(threads) ?? 0);
            var options = maker.Resolve(new GenerationOptions
            {
                Sampler = CommonOptions.Chosen<SamplerKind>(parsed.GetValue(sampler)),
                Spacing = CommonOptions.Chosen<TimestepSpacing>(parsed.GetValue(spacing)),
                Eta = parsed.GetValue(eta) ?? 0,
                Steps = parsed.GetValue(steps),
                Seed = parsed.GetValue(seed),
                Compatibility = parsed.GetValue(compat),
            });
            RequireMeasurable(maker.Configuration, options);
            var splitName = parsed.GetValue(split) ?? LatentIndex.Test;
            var held = new HeldOutClips(
                parsed.GetRequiredValue(data), splitName, options.Frames!.Value, maker.Configuration.PictureWidth, maker.Configuration.PictureHeight, options.Fit!.Value);
            held.RequireAny();
            Ffmpeg.Require("it reads the videos");
            using var files = parsed.GetValue(output) is { } folder ? new EvaluationFiles(folder, parsed.GetValue(overwrite)) : null;
            var deviceName = maker.Load();
            cancellation.ThrowIfCancellationRequested();
            var clock = Stopwatch.StartNew();
            ProgressDisplay.Run(screen, display =>
            {
                held.Check(display, cancellation);
                return true;
            });
            foreach (var (name, error) in held.Unusable)
            {
                screen.WriteFailure(error, parsed.GetValue(json), line => line.WriteString("clip", name));
            }

            if (held.Clips.Count == 0)
            {
                throw new UserError(ExitCode.Input, $"none of the {held.Unusable.Count} clips of split {splitName} can be used");
            }

            var count = Math.Min(parsed.GetValue(clips) ?? int.MaxValue, held.Clips.Count);
            screen.Note(string.Create(
                CultureInfo.InvariantCulture,
                $"{deviceName}; {Recipe.Word(options.Sampler!.Value)}, {options.Steps} steps, {options.Frames} frames, seed {options.Seed}, compat {options.Compatibility!.Name}; {count} of {held.Clips.Count} clips of split {splitName}"));
            if (maker.Note is { } note)
            {
                screen.Note($"note: {note}");
            }

            var sheet = new EvaluationSheet(count);
            var report = new Evaluator(maker, held, splitName, options, cancellation).Run(count, sheet, screen);
            files?.Write(report, sheet, cancellation);
            Tell(screen, report, files?.Report, clock.Elapsed, maker.PeakBytes, parsed.GetValue(json));
            return held.Unusable.Count > 0 ? held.Unusable[0].Error.ExitCode : ExitCode.Success;
        });
        return command;
    }

    // What no clip could be measured with.
    private static void RequireMeasurable(ModelConfiguration configuration, GenerationOptions options)
    {
        if (options.Frames < 2)
        {
            throw new UserError(ExitCode.Input, "the model makes videos of one frame, which is the picture that it is given: there is nothing to measure");
        }

        if (Math.Min(configuration.PictureWidth, configuration.PictureHeight) < PictureQuality.SsimWindow)
        {
            throw new UserError(
                ExitCode.Input,
                $"the model's pictures of {configuration.PictureWidth} x {configuration.PictureHeight} are too small to be measured: SSIM needs {PictureQuality.SsimWindow} pixels a side");
        }
    }

    private static void Tell(Screen screen, EvaluationReport report, string? path, TimeSpan time, long peakBytes, bool json)
    {
        var summary = report.Summary;
        if (json)
        {
            screen.WriteJson(line =>
            {
                line.WriteString("status", "evaluated");
                if (path is not null)
                {
                    line.WriteString("output", path);
                }

                line.WriteNumber("skipped", report.Skipped.Count);
                line.WritePropertyName("summary");
                JsonSerializer.Serialize(line, summary, EvaluationJson.Indented.EvaluationSummary);
                line.WriteNumber("seconds", Math.Round(time.TotalSeconds, 3));
                line.WriteNumber("peak_device_bytes", peakBytes);
            });
            return;
        }

        if (screen.IsQuiet)
        {
            return;
        }

        var table = screen.Table("frames", "PSNR dB", "median", "worst", "SSIM", "median", "worst", "motion", "by encoder", "MRR", "by colours", "MRR");
        foreach (var column in table.Columns.Skip(1))
        {
            column.RightAligned();
        }

        foreach (var (name, s) in summary.Rows)
        {
            table.AddRow(
            [
                .. new[]
                {
                    name, Number(s.Psnr, "0.00"), Number(s.MedianPsnr, "0.00"), Number(s.WorstPsnr, "0.00"), Number(s.Ssim, "0.000"), Number(s.MedianSsim, "0.000"),
                    Number(s.WorstSsim, "0.000"), Number(s.StepRatio, "0.00"), Number(s.Encoder.TopOne, "0.0 %"), Number(s.Encoder.MeanReciprocalRank, "0.000"),
                    Number(s.Colour.TopOne, "0.0 %"), Number(s.Colour.MeanReciprocalRank, "0.000"),
                }.Select(text => new Text(text)),
            ]);
        }

        screen.Write(table);
        screen.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{summary.Clips} clip{(summary.Clips == 1 ? string.Empty : "s")} in {ProgressDisplay.Duration(time)}: gain over repeating the picture {Number(summary.GainDb, "+0.00;-0.00;0.00")} dB, above zero in {summary.BetterClips}; found by chance {summary.Chance:0.0 %}"));
        if (path is not null)
        {
            screen.WriteLine($"{PrintableText.Of(path)}: all figures; plots and a contact sheet are beside it");
        }
    }

    private static string Number(double value, string format) => double.IsFinite(value) ? value.ToString(format, CultureInfo.InvariantCulture) : "-";
}
