// Pillow's 8-bit resampling, to the bit: the reference was trained on pictures that Pillow had resized.
namespace FashionFlow.Diffusion.Preprocessing;

/// <summary>The filters of Pillow that the reference uses.</summary>
public enum ResampleFilter
{
    /// <summary>The triangle filter: support 1.</summary>
    Bilinear,

    /// <summary>The Catmull-Rom cubic (a = -0.5): support 2.</summary>
    Bicubic,
}

/// <summary>
/// Resizes pictures with the very bytes of <c>PIL.Image.resize</c>. Two passes, rows first, each rounded to 8 bits; the
/// filter widens with the reduction (antialiasing); weights are rounded to 22 fractional bits. Algorithm: Pillow,
/// <c>src/libImaging/Resample.c</c> (checked against outputs of Pillow 9.4).
/// </summary>
public static class PillowResampler
{
    // 32 bits less 8 for the pixel and 2 for the cubic's overshoot.
    private const int PrecisionBits = 32 - 8 - 2;

    private const int Half = 1 << (PrecisionBits - 1);

    /// <summary>Resizes to <paramref name="width"/> x <paramref name="height"/>. A side that keeps its size is not filtered.</summary>
    /// <exception cref="ArgumentException">A side is not positive.</exception>
    public static Rgb8Image Resize(Rgb8Image image, int width, int height, ResampleFilter filter)
    {
        if (width <= 0 || height <= 0)
        {
            throw new ArgumentException($"A picture cannot be resized to {width}x{height}.");
        }

        var rows = width == image.Width ? image : ResizeRows(image, width, filter);
        if (height != image.Height)
        {
            return ResizeColumns(rows, height, filter);
        }

        return ReferenceEquals(rows, image) ? new Rgb8Image(width, height, [.. image.Data]) : rows;
    }

    private static Rgb8Image ResizeRows(Rgb8Image image, int width, ResampleFilter filter)
    {
        var taps = Taps.Compute(image.Width, width, filter);
        var result = new Rgb8Image(width, image.Height);
        for (var y = 0; y < image.Height; y++)
        {
            var source = image.Row(y);
            var target = result.Row(y);
            for (var x = 0; x < width; x++)
            {
                int red = Half, green = Half, blue = Half;
                var at = taps.First[x] * 3;
                foreach (var weight in taps.Weights(x))
                {
                    red += source[at] * weight;
                    green += source[at + 1] * weight;
                    blue += source[at + 2] * weight;
                    at += 3;
                }

                target[x * 3] = ToByte(red);
                target[(x * 3) + 1] = ToByte(green);
                target[(x * 3) + 2] = ToByte(blue);
            }
        }

        return result;
    }

    private static Rgb8Image ResizeColumns(Rgb8Image image, int height, ResampleFilter filter)
    {
        var taps = Taps.Compute(image.Height, height, filter);
        var result = new Rgb8Image(image.Width, height);
        // A row of sums, so that every source row is read from front to back.
        var sums = new int[image.Width * 3];
        for (var y = 0; y < height; y++)
        {
            Array.Fill(sums, Half);
            var row = taps.First[y];
            foreach (var weight in taps.Weights(y))
            {
                var source = image.Row(row++);
                for (var i = 0; i < sums.Length; i++)
                {
                    sums[i] += source[i] * weight;
                }
            }

            var target = result.Row(y);
            for (var i = 0; i < sums.Length; i++)
            {
                target[i] = ToByte(sums[i]);
            }
        }

        return result;
    }

    private static byte ToByte(int sum) => (byte)Math.Clamp(sum >> PrecisionBits, 0, 255);

    // For each output position: the first input position and the fixed-point weights from there on.
    private sealed class Taps
    {
        private readonly int[] _weights;
        private readonly int[] _counts;
        private readonly int _stride;

        private Taps(int outputSize, int stride)
        {
            _weights = new int[outputSize * stride];
            _counts = new int[outputSize];
            _stride = stride;
            First = new int[outputSize];
        }

        public int[] First { get; }

        public ReadOnlySpan<int> Weights(int position) => _weights.AsSpan(position * _stride, _counts[position]);

        public static Taps Compute(int inputSize, int outputSize, ResampleFilter filter)
        {
            var scale = (double)inputSize / outputSize;
            var filterScale = Math.Max(scale, 1.0);
            var support = (filter == ResampleFilter.Bilinear ? 1.0 : 2.0) * filterScale;
            var taps = new Taps(outputSize, ((int)Math.Ceiling(support) * 2) + 1);
            var exact = new double[taps._stride];
            for (var position = 0; position < outputSize; position++)
            {
                var center = (position + 0.5) * scale;
                // The casts truncate towards zero, as C's do: below zero that differs from rounding, and the clamp hides it.
                var first = Math.Max((int)(center - support + 0.5), 0);
                var count = Math.Min((int)(center + support + 0.5), inputSize) - first;
                var inverse = 1.0 / filterScale;
                var sum = 0.0;
                for (var i = 0; i < count; i++)
                {
                    exact[i] = Weight(filter, (i + first - center + 0.5) * inverse);
                    sum += exact[i];
                }

                taps.First[position] = first;
                taps._counts[position] = count;
                for (var i = 0; i < count; i++)
                {
                    var weight = sum != 0.0 ? exact[i] / sum : exact[i];
                    taps._weights[(position * taps._stride) + i] = (int)((weight < 0 ? -0.5 : 0.5) + (weight * (1 << PrecisionBits)));
                }
            }

            return taps;
        }

        private static double Weight(ResampleFilter filter, double x)
        {
            const double A = -0.5;
            x = Math.Abs(x);
            if (filter == ResampleFilter.Bilinear)
            {
                return x < 1.0 ? 1.0 - x : 0.0;
            }

            return x switch
            {
                < 1.0 => ((((A + 2.0) * x) - (A + 3.0)) * x * x) + 1.0,
                < 2.0 => (((((x - 5.0) * x) + 8.0) * x) - 4.0) * A,
                _ => 0.0,
            };
        }
    }
}
