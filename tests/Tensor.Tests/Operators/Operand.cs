// An input of an operator case: its shape and how its values are drawn.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Tests.Operators;

/// <summary>
/// An input. Values are floats where the case runs in float or double, so that one oracle result serves both; for a half type they
/// are rounded to it.
/// </summary>
/// <param name="Shape">Its shape.</param>
/// <param name="Values">Element i from the case's random stream.</param>
/// <param name="Type">Its element type where that is not the one that the case runs in.</param>
public sealed record Operand(Shape Shape, Func<HostPhilox, long, double> Values, DType? Type = null)
{
    /// <summary>Normal numbers.</summary>
    public static Operand Normal(Shape shape, double deviation = 1, double mean = 0)
        => new(shape, (random, i) => mean + (deviation * random.Normal(i)));

    /// <summary>Uniform numbers in [low, high).</summary>
    public static Operand Uniform(Shape shape, double low, double high)
        => new(shape, (random, i) => low + ((high - low) * random.Uniform(i)));

    /// <summary>Given values, row-major.</summary>
    public static Operand Of(Shape shape, params double[] values) => new(shape, (_, i) => values[i]);

    /// <summary>Given values, row-major, in a given element type (an index, a table that stays float in a double run).</summary>
    public static Operand Of(DType type, Shape shape, params double[] values) => new(shape, (_, i) => values[i], type);

    /// <summary>The values of operand <paramref name="index"/> of a case, as numbers of <paramref name="type"/>.</summary>
    public HostTensor Draw(string caseName, int index, DType type)
    {
        var random = new HostPhilox(Seed: (ulong)index, HostPhilox.Hash(caseName));
        var data = new double[Shape.Count];
        for (var i = 0; i < data.Length; i++)
        {
            data[i] = HostTensor.Round((float)Values(random, i), type);
        }

        return new HostTensor(Shape, data);
    }
}
