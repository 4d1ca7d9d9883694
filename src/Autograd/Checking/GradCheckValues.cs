// The numbers of a gradient check: inputs away from kinks, and random vectors, each a function of the seed and its purpose.
using FashionFlow.Gpu;
using FashionFlow.Tensors;

namespace FashionFlow.Autograd.Checking;

/// <summary>Draws numbers. All are float32 numbers, so that both precisions compute at the same point.</summary>
internal static class GradCheckValues
{
    /// <summary>The values of an input: normal, then moved up where that is too near to a kink or to the element below.</summary>
    public static double[] Input(DeviceContext context, GradCheckInput input, ulong seed, string purpose)
    {
        if (input.Values is { } given)
        {
            return given.Length == input.Shape.Count
                ? [.. given]
                : throw new ArgumentException($"GradCheck: {given.Length} values given for input {input.Name} of shape {input.Shape}");
        }

        using var normal = TensorScope.Detach(Ops.Randn(context, [(int)input.Shape.Count], seed, purpose));
        var values = Array.ConvertAll(normal.ToArray<float>(), z => (double)(float)(input.Mean + (input.Deviation * z)));
        return Separate(values, input.Kinks, input.Separation);
    }

    /// <summary>Moves values up, in ascending order and by as little as will do, until none is near a kink or the one below it.</summary>
    internal static double[] Separate(double[] values, double[] kinks, double separation)
    {
        var order = Enumerable.Range(0, values.Length).OrderBy(i => values[i]).ToArray();
        Array.Sort(kinks = [.. kinks]);
        var below = double.NegativeInfinity;
        foreach (var i in order)
        {
            var value = AtLeast(values[i]);
            value = separation > 0 && value - below < separation ? Above(below, separation) : value;
            foreach (var kink in kinks)
            {
                value = Math.Abs(value - kink) < GradCheckInput.KinkDistance ? Above(kink, GradCheckInput.KinkDistance) : value;
            }

            values[i] = below = value;
        }

        return values;
    }

    /// <summary>
    /// A vector of length 1 with random signs and sizes, the largest at most three times the least: no element is left out, and
    /// errors of many elements do not add up as they do under vectors of positive numbers.
    /// </summary>
    public static double[] Direction(DeviceContext context, long count, ulong seed, string purpose)
    {
        using var uniform = TensorScope.Detach(Ops.RandUniform(context, [(int)count], -1, 1, seed, purpose));
        var vector = Array.ConvertAll(uniform.ToArray<float>(), u => u < 0 ? u - 0.5 : u + 0.5);
        var length = Math.Sqrt(vector.Sum(x => x * x));
        return Array.ConvertAll(vector, x => (double)(float)(x / length));
    }

    /// <summary>The least float32 number that is so far above another: their sum is rounded, and may be a hair too near.</summary>
    private static double Above(double value, double distance)
    {
        var above = AtLeast(value + distance);
        return above - value < distance ? MathF.BitIncrement((float)above) : above;
    }

    /// <summary>The least float32 number that is not below a value.</summary>
    private static double AtLeast(double value)
    {
        var single = (float)value;
        return single < value ? MathF.BitIncrement(single) : single;
    }
}
