// project as a user runs it: what it makes, what it keeps, what it goes on with after it was stopped.
using System.Diagnostics;
using System.Text.Json;
using FashionFlow.App.Media;
using FashionFlow.Diffusion;
using FashionFlow.Diffusion.Training;
using FashionFlow.Tensors;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.App.Tests;

[Parallelizable(ParallelScope.All)]
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class ProjectTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public ProjectTests() => TinyModelFolder.WriteFiles(_folder["model"]);

    public void Dispose() => _folder.Dispose();

    [Test]
    public void A_folder_with_train_and_test_becomes_a_data_set_that_opens()
    {
        Make("v/train/b.mp4", 6);
        Make("v/train/a.mov", 5);
        Make("v/test/a.mp4", 4);
        Make("v/own.mkv", 7);
        File.WriteAllText(_folder["v/train/notes.txt"], "no video");
        File.WriteAllText(_folder["v/train/.hidden.mp4"], "no video either");
        var result = Project("v -o l");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.Zero, result.Error);
            Assert.That(
                result.Output,
                Does.Match("^l/own.safetensors: 7 frames, made in .*\nl/train/a.safetensors: 5 frames, made in .*\nl/train/b.safetensors: 6 .*\nl/test/a.safetensors: 4 .*\nl/dataset.json: 3 clips to train on, 1 to test on, 22 frames\n$"));
            Assert.That(result.ErrorLines[0], Does.EndWith("; frames of 16 x 24, fit crop, compat fixed, latents 12 x 8 x 4"));
            Assert.That(List("l"), Is.EqualTo(new[] { "dataset.json", "own.safetensors", "test/a.safetensors", "train/a.safetensors", "train/b.safetensors" }));
        }

        using var context = DeviceContext.Open("virtual");
        using var scope = TensorScope.Begin();
        var dataset = LatentDataset.Open(context, _folder["l"], ModelConfiguration.ForDirectory(_folder["model"]));
        Assert.That(
            dataset.Clips.Select(c => (c.Name, c.Frames, c.Fps, c.Source, c.SourceSha256)),
            Is.EqualTo(new[] { ("own", 7, "own.mkv"), ("train/a", 5, "a.mov"), ("train/b", 6, "b.mp4") }
                .Select(c => (c.Item1, c.Item2, (double?)10, c.Item3, Generation.FileHash.Compute(_folder[$"v/{Path.GetDirectoryName(c.Item1)}/{c.Item3}"])))));
        Assert.That(dataset.Batch(DatasetPosition.Start, 2).Latents.Shape, Is.EqualTo(new Shape(2, 4, 12, 8, 4)));
    }

    [Test]
    public void A_clip_holds_what_the_encoders_make_of_each_of_its_frames()
    {
        Make("v/a.mp4", 5);
        Assert.That(Project("v -o l --fit pad").ExitCode, Is.Zero);
        var (mean, logVariance, tokens) = (new List<float>(), new List<float>(), new List<float>());
        using var context = DeviceContext.Open("virtual");
        using var encoder = LatentEncoder.Load(
            context, ModelConfiguration.ForDirectory(_folder["model"]), _folder["model"], CompatibilityOptions.Fixed, Diffusion.Preprocessing.PictureFit.Pad);
        using var reader = new FfmpegReader(_folder["v/a.mp4"], CancellationToken.None);
        byte[]? first = null;
        while (reader.TryRead(out var frame))
        {
            var encoded = encoder.Encode(frame);
            first ??= encoded.Picture.Data;
            mean.AddRange(encoded.Mean);
            logVariance.AddRange(encoded.LogVariance);
            tokens.AddRange(encoded.Tokens);
        }

        using var file = SafetensorsFile.Open(_folder["l/a.safetensors"]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(file.ReadFloat32("mean"), Is.EqualTo(mean));
            Assert.That(file.ReadFloat32("log_variance"), Is.EqualTo(logVariance));
            Assert.That(file.ReadFloat32("tokens"), Is.EqualTo(tokens));
            Assert.That(file.Bytes("first_frame").ToArray(), Is.EqualTo(first));
            Assert.That(file.Metadata["program"], Does.StartWith("fashionflow "));
            Assert.That(file.Metadata["device"], Is.EqualTo("virtual sm_80"));
        }
    }

    [Test]
    public void The_mode_changes_what_CLIP_saw_and_not_the_latents()
    {
        Make("v/a.mp4", 4);
        Assert.That(Project("v -o fixed --fit stretch").ExitCode, Is.Zero);
        Assert.That(Project("v -o faithful --fit stretch --compat fashionflow").ExitCode, Is.Zero);
        using var right = SafetensorsFile.Open(_folder["fixed/a.safetensors"]);
        using var faithful = SafetensorsFile.Open(_folder["faithful/a.safetensors"]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(faithful.ReadFloat32("mean"), Is.EqualTo(right.ReadFloat32("mean")));
            Assert.That(faithful.ReadFloat32("tokens"), Is.Not.EqualTo(right.ReadFloat32("tokens")));
            Assert.That(JsonDocument.Parse(faithful.Metadata["recipe"]).RootElement.GetProperty("clip_rescaling").GetString(), Is.EqualTo("faithful"));
        }
    }

    [Test]
    public void What_is_finished_is_kept_what_is_missing_is_made_and_the_index_is_rebuilt()
    {
        Make("v/a.mp4", 4);
        Make("v/b.mp4", 5);
        Assert.That(Project("v -o l").ExitCode, Is.Zero);
        var (whole, index) = (File.ReadAllBytes(_folder["l/b.safetensors"]), File.ReadAllText(_folder["l/dataset.json"]));
        var time = File.GetLastWriteTimeUtc(_folder["l/a.safetensors"]);
        File.Delete(_folder["l/b.safetensors"]);
        File.Delete(_folder["l/dataset.json"]);
        var again = Project("v -o l --json --threads 1");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(again.ExitCode, Is.Zero, again.Error);
            Assert.That(Statuses(again), Is.EqualTo(new[] { "kept", "made", "indexed" }));
            Assert.That(File.ReadAllBytes(_folder["l/b.safetensors"]), Is.EqualTo(whole), "the same bytes on one thread");
            Assert.That(File.ReadAllText(_folder["l/dataset.json"]), Is.EqualTo(index));
            Assert.That(File.GetLastWriteTimeUtc(_folder["l/a.safetensors"]), Is.EqualTo(time));
        }

        // The videos of one batch may go when the next one comes.
        Directory.Delete(_folder["v"], recursive: true);
        Make("v/c.mp4", 4);
        Assert.That(Project("v -o l").Output, Does.EndWith("l/dataset.json: 3 clips to train on, 0 to test on, 13 frames\n"));

        // Nothing to do needs no device.
        Assert.That(BuiltProgram.RunIn(_folder.Path, null, "project", "v", "-o", "l", "-m", "model", "-d", "cuda:99").ExitCode, Is.Zero);
    }

    [Test]
    public void Another_video_in_a_clips_place_is_told_and_replaced_when_asked()
    {
        Make("v/a.mp4", 4);
        Make("v/b.mp4", 4);
        Assert.That(Project("v -o l").ExitCode, Is.Zero);
        Make("v/a.mp4", 5);
        File.WriteAllText(_folder["l/b.safetensors"], "not ours");
        var kept = Project("v -o l");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(kept.ExitCode, Is.EqualTo(5));
            kept.MustHaveSaid("l/a.safetensors exists and is kept, though it was made of another video");
            kept.MustHaveSaid("l/b.safetensors exists and is kept, though it is no clip that can be read");
            Assert.That(File.ReadAllText(_folder["l/b.safetensors"]), Is.EqualTo("not ours"));
        }

        var replaced = Project("v -o l --overwrite --json");
        Assert.That(replaced.ExitCode, Is.Zero, replaced.Error);
        Assert.That(Statuses(replaced), Is.EqualTo(new[] { "made", "made", "indexed" }));
        Assert.That(Statuses(Project("v -o l --overwrite --json")), Is.EqualTo(new[] { "kept", "kept", "indexed" }), "what is right is not made again");
    }

    [Test]
    public void Latents_of_other_options_or_another_model_are_refused_before_any_work()
    {
        Make("v/a.mp4", 4);
        Assert.That(Project("v -o l").ExitCode, Is.Zero);
        Project("v -o l --fit pad").MustFail(5, "l holds latents of another model or of other options");

        // The U-Net's weights have no part in latents, the autoencoder's have.
        ChangeLastByte("model/unet.safetensors");
        Assert.That(Project("v -o l").Output, Does.Contain("kept"));
        ChangeLastByte("model/vae.safetensors");
        Project("v -o l").MustFail(5, "l holds latents of another model or of other options");

        // Without the index, as after an interrupted run, each clip tells.
        File.Delete(_folder["l/dataset.json"]);
        var result = Project("v -o l");
        Assert.That(result.ExitCode, Is.EqualTo(5));
        result.MustHaveSaid("l/a.safetensors exists and is kept, though it was made with another model or other options");

        File.WriteAllText(_folder["l/dataset.json"], "[]");
        Project("v -o l").MustFail(5, "l/dataset.json is no index of latents");
        Assert.That(Project("v -o l --overwrite").ExitCode, Is.Zero);
    }

    [Test]
    public void What_cannot_be_used_is_reported_and_the_others_are_made()
    {
        Make("v/a.mp4", 4);
        Make("v/b.mp4", 3);
        Make("v/c.mp4", 4);
        File.WriteAllBytes(_folder["v/c.mp4"], File.ReadAllBytes(_folder["v/c.mp4"])[..^900]);
        File.WriteAllText(_folder["v/d.mp4"], "a text");
        Make("v/e.mp4", 4);
        Make("v/e.webm", 4);
        var result = Project("v -o l --json");
        var lines = result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.EqualTo(3), "the first failure's");
            Assert.That(Statuses(result), Is.EqualTo(new[] { "made", "failed", "failed", "failed", "made", "failed", "indexed" }));
            Assert.That(lines[1], Is.EqualTo("{\"status\":\"failed\",\"video\":\"v/b.mp4\",\"output\":\"l/b.safetensors\",\"split\":\"train\",\"exit_code\":3,\"error\":\"v/b.mp4 has 3 frames, fewer than 4\"}"));
            Assert.That(lines[2], Does.Contain("v/c.mp4 cannot be decoded: "));
            Assert.That(lines[3], Does.Contain("v/d.mp4 is not a video"));
            Assert.That(lines[5], Does.Contain("v/e.webm would become l/e.safetensors, as v/e.mp4 does"));
            Assert.That(result.Error, Does.EndWith("2 of 6 videos are projected\n"));
            Assert.That(List("l"), Is.EqualTo(new[] { "a.safetensors", "dataset.json", "e.safetensors" }));
        }
    }

    [Test]
    public void Ctrl_C_leaves_whole_clips_alone_and_the_next_run_goes_on()
    {
        Make("v/a.mp4", 4);
        Make("v/b.mp4", 2000);
        using var process = BuiltProgram.Start(_folder.Path, null, "project", "v", "-o", "l", "-m", "model", "-d", "virtual");

        // The line of the second clip comes before its work.
        while (process.StandardError.ReadLine() is { } line && line != "v/b.mp4 (2 of 2)")
        {
        }

        var result = BuiltProgram.Interrupt(process);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.EqualTo(130), result.Error);
            Assert.That(result.ErrorLines[^1], Is.EqualTo("error: stopped; written before that: l/a.safetensors"));
            Assert.That(List("l"), Is.EqualTo(new[] { "a.safetensors" }));
        }

        Make("v/b.mp4", 5);
        Assert.That(Statuses(Project("v -o l --json")), Is.EqualTo(new[] { "kept", "made", "indexed" }));
    }

    private static string[] Statuses(ProgramResult result) =>
        [.. result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement.GetProperty("status").GetString()!)];

    private string[] List(string folder) =>
        [.. Directory.EnumerateFiles(_folder[folder], "*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.None })
            .Select(path => Path.GetRelativePath(_folder[folder], path)).Order(StringComparer.Ordinal)];

    private ProgramResult Project(string line) => BuiltProgram.RunIn(_folder.Path, null, $"project {line} -m model -d virtual".Split(' '));

    // In the last tensor's last float: the bytes above decide about its size.
    private void ChangeLastByte(string name)
    {
        var bytes = File.ReadAllBytes(_folder[name]);
        bytes[^4] ^= 1;
        File.WriteAllBytes(_folder[name], bytes);
    }

    private void Make(string name, int frames)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(_folder[name])!);
        using var process = Process.Start(new ProcessStartInfo(
            "ffmpeg", ["-v", "error", "-y", "-nostdin", "-f", "lavfi", "-i", "testsrc=s=32x24:r=10", "-frames:v", $"{frames}", _folder[name]]) { UseShellExecute = false })!;
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.Zero);
    }
}
