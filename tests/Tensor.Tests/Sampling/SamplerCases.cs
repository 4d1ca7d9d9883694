// Cases of the operators of Ops.Sampler.cs.
using FashionFlow.Gpu;
using FashionFlow.Tensors.Tests.Operators;

namespace FashionFlow.Tensors.Tests.Sampling;

public sealed class SamplerCases : IOperatorCases
{
    private const int Steps = 1000;

    private static readonly double[] s_betas =
        [.. Enumerable.Range(0, Steps).Select(i => (double)(float)(1e-4 + (0.5 * (0.02 - 1e-4) * (1 + Math.Cos(Math.PI * (Steps - 1 - i) / (Steps - 1))))))];

    private static readonly double[] s_alphasCumprod =
        [.. s_betas.Select((_, i) => (double)(float)s_betas.Take(i + 1).Aggregate(1.0, (product, beta) => product * (1 - beta)))];

    public static IEnumerable<OperatorCase> Cases => Embeddings.Concat(Ddpm).Concat(Ddim).Concat(Reparametrizations).Concat(Multisteps).Concat(FirstFrames);

    private static IEnumerable<OperatorCase> Embeddings =>
        from sizes in ((int Batch, int Dim)[])[(1, 4), (3, 8), (1, 64), (31, 66), (5, 254), (127, 32)]
        let half = sizes.Dim / 2
        select new OperatorCase
        {
            Name = $"TimestepEmbedding {sizes.Batch} x {sizes.Dim}",
            Kernels = ["timestep_embedding"],
            Inputs = [new Operand([sizes.Batch], (random, i) => i == 0 ? 999 : Math.Floor(1000 * random.Uniform(i)))],
            Run = x => Ops.TimestepEmbedding(x[0], sizes.Dim),
            Oracle = x => HostTensor.Generate(
                [sizes.Batch, sizes.Dim],
                i => i[1] < half ? Math.Sin(Angle(x[0][i[0]], i[1], half)) : Math.Cos(Angle(x[0][i[0]], i[1] - half, half))),

            // The exponent, up to 9.3, is rounded three times (step, product, reduction): 28 u of the frequency; exp, the product
            // with t and its rounding 4 u more: 16 epsilons of the angle. Sine and cosine: 2 ulp of at most 1.
            Tolerance = Tolerance.OfSize(
                16, x => HostTensor.Generate([sizes.Batch, sizes.Dim], i => 1 + Angle(x[0][i[0]], i[1] % half, half)), "roundings of the angle's factors"),
        };

    private static IEnumerable<OperatorCase> Ddpm =>
        from run in ((Shape X, int[] T, bool Float, bool Picture)[])
        [
            ([1, 1, 1, 1, 1], [999], false, false),
            ([1, 1, 3, 5, 4], [500], false, true),
            ([2, 3, 3, 5, 4], [1], false, true),
            ([1, 6, 8, 9, 4], [0], true, true),
            ([3, 2, 31, 33, 1], [0, 37, 1200], false, true),
            ([2, 5, 5, 7, 3], [-3, 999], true, false),
        ]
        let x = run.X
        select new OperatorCase
        {
            Name = $"DdpmStep {x} at {string.Join(", ", run.T)}{(run.Float ? " as floats" : "")}{(run.Picture ? ", first frame" : "")}",
            Kernels = ["ddpm_step"],
            Inputs =
            [
                Operand.Normal(x), Operand.Normal(x), Operand.Normal(x), Timestep(run.T, run.Float), Operand.Of([Steps], s_betas),
                Operand.Of([Steps], [.. s_betas.Select(beta => Math.Sqrt(1 / (1 - beta)))]),
                Operand.Of([Steps], [.. s_alphasCumprod.Select(product => Math.Sqrt(1 - product))]),
                Operand.Of([Steps], [.. s_betas.Select((beta, i) => beta * (1 - (i == 0 ? 1 : s_alphasCumprod[i - 1])) / (1 - s_alphasCumprod[i]))]),
                .. run.Picture ? (Operand[])[Operand.Normal(FirstFrame(x))] : [],
            ],
            Run = i => Ops.DdpmStep(i[0], i[1], i[2], i[3], new DdpmTables(i[4], i[5], i[6], i[7]), run.Picture ? i[8] : null),
            Oracle = i => Step(i, run.Picture, (at, video) =>
            {
                var t = Math.Clamp((int)i[3].Data[video % run.T.Length], 0, Steps - 1);
                var mean = i[5].Data[t] * (i[0].Data[at] - (i[4].Data[t] * i[1].Data[at] / i[6].Data[t]));
                return t == 0 ? mean : mean + (Math.Sqrt(i[7].Data[t]) * i[2].Data[at]);
            }),
            Tolerance = Tolerance.OfSize(
                4,
                i => Step(i, picture: false, (at, video) =>
                {
                    var t = Math.Clamp((int)i[3].Data[video % run.T.Length], 0, Steps - 1);
                    return (i[5].Data[t] * (Math.Abs(i[0].Data[at]) + Math.Abs(i[4].Data[t] * i[1].Data[at] / i[6].Data[t])))
                        + Math.Abs(Math.Sqrt(i[7].Data[t]) * i[2].Data[at]);
                }),
                "seven roundings"),
        };

    private static IEnumerable<OperatorCase> Ddim =>
        from run in ((Shape X, int[] T, int[] Previous, double Eta, bool Noise, bool Float, bool Picture)[])
        [
            ([1, 1, 1, 1, 1], [999], [979], 0, false, false, false),
            ([2, 3, 3, 5, 4], [500], [250], 0.5, true, false, true),
            ([1, 4, 8, 9, 4], [1], [0], 1, true, true, true),
            ([1, 3, 5, 7, 3], [19], [-1], 1, true, false, true),
            ([3, 2, 31, 33, 1], [999, 40, 0], [0, 39, -1], 0, true, false, false),
            ([2, 5, 5, 7, 3], [1, 999], [-1, 998], 1, true, true, false),
        ]
        let x = run.X
        select new OperatorCase
        {
            Name = $"DdimStep {x} from {string.Join(", ", run.T)} to {string.Join(", ", run.Previous)}, eta {run.Eta}"
                + $"{(run.Noise ? "" : " without noise")}{(run.Float ? " as floats" : "")}{(run.Picture ? ", first frame" : "")}",
            Kernels = ["ddim_step"],
            Inputs =
            [
                Operand.Normal(x), Operand.Normal(x), Timestep(run.T, run.Float), Timestep(run.Previous, run.Float), Operand.Of([Steps], s_alphasCumprod),
                .. run.Noise ? (Operand[])[Operand.Normal(x)] : [],
                .. run.Picture ? (Operand[])[Operand.Normal(FirstFrame(x))] : [],
            ],
            Run = i => Ops.DdimStep(i[0], i[1], run.Noise ? i[5] : null, i[2], i[3], i[4], run.Eta, run.Picture ? i.Inputs[^1] : null),
            Oracle = i => Step(i, run.Picture, (at, video) =>
            {
                var (current, next, sigma) = Levels(i, video, run.T.Length, run.Eta);
                var clean = (i[0].Data[at] - (Math.Sqrt(1 - current) * i[1].Data[at])) / Math.Sqrt(current);
                return (Math.Sqrt(next) * clean) + (Math.Sqrt(Math.Max(0, 1 - next - (sigma * sigma))) * i[1].Data[at])
                    + (sigma * (run.Noise ? i[5].Data[at] : 0));
            }),
            Tolerance = Tolerance.OfSize(
                12,
                i => Step(i, picture: false, (at, video) =>
                {
                    var (current, next, sigma) = Levels(i, video, run.T.Length, run.Eta);
                    var clean = (Math.Abs(i[0].Data[at]) + Math.Abs(Math.Sqrt(1 - current) * i[1].Data[at])) / Math.Sqrt(current);
                    return (Math.Sqrt(next) * clean) + Math.Abs(i[1].Data[at]) + (sigma * (run.Noise ? Math.Abs(i[5].Data[at]) : 0));
                }),
                "about twenty roundings, none of a difference that cancels"),
        };

    private static IEnumerable<OperatorCase> Reparametrizations =>
        from run in ((Shape X, int[] Step, int Columns)[])[([1, 1, 1, 1, 1], [0], 5), ([2, 3, 3, 5, 4], [6], 2), ([3, 2, 31, 33, 1], [2, -1, 9], 5)]
        let x = run.X
        select new OperatorCase
        {
            Name = $"Reparametrize {x} at {string.Join(", ", run.Step)}",
            Kernels = ["reparametrize"],
            Inputs = [Operand.Normal(x), Operand.Normal(x), Timestep(run.Step, asFloats: false), Operand.Normal([7, run.Columns])],
            Run = i => Ops.Reparametrize(i[0], i[1], i[2], i[3]),
            Oracle = i => Step(i, picture: false, (at, video) => (Coefficient(i, run.Step, video, 0) * i[0].Data[at]) + (Coefficient(i, run.Step, video, 1) * i[1].Data[at])),
            Tolerance = Tolerance.OfSize(
                2,
                i => Step(i, picture: false, (at, video) => Math.Abs(Coefficient(i, run.Step, video, 0) * i[0].Data[at]) + Math.Abs(Coefficient(i, run.Step, video, 1) * i[1].Data[at])),
                "three roundings"),
        };

    private static IEnumerable<OperatorCase> Multisteps =>
        from run in ((Shape X, int[] Step, bool Before, bool Picture)[])
        [
            ([1, 1, 1, 1, 1], [0], false, false), ([2, 3, 3, 5, 4], [6], true, true), ([1, 4, 8, 9, 4], [3], true, false), ([3, 2, 31, 33, 1], [2, -1, 9], false, true),
        ]
        let x = run.X
        select new OperatorCase
        {
            Name = $"MultistepStep {x} at {string.Join(", ", run.Step)}{(run.Before ? "" : " as the first")}{(run.Picture ? ", first frame" : "")}",
            Kernels = ["multistep"],
            Inputs =
            [
                Operand.Normal(x), Operand.Normal(x), Timestep(run.Step, asFloats: false), Operand.Normal([7, 5]),
                .. run.Before ? (Operand[])[Operand.Normal(x)] : [],
                .. run.Picture ? (Operand[])[Operand.Normal(FirstFrame(x))] : [],
            ],
            Run = i => Ops.MultistepStep(i[0], i[1], run.Before ? i[4] : null, i[2], i[3], run.Picture ? i.Inputs[^1] : null),
            Oracle = i => Step(i, run.Picture, (at, video) => Sum(i, run.Step, run.Before, at, video, v => v)),
            Tolerance = Tolerance.OfSize(3, i => Step(i, picture: false, (at, video) => Sum(i, run.Step, run.Before, at, video, Math.Abs)), "five roundings"),
        };

    private static IEnumerable<OperatorCase> FirstFrames =>
        from x in (Shape[])[[1, 1, 1, 1, 1], [2, 3, 3, 5, 4], [3, 2, 31, 33, 1], [1, 5, 5, 127, 3]]
        select new OperatorCase
        {
            Name = $"PutFirstFrame {x}",
            Kernels = ["first_frame"],
            WritesInputs = true,
            Inputs = [Operand.Normal(x), Operand.Normal(FirstFrame(x))],
            Run = i =>
            {
                Ops.PutFirstFrame(i[0], i[1]);
                return i[0].AddReference();
            },
            Oracle = i => Step(i, picture: true, (at, _) => i[0].Data[at]),
            Tolerance = Tolerance.Exact("nothing is computed"),
        };

    private static double Sum(HostTensor[] inputs, int[] steps, bool before, int at, int video, Func<double, double> of)
        => of(Coefficient(inputs, steps, video, 2) * inputs[0].Data[at]) + of(Coefficient(inputs, steps, video, 3) * inputs[1].Data[at])
            + (before ? of(Coefficient(inputs, steps, video, 4) * inputs[4].Data[at]) : 0);

    private static double Coefficient(HostTensor[] inputs, int[] steps, int video, int which)
        => inputs[3].Data[(Math.Clamp(steps[video % steps.Length], 0, 6) * inputs[3].Shape[1]) + which];

    private static Shape FirstFrame(Shape x) => [x[0], x[2], x[3], x[4]];

    private static Operand Timestep(int[] steps, bool asFloats)
    {
        double[] values = [.. steps.Select(step => (double)step)];
        return asFloats ? Operand.Of([values.Length], values) : Operand.Of(DType.Int32, [values.Length], values);
    }

    private static double Angle(double t, int k, int half) => t * Math.Exp(-Math.Log(10000) * k / (half - 1));

    /// <summary>abar at the step and at the one before, and sigma of Song et al. 2021, its 1 - abar_t / abar_p written so that it does not cancel.</summary>
    private static (double Current, double Next, double Sigma) Levels(HostTensor[] inputs, int video, int timesteps, double eta)
    {
        var previous = (int)inputs[3].Data[video % timesteps];
        var current = inputs[4].Data[(int)inputs[2].Data[video % timesteps]];
        var next = previous < 0 ? 1 : inputs[4].Data[previous];
        return (current, next, eta * Math.Sqrt((1 - next) / (1 - current)) * Math.Sqrt((next - current) / next));
    }

    /// <summary>A video from its elements' numbers; frame 0 from the last input where a picture is given.</summary>
    private static HostTensor Step(HostTensor[] inputs, bool picture, Func<int, int, double> element)
    {
        var shape = inputs[0].Shape;
        var frame = shape[2] * shape[3] * shape[4];
        var result = new HostTensor(shape);
        for (var at = 0; at < result.Data.Length; at++)
        {
            var video = at / frame / shape[1];
            result.Data[at] = picture && at / frame % shape[1] == 0 ? inputs[^1].Data[(video * frame) + (at % frame)] : element(at, video);
        }

        return result;
    }
}
