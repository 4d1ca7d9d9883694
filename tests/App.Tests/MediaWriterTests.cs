// Files out: the mp4 holds the frames that went in, and an output appears whole or not at all.
using System.Diagnostics;
using System.Globalization;
using FashionFlow.App.Media;
using FashionFlow.Diffusion.Preprocessing;
using SkiaSharp;

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

    [TestCase("mp4")]
    [TestCase("gif")]
    [TestCase("webm")]
    public void The_same_frames_give_the_same_file(string format)
    {
        using var folder = new TemporaryFolder();
        Write(folder[$"a.{format}"], 5, 25, "x");
        Write(folder[$"b.{format}"], 5, 25, "x");
        Assert.That(File.ReadAllBytes(folder[$"a.{format}"]), Is.EqualTo(File.ReadAllBytes(folder[$"b.{format}"])));
    }

    [Test]
    public void A_webm_holds_the_frames()
    {
        using var folder = new TemporaryFolder();
        Write(folder["a.webm"], frames: 6, framesPerSecond: 10, comment: "{\"seed\":1}");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(Probe(folder["a.webm"], "stream=codec_name,width,height,pix_fmt,color_space,r_frame_rate,nb_read_frames"), Is.EqualTo("vp9,64,48,yuv420p,bt709,10/1,6"));
            Assert.That(Probe(folder["a.webm"], "format_tags=COMMENT"), Is.EqualTo("\"{\"\"seed\"\":1}\""));
        }

        // As in the mp4, and VP9's rounding with it.
        var decoded = Decode(folder["a.webm"]);
        Assert.That(decoded.Skip((5 * 64 * 48 * 3) + 1500).Take(3), Is.EqualTo(Frame(5).Data.Take(3)).Within(4));
    }

    [Test]
    public void A_gif_holds_the_frames_for_ever_and_its_comment()
    {
        using var folder = new TemporaryFolder();
        // Longer than one sub-block of a GIF comment, and in no single-byte script.
        var comment = string.Concat(Enumerable.Repeat("платье ", 60));
        Write(folder["a.gif"], frames: 4, framesPerSecond: 10, comment);
        using var codec = SKCodec.Create(folder["a.gif"]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That((codec.FrameCount, codec.Info.Width, codec.Info.Height, codec.RepetitionCount), Is.EqualTo((4, 64, 48, -1)));
            Assert.That(codec.FrameInfo.Select(f => f.Duration), Is.All.EqualTo(100));
            Assert.That(Probe(folder["a.gif"], "format_tags=comment").Trim('"'), Is.EqualTo(comment.TrimEnd()).Or.EqualTo(comment));
        }

        // A frame of one colour has that colour in its palette, but palettegen keeps 5 bits of a channel and averages what falls together.
        for (var frame = 0; frame < 4; frame++)
        {
            Assert.That(PictureReader.Read(folder["a.gif"], frame).Image.Data.Take(3), Is.EqualTo(Frame(frame).Data.Take(3)).Within(8), $"frame {frame}");
        }
    }

    [Test]
    public void A_folder_of_frames_holds_them_to_the_bit_and_appears_with_all_of_them()
    {
        using var folder = new TemporaryFolder();
        using (var writer = new FrameFolderWriter(folder["a"], overwrite: false, CancellationToken.None))
        {
            writer.Write(Frame(0));
            writer.Write(Frame(1));
            Assert.That(Directory.Exists(folder["a"]), Is.False);
            writer.Finish();
            writer.Commit();
        }

        Assert.That(folder.Names, Is.EqualTo(new[] { "a" }));
        Assert.That(Directory.GetFiles(folder["a"]).Select(Path.GetFileName).Order(StringComparer.Ordinal), Is.EqualTo(new[] { "frame_00000.png", "frame_00001.png" }));
        Assert.That(PictureReader.Read(folder["a/frame_00001.png"]).Image.Data, Is.EqualTo(Frame(1).Data));
    }

    [Test]
    public void Only_a_folder_of_frames_is_ever_replaced()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["a"]);
        File.WriteAllText(folder["a/letter.txt"], "dear");
        File.WriteAllText(folder["a/frame_00000.png"], "");
        Assert.That(
            Assert.Throws<UserError>(() => PendingOutput.Folder(folder["a"], overwrite: true))!.Message,
            Is.EqualTo($"{folder["a"]} is a folder that holds more than a video's frames; it is kept"));
        File.Delete(folder["a/letter.txt"]);
        using (var writer = new FrameFolderWriter(folder["a"], overwrite: true, CancellationToken.None))
        {
            writer.Write(Frame(3));
            writer.Finish();
            writer.Commit();
        }

        Assert.That(folder.Names, Is.EqualTo(new[] { "a" }));
        Assert.That(PictureReader.Read(folder["a/frame_00000.png"]).Image.Data, Is.EqualTo(Frame(3).Data));
    }

    [TestCase(3, 3, 1)]
    [TestCase(16, 4, 4)]
    [TestCase(70, 4, 4)]
    public void A_contact_sheet_shows_frames_evenly_spread(int frames, int columns, int rows)
    {
        using var folder = new TemporaryFolder();
        using (var sheet = new ContactSheet(folder["a.png"], overwrite: false, frames))
        {
            for (var frame = 0; frame < frames; frame++)
            {
                sheet.Write(new Rgb8Image(10, 8, [.. Enumerable.Repeat((byte)frame, 240)]));
            }

            sheet.Finish();
            sheet.Commit();
        }

        var picture = PictureReader.Read(folder["a.png"]).Image;
        Assert.That((picture.Width, picture.Height), Is.EqualTo(((columns * 14) - 4, (rows * 12) - 4)));
        var shown = Math.Min(frames, 16);
        Assert.That(
            Enumerable.Range(0, shown).Select(i => (int)picture[(i % columns * 14) + 9, (i / columns * 12) + 7][0]),
            Is.EqualTo(Enumerable.Range(0, shown).Select(i => i * frames / shown)));
    }

    [Test]
    public void What_exists_is_kept_unless_it_may_be_replaced()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["a.mp4"], "old");
        Assert.That(
            Assert.Throws<UserError>(() => PendingOutput.File(folder["a.mp4"], overwrite: false))!.Message, Is.EqualTo($"{folder["a.mp4"]} exists and is kept"));

        // Somebody else makes it while we work.
        using (var pending = PendingOutput.File(folder["b.mp4"], overwrite: false))
        {
            File.WriteAllText(folder["b.mp4"], "theirs");
            Assert.Throws<UserError>(pending.Commit);
        }

        Assert.That(File.ReadAllText(folder["b.mp4"]), Is.EqualTo("theirs"));
        Assert.That(folder.Names, Is.EqualTo(new[] { "a.mp4", "b.mp4" }));
    }

    [Test]
    public void A_video_that_is_not_completed_leaves_nothing()
    {
        using var folder = new TemporaryFolder();
        using (var writer = new FfmpegWriter(VideoFormat.Mp4, folder["a.mp4"], overwrite: true, 25, CancellationToken.None))
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
        using (var writer = new FfmpegWriter(VideoFormat.Mp4, folder["a.mp4"], overwrite: true, 25, source.Token))
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
        using (var writer = new FfmpegWriter(VideoFormat.Mp4, folder["a.mp4"], overwrite: true, 25, CancellationToken.None))
        {
            var error = Assert.Throws<UserError>(() => writer.Write(new Rgb8Image(33, 40)));
            Assert.That(error!.Message, Is.EqualTo("mp4 needs an even width and height, not 33 x 40"));
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
                Assert.Throws<UserError>(() => PendingOutput.File(folder["none/a.mp4"], overwrite: true))!.Message,
                Is.EqualTo($"the folder of {folder["none/a.mp4"]} does not exist"));
            Assert.That(
                Assert.Throws<UserError>(() => PendingOutput.File(folder.Path, overwrite: true))!.Message,
                Is.EqualTo($"{folder.Path} is a folder; the output must be a file"));
        }
    }

    private static void Write(string path, int frames, double framesPerSecond, string comment)
    {
        using var writer = new FfmpegWriter(VideoFormat.ForPath(path)!, path, overwrite: true, framesPerSecond, CancellationToken.None) { Comment = comment };
        for (var frame = 0; frame < frames; frame++)
        {
            writer.Write(Frame(frame));
        }

        writer.Finish();
        writer.Commit();
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
