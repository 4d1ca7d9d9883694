// The three ways to the model's size: what is kept, what is lost, what is white.
using CsCheck;
using FashionFlow.Diffusion.Preprocessing;

namespace FashionFlow.Diffusion.Tests.Preprocessing;

public sealed class PictureFitterTests
{
    [Test]
    public void Stretch_is_the_references_resize()
    {
        var picture = GoldenPictures.InTree.Picture("pil.in_u8_hwc");
        Assert.That(
            PictureFitter.Fit(picture, 40, 24, PictureFit.Stretch).Data,
            Is.EqualTo(PillowResampler.Resize(picture, 40, 24, ResampleFilter.Bilinear).Data));
    }

    // Columns 0 to 9 of a 10 x 4 picture; of a square its middle four are left, of a standing 2 x 4 the middle two.
    [TestCase(4, 4, new[] { 3, 4, 5, 6 })]
    [TestCase(2, 4, new[] { 4, 5 })]
    [TestCase(10, 4, new[] { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 })]
    public void Crop_keeps_the_middle(int width, int height, int[] columns)
    {
        var picture = new Rgb8Image(10, 4);
        for (var i = 0; i < picture.Data.Length; i++)
        {
            picture.Data[i] = (byte)(i / 3 % 10);
        }

        var result = PictureFitter.Fit(picture, width, height, PictureFit.Crop);
        for (var y = 0; y < height; y++)
        {
            Assert.That(Enumerable.Range(0, width).Select(x => (int)result[x, y][1]), Is.EqualTo(columns));
        }
    }

    // A grey 8 x 4 picture in an 8 x 8 one: two rows of white above, two below; turned by 90 degrees, two columns on either side.
    [TestCase(8, 4)]
    [TestCase(4, 8)]
    public void Pad_keeps_everything_and_adds_white(int width, int height)
    {
        var picture = new Rgb8Image(width, height);
        Array.Fill(picture.Data, (byte)90);
        var result = PictureFitter.Fit(picture, 8, 8, PictureFit.Pad);
        for (var y = 0; y < 8; y++)
        {
            for (var x = 0; x < 8; x++)
            {
                var across = width > height ? y : x;
                Assert.That(result[x, y].ToArray(), Is.All.EqualTo(across is >= 2 and < 6 ? 90 : 255), $"{x}, {y}");
            }
        }
    }

    [Test]
    public void Any_picture_comes_out_at_the_size_and_of_one_colour_where_nothing_is_padded() =>
        Gen.Select(Gen.Int[1, 60], Gen.Int[1, 60], Gen.Int[1, 60], Gen.Int[1, 60], Gen.Enum<PictureFit>())
            .Sample((width, height, toWidth, toHeight, fit) =>
            {
                var picture = new Rgb8Image(width, height);
                Array.Fill(picture.Data, (byte)77);
                var result = PictureFitter.Fit(picture, toWidth, toHeight, fit);
                return (result.Width, result.Height) == (toWidth, toHeight)
                    && Array.TrueForAll(result.Data, b => b == 77 || (fit == PictureFit.Pad && b == 255))
                    && Array.IndexOf(result.Data, (byte)77) >= 0;
            });

    [Test]
    public void A_picture_of_the_models_proportions_is_the_same_by_all_three()
    {
        var picture = GoldenPictures.InTree.Picture("pil.in_u8_hwc");
        var (width, height) = (picture.Width * 2, picture.Height * 2);
        var stretched = PictureFitter.Fit(picture, width, height, PictureFit.Stretch).Data;
        Assert.That(PictureFitter.Fit(picture, width, height, PictureFit.Crop).Data, Is.EqualTo(stretched));
        Assert.That(PictureFitter.Fit(picture, width, height, PictureFit.Pad).Data, Is.EqualTo(stretched));
    }
}
