// An activation of a picture that lies in host memory and passes through the device in strips of rows.
using FashionFlow.Tensors;

namespace FashionFlow.Layers;

/// <summary>A strip of rows.</summary>
/// <param name="Start">Its first row.</param>
/// <param name="Padding">What a 3x3 convolution pads: nothing on a side where the neighbour's row is there.</param>
internal readonly record struct Strip(int Start, Padding2d Padding);

/// <summary>One picture's activation [1, h, w, c] in host memory.</summary>
internal sealed class StripActivation
{
    private readonly DeviceContext _context;
    private readonly int _width;
    private readonly int _channels;
    private readonly float[] _data;

    /// <summary>Takes a whole activation [1, h, w, c] from the device.</summary>
    public StripActivation(Tensor x)
        : this(x.Context, x.Shape[1], x.Shape[2], x.Shape[3]) => x.CopyTo<float>(_data);

    private StripActivation(DeviceContext context, int height, int width, int channels)
    {
        (_context, Height, _width, _channels) = (context, height, width, channels);
        _data = new float[checked(height * width * channels)];
    }

    /// <summary>Its rows.</summary>
    public int Height { get; }

    private int RowElements => _width * _channels;

    /// <summary>Brings rows to the device: [1, count, w, c].</summary>
    public Tensor Get(int start, int count)
        => Tensor.FromArray<float>(_context, _data.AsSpan(start * RowElements, count * RowElements), [1, count, _width, _channels]);

    /// <summary>Brings strip by strip to the device, each with a row of either neighbour.</summary>
    /// <param name="rows">Rows a strip.</param>
    /// <param name="use">Gets the strip and its rows [1, r, w, c], with the neighbours'; what it makes on the device is freed behind it.</param>
    public void Walk(int rows, Action<Strip, Tensor> use)
    {
        for (var start = 0; start < Height; start += rows)
        {
            using var scope = TensorScope.Begin();
            var count = Math.Min(rows, Height - start);
            var (above, below) = (Math.Min(1, start), Math.Min(1, Height - start - count));
            use(new Strip(start, new Padding2d(1 - above, 1, 1 - below, 1)), Get(start - above, count + above + below));
        }
    }

    /// <summary>Makes another activation, strip by strip.</summary>
    /// <param name="rows">Rows a strip.</param>
    /// <param name="scale">Rows of the result for each of this one.</param>
    /// <param name="make">Makes the rows [1, r, w, c] of the result that belong to a strip.</param>
    public StripActivation Map(int rows, int scale, Func<Strip, Tensor, Tensor> make)
    {
        StripActivation? result = null;
        Walk(rows, (strip, part) =>
        {
            var made = make(strip, part);
            result ??= new StripActivation(_context, Height * scale, made.Shape[2], made.Shape[3]);
            made.CopyTo(result._data.AsSpan(strip.Start * scale * result.RowElements, made.Shape[1] * result.RowElements));
        });
        return result!;
    }

    /// <summary>
    /// The coefficients of a group norm of the whole: the strips' statistics, which the kernel gives in double, put together pairwise
    /// (Chan, Golub and LeVeque 1979).
    /// </summary>
    /// <param name="norm">The norm.</param>
    /// <param name="rows">Rows a strip.</param>
    public Tensor Coefficients(GroupNorm norm, int rows)
    {
        var (means, squares) = (new double[norm.Groups], new double[norm.Groups]);
        var seen = 0.0;
        for (var start = 0; start < Height; start += rows)
        {
            using var scope = TensorScope.Begin();
            var strip = Math.Min(rows, Height - start);
            var statistics = norm.Statistics(Get(start, strip));
            var count = (double)strip * RowElements / norm.Groups;
            for (var g = 0; g < norm.Groups; g++)
            {
                var (mean, deviation) = (statistics[2 * g], 1 / statistics[(2 * g) + 1]);
                var difference = mean - means[g];
                means[g] += difference * count / (seen + count);
                squares[g] += (((deviation * deviation) - norm.Epsilon) * count) + (difference * difference * seen * count / (seen + count));
            }

            seen += count;
        }

        var whole = new double[2 * norm.Groups];
        for (var g = 0; g < norm.Groups; g++)
        {
            (whole[2 * g], whole[(2 * g) + 1]) = (means[g], 1 / Math.Sqrt((squares[g] / seen) + norm.Epsilon));
        }

        return norm.Coefficients(whole);
    }
}
