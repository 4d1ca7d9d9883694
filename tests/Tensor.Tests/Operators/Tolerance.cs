// How far a result may be from its oracle, in units of the element type's own precision, and where the number comes from.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Tests.Operators;

/// <summary>
/// A tolerance. It counts in epsilons, the distance from 1 to the next number (2^-23 for float, 2^-52 for double), so that
/// one number with one reason serves both types. Half types are computed with in float and rounded once: a result may be what any
/// number within float's tolerance of the oracle is rounded to, so half a unit in the last place comes on top, near 0 half of the
/// subnormals' spacing, and beyond the largest number infinity.
/// </summary>
public sealed record Tolerance
{
    private readonly double _epsilons;
    private readonly bool _ofLargest;
    private readonly double _zero;
    private readonly Func<HostTensor[], HostTensor>? _size;

    private Tolerance(double epsilons, bool ofLargest, double zero, string origin, Func<HostTensor[], HostTensor>? size = null)
    {
        (_epsilons, _ofLargest, _zero, Origin, _size) = (epsilons, ofLargest, zero, origin, size);
        Assert.That(origin, Is.Not.Empty, "a tolerance says where it comes from");
    }

    /// <summary>Where the number comes from.</summary>
    public string Origin { get; }

    /// <summary>
    /// Tensors of the element type between inputs and result. Each rounds a half type's numbers once more, by half an epsilon of that
    /// type (2^-11, 2^-8) of the size.
    /// </summary>
    public int Intermediates { get; init; }

    /// <summary>The oracle's result, rounded to the element type, and nothing else: elements are moved, or rounded once.</summary>
    public static Tolerance Exact(string origin) => new(0, ofLargest: false, zero: 0, origin);

    /// <summary>
    /// Each element within so many epsilons of its own size. <paramref name="zero"/>, a number, allows as many epsilons of it
    /// beside, for results that cancel.
    /// </summary>
    public static Tolerance OfElement(double epsilons, string origin, double zero = 0) => new(epsilons, ofLargest: false, zero, origin);

    /// <summary>Each element within so many epsilons of the largest element's size.</summary>
    public static Tolerance OfLargest(double epsilons, string origin) => new(epsilons, ofLargest: true, zero: 0, origin);

    /// <summary>
    /// Each element within so many epsilons of a size of its own, computed from the inputs: a sum within those of the sum of its
    /// terms' sizes, say, which is the bound that holds for sums in whatever order.
    /// </summary>
    public static Tolerance OfSize(double epsilons, Func<HostTensor[], HostTensor> size, string origin)
        => new(epsilons, ofLargest: false, zero: 0, origin, size);

    /// <summary>Fails where a result is too far from the oracle, naming the worst element.</summary>
    public void Check(HostTensor[] inputs, HostTensor oracle, HostTensor result, DType type)
    {
        var sizes = _size?.Invoke(inputs);
        Assert.That(result.Shape, Is.EqualTo(oracle.Shape), "shape");
        var epsilon = type == DType.Float64 ? Math.Pow(2, -52) : Math.Pow(2, -23);
        var largest = oracle.Data.Where(double.IsFinite).Select(Math.Abs).DefaultIfEmpty().Max();
        var (worst, worstExcess) = (-1, 0.0);
        for (var i = 0; i < oracle.Data.Length; i++)
        {
            var expected = HostTensor.Round(oracle.Data[i], _epsilons == 0 ? type.Accumulation() : DType.Float64);
            var size = sizes is not null ? sizes.Data[i] : _ofLargest ? largest : Math.Abs(expected) + _zero;
            var allowed = ((epsilon * _epsilons) + (Intermediates * RoundingError(type))) * size;
            allowed = double.IsFinite(allowed) ? allowed : 0;
            var error = expected.Equals(result.Data[i]) ? 0 : Math.Abs(result.Data[i] - expected);
            var excess = type.IsHalf() ? Outside(expected, allowed, result.Data[i], type) : error - allowed;
            if (excess > worstExcess || (double.IsNaN(excess) && !double.IsNaN(worstExcess)))
            {
                (worst, worstExcess) = (i, excess);
            }
        }

        if (worst >= 0)
        {
            Assert.Fail(
                $"element {worst} of {oracle.Shape} is {result.Data[worst]:R}, expected {oracle.Data[worst]:R}; "
                + $"allowed are {_epsilons} epsilons of {(sizes is not null ? $"the size {sizes.Data[worst]:R}" : _ofLargest ? $"the largest, {largest:R}" : "the element")} ({Origin})");
        }
    }

    /// <summary>
    /// How far a number of a half type is outside of what [expected - allowed, expected + allowed] is rounded to: rounding keeps the
    /// order of numbers, so its ends are the roundings of these.
    /// </summary>
    private static double Outside(double expected, double allowed, double result, DType type)
    {
        var low = HostTensor.Round(expected - allowed, type);
        var high = HostTensor.Round(expected + allowed, type);
        return result.Equals(low) || result.Equals(high) ? 0 : result < low ? low - result : result > high ? result - high
            : double.IsNaN(low) || double.IsNaN(result) ? double.NaN : 0;
    }

    /// <summary>The relative error of rounding to a half type; 0 for others, whose intermediate results are in their epsilons.</summary>
    private static double RoundingError(DType type) => type switch
    {
        DType.Float16 => Math.ScaleB(1, -11),
        DType.BFloat16 => Math.ScaleB(1, -8),
        _ => 0,
    };
}
