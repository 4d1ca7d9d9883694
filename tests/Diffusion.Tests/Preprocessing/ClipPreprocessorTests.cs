// CLIP preprocessing against the reference's, both ways of scaling, and its geometry on pictures of any shape.
using CsCheck;
using FashionFlow.Diffusion.Preprocessing;

namespace FashionFlow.Diffusion.Tests.Preprocessing;

public sealed class ClipPreprocessorTests
{
    private static IEnumerable<TestCaseData> Golden => GoldenPictures.Full is not null
        ?
        [
            new TestCaseData("faithful.pixel_values", ClipRescaling.Faithful),
            new TestCaseData("fixed.pixel_values", ClipRescaling.Fixed),
        ]
        : [];

    private static IEnumerable<string> Resized => GoldenPictures.Full is not null ? ["resized_u8_hwc"] : [];

    [TestCaseSource(nameof(Resized))]
    public void The_resized_bytes_are_the_references(string name)
    {
        var golden = GoldenPictures.Full!;
        var resized = new ClipPreprocessor().ResizeShortestEdge(golden.Picture("image_u8_hwc"));
        Assert.That((resized.Width, resized.Height), Is.EqualTo((224, 280)));
        Assert.That(resized.Data, Is.EqualTo(golden.Bytes(name)));
    }

    // The same operations in the same order and precision as the reference: the same bits.
    [TestCaseSource(nameof(Golden))]
    public void The_pixel_values_are_the_references(string name, ClipRescaling rescaling)
    {
        var golden = GoldenPictures.Full!;
        var values = new ClipPreprocessor(224, rescaling).Preprocess(golden.Picture("image_u8_hwc"));
        var expected = golden.Floats(name);
        Assert.That(ToPlanes(values, 3), Is.EqualTo(expected));
    }

    [Test]
    public void Any_picture_becomes_a_square_of_normalised_values() =>
        Gen.Select(Gen.Int[1, 60], Gen.Int[1, 60], Gen.Byte, Gen.Enum<ClipRescaling>()).Sample((width, height, value, rescaling) =>
        {
            var picture = new Rgb8Image(width, height);
            Array.Fill(picture.Data, value);
            var values = new ClipPreprocessor(16, rescaling).Preprocess(picture);
            // A picture of one colour: (v/255 - mean)/std in double; float32 rounds three times at magnitudes below 2.5.
            var scaled = value / 255.0 / (rescaling == ClipRescaling.Faithful ? 255.0 : 1.0);
            double[] expected = [(scaled - 0.48145466) / 0.26862954, (scaled - 0.4578275) / 0.26130258, (scaled - 0.40821073) / 0.27577711];
            return values.Length == 16 * 16 * 3 && values.Select((v, i) => Math.Abs(v - expected[i % 3])).All(e => e < 1e-6);
        });

    [Test]
    public void The_crop_is_centred()
    {
        // Wide: 3 x 1 blocks of 8 pixels, black, white, black. The centre crop holds the white block alone, up to the filter's reach.
        var picture = new Rgb8Image(24, 8);
        for (var y = 0; y < 8; y++)
        {
            picture.Row(y).Slice(24, 24).Fill(255);
        }

        var values = new ClipPreprocessor(8, ClipRescaling.Fixed).Preprocess(picture);
        var white = (1f - 0.48145466f) / 0.26862954f;

        // Float32 rounds three times at magnitudes below 2.5.
        for (var pixel = 0; pixel < 64; pixel++)
        {
            Assert.That(values[pixel * 3], Is.EqualTo(white).Within(1e-6));
        }
    }

    private static float[] ToPlanes(float[] interleaved, int channels)
    {
        var pixels = interleaved.Length / channels;
        var result = new float[interleaved.Length];
        for (var i = 0; i < interleaved.Length; i++)
        {
            result[(i % channels * pixels) + (i / channels)] = interleaved[i];
        }

        return result;
    }
}
