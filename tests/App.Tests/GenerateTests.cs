// generate and demo as a user runs them: the file is what it says it is, seeds repeat, and every bad input leaves nothing.
using System.Diagnostics;
using System.Runtime.Versioning;
using System.Text.Json;

namespace FashionFlow.App.Tests;

[Parallelizable(ParallelScope.All)]
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class GenerateTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Test]
    public void A_picture_becomes_a_video_and_the_same_seed_the_same_file()
    {
        TestPictures.Write(_folder["dress.jpg"], 90, 120);
        var first = Generate("a.mp4", "--seed", "7");
        var second = Generate("b.mp4", "--seed", "7");
        var other = Generate("c.mp4", "--seed", "8");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(first.ExitCode, Is.Zero, first.Error);
            Assert.That(second.ExitCode, Is.Zero, second.Error);
            Assert.That(other.ExitCode, Is.Zero, other.Error);
        }

        var (width, height) = DemoModelSize();
        Assert.That(first.Output, Does.StartWith($"a.mp4: 4 frames of {width} x {height} at 8 fps, made in "));
        Assert.That(_folder.Names, Is.EqualTo(new[] { "a.mp4", "a.mp4.json", "b.mp4", "b.mp4.json", "c.mp4", "c.mp4.json", "dress.jpg" }));
        Assert.That(
            MediaWriterTests.Probe(_folder["a.mp4"], "stream=codec_name,width,height,pix_fmt,r_frame_rate,nb_read_frames"),
            Is.EqualTo($"h264,{width},{height},yuv420p,8/1,4"));
        Assert.That(File.ReadAllBytes(_folder["a.mp4"]), Is.EqualTo(File.ReadAllBytes(_folder["b.mp4"])));
        Assert.That(MediaWriterTests.Decode(_folder["a.mp4"]), Is.Not.EqualTo(MediaWriterTests.Decode(_folder["c.mp4"])));
        Assert.That(MediaWriterTests.Probe(_folder["a.mp4"], "format_tags=comment"), Does.Contain("\"seed\"\":7,").And.Contain("\"kind\"\":\"\"virtual\"\""));
    }

    [TestCase("generate dress.jpg -o out.mp4")]
    [TestCase("demo -o new")]
    public void Without_ffmpeg_the_advice_is_how_to_install_it(string line)
    {
        Prepare();
        var before = _folder.Names;
        var result = BuiltProgram.RunIn(_folder.Path, new() { ["PATH"] = _folder.Path }, line.Split(' '));
        result.MustFail(5, "ffmpeg was not found");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ErrorLines[1], Is.EqualTo("install it: sudo apt-get install -y ffmpeg"));
            Assert.That(_folder.Names, Is.EqualTo(before));
        }
    }

    [Test]
    [UnsupportedOSPlatform("windows")]
    public void What_ffmpeg_says_when_it_fails_is_shown()
    {
        Prepare();
        Directory.CreateDirectory(_folder["bin"]);
        File.WriteAllText(_folder["bin/ffmpeg"], "#!/bin/sh\necho 'Unknown encoder libx264' >&2\nexit 1\n");
        File.SetUnixFileMode(_folder["bin/ffmpeg"], UnixFileMode.UserRead | UnixFileMode.UserExecute | UnixFileMode.UserWrite);
        var before = _folder.Names;
        var result = BuiltProgram.RunIn(
            _folder.Path, new() { ["PATH"] = $"{_folder["bin"]}:/usr/bin:/bin" },
            "generate", "dress.jpg", "-o", "out.mp4", "--frames", "2", "--steps", "1", "--sampler", "ddim", "--device", "virtual");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.EqualTo(5));
            Assert.That(result.ErrorLines[^2], Is.EqualTo("error: ffmpeg could not write out.mp4: Unknown encoder libx264"));
            Assert.That(result.Output, Is.Empty);
            Assert.That(_folder.Names, Is.EqualTo(before.Append("out.mp4.latents").Order(StringComparer.Ordinal)));
        }
    }

    [Test]
    public void Ctrl_C_stops_it_and_leaves_nothing_unfinished()
    {
        Prepare();
        var before = _folder.Names;
        using var process = BuiltProgram.Start(
            _folder.Path, null, "generate", "dress.jpg", "-o", "out.mp4", "--frames", "2", "--steps", "1000", "--device", "virtual");
        // The line that names the device comes before the work.
        var started = process.StandardError.ReadLine();
        Assert.That(started, Does.Contain("1000 steps"));
        var result = BuiltProgram.Interrupt(process);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.EqualTo(130), result.Error);

            // Whether the first step was done by then is a race; ResumeTests looks at what it leaves.
            var latents = _folder.Names.Contains("out.mp4.latents");
            Assert.That(result.Error, Does.Contain(latents ? "error: stopped; written before that: out.mp4.latents\n" : "error: stopped; no file was written\n"));
            Assert.That(_folder.Names.Where(name => name != "out.mp4.latents"), Is.EqualTo(before));
        }
    }

    [Test]
    public void The_demo_writes_a_picture_and_a_video_and_says_what_it_is()
    {
        var result = BuiltProgram.RunIn(_folder.Path, null, "demo", "-o", "out", "--steps", "3", "--device", "virtual");
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        var (width, height) = DemoModelSize();
        using (Assert.EnterMultipleScope())
        {
            Assert.That(
                Directory.GetFiles(_folder["out"]).Select(Path.GetFileName).Order(StringComparer.Ordinal),
                Is.EqualTo(new[] { "demo.mp4", "demo.mp4.json", "demo.png", "demo.sheet.png" }));
            Assert.That(result.Output, Does.Contain("Trained on drawn figures alone").And.Contain("sm_80"));
            Assert.That(result.Output, Does.Contain($"frames of {width} x {height}"));
        }

        var frames = DemoModel().GetProperty("frames").GetInt32();
        Assert.That(MediaWriterTests.Probe(_folder["out/demo.mp4"], "stream=width,height,nb_read_frames"), Is.EqualTo($"{width},{height},{frames}"));
    }

    [Test]
    public void In_a_pipe_progress_is_plain_lines_on_standard_error()
    {
        TestPictures.Write(_folder["dress.jpg"]);
        var result = Generate("a.mp4", "--sampler", "ddim");
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.Error, Does.Not.Contain("\u001b"));
            Assert.That(result.ErrorLines[0], Does.EndWith("; ddim, 2 steps, 4 frames, seed 0, compat fixed"));
            Assert.That(result.Error, Does.Match("encode picture: .* s, peak \\d+ MiB\nsample video: 2 steps in .* s, peak \\d+ MiB\ndecode frames: 4 frames in .* s, peak \\d+ MiB\n$"));
            Assert.That(result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries), Has.Length.EqualTo(1));
        }
    }

    [TestCase("", "; ddim, 3 steps, 4 frames, seed 0, compat fixed", "ddim", 3, "fixed", "crop")]
    [TestCase("--sampler ddim --compat fashionflow,clip-rescaling=fixed", "; ddim, 3 steps, 4 frames, seed 0, compat fashionflow,clip-rescaling=fixed", "ddim", 3, "fashionflow,clip-rescaling=fixed", "stretch")]
    [TestCase("--sampler ddim --compat fashionflow", "; ddim, 3 steps, 4 frames, seed 0, compat fashionflow", "ddim", 3, "fashionflow", "stretch")]
    [TestCase("--sampler ddpm --steps 2", "; ddpm, 2 steps, 4 frames, seed 0, compat fixed", "ddpm", 2, "fixed", "crop")]
    public void A_model_names_its_sampler_and_mode_and_options_come_first(string line, string said, string sampler, int steps, string compat, string fit)
    {
        Prepare();
        Directory.CreateDirectory(_folder["model"]);
        var json = System.Text.Json.Nodes.JsonNode.Parse(TinyModel.Json)!;
        (json["seed"], json["sampler"], json["steps"], json["compat"]) = (5, "ddim", 3, "fixed");
        File.WriteAllText(_folder["model/config.json"], json.ToJsonString());
        var result = BuiltProgram.RunIn(
            _folder.Path, null, [.. "generate dress.jpg -o a.mp4 -m model -d virtual".Split(' '), .. line.Split(' ', StringSplitOptions.RemoveEmptyEntries)]);
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        Assert.That(result.ErrorLines[0], Does.EndWith(said));
        var recipe = JsonDocument.Parse(File.ReadAllText(_folder["a.mp4.json"])).RootElement.GetProperty("recipe");
        var options = recipe.GetProperty("options");
        Assert.That(
            (options.GetProperty("sampler").GetString(), options.GetProperty("steps").GetInt32(), recipe.GetProperty("compat").GetProperty("name").GetString(), options.GetProperty("fit").GetString()),
            Is.EqualTo((sampler, steps, compat, fit)));
    }

    private ProgramResult Generate(string output, params string[] options) => BuiltProgram.RunIn(
        _folder.Path, null,
        ["generate", "dress.jpg", "-o", output, "--frames", "4", "--steps", "2", "--fps", "8", "--compat", "fixed", "--device", "virtual", .. options]);

    private void Prepare() => TestPictures.Write(_folder["dress.jpg"], 200, 240);

    private static JsonElement DemoModel() =>
        JsonDocument.Parse(File.ReadAllText(Path.Combine(Places.DemoModel(), "config.json"))).RootElement;

    private static (int Width, int Height) DemoModelSize()
    {
        var picture = DemoModel().GetProperty("picture");
        return (picture.GetProperty("width").GetInt32(), picture.GetProperty("height").GetInt32());
    }
}
