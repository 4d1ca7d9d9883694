// Conversions between types (PTX ISA, "cvt"): rounding, clamping, and what NaN becomes.
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace FashionFlow.VirtualGpu.Jit;

internal static partial class LaneMath
{
    // ---- to integral values

    [MethodImpl(Inline)]
    public static Vector256<float> RoundRni(Vector256<float> a) => Vector256.Round(a);

    [MethodImpl(Inline)]
    public static Vector256<float> RoundRzi(Vector256<float> a) => Vector256.Truncate(a);

    [MethodImpl(Inline)]
    public static Vector256<float> RoundRmi(Vector256<float> a) => Vector256.Floor(a);

    [MethodImpl(Inline)]
    public static Vector256<float> RoundRpi(Vector256<float> a) => Vector256.Ceiling(a);

    [MethodImpl(Inline)]
    public static Vector256<double> RoundRni(Vector256<double> a) => Vector256.Round(a);

    [MethodImpl(Inline)]
    public static Vector256<double> RoundRzi(Vector256<double> a) => Vector256.Truncate(a);

    [MethodImpl(Inline)]
    public static Vector256<double> RoundRmi(Vector256<double> a) => Vector256.Floor(a);

    [MethodImpl(Inline)]
    public static Vector256<double> RoundRpi(Vector256<double> a) => Vector256.Ceiling(a);

    // ---- float to integer: clamped to the range; NaN is 0 from float to at most 32 bits, else the most significant bit alone

    [MethodImpl(Inline)]
    public static Vector256<int> ToInt32(Vector256<float> a) => Vector256.ConvertToInt32(a);

    [MethodImpl(Inline)]
    public static Vector256<uint> ToUInt32(Vector256<float> a) => Vector256.ConvertToUInt32(a);

    [MethodImpl(Inline)]
    public static Vector256<float> Clamp(Vector256<float> a, float low, float high)
    {
        var bounded = Vector256.ConditionalSelect(Vector256.LessThan(a, Vector256.Create(high)), a, Vector256.Create(high));
        return Vector256.ConditionalSelect(Vector256.GreaterThan(bounded, Vector256.Create(low)), bounded, Vector256.Create(low));
    }

    [MethodImpl(Call)]
    public static Vector256<int> ToInt8(Vector256<float> a)
        => Vector256.ConvertToInt32(Clamp(Vector256.ConditionalSelect(Vector256.Equals(a, a), a, Vector256<float>.Zero), -128, 127));

    [MethodImpl(Call)]
    public static Vector256<uint> ToUInt8(Vector256<float> a)
        => Vector256.ConvertToInt32(Clamp(Vector256.ConditionalSelect(Vector256.Equals(a, a), a, Vector256<float>.Zero), 0, 255)).AsUInt32();

    [MethodImpl(Call)]
    public static Vector256<int> ToInt16(Vector256<float> a)
        => Vector256.ConvertToInt32(Clamp(Vector256.ConditionalSelect(Vector256.Equals(a, a), a, Vector256<float>.Zero), -32768, 32767));

    [MethodImpl(Call)]
    public static Vector256<uint> ToUInt16(Vector256<float> a)
        => Vector256.ConvertToInt32(Clamp(Vector256.ConditionalSelect(Vector256.Equals(a, a), a, Vector256<float>.Zero), 0, 65535)).AsUInt32();

    private static long Signed(double a) => double.IsNaN(a) ? long.MinValue : a >= 9223372036854775807.0 ? long.MaxValue : a <= -9223372036854775808.0 ? long.MinValue : (long)a;

    private static ulong Unsigned(double a) => double.IsNaN(a) ? 1UL << 63 : a >= 18446744073709551615.0 ? ulong.MaxValue : a <= 0 ? 0 : (ulong)a;

    private static long Bounded(double a, double low, double high, long nan) => double.IsNaN(a) ? nan : (long)Math.Min(Math.Max(a, low), high);

    [MethodImpl(Call)]
    public static Vector256<long> ToInt64(Vector256<double> a) => Vector256.Create(Signed(a[0]), Signed(a[1]), Signed(a[2]), Signed(a[3]));

    [MethodImpl(Call)]
    public static Vector256<ulong> ToUInt64(Vector256<double> a) => Vector256.Create(Unsigned(a[0]), Unsigned(a[1]), Unsigned(a[2]), Unsigned(a[3]));

    [MethodImpl(Inline)]
    private static Vector256<long> ToBounded(Vector256<double> a, double low, double high, long nan)
        => Vector256.Create(Bounded(a[0], low, high, nan), Bounded(a[1], low, high, nan), Bounded(a[2], low, high, nan), Bounded(a[3], low, high, nan));

    [MethodImpl(Call)]
    public static Vector256<long> ToInt32(Vector256<double> a) => ToBounded(a, int.MinValue, int.MaxValue, int.MinValue);

    [MethodImpl(Call)]
    public static Vector256<long> ToUInt32(Vector256<double> a) => ToBounded(a, 0, uint.MaxValue, 1L << 31);

    [MethodImpl(Call)]
    public static Vector256<long> ToInt16(Vector256<double> a) => ToBounded(a, short.MinValue, short.MaxValue, short.MinValue);

    [MethodImpl(Call)]
    public static Vector256<long> ToUInt16(Vector256<double> a) => ToBounded(a, 0, ushort.MaxValue, 1L << 15);

    [MethodImpl(Call)]
    public static Vector256<long> ToInt8(Vector256<double> a) => ToBounded(a, sbyte.MinValue, sbyte.MaxValue, sbyte.MinValue);

    [MethodImpl(Call)]
    public static Vector256<long> ToUInt8(Vector256<double> a) => ToBounded(a, 0, byte.MaxValue, 1L << 7);

    // ---- integer to float

    [MethodImpl(Inline)]
    public static Vector256<float> ToSingle(Vector256<int> a) => Vector256.ConvertToSingle(a);

    [MethodImpl(Inline)]
    public static Vector256<float> ToSingle(Vector256<uint> a)
    {
        // Upper half exact, lower half exact, one rounding.
        var high = Vector256.ConvertToSingle((a >> 16).AsInt32()) * Vector256.Create(65536f);
        var low = Vector256.ConvertToSingle((a & Vector256.Create(0xFFFFu)).AsInt32());
        return high + low;
    }

    // 32-bit integers in 64-bit lanes: exact.
    [MethodImpl(Inline)]
    public static Vector256<double> ToDoubleExact(Vector256<long> a)
    {
        var magic = Vector256.Create(6755399441055744.0);
        return (a + magic.AsInt64()).AsDouble() - magic;
    }

    // 64-bit integers, by their own bits: the host's conversion of an unsigned one may round twice. Direction: 0 to nearest even,
    // -1 toward zero, 1 away from it.
    private static ulong Rounded(ulong a, int digits, int direction, out int shift)
    {
        shift = Math.Max(0, 64 - BitOperations.LeadingZeroCount(a) - digits);
        var quotient = a >> shift;
        var rest = a - (quotient << shift);
        var half = shift == 0 ? 1UL : 1UL << (shift - 1);
        var isUp = direction > 0 ? rest != 0 : direction == 0 && (rest > half || (rest == half && (quotient & 1) != 0));
        return isUp ? quotient + 1 : quotient;
    }

    private static float Single(ulong a, int direction)
    {
        var digits = Rounded(a, 24, direction, out var shift);
        return (float)(long)digits * (float)(1UL << shift);
    }

    private static double Double(ulong a, int direction)
    {
        var digits = Rounded(a, 53, direction, out var shift);
        return (double)(long)digits * (1L << shift);
    }

    private static float Single(long a, int positive, int negative) => a < 0 ? -Single(unchecked(0UL - (ulong)a), negative) : Single((ulong)a, positive);

    private static double Double(long a, int positive, int negative) => a < 0 ? -Double(unchecked(0UL - (ulong)a), negative) : Double((ulong)a, positive);

    [MethodImpl(Call)]
    public static Vector256<double> ToDouble(Vector256<long> a)
        => Vector256.Create((double)a[0], a[1], a[2], a[3]);

    [MethodImpl(Call)]
    public static Vector256<float> ToSingle(Vector256<long> low, Vector256<long> high)
        => Vector256.Create((float)low[0], low[1], low[2], low[3], high[0], high[1], high[2], high[3]);

    [MethodImpl(Call)]
    public static Vector256<double> ToDouble(Vector256<ulong> a)
        => Vector256.Create(Double(a[0], 0), Double(a[1], 0), Double(a[2], 0), Double(a[3], 0));

    [MethodImpl(Call)]
    public static Vector256<float> ToSingle(Vector256<ulong> low, Vector256<ulong> high)
        => Vector256.Create(
            Single(low[0], 0), Single(low[1], 0), Single(low[2], 0), Single(low[3], 0),
            Single(high[0], 0), Single(high[1], 0), Single(high[2], 0), Single(high[3], 0));

    [MethodImpl(Call)]
    public static Vector256<double> ToDoubleRz(Vector256<long> a)
        => Vector256.Create(Double(a[0], -1, -1), Double(a[1], -1, -1), Double(a[2], -1, -1), Double(a[3], -1, -1));

    [MethodImpl(Call)]
    public static Vector256<float> ToSingleRz(Vector256<long> low, Vector256<long> high)
        => Vector256.Create(
            Single(low[0], -1, -1), Single(low[1], -1, -1), Single(low[2], -1, -1), Single(low[3], -1, -1),
            Single(high[0], -1, -1), Single(high[1], -1, -1), Single(high[2], -1, -1), Single(high[3], -1, -1));

    [MethodImpl(Call)]
    public static Vector256<double> ToDoubleRz(Vector256<ulong> a)
        => Vector256.Create(Double(a[0], -1), Double(a[1], -1), Double(a[2], -1), Double(a[3], -1));

    [MethodImpl(Call)]
    public static Vector256<float> ToSingleRz(Vector256<ulong> low, Vector256<ulong> high)
        => Vector256.Create(
            Single(low[0], -1), Single(low[1], -1), Single(low[2], -1), Single(low[3], -1),
            Single(high[0], -1), Single(high[1], -1), Single(high[2], -1), Single(high[3], -1));

    [MethodImpl(Call)]
    public static Vector256<double> ToDoubleRm(Vector256<long> a)
        => Vector256.Create(Double(a[0], -1, 1), Double(a[1], -1, 1), Double(a[2], -1, 1), Double(a[3], -1, 1));

    [MethodImpl(Call)]
    public static Vector256<float> ToSingleRm(Vector256<long> low, Vector256<long> high)
        => Vector256.Create(
            Single(low[0], -1, 1), Single(low[1], -1, 1), Single(low[2], -1, 1), Single(low[3], -1, 1),
            Single(high[0], -1, 1), Single(high[1], -1, 1), Single(high[2], -1, 1), Single(high[3], -1, 1));

    [MethodImpl(Call)]
    public static Vector256<double> ToDoubleRm(Vector256<ulong> a)
        => Vector256.Create(Double(a[0], -1), Double(a[1], -1), Double(a[2], -1), Double(a[3], -1));

    [MethodImpl(Call)]
    public static Vector256<float> ToSingleRm(Vector256<ulong> low, Vector256<ulong> high)
        => Vector256.Create(
            Single(low[0], -1), Single(low[1], -1), Single(low[2], -1), Single(low[3], -1),
            Single(high[0], -1), Single(high[1], -1), Single(high[2], -1), Single(high[3], -1));

    [MethodImpl(Call)]
    public static Vector256<double> ToDoubleRp(Vector256<long> a)
        => Vector256.Create(Double(a[0], 1, -1), Double(a[1], 1, -1), Double(a[2], 1, -1), Double(a[3], 1, -1));

    [MethodImpl(Call)]
    public static Vector256<float> ToSingleRp(Vector256<long> low, Vector256<long> high)
        => Vector256.Create(
            Single(low[0], 1, -1), Single(low[1], 1, -1), Single(low[2], 1, -1), Single(low[3], 1, -1),
            Single(high[0], 1, -1), Single(high[1], 1, -1), Single(high[2], 1, -1), Single(high[3], 1, -1));

    [MethodImpl(Call)]
    public static Vector256<double> ToDoubleRp(Vector256<ulong> a)
        => Vector256.Create(Double(a[0], 1), Double(a[1], 1), Double(a[2], 1), Double(a[3], 1));

    [MethodImpl(Call)]
    public static Vector256<float> ToSingleRp(Vector256<ulong> low, Vector256<ulong> high)
        => Vector256.Create(
            Single(low[0], 1), Single(low[1], 1), Single(low[2], 1), Single(low[3], 1),
            Single(high[0], 1), Single(high[1], 1), Single(high[2], 1), Single(high[3], 1));

    // ---- double to float

    [MethodImpl(Call)]
    public static Vector256<float> NarrowRm(Vector256<double> low, Vector256<double> high)
        => Vector256.Narrow(StepDown(low, Vector256<double>.Zero), StepDown(high, Vector256<double>.Zero));

    [MethodImpl(Call)]
    public static Vector256<float> NarrowRp(Vector256<double> low, Vector256<double> high) => Neg(NarrowRm(Neg(low), Neg(high)));

    [MethodImpl(Call)]
    public static Vector256<float> NarrowRz(Vector256<double> low, Vector256<double> high)
    {
        var nearest = Vector256.Narrow(low, high);
        return Vector256.ConditionalSelect(Vector256.LessThan(nearest.AsInt32(), Vector256<int>.Zero).AsSingle(), NarrowRp(low, high), NarrowRm(low, high));
    }

    // ---- saturating integer conversions: values in the source's own width, bounds of the destination

    [MethodImpl(Call)]
    public static Vector256<long> ClampTo(Vector256<long> a, long low, long high)
        => Vector256.Max(Vector256.Create(low), Vector256.Min(a, Vector256.Create(high)));

    [MethodImpl(Call)]
    public static Vector256<ulong> ClampTo(Vector256<ulong> a, ulong high) => Vector256.Min(a, Vector256.Create(high));

    [MethodImpl(Call)]
    public static Vector256<int> ClampTo(Vector256<int> a, int low, int high)
        => Vector256.Max(Vector256.Create(low), Vector256.Min(a, Vector256.Create(high)));

    [MethodImpl(Call)]
    public static Vector256<uint> ClampTo(Vector256<uint> a, uint high) => Vector256.Min(a, Vector256.Create(high));
}
