// demo: the whole pipeline on a picture of the project's own, so that a first try needs nothing but the program.
using System.CommandLine;
using System.Globalization;
using FashionFlow.App.Garments;
using FashionFlow.App.Generation;
using FashionFlow.App.Media;
using FashionFlow.App.Terminal;
using FashionFlow.Diffusion;

namespace FashionFlow.App.Commands;

/// <summary>Writes demo.png, demo.mp4 with its sidecar and demo.sheet.png, and says what was done.</summary>
internal static class DemoCommand
{
    /// <summary>What the picture shows: a garment that is held out, so that no model has learned it.</summary>
    public static Garment GarmentOfTheDemo { get; } = Garment.Design(seed: 0, GarmentSet.TestSplit, index: 7);

    /// <summary>The command.</summary>
    public static Command Create(Screen screen, CancellationToken cancellation)
    {
        var output = new Option<string>("--output", "-o")
        {
            Description = "The folder for demo.png, demo.mp4 and demo.sheet.png; it is made if it is not there, and an earlier demo in it is replaced.",
            HelpName = "DIR",
            DefaultValueFactory = _ => "demo-output",
        };
        var steps = CommonOptions.Count("--steps", "N", "Denoising steps; fewer are quicker. Default: the demo model's.", 1, 1_000_000);
        var seed = CommonOptions.Seed();
        var device = CommonOptions.Device();
        var threads = CommonOptions.Threads();
        var quiet = CommonOptions.Quiet();
        var command = new WithExamples(
            "demo",
            "Draw a garment and run the whole pipeline on it with the demo model.",
            "demo",
            "demo -o /tmp/demo --steps 5 --seed 3 --device virtual:sm_80")
        {
            output, steps, seed, device, threads, quiet,
        };
        command.SetAction(parsed =>
        {
            screen.IsQuiet = parsed.GetValue(quiet);
            var folder = parsed.GetRequiredValue(output);
            VideoFormat.Mp4.Require();
            var model = Places.DemoModel();
            using var maker = new VideoMaker(model, parsed.GetRequiredValue(device), parsed.GetValue(threads) ?? 0);
            var options = maker.Resolve(new GenerationOptions { Steps = parsed.GetValue(steps), Seed = parsed.GetValue(seed) });
            PendingOutput.MakeFolder(folder);
            var (picturePath, videoPath) = (Path.Combine(folder, "demo.png"), Path.Combine(folder, "demo.mp4"));

            // The picture is written first and read back: so it goes the way of any other.
            var (width, height) = (maker.Configuration.PictureWidth, maker.Configuration.PictureHeight);
            PictureWriter.WritePng(GarmentPicture.Draw(GarmentOfTheDemo, width, height, Motion.OfFrame(0)), picturePath);
            var picture = PictureReader.Read(picturePath);
            Say($"picture  {picturePath}, {picture.Image.Width} x {picture.Image.Height}, drawn by the program");
            Say($"model    {Short(model)}");
            if (maker.Note is { } note)
            {
                Say($"         {note}");
            }

            var request = VideoRequest.OfPicture(
                picture, picturePath, frame: 0, options, maker.Configuration.FrameRate, new VideoOutput(videoPath, VideoFormat.Mp4, Overwrite: true) { WithContactSheet = true });
            var report = maker.Make(request, screen, Announce, cancellation);
            var frames = report.Sidecar.Frames;
            Say(string.Create(
                CultureInfo.InvariantCulture,
                $"video    {videoPath}, {frames.Sha256.Count} frames of {frames.Width} x {frames.Height} at {request.FramesPerSecond:0.###} fps; at a glance: {request.Output.ContactSheet}"));
            Say($"cost     {ProgressDisplay.Duration(report.Time)}, {ProgressDisplay.Memory(report.PeakDeviceBytes)} of device memory at most");
            return ExitCode.Success;

            void Announce(string deviceName)
            {
                Say($"device   {deviceName}");
                Say($"sampler  {Recipe.Word(options.Sampler!.Value)}, {options.Steps} steps, seed {options.Seed}");
            }

            void Say(string text)
            {
                if (!screen.IsQuiet)
                {
                    screen.WriteLine(text);
                }
            }
        });
        return command;
    }

    private static string Short(string path)
    {
        var relative = Path.GetRelativePath(Environment.CurrentDirectory, path);
        return relative.StartsWith("..", StringComparison.Ordinal) ? path : relative;
    }
}
