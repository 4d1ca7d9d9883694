// How near a picture is to the true one: PSNR and SSIM, on eight-bit pictures as they are shown.
using FashionFlow.Diffusion.Preprocessing;

namespace FashionFlow.Diffusion.Evaluation;

/// <summary>Compares two pictures of one size. Sums run in a fixed order in double: the same pictures give the same bits.</summary>
public static class PictureQuality
{
    /// <summary>The side of <see cref="Ssim"/>'s window; smaller pictures have no SSIM.</summary>
    public const int SsimWindow = 11;

    private const double Peak = 255;

    // Wang, Bovik, Sheikh, Simoncelli: "Image quality assessment: from error visibility to structural similarity", 2004, section III.B.
    private const double Sigma = 1.5;
    private const double C1 = 0.01 * Peak * 0.01 * Peak;
    private const double C2 = 0.03 * Peak * 0.03 * Peak;

    private static readonly double[] Window = MakeWindow();

    /// <summary>The mean squared difference over all pixels and the three channels, in squared eight-bit levels.</summary>
    /// <exception cref="ArgumentException">The sizes differ.</exception>
    public static double MeanSquaredError(Rgb8Image a, Rgb8Image b)
    {
        RequireSameSize(a, b);
        // Whole numbers: at most 2^31 squares of at most 255.
        var sum = 0L;
        for (var i = 0; i < a.Data.Length; i++)
        {
            var difference = a.Data[i] - b.Data[i];
            sum += difference * difference;
        }

        return sum / (double)a.Data.Length;
    }

    /// <summary>
    /// The peak signal-to-noise ratio in decibels, 10 log10(255^2 / MSE), over the three channels together; positive infinity
    /// for equal pictures.
    /// </summary>
    /// <exception cref="ArgumentException">The sizes differ.</exception>
    public static double Psnr(Rgb8Image a, Rgb8Image b) => PsnrOf(MeanSquaredError(a, b));

    /// <summary>The PSNR of a mean squared error. A video's is that of the mean over its frames: means of decibels favour the best frame.</summary>
    public static double PsnrOf(double meanSquaredError) => 10 * Math.Log10(Peak * Peak / meanSquaredError);

    /// <summary>
    /// The mean structural similarity (Wang et al. 2004) of the pictures' luma, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601, not
    /// rounded): an 11 x 11 Gaussian window of standard deviation 1.5, K1 = 0.01, K2 = 0.03, L = 255, averaged over all windows
    /// that lie within the picture, as in the authors' code. 1 for equal pictures, never more.
    /// </summary>
    /// <exception cref="ArgumentException">The sizes differ, or a side is shorter than the window.</exception>
    public static double Ssim(Rgb8Image a, Rgb8Image b)
    {
        RequireSameSize(a, b);
        if (a.Width < SsimWindow || a.Height < SsimWindow)
        {
            throw new ArgumentException($"SSIM needs pictures of at least {SsimWindow}x{SsimWindow} pixels, not {a.Width}x{a.Height}.", nameof(a));
        }

        var (x, y) = (Luma(a), Luma(b));
        var (meanX, meanY) = (Blur(x, a.Width), Blur(y, a.Width));
        var (squareX, squareY, product) = (Blur(Multiply(x, x), a.Width), Blur(Multiply(y, y), a.Width), Blur(Multiply(x, y), a.Width));
        var sum = 0.0;
        for (var i = 0; i < meanX.Length; i++)
        {
            var (mx, my) = (meanX[i], meanY[i]);
            var (varianceX, varianceY, covariance) = (squareX[i] - (mx * mx), squareY[i] - (my * my), product[i] - (mx * my));
            sum += ((2 * mx * my) + C1) * ((2 * covariance) + C2) / (((mx * mx) + (my * my) + C1) * (varianceX + varianceY + C2));
        }

        return sum / meanX.Length;
    }

    internal static void RequireSameSize(Rgb8Image a, Rgb8Image b)
    {
        if ((a.Width, a.Height) != (b.Width, b.Height))
        {
            throw new ArgumentException($"Pictures of {a.Width}x{a.Height} and {b.Width}x{b.Height} cannot be compared.", nameof(b));
        }
    }

    private static double[] MakeWindow()
    {
        var weights = Enumerable.Range(-(SsimWindow / 2), SsimWindow).Select(i => Math.Exp(-(i * i) / (2 * Sigma * Sigma))).ToArray();
        var sum = weights.Sum();
        return Array.ConvertAll(weights, weight => weight / sum);
    }

    private static double[] Luma(Rgb8Image image)
    {
        var luma = new double[image.Width * image.Height];
        for (var i = 0; i < luma.Length; i++)
        {
            luma[i] = (0.299 * image.Data[i * 3]) + (0.587 * image.Data[(i * 3) + 1]) + (0.114 * image.Data[(i * 3) + 2]);
        }

        return luma;
    }

    private static double[] Multiply(double[] a, double[] b)
    {
        var product = new double[a.Length];
        for (var i = 0; i < a.Length; i++)
        {
            product[i] = a[i] * b[i];
        }

        return product;
    }

    // The window is a product of a row and a column. Each pass keeps the places where it lies within.
    private static double[] Blur(double[] values, int width)
    {
        var (height, across, down) = (values.Length / width, width - SsimWindow + 1, (values.Length / width) - SsimWindow + 1);
        var rows = new double[across * height];
        for (var y = 0; y < height; y++)
        {
            for (var x = 0; x < across; x++)
            {
                var sum = 0.0;
                for (var i = 0; i < SsimWindow; i++)
                {
                    sum += Window[i] * values[(y * width) + x + i];
                }

                rows[(y * across) + x] = sum;
            }
        }

        var result = new double[across * down];
        for (var y = 0; y < down; y++)
        {
            for (var x = 0; x < across; x++)
            {
                var sum = 0.0;
                for (var i = 0; i < SsimWindow; i++)
                {
                    sum += Window[i] * rows[((y + i) * across) + x];
                }

                result[(y * across) + x] = sum;
            }
        }

        return result;
    }
}
