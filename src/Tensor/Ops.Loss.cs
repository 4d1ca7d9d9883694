// Losses and sums to one number, and their gradients. The number stays in device memory, and so does its gradient.
using System.Runtime.CompilerServices;
using FashionFlow.Gpu;
using FashionFlow.Gpu.Kernels;

namespace FashionFlow.Tensors;

public static partial class Ops
{
    /// <summary>Elements that a block adds up in the first pass of a sum; kernels/include/ordered_sum.cuh.</summary>
    private const int SumChunk = 4096;

    private const int SumThreads = 256;

    /// <summary>Launches the first pass of a sum, which leaves a partial sum for every block.</summary>
    private delegate void FirstPass(GpuStream stream, in LaunchShape shape, DevicePointer<double> partial);

    /// <summary>The sum of all elements, added in double in an order that depends on their count alone: [1].</summary>
    /// <exception cref="ArgumentException">x is empty, or its element type is not supported.</exception>
    public static Tensor Sum(Tensor x) => ScaledSum(x, 1);

    /// <summary>The mean of all elements, added in double in an order that depends on their count alone: [1].</summary>
    /// <exception cref="ArgumentException">x is empty, or its element type is not supported.</exception>
    public static Tensor Mean(Tensor x) => ScaledSum(x, 1.0 / x.Count);

    /// <summary>One number [1] times a factor, repeated to a shape: the gradient of a sum.</summary>
    public static Tensor RepeatScalar(Tensor x, Shape shape, double factor = 1)
    {
        RequireScalar(x, "x");
        var y = NewFloating(x.Context, shape, x.DType);
        var n = (int)y.Count;
        if (n > 0 && y.DType == DType.Float32)
        {
            LossKernels.RepeatScalarF32(y.Context.Stream, CoverFours(n), x.Pointer<float>(), y.Pointer<float>(), n, (float)factor);
        }
        else if (n > 0)
        {
            LossKernels.RepeatScalarF64(y.Context.Stream, CoverFours(n), x.Pointer<double>(), y.Pointer<double>(), n, factor);
        }

        return y;
    }

    /// <summary>The mean squared error of a prediction: the mean of (prediction - target)^2 over all elements.</summary>
    /// <param name="prediction">Any shape.</param>
    /// <param name="target">Of the prediction's shape.</param>
    /// <returns>[1].</returns>
    /// <exception cref="ArgumentException">Shapes or element types differ, or there are no elements.</exception>
    public static Tensor MeanSquaredError(Tensor prediction, Tensor target)
        => SquaredError(prediction, target, 1.0 / prediction.Count);

    /// <summary>The gradient of <see cref="MeanSquaredError"/> at the prediction; that at the target is the same with the two exchanged.</summary>
    /// <param name="prediction">Any shape.</param>
    /// <param name="target">Of the prediction's shape.</param>
    /// <param name="gradient">[1], the loss's own gradient.</param>
    /// <returns>2 (prediction - target) / n times the loss's gradient, of the prediction's shape.</returns>
    public static Tensor MeanSquaredErrorBackward(Tensor prediction, Tensor target, Tensor gradient)
        => SquaredErrorBackward(prediction, target, gradient, 1.0 / prediction.Count);

    /// <summary>
    /// The loss of a predicted video: the sum or mean over its frames of each frame's mean squared error, a frame's mean being
    /// over batch, height, width and channels. Frames are of one size, so either is one sum over all elements times a factor.
    /// </summary>
    /// <param name="prediction">[b, f, h, w, c].</param>
    /// <param name="target">Of the prediction's shape.</param>
    /// <param name="reduction">Sum, as the reference trains, or mean over the frames.</param>
    /// <returns>[1].</returns>
    /// <exception cref="ArgumentException">Shapes or element types differ, it is no video, or there are no elements.</exception>
    public static Tensor FrameLoss(Tensor prediction, Tensor target, FrameReduction reduction)
        => SquaredError(prediction, target, FrameFactor(prediction, reduction));

    /// <summary>The gradient of <see cref="FrameLoss"/> at the prediction; that at the target is the same with the two exchanged.</summary>
    /// <param name="prediction">[b, f, h, w, c].</param>
    /// <param name="target">Of the prediction's shape.</param>
    /// <param name="gradient">[1], the loss's own gradient.</param>
    /// <param name="reduction">As in the loss.</param>
    /// <returns>Of the prediction's shape.</returns>
    public static Tensor FrameLossBackward(Tensor prediction, Tensor target, Tensor gradient, FrameReduction reduction)
        => SquaredErrorBackward(prediction, target, gradient, FrameFactor(prediction, reduction));

    /// <summary>
    /// The divergence of the encoder's posterior from a standard normal distribution (Kingma and Welling 2014, appendix B): the sum
    /// of (mean^2 + exp(logvar) - 1 - logvar) / 2, logvar clamped to [-30, 20], over the number of pictures.
    /// </summary>
    /// <param name="moments">[n, .., 2c]: n pictures' means, then log-variances.</param>
    /// <returns>[1].</returns>
    /// <exception cref="ArgumentException">The last axis is odd, there are no elements, or the element type is not supported.</exception>
    public static Tensor KlDivergence(Tensor moments)
    {
        var (count, channels) = CheckMoments(moments);
        return ReduceChunks(
            moments,
            count,
            1.0 / moments.Shape[0],
            moments.DType == DType.Float32
                ? (stream, in shape, partial) => LossKernels.KlDivergenceSumsF32(stream, shape, moments.Pointer<float>(), partial, count, channels)
                : (stream, in shape, partial) => LossKernels.KlDivergenceSumsF64(stream, shape, moments.Pointer<double>(), partial, count, channels));
    }

    /// <summary>
    /// The gradient of <see cref="KlDivergence"/> at the moments: mean / n, and (exp(logvar) - 1) / 2n for log-variances between the
    /// bounds and on them, else 0, times the loss's gradient.
    /// </summary>
    /// <param name="moments">[n, .., 2c]: n pictures' means, then log-variances.</param>
    /// <param name="gradient">[1], the loss's own gradient.</param>
    /// <returns>Of the moments' shape.</returns>
    public static Tensor KlDivergenceBackward(Tensor moments, Tensor gradient)
    {
        var (count, channels) = CheckMoments(moments);
        RequireScalarLike(moments, gradient);
        var y = Like(moments, moments.Shape);
        var factor = 1.0 / moments.Shape[0];
        if (y.DType == DType.Float32)
        {
            LossKernels.KlDivergenceBackwardF32(
                y.Context.Stream, Cover(count), moments.Pointer<float>(), gradient.Pointer<float>(), y.Pointer<float>(), count, channels, (float)factor);
        }
        else
        {
            LossKernels.KlDivergenceBackwardF64(
                y.Context.Stream, Cover(count), moments.Pointer<double>(), gradient.Pointer<double>(), y.Pointer<double>(), count, channels, factor);
        }

        return y;
    }

    /// <summary>The mean cross-entropy of rows of logits: the mean of log(sum of exp(logits)) - logits[target].</summary>
    /// <param name="logits">[n, m], m classes.</param>
    /// <param name="targets">[n], Int32: each row's class. One that is no class makes the loss not a number.</param>
    /// <returns>[1].</returns>
    /// <exception cref="ArgumentException">Shapes or element types do not fit, or there are no elements.</exception>
    public static Tensor CrossEntropy(Tensor logits, Tensor targets)
    {
        CheckLogits(logits, targets);
        var (rows, classes) = (logits.Shape[0], logits.Shape[1]);
        var indices = targets.Pointer<int>();
        return Reduce(
            logits,
            rows,
            CoverRowsByWarps(rows),
            1.0 / rows,
            logits.DType == DType.Float32
                ? (stream, in shape, partial) => LossKernels.CrossEntropyRowsF32(stream, shape, logits.Pointer<float>(), indices, partial, rows, classes)
                : (stream, in shape, partial) => LossKernels.CrossEntropyRowsF64(stream, shape, logits.Pointer<double>(), indices, partial, rows, classes));
    }

    /// <summary>The gradient of <see cref="CrossEntropy"/> at the logits: softmax(logits), less 1 at the target, over n, times the loss's gradient.</summary>
    /// <param name="logits">[n, m], m classes.</param>
    /// <param name="targets">[n], Int32.</param>
    /// <param name="gradient">[1], the loss's own gradient.</param>
    /// <returns>Of the logits' shape; a row whose target is no class is not numbers.</returns>
    public static Tensor CrossEntropyBackward(Tensor logits, Tensor targets, Tensor gradient)
    {
        CheckLogits(logits, targets);
        RequireScalarLike(logits, gradient);
        var (rows, classes) = (logits.Shape[0], logits.Shape[1]);
        var y = Like(logits, logits.Shape);
        if (y.DType == DType.Float32)
        {
            LossKernels.CrossEntropyBackwardF32(
                y.Context.Stream, CoverRowsByWarps(rows), logits.Pointer<float>(), targets.Pointer<int>(), gradient.Pointer<float>(),
                y.Pointer<float>(), rows, classes, (float)(1.0 / rows));
        }
        else
        {
            LossKernels.CrossEntropyBackwardF64(
                y.Context.Stream, CoverRowsByWarps(rows), logits.Pointer<double>(), targets.Pointer<int>(), gradient.Pointer<double>(),
                y.Pointer<double>(), rows, classes, 1.0 / rows);
        }

        return y;
    }

    private static Tensor ScaledSum(Tensor x, double factor, [CallerMemberName] string operation = "")
    {
        RequireFloating(x, operation);
        var n = RequireElements(x, operation);
        return ReduceChunks(
            x,
            n,
            factor,
            x.DType == DType.Float32
                ? (stream, in shape, partial) => LossKernels.ElementSumsF32(stream, shape, x.Pointer<float>(), partial, n)
                : (stream, in shape, partial) => LossKernels.ElementSumsF64(stream, shape, x.Pointer<double>(), partial, n));
    }

    private static Tensor SquaredError(Tensor a, Tensor b, double factor, [CallerMemberName] string operation = "")
    {
        RequireFloating(a, operation);
        RequireSameShape(a, b, operation);
        var n = RequireElements(a, operation);
        return ReduceChunks(
            a,
            n,
            factor,
            a.DType == DType.Float32
                ? (stream, in shape, partial) => LossKernels.SquaredErrorSumsF32(stream, shape, a.Pointer<float>(), b.Pointer<float>(), partial, n)
                : (stream, in shape, partial) => LossKernels.SquaredErrorSumsF64(stream, shape, a.Pointer<double>(), b.Pointer<double>(), partial, n));
    }

    private static Tensor SquaredErrorBackward(Tensor a, Tensor b, Tensor gradient, double factor, [CallerMemberName] string operation = "")
    {
        RequireFloating(a, operation);
        RequireSameShape(a, b, operation);
        RequireScalarLike(a, gradient, operation);
        var n = RequireElements(a, operation);
        var da = Like(a, a.Shape);
        if (da.DType == DType.Float32)
        {
            LossKernels.SquaredErrorBackwardF32(
                da.Context.Stream, CoverFours(n), a.Pointer<float>(), b.Pointer<float>(), gradient.Pointer<float>(), da.Pointer<float>(), n, (float)factor);
        }
        else
        {
            LossKernels.SquaredErrorBackwardF64(
                da.Context.Stream, CoverFours(n), a.Pointer<double>(), b.Pointer<double>(), gradient.Pointer<double>(), da.Pointer<double>(), n, factor);
        }

        return da;
    }

    /// <summary>1 over the elements of a frame in all videos, and over the frames too for their mean.</summary>
    private static double FrameFactor(Tensor prediction, FrameReduction reduction, [CallerMemberName] string operation = "")
    {
        Require(prediction.Shape.Rank == 5, $"the prediction is {prediction.Shape}, expected [b, f, h, w, c]", operation);
        return (reduction == FrameReduction.Sum ? prediction.Shape[1] : 1) / (double)prediction.Count;
    }

    private static (int Count, int Channels) CheckMoments(Tensor moments, [CallerMemberName] string operation = "")
    {
        RequireFloating(moments, operation);
        var channels = MeanShape(moments, operation)[-1];
        Require(moments.Shape.Rank > 1, $"moments must be [n, .., 2 channels], not {moments.Shape}", operation);
        return (RequireElements(moments, operation) / 2, channels);
    }

    private static void CheckLogits(Tensor logits, Tensor targets, [CallerMemberName] string operation = "")
    {
        RequireFloating(logits, operation);
        Require(logits.Shape.Rank == 2, $"logits must be [n, classes], not {logits.Shape}", operation);
        RequireElements(logits, operation);
        Require(
            targets.DType == DType.Int32 && targets.Shape == new Shape(logits.Shape[0]),
            $"targets must be Int32 [{logits.Shape[0]}] for logits {logits.Shape}, not {targets}",
            operation);
        Require(targets.Context == logits.Context, $"operands of different device contexts, {logits} and {targets}", operation);
    }

    private static int RequireElements(Tensor x, string operation)
    {
        Require(x.Count > 0, $"there are no elements in {x.Shape}", operation);
        return (int)x.Count;
    }

    private static void RequireScalar(Tensor x, string what, [CallerMemberName] string operation = "")
        => Require(x.Count == 1, $"{what} must be one number, not {x.Shape}", operation);

    private static void RequireScalarLike(Tensor x, Tensor gradient, [CallerMemberName] string operation = "")
    {
        RequireScalar(gradient, "the gradient", operation);
        RequireAlike(x, gradient, operation);
    }

    /// <summary>The launch of a kernel that gives each row a warp.</summary>
    private static LaunchShape CoverRowsByWarps(int rows) => new(CeilingDivide(rows, RowWarps), new Dim3(WarpSize, RowWarps));

    /// <summary>factor times a sum whose first pass goes over <paramref name="count"/> terms in chunks.</summary>
    private static Tensor ReduceChunks(Tensor like, int count, double factor, FirstPass first)
    {
        var chunks = CeilingDivide(count, SumChunk);
        return Reduce(like, chunks, new LaunchShape(chunks, SumThreads), factor, first);
    }

    /// <summary>factor times a sum whose first pass leaves so many partial sums: [1], of a tensor's element type.</summary>
    private static Tensor Reduce(Tensor like, int partials, in LaunchShape launch, double factor, FirstPass first)
    {
        var (context, stream) = (like.Context, like.Context.Stream);
        var y = Like(like, [1]);
        using var partial = Tensor.Empty(context, [partials], DType.Float64);
        first(stream, launch, partial.Pointer<double>());
        if (y.DType == DType.Float32)
        {
            LossKernels.SumPartialsF32(stream, new LaunchShape(1, SumThreads), partial.Pointer<double>(), y.Pointer<float>(), partials, factor);
        }
        else
        {
            LossKernels.SumPartialsF64(stream, new LaunchShape(1, SumThreads), partial.Pointer<double>(), y.Pointer<double>(), partials, factor);
        }

        return y;
    }
}
