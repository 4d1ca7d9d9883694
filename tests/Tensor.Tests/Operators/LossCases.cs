// Cases of the operators of Ops.Loss.cs. Sums are made in double: in float a result is as good as its terms, in double as its
// order of additions.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Tests.Operators;

public sealed class LossCases : IOperatorCases
{
    /// <summary>
    /// Half epsilons that a term of a sum takes in double: 16 additions in its thread, 5 in the warp, 7 in the block; then as many
    /// again over the partial sums, of which no case has more than 512.
    /// </summary>
    private const double Additions = (16 + 5 + 7 + 2 + 5 + 7) / 2.0;

    private static readonly Operand s_gradient = Operand.Of([1], -1.375);

    /// <summary>One element, odd tails, a chunk of 4096 and its neighbours.</summary>
    private static readonly Shape[] s_shapes = [[1], [5], [3, 33], [255], [257], [4096], [4097], [3, 5, 1025]];

    /// <summary>More chunks than the second pass has threads.</summary>
    private static readonly Shape s_many = [257, 4097];

    public static IEnumerable<OperatorCase> Cases =>
    [
        .. s_shapes.Append(s_many).SelectMany(Sums),
        .. s_shapes.Select(Repeated),
        .. s_shapes.SelectMany(SquaredErrors),
        .. FrameLosses,
        .. KlDivergences,
        .. CrossEntropies,
    ];

    private static IEnumerable<OperatorCase> FrameLosses =>
        from lengths in (int[][])[[1, 1, 1, 1, 1], [2, 3, 3, 5, 4], [3, 70, 5, 3, 1], [1, 2, 33, 31, 3]]
        let shape = new Shape(lengths)
        from reduction in Enum.GetValues<FrameReduction>()
        from @case in (OperatorCase[])
        [
            .. OfType(
                new()
                {
                    Name = $"FrameLoss {shape}, {reduction}",
                    Kernels = ["squared_error_sums", "sum_partials"],
                    Inputs = [Operand.Normal(shape), Operand.Normal(shape)],
                    Run = x => Ops.FrameLoss(x[0], x[1], reduction),
                    Oracle = x =>
                    {
                        // Frame by frame, as the loss is defined.
                        var frame = lengths[2] * lengths[3] * lengths[4];
                        var losses = Enumerable.Range(0, lengths[1]).Select(f => Total(
                            Squares(x[0], x[1]).Where((_, i) => i / frame % lengths[1] == f)) / (lengths[0] * frame));
                        return new([1], [reduction == FrameReduction.Sum ? Total(losses) : Total(losses) / lengths[1]]);
                    },
                    Tolerance = SquaredErrorTolerance(DType.Float32),
                },
                SquaredErrorTolerance),
            new()
            {
                Name = $"FrameLossBackward {shape}, {reduction}",
                Kernels = ["squared_error_backward"],
                Inputs = [Operand.Normal(shape), Operand.Normal(shape), s_gradient],
                Run = x => Ops.FrameLossBackward(x[0], x[1], x[2], reduction),
                Oracle = x => x[0].Zip(x[1], (a, b) => 2 * x[2].Data[0] * (a - b) / shape.Count * (reduction == FrameReduction.Sum ? lengths[1] : 1)),
                Tolerance = Tolerance.OfElement(3, "difference, factor and three products are rounded"),
            },
        ]
        select @case;

    private static IEnumerable<OperatorCase> KlDivergences =>
        from lengths in (int[][])[[1, 1, 1, 2], [3, 5, 7, 8], [2, 31, 33, 6], [5, 2], [1, 64, 65, 8]]
        from wide in (bool[])[false, true]
        let shape = new Shape(lengths)
        let channels = shape[-1] / 2

        // Log-variances around 0, or from beyond one clamp to beyond the other.
        let moments = new Operand(shape, (random, i) => wide && i / channels % 2 == 1 ? -40 + (65 * random.Uniform(i)) : random.Normal(i))
        let name = $"{shape}{(wide ? ", log-variances past the clamps" : "")}"
        from @case in (OperatorCase[])
        [
            .. OfType(
                new()
                {
                    Name = $"KlDivergence {name}",
                    Kernels = ["kl_divergence_sums", "sum_partials"],
                    Inputs = [moments],
                    Run = x => Ops.KlDivergence(x[0]),
                    Oracle = x => Kl(x[0], (mean, held) => 0.5 * ((mean * mean) + Math.Exp(held) - 1 - held)),
                    Tolerance = KlTolerance(DType.Float32),
                },
                KlTolerance),
            new()
            {
                Name = $"KlDivergenceBackward {name}",
                Kernels = ["kl_divergence_backward"],
                Inputs = [moments, s_gradient],
                Run = x => Ops.KlDivergenceBackward(x[0], x[1]),
                Oracle = x => KlGradient(x, v => v, v => v is >= -30 and <= 20 ? 0.5 * (Math.Exp(v) - 1) : 0),
                Tolerance = Tolerance.OfSize(
                    4, x => KlGradient(x, v => v, v => 0.5 * (Math.Exp(Math.Min(v, 20)) + 1)).Map(Math.Abs), "exp 2 ulp, factor, difference and products"),
            },
        ]
        select @case;

    private static IEnumerable<OperatorCase> CrossEntropies =>
    [
        .. from sizes in (int[][])[[1, 1], [1, 2], [3, 5], [33, 31], [5, 257], [300, 10], [2, 1025], [32, 32]]
           from @case in CrossEntropy(
               $"{new Shape(sizes)}",
               Operand.Normal(sizes, deviation: 3),
               new([sizes[0]], (random, i) => Math.Floor(sizes[1] * random.Uniform(i)), DType.Int32))
           select @case,
        .. CrossEntropy(
            "of logits whose exponentials overflow",
            Operand.Of([4, 3], 1000, 999, -1000, -1000, -1000, -1001, 0, 1000, 0, 88, 89, 90),
            Operand.Of(DType.Int32, [4], 1, 2, 0, 0)),
        .. CrossEntropy("of targets that are no class", Operand.Normal([3, 5]), Operand.Of(DType.Int32, [3], -1, 2, 5)),
        .. CrossEntropy("of what is no number", Operand.Of([2, 2], 1, double.NaN, 3, 4), Operand.Of(DType.Int32, [2], 0, 1)),
    ];

    private static IEnumerable<OperatorCase> Sums(Shape shape)
    {
        var mean = shape.Rank > 1;
        var factor = mean ? 1.0 / shape.Count : 1;
        HostTensor Sum(HostTensor x, Func<double, double> term) => new([1], [factor * Total(x.Data.Select(term))]);
        return OfType(
            new()
            {
                Name = $"{(mean ? "Mean" : "Sum")} {shape}",
                Kernels = ["element_sums", "sum_partials"],
                Inputs = [Operand.Normal(shape, mean: 0.5)],
                Run = x => mean ? Ops.Mean(x[0]) : Ops.Sum(x[0]),
                Oracle = x => Sum(x[0], v => v),
                Tolerance = Tolerance.OfElement(1, "in double but for one rounding"),
            },
            _ => Tolerance.OfSize(Additions, x => Sum(x[0], Math.Abs), "the additions that a term goes through"));
    }

    private static OperatorCase Repeated(Shape shape) => new()
    {
        Name = $"RepeatScalar to {shape}",
        Kernels = ["repeat_scalar"],
        Inputs = [s_gradient],
        Run = x => Ops.RepeatScalar(x[0], shape, 0.625),
        Oracle = x => HostTensor.Generate(shape, _ => 0.625 * x[0].Data[0]),
        Tolerance = Tolerance.Exact("one rounding"),
    };

    private static IEnumerable<OperatorCase> SquaredErrors(Shape shape) =>
    [
        .. OfType(
            new()
            {
                Name = $"MeanSquaredError {shape}",
                Kernels = ["squared_error_sums", "sum_partials"],
                Inputs = [Operand.Normal(shape), Operand.Normal(shape)],
                Run = x => Ops.MeanSquaredError(x[0], x[1]),
                Oracle = x => new([1], [Total(Squares(x[0], x[1])) / shape.Count]),
                Tolerance = SquaredErrorTolerance(DType.Float32),
            },
            SquaredErrorTolerance),
        new()
        {
            Name = $"MeanSquaredErrorBackward {shape}",
            Kernels = ["squared_error_backward"],
            Inputs = [Operand.Normal(shape), Operand.Normal(shape), s_gradient],
            Run = x => Ops.MeanSquaredErrorBackward(x[0], x[1], x[2]),
            Oracle = x => x[0].Zip(x[1], (a, b) => 2 * x[2].Data[0] * (a - b) / shape.Count),
            Tolerance = Tolerance.OfElement(3, "difference, factor and three products are rounded"),
        },
    ];

    private static OperatorCase[] CrossEntropy(string variant, Operand logits, Operand targets)
    {
        var (rows, classes) = (logits.Shape[0], logits.Shape[1]);
        return
        [
            new()
            {
                Name = $"CrossEntropy {variant}",
                Kernels = ["cross_entropy_rows", "sum_partials"],
                Inputs = [logits, targets],
                Run = x => Ops.CrossEntropy(x[0], x[1]),
                Oracle = x => new([1], [Enumerable.Range(0, rows).Average(row => RowLoss(x, row))]),
                Tolerance = Tolerance.OfSize(
                    (classes / 64.0) + 6,
                    x => new([1], [Enumerable.Range(0, rows).Average(row => 1 + RowLoss(x, row))]),
                    "exp 2 ulp, its argument's rounding, and the additions that an exponential goes through, a 32nd of the classes and 5"),
            },
            new()
            {
                Name = $"CrossEntropyBackward {variant}",
                Kernels = ["cross_entropy_backward"],
                Inputs = [logits, targets, s_gradient],
                Run = x => Ops.CrossEntropyBackward(x[0], x[1], x[2]),
                Oracle = x => Gradient(x, (probability, isTarget) => probability - isTarget),
                Tolerance = Tolerance.OfSize(
                    (classes / 64.0) + 16,
                    x => Gradient(x, (probability, isTarget) => probability + isTarget).Map(v => Math.Abs(v) + 1e-30),
                    "as the loss; and a logit's distance from the largest, below 25 where it counts, is rounded before the exponential; "
                    + "results below the smallest normal float may be flushed"),
            },
        ];

        HostTensor Gradient(HostTensor[] x, Func<double, double, double> term)
            => new(logits.Shape, [.. Enumerable.Range(0, rows).SelectMany(row =>
            {
                var target = (int)x[1].Data[row];
                return LogSoftmax(x[0], row).Select((log, i) => target >= 0 && target < classes
                    ? x[2].Data[0] / rows * term(Math.Exp(log), i == target ? 1 : 0)
                    : double.NaN);
            })]);
    }

    /// <summary>A row's cross-entropy, not a number for a target that is no class.</summary>
    private static double RowLoss(HostTensor[] x, int row)
        => (int)x[1].Data[row] is var target && target >= 0 && target < x[0].Shape[1] ? -LogSoftmax(x[0], row)[target] : double.NaN;

    /// <summary>logits[row] - log(sum of exp(logits[row])).</summary>
    private static double[] LogSoftmax(HostTensor logits, int row)
    {
        var own = logits.Data.AsSpan(row * logits.Shape[1], logits.Shape[1]).ToArray();
        var largest = own.Max();
        var sum = Math.Log(own.Sum(logit => Math.Exp(logit - largest)));
        return [.. own.Select(logit => logit - largest - sum)];
    }

    /// <summary>A case for each element type, with the tolerance of that type.</summary>
    private static IEnumerable<OperatorCase> OfType(OperatorCase @case, Func<DType, Tolerance> tolerance) =>
    [
        @case with { Types = [DType.Float32] },
        @case with { Name = @case.Name + " of doubles", Types = [DType.Float64], Tolerance = tolerance(DType.Float64) },
    ];

    private static Tolerance SquaredErrorTolerance(DType type) => type == DType.Float32
        ? Tolerance.OfElement(2, "a term is rounded once, and its root once, which counts twice; the result once more")
        : Tolerance.OfElement(2 + Additions, "as in float, and the additions that a term goes through");

    private static Tolerance KlTolerance(DType type) => Tolerance.OfSize(
        type == DType.Float32 ? 4 : 4 + Additions,
        x => Kl(x[0], (mean, held) => 0.5 * ((mean * mean) + Math.Exp(held) + 1 + Math.Abs(held))),
        "exp 2 ulp and four roundings of a term; in double, the additions that it goes through");

    /// <summary>The sum of terms of a mean and its held log-variance, over the number of pictures.</summary>
    private static HostTensor Kl(HostTensor moments, Func<double, double, double> term)
    {
        var channels = moments.Shape[-1] / 2;
        return new([1], [Total(moments.Data.Chunk(2 * channels).SelectMany(pixel => Enumerable.Range(0, channels).Select(
            c => term(pixel[c], Math.Clamp(pixel[channels + c], -30, 20))))) / moments.Shape[0]]);
    }

    private static HostTensor KlGradient(HostTensor[] x, Func<double, double> ofMean, Func<double, double> ofLogVariance)
    {
        var channels = x[0].Shape[-1] / 2;
        return new(x[0].Shape, [.. x[0].Data.Select((v, i) => (i / channels % 2 == 0 ? ofMean(v) : ofLogVariance(v)) * x[1].Data[0] / x[0].Shape[0])]);
    }

    private static IEnumerable<double> Squares(HostTensor a, HostTensor b) => a.Data.Zip(b.Data, (u, v) => (u - v) * (u - v));

    /// <summary>A compensated sum (Kahan): a million terms added plainly would lose more than the kernels do.</summary>
    private static double Total(IEnumerable<double> terms)
    {
        var (sum, lost) = (0.0, 0.0);
        foreach (var value in terms)
        {
            var term = value - lost;
            var next = sum + term;
            (sum, lost) = (next, next - sum - term);
        }

        return sum;
    }
}
