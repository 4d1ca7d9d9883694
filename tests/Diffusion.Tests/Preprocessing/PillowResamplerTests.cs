// Pillow's bytes, exactly: rounding, clamping and the widened filter are all part of the contract.
using CsCheck;
using FashionFlow.Diffusion.Preprocessing;

namespace FashionFlow.Diffusion.Tests.Preprocessing;

public sealed class PillowResamplerTests
{
    private static IEnumerable<string> InTree => GoldenPictures.InTree.Resized;

    private static IEnumerable<string> Full => GoldenPictures.Full?.Resized ?? [];

    [TestCaseSource(nameof(InTree))]
    public void Bytes_are_Pillows(string name) => Check(GoldenPictures.InTree, name);

    [TestCaseSource(nameof(Full))]
    public void Bytes_are_Pillows_on_every_golden_size(string name) => Check(GoldenPictures.Full!, name);

    [Test]
    public void A_size_kept_is_a_copy()
    {
        var picture = GoldenPictures.InTree.Picture("pil.in_u8_hwc");
        var result = PillowResampler.Resize(picture, picture.Width, picture.Height, ResampleFilter.Bicubic);
        Assert.That(result.Data, Is.EqualTo(picture.Data));
        Assert.That(result.Data, Is.Not.SameAs(picture.Data));
    }

    // Weights sum to one up to their 22 bits, so a picture of one colour keeps it, at any size, under any filter.
    [Test]
    public void One_colour_stays_that_colour() =>
        Gen.Select(Gen.Int[1, 40], Gen.Int[1, 40], Gen.Int[1, 90], Gen.Int[1, 90], Gen.Byte, Gen.Enum<ResampleFilter>())
            .Sample((width, height, toWidth, toHeight, value, filter) =>
            {
                var picture = new Rgb8Image(width, height);
                Array.Fill(picture.Data, value);
                return PillowResampler.Resize(picture, toWidth, toHeight, filter).Data.All(b => b == value);
            });

    // Both passes treat the two axes alike, but the row pass is rounded first: only pictures that vary along one axis commute.
    [Test]
    public void Rows_and_columns_are_filtered_alike() =>
        Gen.Select(Gen.Byte.Array[1, 50], Gen.Int[1, 120], Gen.Enum<ResampleFilter>()).Sample((values, to, filter) =>
        {
            var wide = new Rgb8Image(values.Length, 1, [.. values.SelectMany(v => new[] { v, v, v })]);
            var tall = new Rgb8Image(1, values.Length, wide.Data);
            return PillowResampler.Resize(wide, to, 1, filter).Data.SequenceEqual(PillowResampler.Resize(tall, 1, to, filter).Data);
        });

    [Test]
    public void A_size_that_cannot_be_is_refused() =>
        Assert.That(
            () => PillowResampler.Resize(new Rgb8Image(2, 2), 0, 5, ResampleFilter.Bilinear),
            Throws.ArgumentException.With.Message.EqualTo("A picture cannot be resized to 0x5."));

    private static void Check(GoldenPictures golden, string name)
    {
        var expected = golden.Picture(name);
        var filter = name.Contains("bicubic", StringComparison.Ordinal) ? ResampleFilter.Bicubic : ResampleFilter.Bilinear;
        var result = PillowResampler.Resize(golden.Picture("pil.in_u8_hwc"), expected.Width, expected.Height, filter);
        Assert.That(result.Data, Is.EqualTo(expected.Data));
    }
}
