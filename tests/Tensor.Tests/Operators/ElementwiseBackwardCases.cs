// Cases of the operators of Ops.ElementwiseBackward.cs.
namespace FashionFlow.Tensors.Tests.Operators;

public sealed class ElementwiseBackwardCases : IOperatorCases
{
    /// <summary>Odd sizes, vectors of four with each tail, a block's 1024 elements and one past it.</summary>
    private static readonly Shape[] s_shapes = [[1], [3], [5], [31], [33], [127], [4, 8], [1024], [3, 1025]];

    /// <summary>Arguments whose exponential overflows or vanishes, and what is no number: the limits are 0 and the gradient itself.</summary>
    private static readonly Operand s_extremes = Operand.Of([9], -1e38, -1000, -100, -0.0, 0, 100, 1000, 1e38, double.NaN);

    /// <summary>Part of every size: results below the smallest normal float may be flushed to 0.</summary>
    private const double Flushed = 1e-30;

    public static IEnumerable<OperatorCase> Cases =>
    [
        .. s_shapes.SelectMany(shape => OfInputs($"{shape}", Operand.Normal(shape, deviation: 2), Operand.Normal(shape))),
        .. OfInputs("of extremes", s_extremes, Operand.Normal([9])),
        Clamp(
            "on the bounds and of what is no number",
            Operand.Of([8], -0.5, 0.75, -0.50001, 0.75001, double.NaN, double.PositiveInfinity, double.NegativeInfinity, 0)),
        Clamp("of a gradient that is no number", Operand.Of([3], -1, 0, 1), Operand.Of([3], double.NaN, double.NaN, double.PositiveInfinity)),
        .. PadRows,
    ];

    private static IEnumerable<OperatorCase> PadRows =>
        from sizes in (int[][])[[1, 1, 0, 1], [3, 5, 0, 7], [2, 33, 3, 5], [4, 64, 5, 31], [0, 3, 1, 2]]
        let length = sizes[0]
        let columns = sizes[1]
        let start = sizes[2]
        let rows = sizes[3]
        select new OperatorCase
        {
            Name = $"PadRows [{length}, {columns}] from {start} of {rows}",
            Kernels = [],
            Inputs = [Operand.Normal([length, columns])],
            Run = x => Ops.PadRows(x[0], start, rows),
            Oracle = x => HostTensor.Generate([rows, columns], i => i[0] >= start && i[0] < start + length ? x[0][i[0] - start, i[1]] : 0),
            Tolerance = Tolerance.Exact("elements are moved"),
        };

    private static IEnumerable<OperatorCase> OfInputs(string variant, Operand x, Operand gradient)
    {
        yield return new()
        {
            Name = $"Accumulate {variant}",
            Kernels = ["accumulate"],
            Inputs = [x, gradient],
            WritesInputs = true,
            Run = i =>
            {
                Ops.Accumulate(i[0], i[1]);
                return i[0].AddReference();
            },
            Oracle = i => i[0].Zip(i[1], (a, b) => a + b),
            Tolerance = Tolerance.Exact("the result is rounded once"),
        };
        yield return Clamp(variant, x, gradient);
        yield return Slope(
            "Silu", "silu", variant, x, gradient, Ops.SiluBackward, v => SigmoidSlope(v, 1),
            Tolerance.OfSize(
                6,
                i => i[0].Zip(i[1], (v, g) => (Math.Abs(g) * Sigmoid(v) * (1 + Math.Abs(v))) + Flushed),
                "exp 2 ulp, and seven roundings of terms of this size"));
        yield return Slope(
            "QuickGelu", "quick_gelu", variant, x, gradient, Ops.QuickGeluBackward, v => SigmoidSlope(v, 1.702),
            Tolerance.OfSize(
                8,
                i => i[0].Zip(i[1], (v, g) => (Math.Abs(g) * Sigmoid(1.702 * v) * (1 + Math.Abs(1.702 * v)) * (1 + Math.Abs(1.702 * v))) + Flushed),
                "as SiLU; and 1.702 and its product with x are rounded, an error that the exponential multiplies by 1.702 x"));
        yield return Slope(
            "Gelu", "gelu", variant, x, gradient, Ops.GeluBackward, GeluSlope,
            Tolerance.OfSize(
                4, i => i[1].Map(Math.Abs), "Phi within half an epsilon of 1; x phi(x), at most 1/4, its exponent rounded twice; sum and product"));
    }

    private static OperatorCase Clamp(string variant, Operand x, Operand? gradient = null) => new()
    {
        Name = $"ClampBackward {variant}",
        Kernels = ["clamp_backward"],
        Inputs = [x, gradient ?? Operand.Normal(x.Shape)],
        Run = i => Ops.ClampBackward(i[0], i[1], -0.5, 0.75),
        Oracle = i => i[0].Zip(i[1], (v, g) => v >= -0.5 && v <= 0.75 ? g : 0),
        Tolerance = Tolerance.Exact("nothing is computed"),
    };

    private static OperatorCase Slope(
        string name,
        string kernel,
        string variant,
        Operand x,
        Operand gradient,
        Func<Tensor, Tensor, Tensor> run,
        Func<double, double> slope,
        Tolerance tolerance) => new()
    {
        Name = $"{name}Backward {variant}",
        Kernels = [$"{kernel}_backward"],
        Inputs = [x, gradient],
        Run = i => run(i[0], i[1]),
        Oracle = i => i[0].Zip(i[1], (v, g) => g * slope(v)),
        Tolerance = tolerance,
    };

    /// <summary>d/dx of x sigmoid(a x).</summary>
    private static double SigmoidSlope(double x, double a) => Sigmoid(a * x) + (a * x * Sigmoid(a * x) * Sigmoid(-a * x));

    private static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));

    /// <summary>d/dx of x Phi(x): Phi(x) + x phi(x).</summary>
    internal static double GeluSlope(double x)
        => ElementwiseCases.NormalDistribution(x) + (x * Math.Exp(-0.5 * x * x) / Math.Sqrt(2 * Math.PI));
}
