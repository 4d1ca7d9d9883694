// The same run gives the same file, whatever else differs; and verify says so, or names the first frame that does not.
using System.Text.Json;

namespace FashionFlow.App.Tests;

[Parallelizable(ParallelScope.All)]
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class VerifyTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public VerifyTests()
    {
        TestPictures.Write(_folder["dress.jpg"], 60, 80);
        TestPictures.Write(_folder["coat.png"], 50, 40);
        TinyModelFolder.WriteFiles(_folder["model"]);
    }

    public void Dispose() => _folder.Dispose();

    [Test]
    public void One_and_two_threads_and_after_another_picture_give_the_same_files()
    {
        var alone = Generate("dress.jpg -o alone/ --threads 1");
        var again = Generate("dress.jpg -o again/ --threads 2");
        var after = Generate("coat.png dress.jpg -o after/ --num-videos 2");
        Assert.That((alone.ExitCode, again.ExitCode, after.ExitCode), Is.EqualTo((0, 0, 0)), after.Error);
        var expected = File.ReadAllBytes(_folder["alone/dress.mp4"]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(File.ReadAllBytes(_folder["again/dress.mp4"]), Is.EqualTo(expected));
            Assert.That(File.ReadAllBytes(_folder["after/dress-seed0.mp4"]), Is.EqualTo(expected));
            Assert.That(File.ReadAllBytes(_folder["after/dress-seed1.mp4"]), Is.Not.EqualTo(expected));
            Assert.That(File.ReadAllText(_folder["again/dress.mp4.json"]), Is.EqualTo(File.ReadAllText(_folder["alone/dress.mp4.json"])));
            Assert.That(Directory.GetFiles(_folder["after"], "*.mp4"), Has.Length.EqualTo(4));
        }
    }

    [TestCase("a.mp4")]
    [TestCase("a.gif")]
    [TestCase("a.webm")]
    public void A_video_is_verified_by_its_sidecar_or_without_it(string name)
    {
        Assert.That(Generate($"dress.jpg -o {name} --sampler ddim --fit pad --compat fixed --fps 10 --seed 9").ExitCode, Is.Zero);
        Same($"{name}: the same: 4 frames, to the byte", "verify", name);
        File.Delete(_folder[$"{name}.json"]);
        Same($"{name}: the same: 4 frames, to the byte", "verify", name, "--model", "model");
    }

    [Test]
    public void A_folder_of_frames_is_verified()
    {
        Assert.That(Generate("dress.jpg -o out --format png").ExitCode, Is.Zero);
        Same("out/dress: the same: 4 frames, to the byte", "verify", "out/dress");
        TestPictures.Write(_folder["out/dress/frame_00002.png"], 16, 24);
        Different("made again with the same 4 frames, but it was changed after it was written", "verify", "out/dress");
    }

    // Frame 0 is the picture's own latent, which the U-Net has no part in; the others follow from the changed value.
    [Test]
    public void After_one_value_of_the_model_is_changed_the_first_frame_that_differs_is_named()
    {
        Assert.That(Generate("dress.jpg -o a.mp4").ExitCode, Is.Zero);
        ChangeUnet();
        var result = Different("frame 1 is the first that differs; 3 of 4 frames do", "verify", "a.mp4");
        Assert.That(result.Error, Does.Contain("note: the model's unet.safetensors is not the recorded one\n"));

        var json = BuiltProgram.RunIn(_folder.Path, null, "verify", "a.mp4", "--json", "--quiet");
        using var answer = JsonDocument.Parse(json.Output);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(json.ExitCode, Is.EqualTo(1));
            Assert.That(json.Error, Is.Empty);
            Assert.That(answer.RootElement.GetProperty("status").GetString(), Is.EqualTo("different"));
            Assert.That(answer.RootElement.GetProperty("first_different_frame").GetInt32(), Is.EqualTo(1));
            Assert.That(answer.RootElement.GetProperty("model_differs")[0].GetString(), Is.EqualTo("unet.safetensors"));
        }

        // Without the sidecar the frames that the encoder left are compared.
        File.Delete(_folder["a.mp4.json"]);
        Different("is the first that differs", "verify", "a.mp4", "--model", "model");
    }

    [Test]
    public void A_file_that_was_changed_after_it_was_written_is_told()
    {
        Assert.That(Generate("dress.jpg -o a.mp4").ExitCode, Is.Zero);
        // Within the recipe's text, where players do not look.
        var bytes = File.ReadAllBytes(_folder["a.mp4"]);
        bytes[bytes.AsSpan().IndexOf("\"seed\":0"u8) + 7] = (byte)'1';
        File.WriteAllBytes(_folder["a.mp4"], bytes);

        Different("made again with the same 4 frames, but it was changed after it was written", "verify", "a.mp4");
    }

    [Test]
    public void Another_ffmpeg_is_no_difference_but_is_said()
    {
        Assert.That(Generate("dress.jpg -o a.mp4").ExitCode, Is.Zero);
        // As a version that there never was might have written it: an empty box at the end, and a sidecar that says so.
        var bytes = File.ReadAllBytes(_folder["a.mp4"]);
        byte[] other = [.. bytes, 0, 0, 0, 8, .. "free"u8];
        File.WriteAllBytes(_folder["a.mp4"], other);
        var sidecar = File.ReadAllText(_folder["a.mp4.json"]).Replace(Hash(bytes), Hash(other), StringComparison.Ordinal);
        var start = sidecar.IndexOf("\"ffmpeg\": \"", StringComparison.Ordinal) + 11;
        File.WriteAllText(_folder["a.mp4.json"], $"{sidecar[..start]}0.5{sidecar[sidecar.IndexOf('"', start)..]}");
        var result = BuiltProgram.RunIn(_folder.Path, null, "verify", "a.mp4");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.Zero, result.Error);
            Assert.That(result.Output, Does.StartWith("a.mp4: the same 4 frames; the file's bytes differ, for ffmpeg 0.5 wrote it and ffmpeg "));
        }
    }

    [Test]
    public void Of_several_videos_each_has_its_answer()
    {
        Assert.That(Generate("dress.jpg coat.png -o out").ExitCode, Is.Zero);
        var result = BuiltProgram.RunIn(_folder.Path, null, "verify", "out/coat.mp4", "none.mp4", "out/dress.mp4");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.EqualTo(3));
            Assert.That(result.Output, Is.EqualTo("out/coat.mp4: the same: 4 frames, to the byte\nout/dress.mp4: the same: 4 frames, to the byte\n"));
            result.MustHaveSaid("none.mp4 does not exist");
        }
    }

    private static string Hash(byte[] bytes) => Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(bytes));

    private ProgramResult Generate(string line) =>
        BuiltProgram.RunIn(_folder.Path, null, $"generate {line} -m model --steps 2 --device virtual".Split(' '));

    private void Same(string text, params string[] arguments)
    {
        var result = BuiltProgram.RunIn(_folder.Path, null, arguments);
        Assert.That((result.ExitCode, result.Output), Is.EqualTo((0, text + "\n")), result.Error);
    }

    private ProgramResult Different(string text, params string[] arguments)
    {
        var result = BuiltProgram.RunIn(_folder.Path, null, arguments);
        Assert.That(result.ExitCode, Is.EqualTo(1), result.Error);
        Assert.That(result.Output, Does.Contain(text));
        return result;
    }

    // One float of the last convolution's bias: every predicted noise moves with it.
    private void ChangeUnet()
    {
        var path = _folder["model/unet.safetensors"];
        var bytes = File.ReadAllBytes(path);
        var header = (int)BitConverter.ToInt64(bytes);
        using var json = JsonDocument.Parse(bytes.AsMemory(8, header));
        var entry = json.RootElement.EnumerateObject().Single(p => p.Name == "conv_out.spatial_conv.bias");
        BitConverter.TryWriteBytes(bytes.AsSpan(8 + header + entry.Value.GetProperty("data_offsets")[0].GetInt32()), 0.75f);
        File.WriteAllBytes(path, bytes);
    }
}
