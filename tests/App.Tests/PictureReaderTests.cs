// Pictures in: each format, each orientation, transparency, and each way in which a file is not a picture.
using CsCheck;
using FashionFlow.App.Media;
using FashionFlow.Diffusion.Preprocessing;
using SkiaSharp;

namespace FashionFlow.App.Tests;

public sealed class PictureReaderTests
{
    private static IEnumerable<string> SharedPictures => File.Exists(Shared("data/garments/blue.jpg")) ? ["blue"] : [];

    [Test]
    public void Png_keeps_every_byte()
    {
        using var folder = new TemporaryFolder();
        Gen.Select(Gen.Int[1, 20], Gen.Int[1, 20]).SelectMany((w, h) => Gen.Byte.Array[w * h * 3].Select(data => new Rgb8Image(w, h, data)))
            .Sample(
                image =>
                {
                    PictureWriter.WritePng(image, folder["a.png"]);
                    return PictureReader.Read(folder["a.png"]).Image.Data.SequenceEqual(image.Data);
                },
                iter: 50,
                threads: 1);
        Assert.That(folder.Names, Is.EqualTo(new[] { "a.png" }));
    }

    // Lossy codecs at quality 95: a mean error of 4 of 255 is several times what they show on this drawing.
    [TestCase(SKEncodedImageFormat.Jpeg)]
    [TestCase(SKEncodedImageFormat.Webp)]
    public void Lossy_formats_come_close(SKEncodedImageFormat format)
    {
        using var folder = new TemporaryFolder();
        using var bitmap = TestPictures.Draw(90, 70);
        File.WriteAllBytes(folder["a"], TestPictures.Encode(bitmap, format));
        File.WriteAllBytes(folder["b"], TestPictures.Encode(bitmap, SKEncodedImageFormat.Png));
        var (lossy, exact) = (PictureReader.Read(folder["a"]).Image, PictureReader.Read(folder["b"]).Image);
        Assert.That((lossy.Width, lossy.Height), Is.EqualTo((90, 70)));
        Assert.That(lossy.Data.Zip(exact.Data, (a, b) => Math.Abs(a - b)).Average(), Is.LessThan(4));
    }

    [Test]
    public void Bmp_is_read()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["a.bmp"], TestPictures.Bmp(5, 3, 10, 20, 30));
        var image = PictureReader.Read(folder["a.bmp"]).Image;
        Assert.That((image.Width, image.Height), Is.EqualTo((5, 3)));
        Assert.That(image.Data.Chunk(3), Is.All.EqualTo(new byte[] { 10, 20, 30 }));
    }

    [Test]
    public void Of_a_gif_the_first_frame_is_read()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["a.gif"], TestPictures.TwoFrameGif());
        Assert.That(PictureReader.Read(folder["a.gif"]).Image.Data, Is.EqualTo(new byte[] { 255, 0, 0 }));
        Assert.That(PictureReader.Read(folder["a.gif"], 1).Image.Data, Is.EqualTo(new byte[] { 0, 0, 255 }), "unless another is asked for");
        Assert.That(Assert.Throws<UserError>(() => PictureReader.Read(folder["a.gif"], 2))!.Message, Is.EqualTo($"{folder["a.gif"]} has no frame 2: it has 2"));
    }

    [TestCase("mp4")]
    [TestCase("webm")]
    [TestCase("avi")]
    [TestCase("ts")]
    public void Of_a_video_the_frame_asked_for_is_read(string container)
    {
        using var folder = new TemporaryFolder();
        // A name that ffmpeg would take for a protocol, were it not told otherwise.
        var path = folder[$"a:b 'c.{container}"];
        Run("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=red:s=64x48:r=10:d=0.5,format=yuv444p[a];color=blue:s=64x48:r=10:d=0.5,format=yuv444p[b];[a][b]concat", $"file:{path}");
        using (Assert.EnterMultipleScope())
        {
            // The encoders' default quality on a flat colour, after yuv with a sixteenth less range: a few levels.
            Assert.That(PictureReader.Read(path).Image[30, 20].ToArray(), Is.EqualTo(new byte[] { 255, 0, 0 }).Within(8));
            Assert.That(PictureReader.Read(path, 7).Image[30, 20].ToArray(), Is.EqualTo(new byte[] { 0, 0, 255 }).Within(8));
            Assert.That(Assert.Throws<UserError>(() => PictureReader.Read(path, 10))!.Message, Does.EndWith("has no frame 10: it has 10"));
        }
    }

    // tests/data/cmyk.jpg: 32 x 8 pixels in four blocks of cyan, magenta, yellow and black ink, full coverage, quality 95, with
    // Adobe's marker (inverted CMYK), as ImageMagick 6.9 writes it.
    [Test]
    public void Cmyk_becomes_rgb()
    {
        var image = PictureReader.Read(Path.Combine(Places.SourceTree!, "tests", "data", "cmyk.jpg")).Image;
        byte[][] expected = [[0, 255, 255], [255, 0, 255], [255, 255, 0], [0, 0, 0]];
        Assert.That((image.Width, image.Height), Is.EqualTo((32, 8)));
        for (var i = 0; i < 4; i++)
        {
            // Without a profile a channel is (255 - ink)(255 - black) / 255; JPEG rounds by a level or two.
            Assert.That(image[(i * 8) + 4, 4].ToArray(), Is.EqualTo(expected[i]).Within(4), $"ink {i}");
        }
    }

    [Test]
    public void A_picture_may_come_through_a_pipe()
    {
        using var folder = new TemporaryFolder();
        TestPictures.Write(folder["a.png"], 20, 30);
        Run("mkfifo", folder["pipe"]);
        var writer = Task.Run(() => File.WriteAllBytes(folder["pipe"], File.ReadAllBytes(folder["a.png"])));
        var picture = PictureReader.Read(folder["pipe"]);
        writer.Wait();
        Assert.That(picture, Is.EqualTo(PictureReader.Read(folder["a.png"])).Using<SourcePicture>((a, b) => a.Sha256 == b.Sha256 && a.Image.Data.SequenceEqual(b.Image.Data)));
    }

    [Test]
    public void Grey_becomes_rgb()
    {
        using var folder = new TemporaryFolder();
        using var bitmap = new SKBitmap(new SKImageInfo(8, 8, SKColorType.Gray8, SKAlphaType.Opaque));
        bitmap.Erase(new SKColor(77, 77, 77));
        File.WriteAllBytes(folder["a.png"], TestPictures.Encode(bitmap, SKEncodedImageFormat.Png));
        Assert.That(PictureReader.Read(folder["a.png"]).Image.Data, Is.All.EqualTo(77));
    }

    [Test]
    public void Transparency_shows_white()
    {
        using var folder = new TemporaryFolder();
        using var bitmap = new SKBitmap(new SKImageInfo(3, 1, SKColorType.Rgba8888, SKAlphaType.Unpremul));
        bitmap.SetPixel(0, 0, new SKColor(200, 100, 0, 255));
        bitmap.SetPixel(1, 0, new SKColor(200, 100, 0, 0));
        bitmap.SetPixel(2, 0, new SKColor(200, 100, 0, 51));
        File.WriteAllBytes(folder["a.png"], TestPictures.Encode(bitmap, SKEncodedImageFormat.Png));
        // 51/255 is one fifth: 200/5 + 255*4/5 = 244, 100/5 + 204 = 224, 204.
        Assert.That(PictureReader.Read(folder["a.png"]).Image.Data, Is.EqualTo(new byte[] { 200, 100, 0, 255, 255, 255, 244, 224, 204 }));
    }

    // EXIF 2.3, 4.6.4: on which side of the shown picture the stored one's first row and first column lie.
    // Corners are (right, bottom); the stored picture is red in its first corner, blue at the end of its first row.
    [TestCase(1, "00", "10")]
    [TestCase(2, "10", "00")]
    [TestCase(3, "11", "01")]
    [TestCase(4, "01", "11")]
    [TestCase(5, "00", "01")]
    [TestCase(6, "10", "11")]
    [TestCase(7, "11", "10")]
    [TestCase(8, "01", "00")]
    public void Exif_orientation_is_applied(int orientation, string red, string blue)
    {
        using var folder = new TemporaryFolder();
        using var bitmap = new SKBitmap(new SKImageInfo(48, 32, SKColorType.Rgba8888, SKAlphaType.Opaque));
        bitmap.Erase(SKColors.White);
        using (var canvas = new SKCanvas(bitmap))
        {
            canvas.DrawRect(0, 0, 16, 16, new SKPaint { Color = SKColors.Red });
            canvas.DrawRect(32, 0, 16, 16, new SKPaint { Color = SKColors.Blue });
        }

        File.WriteAllBytes(folder["a.jpg"], TestPictures.WithOrientation(TestPictures.Encode(bitmap, SKEncodedImageFormat.Jpeg), (byte)orientation));
        var image = PictureReader.Read(folder["a.jpg"]).Image;
        Assert.That((image.Width, image.Height), Is.EqualTo(orientation <= 4 ? (48, 32) : (32, 48)));

        // In a block of one colour JPEG (quality 95) rounds luma and chroma to a level or two, and so each of the three channels.
        Assert.That(Corner(image, red).ToArray(), Is.EqualTo(new byte[] { 255, 0, 0 }).Within(3));
        Assert.That(Corner(image, blue).ToArray(), Is.EqualTo(new byte[] { 0, 0, 255 }).Within(3));
    }

    [Test]
    public void What_is_not_a_picture_is_named()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["notes.jpg"], "The dress is blue.\n");
        File.WriteAllBytes(folder["empty.png"], []);
        File.WriteAllBytes(folder["noise.png"], [1, 2, 3, 4, 5, 6, 7, 8]);
        File.WriteAllBytes(folder["clip.mp4"], [0, 0, 0, 24, .. "ftypisom"u8, 0, 0, 0, 0]);
        File.WriteAllBytes(folder["half.jpg"], File.ReadAllBytes(TestPictures.Write(folder["whole.jpg"], 200, 200))[..3000]);
        Refused(folder["notes.jpg"], "is not a picture but a text file");
        Refused(folder["empty.png"], "is empty");
        Refused(folder["noise.png"], "is not a picture that can be read here");
        Refused(folder["clip.mp4"], "cannot be decoded");
        Refused("/dev/zero", "has more than 512 MiB");
        Refused(folder["half.jpg"], "is cut short");
        Refused(folder["missing.jpg"], "does not exist");
        Refused(folder.Path, "is a folder, not a picture");
    }

    [Test]
    public void A_small_file_that_claims_a_huge_picture_is_refused_before_memory_is_taken()
    {
        using var folder = new TemporaryFolder();
        var bmp = TestPictures.Bmp(1, 1, 0, 0, 0);
        BitConverter.TryWriteBytes(bmp.AsSpan(18), 60_000);
        BitConverter.TryWriteBytes(bmp.AsSpan(22), 60_000);
        File.WriteAllBytes(folder["a.bmp"], bmp);
        var error = Assert.Throws<UserError>(() => PictureReader.Read(folder["a.bmp"]));
        Assert.That(error!.Message, Does.Contain("60000 x 60000").Or.Contain("not a picture"));
    }

    [TestCaseSource(nameof(SharedPictures))]
    public void A_jpeg_decodes_to_the_references_bytes(string name)
    {
        // image_u8_hwc was decoded by PIL through libjpeg, as Skia does it: the same integer transform and upsampling.
        var image = PictureReader.Read(Shared($"data/garments/{name}.jpg")).Image;
        var golden = File.ReadAllBytes(Shared("golden/clip_preprocess.safetensors"));
        var start = 8 + BitConverter.ToInt32(golden);
        Assert.That((image.Width, image.Height), Is.EqualTo((512, 640)));
        Assert.That(image.Data, Is.EqualTo(golden[start..(start + image.Data.Length)]));
    }

    private static void Run(string program, params string[] arguments)
    {
        using var process = System.Diagnostics.Process.Start(program, arguments);
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.Zero);
    }

    private static void Refused(string path, string message)
    {
        var error = Assert.Throws<UserError>(() => PictureReader.Read(path));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(error!.ExitCode, Is.EqualTo(ExitCode.Input));
            Assert.That(error.Message, Does.StartWith(path).And.Contains(message));
        }
    }

    private static Span<byte> Corner(Rgb8Image image, string corner) =>
        image[corner[0] == '0' ? 4 : image.Width - 5, corner[1] == '0' ? 4 : image.Height - 5];

    private static string Shared(string path) => Path.Combine(Places.SourceTree!, "..", "shared", path);
}
