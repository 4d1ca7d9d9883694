// Cases of the operator of Ops.Training.cs.
using FashionFlow.Gpu;
using FashionFlow.Tensors.Tests.Operators;

namespace FashionFlow.Tensors.Tests.Sampling;

public sealed class TrainingCases : IOperatorCases
{
    private const int Steps = 1000;

    public static IEnumerable<OperatorCase> Cases =>
        from run in ((Shape X, int[] T)[])
        [
            ([1, 1, 1, 1, 1], [999]),
            ([1, 3, 3, 5, 4], [0]),
            ([2, 3, 3, 5, 4], [500]),
            ([2, 6, 8, 9, 4], [999, 1]),
            ([3, 2, 31, 33, 1], [-3, 37, 1200]),
        ]
        from result in (string[])["noisy", "noise", "velocity"]
        let levels = Enumerable.Range(0, Steps).Select(t => Math.Cos(0.5 * Math.PI * t / Steps)).ToArray()
        select new OperatorCase
        {
            Name = $"AddNoise {run.X} at {string.Join(", ", run.T)}, {result}",
            Kernels = ["add_noise"],
            Inputs =
            [
                Operand.Normal(run.X), Operand.Normal(run.X), Operand.Of(DType.Int32, [run.T.Length], [.. run.T.Select(t => (double)t)]),
                Operand.Of([Steps], levels), Operand.Of([Steps], [.. levels.Select(level => Math.Sqrt(1 - (level * level)))]),
            ],
            Run = i =>
            {
                var (noisy, target) = Ops.AddNoise(i[0], i[1], i[2], new NoisingTables(i[3], i[4]), velocity: result == "velocity");
                return result == "noisy" ? noisy : target;
            },
            Oracle = i => result switch
            {
                "noisy" => Each(i, clean => clean, (level, clean, rest, noise) => (level * clean) + (rest * noise)),
                "noise" => Each(i, _ => 0, (_, _, _, noise) => noise),
                _ => Each(i, _ => 0, (level, clean, rest, noise) => (level * noise) - (rest * clean)),
            },
            Tolerance = result switch
            {
                "noise" => Tolerance.Exact("elements are copied"),
                "noisy" => Tolerance.OfSize(1, i => Each(i, Math.Abs, (level, clean, rest, noise) => Math.Abs(level * clean) + Math.Abs(rest * noise)), "two products and a sum"),
                _ => Tolerance.OfSize(1, i => Each(i, Math.Abs, (level, clean, rest, noise) => Math.Abs(level * noise) + Math.Abs(rest * clean)), "two products and a difference"),
            },
        };

    private static HostTensor Each(HostTensor[] inputs, Func<double, double> frame0, Func<double, double, double, double, double> element)
        => HostTensor.Generate(inputs[0].Shape, at =>
        {
            var t = Math.Clamp((int)inputs[2].Data[at[0] % inputs[2].Data.Length], 0, Steps - 1);
            return at[1] == 0 ? frame0(inputs[0][at]) : element(inputs[3].Data[t], inputs[0][at], inputs[4].Data[t], inputs[1][at]);
        });
}
