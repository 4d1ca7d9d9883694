// Event files as another program reads them: framing, contents, and that a resumed run's curves do not overlap.
using System.Text;
using FashionFlow.App.Training.Events;
using SkiaSharp;

namespace FashionFlow.App.Tests.Training;

public sealed class EventWriterTests
{
    private const string Version = "brain.Event:2";

    private Clock _clock = null!;
    private TemporaryFolder _folder = null!;

    private static IEnumerable<TestCaseData> ChecksumVectors
    {
        get
        {
            // RFC 3720, B.4, as numbers; and the check value of every catalogue of checksums.
            yield return new TestCaseData(new byte[32], 0x8A9136AAu).SetArgDisplayNames("zeros");
            yield return new TestCaseData(Enumerable.Repeat((byte)0xFF, 32).ToArray(), 0x62A8AB43u).SetArgDisplayNames("ones");
            yield return new TestCaseData(Enumerable.Range(0, 32).Select(i => (byte)i).ToArray(), 0x46DD794Eu).SetArgDisplayNames("ascending");
            yield return new TestCaseData("123456789"u8.ToArray(), 0xE3069283u).SetArgDisplayNames("123456789");
        }
    }

    [SetUp]
    public void Make() => (_folder, _clock) = (new TemporaryFolder(), new Clock());

    [TearDown]
    public void Remove() => _folder.Dispose();

    [TestCaseSource(nameof(ChecksumVectors))]
    public void The_reader_s_checksum_is_the_published_one(byte[] data, uint expected)
        => Assert.That(EventFileReader.Crc32C(data), Is.EqualTo(expected));

    [Test]
    public void A_file_starts_with_its_version_and_holds_scalars_in_order()
    {
        string path;
        using (var writer = EventWriter.Create(_folder.Path, clock: _clock))
        {
            path = writer.Path;
            for (var step = 1; step <= 300; step += 23)
            {
                _clock.Now += TimeSpan.FromMilliseconds(250);
                writer.AddScalar("train/loss", 1.0 / step, step);
            }

            writer.AddScalar("größe/✓", double.NaN, 1L << 40);
            writer.Flush();
        }

        var events = EventFileReader.Read(path);
        Assert.That(Path.GetFileName(path), Is.EqualTo("events.out.tfevents.1700000000.fashionflow"));
        Assert.That((events[0].WallTime, events[0].Step, events[0].FileVersion, events[0].Values.Count), Is.EqualTo((1_700_000_000.5, 0L, Version, 0)));
        var scalars = events[1..^1];
        Assert.That(scalars.Select(e => (e.Step, e.WallTime)), Is.EqualTo(Enumerable.Range(0, 14).Select(i => ((23L * i) + 1, 1_700_000_000.75 + (i * 0.25)))));
        Assert.That(scalars.Select(e => e.Values.Single()), Is.EqualTo(scalars.Select(e => new StoredValue("train/loss", (float)(1.0 / e.Step), null))));
        Assert.That((events[^1].Step, events[^1].Values.Single()), Is.EqualTo((1L << 40, new StoredValue("größe/✓", float.NaN, null))));
    }

    [Test]
    public void The_first_record_has_the_bytes_that_every_event_file_starts_with()
    {
        using var writer = EventWriter.Create(_folder.Path, clock: _clock);

        // 24 bytes follow, and their length's masked checksum; then field 1, a double, and field 3, a string of 13 characters.
        var bytes = ReadShared(writer.Path);
        Assert.That(bytes[..13], Is.EqualTo(new byte[] { 0x18, 0, 0, 0, 0, 0, 0, 0, 0xA3, 0x7F, 0x4B, 0x22, 0x09 }));
        Assert.That(bytes[21..36], Is.EqualTo((byte[])[0x1A, 0x0D, .. Encoding.ASCII.GetBytes(Version)]));
        Assert.That(bytes, Has.Length.EqualTo(40));
    }

    [Test]
    public void Every_event_can_be_read_while_the_run_goes_on()
    {
        using var writer = EventWriter.Create(_folder.Path, clock: _clock);
        for (var step = 0; step < 5; step++)
        {
            writer.AddScalar("loss", step, step);
            Assert.That(EventFileReader.Read(writer.Path), Has.Count.EqualTo(step + 2));
        }
    }

    [TestCase(SKColorType.Gray8, SKAlphaType.Opaque, 1)]
    [TestCase(SKColorType.Rgba8888, SKAlphaType.Opaque, 3)]
    [TestCase(SKColorType.Rgba8888, SKAlphaType.Unpremul, 4)]
    public void A_png_keeps_its_bytes_with_size_and_colours(SKColorType colours, SKAlphaType alpha, int channels)
    {
        using var bitmap = new SKBitmap(new SKImageInfo(5, 300, colours, alpha));
        if (channels == 4)
        {
            bitmap.SetPixel(0, 0, new SKColor(1, 2, 3, 4));
        }

        using var encoded = bitmap.Encode(SKEncodedImageFormat.Png, 100);
        AssertImage(encoded.ToArray(), height: 300, width: 5, channels);
    }

    [Test]
    public void A_gif_keeps_its_bytes_so_that_it_moves() => AssertImage(TestPictures.TwoFrameGif(), height: 1, width: 1, channels: 3);

    [TestCase("")]
    [TestCase("GIF89a")]
    [TestCase("JFIF, a picture of another kind altogether")]
    public void Bytes_that_are_no_picture_are_refused_and_nothing_is_written(string text)
    {
        using var writer = EventWriter.Create(_folder.Path, clock: _clock);
        Assert.That(
            () => writer.AddPicture("sample", Encoding.ASCII.GetBytes(text), 1),
            Throws.ArgumentException.With.Message.StartsWith($"{text.Length} bytes are neither a PNG nor a GIF file"));
        Assert.That(EventFileReader.Read(writer.Path), Has.Count.EqualTo(1));
    }

    [Test]
    public void The_curves_of_a_run_that_goes_on_do_not_overlap()
    {
        // Steps 0 to 7, a stop after the checkpoint of step 5, steps 5 to 9; a second stop within the same second.
        Record(from: 0, to: 8, resumedAt: null, value: 1);
        Record(from: 5, to: 10, resumedAt: 5, value: 2);
        Record(from: 8, to: 11, resumedAt: 8, value: 3);
        Assert.That(
            _folder.Names,
            Is.EqualTo(new[] { "events.out.tfevents.1700000000.fashionflow", "events.out.tfevents.1700000001.fashionflow", "events.out.tfevents.1700000002.fashionflow" }));

        // What TensorBoard does: files in the order of their names; START discards what came before of its step and later ones.
        var curve = new List<StoredEvent>();
        foreach (var name in _folder.Names)
        {
            var events = EventFileReader.Read(_folder[name]);
            Assert.That(events[0].FileVersion, Is.EqualTo(Version));
            foreach (var stored in events.Skip(1))
            {
                if (stored.SessionStatus is { } status)
                {
                    Assert.That(status, Is.EqualTo(1), "START");
                    curve.RemoveAll(e => e.Step >= stored.Step);
                }
                else
                {
                    curve.Add(stored);
                }
            }
        }

        Assert.That(
            curve.Select(e => (e.Step, e.Values.Single().Scalar)),
            Is.EqualTo(Enumerable.Range(0, 11).Select(step => ((long)step, (float?)(step < 5 ? 1 : step < 8 ? 2 : 3)))));
    }

    [Test]
    public void A_folder_that_cannot_be_is_one_clear_line()
    {
        File.WriteAllText(_folder["file"], "");
        Assert.That(
            () => EventWriter.Create(_folder["file"]),
            Throws.TypeOf<UserError>().With.Message.StartsWith($"no event file can be made in {_folder["file"]}: ").And.Property("ExitCode").EqualTo(ExitCode.Output));
    }

    private void Record(int from, int to, long? resumedAt, float value)
    {
        using var writer = EventWriter.Create(_folder.Path, resumedAt, _clock);
        for (var step = from; step < to; step++)
        {
            writer.AddScalar("loss", value, step);
        }
    }

    private void AssertImage(byte[] file, int height, int width, int channels)
    {
        using var writer = EventWriter.Create(_folder.Path, clock: _clock);
        writer.AddPicture("sample", file, 12);
        var stored = EventFileReader.Read(writer.Path)[1];
        var (tag, scalar, image) = stored.Values.Single();
        Assert.That((stored.Step, tag, scalar), Is.EqualTo((12L, "sample", (float?)null)));
        Assert.That((image!.Height, image.Width, image.Colorspace), Is.EqualTo(((long)height, (long)width, (long)channels)));
        Assert.That(image.Encoded, Is.EqualTo(file));
    }

    private static byte[] ReadShared(string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }

    private sealed class Clock : TimeProvider
    {
        public DateTimeOffset Now { get; set; } = DateTimeOffset.UnixEpoch.AddSeconds(1_700_000_000.5);

        public override DateTimeOffset GetUtcNow() => Now;
    }
}
