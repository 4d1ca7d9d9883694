// Normalisations of channels-last activations: over groups of channels and positions, and over the last axis.
using FashionFlow.Gpu;
using FashionFlow.Gpu.Kernels;

namespace FashionFlow.Tensors;

public static partial class Ops
{
    /// <summary>Threads in a warp, which kernels with blocks of (32, warps) are written for.</summary>
    private const int WarpSize = 32;

    /// <summary>Warps a block of kernels that give each row of a tensor a warp.</summary>
    private const int RowWarps = 8;

    /// <summary>Rows from which on a warp of a normalisation takes several, to load its weights once.</summary>
    private const int ManyRows = 8192;

    private static readonly GroupNormKernelSet<float, float> s_groupNormF32 = new(
        GroupNormKernels.GroupNormSumsF32,
        GroupNormKernels.GroupNormSumsVec4F32,
        GroupNormKernels.GroupNormCoefficientsF32,
        GroupNormKernels.GroupNormApplyF32,
        GroupNormKernels.GroupNormApplyVec4F32,
        GroupNormKernels.GroupNormApplySiluF32,
        GroupNormKernels.GroupNormApplySiluVec4F32);

    private static readonly GroupNormKernelSet<double, double> s_groupNormF64 = new(
        GroupNormKernels.GroupNormSumsF64,
        GroupNormKernels.GroupNormSumsVec4F64,
        GroupNormKernels.GroupNormCoefficientsF64,
        GroupNormKernels.GroupNormApplyF64,
        GroupNormKernels.GroupNormApplyVec4F64,
        GroupNormKernels.GroupNormApplySiluF64,
        GroupNormKernels.GroupNormApplySiluVec4F64);

    private static readonly GroupNormKernelSet<Half, float> s_groupNormF16 = new(
        GroupNormHalfKernels.GroupNormSumsF16,
        GroupNormHalfKernels.GroupNormSumsVec4F16,
        GroupNormHalfKernels.GroupNormCoefficientsF16,
        GroupNormHalfKernels.GroupNormApplyF16,
        GroupNormHalfKernels.GroupNormApplyVec4F16,
        GroupNormHalfKernels.GroupNormApplySiluF16,
        GroupNormHalfKernels.GroupNormApplySiluVec4F16);

    private static readonly GroupNormKernelSet<BFloat16, float> s_groupNormBf16 = new(
        GroupNormHalfKernels.GroupNormSumsBf16,
        GroupNormHalfKernels.GroupNormSumsVec4Bf16,
        GroupNormHalfKernels.GroupNormCoefficientsBf16,
        GroupNormHalfKernels.GroupNormApplyBf16,
        GroupNormHalfKernels.GroupNormApplyVec4Bf16,
        GroupNormHalfKernels.GroupNormApplySiluBf16,
        GroupNormHalfKernels.GroupNormApplySiluVec4Bf16);

    private static readonly LayerNormKernelSet<float, float> s_layerNormF32 = new(
        LayerNormKernels.LayerNorm8F32,
        LayerNormKernels.LayerNorm16F32,
        LayerNormKernels.LayerNorm32F32,
        LayerNormKernels.LayerNorm64F32,
        LayerNormKernels.LayerNorm128F32,
        LayerNormKernels.LayerNorm256F32,
        LayerNormKernels.LayerNorm512F32,
        LayerNormKernels.LayerNorm1024F32,
        LayerNormKernels.LayerNormAnyF32);

    private static readonly LayerNormKernelSet<double, double> s_layerNormF64 = new(
        LayerNormKernels.LayerNorm8F64,
        LayerNormKernels.LayerNorm16F64,
        LayerNormKernels.LayerNorm32F64,
        LayerNormKernels.LayerNorm64F64,
        LayerNormKernels.LayerNorm128F64,
        LayerNormKernels.LayerNorm256F64,
        LayerNormKernels.LayerNorm512F64,
        LayerNormKernels.LayerNorm1024F64,
        LayerNormKernels.LayerNormAnyF64);

    private static readonly LayerNormKernelSet<Half, float> s_layerNormF16 = new(
        LayerNormHalfKernels.LayerNorm8F16,
        LayerNormHalfKernels.LayerNorm16F16,
        LayerNormHalfKernels.LayerNorm32F16,
        LayerNormHalfKernels.LayerNorm64F16,
        LayerNormHalfKernels.LayerNorm128F16,
        LayerNormHalfKernels.LayerNorm256F16,
        LayerNormHalfKernels.LayerNorm512F16,
        LayerNormHalfKernels.LayerNorm1024F16,
        LayerNormHalfKernels.LayerNormAnyF16);

    private static readonly LayerNormKernelSet<BFloat16, float> s_layerNormBf16 = new(
        LayerNormHalfKernels.LayerNorm8Bf16,
        LayerNormHalfKernels.LayerNorm16Bf16,
        LayerNormHalfKernels.LayerNorm32Bf16,
        LayerNormHalfKernels.LayerNorm64Bf16,
        LayerNormHalfKernels.LayerNorm128Bf16,
        LayerNormHalfKernels.LayerNorm256Bf16,
        LayerNormHalfKernels.LayerNorm512Bf16,
        LayerNormHalfKernels.LayerNorm1024Bf16,
        LayerNormHalfKernels.LayerNormAnyBf16);

    /// <summary>
    /// Group normalisation (Wu and He 2018, arXiv 1803.08494): statistics of every sample over the channels of a group and
    /// all positions, the variance biased; then weight and bias, optional scale and shift, optional SiLU.
    /// </summary>
    /// <param name="x">[b, .., c]: samples first, channels last.</param>
    /// <param name="groups">Divides c.</param>
    /// <param name="weight">[c].</param>
    /// <param name="bias">[c].</param>
    /// <param name="eps">Added to the variance.</param>
    /// <param name="scaleShift">[b, 2c], scale then shift: the normalised y becomes y * (scale + 1) + shift. Null for none.</param>
    /// <param name="silu">Whether x * sigmoid(x) is applied last.</param>
    /// <returns>Of x's shape.</returns>
    /// <exception cref="ArgumentException">Shapes, element types or contexts do not fit.</exception>
    public static Tensor GroupNorm(
        Tensor x, int groups, Tensor weight, Tensor bias, double eps, Tensor? scaleShift = null, bool silu = false)
        => GroupNorm(x, groups, weight, bias, eps, scaleShift, silu, statistics: null);

    /// <summary>
    /// The same, which also writes what <see cref="GroupNormBackward"/> needs: into <paramref name="statistics"/>, of double whatever
    /// x is and [b, groups, 2], the mean and 1 / sqrt(variance + eps) of every group. Null for not wanted.
    /// </summary>
    /// <inheritdoc cref="GroupNorm(Tensor, int, Tensor, Tensor, double, Tensor?, bool)"/>
    public static Tensor GroupNorm(
        Tensor x, int groups, Tensor weight, Tensor bias, double eps, Tensor? scaleShift, bool silu, Tensor? statistics)
    {
        RequireNorm(x, groups, weight, bias, scaleShift, statistics);
        using var alignedX = GroupVectors(x, groups) ? AlignedCopy(x) : null;
        using var coefficients = TensorScope.Detach(GroupNormCoefficients(alignedX ?? x, groups, weight, bias, eps, scaleShift, statistics));
        return GroupNormApply(alignedX ?? x, groups, coefficients, silu);
    }

    /// <summary>
    /// The first half of <see cref="GroupNorm(Tensor, int, Tensor, Tensor, double, Tensor?, bool)"/>: what the second one multiplies and
    /// adds, [b, 2, c], in the type that is computed in (float for half types): rstd weight (1 + scale), then
    /// (bias - mean rstd weight) (1 + scale) + shift.
    /// </summary>
    /// <inheritdoc cref="GroupNorm(Tensor, int, Tensor, Tensor, double, Tensor?, bool, Tensor?)"/>
    public static Tensor GroupNormCoefficients(
        Tensor x, int groups, Tensor weight, Tensor bias, double eps, Tensor? scaleShift = null, Tensor? statistics = null)
    {
        var (b, n, c) = RequireNorm(x, groups, weight, bias, scaleShift, statistics);
        statistics?.MarkWritten();
        var vectors = GroupVectors(x, groups);
        using var alignedX = vectors ? AlignedCopy(x) : null;
        x = alignedX ?? x;
        var walk = GroupNormWalk.Choose(c, c / groups, vectors ? 4 : 1);
        var rowsPerChunk = walk.RowsPerSumChunk(n);
        var chunks = CeilingDivide(n, rowsPerChunk);
        var coefficients = Tensor.Empty(x.Context, [b, 2, c], x.DType.Accumulation());
        using var partials = TensorScope.Detach(Tensor.Empty(x.Context, [b, groups, chunks, 2], DType.Float64));
        var sums = new LaunchShape(new Dim3(chunks, walk.Tiles, b), new Dim3(WarpSize, walk.Warps));
        var perGroup = new LaunchShape(new Dim3(groups, b), WarpSize);
        switch (x.DType)
        {
            case DType.Float32:
                Launch(s_groupNormF32);
                return coefficients;
            case DType.Float64:
                Launch(s_groupNormF64);
                return coefficients;
            case DType.Float16:
                Launch(s_groupNormF16);
                return coefficients;
            default:
                Launch(s_groupNormBf16);
                return coefficients;
        }

        void Launch<T, TNumber>(GroupNormKernelSet<T, TNumber> kernels)
            where T : unmanaged
            where TNumber : unmanaged
        {
            (vectors ? kernels.SumsVec4 : kernels.Sums)(
                x.Context.Stream, sums, x.Pointer<T>(), partials.Pointer<double>(), n, c, groups, walk.TileChannels, walk.RowsPerStep, rowsPerChunk);
            kernels.Coefficients(
                x.Context.Stream, perGroup, x.Pointer<T>(), partials.Pointer<double>(), weight.Pointer<T>(), bias.Pointer<T>(),
                Optional<T>(scaleShift), coefficients.Pointer<TNumber>(), Optional<double>(statistics), n, c, groups, chunks, eps);
        }
    }

    /// <summary>
    /// The second half of <see cref="GroupNorm(Tensor, int, Tensor, Tensor, double, Tensor?, bool)"/>: x times the first row of its sample's
    /// coefficients, plus the second, SiLU where asked. Applied to parts of x, with coefficients of the whole, it gives parts of the whole.
    /// </summary>
    /// <param name="x">[b, .., c]: samples first, channels last.</param>
    /// <param name="groups">Those that the coefficients were made with.</param>
    /// <param name="coefficients">[b, 2, c], of x's element type, or of Float32 where that is a half type.</param>
    /// <param name="silu">Whether x * sigmoid(x) is applied last.</param>
    /// <returns>Of x's shape.</returns>
    /// <exception cref="ArgumentException">Shapes, element types or contexts do not fit.</exception>
    public static Tensor GroupNormApply(Tensor x, int groups, Tensor coefficients, bool silu = false)
    {
        var (b, n, c) = RequireGroups(x, groups);
        Require(coefficients.Shape == new Shape(b, 2, c), $"coefficients must be [{b}, 2, {c}] for x {x.Shape}, not {coefficients.Shape}");
        RequireFloatingOrHalf(x);
        Require(
            coefficients.DType == x.DType.Accumulation(),
            $"coefficients of {x.DType} are {x.DType.Accumulation()}, not {coefficients.DType}");
        Require(coefficients.Context == x.Context, $"operands of different device contexts, {x} and {coefficients}");
        var y = Tensor.Empty(x.Context, x.Shape, x.DType);
        var vectors = GroupVectors(x, groups);
        using var alignedX = vectors ? AlignedCopy(x) : null;
        x = alignedX ?? x;
        var walk = GroupNormWalk.Choose(c, c / groups, vectors ? 4 : 1);
        var rowsPerApplied = walk.RowsPerAppliedChunk;
        var apply = new LaunchShape(new Dim3(CeilingDivide(n, rowsPerApplied), walk.Tiles, b), new Dim3(WarpSize, walk.Warps));
        switch (x.DType)
        {
            case DType.Float32:
                Launch(s_groupNormF32);
                return y;
            case DType.Float64:
                Launch(s_groupNormF64);
                return y;
            case DType.Float16:
                Launch(s_groupNormF16);
                return y;
            default:
                Launch(s_groupNormBf16);
                return y;
        }

        void Launch<T, TNumber>(GroupNormKernelSet<T, TNumber> kernels)
            where T : unmanaged
            where TNumber : unmanaged
        {
            var kernel = (vectors, silu) switch
            {
                (true, true) => kernels.ApplySiluVec4,
                (true, false) => kernels.ApplyVec4,
                (false, true) => kernels.ApplySilu,
                (false, false) => kernels.Apply,
            };
            kernel(
                x.Context.Stream, apply, x.Pointer<T>(), coefficients.Pointer<TNumber>(), y.Pointer<T>(), n, c, walk.TileChannels,
                walk.RowsPerStep, rowsPerApplied);
        }
    }

    /// <summary>
    /// Layer normalisation (Ba, Kiros and Hinton 2016, arXiv 1607.06450) over the last axis: (x - mean) / sqrt(variance + eps)
    /// * weight + bias, the variance biased.
    /// </summary>
    /// <param name="x">[.., c].</param>
    /// <param name="weight">[c].</param>
    /// <param name="bias">[c].</param>
    /// <param name="eps">Added to the variance.</param>
    /// <returns>Of x's shape.</returns>
    /// <exception cref="ArgumentException">Shapes, element types or contexts do not fit.</exception>
    public static Tensor LayerNorm(Tensor x, Tensor weight, Tensor bias, double eps)
    {
        Require(x.Shape.Rank >= 1 && x.Shape[-1] > 0, $"x must be [.., c], not {x.Shape}");
        var c = x.Shape[-1];
        RequireVector(x, weight, c, nameof(weight));
        RequireVector(x, bias, c, nameof(bias));
        var rows = CheckedInt32(x.Count / c, $"rows of x {x.Shape}");
        var y = Tensor.Empty(x.Context, x.Shape, x.DType);
        if (rows == 0)
        {
            return y;
        }

        switch (x.DType)
        {
            case DType.Float32:
                LayerNorm(s_layerNormF32, x, weight, bias, y, rows, c, (float)eps);
                return y;
            case DType.Float64:
                LayerNorm(s_layerNormF64, x, weight, bias, y, rows, c, eps);
                return y;
            case DType.Float16:
                LayerNorm(s_layerNormF16, x, weight, bias, y, rows, c, (float)eps);
                return y;
            default:
                LayerNorm(s_layerNormBf16, x, weight, bias, y, rows, c, (float)eps);
                return y;
        }
    }

    /// <summary>
    /// Normalisation over channels with a clamped variance: (x - mean) / sqrt(max(variance, eps)) * g, the variance biased;
    /// before it, if asked for, the token shift of <see cref="TokenShift"/>, in the same pass.
    /// </summary>
    /// <param name="x">[b, f, h, w, c].</param>
    /// <param name="g">[c].</param>
    /// <param name="eps">The least that the variance counts for.</param>
    /// <param name="tokenShift">Whether the later half of the channels is delayed by a frame first.</param>
    /// <returns>Of x's shape.</returns>
    /// <exception cref="ArgumentException">Shapes, element types or contexts do not fit.</exception>
    public static Tensor ChanLayerNorm(Tensor x, Tensor g, double eps, bool tokenShift = false)
    {
        RequireVideo(x);
        var c = x.Shape[-1];
        RequireVector(x, g, c, nameof(g));
        var (frames, frameRows) = (x.Shape[1], CheckedInt32((long)x.Shape[2] * x.Shape[3], $"positions of a frame of x {x.Shape}"));
        var kept = tokenShift ? (c + 1) / 2 : c;
        var y = Tensor.Empty(x.Context, x.Shape, x.DType);
        if (x.Count == 0)
        {
            return y;
        }

        var launch = new LaunchShape(CheckedInt32(x.Count / c, $"rows of x {x.Shape}"), RowThreads(c));
        switch (x.DType)
        {
            case DType.Float32:
                ChanLayerNormKernels.ChanLayerNormF32(
                    x.Context.Stream, launch, x.Pointer<float>(), g.Pointer<float>(), y.Pointer<float>(), frames, frameRows, kept, c, (float)eps);
                return y;
            case DType.Float64:
                ChanLayerNormKernels.ChanLayerNormF64(
                    x.Context.Stream, launch, x.Pointer<double>(), g.Pointer<double>(), y.Pointer<double>(), frames, frameRows, kept, c, eps);
                return y;
            case DType.Float16:
                ChanLayerNormHalfKernels.ChanLayerNormF16(
                    x.Context.Stream, launch, x.Pointer<Half>(), g.Pointer<Half>(), y.Pointer<Half>(), frames, frameRows, kept, c, (float)eps);
                return y;
            default:
                ChanLayerNormHalfKernels.ChanLayerNormBf16(
                    x.Context.Stream, launch, x.Pointer<BFloat16>(), g.Pointer<BFloat16>(), y.Pointer<BFloat16>(), frames, frameRows, kept, c, (float)eps);
                return y;
        }
    }

    /// <summary>Delays the channels from ceil(c / 2) on by one frame; the first frame gets zeros there.</summary>
    /// <param name="x">[b, f, h, w, c].</param>
    /// <returns>Of x's shape.</returns>
    /// <exception cref="ArgumentException">x is no video.</exception>
    public static Tensor TokenShift(Tensor x)
    {
        RequireFloatingOrHalf(x);
        RequireVideo(x);
        var c = x.Shape[-1];
        var (frames, frameRows) = (x.Shape[1], CheckedInt32((long)x.Shape[2] * x.Shape[3], $"positions of a frame of x {x.Shape}"));
        var y = Tensor.Empty(x.Context, x.Shape, x.DType);
        if (x.Count == 0)
        {
            return y;
        }

        var rows = CheckedInt32(x.Count / c, $"rows of x {x.Shape}");
        var launch = new LaunchShape(CeilingDivide(rows, RowWarps), new Dim3(WarpSize, RowWarps));
        switch (x.DType)
        {
            case DType.Float32:
                ChanLayerNormKernels.TokenShiftF32(
                    x.Context.Stream, launch, x.Pointer<float>(), y.Pointer<float>(), rows, frames, frameRows, (c + 1) / 2, c);
                return y;
            case DType.Float64:
                ChanLayerNormKernels.TokenShiftF64(
                    x.Context.Stream, launch, x.Pointer<double>(), y.Pointer<double>(), rows, frames, frameRows, (c + 1) / 2, c);
                return y;
            default:
                ChanLayerNormHalfKernels.TokenShiftU16(x.Context.Stream, launch, Words(x), Words(y), rows, frames, frameRows, (c + 1) / 2, c);
                return y;
        }
    }

    private static void LayerNorm<T, TNumber>(
        LayerNormKernelSet<T, TNumber> kernels, Tensor x, Tensor weight, Tensor bias, Tensor y, int rows, int c, TNumber eps)
        where T : unmanaged
        where TNumber : unmanaged
    {
        var stream = x.Context.Stream;
        if (!FitsWarp(c))
        {
            kernels.Any(
                stream, new LaunchShape(rows, RowThreads(c)), x.Pointer<T>(), weight.Pointer<T>(), bias.Pointer<T>(), y.Pointer<T>(), c, eps);
            return;
        }

        using var alignedX = AlignedCopy(x);
        using var alignedWeight = AlignedCopy(weight);
        using var alignedBias = AlignedCopy(bias);
        var (from, to) = ((alignedX ?? x).Pointer<T>(), y.Pointer<T>());
        var (w, b) = ((alignedWeight ?? weight).Pointer<T>(), (alignedBias ?? bias).Pointer<T>());
        var rowsPerUnit = rows >= ManyRows ? 4 : 1;
        var inPartOfWarp = FitsPartOfWarp(rows, c);
        var rowsPerBlock = RowWarps * (inPartOfWarp ? 4 * WarpSize / c : 1) * rowsPerUnit;
        var warps = new LaunchShape(CeilingDivide(rows, rowsPerBlock), new Dim3(WarpSize, RowWarps));
        if (inPartOfWarp)
        {
            var kernel = c switch
            {
                8 => kernels.Of8,
                16 => kernels.Of16,
                32 => kernels.Of32,
                _ => kernels.Of64,
            };
            kernel(stream, warps, from, w, b, to, rows, eps, rowsPerUnit);
        }
        else
        {
            var kernel = c switch
            {
                <= 128 => kernels.UpTo128,
                <= 256 => kernels.UpTo256,
                <= 512 => kernels.UpTo512,
                _ => kernels.UpTo1024,
            };
            kernel(stream, warps, from, w, b, to, rows, c, eps, rowsPerUnit);
        }
    }

    /// <summary>Threads for a block that shares one row: about sixteen elements each, whole warps.</summary>
    private static int RowThreads(int columns) => Math.Clamp(CeilingDivide(columns, 16 * WarpSize), 1, 16) * WarpSize;

    /// <summary>Whether a row is kept in the registers of a warp: whole vectors, and not too many.</summary>
    private static bool FitsWarp(int columns) => columns % 4 == 0 && columns <= 1024;

    /// <summary>Whether a part of a warp takes a row: rows that parts fill exactly, as many at least as a warp has parts.</summary>
    private static bool FitsPartOfWarp(int rows, int columns) => columns is 8 or 16 or 32 or 64 && rows >= 4 * WarpSize / columns;

    /// <summary>
    /// A copy of a tensor that does not start at a multiple of 16 bytes (8, for half types), as some views do not; null for others. Kernels that
    /// sum in vectors take it instead, so that the order of a sum never depends on where its terms lie.
    /// </summary>
    private static Tensor? AlignedCopy(Tensor tensor)
    {
        if (tensor.Pointer<byte>().Address % (tensor.DType.IsHalf() ? 8UL : 16UL) == 0)
        {
            return null;
        }

        var copy = TensorScope.Detach(Tensor.Empty(tensor.Context, tensor.Shape, tensor.DType));
        tensor.Context.Device.Copy(Bytes(copy), Bytes(tensor), tensor.Bytes, tensor.Context.Stream);
        return copy;
    }

    private static (int B, int N, int C) RequireNorm(
        Tensor x, int groups, Tensor weight, Tensor bias, Tensor? scaleShift, Tensor? statistics,
        [System.Runtime.CompilerServices.CallerMemberName] string operation = "")
    {
        var sizes = RequireGroups(x, groups, weight, bias, scaleShift, operation);
        if (statistics is not null)
        {
            RequireStatistics(x, groups, statistics, operation);
        }

        return sizes;
    }

    /// <summary>Checks the operands that group normalisation and its backward have in common; samples, positions and channels.</summary>
    private static (int B, int N, int C) RequireGroups(
        Tensor x, int groups, Tensor weight, Tensor bias, Tensor? scaleShift,
        [System.Runtime.CompilerServices.CallerMemberName] string operation = "")
    {
        var (b, n, c) = RequireGroups(x, groups, operation);
        RequireVector(x, weight, c, nameof(weight), operation);
        RequireVector(x, bias, c, nameof(bias), operation);
        if (scaleShift is not null)
        {
            Require(scaleShift.Shape == new Shape(b, 2 * c), $"scaleShift must be [{b}, {2 * c}], not {scaleShift.Shape}", operation);
            RequireAlike(x, scaleShift, operation);
        }

        return (b, n, c);
    }

    private static (int B, int N, int C) RequireGroups(Tensor x, int groups, [System.Runtime.CompilerServices.CallerMemberName] string operation = "")
    {
        Require(x.Shape.Rank >= 2, $"x must be [b, .., c], not {x.Shape}", operation);
        var (b, c) = (x.Shape[0], x.Shape[-1]);
        Require(groups > 0 && c % groups == 0, $"{c} channels of x {x.Shape} are not divided by {groups} groups", operation);
        Require(x.Count > 0, $"x {x.Shape} is empty: it has no statistics", operation);
        Require(b <= MaxGridZ, $"{b} samples in x {x.Shape} are more than {MaxGridZ}", operation);
        Require(c / groups <= GroupNormWalk.MaxThreads, $"{c / groups} channels a group are more than {GroupNormWalk.MaxThreads}", operation);
        return (b, CheckedInt32(x.Shape.CountBetween(1, x.Shape.Rank - 1), $"positions of x {x.Shape}"), c);
    }

    private static bool GroupVectors(Tensor x, int groups) => x.Shape[-1] / groups % 4 == 0;

    private static void RequireStatistics(
        Tensor x, int groups, Tensor statistics, [System.Runtime.CompilerServices.CallerMemberName] string operation = "")
    {
        Require(
            statistics.Shape == new Shape(x.Shape[0], groups, 2) && statistics.DType == DType.Float64,
            $"statistics must be Float64 [{x.Shape[0]}, {groups}, 2], not {statistics}",
            operation);
        Require(statistics.Context == x.Context, $"operands of different device contexts, {x} and {statistics}", operation);
    }

    private static DevicePointer<T> Optional<T>(Tensor? tensor)
        where T : unmanaged
        => tensor is null ? DevicePointer<T>.Null : tensor.Pointer<T>();

    private static void RequireVector(
        Tensor x, Tensor vector, int length, string name, [System.Runtime.CompilerServices.CallerMemberName] string operation = "")
    {
        Require(vector.Shape.Rank == 1 && vector.Count == length, $"{name} must be [{length}] for x {x.Shape}, not {vector.Shape}", operation);
        RequireAlike(x, vector, operation);
    }

    private static void RequireVideo(Tensor x, [System.Runtime.CompilerServices.CallerMemberName] string operation = "")
        => Require(x.Shape.Rank == 5, $"x must be a video [b, f, h, w, c], not {x.Shape}", operation);

    /// <summary>How group normalisation walks over rows of channels (see kernels/group_norm.cu); it depends on shapes alone.</summary>
    /// <param name="TileChannels">Channels of a row that a block covers.</param>
    /// <param name="Tiles">Blocks across a row.</param>
    /// <param name="RowsPerStep">Rows that a block covers at a time; 1 where there are several tiles.</param>
    /// <param name="Warps">Warps a block; threads past the last row of a step idle.</param>
    private readonly record struct GroupNormWalk(int TileChannels, int Tiles, int RowsPerStep, int Warps)
    {
        public const int MaxThreads = 1024;
        private const int WantedThreads = 256;

        /// <summary>Steps of a block when it applies: few, since blocks share nothing.</summary>
        private const int AppliedSteps = 16;

        public int RowsPerAppliedChunk => RowsPerStep * AppliedSteps;

        public static GroupNormWalk Choose(int c, int channelsPerGroup, int vector, int maxThreads = MaxThreads)
        {
            var lanes = c / vector;
            if (lanes > maxThreads)
            {
                var tile = maxThreads * vector / channelsPerGroup * channelsPerGroup;
                return new(tile, CeilingDivide(c, tile), 1, CeilingDivide(tile / vector, WarpSize));
            }

            // The number of rows whose threads fill whole warps best, and of those the one nearest to the wanted block.
            var best = 1;
            for (var rows = 2; rows * lanes <= 2 * WantedThreads; ++rows)
            {
                if (Waste(rows * lanes).CompareTo(Waste(best * lanes)) < 0)
                {
                    best = rows;
                }
            }

            return new(c, 1, best, CeilingDivide(best * lanes, WarpSize));
        }

        /// <summary>Enough chunks to fill a large GPU where there are positions enough, and 16 to 64 steps a chunk.</summary>
        public int RowsPerSumChunk(int n) => RowsPerStep * Math.Clamp(CeilingDivide(n, RowsPerStep * 512), 16, 64);

        private static (double Idle, int Distance) Waste(int threads)
        {
            var whole = CeilingDivide(threads, WarpSize) * WarpSize;
            return (Math.Round((double)(whole - threads) / whole, 2), Math.Abs(threads - WantedThreads));
        }
    }

    /// <summary>The kernels of one element type T; TNumber is what they compute in.</summary>
    private sealed record GroupNormKernelSet<T, TNumber>(
        GroupNormSums<T> Sums,
        GroupNormSums<T> SumsVec4,
        GroupNormCoefficientsKernel<T, TNumber> Coefficients,
        GroupNormApplyKernel<T, TNumber> Apply,
        GroupNormApplyKernel<T, TNumber> ApplyVec4,
        GroupNormApplyKernel<T, TNumber> ApplySilu,
        GroupNormApplyKernel<T, TNumber> ApplySiluVec4)
        where T : unmanaged
        where TNumber : unmanaged;

    /// <inheritdoc cref="GroupNormKernelSet{T, TNumber}"/>
    private sealed record LayerNormKernelSet<T, TNumber>(
        LayerNormParts<T, TNumber> Of8,
        LayerNormParts<T, TNumber> Of16,
        LayerNormParts<T, TNumber> Of32,
        LayerNormParts<T, TNumber> Of64,
        LayerNormRows<T, TNumber> UpTo128,
        LayerNormRows<T, TNumber> UpTo256,
        LayerNormRows<T, TNumber> UpTo512,
        LayerNormRows<T, TNumber> UpTo1024,
        LayerNormAny<T, TNumber> Any)
        where T : unmanaged
        where TNumber : unmanaged;

    private delegate void GroupNormSums<T>(
        GpuStream stream, in LaunchShape shape, DevicePointer<T> x, DevicePointer<double> partials, int n, int c, int groups, int tileChannels,
        int rowsPerStep, int rowsPerChunk)
        where T : unmanaged;

    private delegate void GroupNormCoefficientsKernel<T, TNumber>(
        GpuStream stream, in LaunchShape shape, DevicePointer<T> x, DevicePointer<double> partials, DevicePointer<T> weight,
        DevicePointer<T> bias, DevicePointer<T> scaleShift, DevicePointer<TNumber> coefficients, DevicePointer<double> statistics, int n, int c,
        int groups, int chunks, double eps)
        where T : unmanaged
        where TNumber : unmanaged;

    private delegate void GroupNormApplyKernel<T, TNumber>(
        GpuStream stream, in LaunchShape shape, DevicePointer<T> x, DevicePointer<TNumber> coefficients, DevicePointer<T> y, int n, int c,
        int tileChannels, int rowsPerStep, int rowsPerChunk)
        where T : unmanaged
        where TNumber : unmanaged;

    private delegate void LayerNormParts<T, in TNumber>(
        GpuStream stream, in LaunchShape shape, DevicePointer<T> x, DevicePointer<T> weight, DevicePointer<T> bias, DevicePointer<T> y, int rows,
        TNumber eps, int rowsPerUnit)
        where T : unmanaged
        where TNumber : unmanaged;

    private delegate void LayerNormRows<T, in TNumber>(
        GpuStream stream, in LaunchShape shape, DevicePointer<T> x, DevicePointer<T> weight, DevicePointer<T> bias, DevicePointer<T> y, int rows,
        int c, TNumber eps, int rowsPerUnit)
        where T : unmanaged
        where TNumber : unmanaged;

    private delegate void LayerNormAny<T, in TNumber>(
        GpuStream stream, in LaunchShape shape, DevicePointer<T> x, DevicePointer<T> weight, DevicePointer<T> bias, DevicePointer<T> y, int c,
        TNumber eps)
        where T : unmanaged
        where TNumber : unmanaged;
}
