// render-garments: the data set that the demo model learns from, drawn by the program, so that nobody has to fetch one.
using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using FashionFlow.App.Garments;
using FashionFlow.App.Terminal;

namespace FashionFlow.App.Commands;

/// <summary>Draws clips of garments that turn, to train on and to test with.</summary>
internal static class RenderGarmentsCommand
{
    private const int MostClips = 100_000;
    private const int LeastSide = 16;
    private const int MostSide = 4096;

    /// <summary>The command.</summary>
    public static Command Create(Screen screen, CancellationToken cancellation)
    {
        var output = new Option<string>("--output", "-o") { Description = "The folder for train/, test/ and garments.json; it is made if it is not there.", HelpName = "DIR", Required = true };
        var train = CommonOptions.Count("--train", "N", "Clips to train on. Default: 1000.", 0, MostClips);
        var test = CommonOptions.Count("--test", "N", "Clips of other garments, held out. Default: 100.", 0, MostClips);
        var frames = CommonOptions.Count("--frames", "N", "Frames a clip, eight a second; after sixteen the motion repeats itself. Default: 16.", 1, 1000);
        var size = Size();
        var seed = CommonOptions.Seed();
        seed.Description = "Seed of all garments: the same seed draws the same ones.";
        var threads = CommonOptions.Count("--threads", "T", "Clips drawn at a time; they do not depend on it. Default: one a core.", 1, 1024);
        var overwrite = new Option<bool>("--overwrite") { Description = "Replace an earlier set in DIR." };
        var quiet = CommonOptions.Quiet();
        var command = new WithExamples(
            "render-garments",
            "Draw a data set: clips of figures that wear garments and turn, always in the same way.",
            "render-garments -o garments",
            "render-garments -o small --train 20 --test 4 --frames 8 --size 64x96 --seed 3")
        {
            output, train, test, frames, size, seed, threads, overwrite, quiet,
        };
        command.SetAction(parsed =>
        {
            screen.IsQuiet = parsed.GetValue(quiet);
            var folder = parsed.GetRequiredValue(output);
            var (width, height) = parsed.GetValue(size) ?? (128, 192);
            var set = new GarmentSet(parsed.GetValue(seed), parsed.GetValue(train) ?? 1000, parsed.GetValue(test) ?? 100, parsed.GetValue(frames) ?? 16, width, height);
            if (set.Train + set.Test == 0)
            {
                throw new UserError(ExitCode.Usage, "--train and --test are both 0: there is nothing to draw");
            }

            var clock = Stopwatch.StartNew();
            var bytes = set.Write(folder, parsed.GetValue(overwrite), parsed.GetValue(threads) ?? Environment.ProcessorCount, screen, cancellation);
            if (!screen.IsQuiet)
            {
                screen.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"{folder}: {set.Train} clips to train on, {set.Test} held out, each {set.Frames} frames of {width} x {height} at {Motion.FramesPerSecond} fps; {bytes / 1e6:0.0} MB, made in {ProgressDisplay.Duration(clock.Elapsed)}"));
            }

            return ExitCode.Success;
        });
        return command;
    }

    private static Option<(int Width, int Height)?> Size() => new("--size")
    {
        Description = "Pixels of a frame. Default: 128x192.",
        HelpName = "WxH",
        CustomParser = result =>
        {
            var text = result.Tokens[0].Value;
            if (text.Split('x') is [var w, var h] && Side(w) is { } width && Side(h) is { } height)
            {
                return (width, height);
            }

            result.AddError($"--size must be two whole numbers from {LeastSide} to {MostSide} as in 128x192, not '{text}'");
            return null;
        },
    };

    private static int? Side(string text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var value) && value is >= LeastSide and <= MostSide ? value : null;
}
