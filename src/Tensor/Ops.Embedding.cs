// From a picture's tokens to one vector of length 1, as contrastive losses compare them, and the gradients of both steps.
using System.Runtime.CompilerServices;
using FashionFlow.Gpu;
using FashionFlow.Gpu.Kernels;

namespace FashionFlow.Tensors;

public static partial class Ops
{
    /// <summary>The mean over the tokens of x [b, n, c]: [b, c].</summary>
    /// <exception cref="ArgumentException">x is not [b, n, c] with n of 1 or more, or its element type is not supported.</exception>
    public static Tensor MeanTokens(Tensor x)
    {
        RequireFloatingOrHalf(x);
        Require(x.Shape.Rank == 3 && x.Shape[1] > 0, $"x is {x.Shape}, expected [b, n, c] with tokens");
        var (b, n, c) = (x.Shape[0], x.Shape[1], x.Shape[2]);
        var y = Like(x, [b, c]);
        if (y.Count == 0)
        {
            return y;
        }

        var launch = new LaunchShape(b * CeilingDivide(c, WarpSize), new Dim3(WarpSize, RowWarps));
        var stream = y.Context.Stream;
        switch (y.DType)
        {
            case DType.Float32:
                EmbeddingKernels.MeanTokensF32(stream, launch, x.Pointer<float>(), y.Pointer<float>(), n, c);
                return y;
            case DType.Float64:
                EmbeddingKernels.MeanTokensF64(stream, launch, x.Pointer<double>(), y.Pointer<double>(), n, c);
                return y;
            case DType.Float16:
                EmbeddingHalfKernels.MeanTokensF16(stream, launch, x.Pointer<Half>(), y.Pointer<Half>(), n, c);
                return y;
            default:
                EmbeddingHalfKernels.MeanTokensBf16(stream, launch, x.Pointer<BFloat16>(), y.Pointer<BFloat16>(), n, c);
                return y;
        }
    }

    /// <summary>The gradient of <see cref="MeanTokens"/>: an n-th of the result's gradient [b, c] for every token, [b, n, c].</summary>
    public static Tensor MeanTokensBackward(Tensor gradient, int tokens)
    {
        RequireFloating(gradient);
        Require(gradient.Shape.Rank == 2, $"the gradient is {gradient.Shape}, expected [b, c]");
        Require(tokens > 0, $"{tokens} tokens have no mean");
        var (b, c) = (gradient.Shape[0], gradient.Shape[1]);
        var dx = NewFloating(gradient.Context, [b, tokens, c], gradient.DType);
        if (dx.Count == 0)
        {
            return dx;
        }

        var rows = b * tokens;
        if (dx.DType == DType.Float32)
        {
            EmbeddingKernels.MeanTokensBackwardF32(
                dx.Context.Stream, CoverRows(rows, c), gradient.Pointer<float>(), dx.Pointer<float>(), rows, tokens, c);
        }
        else
        {
            EmbeddingKernels.MeanTokensBackwardF64(
                dx.Context.Stream, CoverRows(rows, c), gradient.Pointer<double>(), dx.Pointer<double>(), rows, tokens, c);
        }

        return dx;
    }

    /// <summary>Rows of length 1: x / max(|x|, eps), |x| a row's Euclidean length.</summary>
    /// <param name="x">[n, d].</param>
    /// <param name="eps">The length at which shorter rows are taken, positive; PyTorch's by default.</param>
    /// <returns>[n, d].</returns>
    /// <exception cref="ArgumentException">x is not [n, d], eps is not positive, or the element type is not supported.</exception>
    public static Tensor NormalizeRows(Tensor x, double eps = 1e-12)
    {
        CheckRows(x, eps);
        var y = Like(x, x.Shape);
        if (y.Count == 0)
        {
            return y;
        }

        var (rows, width) = (x.Shape[0], x.Shape[1]);
        var (stream, launch) = (y.Context.Stream, CoverRowsByWarps(rows));
        switch (y.DType)
        {
            case DType.Float32:
                EmbeddingKernels.NormalizeRowsF32(stream, launch, x.Pointer<float>(), y.Pointer<float>(), rows, width, (float)eps);
                return y;
            case DType.Float64:
                EmbeddingKernels.NormalizeRowsF64(stream, launch, x.Pointer<double>(), y.Pointer<double>(), rows, width, eps);
                return y;
            case DType.Float16:
                EmbeddingHalfKernels.NormalizeRowsF16(stream, launch, x.Pointer<Half>(), y.Pointer<Half>(), rows, width, (float)eps);
                return y;
            default:
                EmbeddingHalfKernels.NormalizeRowsBf16(stream, launch, x.Pointer<BFloat16>(), y.Pointer<BFloat16>(), rows, width, (float)eps);
                return y;
        }
    }

    /// <summary>
    /// The gradient of <see cref="NormalizeRows"/> at x: (gradient - y (y . gradient)) / |x| with y = x / |x|, row by row, and
    /// gradient / eps for rows shorter than eps.
    /// </summary>
    /// <param name="x">[n, d].</param>
    /// <param name="gradient">[n, d].</param>
    /// <param name="eps">As in the operator.</param>
    /// <returns>[n, d].</returns>
    public static Tensor NormalizeRowsBackward(Tensor x, Tensor gradient, double eps = 1e-12)
    {
        RequireFloating(x);
        CheckRows(x, eps);
        RequireSameShape(x, gradient);
        var dx = Like(x, x.Shape);
        if (dx.Count == 0)
        {
            return dx;
        }

        var (rows, width) = (x.Shape[0], x.Shape[1]);
        if (dx.DType == DType.Float32)
        {
            EmbeddingKernels.NormalizeRowsBackwardF32(
                dx.Context.Stream, CoverRowsByWarps(rows), x.Pointer<float>(), gradient.Pointer<float>(), dx.Pointer<float>(), rows, width, (float)eps);
        }
        else
        {
            EmbeddingKernels.NormalizeRowsBackwardF64(
                dx.Context.Stream, CoverRowsByWarps(rows), x.Pointer<double>(), gradient.Pointer<double>(), dx.Pointer<double>(), rows, width, eps);
        }

        return dx;
    }

    private static void CheckRows(Tensor x, double eps, [CallerMemberName] string operation = "")
    {
        RequireFloatingOrHalf(x, operation);
        RequireRank(x, 2, "[n, d]", operation);
        Require(eps > 0, $"eps {eps} is not positive", operation);
    }
}
