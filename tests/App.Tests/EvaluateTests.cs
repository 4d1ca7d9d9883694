// evaluate as a user runs it: its figures are those of the videos that generate makes with its seeds, and what cannot be used is told.
using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;
using FashionFlow.App.Evaluation;
using FashionFlow.App.Media;
using FashionFlow.Diffusion.Evaluation;
using FashionFlow.Diffusion.Preprocessing;

namespace FashionFlow.App.Tests;

[Parallelizable(ParallelScope.All)]
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class EvaluateTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public EvaluateTests()
    {
        TinyModelFolder.WriteSeeded(_folder["model"]);
        Make("v/test/a.mp4", "testsrc", 6);
        Make("v/test/b.mp4", "smptebars,hue=H=t", 4);
    }

    public void Dispose() => _folder.Dispose();

    [Test]
    public void Its_figures_are_those_of_the_video_that_generate_makes_with_the_clip_s_seed()
    {
        var result = Evaluate("-o out --steps 2 --seed 5 --clips 1 --compat fixed");
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        using var report = JsonDocument.Parse(File.ReadAllText(_folder["out/evaluation.json"]));
        var clip = report.RootElement.GetProperty("clips")[0];
        var seed = clip.GetProperty("seed").GetUInt64();
        var made = BuiltProgram.RunIn(
            _folder.Path, null, $"generate v/test/a.mp4 -o g --format png -m model -d virtual --steps 2 --compat fixed --seed {seed}".Split(' '));
        Assert.That(made.ExitCode, Is.Zero, made.Error);
        var generated = Enumerable.Range(0, 4).Select(i => PictureReader.Read(_folder[$"g/a/frame_{i:00000}.png"], 0).Image).ToList();
        var truth = new List<Rgb8Image>();
        using (var reader = new FfmpegReader(_folder["v/test/a.mp4"], CancellationToken.None))
        {
            while (truth.Count < 4 && reader.TryRead(out var frame))
            {
                truth.Add(PictureFitter.Fit(new Rgb8Image(frame.Width, frame.Height, [.. frame.Data]), 16, 24, PictureFit.Crop));
            }
        }

        var expected = VideoQuality.Compare(generated, truth, skip: 1);
        var repeated = VideoQuality.Compare([.. Enumerable.Repeat(truth[0], 4)], truth, skip: 1);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(clip.GetProperty("name").GetString(), Is.EqualTo("test/a.mp4"));
            Assert.That(clip.GetProperty("generated").GetProperty("psnr").GetDouble(), Is.EqualTo(expected.Psnr));
            Assert.That(clip.GetProperty("generated").GetProperty("ssim").GetDouble(), Is.EqualTo(expected.Ssim));
            Assert.That(clip.GetProperty("generated").GetProperty("step_ratio").GetDouble(), Is.EqualTo(expected.Step / expected.TrueStep));
            Assert.That(clip.GetProperty("repeated").GetProperty("psnr").GetDouble(), Is.EqualTo(repeated.Psnr));
            Assert.That(clip.GetProperty("gain_db").GetDouble(), Is.EqualTo(expected.Psnr - repeated.Psnr));
            Assert.That(report.RootElement.GetProperty("gallery").GetArrayLength(), Is.EqualTo(2), "the others are looked among too");
            Assert.That(report.RootElement.GetProperty("summary").GetProperty("chance").GetDouble(), Is.EqualTo(0.5));
        }
    }

    [Test]
    public void The_same_run_writes_the_same_report_and_keeps_an_earlier_one()
    {
        Assert.That(Evaluate("-o out --steps 1").ExitCode, Is.Zero);
        var first = File.ReadAllText(_folder["out/evaluation.json"]);
        Evaluate("-o out --steps 1").MustFail(5, "out/evaluation.json exists and is kept");
        Assert.That(Evaluate("-o out --steps 1 --overwrite --threads 1").ExitCode, Is.Zero);
        Assert.That(File.ReadAllText(_folder["out/evaluation.json"]), Is.EqualTo(first));
    }

    [Test]
    public void Videos_are_denoised_as_the_model_says_unless_options_say_otherwise()
    {
        var config = JsonNode.Parse(File.ReadAllText(_folder["model/config.json"]))!;
        (config["sampler"], config["steps"], config["compat"]) = ("ddim", 2, "fixed");
        File.WriteAllText(_folder["model/config.json"], config.ToJsonString());
        var said = Evaluate("-o own --clips 1").ErrorLines;
        Assert.That(said, Has.Some.EndsWith("; ddim, 2 steps, 4 frames, seed 0, compat fixed; 1 of 2 clips of split test"));
        using (var report = JsonDocument.Parse(File.ReadAllText(_folder["own/evaluation.json"])))
        {
            Assert.That(report.RootElement.GetProperty("options").GetProperty("sampler").GetString(), Is.EqualTo("ddim"));
        }

        said = Evaluate("--clips 1 --sampler ddpm --steps 1 --compat fashionflow").ErrorLines;
        Assert.That(said, Has.Some.EndsWith("; ddpm, 1 steps, 4 frames, seed 0, compat fashionflow; 1 of 2 clips of split test"));
    }

    [Test]
    public void Stopped_by_Ctrl_C_it_writes_nothing()
    {
        var before = _folder.Names;
        using var process = BuiltProgram.Start(
            _folder.Path, null, [.. "evaluate --data v -m model -d virtual -o out --sampler ddpm --steps 1000".Split(' ')]);

        // The line that names the device comes after the videos were read, and the work after it.
        string? line;
        do
        {
            line = process.StandardError.ReadLine();
        }
        while (line is not null && !line.Contains("1000 steps", StringComparison.Ordinal));

        var result = BuiltProgram.Interrupt(process);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.EqualTo(130), result.Error);
            Assert.That(result.ErrorLines[^1], Is.EqualTo("error: stopped; no file was written"));
            Assert.That(_folder.Names, Is.EqualTo(before));
        }
    }

    [Test]
    public void What_cannot_be_used_is_reported_and_left_out()
    {
        Make("v/test/c.mp4", "testsrc", 3);
        var result = Evaluate("-o out --steps 1 --json");
        var lines = result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.EqualTo(3), result.Error);
            Assert.That(lines, Has.Length.EqualTo(2));
            Assert.That(lines[0], Does.StartWith("{\"status\":\"failed\",\"clip\":\"test/c.mp4\",\"exit_code\":3,\"error\":\"v/test/c.mp4 has 3 frames, fewer than the model's 4\""));
            Assert.That(lines[1], Does.StartWith("{\"status\":\"evaluated\",\"output\":\"out/evaluation.json\",\"skipped\":1,\"summary\":{\"clips\":2,"));
        }
    }

    [Test]
    public void Seeds_depend_on_the_clip_and_the_run_s_seed_alone()
    {
        Assert.That(new[] { Evaluator.SeedOf(1, "test/b.mp4"), Evaluator.SeedOf(2, "test/a.mp4") }, Has.None.EqualTo(Evaluator.SeedOf(1, "test/a.mp4")));
    }

    [Test]
    public void A_colour_layout_holds_the_mean_of_each_field_from_the_middle_grey_on()
    {
        var picture = new Rgb8Image(16, 24);
        picture.Data[0] = 40;
        var layout = ColourLayout.Of(picture);

        // Fields of two by two pixels.
        Assert.That(layout, Has.Length.EqualTo(8 * 12 * 3));
        Assert.That((layout[0], layout[1], layout[^1]), Is.EqualTo((10 - 127.5f, -127.5f, -127.5f)));
    }

    [Test]
    public void Bins_are_round_and_hold_every_value_once()
    {
        var bins = EvaluationPlots.Histogram([-1.5, -0.1, 0, 0.4, 7.9]);
        Assert.That(bins.Sum(b => b.Value), Is.EqualTo(5));
        Assert.That(bins[0].Name, Is.EqualTo("-2 to\n-1"));
        Assert.That(EvaluationPlots.Short(["garment_01", "garment_12"]), Is.EqualTo(new[] { "01", "12" }));
    }

    private ProgramResult Evaluate(string line) => BuiltProgram.RunIn(_folder.Path, null, $"evaluate --data v -m model -d virtual {line}".Split(' '));

    private void Make(string name, string source, int frames)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(_folder[name])!);
        var (picture, filter) = source.Split(',') is [var first, var second] ? (first, second) : (source, "null");
        using var process = Process.Start(new ProcessStartInfo(
            "ffmpeg", ["-v", "error", "-y", "-nostdin", "-f", "lavfi", "-i", $"{picture}=s=32x48:r=10", "-vf", filter, "-frames:v", $"{frames}", _folder[name]]) { UseShellExecute = false })!;
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.Zero);
    }
}
