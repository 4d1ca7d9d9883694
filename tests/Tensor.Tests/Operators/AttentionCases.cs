// Cases of the operators of Ops.Attention.cs.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Tests.Operators;

public sealed class AttentionCases : IOperatorCases
{
    /// <summary>
    /// Values are normal and weights sum to one, so results stay below 4. A score is a sum of d products with scale
    /// 1 / sqrt(d): its rounding, an epsilon or two at d = 512, shifts a weight by as much in proportion; the sums over the keys
    /// and the exponential (2 ulp) add a few more.
    /// </summary>
    private static readonly Tolerance s_tolerance = Tolerance.OfElement(8, "rounding of scores, exponentials and weighted sums", zero: 2);

    public static IEnumerable<OperatorCase> Cases => [.. Fused.SelectMany(OfEachType), .. ByProducts, .. PositionBiases];

    private static IEnumerable<OperatorCase> Fused =>
    [
        // Each kernel at its full width and below it, with whole and partial tiles of queries and keys.
        Tokens("attention_64", b: 2, nq: 70, nk: 50, heads: 2, d: 64, bias: false),
        Tokens("attention_64", b: 1, nq: 65, nk: 33, heads: 3, d: 5, bias: true),
        Tokens("attention_64", b: 1, nq: 127, nk: 1, heads: 1, d: 33, bias: true),
        Tokens("attention_64_short", b: 3, nq: 31, nk: 31, heads: 2, d: 64, bias: true),
        Tokens("attention_64_short", b: 1, nq: 1, nk: 1, heads: 1, d: 1, bias: false),
        Tokens("attention_64_short", b: 1, nq: 5, nk: 127, heads: 2, d: 16, bias: true),
        Tokens("attention_64_short", b: 2, nq: 24, nk: 24, heads: 8, d: 8, bias: true, packed: true),
        Tokens("attention_128", b: 1, nq: 65, nk: 50, heads: 2, d: 128, bias: false, packed: true),
        Tokens("attention_128", b: 1, nq: 31, nk: 33, heads: 1, d: 100, bias: true),
        Tokens("attention_512", b: 1, nq: 33, nk: 70, heads: 1, d: 512, bias: true),
        Tokens("attention_512", b: 2, nq: 3, nk: 5, heads: 2, d: 129, bias: false, packed: true),
        Frames("attention_64_short", b: 2, f: 3, p: 5, fk: 3, heads: 2, d: 7, bias: true),
        Frames("attention_64_short", b: 1, f: 8, p: 6, fk: 8, heads: 8, d: 64, bias: true, packed: true),
        Frames("attention_64", b: 1, f: 35, p: 3, fk: 33, heads: 2, d: 64, bias: false),
        Frames("attention_512", b: 1, f: 3, p: 2, fk: 5, heads: 1, d: 200, bias: true),

        // Scores far apart and large: without the running maximum, exponentials overflow.
        Tokens("attention_64", b: 1, nq: 40, nk: 70, heads: 1, d: 32, bias: true, deviation: 8) with
        {
            Tolerance = Tolerance.OfElement(8, "scores reach some 300 and are rounded at that size", zero: 256 * 8),
        },
    ];

    /// <summary>In double, all blocks take 32 queries: there is no kernel of its own for few.</summary>
    private static IEnumerable<OperatorCase> OfEachType(OperatorCase @case) => @case.Kernels is ["attention_64_short"]
        ?
        [
            @case with { Types = [.. OperatorCase.AllTypes.Where(type => type != DType.Float64)] },
            @case with { Name = $"{@case.Name}, double", Kernels = ["attention_64"], Types = [DType.Float64] },
        ]
        : [@case];

    /// <summary>In half types, both products and the softmax between them are float's.</summary>
    private static IEnumerable<OperatorCase> FloatThenHalf(OperatorCase @case) =>
    [
        @case with { Types = [DType.Float32, DType.Float64] },
        @case with { Name = $"{@case.Name}, half types", Kernels = ["softmax_f32"], Types = [DType.Float16, DType.BFloat16] },
    ];

    private static IEnumerable<OperatorCase> ByProducts =>
    [
        .. from backend in (MatmulBackend[])[MatmulBackend.Library, MatmulBackend.Kernels]
           from bias in (bool[])[false, true]
           from @case in FloatThenHalf(Tokens("softmax", b: 2, nq: 129, nk: 130, heads: 1, d: 130, bias, backend: backend))
           select @case,
        .. FloatThenHalf(Tokens("softmax", b: 1, nq: 130, nk: 127, heads: 2, d: 132, bias: true, packed: true)),
        InBlocks(nq: 150, nk: 33, heads: 2, d: 9),
    ];

    private static IEnumerable<OperatorCase> PositionBiases =>
        from lengths in (int[][])[[1], [5], [33], [3, 4], [7, 1], [2, 3, 4], [12, 11]]
        from heads in (int[])[1, 8]
        select PositionBias(lengths, heads);

    private static OperatorCase Tokens(
        string kernel, int b, int nq, int nk, int heads, int d, bool bias, bool packed = false, double deviation = 1,
        MatmulBackend backend = default)
        => Attention(kernel, AttentionAxis.Tokens, b, nq, 1, nk, heads, d, bias, packed, deviation, backend);

    private static OperatorCase Frames(string kernel, int b, int f, int p, int fk, int heads, int d, bool bias, bool packed = false)
        => Attention(kernel, AttentionAxis.Frames, b, f, p, fk, heads, d, bias, packed, deviation: 1);

    private static OperatorCase Attention(
        string kernel, AttentionAxis axis, int b, int nq, int p, int nk, int heads, int d, bool bias, bool packed, double deviation,
        MatmulBackend backend = default)
    {
        var c = heads * d;
        var scale = 1 / Math.Sqrt(d);
        Shape queries = axis == AttentionAxis.Frames ? [b, nq, p, c] : [b, nq, c];
        Shape keys = queries.With(1, nk).With(-1, packed ? 2 * c : c);
        return new OperatorCase
        {
            Name = $"Attention along {axis} {queries} to {nk}, {heads} heads{(bias ? ", bias" : string.Empty)}{(packed ? ", packed" : string.Empty)}"
                + $"{(deviation == 1 ? string.Empty : $", values of {deviation}")}{(backend == default ? string.Empty : $", {backend}")}",
            Kernels = [kernel],
            Types = OperatorCase.AllTypes,
            Inputs =
            [
                Operand.Normal(queries, deviation),
                Operand.Normal(keys, deviation),
                .. packed ? [] : (Operand[])[Operand.Normal(keys, deviation)],
                .. bias ? (Operand[])[Operand.Normal([heads, nq, nk])] : [],
            ],
            Run = x =>
            {
                var added = bias ? x[packed ? 2 : 3] : null;
                return packed
                    ? Ops.AttentionKv(x[0], x[1], heads, scale, added, axis)
                    : Ops.Attention(x[0], x[1], x[2], heads, scale, added, axis);
            },
            Oracle = x => Oracle(x, b, nq, p, nk, heads, d, bias, packed),
            Tolerance = s_tolerance,
            Backend = backend,
        };
    }

    private static OperatorCase InBlocks(int nq, int nk, int heads, int d) => new()
    {
        Name = "Attention by products, a block of queries at a time",
        Kernels = ["softmax"],
        Inputs = [Operand.Normal([2, nq, heads * d]), Operand.Normal([2, nk, heads * d]), Operand.Normal([2, nk, heads * d]), Operand.Normal([heads, nq, nk])],
        Run = x => Ops.AttentionByProducts(x[0], x[1], x[2], heads, 1 / Math.Sqrt(d), x[3], scoresAtATime: 1),
        Oracle = x => Oracle(x, 2, nq, 1, nk, heads, d, bias: true, packed: false),
        Tolerance = s_tolerance,
    };

    private static OperatorCase PositionBias(int[] lengths, int heads) => new()
    {
        Name = $"PositionBias {new Shape(lengths)}, {heads} heads",
        Kernels = ["position_bias"],
        Types = OperatorCase.AllTypes,
        Inputs = [Operand.Normal([lengths.Aggregate(1, (count, d) => count * ((2 * d) - 1)), heads])],
        Run = x => Ops.PositionBias(x[0], lengths),
        Oracle = x =>
        {
            var n = lengths.Aggregate(1, (count, d) => count * d);
            return HostTensor.Generate([heads, n, n], i =>
            {
                var (query, key, offset, step) = (i[1], i[2], 0, 1);
                foreach (var d in lengths.Reverse())
                {
                    offset += ((query % d) - (key % d) + d - 1) * step;
                    (query, key, step) = (query / d, key / d, step * ((2 * d) - 1));
                }

                return x[0][offset, i[0]];
            });
        },
        Tolerance = Tolerance.Exact("elements are moved"),
    };

    /// <summary>softmax(q k^T / sqrt(d) + bias) v, on [b, n, p, heads, d].</summary>
    private static HostTensor Oracle(HostTensor[] x, int b, int nq, int p, int nk, int heads, int d, bool bias, bool packed)
    {
        var c = heads * d;
        var width = packed ? 2 * c : c;
        double Key(int sample, int key, int place, int channel) => x[1].Data[(((((sample * nk) + key) * p) + place) * width) + channel];
        double Value(int sample, int key, int place, int channel)
            => packed ? Key(sample, key, place, c + channel) : x[2].Data[(((((sample * nk) + key) * p) + place) * width) + channel];
        var y = new HostTensor(x[0].Shape);
        var weights = new double[nk];
        for (var i = 0; i < b * nq * p * heads; i++)
        {
            var (head, place, query, sample) = (i % heads, i / heads % p, i / heads / p % nq, i / heads / p / nq);
            for (var key = 0; key < nk; key++)
            {
                var score = 0.0;
                for (var j = 0; j < d; j++)
                {
                    score += x[0].Data[(i * d) + j] * Key(sample, key, place, (head * d) + j);
                }

                weights[key] = (score / Math.Sqrt(d)) + (bias ? x[^1][head, query, key] : 0);
            }

            var highest = weights.Max();
            var sum = 0.0;
            for (var key = 0; key < nk; key++)
            {
                weights[key] = Math.Exp(weights[key] - highest);
                sum += weights[key];
            }

            for (var j = 0; j < d; j++)
            {
                var value = 0.0;
                for (var key = 0; key < nk; key++)
                {
                    value += weights[key] * Value(sample, key, place, (head * d) + j);
                }

                y.Data[(i * d) + j] = value / sum;
            }
        }

        return y;
    }
}
