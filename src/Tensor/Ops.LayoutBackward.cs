// Gradients of the operators in Ops.Layout.cs, where they are not one of those themselves.
using System.Runtime.CompilerServices;
using FashionFlow.Gpu;
using FashionFlow.Gpu.Kernels;

namespace FashionFlow.Tensors;

public static partial class Ops
{
    /// <summary>The gradients of <see cref="ConcatChannels"/>: the result's gradient [.., ca + cb] cut in two, the first part times a's factor.</summary>
    /// <param name="gradient">[.., ca + cb].</param>
    /// <param name="channels">ca.</param>
    /// <param name="aScale">The factor that a was joined with.</param>
    /// <param name="needsA">Whether a's gradient is asked for.</param>
    /// <param name="needsB">Whether b's gradient is asked for.</param>
    /// <returns>[.., ca] and [.., cb]; null for what is not asked for.</returns>
    public static (Tensor? A, Tensor? B) ConcatChannelsBackward(Tensor gradient, int channels, double aScale, bool needsA = true, bool needsB = true)
    {
        RequireFloating(gradient);
        Require(
            gradient.Shape.Rank > 0 && channels >= 0 && channels <= gradient.Shape[-1],
            $"a gradient of shape {gradient.Shape} does not begin with {channels} channels");
        return ConcatBackward(gradient, gradient.Shape.Rank - 1, channels, aScale, needsA, needsB);
    }

    /// <summary>The gradients of <see cref="ConcatTokens"/>: the result's gradient [b, n1 + n2, c] cut in two.</summary>
    /// <param name="gradient">[b, n1 + n2, c].</param>
    /// <param name="tokens">n1.</param>
    /// <param name="needsA">Whether a's gradient is asked for.</param>
    /// <param name="needsB">Whether b's gradient is asked for.</param>
    /// <returns>[b, n1, c] and [b, n2, c]; null for what is not asked for.</returns>
    public static (Tensor? A, Tensor? B) ConcatTokensBackward(Tensor gradient, int tokens, bool needsA = true, bool needsB = true)
    {
        RequireFloating(gradient);
        Require(
            gradient.Shape.Rank == 3 && tokens >= 0 && tokens <= gradient.Shape[1],
            $"a gradient of shape {gradient.Shape} does not begin with {tokens} tokens");
        return ConcatBackward(gradient, 1, tokens, 1, needsA, needsB);
    }

    /// <summary>
    /// x [.., c] times a factor, with channels of zeros before and after it: the gradient of <see cref="SliceChannels"/> and of
    /// <see cref="PosteriorMean"/>.
    /// </summary>
    /// <param name="x">[.., c].</param>
    /// <param name="start">x's first channel in the result.</param>
    /// <param name="channels">Channels of the result.</param>
    /// <param name="scale">The factor.</param>
    /// <returns>[.., channels].</returns>
    public static Tensor PadChannels(Tensor x, int start, int channels, double scale = 1)
    {
        Require(
            x.Shape.Rank > 0 && start >= 0 && start <= channels - x.Shape[-1],
            $"{x.Shape} from channel {start} on does not fit {channels} channels");
        RequireFloating(x);
        var y = NewFloating(x.Context, x.Shape.With(-1, channels), x.DType);
        if (y.Count == 0)
        {
            return y;
        }

        var (length, rows) = (x.Shape[-1], (int)(y.Count / channels));
        var launch = CoverRows(rows, channels);
        if (y.DType == DType.Float32)
        {
            LayoutBackwardKernels.PadChannelsF32(
                y.Context.Stream, launch, x.Pointer<float>(), (float)scale, y.Pointer<float>(), rows, channels, start, length);
        }
        else
        {
            LayoutBackwardKernels.PadChannelsF64(
                y.Context.Stream, launch, x.Pointer<double>(), scale, y.Pointer<double>(), rows, channels, start, length);
        }

        return y;
    }

    /// <summary>The gradient of <see cref="UpsampleNearest2x"/>: sums over 2x2 blocks of the result's gradient [n, 2h, 2w, c], [n, h, w, c].</summary>
    public static Tensor UpsampleNearest2xBackward(Tensor gradient)
    {
        RequireFloating(gradient);
        Require(
            gradient.Shape.Rank == 4 && gradient.Shape[1] % 2 == 0 && gradient.Shape[2] % 2 == 0,
            $"the gradient is {gradient.Shape}, expected [n, 2h, 2w, c]");
        var (n, h, w, c) = (gradient.Shape[0], gradient.Shape[1] / 2, gradient.Shape[2] / 2, gradient.Shape[3]);
        var dx = Like(gradient, [n, h, w, c]);
        if (dx.Count == 0)
        {
            return dx;
        }

        var launch = CoverRows(n * h * w, c);
        if (dx.DType == DType.Float32)
        {
            LayoutBackwardKernels.UpsampleNearest2xBackwardF32(
                dx.Context.Stream, launch, gradient.Pointer<float>(), dx.Pointer<float>(), n * h, w, c);
        }
        else
        {
            LayoutBackwardKernels.UpsampleNearest2xBackwardF64(
                dx.Context.Stream, launch, gradient.Pointer<double>(), dx.Pointer<double>(), n * h, w, c);
        }

        return dx;
    }

    /// <summary>
    /// The gradient of <see cref="MaxPool2x2"/> at x: each element of the result's gradient goes to the first of its window's
    /// largest in row order (the last NaN where there is one), as in PyTorch; the rest is 0.
    /// </summary>
    /// <param name="x">[n, h, w, c].</param>
    /// <param name="gradient">[n, h/2, w/2, c].</param>
    /// <returns>[n, h, w, c].</returns>
    public static Tensor MaxPool2x2Backward(Tensor x, Tensor gradient)
    {
        RequireFloating(x);
        RequireAlike(x, gradient);
        RequireRank(x, 4, "[n, h, w, c]");
        var (n, h, w, c) = (x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3]);
        Shape pooled = [n, h / 2, w / 2, c];
        Require(gradient.Shape == pooled, $"the gradient must be {pooled} for x {x.Shape}, not {gradient.Shape}");

        // The kernel writes whole windows; an odd last row or column belongs to none.
        var dx = h % 2 == 0 && w % 2 == 0 ? Like(x, x.Shape) : Tensor.Zeros(x.Context, x.Shape, x.DType);
        if (gradient.Count == 0)
        {
            return dx;
        }

        var launch = CoverRows(n * (h / 2) * (w / 2), c);
        if (dx.DType == DType.Float32)
        {
            LayoutBackwardKernels.MaxPool2x2BackwardF32(
                dx.Context.Stream, launch, x.Pointer<float>(), gradient.Pointer<float>(), dx.Pointer<float>(), n, h, w, c);
        }
        else
        {
            LayoutBackwardKernels.MaxPool2x2BackwardF64(
                dx.Context.Stream, launch, x.Pointer<double>(), gradient.Pointer<double>(), dx.Pointer<double>(), n, h, w, c);
        }

        return dx;
    }

    /// <summary>Cuts a tensor in two along an axis. Everything from that axis on is one row to the kernel.</summary>
    private static (Tensor? A, Tensor? B) ConcatBackward(Tensor gradient, int axis, int length, double aScale, bool needsA, bool needsB)
    {
        var shape = gradient.Shape;
        var a = needsA ? Like(gradient, shape.With(axis, length)) : null;
        var b = needsB ? Like(gradient, shape.With(axis, shape[axis] - length)) : null;
        if (gradient.Count == 0 || (a is null && b is null))
        {
            return (a, b);
        }

        var rows = (int)shape.CountBetween(0, axis);
        var inner = (int)shape.CountBetween(axis + 1, shape.Rank);
        var (ca, cb) = (length * inner, (shape[axis] - length) * inner);
        var launch = CoverRows(rows, ca + cb, parts: ca | cb);
        if (gradient.DType == DType.Float32)
        {
            LayoutBackwardKernels.ConcatChannelsBackwardF32(
                gradient.Context.Stream, launch, gradient.Pointer<float>(), (float)aScale, Bytes(a).Cast<float>(), Bytes(b).Cast<float>(), rows, ca, cb);
        }
        else
        {
            LayoutBackwardKernels.ConcatChannelsBackwardF64(
                gradient.Context.Stream, launch, gradient.Pointer<double>(), aScale, Bytes(a).Cast<double>(), Bytes(b).Cast<double>(), rows, ca, cb);
        }

        return (a, b);
    }
}
