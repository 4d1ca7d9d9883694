// Gradients of the operators in Ops.Norm.cs.
using FashionFlow.Gpu;
using FashionFlow.Gpu.Kernels;

namespace FashionFlow.Tensors;

public static partial class Ops
{
    private static readonly GroupNormBackwardKernelSet<float> s_groupNormBackwardF32 = new(
        GroupNormBackwardKernels.GroupNormBackwardSumsF32,
        GroupNormBackwardKernels.GroupNormBackwardSumsVec4F32,
        GroupNormBackwardKernels.GroupNormBackwardSumsSiluF32,
        GroupNormBackwardKernels.GroupNormBackwardSumsSiluVec4F32,
        GroupNormBackwardKernels.GroupNormBackwardCoefficientsF32,
        GroupNormBackwardKernels.GroupNormBackwardParametersF32,
        GroupNormBackwardKernels.GroupNormBackwardApplyF32,
        GroupNormBackwardKernels.GroupNormBackwardApplyVec4F32,
        GroupNormBackwardKernels.GroupNormBackwardApplySiluF32,
        GroupNormBackwardKernels.GroupNormBackwardApplySiluVec4F32);

    private static readonly GroupNormBackwardKernelSet<double> s_groupNormBackwardF64 = new(
        GroupNormBackwardKernels.GroupNormBackwardSumsF64,
        GroupNormBackwardKernels.GroupNormBackwardSumsVec4F64,
        GroupNormBackwardKernels.GroupNormBackwardSumsSiluF64,
        GroupNormBackwardKernels.GroupNormBackwardSumsSiluVec4F64,
        GroupNormBackwardKernels.GroupNormBackwardCoefficientsF64,
        GroupNormBackwardKernels.GroupNormBackwardParametersF64,
        GroupNormBackwardKernels.GroupNormBackwardApplyF64,
        GroupNormBackwardKernels.GroupNormBackwardApplyVec4F64,
        GroupNormBackwardKernels.GroupNormBackwardApplySiluF64,
        GroupNormBackwardKernels.GroupNormBackwardApplySiluVec4F64);

    private static readonly LayerNormBackwardKernelSet<float> s_layerNormBackwardF32 = new(
        LayerNormBackwardKernels.LayerNormBackward8F32,
        LayerNormBackwardKernels.LayerNormBackward16F32,
        LayerNormBackwardKernels.LayerNormBackward32F32,
        LayerNormBackwardKernels.LayerNormBackward64F32,
        LayerNormBackwardKernels.LayerNormBackward128F32,
        LayerNormBackwardKernels.LayerNormBackward256F32,
        LayerNormBackwardKernels.LayerNormBackward512F32,
        LayerNormBackwardKernels.LayerNormBackward1024F32,
        LayerNormBackwardKernels.LayerNormBackwardAnyF32);

    private static readonly LayerNormBackwardKernelSet<double> s_layerNormBackwardF64 = new(
        LayerNormBackwardKernels.LayerNormBackward8F64,
        LayerNormBackwardKernels.LayerNormBackward16F64,
        LayerNormBackwardKernels.LayerNormBackward32F64,
        LayerNormBackwardKernels.LayerNormBackward64F64,
        LayerNormBackwardKernels.LayerNormBackward128F64,
        LayerNormBackwardKernels.LayerNormBackward256F64,
        LayerNormBackwardKernels.LayerNormBackward512F64,
        LayerNormBackwardKernels.LayerNormBackward1024F64,
        LayerNormBackwardKernels.LayerNormBackwardAnyF64);

    /// <summary>
    /// The gradients of <see cref="GroupNorm(Tensor, int, Tensor, Tensor, double, Tensor?, bool)"/> (formulas:
    /// kernels/group_norm_backward.cu). Two passes over x and the gradient; nothing of their size is made but the gradient of x.
    /// </summary>
    /// <param name="x">[b, .., c], as it was normalised.</param>
    /// <param name="groups">As in the forward pass, like all that follows.</param>
    /// <param name="weight">[c].</param>
    /// <param name="bias">[c].</param>
    /// <param name="scaleShift">[b, 2c]; null for none.</param>
    /// <param name="silu">Whether SiLU was applied.</param>
    /// <param name="statistics">[b, groups, 2] of double, which the forward pass wrote.</param>
    /// <param name="gradient">That of the result, of x's shape.</param>
    /// <param name="wanted">Which gradients to compute; that of a null scaleShift is null in any case.</param>
    /// <returns>Each of its input's shape; null where not wanted.</returns>
    /// <exception cref="ArgumentException">Shapes, element types or contexts do not fit.</exception>
    public static (Tensor? X, Tensor? Weight, Tensor? Bias, Tensor? ScaleShift) GroupNormBackward(
        Tensor x, int groups, Tensor weight, Tensor bias, Tensor? scaleShift, bool silu, Tensor statistics, Tensor gradient,
        NormInputs wanted = NormInputs.All)
    {
        RequireFloating(x);
        RequireGroups(x, groups, weight, bias, scaleShift);
        RequireStatistics(x, groups, statistics);
        RequireSameShape(x, gradient);
        var vectors = x.Shape[-1] / groups % 4 == 0;
        using var alignedX = vectors ? AlignedCopy(x) : null;
        using var alignedGradient = vectors ? AlignedCopy(gradient) : null;
        (x, gradient) = (alignedX ?? x, alignedGradient ?? gradient);
        return x.DType == DType.Float32
            ? GroupNormBackward(s_groupNormBackwardF32, x, groups, weight, bias, scaleShift, silu, statistics, gradient, wanted)
            : GroupNormBackward(s_groupNormBackwardF64, x, groups, weight, bias, scaleShift, silu, statistics, gradient, wanted);
    }

    /// <summary>The gradients of <see cref="LayerNorm"/> (formulas: kernels/layer_norm_backward.cu), in one pass over x and the gradient.</summary>
    /// <param name="x">[.., c], as it was normalised.</param>
    /// <param name="weight">[c].</param>
    /// <param name="eps">As in the forward pass.</param>
    /// <param name="gradient">That of the result, of x's shape.</param>
    /// <param name="wanted">Which gradients to compute.</param>
    /// <returns>Each of its input's shape; null where not wanted.</returns>
    /// <exception cref="ArgumentException">Shapes, element types or contexts do not fit.</exception>
    public static (Tensor? X, Tensor? Weight, Tensor? Bias) LayerNormBackward(
        Tensor x, Tensor weight, double eps, Tensor gradient, NormInputs wanted = NormInputs.All)
    {
        Require(x.Shape.Rank >= 1 && x.Shape[-1] > 0, $"x must be [.., c], not {x.Shape}");
        var c = x.Shape[-1];
        RequireFloating(x);
        RequireVector(x, weight, c, nameof(weight));
        RequireSameShape(x, gradient);
        var inWarp = FitsWarp(c);
        using var alignedX = inWarp ? AlignedCopy(x) : null;
        using var alignedGradient = inWarp ? AlignedCopy(gradient) : null;
        using var alignedWeight = inWarp ? AlignedCopy(weight) : null;
        (x, gradient, weight) = (alignedX ?? x, alignedGradient ?? gradient, alignedWeight ?? weight);
        return x.DType == DType.Float32
            ? LayerNormBackward(s_layerNormBackwardF32, x, weight, (float)eps, gradient, wanted)
            : LayerNormBackward(s_layerNormBackwardF64, x, weight, eps, gradient, wanted);
    }

    /// <summary>
    /// The gradients of <see cref="ChanLayerNorm"/> (formulas: kernels/chan_layer_norm_backward.cu), in one pass over x and the
    /// gradient. Where the variance is below eps none passes through it.
    /// </summary>
    /// <param name="x">[b, f, h, w, c], as it was normalised.</param>
    /// <param name="g">[c].</param>
    /// <param name="eps">As in the forward pass.</param>
    /// <param name="tokenShift">Whether the later half of the channels was delayed by a frame first.</param>
    /// <param name="gradient">That of the result, of x's shape.</param>
    /// <param name="wanted">Which gradients to compute; g counts as a weight.</param>
    /// <returns>Each of its input's shape; null where not wanted.</returns>
    /// <exception cref="ArgumentException">Shapes, element types or contexts do not fit.</exception>
    public static (Tensor? X, Tensor? G) ChanLayerNormBackward(
        Tensor x, Tensor g, double eps, bool tokenShift, Tensor gradient, NormInputs wanted = NormInputs.All)
    {
        RequireVideo(x);
        var c = x.Shape[-1];
        RequireFloating(x);
        RequireVector(x, g, c, nameof(g));
        RequireSameShape(x, gradient);
        var dx = wanted.HasFlag(NormInputs.X) ? Like(x, x.Shape) : null;
        if (x.Count == 0)
        {
            return (dx, wanted.HasFlag(NormInputs.Weight) ? Tensor.Zeros(x.Context, [c], x.DType) : null);
        }

        var (rows, frames, frameRows) = ((int)(x.Count / c), x.Shape[1], x.Shape[2] * x.Shape[3]);
        var kept = tokenShift ? (c + 1) / 2 : c;
        var (launch, rowsPerBlock) = CoverRowsByBlocks(rows, c);
        var columns = c + launch.Block.X;
        using var partials = wanted.HasFlag(NormInputs.Weight) ? TensorScope.Detach(Like(x, [launch.Grid.X, columns])) : null;
        if (x.DType == DType.Float32)
        {
            ChanLayerNormBackwardKernels.ChanLayerNormBackwardF32(
                x.Context.Stream, launch, x.Pointer<float>(), gradient.Pointer<float>(), g.Pointer<float>(), Optional<float>(dx),
                Optional<float>(partials), rows, frames, frameRows, kept, c, (float)eps, rowsPerBlock);
        }
        else
        {
            ChanLayerNormBackwardKernels.ChanLayerNormBackwardF64(
                x.Context.Stream, launch, x.Pointer<double>(), gradient.Pointer<double>(), g.Pointer<double>(), Optional<double>(dx),
                Optional<double>(partials), rows, frames, frameRows, kept, c, eps, rowsPerBlock);
        }

        return (dx, partials is null ? null : SumFirstColumns(partials, c));
    }

    /// <summary>The gradient of <see cref="TokenShift"/>: the channels from ceil(c / 2) on are taken from the frame after, zeros in the last.</summary>
    /// <param name="gradient">That of the result, [b, f, h, w, c].</param>
    /// <returns>Of the same shape.</returns>
    /// <exception cref="ArgumentException">The gradient is no video.</exception>
    public static Tensor TokenShiftBackward(Tensor gradient)
    {
        RequireVideo(gradient);
        RequireFloating(gradient);
        var dx = Like(gradient, gradient.Shape);
        if (dx.Count == 0)
        {
            return dx;
        }

        var c = dx.Shape[-1];
        var (rows, frames, frameRows) = ((int)(dx.Count / c), dx.Shape[1], dx.Shape[2] * dx.Shape[3]);
        var launch = new LaunchShape(CeilingDivide(rows, RowWarps), new Dim3(WarpSize, RowWarps));
        if (dx.DType == DType.Float32)
        {
            ChanLayerNormBackwardKernels.TokenShiftBackwardF32(
                dx.Context.Stream, launch, gradient.Pointer<float>(), dx.Pointer<float>(), rows, frames, frameRows, (c + 1) / 2, c);
        }
        else
        {
            ChanLayerNormBackwardKernels.TokenShiftBackwardF64(
                dx.Context.Stream, launch, gradient.Pointer<double>(), dx.Pointer<double>(), rows, frames, frameRows, (c + 1) / 2, c);
        }

        return dx;
    }

    private static (Tensor? X, Tensor? Weight, Tensor? Bias, Tensor? ScaleShift) GroupNormBackward<T>(
        GroupNormBackwardKernelSet<T> kernels, Tensor x, int groups, Tensor weight, Tensor bias, Tensor? scaleShift, bool silu,
        Tensor statistics, Tensor gradient, NormInputs wanted)
        where T : unmanaged
    {
        const int FinishingWarps = 8;
        const int MaxVectorThreads = 512;
        var (b, c) = (x.Shape[0], x.Shape[-1]);
        var n = (int)x.Shape.CountBetween(1, x.Shape.Rank - 1);
        var vectors = c / groups % 4 == 0;
        // A thread's channels are its own all the way, so a row cut into narrower tiles gives the same sums.
        var walk = GroupNormWalk.Choose(c, c / groups, vectors ? 4 : 1, vectors ? MaxVectorThreads : GroupNormWalk.MaxThreads);
        var rowsPerChunk = walk.RowsPerSumChunk(n);
        var chunks = CeilingDivide(n, rowsPerChunk);
        using var partials = TensorScope.Detach(Tensor.Empty(x.Context, [b, chunks, 2, c], DType.Float64));
        using var totals = TensorScope.Detach(Tensor.Empty(x.Context, [b, 2, c], DType.Float64));
        using var coefficients = wanted.HasFlag(NormInputs.X) ? TensorScope.Detach(Like(x, [b, 5, c])) : null;
        var dx = wanted.HasFlag(NormInputs.X) ? Like(x, x.Shape) : null;
        var dWeight = wanted.HasFlag(NormInputs.Weight) ? Like(x, [c]) : null;
        var dBias = wanted.HasFlag(NormInputs.Bias) ? Like(x, [c]) : null;
        var dScaleShift = scaleShift is not null && wanted.HasFlag(NormInputs.ScaleShift) ? Like(x, [b, 2 * c]) : null;

        var stream = x.Context.Stream;
        var block = new Dim3(WarpSize, walk.Warps);
        var (from, incoming, modulation, known) = (x.Pointer<T>(), gradient.Pointer<T>(), Optional<T>(scaleShift), statistics.Pointer<double>());
        kernels.Sums(silu, vectors)(
            stream, new LaunchShape(new Dim3(chunks, walk.Tiles, b), block), from, incoming, weight.Pointer<T>(), bias.Pointer<T>(), modulation,
            known, partials.Pointer<double>(), n, c, groups, walk.TileChannels, walk.RowsPerStep, rowsPerChunk);
        kernels.Coefficients(
            stream, new LaunchShape(new Dim3(groups, b), new Dim3(WarpSize, FinishingWarps)), partials.Pointer<double>(), weight.Pointer<T>(),
            bias.Pointer<T>(), modulation, known, totals.Pointer<double>(), Optional<T>(dScaleShift), Optional<T>(coefficients), n, c, groups,
            chunks);
        if (dWeight is not null || dBias is not null)
        {
            kernels.Parameters(stream, Cover(c), totals.Pointer<double>(), modulation, Optional<T>(dWeight), Optional<T>(dBias), b, c);
        }

        if (dx is not null)
        {
            var rows = walk.RowsPerAppliedChunk;
            kernels.Apply(silu, vectors)(
                stream, new LaunchShape(new Dim3(CeilingDivide(n, rows), walk.Tiles, b), block), from, incoming, known,
                Optional<T>(coefficients), dx.Pointer<T>(), n, c, groups, walk.TileChannels, walk.RowsPerStep, rows);
        }

        return (dx, dWeight, dBias, dScaleShift);
    }

    private static (Tensor? X, Tensor? Weight, Tensor? Bias) LayerNormBackward<T>(
        LayerNormBackwardKernelSet<T> kernels, Tensor x, Tensor weight, T eps, Tensor gradient, NormInputs wanted)
        where T : unmanaged
    {
        var c = x.Shape[-1];
        var rows = (int)(x.Count / c);
        var dx = wanted.HasFlag(NormInputs.X) ? Like(x, x.Shape) : null;
        var (weightWanted, biasWanted) = (wanted.HasFlag(NormInputs.Weight), wanted.HasFlag(NormInputs.Bias));
        if (rows == 0)
        {
            return (dx, weightWanted ? Tensor.Zeros(x.Context, [c], x.DType) : null, biasWanted ? Tensor.Zeros(x.Context, [c], x.DType) : null);
        }

        var inWarp = FitsWarp(c);
        var (launch, rowsPerUnit) = inWarp ? CoverRowsByWarps(rows, c) : CoverRowsByBlocks(rows, c);
        var columns = inWarp ? c : c + launch.Block.X;
        using var partials = weightWanted || biasWanted ? TensorScope.Detach(Like(x, [2, launch.Grid.X, columns])) : null;
        var stream = x.Context.Stream;
        var (from, incoming, w, to, sums) = (x.Pointer<T>(), gradient.Pointer<T>(), weight.Pointer<T>(), Optional<T>(dx), Optional<T>(partials));
        if (inWarp && FitsPartOfWarp(rows, c))
        {
            kernels.Parts(c)(stream, launch, from, incoming, w, to, sums, rows, eps, rowsPerUnit);
        }
        else
        {
            (inWarp ? kernels.Rows(c) : kernels.Any)(stream, launch, from, incoming, w, to, sums, rows, c, eps, rowsPerUnit);
        }

        return (dx, weightWanted ? Sum(0) : null, biasWanted ? Sum(1) : null);

        Tensor Sum(int which)
        {
            using var own = TensorScope.Detach(partials!.Narrow(which, 1));
            using var matrix = TensorScope.Detach(own.Reshape(launch.Grid.X, columns));
            return SumFirstColumns(matrix, c);
        }
    }

    /// <summary>
    /// Blocks whose warps, or parts of warps, take a row each, then the next: enough blocks to fill a large GPU where there are rows
    /// enough, and few against the rows, since each leaves sums.
    /// </summary>
    private static (LaunchShape Launch, int RowsPerUnit) CoverRowsByWarps(int rows, int columns)
    {
        var units = RowWarps * (FitsPartOfWarp(rows, columns) ? 4 * WarpSize / columns : 1);
        var rowsPerUnit = Math.Clamp(CeilingDivide(rows, units * 512), 4, 32);
        return (new LaunchShape(CeilingDivide(rows, units * rowsPerUnit), new Dim3(WarpSize, RowWarps)), rowsPerUnit);
    }

    /// <summary>The same for blocks that take a row at a time.</summary>
    private static (LaunchShape Launch, int RowsPerBlock) CoverRowsByBlocks(int rows, int columns)
    {
        var rowsPerBlock = Math.Clamp(CeilingDivide(rows, 512), 8, 64);
        return (new LaunchShape(CeilingDivide(rows, rowsPerBlock), RowThreads(columns)), rowsPerBlock);
    }

    /// <summary>The sum over all rows of the first columns.</summary>
    private static Tensor SumFirstColumns(Tensor x, int columns)
    {
        var sum = SumRows(x, [x.Shape[1]]);
        if (x.Shape[1] == columns)
        {
            return sum;
        }

        using (sum)
        {
            return sum.Narrow(0, columns);
        }
    }

    private sealed record GroupNormBackwardKernelSet<T>(
        GroupNormBackwardSums<T> SumsPlain,
        GroupNormBackwardSums<T> SumsVec4,
        GroupNormBackwardSums<T> SumsSilu,
        GroupNormBackwardSums<T> SumsSiluVec4,
        GroupNormBackwardCoefficients<T> Coefficients,
        GroupNormBackwardParameters<T> Parameters,
        GroupNormBackwardApply<T> ApplyPlain,
        GroupNormBackwardApply<T> ApplyVec4,
        GroupNormBackwardApply<T> ApplySilu,
        GroupNormBackwardApply<T> ApplySiluVec4)
        where T : unmanaged
    {
        public GroupNormBackwardSums<T> Sums(bool silu, bool vectors)
            => silu ? vectors ? SumsSiluVec4 : SumsSilu : vectors ? SumsVec4 : SumsPlain;

        public GroupNormBackwardApply<T> Apply(bool silu, bool vectors)
            => silu ? vectors ? ApplySiluVec4 : ApplySilu : vectors ? ApplyVec4 : ApplyPlain;
    }

    private sealed record LayerNormBackwardKernelSet<T>(
        LayerNormBackwardParts<T> C8,
        LayerNormBackwardParts<T> C16,
        LayerNormBackwardParts<T> C32,
        LayerNormBackwardParts<T> C64,
        LayerNormBackwardRows<T> UpTo128,
        LayerNormBackwardRows<T> UpTo256,
        LayerNormBackwardRows<T> UpTo512,
        LayerNormBackwardRows<T> UpTo1024,
        LayerNormBackwardRows<T> Any)
        where T : unmanaged
    {
        public LayerNormBackwardParts<T> Parts(int c) => c switch
        {
            8 => C8,
            16 => C16,
            32 => C32,
            _ => C64,
        };

        public LayerNormBackwardRows<T> Rows(int c) => c switch
        {
            <= 128 => UpTo128,
            <= 256 => UpTo256,
            <= 512 => UpTo512,
            _ => UpTo1024,
        };
    }

    private delegate void GroupNormBackwardSums<T>(
        GpuStream stream, in LaunchShape shape, DevicePointer<T> x, DevicePointer<T> gradient, DevicePointer<T> weight, DevicePointer<T> bias,
        DevicePointer<T> scaleShift, DevicePointer<double> statistics, DevicePointer<double> partials, int n, int c, int groups, int tileChannels,
        int rowsPerStep, int rowsPerChunk)
        where T : unmanaged;

    private delegate void GroupNormBackwardCoefficients<T>(
        GpuStream stream, in LaunchShape shape, DevicePointer<double> partials, DevicePointer<T> weight, DevicePointer<T> bias,
        DevicePointer<T> scaleShift, DevicePointer<double> statistics, DevicePointer<double> totals, DevicePointer<T> scaleShiftGradient,
        DevicePointer<T> coefficients, int n, int c, int groups, int chunks)
        where T : unmanaged;

    private delegate void GroupNormBackwardParameters<T>(
        GpuStream stream, in LaunchShape shape, DevicePointer<double> totals, DevicePointer<T> scaleShift, DevicePointer<T> weightGradient,
        DevicePointer<T> biasGradient, int b, int c)
        where T : unmanaged;

    private delegate void GroupNormBackwardApply<T>(
        GpuStream stream, in LaunchShape shape, DevicePointer<T> x, DevicePointer<T> gradient, DevicePointer<double> statistics,
        DevicePointer<T> coefficients, DevicePointer<T> dx, int n, int c, int groups, int tileChannels, int rowsPerStep, int rowsPerChunk)
        where T : unmanaged;

    private delegate void LayerNormBackwardParts<T>(
        GpuStream stream, in LaunchShape shape, DevicePointer<T> x, DevicePointer<T> gradient, DevicePointer<T> weight, DevicePointer<T> dx,
        DevicePointer<T> partials, int rows, T eps, int rowsPerUnit)
        where T : unmanaged;

    private delegate void LayerNormBackwardRows<T>(
        GpuStream stream, in LaunchShape shape, DevicePointer<T> x, DevicePointer<T> gradient, DevicePointer<T> weight, DevicePointer<T> dx,
        DevicePointer<T> partials, int rows, int c, T eps, int rowsPerUnit)
        where T : unmanaged;
}
