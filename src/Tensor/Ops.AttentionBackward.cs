// Gradients of attention and of the position bias. Short sequences have a fused kernel; others go through matrix products, some
// sequences or some queries at a time, so that the scores in memory are bounded.
using FashionFlow.Gpu;
using FashionFlow.Gpu.Kernels;

namespace FashionFlow.Tensors;

/// <summary>Which of an attention's inputs a gradient is asked for.</summary>
[Flags]
public enum AttentionInputs
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>The queries.</summary>
    Query = 1,

    /// <summary>The keys.</summary>
    Key = 2,

    /// <summary>The values.</summary>
    Value = 4,

    /// <summary>The bias, where there is one.</summary>
    Bias = 8,

    /// <summary>All of them.</summary>
    All = Query | Key | Value | Bias,
}

public static partial class Ops
{
    /// <summary>
    /// The longest sequence of queries or keys that the fused backward kernels hold. Beyond, its work is no longer small against that of
    /// bringing the operands in, and matrix products are faster at it.
    /// </summary>
    private const int MaxFusedSequence = 16;

    /// <summary>Blocks that the fused backward kernel's sequences are shared out over, where there are enough.</summary>
    private const int FusedBackwardBlocks = 1024;

    /// <summary>Most sequences that one of those blocks takes.</summary>
    private const int MaxSequencesPerBlock = 32;

    /// <summary>
    /// The gradient of <see cref="Attention"/>. With P the weights, dO the result's gradient, dP = dO v^T and
    /// dS = P (dP - rowsum(P dP)): dq = scale dS k, dk = scale dS^T q, dv = P^T dO, and dbias is dS summed over all sequences
    /// (Dao 2023, arXiv 2307.08691, section 3.1). P is computed again, so that nothing but the inputs need be kept for it.
    /// </summary>
    /// <param name="q">[b, nq, heads * d], or [b, f, p, heads * d] along frames.</param>
    /// <param name="k">[b, nk, heads * d], or [b, fk, p, heads * d].</param>
    /// <param name="v">Of k's shape.</param>
    /// <param name="gradient">The result's gradient, of q's shape.</param>
    /// <param name="heads">Divides the last axis.</param>
    /// <param name="scale">As in the forward pass.</param>
    /// <param name="bias">[heads, nq, nk], or null.</param>
    /// <param name="axis">The sequence's axis.</param>
    /// <param name="wanted">The gradients to compute.</param>
    /// <returns>Gradients of the shapes of q, k, v and bias; null where not asked for, and for a bias that is null.</returns>
    /// <exception cref="ArgumentException">Shapes, element types or contexts do not fit.</exception>
    public static (Tensor? Query, Tensor? Key, Tensor? Value, Tensor? Bias) AttentionBackward(
        Tensor q,
        Tensor k,
        Tensor v,
        Tensor gradient,
        int heads,
        double scale,
        Tensor? bias = null,
        AttentionAxis axis = AttentionAxis.Tokens,
        AttentionInputs wanted = AttentionInputs.All)
    {
        Require(k.Shape == v.Shape, $"k {k.Shape} and v {v.Shape} must have one shape");
        RequireFloating(q);
        RequireAlike(q, v);
        var plan = PlanAttention(q, k, heads, 1, scale, bias, axis);
        var dx = new AttentionOperands(
            LikeIf(wanted.HasFlag(AttentionInputs.Query), q), LikeIf(wanted.HasFlag(AttentionInputs.Key), k), LikeIf(wanted.HasFlag(AttentionInputs.Value), v));
        var dbias = AttendBackward(plan, new(q, k, v), bias, gradient, dx, wanted.HasFlag(AttentionInputs.Bias));
        return (dx.Query, dx.Key, dx.Value, dbias);
    }

    /// <summary>The gradient of <see cref="AttentionKv"/>, as <see cref="AttentionBackward"/> computes it.</summary>
    /// <param name="q">[b, nq, heads * d], or [b, f, p, heads * d] along frames.</param>
    /// <param name="kv">[b, nk, 2 * heads * d], or [b, fk, p, 2 * heads * d].</param>
    /// <param name="gradient">The result's gradient, of q's shape.</param>
    /// <param name="heads">Divides the last axis of q.</param>
    /// <param name="scale">As in the forward pass.</param>
    /// <param name="bias">[heads, nq, nk], or null.</param>
    /// <param name="axis">The sequence's axis.</param>
    /// <param name="wanted">The gradients to compute; where keys or values are asked for, both are.</param>
    /// <returns>Gradients of the shapes of q, kv and bias; null where not asked for, and for a bias that is null.</returns>
    /// <exception cref="ArgumentException">Shapes, element types or contexts do not fit.</exception>
    public static (Tensor? Query, Tensor? KeyValue, Tensor? Bias) AttentionKvBackward(
        Tensor q,
        Tensor kv,
        Tensor gradient,
        int heads,
        double scale,
        Tensor? bias = null,
        AttentionAxis axis = AttentionAxis.Tokens,
        AttentionInputs wanted = AttentionInputs.All)
    {
        RequireFloating(q);
        var plan = PlanAttention(q, kv, heads, 2, scale, bias, axis);
        var valueOffset = (long)plan.Width * q.DType.SizeInBytes();
        var dkv = LikeIf((wanted & (AttentionInputs.Key | AttentionInputs.Value)) != AttentionInputs.None, kv);
        var dx = new AttentionOperands(LikeIf(wanted.HasFlag(AttentionInputs.Query), q), dkv, dkv, valueOffset);
        var dbias = AttendBackward(plan, new(q, kv, kv, valueOffset), bias, gradient, dx, wanted.HasFlag(AttentionInputs.Bias));
        return (dx.Query, dkv, dbias);
    }

    /// <summary>
    /// The gradient of <see cref="PositionBias"/>: each row of the table gets the sum over all pairs at its offset, in ascending
    /// order of queries.
    /// </summary>
    /// <param name="gradient">The result's gradient, [heads, n, n].</param>
    /// <param name="dimensions">As in the forward pass.</param>
    /// <returns>The table's gradient, [offsets, heads].</returns>
    /// <exception cref="ArgumentException">The gradient does not fit the dimensions.</exception>
    public static Tensor PositionBiasBackward(Tensor gradient, params ReadOnlySpan<int> dimensions)
    {
        const int HeadsPerBlock = 4;
        RequireFloating(gradient);
        var grid = PositionGrid.Of(dimensions);
        Require(
            gradient.Shape.Rank == 3 && gradient.Shape[1] == grid.Positions && gradient.Shape[2] == grid.Positions,
            $"gradient must be [heads, {grid.Positions}, {grid.Positions}], not {gradient.Shape}");
        var heads = gradient.Shape[0];
        var table = Like(gradient, [CheckedInt32(grid.Offsets, "offsets of positions"), heads]);
        if (heads == 0)
        {
            return table;
        }

        var across = (2 * grid.D2) - 1;
        var launch = new LaunchShape(
            new Dim3(table.Shape[0] / across, CeilingDivide(across, WarpSize), CeilingDivide(heads, HeadsPerBlock)), new Dim3(WarpSize, HeadsPerBlock));
        if (table.DType == DType.Float32)
        {
            PositionBiasBackwardKernels.PositionBiasBackwardF32(
                table.Context.Stream, launch, gradient.Pointer<float>(), table.Pointer<float>(), heads, grid.Positions, grid.D0, grid.D1, grid.D2);
        }
        else
        {
            PositionBiasBackwardKernels.PositionBiasBackwardF64(
                table.Context.Stream, launch, gradient.Pointer<double>(), table.Pointer<double>(), heads, grid.Positions, grid.D0, grid.D1, grid.D2);
        }

        return table;
    }

    /// <summary><see cref="AttentionBackward"/> by matrix products whatever the shape, with a bound on the scores held at a time: for tests of just that.</summary>
    internal static (Tensor? Query, Tensor? Key, Tensor? Value, Tensor? Bias) AttentionBackwardByProducts(
        Tensor q, Tensor k, Tensor v, Tensor gradient, int heads, double scale, Tensor? bias, AttentionAxis axis, int scoresAtATime)
    {
        var plan = PlanAttention(q, k, heads, 1, scale, bias, axis);
        var dx = new AttentionOperands(Like(q, q.Shape), Like(k, k.Shape), Like(v, v.Shape));
        var dbias = bias is null ? null : Like(bias, bias.Shape);
        AttendBackwardByProducts(plan, new(q, k, v), bias, gradient, dx, dbias, scoresAtATime);
        return (dx.Query, dx.Key, dx.Value, dbias);
    }

    private static Tensor? LikeIf(bool wanted, Tensor x) => wanted ? Like(x, x.Shape) : null;

    /// <summary>Fills dx, and gives the bias's gradient if there is a bias and that is wanted.</summary>
    private static Tensor? AttendBackward(
        in AttentionPlan plan,
        in AttentionOperands x,
        Tensor? bias,
        Tensor gradient,
        in AttentionOperands dx,
        bool wantsBias,
        [System.Runtime.CompilerServices.CallerMemberName] string operation = "")
    {
        var q = x.Query!;
        RequireAlike(q, gradient, operation);
        Require(gradient.Shape == q.Shape, $"gradient must be {q.Shape} like q, not {gradient.Shape}", operation);
        if (gradient.Count == 0)
        {
            // Nothing was asked of the keys.
            foreach (var tensor in dx.KeysAndValues)
            {
                Fill(tensor, 0);
            }

            return bias is not null && wantsBias ? Tensor.Zeros(bias.Context, bias.Shape, bias.DType) : null;
        }

        if (plan.HasShortSequences)
        {
            var fewest = plan.LongestSequence <= 8;
            return q.DType == DType.Float32
                ? AttendBackwardFused<float>(
                    plan, x, bias, gradient, dx, wantsBias, (float)plan.Scale,
                    fewest ? AttentionBackwardKernels.AttentionBackward8F32 : AttentionBackwardKernels.AttentionBackward16F32)
                : AttendBackwardFused<double>(
                    plan, x, bias, gradient, dx, wantsBias, plan.Scale,
                    fewest ? AttentionBackwardKernels.AttentionBackward8F64 : AttentionBackwardKernels.AttentionBackward16F64);
        }

        var dbias = bias is not null && wantsBias ? Like(bias, bias.Shape) : null;
        AttendBackwardByProducts(plan, x, bias, gradient, dx, dbias, ScoresAtATime);
        return dbias;
    }

    /// <summary>One launch, and one over the blocks' shares of the bias's gradient (kernels/attention_backward.cu).</summary>
    private static Tensor? AttendBackwardFused<T>(
        in AttentionPlan plan,
        in AttentionOperands x,
        Tensor? bias,
        Tensor gradient,
        in AttentionOperands dx,
        bool wantsBias,
        T scale,
        FusedAttentionBackward<T> kernel)
        where T : unmanaged
    {
        const int RowsPerWarp = 8;
        var sequences = CheckedInt32((long)plan.Batch * plan.Inner, "sequences of an attention");
        var perBlock = (int)Math.Clamp((long)sequences * plan.Heads / FusedBackwardBlocks, 1, MaxSequencesPerBlock);
        var blocks = CeilingDivide(sequences, perBlock);
        var warps = CeilingDivide(plan.LongestSequence, RowsPerWarp);
        var shares = bias is not null && wantsBias ? Like(bias, [blocks, plan.Heads, plan.Queries, plan.Keys]) : null;
        kernel(
            gradient.Context.Stream, new LaunchShape(new Dim3(blocks, plan.Heads), new Dim3(WarpSize, warps)), x.Query!.Pointer<T>(),
            x.KeyPointer.Cast<T>(), x.ValuePointer.Cast<T>(), Optional<T>(bias), gradient.Pointer<T>(), Optional<T>(dx.Query),
            dx.KeyPointer.Cast<T>(), dx.ValuePointer.Cast<T>(), Optional<T>(shares), sequences, perBlock, plan.Queries, plan.Keys, plan.Head,
            plan.Inner, plan.QueryOuter, plan.QueryInner, plan.QueryToken, plan.KeyOuter, plan.KeyInner, plan.KeyToken, scale);
        if (shares is null)
        {
            return null;
        }

        var dbias = SumRows(shares, bias!.Shape);
        shares.Dispose();
        return dbias;
    }

    /// <summary>
    /// Five matrix products for every head, with a softmax and its gradient after the first two, for as many sequences at a time as the
    /// bound on scores allows; of a sequence too long for it, for some queries at a time.
    /// </summary>
    private static void AttendBackwardByProducts(
        in AttentionPlan plan, in AttentionOperands x, Tensor? bias, Tensor gradient, in AttentionOperands dx, Tensor? dbias, int scoresAtATime)
    {
        var all = (long)plan.Batch * plan.Inner;
        var sequencesAtATime = Math.Max(scoresAtATime / ((long)plan.Heads * plan.Queries * plan.Keys), 1);
        var queriesAtATime = (int)Math.Clamp(scoresAtATime / ((long)plan.Heads * plan.Keys) / 128 * 128, 128, int.MaxValue);
        if (plan.Axis == AttentionAxis.Frames || plan.Queries <= queriesAtATime)
        {
            queriesAtATime = plan.Queries;
        }

        for (long first = 0, count; first < all; first += count)
        {
            // One stride leads from each sequence to the next: along frames, not from one sample's last to the next one's first.
            var together = plan.Axis == AttentionAxis.Frames ? plan.Inner - (first % plan.Inner) : all - first;
            count = Math.Min(sequencesAtATime, together);
            for (var firstQuery = 0; firstQuery < plan.Queries; firstQuery += queriesAtATime)
            {
                using var scope = TensorScope.Begin();
                AttendBackwardByProducts(
                    plan, x, bias, gradient, dx, dbias, first, (int)count, firstQuery, Math.Min(queriesAtATime, plan.Queries - firstQuery));
            }
        }
    }

    private static void AttendBackwardByProducts(
        in AttentionPlan plan,
        in AttentionOperands x,
        Tensor? bias,
        Tensor gradient,
        in AttentionOperands dx,
        Tensor? dbias,
        long firstSequence,
        int sequences,
        int firstQuery,
        int queries)
    {
        var (heads, keys, head) = (plan.Heads, plan.Keys, plan.Head);
        var frames = plan.Axis == AttentionAxis.Frames;
        var (outer, inner) = (firstSequence / plan.Inner, firstSequence % plan.Inner);
        var size = gradient.DType.SizeInBytes();
        var queryOffset = ((outer * plan.QueryOuter) + (inner * plan.QueryInner) + (firstQuery * plan.QueryToken)) * size;
        var keyOffset = ((outer * plan.KeyOuter) + (inner * plan.KeyInner)) * size;

        var (queryStep, queryToken) = (frames ? plan.QueryInner : plan.QueryOuter, plan.QueryToken);
        var (keyStep, keyToken) = (frames ? plan.KeyInner : plan.KeyOuter, plan.KeyToken);
        MatrixBatch Queries(Tensor tensor) => new(Bytes(tensor).Offset(queryOffset), queryToken, queryStep, head);
        MatrixBatch Keys(DevicePointer<byte> pointer, long offset) => new(pointer.Offset(offset), keyToken, keyStep, head);
        MatrixBatch Scores(Tensor tensor) => new(Bytes(tensor), keys, (long)heads * queries * keys, (long)queries * keys);

        var weights = Like(gradient, [sequences, heads, queries, keys]);
        var scoreGradient = Like(gradient, weights.Shape);
        var product = new GemmDescription
        {
            ElementType = gradient.DType,
            AccumulationType = gradient.DType,
            M = queries,
            N = keys,
            K = head,
            TransposeB = true,
            LeadingDimensionA = 0,
            LeadingDimensionB = 0,
            LeadingDimensionC = 0,
        };
        var context = gradient.Context;
        Products(context, product, sequences, heads, Queries(x.Query!), Keys(x.KeyPointer, keyOffset), Scores(weights));
        Products(context, product, sequences, heads, Queries(gradient), Keys(x.ValuePointer, keyOffset), Scores(scoreGradient));
        SoftmaxBackward(weights, scoreGradient, bias, plan.Queries, firstQuery, plan.Scale);
        if (dbias is not null)
        {
            AddBiasGradient(scoreGradient, dbias, firstQuery, add: firstSequence > 0);
        }

        if (dx.Query is not null)
        {
            var toQueries = product with { N = head, K = keys, TransposeB = false, Alpha = plan.Scale };
            Products(context, toQueries, sequences, heads, Scores(scoreGradient), Keys(x.KeyPointer, keyOffset), Queries(dx.Query));
        }

        // Every further part of the queries adds to what the keys and values of the one sequence have got.
        var adds = firstQuery > 0;
        var target = adds ? dx.OfOneSequence(plan) : dx;
        var targetOffset = adds ? 0 : keyOffset;
        var toKeys = product with { M = keys, N = head, K = queries, TransposeA = true, TransposeB = false };
        if (dx.Key is not null)
        {
            Products(
                context, toKeys with { Alpha = plan.Scale }, sequences, heads, Scores(scoreGradient), Queries(x.Query!),
                Keys(target.KeyPointer, targetOffset));
        }

        if (dx.Value is not null)
        {
            Products(context, toKeys, sequences, heads, Scores(weights), Queries(gradient), Keys(target.ValuePointer, targetOffset));
        }

        if (adds)
        {
            foreach (var (whole, part) in dx.KeysAndValues.Zip(target.KeysAndValues))
            {
                var rows = whole.Reshape(-1, part.Shape[1]);
                Accumulate(rows.Narrow(CheckedInt32(firstSequence * keys, "rows of an attention"), keys), part);
            }
        }
    }

    /// <summary>A product for every head of every sequence: one call of the library for each of those that there are fewer of.</summary>
    private static void Products(
        DeviceContext context, GemmDescription d, int sequences, int heads, in MatrixBatch a, in MatrixBatch b, in MatrixBatch c)
    {
        var size = d.ElementType.SizeInBytes();
        var perHead = sequences >= heads;
        d = d with
        {
            LeadingDimensionA = a.Row,
            LeadingDimensionB = b.Row,
            LeadingDimensionC = c.Row,
            BatchCount = perHead ? sequences : heads,
            BatchStrideA = perHead ? a.Sequence : a.Head,
            BatchStrideB = perHead ? b.Sequence : b.Head,
            BatchStrideC = perHead ? c.Sequence : c.Head,
        };
        for (var i = 0; i < (perHead ? heads : sequences); i++)
        {
            DevicePointer<byte> At(in MatrixBatch batch) => batch.Start.Offset(i * (perHead ? batch.Head : batch.Sequence) * size);
            Product(context, d, At(a), At(b), default, default, At(c));
        }
    }

    /// <summary>In place, from q k^T to the weights P and from dP to dS; both [sequences, heads, queries, keys].</summary>
    private static void SoftmaxBackward(Tensor scores, Tensor gradient, Tensor? bias, int allQueries, int firstQuery, double scale)
    {
        var (heads, queries, keys) = (scores.Shape[1], scores.Shape[2], scores.Shape[3]);
        var rows = (int)(scores.Count / keys);
        var launch = new LaunchShape(CeilingDivide(rows, RowWarps), new Dim3(WarpSize, RowWarps));
        if (scores.DType == DType.Float32)
        {
            AttentionBackwardKernels.SoftmaxBackwardF32(
                scores.Context.Stream, launch, scores.Pointer<float>(), gradient.Pointer<float>(), Optional<float>(bias), rows, keys, queries,
                allQueries, firstQuery, heads, (float)scale);
        }
        else
        {
            AttentionBackwardKernels.SoftmaxBackwardF64(
                scores.Context.Stream, launch, scores.Pointer<double>(), gradient.Pointer<double>(), Optional<double>(bias), rows, keys, queries,
                allQueries, firstQuery, heads, scale);
        }
    }

    /// <summary>The sum of dS [sequences, heads, queries, keys] over the sequences, into a stretch of the queries of dbias or on top of it.</summary>
    private static void AddBiasGradient(Tensor gradient, Tensor dbias, int firstQuery, bool add)
    {
        var (sequences, heads, keys) = (gradient.Shape[0], gradient.Shape[1], gradient.Shape[3]);
        var count = CheckedInt32((long)gradient.Shape[2] * keys, "scores of an attention");
        var (start, pitch) = ((long)firstQuery * keys, (long)dbias.Shape[1] * keys);
        var launch = new LaunchShape(new Dim3(CeilingDivide(count, ElementwiseThreads), heads), ElementwiseThreads);
        if (gradient.DType == DType.Float32)
        {
            AttentionBackwardKernels.AttentionBiasBackwardF32(
                gradient.Context.Stream, launch, gradient.Pointer<float>(), dbias.Pointer<float>().Offset(start), sequences, heads, count, pitch, add ? 1 : 0);
        }
        else
        {
            AttentionBackwardKernels.AttentionBiasBackwardF64(
                gradient.Context.Stream, launch, gradient.Pointer<double>(), dbias.Pointer<double>().Offset(start), sequences, heads, count, pitch, add ? 1 : 0);
        }
    }

    /// <summary>
    /// Queries, keys and values, or their gradients; null for those that nobody wants. Where one tensor packs keys and values, it is both, and a
    /// value lies some bytes behind its key.
    /// </summary>
    private readonly record struct AttentionOperands(Tensor? Query, Tensor? Key, Tensor? Value, long ValueOffset = 0)
    {
        public DevicePointer<byte> KeyPointer => Bytes(Key);

        public DevicePointer<byte> ValuePointer => Value is null ? default : Bytes(Value).Offset(ValueOffset);

        /// <summary>The tensors of keys and values, each once.</summary>
        public IEnumerable<Tensor> KeysAndValues => new[] { Key, Value }.OfType<Tensor>().Distinct();

        /// <summary>Memory for the keys and values of one sequence of tokens, as these hold them.</summary>
        public AttentionOperands OfOneSequence(AttentionPlan plan)
        {
            var shape = new Shape(plan.Keys, (int)plan.KvWidth);
            var key = Key is null ? null : Like(Key, shape);
            var value = Value is null || ReferenceEquals(Key, Value) ? key : Like(Value, shape);
            return new(null, key, Value is null ? null : value, ValueOffset);
        }
    }

    /// <summary>A matrix for every head of every sequence, and the elements from one row, sequence or head to the next.</summary>
    private readonly record struct MatrixBatch(DevicePointer<byte> Start, long Row, long Sequence, long Head);

    private delegate void FusedAttentionBackward<T>(
        GpuStream stream, in LaunchShape shape, DevicePointer<T> q, DevicePointer<T> k, DevicePointer<T> v, DevicePointer<T> bias,
        DevicePointer<T> gradient, DevicePointer<T> dq, DevicePointer<T> dk, DevicePointer<T> dv, DevicePointer<T> dbias, int sequences,
        int sequencesPerBlock, int queryCount, int keyCount, int head, int inner, long qOuter, long qInner, long qToken, long kvOuter,
        long kvInner, long kvToken, T scale)
        where T : unmanaged;
}
