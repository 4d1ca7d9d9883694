// Cases of the operators of Ops.AttentionBackward.cs.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Tests.Operators;

public sealed class AttentionBackwardCases : IOperatorCases
{
    /// <summary>Weights below the smallest normal float, 2^-126, may be flushed: an error of as much, here in units of its epsilon.</summary>
    private const double Flushed = 1e-31;

    private static readonly string[] s_byProducts = ["softmax_backward"];

    public static IEnumerable<OperatorCase> Cases => [.. Fused, .. ByProducts, .. Extremes, .. Wanted, .. PositionBiases];

    private static IEnumerable<OperatorCase> Fused =>
    [
        // Both kernels at their full length and below it; heads within a chunk, of whole chunks, and beyond one.
        new Problem(AttentionAxis.Tokens, B: 2, Nq: 8, P: 1, Nk: 8, Heads: 2, D: 64, Bias: true).Case("attention_backward_8"),
        new Problem(AttentionAxis.Tokens, B: 1, Nq: 1, P: 1, Nk: 1, Heads: 1, D: 1, Bias: true).Case("attention_backward_8"),
        new Problem(AttentionAxis.Tokens, B: 3, Nq: 5, P: 1, Nk: 7, Heads: 3, D: 5, Bias: false).Case("attention_backward_8"),
        new Problem(AttentionAxis.Tokens, B: 1, Nq: 7, P: 1, Nk: 2, Heads: 1, D: 130, Bias: true, Packed: true).Case("attention_backward_8"),
        new Problem(AttentionAxis.Tokens, B: 2, Nq: 16, P: 1, Nk: 16, Heads: 2, D: 32, Bias: true, Packed: true).Case("attention_backward_16"),
        new Problem(AttentionAxis.Tokens, B: 2, Nq: 3, P: 1, Nk: 13, Heads: 2, D: 9, Bias: true).Case("attention_backward_16"),
        new Problem(AttentionAxis.Tokens, B: 1, Nq: 12, P: 1, Nk: 1, Heads: 1, D: 33, Bias: false).Case("attention_backward_16"),
        new Problem(AttentionAxis.Tokens, B: 1, Nq: 9, P: 1, Nk: 11, Heads: 1, D: 512, Bias: true).Case("attention_backward_16"),
        new Problem(AttentionAxis.Frames, B: 2, Nq: 3, P: 5, Nk: 3, Heads: 2, D: 7, Bias: true).Case("attention_backward_8"),
        new Problem(AttentionAxis.Frames, B: 1, Nq: 8, P: 6, Nk: 8, Heads: 8, D: 64, Bias: true, Packed: true).Case("attention_backward_8"),
        new Problem(AttentionAxis.Frames, B: 2, Nq: 15, P: 3, Nk: 9, Heads: 1, D: 200, Bias: false).Case("attention_backward_16"),

        // So many sequences that a block takes several, and that the last one takes fewer.
        new Problem(AttentionAxis.Frames, B: 1, Nq: 2, P: 4097, Nk: 2, Heads: 1, D: 3, Bias: true).Case("attention_backward_8"),
        new Problem(AttentionAxis.Frames, B: 3, Nq: 10, P: 683, Nk: 9, Heads: 1, D: 2, Bias: true, Packed: true).Case("attention_backward_16"),
    ];

    private static IEnumerable<OperatorCase> ByProducts =>
    [
        .. from backend in (MatmulBackend[])[MatmulBackend.Library, MatmulBackend.Kernels]
           from packed in (bool[])[false, true]
           select new Problem(AttentionAxis.Tokens, B: 3, Nq: 33, P: 1, Nk: 21, Heads: 2, D: 16, Bias: true, packed).Case([.. s_byProducts, "attention_bias_backward"], backend),
        .. from backend in (MatmulBackend[])[MatmulBackend.Library, MatmulBackend.Kernels]
           select new Problem(AttentionAxis.Frames, B: 2, Nq: 17, P: 5, Nk: 18, Heads: 3, D: 7, Bias: true, Packed: true).Case([.. s_byProducts, "attention_bias_backward"], backend),
        new Problem(AttentionAxis.Tokens, B: 1, Nq: 70, P: 1, Nk: 50, Heads: 1, D: 64, Bias: false).Case(s_byProducts),
        new Problem(AttentionAxis.Tokens, B: 1, Nq: 1, P: 1, Nk: 129, Heads: 4, D: 8, Bias: true, Packed: true).Case(s_byProducts),
        new Problem(AttentionAxis.Tokens, B: 2, Nq: 127, P: 1, Nk: 1, Heads: 2, D: 5, Bias: true).Case(s_byProducts),
        new Problem(AttentionAxis.Tokens, B: 1, Nq: 31, P: 1, Nk: 33, Heads: 1, D: 512, Bias: true).Case(s_byProducts),
        new Problem(AttentionAxis.Tokens, B: 1, Nq: 3, P: 1, Nk: 1025, Heads: 2, D: 4, Bias: false).Case(s_byProducts),
        new Problem(AttentionAxis.Frames, B: 1, Nq: 20, P: 3, Nk: 16, Heads: 2, D: 40, Bias: false).Case(s_byProducts),

        // A bound so low that every sequence, and of tokens every 128 queries, is a part of its own.
        new Problem(AttentionAxis.Tokens, B: 2, Nq: 150, P: 1, Nk: 19, Heads: 2, D: 9, Bias: true).InParts(scoresAtATime: 1),
        new Problem(AttentionAxis.Frames, B: 2, Nq: 150, P: 2, Nk: 6, Heads: 1, D: 3, Bias: true).InParts(scoresAtATime: 1),
        new Problem(AttentionAxis.Tokens, B: 5, Nq: 6, P: 1, Nk: 7, Heads: 2, D: 4, Bias: true).InParts(scoresAtATime: 2 * 2 * 6 * 7),
        new Problem(AttentionAxis.Frames, B: 2, Nq: 6, P: 5, Nk: 7, Heads: 2, D: 4, Bias: true).InParts(scoresAtATime: 3 * 2 * 6 * 7),
    ];

    /// <summary>Scores far apart and large, some hundreds: without the largest one taken away first, exponentials overflow.</summary>
    private static IEnumerable<OperatorCase> Extremes =>
    [
        new Problem(AttentionAxis.Tokens, B: 1, Nq: 8, P: 1, Nk: 8, Heads: 1, D: 32, Bias: true, Deviation: 8).Case("attention_backward_8"),
        new Problem(AttentionAxis.Frames, B: 1, Nq: 12, P: 2, Nk: 16, Heads: 1, D: 32, Bias: true, Deviation: 8).Case("attention_backward_16"),
        new Problem(AttentionAxis.Tokens, B: 1, Nq: 40, P: 1, Nk: 70, Heads: 1, D: 32, Bias: true, Deviation: 8).Case(s_byProducts),
    ];

    /// <summary>Each gradient alone: what is not asked for is not there, and what is does not change.</summary>
    private static IEnumerable<OperatorCase> Wanted =>
        from wanted in (AttentionInputs[])[AttentionInputs.Query, AttentionInputs.Key, AttentionInputs.Value, AttentionInputs.Bias]
        from tokens in (int[])[6, 18]
        select new Problem(AttentionAxis.Tokens, B: 2, Nq: tokens, P: 1, Nk: 5, Heads: 2, D: 6, Bias: true, Wanted: wanted)
            .Case(tokens == 6 ? "attention_backward_8" : s_byProducts[0]);

    private static IEnumerable<OperatorCase> PositionBiases =>
        from lengths in (int[][])[[1], [5], [33], [3, 4], [7, 1], [2, 3, 4], [12, 11]]
        from heads in (int[])[1, 5, 8]
        select PositionBias(lengths, heads);

    private static OperatorCase PositionBias(int[] lengths, int heads)
    {
        var n = lengths.Aggregate(1, (count, d) => count * d);
        var offsets = lengths.Aggregate(1, (count, d) => count * ((2 * d) - 1));
        return new OperatorCase
        {
            Name = $"PositionBiasBackward {new Shape(lengths)}, {heads} heads",
            Kernels = ["position_bias_backward"],
            Inputs = [Operand.Normal([heads, n, n])],
            Run = x => Ops.PositionBiasBackward(x[0], lengths),
            Oracle = x => SumOfPairs(x[0], v => v),
            Tolerance = Tolerance.OfSize(
                4, x => SumOfPairs(x[0], Math.Abs), "at most 132 terms one by one: roundings of 1/2 an epsilon of what is there so far, which all but cancel"),
        };

        HostTensor SumOfPairs(HostTensor gradient, Func<double, double> term)
        {
            var table = new HostTensor([offsets, heads]);
            for (var i = 0; i < gradient.Data.Length; i++)
            {
                var (head, query, key, offset, step) = (i / n / n, i / n % n, i % n, 0, 1);
                foreach (var d in lengths.Reverse())
                {
                    offset += ((query % d) - (key % d) + d - 1) * step;
                    (query, key, step) = (query / d, key / d, step * ((2 * d) - 1));
                }

                table[offset, head] += term(gradient.Data[i]);
            }

            return table;
        }
    }

    /// <summary>An attention to find the gradients of; the result of its case is all that are asked for, one after the other.</summary>
    private sealed record Problem(
        AttentionAxis Axis, int B, int Nq, int P, int Nk, int Heads, int D, bool Bias, bool Packed = false, double Deviation = 1,
        AttentionInputs Wanted = AttentionInputs.All)
    {
        private int Channels => Heads * D;

        private double Scale => 1 / Math.Sqrt(D);

        private Shape Queries => Axis == AttentionAxis.Frames ? [B, Nq, P, Channels] : [B, Nq, Channels];

        private Shape Keys => Queries.With(1, Nk).With(-1, Packed ? 2 * Channels : Channels);

        public OperatorCase Case(params string[] kernels) => Case(kernels, default);

        public OperatorCase Case(string[] kernels, MatmulBackend backend) => new()
        {
            Name = $"AttentionBackward along {Axis} {Queries} to {Nk}, {Heads} heads{(Bias ? ", bias" : string.Empty)}{(Packed ? ", packed" : string.Empty)}"
                + $"{(Deviation == 1 ? string.Empty : $", values of {Deviation}")}{(Wanted == AttentionInputs.All ? string.Empty : $", {Wanted}")}"
                + $"{(backend == default ? string.Empty : $", {backend}")}",
            Kernels = kernels,
            Inputs =
            [
                Operand.Normal(Queries),
                Operand.Normal(Queries, Deviation),
                Operand.Normal(Keys, Deviation),
                .. Packed ? [] : (Operand[])[Operand.Normal(Keys, Deviation)],
                .. Bias ? (Operand[])[Operand.Normal([Heads, Nq, Nk])] : [],
            ],
            Run = Run,
            Oracle = x => Gradients(x, Scores(x), sizes: false),
            Tolerance = Tolerance.OfSize(
                4,
                x => Gradients(x, Scores(x), sizes: true),
                "a score's rounding, an epsilon of the largest sum of its terms' sizes, moves its weight as much in proportion; sums of some hundred terms add as much again"),
            Backend = backend,
        };

        /// <summary>By products, whatever the shape, with a bound on the scores held at a time.</summary>
        public OperatorCase InParts(int scoresAtATime) => Case([.. s_byProducts, "attention_bias_backward"], default) with
        {
            Name = $"AttentionBackward along {Axis} {Queries} to {Nk}, {scoresAtATime} scores at a time",
            Run = x =>
            {
                var (dq, dk, dv, dbias) = Ops.AttentionBackwardByProducts(x[1], x[2], x[3], x[0], Heads, Scale, x[4], Axis, scoresAtATime);
                return Joined(x.Context, dq, dk, dv, dbias);
            },
        };

        private Tensor Run(OperatorArguments x)
        {
            var bias = Bias ? x[Packed ? 3 : 4] : null;
            if (Packed)
            {
                var (dq, dkv, dbias) = Ops.AttentionKvBackward(x[1], x[2], x[0], Heads, Scale, bias, Axis, Wanted);
                return Joined(x.Context, dq, dkv, dbias);
            }
            else
            {
                var (dq, dk, dv, dbias) = Ops.AttentionBackward(x[1], x[2], x[3], x[0], Heads, Scale, bias, Axis, Wanted);
                return Joined(x.Context, dq, dk, dv, dbias);
            }
        }

        private static Tensor Joined(DeviceContext context, params Tensor?[] tensors)
        {
            Tensor[] parts = [.. tensors.OfType<Tensor>()];
            var joined = Tensor.Empty(context, [(int)parts.Sum(part => part.Count)], parts[0].DType);
            var at = joined.Pointer<byte>();
            foreach (var part in parts)
            {
                context.Device.Copy(at, part.Pointer<byte>(), part.Bytes, context.Stream);
                at = at.Offset(part.Bytes);
            }

            return joined;
        }

        /// <summary>The weights and their gradients, and how large an error a rounding of scores may make of them.</summary>
        private sealed record Sequence(double[] Weight, double[] ScoreGradient, double[] WeightSize, double[] ScoreGradientSize);

        /// <summary>For every head of every sequence the matrices of scores, [Nq, Nk].</summary>
        private Sequence[] Scores(HostTensor[] x)
        {
            var result = new Sequence[B * P * Heads];
            for (var s = 0; s < result.Length; s++)
            {
                var sequence = new Sequence(new double[Nq * Nk], new double[Nq * Nk], new double[Nq * Nk], new double[Nq * Nk]);
                var (score, gradient, gradientSize) = (new double[Nk], new double[Nk], new double[Nk]);
                for (var query = 0; query < Nq; query++)
                {
                    var scoreSize = 1.0;
                    for (var key = 0; key < Nk; key++)
                    {
                        var (sum, size) = (0.0, 0.0);
                        (gradient[key], gradientSize[key]) = (0, 0);
                        for (var j = 0; j < D; j++)
                        {
                            var term = x[1].Data[QueryAt(s, query, j)] * x[2].Data[KeyAt(s, key, j)];
                            sum += term;
                            size += Math.Abs(term);
                            term = x[0].Data[QueryAt(s, query, j)] * Value(x, s, key, j);
                            gradient[key] += term;
                            gradientSize[key] += Math.Abs(term);
                        }

                        var bias = Bias ? x[^1][s % Heads, query, key] : 0;
                        score[key] = (sum * Scale) + bias;
                        scoreSize = Math.Max(scoreSize, (size * Scale) + Math.Abs(bias));
                    }

                    var highest = score.Max();
                    var total = score.Sum(value => Math.Exp(value - highest));
                    var weight = Array.ConvertAll(score, value => Math.Exp(value - highest) / total);
                    var mean = weight.Zip(gradient, (a, b) => a * b).Sum();
                    var meanSize = weight.Zip(gradientSize, (a, b) => a * b).Sum();
                    for (var key = 0; key < Nk; key++)
                    {
                        var at = (query * Nk) + key;
                        sequence.Weight[at] = weight[key];
                        sequence.ScoreGradient[at] = weight[key] * (gradient[key] - mean);
                        sequence.WeightSize[at] = (weight[key] + Flushed) * (1 + scoreSize);
                        sequence.ScoreGradientSize[at] = sequence.WeightSize[at] * (gradientSize[key] + meanSize);
                    }
                }

                result[s] = sequence;
            }

            return result;
        }

        /// <summary>The gradients asked for, from the formulas; or the sums of their terms' sizes.</summary>
        private HostTensor Gradients(HostTensor[] x, Sequence[] sequences, bool sizes)
        {
            double Term(double value) => sizes ? Math.Abs(value) : value;
            var (dq, dk, dbias) = (new HostTensor(Queries), new HostTensor(Keys), new HostTensor([Heads, Nq, Nk]));
            var dv = Packed ? dk : new HostTensor(Keys);
            for (var s = 0; s < sequences.Length; s++)
            {
                var weights = sizes ? sequences[s].WeightSize : sequences[s].Weight;
                var gradients = sizes ? sequences[s].ScoreGradientSize : sequences[s].ScoreGradient;
                for (var i = 0; i < Nq * Nk; i++)
                {
                    var (query, key) = (i / Nk, i % Nk);
                    dbias[s % Heads, query, key] += gradients[i];
                    for (var j = 0; j < D; j++)
                    {
                        dq.Data[QueryAt(s, query, j)] += Scale * gradients[i] * Term(x[2].Data[KeyAt(s, key, j)]);
                        dk.Data[KeyAt(s, key, j)] += Scale * gradients[i] * Term(x[1].Data[QueryAt(s, query, j)]);
                        dv.Data[KeyAt(s, key, j) + (Packed ? Channels : 0)] += weights[i] * Term(x[0].Data[QueryAt(s, query, j)]);
                    }
                }
            }

            double[] all =
            [
                .. Wanted.HasFlag(AttentionInputs.Query) ? dq.Data : [],
                .. Wanted.HasFlag(AttentionInputs.Key) ? dk.Data : [],
                .. Wanted.HasFlag(AttentionInputs.Value) && !Packed ? dv.Data : [],
                .. Wanted.HasFlag(AttentionInputs.Bias) && Bias ? dbias.Data : [],
            ];
            return new HostTensor([all.Length], all);
        }

        // Sequence s is a head of a position of a sample; element j of its rows, on [b, n, p, heads, d].
        private int QueryAt(int s, int query, int j) => (((((s / Heads / P * Nq) + query) * P) + (s / Heads % P)) * Channels) + (s % Heads * D) + j;

        private int KeyAt(int s, int key, int j)
            => (((((s / Heads / P * Nk) + key) * P) + (s / Heads % P)) * (Packed ? 2 * Channels : Channels)) + (s % Heads * D) + j;

        private double Value(HostTensor[] x, int s, int key, int j) => Packed ? x[2].Data[KeyAt(s, key, j) + Channels] : x[3].Data[KeyAt(s, key, j)];
    }
}
