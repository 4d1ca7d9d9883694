// Multi-head attention over tokens or frames, and the relative position bias that is added to its scores.
using FashionFlow.Gpu;
using FashionFlow.Gpu.Kernels;

namespace FashionFlow.Tensors;

/// <summary>Which axis the sequence of an attention runs along.</summary>
public enum AttentionAxis
{
    /// <summary>The second of [b, n, c].</summary>
    Tokens,

    /// <summary>The second of [b, f, p, c], for every position p.</summary>
    Frames,
}

public static partial class Ops
{
    /// <summary>The widest head that the fused kernel holds in registers.</summary>
    private const int MaxFusedHead = 512;

    /// <summary>Heads wider than this go through matrix products, where the sequence is long enough to fill them.</summary>
    private const int WideHead = 128;

    /// <summary>Scores that attention by matrix products holds at a time: 16 MiB of float.</summary>
    private const int ScoresAtATime = 1 << 22;

    /// <summary>
    /// Scaled dot-product attention (Vaswani et al. 2017, arXiv 1706.03762): softmax(q k^T * scale + bias) v for every head. The
    /// matrix of scores is never whole in memory.
    /// </summary>
    /// <param name="q">[b, nq, heads * d], or [b, f, p, heads * d] along frames.</param>
    /// <param name="k">[b, nk, heads * d], or [b, fk, p, heads * d].</param>
    /// <param name="v">Of k's shape.</param>
    /// <param name="heads">Divides the last axis.</param>
    /// <param name="scale">Usually 1 / sqrt(d).</param>
    /// <param name="bias">[heads, nq, nk], added to the scores; null for none.</param>
    /// <param name="axis">The sequence's axis.</param>
    /// <returns>Of q's shape.</returns>
    /// <exception cref="ArgumentException">Shapes, element types or contexts do not fit.</exception>
    public static Tensor Attention(
        Tensor q, Tensor k, Tensor v, int heads, double scale, Tensor? bias = null, AttentionAxis axis = AttentionAxis.Tokens)
    {
        Require(k.Shape == v.Shape, $"k {k.Shape} and v {v.Shape} must have one shape");
        RequireAlike(q, v);
        var plan = PlanAttention(q, k, heads, 1, scale, bias, axis);
        if (plan.ByProducts && q.DType.IsHalf())
        {
            // Scores between two products would be rounded to the half type, and their exponentials feel that: the whole is float.
            using var wideQ = Widened(q);
            using var wideK = Widened(k);
            using var wideV = Widened(v);
            using var wideBias = bias is null ? null : Widened(bias);
            using var wide = TensorScope.Detach(Attention(wideQ, wideK, wideV, heads, scale, wideBias, axis));
            return Cast(wide, q.DType);
        }

        return Attend(plan, q, Bytes(k), Bytes(v), bias);
    }

    /// <summary><see cref="Attention"/> on keys and values that one projection made: in every row first the key, then the value.</summary>
    /// <param name="q">[b, nq, heads * d], or [b, f, p, heads * d] along frames.</param>
    /// <param name="kv">[b, nk, 2 * heads * d], or [b, fk, p, 2 * heads * d].</param>
    /// <param name="heads">Divides the last axis of q.</param>
    /// <param name="scale">Usually 1 / sqrt(d).</param>
    /// <param name="bias">[heads, nq, nk], added to the scores; null for none.</param>
    /// <param name="axis">The sequence's axis.</param>
    /// <returns>Of q's shape.</returns>
    /// <exception cref="ArgumentException">Shapes, element types or contexts do not fit.</exception>
    public static Tensor AttentionKv(
        Tensor q, Tensor kv, int heads, double scale, Tensor? bias = null, AttentionAxis axis = AttentionAxis.Tokens)
    {
        var plan = PlanAttention(q, kv, heads, 2, scale, bias, axis);
        if (plan.ByProducts && q.DType.IsHalf())
        {
            using var wideQ = Widened(q);
            using var wideKv = Widened(kv);
            using var wideBias = bias is null ? null : Widened(bias);
            using var wide = TensorScope.Detach(AttentionKv(wideQ, wideKv, heads, scale, wideBias, axis));
            return Cast(wide, q.DType);
        }

        return Attend(plan, q, Bytes(kv), Bytes(kv).Offset((long)plan.Width * q.DType.SizeInBytes()), bias);
    }

    /// <summary>
    /// The bias of every pair of positions, gathered from a table by the relative offset (query minus key) of the pair.
    /// </summary>
    /// <param name="table">[offsets, heads]: offsets are row-major over 2d - 1 values an axis, from -(d - 1) up.</param>
    /// <param name="dimensions">The lengths d of one to three axes of positions, row-major.</param>
    /// <returns>[heads, n, n] with n the product of the dimensions; query before key.</returns>
    /// <exception cref="ArgumentException">The table does not fit the dimensions.</exception>
    public static Tensor PositionBias(Tensor table, params ReadOnlySpan<int> dimensions)
    {
        RequireFloatingOrHalf(table);
        var grid = PositionGrid.Of(dimensions);
        Require(table.Shape.Rank == 2, $"table must be [offsets, heads], not {table.Shape}");
        Require(table.Shape[0] == grid.Offsets, $"table {table.Shape} must have {grid.Offsets} rows for positions {new Shape(dimensions)}");
        var n = grid.Positions;
        var heads = table.Shape[1];
        var bias = Tensor.Empty(table.Context, [heads, n, n], table.DType);
        if (heads == 0)
        {
            return bias;
        }

        const int Threads = 128;
        var launch = new LaunchShape(new Dim3(n, CeilingDivide(n, Threads)), Threads);
        switch (table.DType)
        {
            case DType.Float32:
                PositionBiasKernels.PositionBiasF32(
                    table.Context.Stream, launch, table.Pointer<float>(), bias.Pointer<float>(), heads, n, grid.D0, grid.D1, grid.D2);
                return bias;
            case DType.Float64:
                PositionBiasKernels.PositionBiasF64(
                    table.Context.Stream, launch, table.Pointer<double>(), bias.Pointer<double>(), heads, n, grid.D0, grid.D1, grid.D2);
                return bias;
            default:
                PositionBiasKernels.PositionBiasU16(
                    table.Context.Stream, launch, Words(table), Words(bias), heads, n, grid.D0, grid.D1, grid.D2);
                return bias;
        }
    }

    /// <summary><see cref="Attention"/> over tokens by matrix products, with a bound on the scores held at a time: for tests of just that.</summary>
    internal static Tensor AttentionByProducts(
        Tensor q, Tensor k, Tensor v, int heads, double scale, Tensor? bias, int scoresAtATime)
    {
        var plan = PlanAttention(q, k, heads, 1, scale, bias, AttentionAxis.Tokens);
        var y = Tensor.Empty(q.Context, q.Shape, q.DType);
        AttendByProducts(plan, q, Bytes(k), Bytes(v), bias, y, scoresAtATime);
        return y;
    }

    /// <summary>A tensor of a half type as float, outside any scope.</summary>
    private static Tensor Widened(Tensor x) => TensorScope.Detach(Cast(x, DType.Float32));

    private static AttentionPlan PlanAttention(
        Tensor q,
        Tensor kv,
        int heads,
        int packed,
        double scale,
        Tensor? bias,
        AttentionAxis axis,
        [System.Runtime.CompilerServices.CallerMemberName] string operation = "")
    {
        var rank = axis == AttentionAxis.Frames ? 4 : 3;
        Require(q.Shape.Rank == rank && kv.Shape.Rank == rank, $"along {axis}, operands must have {rank} axes, not {q.Shape} and {kv.Shape}", operation);
        RequireAlike(q, kv, operation);
        var width = q.Shape[-1];
        Require(heads > 0 && width > 0 && width % heads == 0, $"{width} channels of q {q.Shape} are not divided by {heads} heads", operation);
        Require(heads <= MaxGridZ, $"{heads} heads are more than {MaxGridZ}", operation);
        Require(
            kv.Shape[0] == q.Shape[0] && kv.Shape[-1] == packed * width && (rank == 3 || kv.Shape[2] == q.Shape[2]),
            $"keys {kv.Shape} do not fit q {q.Shape}",
            operation);
        var (queries, keys) = (q.Shape[1], kv.Shape[1]);
        Require(keys > 0, $"there are no keys in {kv.Shape}", operation);
        if (bias is not null)
        {
            Require(bias.Shape == new Shape(heads, queries, keys), $"bias must be [{heads}, {queries}, {keys}], not {bias.Shape}", operation);
            RequireAlike(q, bias, operation);
        }

        return new AttentionPlan(
            q.Shape[0], rank == 4 ? q.Shape[2] : 1, queries, keys, heads, width, width / heads, (long)packed * width, scale, axis);
    }

    private static Tensor Attend(in AttentionPlan plan, Tensor q, DevicePointer<byte> k, DevicePointer<byte> v, Tensor? bias)
    {
        var y = Tensor.Empty(q.Context, q.Shape, q.DType);
        if (y.Count > 0)
        {
            if (plan.ByProducts)
            {
                AttendByProducts(plan, q, k, v, bias, y);
            }
            else
            {
                AttendFused(plan, q, k, v, bias, y);
            }
        }

        return y;
    }

    /// <summary>One launch, for heads of up to <see cref="MaxFusedHead"/> (kernels/attention.cu).</summary>
    private static void AttendFused(in AttentionPlan plan, Tensor q, DevicePointer<byte> k, DevicePointer<byte> v, Tensor? bias, Tensor y)
    {
        if (plan.Head > MaxFusedHead)
        {
            throw new ArgumentException($"Attention: heads of {plan.Head} channels along {plan.Axis} are wider than {MaxFusedHead}");
        }

        switch (q.DType)
        {
            case DType.Float32:
            {
                (FusedAttention<float, float> kernel, int queries, int warps) = plan.Head switch
                {
                    <= 64 when plan.Queries <= 32 => ((FusedAttention<float, float>)AttentionKernels.Attention64ShortF32, 32, 4),
                    <= 64 => (AttentionKernels.Attention64F32, 64, 4),
                    <= 128 => (AttentionKernels.Attention128F32, 64, 4),
                    _ => (AttentionKernels.Attention512F32, 32, 8),
                };
                Launch(kernel, plan, queries, warps, q, k, v, bias, y, (float)plan.Scale);
                break;
            }

            case DType.Float64:
            {
                (FusedAttention<double, double> kernel, int warps) = plan.Head switch
                {
                    <= 64 => ((FusedAttention<double, double>)AttentionKernels.Attention64F64, 4),
                    <= 128 => (AttentionKernels.Attention128F64, 4),
                    _ => (AttentionKernels.Attention512F64, 8),
                };
                Launch(kernel, plan, 32, warps, q, k, v, bias, y, plan.Scale);
                break;
            }

            case DType.Float16:
            {
                (FusedAttention<Half, float> kernel, int queries, int warps) = plan.Head switch
                {
                    <= 64 when plan.Queries <= 32 => ((FusedAttention<Half, float>)AttentionHalfKernels.Attention64ShortF16, 32, 4),
                    <= 64 => (AttentionHalfKernels.Attention64F16, 64, 4),
                    <= 128 => (AttentionHalfKernels.Attention128F16, 64, 4),
                    _ => (AttentionHalfKernels.Attention512F16, 32, 8),
                };
                Launch(kernel, plan, queries, warps, q, k, v, bias, y, (float)plan.Scale);
                break;
            }

            default:
            {
                (FusedAttention<BFloat16, float> kernel, int queries, int warps) = plan.Head switch
                {
                    <= 64 when plan.Queries <= 32 => ((FusedAttention<BFloat16, float>)AttentionHalfKernels.Attention64ShortBf16, 32, 4),
                    <= 64 => (AttentionHalfKernels.Attention64Bf16, 64, 4),
                    <= 128 => (AttentionHalfKernels.Attention128Bf16, 64, 4),
                    _ => (AttentionHalfKernels.Attention512Bf16, 32, 8),
                };
                Launch(kernel, plan, queries, warps, q, k, v, bias, y, (float)plan.Scale);
                break;
            }
        }

        static void Launch<T, TNumber>(
            FusedAttention<T, TNumber> kernel,
            in AttentionPlan plan,
            int queriesPerBlock,
            int warps,
            Tensor q,
            DevicePointer<byte> k,
            DevicePointer<byte> v,
            Tensor? bias,
            Tensor y,
            TNumber scale)
            where T : unmanaged
            where TNumber : unmanaged
        {
            var tiles = CeilingDivide(plan.Queries, queriesPerBlock);
            var blocks = CheckedInt32((long)tiles * plan.Batch * plan.Inner, "blocks of an attention");
            kernel(
                q.Context.Stream, new LaunchShape(new Dim3(blocks, plan.Heads), new Dim3(WarpSize, warps)), q.Pointer<T>(), k.Cast<T>(),
                v.Cast<T>(), Optional<T>(bias), y.Pointer<T>(), plan.Queries, plan.Keys, plan.Head, tiles, plan.Inner, plan.QueryOuter,
                plan.QueryInner, plan.QueryToken, plan.KeyOuter, plan.KeyInner, plan.KeyToken, scale);
        }
    }

    /// <summary>
    /// Two matrix products with a softmax between them, for some queries at a time: heads too wide for the registers of a
    /// block are what matrix products are best at.
    /// </summary>
    private static void AttendByProducts(
        in AttentionPlan plan,
        Tensor q,
        DevicePointer<byte> k,
        DevicePointer<byte> v,
        Tensor? bias,
        Tensor y,
        int scoresAtATime = ScoresAtATime)
    {
        var size = q.DType.SizeInBytes();
        var (heads, keys, width) = (plan.Heads, plan.Keys, plan.Width);
        var queriesAtATime = (int)Math.Clamp(scoresAtATime / ((long)heads * keys) / 128 * 128, 128, int.MaxValue);
        for (var sample = 0; sample < plan.Batch; ++sample)
        {
            for (var first = 0; first < plan.Queries; first += queriesAtATime)
            {
                var queries = Math.Min(queriesAtATime, plan.Queries - first);
                var row = ((long)sample * plan.Queries) + first;
                using var scores = TensorScope.Detach(Tensor.Empty(q.Context, [heads, queries, keys], q.DType));
                var kvOffset = sample * keys * plan.KvWidth * size;
                var product = new GemmDescription
                {
                    ElementType = q.DType,
                    AccumulationType = q.DType,
                    M = queries,
                    N = keys,
                    K = plan.Head,
                    TransposeB = true,
                    LeadingDimensionA = width,
                    LeadingDimensionB = plan.KvWidth,
                    LeadingDimensionC = keys,
                    BatchCount = heads,
                    BatchStrideA = plan.Head,
                    BatchStrideB = plan.Head,
                    BatchStrideC = (long)queries * keys,
                    Alpha = plan.Scale,
                };
                Product(q.Context, product, Bytes(q).Offset(row * width * size), k.Offset(kvOffset), default, default, scores);
                Softmax(scores, bias, heads, plan.Queries, first);
                using var rows = TensorScope.Detach(y.Reshape(-1, width));
                using var result = TensorScope.Detach(rows.Narrow(CheckedInt32(row, "rows of an attention"), queries));
                product = product with
                {
                    N = plan.Head,
                    K = keys,
                    TransposeB = false,
                    LeadingDimensionA = keys,
                    LeadingDimensionC = width,
                    BatchStrideA = (long)queries * keys,
                    BatchStrideC = plan.Head,
                    Alpha = 1,
                };
                Product(q.Context, product, Bytes(scores), v.Offset(kvOffset), default, default, result);
            }
        }
    }

    /// <summary>In place, softmax over the rows of scores [heads, queries, keys] plus the bias of all queries, of which these start at one.</summary>
    private static void Softmax(Tensor scores, Tensor? bias, int heads, int allQueries, int firstQuery)
    {
        var (queries, keys) = (scores.Shape[1], scores.Shape[2]);
        for (var head = 0; head < heads; ++head)
        {
            var start = (long)head * queries * keys;
            var biasStart = (((long)head * allQueries) + firstQuery) * keys;
            var launch = new LaunchShape(queries, RowThreads(keys));
            if (scores.DType == DType.Float32)
            {
                var added = bias is null ? default : bias.Pointer<float>().Offset(biasStart);
                AttentionKernels.SoftmaxF32(scores.Context.Stream, launch, scores.Pointer<float>().Offset(start), added, keys);
            }
            else
            {
                var added = bias is null ? default : bias.Pointer<double>().Offset(biasStart);
                AttentionKernels.SoftmaxF64(scores.Context.Stream, launch, scores.Pointer<double>().Offset(start), added, keys);
            }
        }
    }

    /// <summary>A grid of positions of one to three axes, padded in front with axes of length 1.</summary>
    private readonly record struct PositionGrid(int Positions, long Offsets, int D0, int D1, int D2)
    {
        public static PositionGrid Of(
            ReadOnlySpan<int> dimensions, [System.Runtime.CompilerServices.CallerMemberName] string operation = "")
        {
            Require(dimensions.Length is >= 1 and <= 3, $"positions have one to three dimensions, not {dimensions.Length}", operation);
            long positions = 1;
            long offsets = 1;
            Span<int> d = [1, 1, 1];
            for (var i = 0; i < dimensions.Length; ++i)
            {
                Require(dimensions[i] > 0, $"dimension {i} is {dimensions[i]}, not positive", operation);
                positions *= dimensions[i];
                offsets *= (2L * dimensions[i]) - 1;
                d[3 - dimensions.Length + i] = dimensions[i];
            }

            return new(CheckedInt32(positions, "positions"), offsets, d[0], d[1], d[2]);
        }
    }

    /// <summary>The shape of an attention. Inner is the number of positions that each have a sequence of frames of their own, else 1.</summary>
    private readonly record struct AttentionPlan(
        int Batch, int Inner, int Queries, int Keys, int Heads, int Width, int Head, long KvWidth, double Scale, AttentionAxis Axis)
    {
        /// <summary>Whether it goes through matrix products; that depends on the shape alone.</summary>
        public bool ByProducts => Axis == AttentionAxis.Tokens && (Head > MaxFusedHead || (Head > WideHead && (long)Queries * Keys >= 1 << 14));

        /// <summary>Whether the backward pass goes through the fused kernel; that depends on the shape alone.</summary>
        public bool HasShortSequences => LongestSequence <= MaxFusedSequence;

        /// <summary>The longer of the sequences of queries and of keys.</summary>
        public int LongestSequence => Math.Max(Queries, Keys);

        /// <summary>Elements from one sample's queries to the next one's.</summary>
        public long QueryOuter => Queries * QueryToken;

        /// <summary>Elements from one position's queries to the next one's.</summary>
        public long QueryInner => Width;

        /// <summary>Elements from a query to the next of its sequence.</summary>
        public long QueryToken => (long)Inner * Width;

        /// <inheritdoc cref="QueryOuter"/>
        public long KeyOuter => Keys * KeyToken;

        /// <inheritdoc cref="QueryInner"/>
        public long KeyInner => KvWidth;

        /// <inheritdoc cref="QueryToken"/>
        public long KeyToken => Inner * KvWidth;
    }

    private delegate void FusedAttention<T, in TNumber>(
        GpuStream stream, in LaunchShape shape, DevicePointer<T> q, DevicePointer<T> k, DevicePointer<T> v, DevicePointer<T> bias,
        DevicePointer<T> @out, int queryCount, int keyCount, int head, int queryTiles, int inner, long qOuter, long qInner, long qToken,
        long kvOuter, long kvInner, long kvToken, TNumber scale)
        where T : unmanaged
        where TNumber : unmanaged;
}
