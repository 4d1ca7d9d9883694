// Cases of the operators of Ops.Embedding.cs.
namespace FashionFlow.Tensors.Tests.Operators;

public sealed class EmbeddingCases : IOperatorCases
{
    public static IEnumerable<OperatorCase> Cases =>
    [
        .. from lengths in (int[][])[[1, 1, 1], [2, 3, 5], [3, 7, 31], [2, 8, 64], [1, 257, 33], [2, 50, 768], [5, 9, 1025]]
           from @case in MeanTokens(lengths[0], lengths[1], lengths[2])
           select @case,
        .. from lengths in (int[][])[[1, 1], [3, 5], [2, 31], [33, 64], [5, 127], [17, 512], [9, 1025]]
           from @case in NormalizeRows($"{new Shape(lengths)}", Operand.Normal(lengths), 1e-12)
           select @case,
        .. NormalizeRows(
            "of rows shorter than eps, one of them zero",
            new([5, 33], (random, i) => i / 33 == 2 ? 0 : random.Normal(i) * (i / 33 % 2 == 0 ? 1 : 1e-3)),
            0.125),
        .. NormalizeRows("of what is no number", Operand.Of([2, 3], 1, double.NaN, 2, 3, 4, 0), 1e-12),
    ];

    private static OperatorCase[] MeanTokens(int b, int n, int c) =>
    [
        new()
        {
            Name = $"MeanTokens [{b}, {n}, {c}]",
            Kernels = ["mean_tokens"],
            Types = OperatorCase.AllTypes,
            Inputs = [Operand.Normal([b, n, c])],
            Run = x => Ops.MeanTokens(x[0]),
            Oracle = x => Mean(x[0], v => v),
            Tolerance = Tolerance.OfSize(
                (n / 16.0) + 5,
                x => Mean(x[0], Math.Abs),
                "a token goes through an eighth of the additions in its warp and 7 between warps, half an epsilon each; the quotient"),
        },
        new()
        {
            Name = $"MeanTokensBackward [{b}, {n}, {c}]",
            Kernels = ["mean_tokens_backward"],
            Inputs = [Operand.Normal([b, c])],
            Run = x => Ops.MeanTokensBackward(x[0], n),
            Oracle = x => HostTensor.Generate([b, n, c], i => x[0][i[0], i[2]] / n),
            Tolerance = Tolerance.OfElement(1, "1/n and the product are rounded"),
        },
    ];

    private static OperatorCase[] NormalizeRows(string variant, Operand x, double eps)
    {
        var width = x.Shape[1];
        return
        [
            new()
            {
                Name = $"NormalizeRows {variant}",
                Kernels = ["normalize_rows"],
                Types = OperatorCase.AllTypes,
                Inputs = [x],
                Run = i => Ops.NormalizeRows(i[0], eps),
                Oracle = i => Rows(i, row =>
                {
                    var length = Math.Max(Length(row.X), eps);
                    return row.X.Select(v => v / length);
                }),
                Tolerance = Tolerance.OfElement(
                    (width / 128.0) + 4,
                    "a square goes through a 32nd of the additions and 5, of which the root takes half; root, reciprocal and product"),
            },
            new()
            {
                Name = $"NormalizeRowsBackward {variant}",
                Kernels = ["normalize_rows_backward"],
                Inputs = [x, Operand.Normal(x.Shape)],
                Run = i => Ops.NormalizeRowsBackward(i[0], i[1], eps),
                Oracle = i => Rows(i, row =>
                {
                    var length = Length(row.X);
                    var along = length < eps ? 0 : row.X.Zip(row.Gradient, (v, g) => v * g).Sum() / length;
                    return row.X.Zip(row.Gradient, (v, g) => length < eps ? g / eps : (g - (v * along / length)) / length);
                }),
                Tolerance = Tolerance.OfSize(
                    (width / 32.0) + 12,
                    i => Rows(i, row =>
                    {
                        var length = Math.Max(Length(row.X), eps);
                        var along = row.X.Zip(row.Gradient, (v, g) => Math.Abs(v * g)).Sum() / length;
                        return row.X.Zip(row.Gradient, (v, g) => (Math.Abs(g) + (Math.Abs(v) * along / length)) / length);
                    }),
                    "the additions under the root, of y . gradient, and some ten roundings"),
            },
        ];
    }

    private static HostTensor Mean(HostTensor x, Func<double, double> term)
        => HostTensor.Generate(
            [x.Shape[0], x.Shape[2]], i => Enumerable.Range(0, x.Shape[1]).Sum(token => term(x[i[0], token, i[1]])) / x.Shape[1]);

    private static double Length(double[] row) => Math.Sqrt(row.Sum(v => v * v));

    /// <summary>Each row from the rows of both inputs, the second being absent in the forward case.</summary>
    private static HostTensor Rows(HostTensor[] inputs, Func<(double[] X, double[] Gradient), IEnumerable<double>> row)
    {
        var width = inputs[0].Shape[1];
        return new(inputs[0].Shape, [.. inputs[0].Data.Chunk(width).Zip(inputs[^1].Data.Chunk(width)).SelectMany(row)]);
    }
}
