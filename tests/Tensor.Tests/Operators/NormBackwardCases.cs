// Cases of the operators of Ops.NormBackward.cs: a case for the gradient of each input.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Tests.Operators;

public sealed class NormBackwardCases : IOperatorCases
{
    private const double Eps = 1e-5;

    private const string GroupNormOrigin =
        "the size is what an error of one epsilon in each deviation, in rstd and in SiLU's argument makes; the forward pass leaves up to 4 there "
        + "in double, where its sums have no wider type, and each of 8 operations half a one";

    private const string RowOrigin =
        "the size is what an error of one epsilon in each deviation and in rstd makes; each of 8 operations leaves half a one, and sums are "
        + "trees over chains of some 16 terms, whose roundings mostly cancel";

    public static IEnumerable<OperatorCase> Cases =>
    [
        .. GroupNormCases.SelectMany(cases => cases),
        .. LayerNormCases.SelectMany(cases => cases),
        .. ChanLayerNormCases.SelectMany(cases => cases),
        .. TokenShiftCases,
    ];

    private static IEnumerable<IEnumerable<OperatorCase>> GroupNormCases =>
    [
        GroupNorm([2, 3, 5, 64], 8, modulated: true, silu: true, "silu_vec4"),
        GroupNorm([2, 3, 5, 64], 8, modulated: true, silu: true, "silu_vec4", alone: true),
        GroupNorm([1, 1025, 64], 8, modulated: false, silu: true, "silu_vec4"),
        GroupNorm([3, 7, 128], 32, modulated: false, silu: false, "vec4"),
        GroupNorm([2, 33, 512], 4, modulated: true, silu: false, "vec4"),
        GroupNorm([2, 3, 8192], 8, modulated: true, silu: true, "silu_vec4"),
        GroupNorm([2, 127, 8], 8, modulated: true, silu: true, "silu"),
        GroupNorm([3, 31, 10], 5, modulated: true, silu: false, string.Empty),
        GroupNorm([1, 1025, 33], 3, modulated: false, silu: true, "silu"),
        GroupNorm([2, 3, 1025], 5, modulated: true, silu: true, "silu"),
        GroupNorm([1, 31, 2046], 1023, modulated: false, silu: false, string.Empty),
        GroupNorm([2, 5], 5, modulated: false, silu: false, string.Empty),
        GroupNorm([2, 127, 64], 8, modulated: true, silu: true, "silu_vec4", mean: 1000),
        GroupNorm([2, 127, 10], 5, modulated: false, silu: false, string.Empty, mean: -1000),
        GroupNorm([2, 7, 16], 4, modulated: false, silu: true, "silu_vec4", mean: double.NaN),
    ];

    private static IEnumerable<IEnumerable<OperatorCase>> LayerNormCases =>
    [
        .. from sizes in (int[][])[[1, 1], [3, 3], [17, 31], [3, 33], [2, 1025]] select LayerNorm([2, .. sizes], "any"),
        LayerNorm([3, 17, 33], "any", alone: true),
        LayerNorm([3, 2048], "any"),
        LayerNorm([5, 7, 64], "64"),
        LayerNorm([5, 7, 64], "64", alone: true),
        LayerNorm([2, 64], "64"),
        LayerNorm([1, 64], "128"),
        LayerNorm([3, 4], "128"),
        LayerNorm([33, 100], "128"),
        LayerNorm([65, 128], "128"),
        LayerNorm([3, 3, 192], "256"),
        LayerNorm([33, 320], "512"),
        LayerNorm([10, 516], "1024"),
        LayerNorm([3, 1024], "1024"),
        LayerNorm([8195, 8], "8"),
        LayerNorm([8195, 12], "128"),
        LayerNorm([33, 8], "8"),
        LayerNorm([3, 7, 16], "16"),
        LayerNorm([5, 32], "32"),
        LayerNorm([3, 32], "128"),
        LayerNorm([31, 64], "64", mean: 1000),
        LayerNorm([31, 33], "any", mean: 1000),
        LayerNorm([11, 32], "32", mean: double.NaN),
        LayerNorm([5, 33], "any", mean: double.NaN),
    ];

    private static IEnumerable<IEnumerable<OperatorCase>> ChanLayerNormCases =>
    [
        ChanLayerNorm([2, 3, 2, 2, 5], Eps, shift: true),
        ChanLayerNorm([2, 3, 2, 2, 5], Eps, shift: true, alone: true),
        ChanLayerNorm([1, 1, 1, 3, 1], Eps, shift: true),
        ChanLayerNorm([2, 4, 3, 1, 33], 1e-3, shift: true),
        ChanLayerNorm([1, 5, 1, 7, 127], Eps, shift: false),
        ChanLayerNorm([1, 3, 2, 2, 1365], Eps, shift: true),
        ChanLayerNorm([1, 2, 3, 5, 64], Eps, shift: true, deviation: 1e-4),
        ChanLayerNorm([1, 3, 1, 2, 34], Eps, shift: true, mean: 1000),
        ChanLayerNorm([1, 3, 1, 2, 7], Eps, shift: true, mean: double.NaN),
    ];

    private static IEnumerable<OperatorCase> TokenShiftCases =>
        from lengths in (int[][])[[2, 3, 2, 2, 5], [1, 1, 1, 1, 1], [1, 2, 3, 5, 3], [2, 4, 1, 3, 127], [1, 3, 2, 2, 64], [1, 2, 3, 3, 1025]]
        select new OperatorCase
        {
            Name = $"TokenShiftBackward {new Shape(lengths)}",
            Kernels = ["token_shift_backward"],
            Inputs = [Operand.Normal(lengths)],
            Run = x => Ops.TokenShiftBackward(x[0]),
            Oracle = x => ShiftedBack(x[0]),
            Tolerance = Tolerance.Exact("elements are moved"),
        };

    private static IEnumerable<OperatorCase> GroupNorm(
        Shape shape, int groups, bool modulated, bool silu, string kernel, double mean = 0, bool alone = false)
    {
        var (b, c) = (shape[0], shape[-1]);
        var suffix = kernel.Length == 0 ? string.Empty : $"_{kernel}";
        foreach (var input in (NormInputs[])[NormInputs.X, NormInputs.Weight, NormInputs.Bias, .. modulated ? [NormInputs.ScaleShift] : (NormInputs[])[]])
        {
            yield return new OperatorCase
            {
                Name = $"GroupNormBackward {shape} in {groups}{(modulated ? " modulated" : string.Empty)}{(silu ? " SiLU" : string.Empty)}{About(mean)}: {input}{(alone ? " alone" : string.Empty)}",
                Kernels =
                [
                    $"group_norm_backward_sums{suffix}",
                    "group_norm_backward_coefficients",
                    .. !alone || input is NormInputs.Weight or NormInputs.Bias ? (string[])["group_norm_backward_parameters"] : [],
                    .. !alone || input == NormInputs.X ? (string[])[$"group_norm_backward_apply{suffix}"] : [],
                ],
                Inputs =
                [
                    Values(shape, mean),
                    Operand.Normal(shape),
                    Operand.Uniform([c], 0.5, 1.5),
                    Operand.Normal([c]),
                    .. modulated ? (Operand[])[Operand.Uniform([b, 2 * c], -0.5, 0.5)] : [],
                ],
                Run = x =>
                {
                    var scaleShift = modulated ? x[4] : null;
                    var statistics = Tensor.Empty(x.Context, [b, groups, 2], DType.Float64);
                    Ops.GroupNorm(x[0], groups, x[2], x[3], Eps, scaleShift, silu, statistics);
                    var (dx, weight, bias, modulation) = Ops.GroupNormBackward(
                        x[0], groups, x[2], x[3], scaleShift, silu, statistics, x[1], alone ? input : NormInputs.All);
                    return Only(input, alone, dx, weight, bias, modulation);
                },
                Oracle = x => GroupNormGradient(x, groups, silu, input, sizes: false),
                Tolerance = Tolerance.OfSize(8, x => GroupNormGradient(x, groups, silu, input, sizes: true), GroupNormOrigin),
            };
        }
    }

    private static IEnumerable<OperatorCase> LayerNorm(Shape shape, string kernel, double mean = 0, bool alone = false)
    {
        var c = shape[-1];
        foreach (var input in (NormInputs[])[NormInputs.X, NormInputs.Weight, NormInputs.Bias])
        {
            yield return new OperatorCase
            {
                Name = $"LayerNormBackward {shape}{About(mean)}: {input}{(alone ? " alone" : string.Empty)}",
                Kernels = [$"layer_norm_backward_{kernel}"],
                Inputs = [Values(shape, mean), Operand.Normal(shape), Operand.Uniform([c], 0.5, 1.5)],
                Run = x =>
                {
                    var (dx, weight, bias) = Ops.LayerNormBackward(x[0], x[2], Eps, x[1], alone ? input : NormInputs.All);
                    return Only(input, alone, dx, weight, bias);
                },
                Oracle = x => RowGradient(x[0], x[1], x[2], variance => variance + Eps, _ => true, input, sizes: false),
                Tolerance = Tolerance.OfSize(4, x => RowGradient(x[0], x[1], x[2], variance => variance + Eps, _ => true, input, sizes: true), RowOrigin),
            };
        }
    }

    private static IEnumerable<OperatorCase> ChanLayerNorm(
        Shape shape, double eps, bool shift, double deviation = 1, double mean = 0, bool alone = false)
    {
        foreach (var input in (NormInputs[])[NormInputs.X, NormInputs.Weight])
        {
            HostTensor Gradient(HostTensor[] x, bool sizes)
            {
                var gradient = RowGradient(
                    shift ? NormCases.Shifted(x[0]) : x[0], x[1], x[2], variance => Math.Max(variance, eps), variance => !(variance < eps), input, sizes);
                return shift && input == NormInputs.X ? ShiftedBack(gradient) : gradient;
            }

            yield return new OperatorCase
            {
                Name = $"ChanLayerNormBackward {shape} eps {eps}{(shift ? " shifted" : string.Empty)}{(deviation == 1 ? string.Empty : $" of {deviation}")}{About(mean)}: {input}{(alone ? " alone" : string.Empty)}",
                Kernels = ["chan_layer_norm_backward"],
                Inputs = [Values(shape, mean, deviation), Operand.Normal(shape), Operand.Uniform([shape[-1]], 0.5, 1.5)],
                Run = x =>
                {
                    var (dx, g) = Ops.ChanLayerNormBackward(x[0], x[2], eps, shift, x[1], alone ? input : NormInputs.All);
                    return Only(input, alone, dx, g);
                },
                Oracle = x => Gradient(x, sizes: false),
                Tolerance = Tolerance.OfSize(4, x => Gradient(x, sizes: true), RowOrigin),
            };
        }
    }

    /// <summary>The gradient asked for, from those of all inputs in the order of <see cref="NormInputs"/>; alone, the others must not be there.</summary>
    private static Tensor Only(NormInputs input, bool alone, params Tensor?[] gradients)
    {
        var wanted = gradients[(int)Math.Log2((int)input)]!;
        Assert.That(!alone || gradients.All(gradient => gradient is null || ReferenceEquals(gradient, wanted)), "a gradient that nobody wants was computed");
        return wanted;
    }

    /// <summary>
    /// A gradient of group normalisation, from the chain rule element by element. With <paramref name="sizes"/> each term counts by its
    /// size, and a normalised value for 1 more than its own, which is how errors in mean and rstd enter.
    /// </summary>
    private static HostTensor GroupNormGradient(HostTensor[] x, int groups, bool silu, NormInputs input, bool sizes)
    {
        var (values, gradient, weight, bias) = (x[0], x[1], x[2], x[3]);
        var (b, c) = (values.Shape[0], values.Shape[-1]);
        var n = values.Data.Length / b / c;
        var (dx, dWeight, dBias, dScaleShift) = (new HostTensor(values.Shape), new HostTensor([c]), new HostTensor([c]), new HostTensor([b, 2 * c]));
        for (var sample = 0; sample < b; sample++)
        {
            for (var number = 0; number < groups; number++)
            {
                var (mean, variance) = NormCases.Moments(NormCases.Group(values, groups, sample, number));
                var rstd = 1 / Math.Sqrt(variance + Eps);
                var elements =
                    (from position in Enumerable.Range(0, n)
                     from channel in Enumerable.Range(number * (c / groups), c / groups)
                     select (At: (((sample * n) + position) * c) + channel, Channel: channel)).ToArray();
                var terms = elements.Select(element =>
                {
                    var channel = element.Channel;
                    var scale = 1 + (x.Length > 4 ? x[4][sample, channel] : 0);
                    var normalized = (values.Data[element.At] - mean) * rstd;
                    var affine = (normalized * weight[channel]) + bias[channel];
                    var y = (affine * scale) + (x.Length > 4 ? x[4][sample, c + channel] : 0);
                    var s = 1 / (1 + Math.Exp(-y));
                    var g = gradient.Data[element.At] * (silu ? s * (1 + (y * (1 - s))) : 1);
                    if (sizes)
                    {
                        // SiLU's derivative is below 1.1 and itself has one below 1/2.
                        g = Math.Abs(gradient.Data[element.At]) * (silu ? 1 + Math.Abs(y) : 1);
                        (normalized, affine) = (1 + Math.Abs(normalized), 1 + Math.Abs(affine));
                    }

                    return (element.At, element.Channel, Scale: scale, Normalized: normalized, Affine: affine, G: g, H: g * weight[channel] * scale);
                }).ToArray();
                var meanH = NormCases.Sum(terms.Select(term => term.H)) / terms.Length;
                var meanProduct = NormCases.Sum(terms.Select(term => term.H * term.Normalized)) / terms.Length;
                foreach (var term in terms)
                {
                    dx.Data[term.At] = rstd * (sizes
                        ? term.H + meanH + (term.Normalized * meanProduct)
                        : term.H - meanH - (term.Normalized * meanProduct));
                    dWeight.Data[term.Channel] += term.G * term.Scale * term.Normalized;
                    dBias.Data[term.Channel] += term.G * term.Scale;
                    dScaleShift[sample, term.Channel] += term.G * term.Affine;
                    dScaleShift[sample, c + term.Channel] += term.G;
                }
            }
        }

        return input switch
        {
            NormInputs.X => dx,
            NormInputs.Weight => dWeight,
            NormInputs.Bias => dBias,
            _ => dScaleShift,
        };
    }

    /// <summary>A gradient of a normalisation of rows, likewise. The mean is rounded at its size, so a normalised value counts for that too.</summary>
    private static HostTensor RowGradient(
        HostTensor values, HostTensor gradient, HostTensor weight, Func<double, double> denominator, Func<double, bool> passes, NormInputs input, bool sizes)
    {
        var c = values.Shape[-1];
        var (dx, dWeight, dBias) = (new HostTensor(values.Shape), new HostTensor([c]), new HostTensor([c]));
        for (var start = 0; start < values.Data.Length; start += c)
        {
            var row = values.Data.AsSpan(start, c).ToArray();
            var (mean, variance) = NormCases.Moments(row);
            var rstd = 1 / Math.Sqrt(denominator(variance));
            var normalized = row.Select(value => (value - mean) * rstd).Select(value => sizes ? 1 + Math.Abs(value) + (Math.Abs(mean) * rstd) : value).ToArray();
            var g = gradient.Data.AsSpan(start, c).ToArray().Select(value => sizes ? Math.Abs(value) : value).ToArray();
            var meanH = NormCases.Sum(g.Select((value, i) => value * weight[i])) / c;
            var meanProduct = passes(variance) ? NormCases.Sum(g.Select((value, i) => value * weight[i] * normalized[i])) / c : 0;
            for (var i = 0; i < c; i++)
            {
                var h = g[i] * weight[i];
                dx.Data[start + i] = rstd * (sizes ? h + meanH + (normalized[i] * meanProduct) : h - meanH - (normalized[i] * meanProduct));
                dWeight.Data[i] += g[i] * normalized[i];
                dBias.Data[i] += g[i];
            }
        }

        return input switch
        {
            NormInputs.X => dx,
            NormInputs.Weight => dWeight,
            _ => dBias,
        };
    }

    private static HostTensor ShiftedBack(HostTensor gradient)
    {
        var kept = (gradient.Shape[-1] + 1) / 2;
        return HostTensor.Generate(
            gradient.Shape,
            i => i[4] < kept ? gradient[i] : i[1] == gradient.Shape[1] - 1 ? 0 : gradient[i[0], i[1] + 1, i[2], i[3], i[4]]);
    }

    /// <summary>Normal numbers about a mean; about NaN are numbers of which one, in the middle, is NaN.</summary>
    private static Operand Values(Shape shape, double mean, double deviation = 1)
        => double.IsNaN(mean)
            ? new(shape, (random, i) => i == shape.Count / 2 ? double.NaN : random.Normal(i))
            : Operand.Normal(shape, deviation, mean);

    private static string About(double mean) => mean == 0 ? string.Empty : double.IsNaN(mean) ? " with a NaN" : $" about {mean}";
}
