// A video that is stopped, killed or cannot be written is not lost: it goes on from its latents to the same bytes.
using System.Text.Json;
using FashionFlow.App.Generation;
using FashionFlow.App.Media;
using FashionFlow.Gpu;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.App.Tests;

[Parallelizable(ParallelScope.All)]
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class ResumeTests : IDisposable
{
    private const int Steps = 12;

    // So many frames that a step and the decoding take long enough to be met.
    private const string Line = "generate dress.jpg -o out.mp4 -m tiny -d virtual --frames 64 --steps 12";

    private readonly TemporaryFolder _folder = new();

    public ResumeTests()
    {
        TestPictures.Write(_folder["dress.jpg"], 60, 80);
        TinyModelFolder.WriteSeeded(_folder["tiny"]);
    }

    public void Dispose() => _folder.Dispose();

    // The steps behind which the process is killed; behind the last one it decodes.
    [TestCase("--sampler dpmpp --spacing karras", new[] { 1, 7, Steps })]
    [TestCase("--sampler ddpm", new[] { 2, Steps })]
    [TestCase("--sampler ddim --eta 0.5", new[] { 5 })]
    public void A_killed_video_goes_on_to_the_same_bytes(string sampler, int[] kills) => KillAndGoOn(sampler, kills);

    [TestCase("--sampler dpmpp")]
    [TestCase("--sampler ddpm")]
    [TestCase("--sampler euler --spacing trailing")]
    [Category("Long")]
    public void Ten_kills_change_no_byte(string sampler) => KillAndGoOn(sampler, [1, 2, 3, 4, 6, 7, 9, 10, Steps, Steps]);

    [Test]
    public void Ctrl_C_leaves_the_latents_and_says_how_to_go_on()
    {
        var whole = Whole(string.Empty);
        using (var process = Start($"{Line} --checkpoint-every 1"))
        {
            WaitForStep(process, 2);
            var stopped = BuiltProgram.Interrupt(process);
            using (Assert.EnterMultipleScope())
            {
                Assert.That(stopped.ExitCode, Is.EqualTo(130), stopped.Error);
                Assert.That(stopped.ErrorLines[^2..], Is.EqualTo(new[] { "error: stopped; written before that: out.mp4.latents", "go on with: fashionflow generate --resume out.mp4.latents" }));
                Assert.That(_folder.Names, Is.EqualTo(new[] { "dress.jpg", "out.mp4.latents", "tiny", "whole.mp4", "whole.mp4.json" }));
            }
        }

        Run(Line).MustFail(5, "out.mp4.latents exists: an earlier run did not end");
        File.WriteAllText(_folder["out.mp4"], "mine");
        Run("generate --resume out.mp4.latents").MustFail(5, "out.mp4 exists and is kept");
        Run("generate --resume out.mp4.latents -o out.avi").MustFail(2, "--output must end in .mp4, .gif or .webm, not 'out.avi'");
        File.Copy(_folder["out.mp4.latents"], _folder["copy.latents"]);
        var elsewhere = Run("generate --resume copy.latents -o other.mp4 --contact-sheet");
        Assert.That(elsewhere.ExitCode, Is.Zero, elsewhere.Error);
        Assert.That(File.ReadAllBytes(_folder["other.mp4"]), Is.EqualTo(whole));
        Assert.That(_folder.Names, Does.Contain("other.sheet.png").And.Not.Contain("copy.latents"));
        var result = Run("generate --resume out.mp4.latents --overwrite");
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        Assert.That(result.ErrorLines[0], Does.Match("; out.mp4.latents goes on behind step \\d+ of 12$"));
        Assert.That(File.ReadAllBytes(_folder["out.mp4"]), Is.EqualTo(whole));
        Assert.That(_folder.Names, Does.Not.Contain("out.mp4.latents"));
    }

    [Test]
    public void What_was_sampled_is_there_when_ffmpeg_fails()
    {
        var whole = Whole(string.Empty);
        Directory.CreateDirectory(_folder["bin"]);
        var fake = _folder["bin/ffmpeg"];
        File.WriteAllText(fake, "#!/bin/sh\ncase \"$*\" in *-version) echo \"ffmpeg version 0\"; exit 0;; esac\necho 'no luck' >&2\nexit 1\n");
        BuiltProgram.Shell(_folder.Path, "chmod +x bin/ffmpeg");
        var failed = BuiltProgram.RunIn(_folder.Path, new() { ["PATH"] = $"{_folder["bin"]}:/usr/bin:/bin" }, Line.Split(' '));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(failed.ExitCode, Is.EqualTo(5));
            failed.MustHaveSaid("ffmpeg could not write out.mp4: no luck");
            Assert.That(failed.ErrorLines[^1], Is.EqualTo("go on with: fashionflow generate --resume out.mp4.latents"));
        }

        File.Move(_folder["out.mp4.latents"], _folder["it's.latents"]);
        var result = Run("decode it's.latents -o again.mp4");
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        Assert.That(File.ReadAllBytes(_folder["again.mp4"]), Is.EqualTo(whole));
        Assert.That(File.Exists(_folder["it's.latents"]), Is.True, "decode leaves them");
    }

    [Test]
    public void Kept_latents_become_other_forms_of_the_video_that_are_verified()
    {
        const string Short = "generate dress.jpg -m tiny -d virtual --steps 2 --keep-latents";
        Assert.That(Run($"{Short} -o out.mp4 --json").Output, Does.Contain("\"latents\":\"out.mp4.latents\""));
        Assert.That(Run($"{Short} -o direct.gif").ExitCode, Is.Zero);
        var gif = Run("decode out.mp4.latents -o out.gif");
        var frames = Run("decode out.mp4.latents -o frames/ --format png --contact-sheet --fps 3");
        using (Assert.EnterMultipleScope())
        {
            Assert.That((gif.ExitCode, frames.ExitCode), Is.EqualTo((0, 0)), gif.Error + frames.Error);
            Assert.That(File.ReadAllBytes(_folder["out.gif"]), Is.EqualTo(File.ReadAllBytes(_folder["direct.gif"])));
            Assert.That(File.ReadAllBytes(_folder["out.mp4.latents"]).Length, Is.EqualTo(File.ReadAllBytes(_folder["direct.gif.latents"]).Length));
            Assert.That(frames.Output, Does.StartWith("frames: 4 frames of 16 x 24 at 3 fps"));
            Assert.That(File.Exists(_folder["frames.sheet.png"]), Is.True);
            Assert.That(Run("verify out.mp4 out.gif frames").ExitCode, Is.Zero);
        }
    }

    [Test]
    public void A_preview_shows_up_to_four_frames_of_what_the_video_will_be()
    {
        Assert.That(Run("generate dress.jpg -o out.mp4 -m tiny -d virtual --frames 6 --steps 3 --sampler ddim --preview 3").ExitCode, Is.Zero);
        var strip = PictureReader.Read(_folder["out.preview.png"]).Image;
        Assert.That((strip.Width, strip.Height), Is.EqualTo(((4 * (16 + 4)) - 4, 24)));

        // The last step of DDIM ends at what it believes in, so the preview behind it is the video.
        var sheet = Run("generate dress.jpg -o out -m tiny -d virtual --frames 6 --steps 3 --sampler ddim --format png");
        Assert.That(sheet.ExitCode, Is.Zero, sheet.Error);
        foreach (var (column, frame) in new[] { (0, 0), (1, 1), (2, 3), (3, 5) })
        {
            var expected = PictureReader.Read(_folder[$"out/dress/frame_{frame:00000}.png"]).Image;
            var most = Enumerable.Range(0, 24).Max(y => Enumerable.Range(0, 16 * 3).Max(x => Math.Abs(strip.Row(y)[(column * 20 * 3) + x] - expected.Row(y)[x])));
            Assert.That(most, Is.LessThanOrEqualTo(1), $"frame {frame}: the two ways round differently");
        }

        Run("generate dress.jpg -o new.mp4 -m tiny -d virtual --preview 0").MustFail(2, "--preview must be a whole number from 1 to 1000000, not '0'");
        File.WriteAllText(_folder["new.preview.png"], "mine");
        Run("generate dress.jpg -o new.mp4 -m tiny -d virtual --preview 1").MustFail(5, "new.preview.png exists and is kept");
    }

    [TestCase("unet.safetensors", "downs.0.1.0.block1.project.spatial_conv.weight", "step 1 of 2, unet.downs.0.1.0.block1.project: PseudoConv3d gave a value that is infinite or no number; it came from ")]
    [TestCase("vae.safetensors", "decoder.conv_in.weight", "frame 0, vae.decoder.conv_in: Conv2d gave a value that is infinite or no number; it came from ")]
    [TestCase("clip.safetensors", "vision_model.pre_layrnorm.weight", "the picture, clip.vision_model.pre_layrnorm: LayerNorm gave a value that is infinite or no number; it came from ")]
    public void The_first_value_that_is_no_number_is_named(string file, string tensor, string message)
    {
        TinyModelFolder.WriteFiles(_folder["broken"]);
        using (var weights = SafetensorsFile.Open(_folder[$"broken/{file}"]))
        {
            var changed = weights.Tensors.Select(t => new SafetensorsTensor(t.Key, t.Value.Shape, t.Key == tensor ? [.. weights.ReadFloat32(t.Key).Select((v, i) => i == 0 ? float.NaN : v)] : weights.ReadFloat32(t.Key))).ToList();
            SafetensorsWriter.Write(_folder["changed"], changed, weights.Metadata);
        }

        File.Move(_folder["changed"], _folder[$"broken/{file}"], overwrite: true);
        var result = Run("generate dress.jpg -o out.mp4 -m broken -d virtual --steps 2 --debug-finite");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.EqualTo(1));
            result.MustHaveSaid(message);
            Assert.That(File.Exists(_folder["out.mp4"]), Is.False);
        }
    }

    [Test]
    public void Latents_that_do_not_fit_are_refused()
    {
        using (var process = Start($"{Line} --checkpoint-every 1 --sampler dpmpp"))
        {
            WaitForStep(process, 2);
            process.Kill();
            process.WaitForExit();
        }

        var good = File.ReadAllBytes(_folder["out.mp4.latents"]);
        Run("decode out.mp4.latents -o a.mp4").MustFail(3, "of 12: there is nothing to decode yet");
        File.WriteAllBytes(_folder["cut.latents"], good[..^100]);
        Run("generate --resume cut.latents").MustFail(3, "cut.latents");
        Write("other.latents", (_, m) => m["format"] = "pt");
        Run("generate --resume other.latents").MustFail(3, "other.latents does not hold a video in the making");
        Write("old.latents", (_, m) => m["format_version"] = "0");
        Run("generate --resume old.latents").MustFail(3, "old.latents is damaged: its version is \"0\", and this program reads 1");
        Write("many.latents", (_, m) => m["steps_done"] = "13");
        Run("generate --resume many.latents").MustFail(3, "many.latents is damaged: \"13\" steps of 12 are done");
        Write("recipe.latents", (_, m) => m["recipe"] = "{}");
        Run("generate --resume recipe.latents").MustFail(3, "recipe.latents is damaged: its recipe cannot be read");
        Write("nowhere.latents", (_, m) => m["output"] = "[]");
        Run("generate --resume nowhere.latents").MustFail(3, "nowhere.latents is damaged: its output cannot be read");
        Write("forgets.latents", (t, _) => t.Remove("memory"));
        Run("generate --resume forgets.latents").MustFail(3, "forgets.latents is damaged: tensor \"memory\" is missing");
        Write("blind.latents", (t, _) => t.Remove("conditioning"));
        Run("generate --resume blind.latents").MustFail(3, "blind.latents is damaged: tensor \"conditioning\" is missing or not of Float32");
        File.WriteAllText(_folder["tiny/config.json"], File.ReadAllText(_folder["tiny/config.json"]).Replace("\"seed\": 5", "\"seed\": 6", StringComparison.Ordinal));
        Run("generate --resume out.mp4.latents").MustFail(3, "config.json of the model is not the one that out.mp4.latents was begun with");
        Directory.Delete(_folder["tiny"], recursive: true);
        Run("generate --resume out.mp4.latents").MustFail(3, "the model \"tiny\", which out.mp4.latents was made with, is not there");
        Assert.That(File.ReadAllBytes(_folder["out.mp4.latents"]), Is.EqualTo(good));
        Assert.That(_folder.Names.Where(n => n.EndsWith(".mp4", StringComparison.Ordinal)), Is.Empty);

        void Write(string name, Action<Dictionary<string, SafetensorsTensor>, Dictionary<string, string>> change)
        {
            using var file = SafetensorsFile.Open(_folder["out.mp4.latents"]);
            var tensors = file.Tensors.ToDictionary(t => t.Key, t => new SafetensorsTensor(t.Key, t.Value.Shape, file.ReadFloat32(t.Key)));
            var metadata = file.Metadata.ToDictionary();
            change(tensors, metadata);
            SafetensorsWriter.Write(_folder[name], tensors.Values, metadata);
        }
    }

    private void KillAndGoOn(string sampler, int[] kills)
    {
        var whole = Whole(sampler);
        var next = $"{Line} {sampler} --checkpoint-every 1";
        foreach (var step in kills)
        {
            using var process = Start(next);
            WaitForStep(process, step);
            process.Kill();
            process.WaitForExit();
            if (File.Exists(_folder["out.mp4"]))
            {
                // The decoding was done before the kill came: a run that ends leaves no latents.
                break;
            }

            next = "generate --resume out.mp4.latents";
        }

        if (!File.Exists(_folder["out.mp4"]))
        {
            var result = Run("generate --resume out.mp4.latents");
            Assert.That(result.ExitCode, Is.Zero, result.Error);
        }

        using (Assert.EnterMultipleScope())
        {
            Assert.That(File.ReadAllBytes(_folder["out.mp4"]), Is.EqualTo(whole));
            Assert.That(WorkFolder.List(_folder), Is.EqualTo(new[] { "dress.jpg", "out.mp4", "out.mp4.json", "tiny/config.json", "whole.mp4", "whole.mp4.json" }));
            Assert.That(JsonDocument.Parse(File.ReadAllText(_folder["out.mp4.json"])).RootElement.GetProperty("paths").GetProperty("input").GetString(), Is.EqualTo(_folder["dress.jpg"]));
        }
    }

    // What a run that nobody disturbs gives.
    private byte[] Whole(string sampler)
    {
        var result = Run($"{Line.Replace("out.mp4", "whole.mp4", StringComparison.Ordinal)} {sampler}".TrimEnd());
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        return File.ReadAllBytes(_folder["whole.mp4"]);
    }

    private void WaitForStep(System.Diagnostics.Process process, int step)
    {
        while (!process.HasExited && StepsDone() < step)
        {
            Thread.Sleep(5);
        }
    }

    private int StepsDone() => File.Exists(_folder["out.mp4.latents"]) ? SavedLatents.Open(_folder["out.mp4.latents"]).StepsDone : 0;

    private System.Diagnostics.Process Start(string line) => BuiltProgram.Start(_folder.Path, null, line.Split(' ', StringSplitOptions.RemoveEmptyEntries));

    private ProgramResult Run(string line) => BuiltProgram.RunIn(_folder.Path, null, line.Split(' ', StringSplitOptions.RemoveEmptyEntries));
}
