// demo: the whole pipeline on a picture of the project's own, so that a first try needs nothing but the program.
using System.CommandLine;
using System.Globalization;
using FashionFlow.App.Media;
using FashionFlow.App.Terminal;
using FashionFlow.Diffusion;

namespace FashionFlow.App.Commands;

/// <summary>Writes demo.png and demo.mp4, and says what was done.</summary>
internal static class DemoCommand
{
    /// <summary>The command.</summary>
    public static Command Create(Screen screen, CancellationToken cancellation)
    {
        var output = new Option<string>("--output", "-o")
        {
            Description = "The folder for demo.png and demo.mp4; it is made if it is not there.",
            HelpName = "DIR",
            DefaultValueFactory = _ => "demo-output",
        };
        var steps = CommonOptions.Count("--steps", "N", "Denoising steps; fewer are quicker. Default: the demo model's.", 1, 1_000_000);
        var seed = CommonOptions.Seed();
        var device = CommonOptions.Device();
        var command = new WithExamples(
            "demo",
            "Draw a garment and run the whole pipeline on it with the demo model.",
            "demo",
            "demo -o /tmp/demo --steps 5 --seed 3 --device virtual:sm_80")
        {
            output, steps, seed, device,
        };
        command.SetAction(parsed =>
        {
            var folder = parsed.GetRequiredValue(output);
            Ffmpeg.Require();
            MakeFolder(folder);
            var (picturePath, videoPath) = (Path.Combine(folder, "demo.png"), Path.Combine(folder, "demo.mp4"));
            var model = Places.DemoModel();
            var picture = DemoPicture.Render();

            void Announce(VideoPlan plan)
            {
                PictureWriter.WritePng(picture, picturePath);
                var o = plan.Options;
                screen.WriteLine($"picture  {picturePath}, {picture.Width} x {picture.Height}, drawn by the program");
                screen.WriteLine($"model    {Short(model)}");
                if (plan.Note is { } note)
                {
                    screen.WriteLine($"         {note}");
                }

                screen.WriteLine($"device   {plan.DeviceName}");
                screen.WriteLine($"sampler  {o.Sampler.ToString().ToLowerInvariant()}, {o.Steps} steps, seed {o.Seed}");
            }

            var options = new GenerationOptions { Steps = parsed.GetValue(steps), Seed = parsed.GetValue(seed) };
            var job = new VideoJob(model, parsed.GetRequiredValue(device), options, FramesPerSecond: null, videoPath);
            var report = job.Run(picture, screen, Announce, cancellation);
            screen.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"video    {videoPath}, {report.Frames} frames of {report.Width} x {report.Height} at {report.FramesPerSecond:0.###} fps"));
            screen.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"cost     {ProgressDisplay.Duration(report.Time)}, {report.PeakDeviceBytes / 1048576.0:0} MiB of device memory at most"));
            return ExitCode.Success;
        });
        return command;
    }

    private static void MakeFolder(string folder)
    {
        try
        {
            Directory.CreateDirectory(folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserError(ExitCode.Output, $"the folder {folder} cannot be made: {e.Message}", cause: e);
        }
    }

    private static string Short(string path)
    {
        var relative = Path.GetRelativePath(Environment.CurrentDirectory, path);
        return relative.StartsWith("..", StringComparison.Ordinal) ? path : relative;
    }
}
