// A plain array with a shape: what oracles compute on.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Tests.Operators;

/// <summary>A row-major tensor of doubles on the host.</summary>
public sealed class HostTensor(Shape shape, double[] data)
{
    /// <summary>Zeros.</summary>
    public HostTensor(Shape shape)
        : this(shape, new double[shape.Count])
    {
    }

    /// <summary>The shape.</summary>
    public Shape Shape { get; } = shape;

    /// <summary>The elements.</summary>
    public double[] Data { get; } = data;

    /// <summary>The element at these coordinates, one an axis.</summary>
    public double this[params ReadOnlySpan<int> index]
    {
        get => Data[Offset(index)];
        set => Data[Offset(index)] = value;
    }

    /// <summary>A tensor of a shape, each element from its coordinates. The array handed over is reused: do not keep it.</summary>
    public static HostTensor Generate(Shape shape, Func<int[], double> element)
    {
        var result = new HostTensor(shape);
        var index = new int[shape.Rank];
        for (var i = 0; i < result.Data.Length; i++)
        {
            result.Data[i] = element(index);
            for (var axis = shape.Rank - 1; axis >= 0 && ++index[axis] == shape[axis]; axis--)
            {
                index[axis] = 0;
            }
        }

        return result;
    }

    /// <summary>Each element changed alike.</summary>
    public HostTensor Map(Func<double, double> function) => new(Shape, [.. Data.Select(function)]);

    /// <summary>Elements of two tensors of one shape joined in pairs.</summary>
    public HostTensor Zip(HostTensor other, Func<double, double, double> function)
        => new(Shape, [.. Data.Zip(other.Data, function)]);

    /// <summary>The same elements in another shape.</summary>
    public HostTensor Reshape(Shape shape) => new(shape, Data);

    /// <summary>The nearest number of an element type, ties to even; what is no floating-point type keeps doubles.</summary>
    public static double Round(double value, DType type) => type switch
    {
        DType.Float32 => (float)value,
        DType.Float16 => (double)(Half)value,
        DType.BFloat16 => RoundToBFloat16(value),
        _ => value,
    };

    /// <summary>By steps of the last of 8 bits: dividing by it is exact, and so is the way back. Down to the smallest normal number.</summary>
    private static double RoundToBFloat16(double value)
    {
        if (value == 0 || !double.IsFinite(value))
        {
            return value;
        }

        var step = Math.ScaleB(1, Math.Max(Math.ILogB(value), -126) - 7);
        var rounded = Math.Round(value / step, MidpointRounding.ToEven) * step;
        return Math.Abs(rounded) >= Math.ScaleB(1, 128) ? Math.CopySign(double.PositiveInfinity, value) : rounded;
    }

    private int Offset(ReadOnlySpan<int> index)
    {
        Assert.That(index.Length, Is.EqualTo(Shape.Rank), "coordinates");
        var offset = 0;
        for (var axis = 0; axis < index.Length; axis++)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)index[axis], (uint)Shape[axis]);
            offset = (offset * Shape[axis]) + index[axis];
        }

        return offset;
    }
}
