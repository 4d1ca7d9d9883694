// Cases of the operator of Ops.Finite.cs.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Tests.Operators;

public sealed class FiniteCases : IOperatorCases
{
    public static IEnumerable<OperatorCase> Cases =>
        from size in (int[])[1, 33, 1025, 70_001]
        from bad in (double?[])[null, double.NaN, double.PositiveInfinity, double.NegativeInfinity]
        from place in bad is null || size == 1 ? (int[])[0] : [0, size - 1]
        select new OperatorCase
        {
            Name = $"FindNonFinite [{size}] {(bad is { } b ? $"with {b} at {place}" : "without any")}",
            Kernels = ["find_non_finite"],
            Types = OperatorCase.AllTypes,

            // Numbers that every type holds.
            Inputs = [new Operand([size], (random, i) => bad is { } value && i == place ? value : random.Normal(i) * 1e4)],
            Run = x =>
            {
                var found = Tensor.Zeros(x.Context, [1], DType.Int32);
                Ops.FindNonFinite(x[0], found);
                return found;
            },
            Oracle = x => HostTensor.Generate([1], _ => x[0].Data.Any(v => !double.IsFinite(v)) ? 1 : 0),
            Tolerance = Tolerance.Exact("a flag"),
            ResultType = DType.Int32,
        };
}
