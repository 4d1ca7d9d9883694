// Frames of videos as they come from the decoder: all of them, the right way up, in the same colours as a single one; damage is an error.
using System.Buffers.Binary;
using System.Diagnostics;
using FashionFlow.App.Media;
using FashionFlow.Diffusion.Preprocessing;

namespace FashionFlow.App.Tests;

[Parallelizable(ParallelScope.All)]
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class FfmpegReaderTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Test]
    public void Every_frame_is_the_one_that_is_taken_out_alone()
    {
        var path = Make("a.mp4", "testsrc=s=48x32:r=10", "-frames:v", "7");
        var frames = Read(path);
        Assert.That(frames, Has.Count.EqualTo(7));
        for (var i = 0; i < 7; i++)
        {
            File.WriteAllBytes(_folder["one.png"], VideoFrameReader.ReadPng(path, i));
            Assert.That(frames[i].Data, Is.EqualTo(PictureReader.Read(_folder["one.png"]).Image.Data), $"frame {i}");
        }
    }

    // Seven frames with long pauses between some of them: at an even rate some would come twice.
    [Test]
    public void A_varying_rate_neither_doubles_nor_drops_frames()
    {
        var path = Make("a.mkv", "testsrc=s=48x32:r=10", "-vf", "setpts=N*N*0.1/TB", "-frames:v", "7");
        Assert.That(Read(path), Has.Count.EqualTo(7));
    }

    [Test]
    public void A_turned_video_is_turned_and_odd_sides_are_kept()
    {
        // ISO 14496-12, section 8.3.2: the track header's matrix, big-endian, 44 bytes behind the start of its name.
        var path = Make("a.mp4", "testsrc=s=48x32:r=10", "-frames:v", "2");
        var bytes = File.ReadAllBytes(path);
        var matrix = bytes.AsSpan(bytes.AsSpan().IndexOf("tkhd"u8) + 44);
        foreach (var (i, value) in new[] { 0, 1 << 16, 0, -1 << 16, 0, 0, 32 << 16, 0, 1 << 30 }.Index())
        {
            BinaryPrimitives.WriteInt32BigEndian(matrix[(i * 4)..], value);
        }

        File.WriteAllBytes(path, bytes);
        var turned = Read(path)[0];
        Assert.That((turned.Width, turned.Height), Is.EqualTo((32, 48)));
        var odd = Read(Make("odd.mp4", "testsrc=s=33x47:r=10", "-pix_fmt", "yuv444p", "-frames:v", "2"))[1];
        Assert.That((odd.Width, odd.Height), Is.EqualTo((33, 47)));
    }

    [TestCase("30000/1001", 30000 / 1001.0)]
    [TestCase("25", 25)]
    public void The_rate_is_what_the_file_says(string rate, double expected)
        => Assert.That(VideoFrameReader.FramesPerSecond(Make("a.mp4", $"testsrc=s=48x32:r={rate}", "-frames:v", "5")), Is.EqualTo(expected));

    // Past the index, so that only decoding can find it: at the end, and in the middle.
    [TestCase("cut")]
    [TestCase("damaged")]
    public void Damage_is_an_error_though_frames_came_before_it(string what)
    {
        var path = Make("a.mp4", "testsrc2=s=128x96:r=10", "-frames:v", "40", "-g", "5", "-movflags", "faststart");
        var bytes = File.ReadAllBytes(path);
        if (what == "cut")
        {
            bytes = bytes[..(bytes.Length / 2)];
        }
        else
        {
            bytes.AsSpan(bytes.Length / 2, 200).Fill(0xA5);
        }

        File.WriteAllBytes(path, bytes);
        var frames = 0;
        var error = Assert.Throws<UserError>(() =>
        {
            using var reader = new FfmpegReader(path, CancellationToken.None);
            while (reader.TryRead(out _))
            {
                frames++;
            }
        })!;
        using (Assert.EnterMultipleScope())
        {
            Assert.That(frames, Is.InRange(1, 39));
            Assert.That(error.ExitCode, Is.EqualTo(ExitCode.Input));
            Assert.That(error.Message, Does.StartWith($"{path} cannot be decoded: "));
        }
    }

    [Test]
    public void A_reader_that_is_given_up_ends_ffmpeg_and_a_stopped_program_reads_no_more()
    {
        var path = Make("a.mp4", "testsrc=s=320x240:r=10", "-frames:v", "100");
        using (var reader = new FfmpegReader(path, CancellationToken.None))
        {
            Assert.That(reader.TryRead(out _), Is.True);
        }

        using var cancel = new CancellationTokenSource();
        using var other = new FfmpegReader(path, cancel.Token);
        Assert.That(other.TryRead(out _), Is.True);
        cancel.Cancel();
        Assert.That(() => other.TryRead(out _), Throws.InstanceOf<OperationCanceledException>());
    }

    [TestCase("5.1.9-0+deb12u1", false)]
    [TestCase("4.4.2-0ubuntu0.22.04.1", true)]
    [TestCase("5.0", true)]
    [TestCase("5", true)]
    [TestCase("n7.1", false)]
    [TestCase("10.0", false)]
    [TestCase("N-118000-g1234567", false)]
    [TestCase("git-2024-01-01", false)]
    [TestCase(null, false)]
    public void Versions_are_compared_as_numbers(string? version, bool older) => Assert.That(Ffmpeg.IsOlderThan(version, 5, 1), Is.EqualTo(older));

    private static List<Rgb8Image> Read(string path)
    {
        var frames = new List<Rgb8Image>();
        using var reader = new FfmpegReader(path, CancellationToken.None);
        while (reader.TryRead(out var frame))
        {
            frames.Add(new Rgb8Image(frame.Width, frame.Height, [.. frame.Data]));
        }

        return frames;
    }

    private string Make(string name, string source, params string[] options)
    {
        using var process = Process.Start(new ProcessStartInfo("ffmpeg", ["-v", "error", "-y", "-nostdin", "-f", "lavfi", "-i", source, .. options, _folder[name]]) { UseShellExecute = false })!;
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.Zero);
        return _folder[name];
    }
}
