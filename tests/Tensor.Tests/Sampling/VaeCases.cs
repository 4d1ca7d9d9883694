// Cases of the operators of Ops.Vae.cs.
using FashionFlow.Gpu;
using FashionFlow.Tensors.Tests.Operators;

namespace FashionFlow.Tensors.Tests.Sampling;

public sealed class VaeCases : IOperatorCases
{
    private const double Scale = 0.18215;

    private static readonly Shape[] s_shapes = [[1, 1, 1, 1], [1, 3, 5, 4], [2, 31, 33, 3], [1, 127, 5, 4], [1, 1, 1025, 1]];

    public static IEnumerable<OperatorCase> Cases => s_shapes.SelectMany(OfShape).Append(Rounding);

    private static OperatorCase Rounding => new()
    {
        Name = "ToRgb8 of ties, limits and what is no number",
        Kernels = ["to_rgb8"],
        Types = OperatorCase.AllTypes,
        ResultType = DType.UInt8,
        Inputs = [Operand.Of([11], 0, 1, 0.5, 0.25, 0.75, -0.0, -3, 1.0001, double.NaN, double.PositiveInfinity, double.NegativeInfinity)],
        Run = x => Ops.ToRgb8(x[0]),
        Oracle = _ => new HostTensor([11], [0, 255, 128, 64, 191, 0, 0, 255, 0, 255, 0]),
        Tolerance = Tolerance.Exact("whole numbers"),
    };

    private static IEnumerable<OperatorCase> OfShape(Shape shape)
    {
        var moments = shape.With(-1, 2 * shape[-1]);
        var channels = shape[-1];

        // Means from a normal distribution, log-variances from beyond one clamp to beyond the other.
        var operand = new Operand(moments, (random, i) => i / channels % 2 == 0 ? random.Normal(i) : -40 + (65 * random.Uniform(i)));
        double Mean(HostTensor[] x, int i) => x[0].Data[(i / channels * 2 * channels) + (i % channels)];
        double Deviation(HostTensor[] x, int i) => Math.Exp(0.5 * Math.Clamp(x[0].Data[(i / channels * 2 * channels) + channels + (i % channels)], -30, 20));
        HostTensor Latent(Func<int, double> element) => new(shape, [.. Enumerable.Range(0, (int)shape.Count).Select(element)]);

        yield return new()
        {
            Name = $"PosteriorSample {shape}",
            Kernels = ["posterior_sample"],
            Types = OperatorCase.AllTypes,
            Inputs = [operand, Operand.Normal(shape)],
            Run = x => Ops.PosteriorSample(x[0], x[1], (float)Scale),
            Oracle = x => Latent(i => (Mean(x, i) + (Deviation(x, i) * x[1].Data[i])) * (float)Scale),
            Tolerance = Tolerance.OfSize(
                4, x => Latent(i => (Math.Abs(Mean(x, i)) + Math.Abs(Deviation(x, i) * x[1].Data[i])) * Scale), "exp 2 ulp and three roundings"),
        };
        yield return new()
        {
            Name = $"PosteriorSampleBackward {shape}",
            Kernels = ["posterior_sample_backward"],
            Inputs = [operand, Operand.Normal(shape), Operand.Normal(shape)],
            Run = x => Ops.PosteriorSampleBackward(x[0], x[1], x[2], (float)Scale),
            Oracle = x =>
            {
                var result = new HostTensor(moments);
                for (var i = 0; i < x[2].Data.Length; i++)
                {
                    var mean = (i / channels * 2 * channels) + (i % channels);
                    var passed = x[2].Data[i] * (float)Scale;
                    result.Data[mean] = passed;
                    result.Data[mean + channels] = x[0].Data[mean + channels] is >= -30 and <= 20 ? passed * x[1].Data[i] * 0.5 * Deviation(x, i) : 0;
                }

                return result;
            },
            Tolerance = Tolerance.OfElement(4, "exp 2 ulp and four roundings"),
        };
        yield return new()
        {
            Name = $"PosteriorMean {shape}",
            Kernels = ["posterior_mean"],
            Types = OperatorCase.AllTypes,
            Inputs = [operand],
            Run = x => Ops.PosteriorMean(x[0], (float)Scale),
            Oracle = x => Latent(i => Mean(x, i) * (float)Scale),
            Tolerance = Tolerance.Exact("one rounding"),
        };
        yield return new()
        {
            Name = $"ToRgb8 {shape}",
            Kernels = ["to_rgb8"],
            Types = OperatorCase.AllTypes,
            ResultType = DType.UInt8,

            // A tenth of the values lies outside [0, 1]. Values keep 12 bits, so that 255 times one is exact in float too.
            Inputs = [new Operand(shape, (random, i) => Math.Floor(4096 * (-0.05 + (1.1 * random.Uniform(i)))) / 4096)],
            Run = x => Ops.ToRgb8(x[0]),
            Oracle = x => x[0].Map(v => Math.Round(Math.Clamp(v, 0, 1) * 255, MidpointRounding.ToEven)),
            Tolerance = Tolerance.Exact("whole numbers"),
        };
    }
}
