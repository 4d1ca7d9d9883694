// The extents of a tensor: an immutable list of axis lengths with value equality.
using System.Globalization;
using System.Runtime.CompilerServices;

namespace FashionFlow.Tensors;

/// <summary>
/// The lengths of a tensor's axes, outermost first. Elements lie row-major: the last axis is contiguous. The default value
/// is the shape of a scalar, <c>[]</c>, which holds one element.
/// </summary>
[CollectionBuilder(typeof(Shape), nameof(Create))]
public readonly struct Shape : IEquatable<Shape>
{
    private readonly int[]? _lengths;

    /// <summary>Makes a shape of these axis lengths.</summary>
    /// <exception cref="ArgumentException">A length is negative, or the number of elements passes 2^63.</exception>
    public Shape(params ReadOnlySpan<int> lengths)
    {
        _lengths = lengths.ToArray();
        Count = CountOf(lengths);
    }

    private Shape(int[] lengths, long count)
    {
        _lengths = lengths;
        Count = count;
    }

    /// <summary>The number of axes.</summary>
    public int Rank => Lengths.Length;

    /// <summary>The number of elements: the product of all axis lengths, 1 for a scalar.</summary>
    public long Count
    {
        get => _lengths is null ? 1 : field;
    }

    /// <summary>The axis lengths, outermost first.</summary>
    public ReadOnlySpan<int> Lengths => _lengths;

    /// <summary>The length of an axis; negative axes count from the end, so that -1 is the last.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such axis.</exception>
    public int this[int axis] => Lengths[Axis(axis)];

    /// <summary>The axis as a number from 0, given one that may count from the end.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such axis.</exception>
    public int Axis(int axis)
        => axis >= -Rank && axis < Rank
            ? (axis < 0 ? axis + Rank : axis)
            : throw new ArgumentOutOfRangeException(nameof(axis), $"shape {this} has no axis {axis}");

    /// <summary>The product of the lengths of the axes from <paramref name="start"/> up to and without <paramref name="end"/>.</summary>
    public long CountBetween(int start, int end) => CountOf(Lengths[start..end]);

    /// <summary>This shape with the length of one axis replaced; the axis may count from the end.</summary>
    public Shape With(int axis, int length)
    {
        var lengths = Lengths.ToArray();
        lengths[Axis(axis)] = length;
        return new Shape(lengths);
    }

    /// <summary>
    /// This shape with a single length of -1 replaced by what makes the number of elements <paramref name="count"/>. It is
    /// how <see cref="Tensor.Reshape"/> reads its argument; a shape with -1 exists only there.
    /// </summary>
    internal static Shape Resolve(ReadOnlySpan<int> lengths, long count)
    {
        var open = lengths.IndexOf(-1);
        if (open < 0)
        {
            var shape = new Shape(lengths);
            return shape.Count == count ? shape : throw Mismatch(lengths, count);
        }

        var resolved = lengths.ToArray();
        resolved[open] = 1;
        var rest = CountOf(resolved);
        if (rest == 0 || count % rest != 0 || count / rest > int.MaxValue)
        {
            throw Mismatch(lengths, count);
        }

        resolved[open] = (int)(count / rest);
        return new Shape(resolved);
    }

    /// <summary>
    /// Makes a shape that keeps the array, which must not change any more: a file's header may hold millions of axes, and two
    /// copies of them would be one too many.
    /// </summary>
    internal static Shape Keep(int[] lengths) => new(lengths, CountOf(lengths));

    /// <summary>Makes a shape; the target of collection expressions such as <c>[2, 3]</c>.</summary>
    public static Shape Create(ReadOnlySpan<int> lengths) => new(lengths);

    /// <summary>An array of lengths is a shape.</summary>
    public static implicit operator Shape(int[] lengths) => new(lengths);

    /// <summary>A shape is its axis lengths.</summary>
    public static implicit operator ReadOnlySpan<int>(Shape shape) => shape.Lengths;

    /// <summary>Whether two shapes have the same axes.</summary>
    public static bool operator ==(Shape left, Shape right) => left.Equals(right);

    /// <summary>Whether two shapes differ.</summary>
    public static bool operator !=(Shape left, Shape right) => !left.Equals(right);

    /// <summary>Enumerates the axis lengths.</summary>
    public ReadOnlySpan<int>.Enumerator GetEnumerator() => Lengths.GetEnumerator();

    /// <inheritdoc/>
    public bool Equals(Shape other) => Lengths.SequenceEqual(other.Lengths);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is Shape other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var hash = default(HashCode);
        foreach (var length in Lengths)
        {
            hash.Add(length);
        }

        return hash.ToHashCode();
    }

    /// <summary><c>[2, 3]</c> and the like.</summary>
    public override string ToString() => Describe(Lengths);

    private static string Describe(ReadOnlySpan<int> lengths)
    {
        var text = new DefaultInterpolatedStringHandler(2, lengths.Length, CultureInfo.InvariantCulture);
        text.AppendLiteral("[");
        for (var i = 0; i < lengths.Length; i++)
        {
            text.AppendLiteral(i == 0 ? "" : ", ");
            text.AppendFormatted(lengths[i]);
        }

        text.AppendLiteral("]");
        return text.ToStringAndClear();
    }

    private static long CountOf(ReadOnlySpan<int> lengths)
    {
        // Zero is looked for first: [2^31 - 1, 2^31 - 1, 2^31 - 1, 0] holds nothing and is no overflow.
        if (lengths.Contains(0))
        {
            return lengths.ContainsAnyInRange(int.MinValue, -1) ? throw Negative(lengths) : 0;
        }

        var count = 1L;
        foreach (var length in lengths)
        {
            if (length < 0)
            {
                throw Negative(lengths);
            }

            if (count > long.MaxValue / length)
            {
                throw new ArgumentException($"shape {Describe(lengths)} holds more than 2^63 elements", nameof(lengths));
            }

            count *= length;
        }

        return count;
    }

    private static ArgumentException Negative(ReadOnlySpan<int> lengths)
        => new($"shape {Describe(lengths)} has a negative axis", nameof(lengths));

    private static ArgumentException Mismatch(ReadOnlySpan<int> lengths, long count)
        => new($"{count} elements cannot be seen as shape {Describe(lengths)}", nameof(lengths));
}
