// Cases of the operators of Ops.Geglu.cs.
namespace FashionFlow.Tensors.Tests.Operators;

public sealed class GegluCases : IOperatorCases
{
    public static IEnumerable<OperatorCase> Cases =>
    [
        .. from lengths in (int[][])[[1, 2], [3, 6], [5, 8], [2, 3, 62], [33, 64], [3, 254], [7, 256], [17, 1024], [2, 2050], [1, 2730]]
           from @case in OfInput(new Shape(lengths), Operand.Normal(lengths, deviation: 2))
           select @case,

        // Through the ends of both fits of the normal distribution function, |gate| = sqrt 2 and 4 sqrt 2.
        .. OfInput([8, 512], new Operand([8, 512], (_, i) => i % 512 < 256 ? 1 : ((i / 512 * 256) + (i % 256) - 1024) / 128.0), " of a ramp of gates"),
    ];

    private static OperatorCase[] OfInput(Shape shape, Operand operand, string what = "") => [Geglu(shape, operand, what), Backward(shape, operand, what)];

    private static OperatorCase Backward(Shape shape, Operand operand, string what)
    {
        var c = shape[-1] / 2;
        HostTensor Gradients(HostTensor[] x, Func<double, double, double, double> ofValue, Func<double, double, double, double> ofGate)
            => new(shape, [.. x[0].Data.Chunk(2 * c).Zip(x[1].Data.Chunk(c), (row, gradient) => Enumerable.Range(0, 2 * c).Select(
                i => i < c ? ofValue(row[i], row[c + i], gradient[i]) : ofGate(row[i - c], row[i], gradient[i - c]))).SelectMany(row => row)]);
        return new()
        {
            Name = $"GegluBackward {shape}{what}",
            Kernels = ["geglu_backward"],
            Inputs = [operand, Operand.Normal(shape.With(-1, c))],
            Run = x => Ops.GegluBackward(x[0], x[1]),
            Oracle = x => Gradients(
                x, (_, gate, g) => g * ElementwiseCases.Gelu(gate), (value, gate, g) => g * value * ElementwiseBackwardCases.GeluSlope(gate)),
            Tolerance = Tolerance.OfSize(
                6,
                x => Gradients(x, (_, gate, g) => Math.Abs(g * gate), (value, _, g) => Math.Abs(g * value)),
                "Phi within half an epsilon of 1; x phi(x), at most 1/4, its exponent rounded twice; sum and three products"),
        };
    }

    private static OperatorCase Geglu(Shape shape, Operand operand, string what) => new()
    {
        Name = $"Geglu {shape}{what}",
        Kernels = ["geglu"],
        Types = OperatorCase.AllTypes,
        Inputs = [operand],
        Run = x => Ops.Geglu(x[0]),
        Oracle = x =>
        {
            var c = shape[-1] / 2;
            return new(shape.With(-1, c), [.. x[0].Data.Chunk(2 * c).SelectMany(row => Enumerable.Range(0, c).Select(i => row[i] * ElementwiseCases.Gelu(row[c + i])))]);
        },
        Tolerance = Tolerance.OfElement(4, "the normal distribution function is rounded at 1 and multiplied by value and gate, at most 8 each", zero: 16),
    };
}
