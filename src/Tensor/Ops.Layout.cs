// Operators that move elements without changing them: joining, cutting, permuting, folding, resampling.
using FashionFlow.Gpu;
using FashionFlow.Gpu.Kernels;

namespace FashionFlow.Tensors;

public static partial class Ops
{
    /// <summary>Most axes that <see cref="Permute"/> takes, once neighbours that stay together are counted as one.</summary>
    private const int MaxPermutedAxes = 6;

    /// <summary>a [.., ca] times a factor, joined with b [.., cb] along the channels: [.., ca + cb].</summary>
    public static Tensor ConcatChannels(Tensor a, double aScale, Tensor b)
    {
        RequireAlike(a, b);
        var rank = a.Shape.Rank;
        Require(
            rank > 0 && b.Shape.Rank == rank && a.Shape.Lengths[..^1].SequenceEqual(b.Shape.Lengths[..^1]),
            $"shapes {a.Shape} and {b.Shape} differ in more than their channels");
        return Concat(a, aScale, b, a.Shape.With(-1, a.Shape[-1] + b.Shape[-1]), rank - 1);
    }

    /// <summary>a [b, n1, c] and b [b, n2, c] joined along the tokens: [b, n1 + n2, c].</summary>
    public static Tensor ConcatTokens(Tensor a, Tensor b)
    {
        RequireAlike(a, b);
        Require(
            a.Shape.Rank == 3 && b.Shape.Rank == 3 && a.Shape[0] == b.Shape[0] && a.Shape[2] == b.Shape[2],
            $"shapes {a.Shape} and {b.Shape}, expected [b, n1, c] and [b, n2, c]");
        return Concat(a, 1, b, a.Shape.With(1, a.Shape[1] + b.Shape[1]), 1);
    }

    /// <summary>A range of the channels of x [.., c]: [.., length].</summary>
    public static Tensor SliceChannels(Tensor x, int start, int length)
    {
        RequireFloatingOrHalf(x);
        Require(x.Shape.Rank > 0 && start >= 0 && length >= 0 && start <= x.Shape[-1] - length, $"no {length} channels from {start} in {x.Shape}");
        var y = Like(x, x.Shape.With(-1, length));
        if (y.Count == 0)
        {
            return y;
        }

        var channels = x.Shape[-1];
        var rows = (int)(x.Count / channels);
        var (stream, launch) = (y.Context.Stream, CoverRows(rows, length));
        switch (y.DType)
        {
            case DType.Float32:
                LayoutKernels.SliceChannelsF32(stream, launch, x.Pointer<float>(), y.Pointer<float>(), rows, channels, start, length);
                return y;
            case DType.Float64:
                LayoutKernels.SliceChannelsF64(stream, launch, x.Pointer<double>(), y.Pointer<double>(), rows, channels, start, length);
                return y;
            default:
                LayoutHalfKernels.SliceChannelsU16(stream, launch, Words(x), Words(y), rows, channels, start, length);
                return y;
        }
    }

    /// <summary>
    /// The axes of x in another order: axis i of the result is axis <c>axes[i]</c> of x. Where no element moves, the result
    /// shares x's memory.
    /// </summary>
    public static Tensor Permute(Tensor x, params int[] axes)
    {
        RequireFloatingOrHalf(x);
        var rank = x.Shape.Rank;
        Require(
            axes.Length == rank && axes.Order().SequenceEqual(Enumerable.Range(0, rank)),
            $"[{string.Join(", ", axes)}] is no order of the axes of {x.Shape}");
        Shape shape = [.. axes.Select(axis => x.Shape[axis])];
        if (x.Count == 0)
        {
            return Like(x, shape);
        }

        var (lengths, order) = MergeAxes(x.Shape, axes);
        return order switch
        {
            [] or [0] => x.Reshape(shape),
            [1, 0] => SwapAxes(x, 1, lengths[0], lengths[1], 1, shape),
            [0, 2, 1] => SwapAxes(x, lengths[0], lengths[1], lengths[2], 1, shape),
            [1, 0, 2] => SwapAxes(x, 1, lengths[0], lengths[1], lengths[2], shape),
            [0, 2, 1, 3] => SwapAxes(x, lengths[0], lengths[1], lengths[2], lengths[3], shape),
            _ => PermuteAny(x, lengths, order, shape),
        };
    }

    /// <summary>[b, f, h, w, c] to [b, f, h/p, w/p, p*p*c], the new channels in the order (row in patch, column in patch, c).</summary>
    public static Tensor SpaceToDepth(Tensor x, int patch = 2)
    {
        RequireFloatingOrHalf(x);
        RequireRank(x, 5, "[b, f, h, w, c]");
        Require(patch > 0 && x.Shape[2] % patch == 0 && x.Shape[3] % patch == 0, $"height and width of {x.Shape} are not divisible by {patch}");
        var (b, f, h, w, c) = (x.Shape[0], x.Shape[1], x.Shape[2] / patch, x.Shape[3] / patch, x.Shape[4]);
        return SwapAxes(x, b * f * h, patch, w, patch * c, [b, f, h, w, patch * patch * c]);
    }

    /// <summary>The inverse of <see cref="SpaceToDepth"/>: [b, f, h, w, p*p*c] to [b, f, h*p, w*p, c].</summary>
    public static Tensor DepthToSpace(Tensor x, int patch = 2)
    {
        RequireFloatingOrHalf(x);
        RequireRank(x, 5, "[b, f, h, w, p*p*c]");
        Require(patch > 0 && x.Shape[4] % (patch * patch) == 0, $"the channels of {x.Shape} are not divisible by {patch}*{patch}");
        var (b, f, h, w, c) = (x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3], x.Shape[4] / (patch * patch));
        return SwapAxes(x, b * f * h, w, patch, patch * c, [b, f, h * patch, w * patch, c]);
    }

    /// <summary>[b, f, h, w, c] to [b, f/2, h, w, 2*c], the new channels in the order (frame in pair, c).</summary>
    public static Tensor FoldFrames(Tensor x)
    {
        RequireFloatingOrHalf(x);
        RequireRank(x, 5, "[b, f, h, w, c]");
        Require(x.Shape[1] % 2 == 0, $"the number of frames of {x.Shape} is odd");
        var (b, f, h, w, c) = (x.Shape[0], x.Shape[1] / 2, x.Shape[2], x.Shape[3], x.Shape[4]);
        return SwapAxes(x, b * f, 2, h * w, c, [b, f, h, w, 2 * c]);
    }

    /// <summary>The inverse of <see cref="FoldFrames"/>: [b, f, h, w, 2*c] to [b, 2*f, h, w, c].</summary>
    public static Tensor UnfoldFrames(Tensor x)
    {
        RequireFloatingOrHalf(x);
        RequireRank(x, 5, "[b, f, h, w, 2*c]");
        Require(x.Shape[4] % 2 == 0, $"the number of channels of {x.Shape} is odd");
        var (b, f, h, w, c) = (x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3], x.Shape[4] / 2);
        return SwapAxes(x, b * f, h * w, 2, c, [b, 2 * f, h, w, c]);
    }

    /// <summary>Each pixel of x [n, h, w, c] four times: [n, 2h, 2w, c].</summary>
    public static Tensor UpsampleNearest2x(Tensor x)
    {
        RequireFloatingOrHalf(x);
        RequireRank(x, 4, "[n, h, w, c]");
        Require(x.Count <= MaxCount / 4, $"four times the elements of {x.Shape} are more than {MaxCount}");
        var (n, h, w, c) = (x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3]);
        var y = Like(x, [n, 2 * h, 2 * w, c]);
        if (y.Count == 0)
        {
            return y;
        }

        var launch = CoverRows(n * h * w, c);
        switch (y.DType)
        {
            case DType.Float32:
                LayoutKernels.UpsampleNearest2xF32(y.Context.Stream, launch, x.Pointer<float>(), y.Pointer<float>(), n * h, w, c);
                return y;
            case DType.Float64:
                LayoutKernels.UpsampleNearest2xF64(y.Context.Stream, launch, x.Pointer<double>(), y.Pointer<double>(), n * h, w, c);
                return y;
            default:
                LayoutHalfKernels.UpsampleNearest2xU16(y.Context.Stream, launch, Words(x), Words(y), n * h, w, c);
                return y;
        }
    }

    /// <summary>The largest of each 2x2 block of x [n, h, w, c]: [n, h/2, w/2, c]; an odd last row or column is left out, a NaN wins.</summary>
    public static Tensor MaxPool2x2(Tensor x)
    {
        RequireFloatingOrHalf(x);
        RequireRank(x, 4, "[n, h, w, c]");
        var (n, h, w, c) = (x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3]);
        var y = Like(x, [n, h / 2, w / 2, c]);
        if (y.Count == 0)
        {
            return y;
        }

        var launch = CoverRows(n * (h / 2) * (w / 2), c);
        switch (y.DType)
        {
            case DType.Float32:
                LayoutKernels.MaxPool2x2F32(y.Context.Stream, launch, x.Pointer<float>(), y.Pointer<float>(), n, h, w, c);
                return y;
            case DType.Float64:
                LayoutKernels.MaxPool2x2F64(y.Context.Stream, launch, x.Pointer<double>(), y.Pointer<double>(), n, h, w, c);
                return y;
            case DType.Float16:
                LayoutHalfKernels.MaxPool2x2F16(y.Context.Stream, launch, x.Pointer<Half>(), y.Pointer<Half>(), n, h, w, c);
                return y;
            default:
                LayoutHalfKernels.MaxPool2x2Bf16(y.Context.Stream, launch, x.Pointer<BFloat16>(), y.Pointer<BFloat16>(), n, h, w, c);
                return y;
        }
    }

    /// <summary>Joins two tensors along an axis. Everything from that axis on is one row to the kernel.</summary>
    private static Tensor Concat(Tensor a, double aScale, Tensor b, Shape shape, int axis)
    {
        var y = NewFloating(a.Context, shape, a.DType, halves: true);
        if (y.Count == 0)
        {
            return y;
        }

        var rows = (int)shape.CountBetween(0, axis);
        var (ca, cb) = ((int)(a.Count / rows), (int)(b.Count / rows));
        var launch = CoverRows(rows, ca + cb, parts: ca | cb);
        var stream = y.Context.Stream;
        switch (y.DType)
        {
            case DType.Float32:
                LayoutKernels.ConcatChannelsF32(
                    stream, launch, a.Pointer<float>(), (float)aScale, b.Pointer<float>(), y.Pointer<float>(), rows, ca, cb);
                return y;
            case DType.Float64:
                LayoutKernels.ConcatChannelsF64(stream, launch, a.Pointer<double>(), aScale, b.Pointer<double>(), y.Pointer<double>(), rows, ca, cb);
                return y;
            case DType.Float16:
                LayoutHalfKernels.ConcatChannelsF16(
                    stream, launch, a.Pointer<Half>(), (float)aScale, b.Pointer<Half>(), y.Pointer<Half>(), rows, ca, cb);
                return y;
            default:
                LayoutHalfKernels.ConcatChannelsBf16(
                    stream, launch, a.Pointer<BFloat16>(), (float)aScale, b.Pointer<BFloat16>(), y.Pointer<BFloat16>(), rows, ca, cb);
                return y;
        }
    }

    /// <summary>x seen as [outer, m, n, inner] to [outer, n, m, inner], given the result's shape.</summary>
    private static Tensor SwapAxes(Tensor x, int outer, int m, int n, int inner, Shape shape)
    {
        const int Tile = 32;
        var y = Like(x, shape);
        if (y.Count == 0)
        {
            return y;
        }

        if (inner == 1)
        {
            var launch = new LaunchShape(outer * CeilingDivide(m, Tile) * CeilingDivide(n, Tile), new Dim3(Tile, 8));
            switch (y.DType)
            {
                case DType.Float32:
                    LayoutKernels.TransposeF32(y.Context.Stream, launch, x.Pointer<float>(), y.Pointer<float>(), m, n);
                    return y;
                case DType.Float64:
                    LayoutKernels.TransposeF64(y.Context.Stream, launch, x.Pointer<double>(), y.Pointer<double>(), m, n);
                    return y;
                default:
                    LayoutHalfKernels.TransposeU16(y.Context.Stream, launch, Words(x), Words(y), m, n);
                    return y;
            }
        }

        var rows = CoverRows(outer * m * n, inner);
        switch (y.DType)
        {
            case DType.Float32:
                LayoutKernels.SwapAxesF32(y.Context.Stream, rows, x.Pointer<float>(), y.Pointer<float>(), outer, m, n, inner);
                return y;
            case DType.Float64:
                LayoutKernels.SwapAxesF64(y.Context.Stream, rows, x.Pointer<double>(), y.Pointer<double>(), outer, m, n, inner);
                return y;
            default:
                LayoutHalfKernels.SwapAxesU16(y.Context.Stream, rows, Words(x), Words(y), outer, m, n, inner);
                return y;
        }
    }

    private static Tensor PermuteAny(Tensor x, int[] lengths, int[] order, Shape shape)
    {
        Require(order.Length <= MaxPermutedAxes, $"more than {MaxPermutedAxes} groups of axes of {x.Shape} move apart", nameof(Permute));

        // Lengths and strides along the result's axes, filled up with axes of length 1 in front.
        Span<int> d = [1, 1, 1, 1, 1, 1];
        Span<int> s = stackalloc int[MaxPermutedAxes];
        for (var i = 0; i < order.Length; i++)
        {
            var axis = order[^(i + 1)];
            d[^(i + 1)] = lengths[axis];
            s[^(i + 1)] = (int)new Shape(lengths).CountBetween(axis + 1, lengths.Length);
        }

        var y = Like(x, shape);
        var n = (int)y.Count;
        switch (y.DType)
        {
            case DType.Float32:
                LayoutKernels.PermuteF32(
                    y.Context.Stream, Cover(n), x.Pointer<float>(), y.Pointer<float>(), n,
                    d[1], d[2], d[3], d[4], d[5], s[0], s[1], s[2], s[3], s[4], s[5]);
                return y;
            case DType.Float64:
                LayoutKernels.PermuteF64(
                    y.Context.Stream, Cover(n), x.Pointer<double>(), y.Pointer<double>(), n,
                    d[1], d[2], d[3], d[4], d[5], s[0], s[1], s[2], s[3], s[4], s[5]);
                return y;
            default:
                LayoutHalfKernels.PermuteU16(
                    y.Context.Stream, Cover(n), Words(x), Words(y), n,
                    d[1], d[2], d[3], d[4], d[5], s[0], s[1], s[2], s[3], s[4], s[5]);
                return y;
        }
    }

    /// <summary>
    /// The same permutation with as few axes as possible: those of length 1 dropped, and input axes that stay neighbours
    /// in the output made one. Gives the input's lengths and the order.
    /// </summary>
    private static (int[] Lengths, int[] Order) MergeAxes(Shape shape, int[] axes)
    {
        var groups = new List<(int First, int Last, int Length)>();
        foreach (var axis in axes.Where(axis => shape[axis] != 1))
        {
            var follows = groups.Count > 0 && shape.CountBetween(groups[^1].Last + 1, Math.Max(axis, groups[^1].Last + 1)) == 1 && axis > groups[^1].Last;
            if (follows)
            {
                groups[^1] = (groups[^1].First, axis, groups[^1].Length * shape[axis]);
            }
            else
            {
                groups.Add((axis, axis, shape[axis]));
            }
        }

        var byInput = groups.OrderBy(group => group.First).ToList();
        return ([.. byInput.Select(group => group.Length)], [.. groups.Select(group => byInput.IndexOf(group))]);
    }
}
