// train as a user runs it: what is in the run's folder, how a run is stopped and gone on with, and what is refused on the way.
using System.Diagnostics;
using System.Text.Json;
using FashionFlow.App.Tests.Training;
using FashionFlow.Gpu;
using FashionFlow.Tensors.Weights;
using SkiaSharp;

namespace FashionFlow.App.Tests;

[Parallelizable(ParallelScope.All)]
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class TrainTests : IDisposable
{
    // Everything that steps depend on, so that a run that goes on needs to say nothing of it.
    private const string Start = "--data latents -m model --batch 2 --warmup 2 --learning-rate 1e-3 --sample-every 0";

    private readonly TemporaryFolder _folder = new();

    public TrainTests() => TrainFolder.Prepare(_folder);

    public void Dispose() => _folder.Dispose();

    [Test]
    public void A_run_leaves_its_settings_checkpoints_curves_samples_and_a_model_that_makes_videos()
    {
        var result = Train("-o run --data latents -m model --steps 4 --checkpoint-every 1 --keep 2 --log-every 2 --sample-every 2 --sample-steps 2");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.Zero, result.Error);
            Assert.That(result.Output, Is.EqualTo("run/model: finished after 4 steps\n"));
            Assert.That(result.ErrorLines[0], Does.Match(@"; denoiser with [\d,]+ parameters, batch 2, rate constant:0.0001, compat fixed$"));
            Assert.That(result.ErrorLines[1], Is.EqualTo("starts; 4 steps, a checkpoint every 1"));
            Assert.That(List("run"), Is.EqualTo(new[] { "checkpoints", "curves.png", "events", "model", "run.lock", "run.pid", "samples", "training.json" }));
            Assert.That(List("run/checkpoints"), Is.EqualTo(new[] { "step-00000003", "step-00000004" }));
            Assert.That(List("run/checkpoints/step-00000004"), Is.EqualTo(new[] { "adapter.safetensors", "average.safetensors", "manifest.json", "optimizer.safetensors", "state.json", "unet.safetensors" }));
            Assert.That(List("run/samples"), Is.EqualTo(new[] { "step-00000002.gif", "step-00000002.mp4", "step-00000004.gif", "step-00000004.mp4" }));
            Assert.That(List("run/model"), Is.EqualTo(new[] { "adapter.safetensors", "clip.safetensors", "config.json", "unet.safetensors", "vae.safetensors" }));
            Assert.That(File.ReadAllBytes(_folder["run/model/vae.safetensors"]), Is.EqualTo(File.ReadAllBytes(_folder["model/vae.safetensors"])), "what was not trained is as it was");
            Assert.That(File.ReadAllBytes(_folder["run/model/unet.safetensors"]), Is.Not.EqualTo(File.ReadAllBytes(_folder["run/checkpoints/step-00000004/unet.safetensors"])), "the model is the average");
        }

        var events = Events("run").Single();
        AssertCurves(events);
        AssertMovingPicture(events.SelectMany(e => e.Values).Last(v => v.Tag == "sample/video").Image!.Encoded);

        var made = BuiltProgram.RunIn(_folder.Path, null, "generate", "run/samples/step-00000004.gif", "-o", "made.mp4", "-m", "run/model", "--steps", "2", "-d", "virtual");
        Assert.That(made.ExitCode, Is.Zero, made.Error);
        Assert.That(made.Output, Does.StartWith("made.mp4: 4 frames of 16 x 24"));
    }

    [Test]
    public void A_run_that_is_gone_on_with_has_every_bit_of_one_that_was_not_stopped()
    {
        Assert.That(Train($"-o whole {Start} --steps 5").ExitCode, Is.Zero);
        Assert.That(Train($"-o run {Start} --steps 3 --checkpoint-every 2").ExitCode, Is.Zero);

        // From elsewhere, by another path, with other intervals and more steps: nothing of that decides results.
        Directory.CreateDirectory(_folder["elsewhere"]);
        var result = BuiltProgram.RunIn(_folder["elsewhere"], null, "train -o ../run --resume --data ../latents --model ../model --steps 5 --checkpoint-every 1 --keep 9 -d virtual --threads 1".Split(' '));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.Zero, result.Error);
            Assert.That(result.ErrorLines[1], Is.EqualTo("goes on after step 3 of 5"));
            Assert.That(List("run/checkpoints"), Is.EqualTo(new[] { "step-00000002", "step-00000003", "step-00000004", "step-00000005" }));
            AssertSameState("run", "whole", 5);
        }

        // Once more is nothing but the model anew; latents and model may have moved.
        var model = File.ReadAllBytes(_folder["run/model/unet.safetensors"]);
        Directory.Delete(_folder["run/model"], recursive: true);
        Directory.Move(_folder["latents"], _folder["moved"]);
        Directory.Move(_folder["model"], _folder["moved/model"]);
        var again = Train("-o run --resume --data moved --model moved/model");
        Assert.That(again.ExitCode, Is.Zero, again.Error);
        Assert.That(File.ReadAllBytes(_folder["run/model/unet.safetensors"]), Is.EqualTo(model));
        Assert.That(Setting("run", "steps"), Is.EqualTo("5"));
    }

    [Test]
    public void A_damaged_checkpoint_is_told_and_the_one_before_it_taken()
    {
        Assert.That(Train($"-o whole {Start} --steps 4").ExitCode, Is.Zero);
        Assert.That(Train($"-o run {Start} --steps 4 --checkpoint-every 2").ExitCode, Is.Zero);
        var file = _folder["run/checkpoints/step-00000004/optimizer.safetensors"];
        File.WriteAllBytes(file, File.ReadAllBytes(file)[..^3]);
        var result = Train("-o run --resume");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.Zero, result.Error);
            Assert.That(result.Error, Does.Contain("run/checkpoints/step-00000004 is passed over: optimizer.safetensors is not what manifest.json says").And.Contain("goes on after step 2 of 4"));
            AssertSameState("run", "whole", 4);
        }
    }

    [TestCase("INT", 130)]
    [TestCase("TERM", 143)]
    public void A_signal_lets_the_step_finish_and_saves_it(string signal, int exitCode)
    {
        using var process = BuiltProgram.Start(_folder.Path, null, $"train -o run {Start} --steps 100000 --log-every 1 --json -d virtual".Split(' '));
        Assert.That(process.StandardOutput.ReadLine(), Does.StartWith("{\"step\":1,\"loss\":"));
        Signal(process, signal);
        var result = BuiltProgram.Wait(process);
        var step = JsonDocument.Parse(result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).LastOrDefault() ?? "{\"step\":1}").RootElement.GetProperty("step").GetInt64();
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.EqualTo(exitCode), result.Error);
            Assert.That(result.Error, Does.Contain($"step {step} is finished and saved; go on with --resume\n"));
            Assert.That(List("run/checkpoints"), Is.EqualTo(new[] { $"step-{step:00000000}" }));
        }

        Assert.That(Train($"-o run --resume --steps {step + 1}").Error, Does.Contain($"goes on after step {step} of {step + 1}"));
        Assert.That(Train($"-o whole {Start} --steps {step + 1}").ExitCode, Is.Zero);
        AssertSameState("run", "whole", step + 1);
    }

    [Test]
    public void One_process_at_a_time_works_in_a_run()
    {
        using var process = BuiltProgram.Start(_folder.Path, null, $"train -o run {Start} --steps 100000 --log-every 1 --json -d virtual".Split(' '));
        Assert.That(process.StandardOutput.ReadLine(), Does.StartWith("{\"step\":1,"));
        Train("-o run --resume").MustFail(5, $"run: another process trains in this folder (process {process.Id}); wait for it or give another folder");
        process.Kill();
        BuiltProgram.Wait(process);
        Assert.That(Train("-o run --resume --steps 1").ExitCode, Is.Zero, "a killed process holds nothing");
    }

    [Test]
    public void What_decides_results_must_stay()
    {
        Assert.That(Train($"-o run {Start} --steps 3 --decay cosine --resume").ExitCode, Is.Zero, "an empty folder starts afresh");
        Train($"-o run {Start} --steps 2").MustFail(5, "run holds a training already");
        foreach (var (option, message) in new[]
        {
            ("--batch 3", "batch = 2, not 3"), ("--seed 1", "seed = 0, not 1"), ("--learning-rate 0.01", "learning_rate = 0.001, not 0.01"),
            ("--part vae", "part = denoiser, not vae"), ("--frames 2", "frames = none, not 2"), ("--average 0", "average = 0.999, not 0"),
            ("--steps 4", "steps = 3, not 4"), ("--compat fashionflow", "compat = fixed, not fashionflow"),
        })
        {
            Train($"-o run --resume {option}").MustFail(2, $"run was started with {message}");
        }

        File.AppendAllText(_folder["latents/dataset.json"], " ");
        Train("-o run --resume").MustFail(3, $"the latents in {_folder["latents"]} are not those that the training was started on");
        File.WriteAllText(_folder["latents/dataset.json"], File.ReadAllText(_folder["latents/dataset.json"])[..^1]);
        var bytes = File.ReadAllBytes(_folder["model/vae.safetensors"]);
        bytes[^4] ^= 1;
        File.WriteAllBytes(_folder["model/vae.safetensors"], bytes);
        Train("-o run --resume").MustFail(3, $"the model in {_folder["model"]} is not the one that the training was started from");
    }

    [Test]
    public void Settings_come_from_a_file_and_options_win_over_it()
    {
        File.WriteAllText(_folder["train.json"], "{ \"data\": \"latents\", \"model\": \"model\", \"steps\": 3, \"batch\": 3, /* small */ \"sample_every\": 0, \"recompute\": true, }");
        Assert.That(Train("-o run --config train.json --steps 2").ExitCode, Is.Zero);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(Setting("run", "steps"), Is.EqualTo("2"));
            Assert.That(Setting("run", "batch"), Is.EqualTo("3"));
            Assert.That(Setting("run", "recompute"), Is.EqualTo("true"));
            Assert.That(Setting("run", "data"), Is.EqualTo(_folder["latents"]));
            Assert.That(List("run/checkpoints"), Is.EqualTo(new[] { "step-00000002" }));
        }

        // Another run's record is a configuration too.
        Assert.That(Train("-o other --config run/training.json").ExitCode, Is.Zero);
        AssertSameState("other", "run", 2);
    }

    [TestCase("vae", "--crop 8 --batch 3", "vae.safetensors")]
    [TestCase("encoder", "--batch 3", "clip.safetensors")]
    public void The_other_parts_are_trained_on_videos(string part, string options, string file)
    {
        var result = Train($"-o run --part {part} --data videos -m model --steps 2 {options}");
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        Assert.That(Train($"-o whole --part {part} --data videos -m model --steps 3 {options}").ExitCode, Is.Zero);
        Assert.That(Train("-o run --resume --steps 3").ExitCode, Is.Zero);
        AssertSameState("run", "whole", 3, file);
        using (Assert.EnterMultipleScope())
        {
            foreach (var name in new[] { "adapter", "clip", "unet", "vae" }.Select(n => $"{n}.safetensors"))
            {
                Assert.That(File.ReadAllBytes(_folder[$"run/model/{name}"]).SequenceEqual(File.ReadAllBytes(_folder[$"model/{name}"])), Is.EqualTo(name != file), name);
            }

            var configuration = JsonDocument.Parse(File.ReadAllText(_folder["run/model/config.json"])).RootElement;
            Assert.That(configuration.GetProperty("vae").TryGetProperty("scaling_factor", out _), Is.EqualTo(part == "vae"), "new latents have another scale");
        }

        Train("-o run --resume --data latents").MustFail(2, $"run was started with data = {_folder["videos"]}, not {_folder["latents"]}");
    }

    [Test]
    public void A_model_of_half_the_size_is_the_other_rounded()
    {
        Assert.That(Train($"-o run {Start} --steps 1").ExitCode, Is.Zero);
        var (full, half) = (Weights(), Weights(() => Assert.That(Train("-o run --resume --dtype f16").ExitCode, Is.Zero)));
        Assert.That(half.Select(w => (w.Name, w.Type)), Is.EqualTo(full.Select(w => (w.Name, DType.Float16))));
        Assert.That(half.SelectMany(w => w.Values), Is.EqualTo(full.SelectMany(w => w.Values).Select(v => (float)(Half)v)));
        var made = BuiltProgram.RunIn(_folder.Path, null, "generate", "videos/test/d.mp4", "-o", "made.mp4", "-m", "run/model", "--steps", "1", "-d", "virtual");
        Assert.That(made.ExitCode, Is.Zero, made.Error);

        List<(string Name, DType Type, float[] Values)> Weights(Action? before = null)
        {
            before?.Invoke();
            using var file = SafetensorsFile.Open(_folder["run/model/unet.safetensors"]);
            return [.. file.Tensors.Values.OrderBy(t => t.Name, StringComparer.Ordinal).Select(t => (t.Name, t.DType, file.ReadFloat32(t.Name)))];
        }
    }

    [Test]
    public void A_loss_that_is_no_number_is_one_clear_line_and_the_last_checkpoint_stays()
    {
        Assert.That(Train($"-o run {Start} --steps 2").ExitCode, Is.Zero);

        // A clip that has become something else under its index: a mean of infinity.
        foreach (var path in Directory.EnumerateFiles(_folder["latents/train"]))
        {
            var bytes = File.ReadAllBytes(path);
            using (var file = SafetensorsFile.Open(path))
            {
                // Behind eight bytes of length, and the header.
                var start = 8 + BitConverter.ToInt64(bytes) + file.Tensors["mean"].Offset;
                for (var at = start; at < start + file.Tensors["mean"].Length; at += 4)
                {
                    BitConverter.TryWriteBytes(bytes.AsSpan((int)at), float.PositiveInfinity);
                }
            }

            File.WriteAllBytes(path, bytes);
        }

        var result = Train("-o run --resume --steps 40");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.EqualTo(1), result.Error);
            Assert.That(result.ErrorLines.Where(l => l.StartsWith("error: ", StringComparison.Ordinal)), Has.One.Match(@"^error: step \d+: the loss is NaN: in (unet|adapter)\.\w+.* gave a value that is infinite or no number; it came from "));
            Assert.That(List("run/checkpoints"), Is.EqualTo(new[] { "step-00000002" }));
        }
    }

    private void AssertSameState(string run, string whole, long step, string file = "unet.safetensors")
    {
        var (ours, wanted) = ($"{run}/checkpoints/step-{step:00000000}", $"{whole}/checkpoints/step-{step:00000000}");
        foreach (var name in List(wanted))
        {
            Assert.That(File.ReadAllBytes(_folder[$"{ours}/{name}"]), Is.EqualTo(File.ReadAllBytes(_folder[$"{wanted}/{name}"])), name);
        }

        Assert.That(File.ReadAllBytes(_folder[$"{run}/model/{file}"]), Is.EqualTo(File.ReadAllBytes(_folder[$"{whole}/model/{file}"])));
    }

    private static void AssertCurves(IReadOnlyList<StoredEvent> events)
    {
        using (Assert.EnterMultipleScope())
        {
            foreach (var tag in new[] { "loss", "learning_rate", "gradient_norm", "epoch", "seconds_a_step" })
            {
                var curve = events.SelectMany(e => e.Values.Select(v => (e.Step, Value: v))).Where(v => v.Value.Tag == $"training/{tag}").ToList();
                Assert.That(curve.Select(v => v.Step), Is.EqualTo(new long[] { 1, 2, 4 }), tag);
                Assert.That(curve.Select(v => v.Value.Scalar), Is.All.GreaterThan(0f), tag);
            }

            Assert.That(
                events.SelectMany(e => e.Values.Where(v => v.Image is not null).Select(v => (v.Tag, e.Step))),
                Is.EqualTo(new[] { ("sample/input", 0L), ("sample/video", 2L), ("sample/video", 4L) }));
        }
    }

    private static void AssertMovingPicture(byte[] gif)
    {
        using var codec = SKCodec.Create(new MemoryStream(gif));
        Assert.That((codec.EncodedFormat, codec.FrameCount, codec.Info.Width, codec.Info.Height), Is.EqualTo((SKEncodedImageFormat.Gif, 4, 16, 24)));
        using var bitmap = new SKBitmap(codec.Info);
        for (var frame = 0; frame < 4; frame++)
        {
            Assert.That(codec.GetPixels(bitmap.Info, bitmap.GetPixels(), new SKCodecOptions(frame)), Is.EqualTo(SKCodecResult.Success));
        }
    }

    private static void Signal(Process process, string signal)
    {
        using var kill = Process.Start("kill", [$"-{signal}", $"{process.Id}"]);
        kill.WaitForExit();
    }

    private IEnumerable<List<StoredEvent>> Events(string run) =>
        Directory.EnumerateFiles(_folder[$"{run}/events"]).Order(StringComparer.Ordinal).Select(EventFileReader.Read);

    private string Setting(string run, string name) =>
        JsonDocument.Parse(File.ReadAllText(_folder[$"{run}/training.json"])).RootElement.GetProperty(name).GetRawText().Trim('"');

    private string[] List(string folder) => [.. Directory.EnumerateFileSystemEntries(_folder[folder]).Select(e => Path.GetFileName(e)).Order(StringComparer.Ordinal)];

    private ProgramResult Train(string line) => BuiltProgram.RunIn(_folder.Path, null, $"train {line} -d virtual".Split(' '));
}
