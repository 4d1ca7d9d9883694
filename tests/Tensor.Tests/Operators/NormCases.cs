// Cases of the operators of Ops.Norm.cs.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Tests.Operators;

public sealed class NormCases : IOperatorCases
{
    private const double Eps = 1e-5;

    /// <summary>
    /// Values are normal with weights near 1, so results and the coefficients they are made of stay below 8; a sum over a
    /// group or row adds an error of a few epsilons to mean and deviation, which the result sees in proportion to its size.
    /// </summary>
    private static readonly Tolerance s_normalized = Tolerance.OfElement(
        16, "factor, offset and result rounded once each; the variance, shifted by one value, loses 3 bits; SiLU 4", zero: 4);

    public static IEnumerable<OperatorCase> Cases =>
    [
        .. GroupNormCases,
        .. Statistics,
        .. LayerNormCases,
        .. ChanLayerNormCases,
        .. TokenShiftCases,
    ];

    private static IEnumerable<OperatorCase> GroupNormCases =>
    [
        GroupNorm([2, 3, 5, 64], 8, modulated: true, silu: true, ["group_norm_sums_vec4", "group_norm_coefficients", "group_norm_apply_silu_vec4"]),
        GroupNorm([1, 1025, 64], 8, modulated: false, silu: true, ["group_norm_apply_silu_vec4"]),
        GroupNorm([3, 7, 128], 32, modulated: false, silu: false, ["group_norm_apply_vec4"]),
        GroupNorm([2, 33, 512], 8, modulated: true, silu: false, ["group_norm_apply_vec4"]),
        GroupNorm([1, 5, 1024], 32, modulated: false, silu: true, ["group_norm_apply_silu_vec4"]),
        GroupNorm([2, 31, 320], 8, modulated: true, silu: true, ["group_norm_apply_silu_vec4"]),
        GroupNorm([2, 3, 8192], 8, modulated: true, silu: true, ["group_norm_apply_silu_vec4"]),
        GroupNorm([1, 3, 4], 1, modulated: false, silu: false, ["group_norm_apply_vec4"]),
        GroupNorm([2, 127, 8], 8, modulated: true, silu: true, ["group_norm_sums", "group_norm_apply_silu"]),
        GroupNorm([1, 5, 7, 16], 8, modulated: false, silu: false, ["group_norm_apply"]),
        GroupNorm([3, 31, 10], 5, modulated: true, silu: false, ["group_norm_apply"]),
        GroupNorm([2, 1025, 3], 1, modulated: true, silu: true, ["group_norm_apply_silu"]),
        GroupNorm([1, 33, 33], 3, modulated: false, silu: true, ["group_norm_apply_silu"]),
        GroupNorm([2, 3, 1025], 5, modulated: true, silu: true, ["group_norm_apply_silu"]),
        GroupNorm([1, 127, 2046], 1023, modulated: false, silu: false, ["group_norm_apply"]),
        GroupNorm([2, 5], 5, modulated: false, silu: false, ["group_norm_apply"]) with
        {
            Tolerance = Tolerance.OfElement(16, "one value a group: its factor is 1 / sqrt(eps) = 316 and the offset cancels it", zero: 80),
        },
        GroupNorm([2, 127, 64], 8, modulated: false, silu: false, ["group_norm_apply_vec4"], mean: 1000) with
        {
            Tolerance = Tolerance.OfElement(16, "factor and offset are as large as the mean of 1000, and rounded once each", zero: 250),
        },
        GroupNorm([2, 127, 10], 5, modulated: false, silu: false, ["group_norm_apply"], mean: -1000) with
        {
            Tolerance = Tolerance.OfElement(16, "factor and offset are as large as the mean of 1000, and rounded once each", zero: 250),
        },
    ];

    private static IEnumerable<OperatorCase> Statistics =>
        from mean in (double[])[0, 100]
        select new OperatorCase
        {
            Types = OperatorCase.AllTypes,
            Name = $"GroupNorm's statistics about {mean}",
            Kernels = ["group_norm_coefficients"],
            Inputs = [Operand.Normal([2, 127, 64], mean: mean), Operand.Normal([64]), Operand.Normal([64])],
            Run = x =>
            {
                var statistics = Tensor.Empty(x.Context, [2, 8, 2], DType.Float64);
                Ops.GroupNorm(x[0], 8, x[1], x[2], Eps, scaleShift: null, silu: false, statistics);
                return Ops.Cast(Ops.Cast(statistics, x.Type.Accumulation()), x.Type);
            },
            Oracle = x => HostTensor.Generate([2, 8, 2], i =>
            {
                var (average, variance) = Moments(Group(x[0], 8, i[0], i[1]));
                return i[2] == 0 ? average : 1 / Math.Sqrt(variance + Eps);
            }),
            Tolerance = Tolerance.OfElement(8, "1016 shifted values summed in threads of 8 and then in double; the rest rounds once", zero: 0.25),
        };

    private static IEnumerable<OperatorCase> LayerNormCases =>
    [
        .. from sizes in (int[][])[[1, 1], [3, 3], [5, 5], [2, 31], [3, 33], [1, 127], [3, 1025], [2, 2050]] select LayerNorm([2, .. sizes], "layer_norm_any"),
        LayerNorm([3, 4], "layer_norm_128"),
        LayerNorm([5, 7, 64], "layer_norm_64"),
        LayerNorm([1, 64], "layer_norm_128"),
        LayerNorm([2, 64], "layer_norm_64"),
        LayerNorm([33, 100], "layer_norm_128"),
        LayerNorm([17, 128], "layer_norm_128"),
        LayerNorm([3, 3, 192], "layer_norm_256"),
        LayerNorm([9, 256], "layer_norm_256"),
        LayerNorm([5, 320], "layer_norm_512"),
        LayerNorm([10, 512], "layer_norm_512"),
        LayerNorm([50, 768], "layer_norm_1024"),
        LayerNorm([3, 1024], "layer_norm_1024"),
        LayerNorm([5, 2048], "layer_norm_any"),
        LayerNorm([8195, 8], "layer_norm_8"),
        LayerNorm([8195, 12], "layer_norm_128"),
        LayerNorm([33, 8], "layer_norm_8"),
        LayerNorm([3, 7, 16], "layer_norm_16"),
        LayerNorm([5, 32], "layer_norm_32"),
        LayerNorm([3, 32], "layer_norm_128"),
        LayerNorm([8195, 64], "layer_norm_64") with { Types = [DType.Float32, DType.Float16, DType.BFloat16] },
        LayerNorm([31, 64], "layer_norm_64", mean: 1000),
        LayerNorm([31, 33], "layer_norm_any", mean: 1000),
    ];

    private static IEnumerable<OperatorCase> ChanLayerNormCases =>
    [
        ChanLayerNorm([2, 3, 2, 2, 5], 1e-5, shift: true),
        ChanLayerNorm([1, 1, 1, 3, 1], 1e-5, shift: true),
        ChanLayerNorm([2, 4, 3, 1, 33], 1e-3, shift: true),
        ChanLayerNorm([1, 5, 1, 7, 127], 1e-5, shift: false),
        ChanLayerNorm([1, 3, 2, 2, 1365], 1e-5, shift: true),
        ChanLayerNorm([1, 2, 3, 3, 1025], 1e-3, shift: false),
        ChanLayerNorm([1, 2, 3, 5, 64], 1e-5, shift: true, deviation: 1e-4),
    ];

    private static IEnumerable<OperatorCase> TokenShiftCases =>
        from lengths in (int[][])[[2, 3, 2, 2, 5], [1, 1, 1, 1, 1], [1, 2, 3, 5, 3], [2, 4, 1, 3, 127], [1, 3, 2, 2, 64], [1, 2, 3, 3, 1025]]
        select new OperatorCase
        {
            Types = OperatorCase.AllTypes,
            Name = $"TokenShift {new Shape(lengths)}",
            Kernels = ["token_shift"],
            Inputs = [Operand.Normal(lengths)],
            Run = x => Ops.TokenShift(x[0]),
            Oracle = x => Shifted(x[0]),
            Tolerance = Tolerance.Exact("elements are moved"),
        };

    private static OperatorCase GroupNorm(Shape shape, int groups, bool modulated, bool silu, string[] kernels, double mean = 0)
    {
        var (b, c) = (shape[0], shape[-1]);
        return new OperatorCase
        {
            Types = OperatorCase.AllTypes,
            Name = $"GroupNorm {shape} in {groups}{(modulated ? " modulated" : string.Empty)}{(silu ? " SiLU" : string.Empty)}{(mean == 0 ? string.Empty : $" about {mean}")}",
            Kernels = kernels,
            Inputs =
            [
                Operand.Normal(shape, mean: mean),
                Operand.Uniform([c], 0.5, 1.5),
                Operand.Normal([c]),
                .. modulated ? (Operand[])[Operand.Uniform([b, 2 * c], -0.5, 0.5)] : [],
            ],
            Run = x => Ops.GroupNorm(x[0], groups, x[1], x[2], Eps, modulated ? x[3] : null, silu),
            Oracle = x =>
            {
                var n = (int)(shape.Count / b / c);
                var moments = Enumerable.Range(0, b * groups).Select(i => Moments(Group(x[0], groups, i / groups, i % groups))).ToArray();
                return HostTensor.Generate([b, n, c], i =>
                {
                    var (average, variance) = moments[(i[0] * groups) + (i[2] / (c / groups))];
                    var y = ((x[0].Data[(((i[0] * n) + i[1]) * c) + i[2]] - average) / Math.Sqrt(variance + Eps) * x[1][i[2]]) + x[2][i[2]];
                    y = modulated ? (y * (x[3][i[0], i[2]] + 1)) + x[3][i[0], c + i[2]] : y;
                    return silu ? y / (1 + Math.Exp(-y)) : y;
                }).Reshape(shape);
            },
            Tolerance = s_normalized,
        };
    }

    private static OperatorCase LayerNorm(Shape shape, string kernel, double mean = 0)
    {
        var c = shape[-1];
        return new OperatorCase
        {
            Types = OperatorCase.AllTypes,
            Name = $"LayerNorm {shape}{(mean == 0 ? string.Empty : $" about {mean}")}",
            Kernels = [kernel],
            Inputs = [Operand.Normal(shape, mean: mean), Operand.Uniform([c], 0.5, 1.5), Operand.Normal([c])],
            Run = x => Ops.LayerNorm(x[0], x[1], x[2], Eps),
            Oracle = x => Rows(x[0], row =>
            {
                var (average, variance) = Moments(row);
                return i => ((row[i] - average) / Math.Sqrt(variance + Eps) * x[1][i]) + x[2][i];
            }),
            Tolerance = mean == 0
                ? s_normalized
                : Tolerance.OfElement(16, "the mean is rounded at its size, 1000, like the terms of its sum; values deviate by 1", zero: 250),
        };
    }

    private static OperatorCase ChanLayerNorm(Shape shape, double eps, bool shift, double deviation = 1) => new()
    {
        Types = OperatorCase.AllTypes,
        Name = $"ChanLayerNorm {shape} eps {eps}{(shift ? " shifted" : string.Empty)}{(deviation == 1 ? string.Empty : $" of {deviation}")}",
        Kernels = ["chan_layer_norm"],
        Inputs = [Operand.Normal(shape, deviation), Operand.Uniform([shape[-1]], 0.5, 1.5)],
        Run = x => Ops.ChanLayerNorm(x[0], x[1], eps, shift),
        Oracle = x => Rows(shift ? Shifted(x[0]) : x[0], row =>
        {
            var (average, variance) = Moments(row);
            return i => (row[i] - average) / Math.Sqrt(Math.Max(variance, eps)) * x[1][i];
        }),
        Tolerance = s_normalized,
    };

    internal static HostTensor Shifted(HostTensor x)
    {
        var kept = (x.Shape[-1] + 1) / 2;
        return HostTensor.Generate(x.Shape, i => i[4] < kept ? x[i] : i[1] == 0 ? 0 : x[i[0], i[1] - 1, i[2], i[3], i[4]]);
    }

    /// <summary>Each row (the last axis) from the function of the place in it that the row's values give.</summary>
    private static HostTensor Rows(HostTensor x, Func<double[], Func<int, double>> row)
    {
        var c = x.Shape[-1];
        return new(x.Shape, [.. x.Data.Chunk(c).SelectMany(values => Enumerable.Range(0, c).Select(row(values)))]);
    }

    internal static IEnumerable<double> Group(HostTensor x, int groups, int sample, int group)
    {
        var c = x.Shape[-1];
        var perSample = x.Data.Length / x.Shape[0];
        return x.Data.Skip(sample * perSample).Take(perSample).Where((_, i) => i % c / (c / groups) == group);
    }

    internal static (double Mean, double Variance) Moments(IEnumerable<double> values)
    {
        var all = values.ToArray();
        var mean = Sum(all) / all.Length;
        return (mean, Sum(all.Select(value => (value - mean) * (value - mean))) / all.Length);
    }

    /// <summary>A compensated sum (Kahan): many equal terms, as the token shift makes, would else round one way a thousand times.</summary>
    internal static double Sum(IEnumerable<double> values)
    {
        var (sum, lost) = (0.0, 0.0);
        foreach (var value in values)
        {
            var term = value - lost;
            var next = sum + term;
            (sum, lost) = (next, next - sum - term);
        }

        return sum;
    }
}
