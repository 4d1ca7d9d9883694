// The upper half of a float as a number of its own, for what .NET has no type yet.
namespace FashionFlow.Gpu;

/// <summary>
/// A number of 8 significant bits and float's range: the upper 16 bits of a float. It is for storage; arithmetic is float's, by the
/// implicit conversion, which is exact.
/// </summary>
/// <param name="Bits">The upper half of the float's bits.</param>
public readonly record struct BFloat16(ushort Bits)
{
    /// <summary>The number as a float.</summary>
    public static implicit operator float(BFloat16 value) => value.ToSingle();

    /// <inheritdoc cref="FromSingle"/>
    public static explicit operator BFloat16(float value) => FromSingle(value);

    /// <summary>The nearest number, ties to even; a NaN keeps its sign and upper bits and is made quiet.</summary>
    public static BFloat16 FromSingle(float value)
    {
        // Adding half of the last place that stays (a little less where ties go down) rounds; in a NaN it could carry into infinity.
        var bits = BitConverter.SingleToUInt32Bits(value);
        return new(float.IsNaN(value) ? (ushort)((bits >> 16) | 0x40) : (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16));
    }

    /// <summary>The number as a float, exactly.</summary>
    public float ToSingle() => BitConverter.UInt32BitsToSingle((uint)Bits << 16);

    /// <inheritdoc/>
    public override string ToString() => ToSingle().ToString(System.Globalization.CultureInfo.InvariantCulture);
}
