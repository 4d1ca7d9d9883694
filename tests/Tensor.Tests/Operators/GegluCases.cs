// Cases of the operator of Ops.Geglu.cs.
namespace FashionFlow.Tensors.Tests.Operators;

public sealed class GegluCases : IOperatorCases
{
    public static IEnumerable<OperatorCase> Cases =>
    [
        .. from lengths in (int[][])[[1, 2], [3, 6], [5, 8], [2, 3, 62], [33, 64], [3, 254], [7, 256], [17, 1024], [2, 2050], [1, 2730]]
           select Geglu(new Shape(lengths), Operand.Normal(lengths, deviation: 2)),

        // Through the ends of both fits of the normal distribution function, |gate| = sqrt 2 and 4 sqrt 2.
        Geglu([8, 512], new Operand([8, 512], (_, i) => i % 512 < 256 ? 1 : ((i / 512 * 256) + (i % 256) - 1024) / 128.0), " of a ramp of gates"),
    ];

    private static OperatorCase Geglu(Shape shape, Operand operand, string what = "") => new()
    {
        Name = $"Geglu {shape}{what}",
        Kernels = ["geglu"],
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
