// Files out: the mp4 holds the frames that went in, and an output appears whole or not at all.
using System.Diagnostics;
using System.Globalization;
using FashionFlow.App.Media;
using FashionFlow.Diffusion.Preprocessing;

namespace FashionFlow.App.Tests;

public sealed class MediaWriterTests
{
    [Test]
    public void An_mp4_holds_the_frames_at_their_speed_and_colours()
    {
        using var folder = new TemporaryFolder();
        Write(folder["a.mp4"], frames: 7, framesPerSecond: 12.5, comment: "{\"seed\":1}");
        Assert.That(folder.Names, Is.EqualTo(new[] { "a.mp4" }));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(
                Probe(folder["a.mp4"], "stream=codec_name,width,height,pix_fmt,color_space,r_frame_rate,nb_read_frames"),
                Is.EqualTo("h264,64,48,yuv420p,bt709,25/2,7"));
            Assert.That(Probe(folder["a.mp4"], "format_tags=comment"), Is.EqualTo("\"{\"\"seed\"\":1}\""));
        }

        var decoded = Decode(folder["a.mp4"]);
        for (var frame = 0; frame < 7; frame++)
        {
            // One colour a frame: limited-range yuv has 219 steps for 255, so a value is off by 2 at most, and x264 adds 1.
            var color = Frame(frame).Data.Take(3).ToArray();
            Assert.That(decoded.Skip((frame * 64 * 48 * 3) + (500 * 3)).Take(3), Is.EqualTo(color).Within(3), $"frame {frame}");
        }
    }

    [Test]
    public void The_same_frames_give_the_same_file()
    {
        using var folder = new TemporaryFolder();
        Write(folder["a.mp4"], 5, 25, "x");
        Write(folder["b.mp4"], 5, 25, "x");
        Assert.That(File.ReadAllBytes(folder["a.mp4"]), Is.EqualTo(File.ReadAllBytes(folder["b.mp4"])));
    }

    [Test]
    public void A_video_that_is_not_completed_leaves_nothing()
    {
        using var folder = new TemporaryFolder();
        using (var writer = new Mp4Writer(folder["a.mp4"], 25, null, CancellationToken.None))
        {
            Assert.That(folder.Names, Has.Length.EqualTo(1));
            writer.Write(Frame(0));
        }

        Assert.That(folder.Names, Is.Empty);
    }

    [Test]
    public void A_cancelled_video_leaves_the_old_file_alone()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["a.mp4"], "old");
        using var source = new CancellationTokenSource();
        using (var writer = new Mp4Writer(folder["a.mp4"], 25, null, source.Token))
        {
            writer.Write(Frame(0));
            source.Cancel();
            Assert.Throws<OperationCanceledException>(() => writer.Write(Frame(1)));
        }

        Assert.That(File.ReadAllText(folder["a.mp4"]), Is.EqualTo("old"));
        Assert.That(folder.Names, Is.EqualTo(new[] { "a.mp4" }));
    }

    [Test]
    public void Odd_sizes_are_refused()
    {
        using var folder = new TemporaryFolder();
        using (var writer = new Mp4Writer(folder["a.mp4"], 25, null, CancellationToken.None))
        {
            var error = Assert.Throws<UserError>(() => writer.Write(new Rgb8Image(33, 40)));
            Assert.That(error!.Message, Is.EqualTo("an mp4 needs an even width and height, not 33 x 40"));
        }

        Assert.That(folder.Names, Is.Empty);
    }

    [Test]
    public void A_target_that_cannot_be_written_is_refused_at_once()
    {
        using var folder = new TemporaryFolder();
        using (Assert.EnterMultipleScope())
        {
            Assert.That(
                Assert.Throws<UserError>(() => new PendingFile(folder["none/a.mp4"]))!.Message,
                Is.EqualTo($"the folder of {folder["none/a.mp4"]} does not exist"));
            Assert.That(
                Assert.Throws<UserError>(() => new PendingFile(folder.Path))!.Message,
                Is.EqualTo($"{folder.Path} is a folder; the output must be a file"));
        }
    }

    [Test]
    public void The_demo_picture_is_the_same_every_time_and_fills_the_frame()
    {
        var picture = DemoPicture.Render();
        Assert.That((picture.Width, picture.Height), Is.EqualTo((512, 640)));
        Assert.That(DemoPicture.Render().Data, Is.EqualTo(picture.Data));
        // The dress is blue, the room is a warm grey: the middle of the skirt and a corner of the wall.
        var (skirt, wall) = (picture[230, 420].ToArray(), picture[60, 120].ToArray());
        Assert.That(skirt[2], Is.GreaterThan(skirt[0] + 30));
        Assert.That(wall[0], Is.GreaterThan(wall[2]));
    }

    private static void Write(string path, int frames, double framesPerSecond, string comment)
    {
        using var writer = new Mp4Writer(path, framesPerSecond, comment, CancellationToken.None);
        for (var frame = 0; frame < frames; frame++)
        {
            writer.Write(Frame(frame));
        }

        writer.Complete();
    }

    private static Rgb8Image Frame(int frame)
    {
        var image = new Rgb8Image(64, 48);
        for (var i = 0; i < image.Data.Length; i++)
        {
            image.Data[i] = (byte)((i % 3) switch { 0 => 30 + (frame * 25), 1 => 200 - (frame * 20), _ => 60 });
        }

        return image;
    }

    internal static string Probe(string path, string entries) => Tool(
        "ffprobe", "-v", "error", "-count_frames", "-select_streams", "v:0", "-show_entries", entries, "-of", "csv=p=0", path).Trim();

    internal static byte[] Decode(string path)
    {
        using var folder = new TemporaryFolder();
        Tool("ffmpeg", "-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", folder["frames"]);
        return File.ReadAllBytes(folder["frames"]);
    }

    private static string Tool(string name, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(name, arguments) { UseShellExecute = false, RedirectStandardOutput = true })!;
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.Zero, string.Create(CultureInfo.InvariantCulture, $"{name} {string.Join(' ', arguments)}"));
        return output;
    }
}
