// generate: a still picture becomes a video.
using System.CommandLine;
using System.Globalization;
using FashionFlow.App.Media;
using FashionFlow.App.Terminal;
using FashionFlow.Diffusion;

namespace FashionFlow.App.Commands;

/// <summary>The main command.</summary>
internal static class GenerateCommand
{
    /// <summary>The command.</summary>
    public static Command Create(Screen screen, CancellationToken cancellation)
    {
        var picture = new Argument<string>("PICTURE") { Description = "A JPEG, PNG, WebP, BMP or GIF file. It is resized to the model's size." };
        var output = new Option<string>("--output", "-o") { Description = "The video to write; a file of that name is replaced.", HelpName = "OUT.mp4", Required = true };
        output.Validators.Add(result =>
        {
            if (result.Tokens is [var token] && !token.Value.EndsWith(".mp4", StringComparison.OrdinalIgnoreCase))
            {
                result.AddError($"--output must end in .mp4, not '{token.Value}'");
            }
        });
        var model = new Option<string?>("--model", "-m") { Description = "The model's folder: config.json and safetensors files. Default: the demo model.", HelpName = "DIR" };
        var steps = CommonOptions.Count("--steps", "N", "Denoising steps. Default: the model's, else 1000 for ddpm and 50 for ddim.", 1, 1_000_000);
        var sampler = CommonOptions.Choice("--sampler", "How the video is denoised. Default: ddpm, the reference's; ddim needs fewer steps.", "ddpm", "ddim");
        var seed = CommonOptions.Seed();
        var frames = CommonOptions.Count("--frames", "F", "Frames of the video; the full-size model needs an even number. Default: the model's.", 1, 100_000);
        var fps = CommonOptions.Positive("--fps", "R", "Frames a second. Default: the model's.", 1000);
        var device = CommonOptions.Device();
        var compat = CommonOptions.Choice(
            "--compat",
            "fashionflow: as the reference does it, oddities included, for its released weights (default); fixed: without them, for newly trained ones.",
            "fashionflow",
            "fixed");
        var command = new WithExamples(
            "generate",
            "Make a video of a picture.",
            "generate dress.jpg -o dress.mp4",
            "generate dress.jpg -o dress.mp4 --model models/full --sampler ddim --steps 50 --seed 7",
            "generate dress.jpg -o dress.mp4 --frames 16 --fps 8 --device virtual")
        {
            picture, output, model, steps, sampler, seed, frames, fps, device, compat,
        };
        command.SetAction(parsed =>
        {
            var source = parsed.GetRequiredValue(picture);
            var target = parsed.GetRequiredValue(output);
            var image = PictureReader.Read(source);
            var job = new VideoJob(
                parsed.GetValue(model) ?? Places.DemoModel(),
                parsed.GetRequiredValue(device),
                new GenerationOptions
                {
                    Sampler = parsed.GetValue(sampler) == "ddim" ? SamplerKind.Ddim : SamplerKind.Ddpm,
                    Steps = parsed.GetValue(steps),
                    Frames = parsed.GetValue(frames),
                    Seed = parsed.GetValue(seed),
                    Compatibility = CompatibilityOptions.Parse(parsed.GetValue(compat) ?? "fashionflow"),
                },
                parsed.GetValue(fps),
                target);
            var report = job.Run(image, screen, plan => Announce(screen, plan), cancellation);
            screen.WriteLine(Describe(target, report));
            return ExitCode.Success;
        });
        return command;
    }

    /// <summary>"blue.mp4: 16 frames of 512 x 640 at 25 fps, made in 35 s".</summary>
    public static string Describe(string path, VideoReport report) => string.Create(
        CultureInfo.InvariantCulture,
        $"{path}: {report.Frames} frames of {report.Width} x {report.Height} at {report.FramesPerSecond:0.###} fps, made in {ProgressDisplay.Duration(report.Time)}");

    private static void Announce(Screen screen, VideoPlan plan)
    {
        var o = plan.Options;
        screen.Note($"{plan.DeviceName}; {o.Sampler.ToString().ToLowerInvariant()}, {o.Steps} steps, {o.Frames} frames, seed {o.Seed}, compat {o.Compatibility.Name}");
        if (plan.Note is { } note)
        {
            screen.Note($"note: {note}");
        }
    }
}
