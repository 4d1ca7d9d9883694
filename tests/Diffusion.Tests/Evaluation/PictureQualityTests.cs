// PSNR and SSIM against hand-computed cases, a second formula, another library's numbers, and what must always hold.
using CsCheck;
using FashionFlow.Diffusion.Evaluation;
using FashionFlow.Diffusion.Preprocessing;

namespace FashionFlow.Diffusion.Tests.Evaluation;

public class PictureQualityTests
{
    private static readonly Gen<Rgb8Image> AnyPicture =
        Gen.Select(Gen.Int[11, 30], Gen.Int[11, 30]).SelectMany((w, h) => Gen.Byte.Array[w * h * 3].Select(data => new Rgb8Image(w, h, data)));

    private static readonly Gen<(Rgb8Image A, Rgb8Image B)> AnyPair =
        Gen.Select(Gen.Int[11, 30], Gen.Int[11, 30]).SelectMany((w, h) => Gen.Select(
            Gen.Byte.Array[w * h * 3], Gen.Byte.Array[w * h * 3], (a, b) => (new Rgb8Image(w, h, a), new Rgb8Image(w, h, b))));

    [Test]
    public void Psnr_of_a_known_error()
    {
        // One channel of one of two pixels is off by 6: 36 / 6 = 6 squared levels. 10 log10(65025 / 6) = 40.3493.
        var (a, b) = (Flat(2, 1, 100), Flat(2, 1, 100));
        b[1, 0][2] = 106;
        using (Assert.EnterMultipleScope())
        {
            Assert.That(PictureQuality.MeanSquaredError(a, b), Is.EqualTo(6));
            Assert.That(PictureQuality.Psnr(a, b), Is.EqualTo(40.3493).Within(5e-5), "printed digits");
            Assert.That(PictureQuality.Psnr(Flat(3, 3, 0), Flat(3, 3, 255)), Is.Zero, "all wrong");
            Assert.That(PictureQuality.Psnr(a, a), Is.EqualTo(double.PositiveInfinity));
        }
    }

    [Test]
    public void Ssim_of_flat_pictures_is_that_of_their_lightness_alone()
    {
        // No variance: (2 * 100 * 150 + C1) / (100^2 + 150^2 + C1) with C1 = (0.01 * 255)^2 = 6.5025. Variances are differences of
        // numbers up to 150^2, rounded to 3e-12, beside C2 = 58.5.
        Assert.That(PictureQuality.Ssim(Flat(16, 12, 100), Flat(16, 12, 150)), Is.EqualTo(30006.5025 / 32506.5025).Within(1e-12));
        Assert.That(PictureQuality.Ssim(Flat(11, 11, 0), Flat(11, 11, 255)), Is.EqualTo(6.5025 / (65025 + 6.5025)).Within(1e-12));
    }

    // scikit-image 0.19.3: structural_similarity(..., gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255)
    // of 0.299 R + 0.587 G + 0.114 B, and peak_signal_noise_ratio; both in double, sums in another order.
    [TestCase(11, 11, 1, 9, 0.9982385741660632, 33.46535440165783)]
    [TestCase(24, 17, 1, 9, 0.9980092139177249, 33.435230338915375)]
    [TestCase(40, 33, 2, 40, 0.9284193431110864, 21.147010036766755)]
    public void Another_library_finds_the_same(int width, int height, int k, int noise, double ssim, double psnr)
    {
        var (a, b) = (new Rgb8Image(width, height), new Rgb8Image(width, height));
        for (var y = 0; y < height; y++)
        {
            for (var x = 0; x < width; x++)
            {
                for (var c = 0; c < 3; c++)
                {
                    a[x, y][c] = (byte)((x * x * 3) + (y * 17) + (c * 50) + (x * y * k));
                    b[x, y][c] = (byte)Math.Clamp(a[x, y][c] + (((x * 7) + (y * 11) + (c * 5)) % ((2 * noise) + 1)) - noise, 0, 255);
                }
            }
        }

        using (Assert.EnterMultipleScope())
        {
            Assert.That(PictureQuality.Ssim(a, b), Is.EqualTo(ssim).Within(1e-12));
            Assert.That(PictureQuality.Psnr(a, b), Is.EqualTo(psnr).Within(1e-12));
        }
    }

    // The definition with its two-dimensional window, centred sums and no blur: what is rounded is rounded elsewhere.
    [Test]
    public void Ssim_is_what_its_definition_says() =>
        AnyPair.Sample(pair => Math.Abs(PictureQuality.Ssim(pair.A, pair.B) - ByDefinition(pair.A, pair.B)) < 1e-11, iter: 30, threads: 1);

    [Test]
    public void Equal_pictures_have_a_similarity_of_one() =>
        AnyPicture.Sample(picture => Math.Abs(PictureQuality.Ssim(picture, picture) - 1) < 1e-12, iter: 50, threads: 1);

    [Test]
    public void Measures_are_symmetric_and_bounded() =>
        AnyPair.Sample(
            pair =>
            {
                var (ssim, psnr) = (PictureQuality.Ssim(pair.A, pair.B), PictureQuality.Psnr(pair.A, pair.B));
                return ssim == PictureQuality.Ssim(pair.B, pair.A) && psnr == PictureQuality.Psnr(pair.B, pair.A) && ssim is >= -1 and <= 1 && psnr >= 0;
            },
            iter: 50,
            threads: 1);

    // Mirroring both pictures mirrors the windows; the sum is then taken in another order.
    [Test]
    public void Mirroring_both_changes_nothing() =>
        AnyPair.Sample(
            pair => Math.Abs(PictureQuality.Ssim(Mirror(pair.A), Mirror(pair.B)) - PictureQuality.Ssim(pair.A, pair.B)) < 1e-12
                && PictureQuality.MeanSquaredError(Mirror(pair.A), Mirror(pair.B)) == PictureQuality.MeanSquaredError(pair.A, pair.B),
            iter: 50,
            threads: 1);

    [Test]
    public void More_noise_is_less_alike() =>
        AnyPair.Sample(
            pair =>
            {
                var (little, much) = (Blend(pair.A, pair.B, 0.2), Blend(pair.A, pair.B, 0.8));
                return PictureQuality.Psnr(pair.A, little) > PictureQuality.Psnr(pair.A, much) && PictureQuality.Ssim(pair.A, little) > PictureQuality.Ssim(pair.A, much);
            },
            iter: 50,
            threads: 1);

    [Test]
    public void What_cannot_be_compared_is_refused()
    {
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => PictureQuality.Psnr(Flat(2, 3, 0), Flat(3, 2, 0)), Throws.ArgumentException.With.Message.StartsWith("Pictures of 2x3 and 3x2 cannot be compared."));
            Assert.That(() => PictureQuality.Ssim(Flat(12, 11, 0), Flat(11, 12, 0)), Throws.ArgumentException);
            Assert.That(() => PictureQuality.Ssim(Flat(10, 40, 0), Flat(10, 40, 0)), Throws.ArgumentException.With.Message.StartsWith("SSIM needs pictures of at least 11x11 pixels, not 10x40."));
        }
    }

    private static Rgb8Image Flat(int width, int height, byte level)
    {
        var picture = new Rgb8Image(width, height);
        Array.Fill(picture.Data, level);
        return picture;
    }

    private static Rgb8Image Mirror(Rgb8Image picture)
    {
        var result = new Rgb8Image(picture.Width, picture.Height);
        for (var y = 0; y < picture.Height; y++)
        {
            for (var x = 0; x < picture.Width; x++)
            {
                picture[x, y].CopyTo(result[picture.Width - 1 - x, y]);
            }
        }

        return result;
    }

    private static Rgb8Image Blend(Rgb8Image a, Rgb8Image b, double share) =>
        new(a.Width, a.Height, [.. a.Data.Zip(b.Data, (x, y) => (byte)Math.Round(x + ((y - x) * share)))]);

    private static double ByDefinition(Rgb8Image a, Rgb8Image b)
    {
        var sum = 0.0;
        for (var top = 0; top <= a.Height - 11; top++)
        {
            for (var left = 0; left <= a.Width - 11; left++)
            {
                var taps = (from y in Enumerable.Range(0, 11) from x in Enumerable.Range(0, 11)
                    select (W: Math.Exp(-(((x - 5) * (x - 5)) + ((y - 5) * (y - 5))) / 4.5), A: Luma(a, left + x, top + y), B: Luma(b, left + x, top + y))).ToArray();
                var total = taps.Sum(t => t.W);
                var (ma, mb) = (taps.Sum(t => t.W * t.A) / total, taps.Sum(t => t.W * t.B) / total);
                var (va, vb) = (taps.Sum(t => t.W * (t.A - ma) * (t.A - ma)) / total, taps.Sum(t => t.W * (t.B - mb) * (t.B - mb)) / total);
                var covariance = taps.Sum(t => t.W * (t.A - ma) * (t.B - mb)) / total;
                sum += ((2 * ma * mb) + 6.5025) * ((2 * covariance) + 58.5225) / (((ma * ma) + (mb * mb) + 6.5025) * (va + vb + 58.5225));
            }
        }

        return sum / ((a.Height - 10) * (a.Width - 10));
    }

    private static double Luma(Rgb8Image picture, int x, int y) => picture[x, y] is [var r, var g, var b] ? (0.299 * r) + (0.587 * g) + (0.114 * b) : double.NaN;
}
