// Cases of the operators of Ops.Optimizer.cs: lists of tensors with flat buffers beside them, against the formulas element by element.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Tests.Operators;

public sealed class OptimizerCases : IOperatorCases
{
    private const double Beta1 = 0.9;
    private const double Beta2 = 0.999;
    private const double Epsilon = 1e-8;

    /// <summary>The control block's numbers that only kernels use.</summary>
    private const int Decay = 6;
    private const int StepSize = 7;
    private const int Root = 8;

    /// <summary>One element, odd sizes, a block's chunk exactly and one past it, several blocks, nothing at all; and very many.</summary>
    private static readonly (string Name, Shape[] Shapes)[] s_lists =
    [
        ("one element", [[1]]),
        ("odd sizes", [[1], [3, 5], [31], [33, 127], [0, 4], [1]]),
        ("whole and broken chunks", [[64], [4096], [4097], [3, 3001], [8192]]),
        ("a scalar and a long one", [[], [40_001]]),
        ("300 small ones", [.. Enumerable.Range(0, 300).Select(i => new Shape((i % 7) + 1))]),
    ];

    public static IEnumerable<OperatorCase> Cases =>
        SumsOfSquares.Concat(Prepared).Concat(s_lists.SelectMany(list => (OperatorCase[])
        [
            AdamW(list.Name, list.Shapes, counts: 1),
            MovingAverage(list.Name, list.Shapes, step: 1000, decay: 0.75, warmUp: false),
            Exchange(list.Name, list.Shapes),
        ])).Concat(
        [
            AdamW("odd sizes", s_lists[1].Shapes, counts: 0),
            AdamW("odd sizes, one not aligned", s_lists[1].Shapes, counts: 1, misalignOne: true),
            MovingAverage("odd sizes, early", s_lists[1].Shapes, step: 1, decay: 0.9999, warmUp: true),
            MovingAverage("odd sizes, late", s_lists[1].Shapes, step: 1_000_000, decay: 0.875, warmUp: true),
            MovingAverage("odd sizes, after a step that does not count", s_lists[1].Shapes, step: 7, decay: 0.5, warmUp: false, counts: 0),
        ]);

    private static IEnumerable<OperatorCase> SumsOfSquares =>
        from size in (int[])[1, 3, 31, 33, 127, 1025, 4095, 4096, 4097, 20_003]
        let blocks = (size + 4095) / 4096
        select new OperatorCase
        {
            Name = $"SumOfSquares [{size}]",
            Kernels = ["sum_of_squares"],
            Inputs = [Operand.Normal([size])],
            Run = x =>
            {
                var partial = Tensor.Empty(x.Context, [blocks], DType.Float64);
                Ops.SumOfSquares(x[0], partial);
                return partial;
            },
            ResultType = DType.Float64,
            Oracle = x => HostTensor.Generate([blocks], i => ExactSum(x[0].Data.Skip(i[0] * 4096).Take(4096).Select(v => v * v))),
            Tolerance = Tolerance.OfElement(15, "at most 16 sums in a thread, 5 in a warp's tree and 7 of warps, half an epsilon each; terms are positive"),
        };

    private static IEnumerable<OperatorCase> Prepared =>
        from run in ((string Name, double[] Partial, int Step, double MaxNorm)[])
        [
            ("first step", [4, 5], 0, double.PositiveInfinity),
            ("clipped", [30, 0, 6], 1, 1.5),
            ("under the limit", [0.01], 99, 1),
            ("zero gradients", [0, 0, 0], 998, 1),
            ("many partial sums", [.. Enumerable.Range(0, 1025).Select(i => (i % 16) / 4.0)], 123_456, 2),
            ("NaN", [1, double.NaN, 3], 7, 1),
            ("infinity", [1, 2, double.PositiveInfinity], 7, 1),
        ]
        select new OperatorCase
        {
            Name = $"AdamWPrepare, {run.Name}",
            Kernels = ["adamw_prepare"],
            Types = [DType.Float64],
            Inputs = [Operand.Of([run.Partial.Length], run.Partial), Operand.Of([AdamWControl.Length], 0.0009765625, run.Step, 3, 0.5, 0.25, 1, 0.5, 0.125, 0.75)],
            WritesInputs = true,
            Run = x =>
            {
                Ops.AdamWPrepare(x[0], x[1], run.MaxNorm, Beta1, Beta2, weightDecay: 0.01);
                return x[1].AddReference();
            },
            Oracle = x => Prepare(x[0].Data, x[1], run.MaxNorm),

            // A power by squaring is t roundings off at most, relatively, and t b^t / (1 - b^t) < 1 / (1 - b).
            Tolerance = Tolerance.OfSize(
                4,
                x => new HostTensor(x[1].Shape, [.. Prepare(x[0].Data, x[1], run.MaxNorm).Data.Select((v, i) =>
                    Math.Abs(v) / (i == StepSize ? 1 - Beta1 : i == Root ? 1 - Beta2 : 1))]),
                "roundings of the powers, multiplied by what the difference from 1 cancels; a few elsewhere"),
        };

    private static OperatorCase AdamW(string name, Shape[] shapes, int counts, bool misalignOne = false)
    {
        var (starts, flat) = Layout(shapes);
        return new()
        {
            Name = $"AdamW of {name}{(counts == 0 ? ", a step that does not count" : "")}",
            Kernels = ["adamw"],
            Inputs =
            [
                .. shapes.Select(shape => Operand.Normal(shape)),
                Operand.Normal([flat], deviation: 0.5), Operand.Normal([flat], deviation: 0.1), Operand.Uniform([flat], 0, 0.25),
                Operand.Of(DType.Float64, [AdamWControl.Length], 0, 12, 0, 0, 0.625, counts, 0.9990234375, 0.01171875, 0.109375),
            ],
            WritesInputs = true,
            Run = x =>
            {
                var parameters = x.Inputs[..shapes.Length];
                if (misalignOne)
                {
                    // As the list's second chunk of memory would be if a view had been taken of it.
                    var copy = Tensor.Empty(x.Context, [(int)parameters[1].Count + 1], x.Type).Narrow(1, (int)parameters[1].Count).Reshape(shapes[1]);
                    x.Context.Device.Copy(copy.Pointer<byte>(), parameters[1].Pointer<byte>(), copy.Bytes, x.Context.Stream);
                    parameters[1] = copy;
                }

                using var list = new TensorList(parameters);
                var (gradients, averages, squares, control) = (x[shapes.Length], x[shapes.Length + 1], x[shapes.Length + 2], x[shapes.Length + 3]);
                Ops.AdamW(list, gradients, averages, squares, control, Beta1, Beta2, Epsilon);
                return Stack(Gather(list), averages, squares);
            },
            Oracle = x => Step(x, shapes, starts, (p, g, m, v, c) => AdamWStep(p, g, m, v, c)),
            Tolerance = Tolerance.OfSize(
                8,
                x => Step(x, shapes, starts, (p, g, m, v, c) =>
                {
                    var (_, _, square) = AdamWStep(p, g, m, v, c);
                    var average = Math.Abs(m) + ((1 - Beta1) * c[AdamWControl.Clip] * Math.Abs(g));
                    return ((Math.Abs(p) * c[Decay]) + (c[StepSize] * average / ((Math.Sqrt(square) / c[Root]) + Epsilon)), average, square);
                }).Map(Math.Abs),
                "the first moment is rounded four times, the second four, root, quotients and sums five; each half an epsilon"),
        };
    }

    private static OperatorCase MovingAverage(string name, Shape[] shapes, int step, double decay, bool warmUp, int counts = 1)
    {
        var (starts, flat) = Layout(shapes);
        var rest = 1 - (warmUp ? Math.Min(decay, (1.0 + step) / (10 + step)) : decay);
        return new()
        {
            Name = $"MovingAverage of {name}",
            Kernels = ["moving_average"],
            Inputs =
            [
                .. shapes.Select(shape => Operand.Normal(shape)), Operand.Normal([flat]),
                Operand.Of(DType.Float64, [AdamWControl.Length], 0, step, 0, 0, 1, counts, 1, 1, 1),
            ],
            WritesInputs = true,
            Run = x =>
            {
                using var list = new TensorList(x.Inputs[..shapes.Length]);
                Ops.MovingAverage(list, x[shapes.Length], x[shapes.Length + 1], decay, warmUp);
                return x[shapes.Length].AddReference();
            },
            Oracle = x => Average(x, (average, value) => counts == 0 ? average : ((1 - rest) * average) + (rest * value)),
            Tolerance = Tolerance.OfSize(
                3, x => Average(x, (average, value) => Math.Abs(average) + (rest * (Math.Abs(value) + Math.Abs(average)))).Map(Math.Abs), "five roundings"),
        };

        HostTensor Average(HostTensor[] x, Func<double, double, double> function)
        {
            var result = x[shapes.Length].Map(v => v);
            Each(shapes, starts, (tensor, element, place) => result.Data[place] = function(result.Data[place], x[tensor].Data[element]));
            return result;
        }
    }

    private static OperatorCase Exchange(string name, Shape[] shapes)
    {
        var (starts, flat) = Layout(shapes);
        return new()
        {
            Name = $"Exchange of {name}",
            Kernels = ["exchange"],
            Inputs = [.. shapes.Select(shape => Operand.Normal(shape)), Operand.Normal([flat])],
            WritesInputs = true,
            Run = x =>
            {
                using var list = new TensorList(x.Inputs[..shapes.Length]);
                Ops.Exchange(list, x[shapes.Length]);
                return Stack(Gather(list), x[shapes.Length]);
            },
            Oracle = x =>
            {
                var result = new HostTensor([2, flat]);
                x[shapes.Length].Data.CopyTo(result.Data, flat);
                Each(shapes, starts, (tensor, element, place) =>
                {
                    result.Data[place] = x[shapes.Length].Data[place];
                    result.Data[flat + place] = x[tensor].Data[element];
                });
                return result;
            },
            Tolerance = Tolerance.Exact("nothing is computed"),
        };
    }

    /// <summary>Values, first and second moments after a step: [3, flat].</summary>
    private static HostTensor Step(
        HostTensor[] x, Shape[] shapes, int[] starts,
        Func<double, double, double, double, double[], (double Value, double Average, double Square)> element)
    {
        var (gradients, averages, squares, control) = (x[^4].Data, x[^3].Data, x[^2].Data, x[^1].Data);
        var flat = gradients.Length;
        var result = new HostTensor([3, flat]);
        averages.CopyTo(result.Data, flat);
        squares.CopyTo(result.Data, 2 * flat);
        Each(shapes, starts, (tensor, i, place) =>
            (result.Data[place], result.Data[flat + place], result.Data[(2 * flat) + place])
                = control[AdamWControl.Counts] == 0
                    ? (x[tensor].Data[i], averages[place], squares[place])
                    : element(x[tensor].Data[i], gradients[place], averages[place], squares[place], control));
        return result;
    }

    private static (double Value, double Average, double Square) AdamWStep(double p, double g, double m, double v, double[] control)
    {
        g *= control[AdamWControl.Clip];
        m = (Beta1 * m) + ((1 - Beta1) * g);
        v = (Beta2 * v) + ((1 - Beta2) * g * g);
        return ((control[Decay] * p) - (control[StepSize] * m / ((Math.Sqrt(v) / control[Root]) + Epsilon)), m, v);
    }

    private static HostTensor Prepare(double[] partial, HostTensor control, double maxNorm)
    {
        var result = control.Map(v => v);
        var norm = Math.Sqrt(partial.Sum());
        result.Data[AdamWControl.Norm] = norm;
        if (!double.IsFinite(norm))
        {
            (result.Data[AdamWControl.Clip], result.Data[AdamWControl.Counts]) = (0, 0);
            result.Data[AdamWControl.Skipped]++;
            return result;
        }

        var (rate, step) = (control.Data[AdamWControl.LearningRate], control.Data[AdamWControl.Step] + 1);
        (result.Data[AdamWControl.Step], result.Data[AdamWControl.Counts]) = (step, 1);
        result.Data[AdamWControl.Clip] = Math.Min(1, maxNorm / (norm + 1e-6));
        result.Data[Decay] = 1 - (rate * 0.01);
        result.Data[StepSize] = rate / (1 - Math.Pow(Beta1, step));
        result.Data[Root] = Math.Sqrt(1 - Math.Pow(Beta2, step));
        return result;
    }

    /// <summary>Places at multiples of 64 elements.</summary>
    private static (int[] Starts, int Flat) Layout(Shape[] shapes)
    {
        var (starts, flat) = (new int[shapes.Length], 0);
        for (var i = 0; i < shapes.Length; i++)
        {
            starts[i] = flat;
            flat += (int)((shapes[i].Count + 63) / 64) * 64;
        }

        return (starts, flat);
    }

    private static void Each(Shape[] shapes, int[] starts, Action<int, int, int> action)
    {
        for (var tensor = 0; tensor < shapes.Length; tensor++)
        {
            for (var i = 0; i < shapes[tensor].Count; i++)
            {
                action(tensor, i, starts[tensor] + i);
            }
        }
    }

    /// <summary>A list's values in a flat buffer; zeros between them.</summary>
    private static Tensor Gather(TensorList list)
    {
        var flat = Tensor.Zeros(list.Context, [list.FlatCount], list.DType);
        for (var i = 0; i < list.Tensors.Count; i++)
        {
            using var place = list.View(flat, i);
            if (place.Count > 0)
            {
                list.Context.Device.Copy(place.Pointer<byte>(), list.Tensors[i].Pointer<byte>(), place.Bytes, list.Context.Stream);
            }
        }

        return flat;
    }

    private static Tensor Stack(params Tensor[] flats)
    {
        var stack = Tensor.Empty(flats[0].Context, [flats.Length, (int)flats[0].Count], flats[0].DType);
        for (var i = 0; i < flats.Length; i++)
        {
            stack.Context.Device.Copy(stack.Pointer<byte>().Offset(i * flats[i].Bytes), flats[i].Pointer<byte>(), flats[i].Bytes, stack.Context.Stream);
        }

        return stack;
    }

    /// <summary>A sum without its roundings, near enough (Neumaier 1974).</summary>
    private static double ExactSum(IEnumerable<double> terms)
    {
        var (sum, lost) = (0.0, 0.0);
        foreach (var term in terms)
        {
            var next = sum + term;
            lost += Math.Abs(sum) >= Math.Abs(term) ? (sum - next) + term : (term - next) + sum;
            sum = next;
        }

        return sum + lost;
    }
}
