// Cases of the operators of Ops.LayoutBackward.cs.
namespace FashionFlow.Tensors.Tests.Operators;

public sealed class LayoutBackwardCases : IOperatorCases
{
    private static readonly Tolerance s_moved = Tolerance.Exact("elements are moved, nothing is computed");

    public static IEnumerable<OperatorCase> Cases => [.. Concat, .. PadChannels, .. Upsample, .. MaxPool, MaxPoolOfNaN];

    private static IEnumerable<OperatorCase> Concat =>
        from sizes in (int[][])[[1, 1, 1], [3, 5, 1], [5, 3, 31], [33, 4, 8], [2, 127, 33], [3, 1025, 5], [2, 512, 1024], [17, 64, 64]]
        let rows = sizes[0]
        let ca = sizes[1]
        let cb = sizes[2]
        let scale = (double)MathF.Sqrt(0.5f)
        let name = $"[{rows}, {ca} + {cb}"
        from @case in (OperatorCase[])
        [
            Cut($"ConcatChannelsBackward {name}], a", x => Ops.ConcatChannelsBackward(x[0], ca, scale).A!, ca + cb, [rows, ca], i => i[1], scale),
            Cut($"ConcatChannelsBackward {name}], b", x => Ops.ConcatChannelsBackward(x[0], ca, scale).B!, ca + cb, [rows, cb], i => ca + i[1]),
            Cut($"ConcatChannelsBackward {name}], a alone",
                x => Only(Ops.ConcatChannelsBackward(x[0], ca, scale, needsB: false)), ca + cb, [rows, ca], i => i[1], scale),
            Cut($"ConcatChannelsBackward {name}], b alone",
                x => Only(Ops.ConcatChannelsBackward(x[0], ca, scale, needsA: false)), ca + cb, [rows, cb], i => ca + i[1]),
            Tokens($"ConcatTokensBackward {name}, 3], a", x => Ops.ConcatTokensBackward(x[0], ca).A!, ca + cb, [rows, ca, 3], 0),
            Tokens($"ConcatTokensBackward {name}, 3], b", x => Ops.ConcatTokensBackward(x[0], ca).B!, ca + cb, [rows, cb, 3], ca),
        ]
        select @case;

    private static IEnumerable<OperatorCase> PadChannels =>
        from sizes in (int[][])[[1, 1, 0, 1], [5, 1, 1, 3], [3, 31, 2, 33], [9, 32, 32, 64], [2, 1024, 1, 1025], [3, 1028, 4, 2048], [127, 3, 5, 8], [3, 0, 2, 5]]
        let rows = sizes[0]
        let length = sizes[1]
        let start = sizes[2]
        let channels = sizes[3]
        select new OperatorCase
        {
            Name = $"PadChannels [{rows}, {length}] from {start} of {channels}",
            Kernels = ["pad_channels"],
            Inputs = [Operand.Normal([rows, length])],
            Run = x => Ops.PadChannels(x[0], start, channels, 0.625),
            Oracle = x => HostTensor.Generate([rows, channels], i => i[1] >= start && i[1] < start + length ? 0.625 * x[0][i[0], i[1] - start] : 0),
            Tolerance = Tolerance.Exact("the product is rounded once"),
        };

    private static IEnumerable<OperatorCase> Upsample =>
        from sizes in (int[][])[[1, 1, 1, 1], [2, 3, 5, 3], [1, 5, 3, 31], [3, 2, 4, 33], [1, 7, 6, 64], [1, 2, 3, 1025]]
        let shape = new Shape(sizes)
        let large = new Shape(sizes[0], 2 * sizes[1], 2 * sizes[2], sizes[3])
        select new OperatorCase
        {
            Name = $"UpsampleNearest2xBackward {large}",
            Kernels = ["upsample_nearest_2x_backward"],
            Inputs = [Operand.Normal(large)],
            Run = x => Ops.UpsampleNearest2xBackward(x[0]),
            Oracle = x => SumOfFour(x[0], shape, v => v),
            Tolerance = Tolerance.OfSize(1, x => SumOfFour(x[0], shape, Math.Abs), "each term goes through two additions of half an epsilon"),
        };

    // Small whole numbers, so that most windows hold their largest element more than once.
    private static IEnumerable<OperatorCase> MaxPool =>
        from sizes in (int[][])[[1, 2, 2, 1], [2, 3, 5, 3], [1, 5, 3, 31], [3, 2, 4, 33], [1, 7, 6, 64], [1, 4, 6, 64], [1, 2, 3, 1025], [2, 1, 3, 5]]
        select MaxPoolBackward($"{new Shape(sizes)}", new(sizes, (random, i) => Math.Floor(3 * random.Uniform(i)))) with
        {
            Kernels = sizes[1] > 1 ? ["max_pool_2x2_backward"] : [],
        };

    private static OperatorCase MaxPoolOfNaN => MaxPoolBackward(
        "of what is no number",
        Operand.Of(
            [1, 4, 4, 1],
            double.NaN, 1, 5, double.NaN,
            2, 3, double.PositiveInfinity, double.NaN,
            double.NegativeInfinity, double.NegativeInfinity, 0, -0.0,
            double.NegativeInfinity, double.NegativeInfinity, -0.0, 0));

    private static OperatorCase MaxPoolBackward(string variant, Operand x)
    {
        var (n, h, w, c) = (x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3]);
        return new()
        {
            Name = $"MaxPool2x2Backward {variant}",
            Kernels = ["max_pool_2x2_backward"],
            Inputs = [x, Operand.Normal([n, h / 2, w / 2, c])],
            Run = i => Ops.MaxPool2x2Backward(i[0], i[1]),
            Oracle = i =>
            {
                var result = new HostTensor(x.Shape);
                HostTensor.Generate(i[1].Shape, at =>
                {
                    (int Row, int Column) place = default;
                    foreach (var (row, column) in ((int Row, int Column)[])[(0, 0), (0, 1), (1, 0), (1, 1)])
                    {
                        var (value, largest) = (Of(i[0], at, row, column), Of(i[0], at, place.Row, place.Column));
                        place = value > largest || double.IsNaN(value) ? (row, column) : place;
                    }

                    return result[at[0], (2 * at[1]) + place.Row, (2 * at[2]) + place.Column, at[3]] = i[1][at];
                });
                return result;
            },
            Tolerance = s_moved,
        };
    }

    private static OperatorCase Cut(
        string name, Func<OperatorArguments, Tensor> run, int channels, Shape shape, Func<int[], int> column, double scale = 1) => new()
    {
        Name = name,
        Kernels = ["concat_channels_backward"],
        Inputs = [Operand.Normal([shape[0], channels])],
        Run = run,
        Oracle = x => HostTensor.Generate(shape, i => x[0][i[0], column(i)] * scale),
        Tolerance = Tolerance.Exact("the product is rounded once"),
    };

    private static OperatorCase Tokens(string name, Func<OperatorArguments, Tensor> run, int tokens, Shape shape, int first) => new()
    {
        Name = name,
        Kernels = ["concat_channels_backward"],
        Inputs = [Operand.Normal(shape.With(1, tokens))],
        Run = run,
        Oracle = x => HostTensor.Generate(shape, i => x[0][i[0], first + i[1], i[2]]),
        Tolerance = s_moved,
    };

    /// <summary>The one gradient that was asked for; the other must not have been made.</summary>
    private static Tensor Only((Tensor? A, Tensor? B) gradients)
    {
        Assert.That(gradients.A is null, Is.Not.EqualTo(gradients.B is null));
        return gradients.A ?? gradients.B!;
    }

    private static HostTensor SumOfFour(HostTensor x, Shape shape, Func<double, double> term)
        => HostTensor.Generate(shape, i => term(Of(x, i, 0, 0)) + term(Of(x, i, 0, 1)) + term(Of(x, i, 1, 0)) + term(Of(x, i, 1, 1)));

    /// <summary>The element (row, column) of the 2x2 window that a pixel of the small picture stands for.</summary>
    private static double Of(HostTensor x, int[] at, int row, int column) => x[at[0], (2 * at[1]) + row, (2 * at[2]) + column, at[3]];
}
