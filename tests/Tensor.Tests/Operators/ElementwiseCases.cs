// Cases of the operators of Ops.Elementwise.cs.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Tests.Operators;

public sealed class ElementwiseCases : IOperatorCases
{
    private const string OneRounding = "the result is rounded once";

    /// <summary>Odd sizes, vectors of four with each tail, a block's 1024 elements and one past it.</summary>
    private static readonly Shape[] s_shapes = [[1], [3], [5], [31], [33], [127], [4, 8], [3, 5, 7], [1024], [1025], [3, 1025]];

    public static IEnumerable<OperatorCase> Cases =>
    [
        .. from @case in (OperatorCase[])
           [
               .. s_shapes.SelectMany(OfShape),
               .. BroadcastRows,
               ClampedNaN,
               Extremes("Silu", "silu", Ops.Silu, Silu),
               Extremes("QuickGelu", "quick_gelu", Ops.QuickGelu, QuickGelu),
           ]
           select @case with { Types = OperatorCase.AllTypes },
        .. s_shapes.SelectMany(Casts),
    ];

    private static IEnumerable<OperatorCase> Casts(Shape shape) =>
    [
        Cast(shape, DType.Float32, ["cast_f64_to_f32"], DType.Float64, OneRounding) with
        {
            Run = x => Ops.Cast(Ops.Scale(x[0], 1.0 / 3), DType.Float32),
            Oracle = x => x[0].Map(v => 1.0 / 3 * v),
        },
        Cast(shape, DType.Float64, ["cast_f32_to_f64"], DType.Float32, "every float is a double"),
        Cast(shape, DType.Float16, ["cast_f32_to_f16"], DType.Float32, OneRounding),
        Cast(shape, DType.BFloat16, ["cast_f32_to_bf16"], DType.Float32, OneRounding),
        Cast(shape, DType.Float32, ["cast_f16_to_f32"], DType.Float16, "every number of a half type is a float"),
        Cast(shape, DType.Float32, ["cast_bf16_to_f32"], DType.BFloat16, "every number of a half type is a float"),
        Cast(shape, DType.Float64, ["cast_f16_to_f32", "cast_f32_to_f64"], DType.Float16, "every number of a half type is a float, and so a double"),
        Cast(shape, DType.Float16, ["cast_bf16_to_f32", "cast_f32_to_f16"], DType.BFloat16, OneRounding),
        Cast(shape, DType.BFloat16, ["cast_f16_to_f32", "cast_f32_to_bf16"], DType.Float16, OneRounding),
    ];

    private static OperatorCase Cast(Shape shape, DType to, string[] kernels, DType from, string origin) => new()
    {
        Name = $"Cast {from} to {to} {shape}",
        Kernels = kernels,
        Inputs = [new Operand(shape, (random, i) => random.Normal(i), from)],
        Run = x => Ops.Cast(x[0], to),
        Oracle = x => x[0],
        Tolerance = Tolerance.Exact(origin),
        Types = [to],
    };

    private static IEnumerable<OperatorCase> BroadcastRows =>
        from sizes in (int[][])[[1, 1, 1], [2, 3, 5], [3, 4, 8], [5, 1, 33], [17, 7, 4], [2, 9, 127], [9, 1, 1025], [2, 16, 160]]
        select new OperatorCase
        {
            Name = $"AddBroadcastRow [{string.Join(", ", sizes)}]",
            Kernels = ["add_broadcast_row"],
            Inputs = [Operand.Normal([sizes[0], sizes[1], sizes[2]]), Operand.Normal([sizes[1], sizes[2]])],
            Run = x => Ops.AddBroadcastRow(x[0], x[1]),
            Oracle = x => HostTensor.Generate(x[0].Shape, i => x[0][i] + x[1][i.AsSpan(1)]),
            Tolerance = Tolerance.Exact(OneRounding),
        };

    private static OperatorCase ClampedNaN => new()
    {
        Name = "Clamp of NaN and infinities",
        Kernels = ["clamp"],
        Inputs = [Operand.Of([6], double.NaN, double.PositiveInfinity, double.NegativeInfinity, 0.25, -0.0, 7)],
        Run = x => Ops.Clamp(x[0], -0.5, 2),
        Oracle = x => x[0].Map(v => Math.Clamp(v, -0.5, 2)),
        Tolerance = Tolerance.Exact("nothing is computed"),
    };

    private static IEnumerable<OperatorCase> OfShape(Shape shape)
    {
        yield return Map(shape, "Scale", "scale", x => Ops.Scale(x, -1.7), v => (double)-1.7f * v) with
        {
            // 1.7 is not the same number in float and in double.
            Run = x => Ops.Scale(x[0], -1.7f),
            Tolerance = Tolerance.Exact(OneRounding),
        };
        yield return Map(shape, "Clamp", "clamp", x => Ops.Clamp(x, -0.5, 0.75), v => Math.Clamp(v, -0.5, 0.75)) with
        {
            Tolerance = Tolerance.Exact("nothing is computed"),
        };
        yield return Map(shape, "Silu", "silu", Ops.Silu, Silu);
        yield return Map(shape, "Gelu", "gelu", Ops.Gelu, Gelu) with
        {
            Tolerance = Tolerance.OfElement(4, "Phi within half an epsilon of 1 (normal_distribution.cuh; in double erf's 2 ulp), times |x| up to 8", zero: 4),
        };
        yield return Map(shape, "QuickGelu", "quick_gelu", Ops.QuickGelu, QuickGelu) with
        {
            Tolerance = Tolerance.OfElement(16, "as SiLU; and 1.702 and its product with x are rounded, an error that exp multiplies by |1.702 x| < 16"),
        };
        yield return new OperatorCase
        {
            Name = $"Add {shape}",
            Kernels = ["add"],
            Inputs = [Operand.Normal(shape), Operand.Normal(shape)],
            Run = x => Ops.Add(x[0], x[1]),
            Oracle = x => x[0].Zip(x[1], (a, b) => a + b),
            Tolerance = Tolerance.Exact(OneRounding),
        };
        yield return new OperatorCase
        {
            Name = $"AddScaled {shape}",
            Kernels = ["add_scaled"],
            Inputs = [Operand.Normal(shape), Operand.Normal(shape)],
            Run = x => Ops.AddScaled(x[0], x[1], 0.625),
            Oracle = x => x[0].Zip(x[1], (a, b) => Math.FusedMultiplyAdd(0.625, b, a)),
            Tolerance = Tolerance.Exact(OneRounding),
        };
        yield return new OperatorCase
        {
            Name = $"Fill {shape}",
            Kernels = ["fill"],
            Inputs = [Operand.Normal(shape)],
            WritesInputs = true,
            Run = x =>
            {
                Ops.Fill(x[0], 0.375);
                return x[0].AddReference();
            },
            Oracle = x => x[0].Map(_ => 0.375),
            Tolerance = Tolerance.Exact("nothing is computed"),
        };
    }

    private static OperatorCase Map(Shape shape, string name, string kernel, Func<Tensor, Tensor> run, Func<double, double> oracle) => new()
    {
        Name = $"{name} {shape}",
        Kernels = [kernel],
        Inputs = [Operand.Normal(shape, deviation: 2)],
        Run = x => run(x[0]),
        Oracle = x => x[0].Map(oracle),
        Tolerance = Tolerance.OfElement(4, "exp 2 ulp (CUDA C++ Programming Guide, mathematical functions), sum and quotient 1/2 each, doubled"),
    };

    /// <summary>Arguments whose exponential overflows or vanishes: the limits are 0 and x.</summary>
    private static OperatorCase Extremes(string name, string kernel, Func<Tensor, Tensor> run, Func<double, double> oracle) => new()
    {
        Name = $"{name} of large arguments",
        Kernels = [kernel],
        Inputs = [Operand.Of([6], -1000, -100, 0, 100, 1000, 3e38)],
        Run = x => run(x[0]),
        Oracle = x => x[0].Map(oracle),
        Tolerance = Tolerance.OfElement(4, "as elsewhere; results below the smallest normal float may be flushed", zero: 1e-30),
    };

    private static double Silu(double x) => x / (1 + Math.Exp(-x));

    private static double QuickGelu(double x) => x / (1 + Math.Exp(-1.702 * x));

    /// <summary>x Phi(x), exactly.</summary>
    internal static double Gelu(double x) => x * NormalDistribution(x);

    /// <summary>The normal distribution function.</summary>
    internal static double NormalDistribution(double x) => 0.5 * Erfc(-x / Math.Sqrt(2));

    /// <summary>1 - erf(x): below 3 by erf's series of positive terms, beyond by a continued fraction (Abramowitz and Stegun 7.1.6, 7.1.14).</summary>
    private static double Erfc(double x)
    {
        if (x < 0)
        {
            return 2 - Erfc(-x);
        }

        if (x < 3)
        {
            var (term, sum) = (x, x);
            for (var n = 1; n < 100; n++)
            {
                term *= 2 * x * x / ((2 * n) + 1);
                sum += term;
            }

            return 1 - (2 / Math.Sqrt(Math.PI) * Math.Exp(-x * x) * sum);
        }

        var fraction = x;
        for (var n = 60; n > 0; n--)
        {
            fraction = x + (n / 2.0 / fraction);
        }

        return Math.Exp(-x * x) / Math.Sqrt(Math.PI) / fraction;
    }
}
