// Half types in integer arithmetic, since no host has the instructions everywhere. A half lies in the low 16 bits of a lane.
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace FashionFlow.VirtualGpu.Jit;

internal static partial class LaneMath
{
    [MethodImpl(Inline)]
    public static Vector256<float> HalfToSingle(Vector256<int> h)
    {
        var sign = (h & Vector256.Create(0x8000)) << 16;
        var magnitude = h & Vector256.Create(0x7FFF);
        var normal = (magnitude << 13) + Vector256.Create(0x38000000);
        normal += Vector256.GreaterThanOrEqual(magnitude, Vector256.Create(0x7C00)) & Vector256.Create(0x38000000);
        var subnormal = (Vector256.ConvertToSingle(magnitude) * Vector256.Create(5.9604645e-8f)).AsInt32();
        return (sign | Vector256.ConditionalSelect(Vector256.LessThan(magnitude, Vector256.Create(0x0400)), subnormal, normal)).AsSingle();
    }

    [MethodImpl(Inline)]
    public static Vector256<int> HalfFromSingle(Vector256<float> a)
    {
        var bits = a.AsInt32();
        var sign = (bits >>> 16) & Vector256.Create(0x8000);
        var magnitude = bits & Vector256.Create(int.MaxValue);
        var normal = (magnitude + Vector256.Create(0x0FFF) + ((magnitude >> 13) & Vector256<int>.One) - Vector256.Create(0x38000000)) >> 13;

        // Adding 1/2 lines the subnormals' last place up with float's, so that the sum is rounded where it should be.
        var subnormal = (magnitude.AsSingle() + Vector256.Create(0.5f)).AsInt32() - Vector256.Create(0x3F000000);
        var finite = Vector256.ConditionalSelect(Vector256.LessThan(magnitude, Vector256.Create(0x38800000)), subnormal, normal);
        var large = Vector256.ConditionalSelect(Vector256.GreaterThanOrEqual(magnitude, Vector256.Create(0x47800000)), Vector256.Create(0x7C00), finite);
        return Vector256.ConditionalSelect(Vector256.GreaterThan(magnitude, Vector256.Create(0x7F800000)), Vector256.Create(0x7FFF), sign | large);
    }

    [MethodImpl(Call)]
    public static Vector256<int> HalfFromSingleRz(Vector256<float> a)
    {
        // Rounded to nearest and one step back where that went away from zero; infinity only from infinity.
        var h = HalfFromSingle(a);
        var back = Abs(HalfToSingle(h));
        var isTooLarge = Vector256.GreaterThan(back, Abs(a)).AsInt32();
        return h + isTooLarge;
    }

    // Round to odd keeps a double's rounding innocuous for the second rounding to half.
    [MethodImpl(Call)]
    public static Vector256<int> HalfFromDouble(Vector256<double> low, Vector256<double> high)
    {
        var nearest = Vector256.Narrow(low, high);
        var isInexact = Vector256.Narrow(
            (~Vector256.Equals(Vector256.WidenLower(nearest), low)).AsInt64(),
            (~Vector256.Equals(Vector256.WidenUpper(nearest), high)).AsInt64());
        var truncated = NarrowRz(low, high).AsInt32();
        var isNan = ~Vector256.Equals(nearest, nearest).AsInt32();
        var odd = truncated | (isInexact & Vector256<int>.One);
        return HalfFromSingle(Vector256.ConditionalSelect(isNan, nearest.AsInt32(), odd).AsSingle());
    }

    [MethodImpl(Inline)]
    public static Vector256<float> BrainToSingle(Vector256<int> h) => (h << 16).AsSingle();

    [MethodImpl(Inline)]
    public static Vector256<int> BrainFromSingle(Vector256<float> a)
    {
        var bits = a.AsInt32();
        var rounded = (bits + Vector256.Create(0x7FFF) + ((bits >>> 16) & Vector256<int>.One)) >>> 16;
        return Vector256.ConditionalSelect(Vector256.Equals(a, a).AsInt32(), rounded, Vector256.Create(0x7FFF));
    }

    [MethodImpl(Inline)]
    public static Vector256<int> BrainFromSingleRz(Vector256<float> a)
        => Vector256.ConditionalSelect(Vector256.Equals(a, a).AsInt32(), a.AsInt32() >>> 16, Vector256.Create(0x7FFF));

    // ---- arithmetic. Sums, products of two halves are rounded innocuously from float; a fused one goes through double.

    [MethodImpl(Call)]
    public static Vector256<int> HalfFma(Vector256<int> a, Vector256<int> b, Vector256<int> c)
    {
        var x = HalfToSingle(a);
        var y = HalfToSingle(b);
        var z = HalfToSingle(c);
        return HalfFromDouble(
            SumToOdd(Vector256.WidenLower(x) * Vector256.WidenLower(y), Vector256.WidenLower(z)),
            SumToOdd(Vector256.WidenUpper(x) * Vector256.WidenUpper(y), Vector256.WidenUpper(z)));
    }

    [MethodImpl(Call)]
    public static Vector256<int> BrainFma(Vector256<int> a, Vector256<int> b, Vector256<int> c)
    {
        var x = BrainToSingle(a);
        var y = BrainToSingle(b);
        var z = BrainToSingle(c);
        var low = SumToOdd(Vector256.WidenLower(x) * Vector256.WidenLower(y), Vector256.WidenLower(z));
        var high = SumToOdd(Vector256.WidenUpper(x) * Vector256.WidenUpper(y), Vector256.WidenUpper(z));
        var nearest = Vector256.Narrow(low, high);
        var isInexact = Vector256.Narrow(
            (~Vector256.Equals(Vector256.WidenLower(nearest), low)).AsInt64(),
            (~Vector256.Equals(Vector256.WidenUpper(nearest), high)).AsInt64());
        var odd = NarrowRz(low, high).AsInt32() | (isInexact & Vector256<int>.One);
        return BrainFromSingle(Vector256.ConditionalSelect(Vector256.Equals(nearest, nearest).AsInt32(), odd, nearest.AsInt32()).AsSingle());
    }

    // a + b, with the last bit set where the sum is not exact.
    [MethodImpl(Inline)]
    private static Vector256<double> SumToOdd(Vector256<double> a, Vector256<double> b)
    {
        var s = a + b;
        var t = s - a;
        var e = (a - (s - t)) + (b - t);
        var isExact = Vector256.Equals(e, Vector256<double>.Zero) | ~Vector256.Equals(e, e);

        // Toward zero first: where the error points away from the sum's side, step one back.
        var bits = s.AsInt64();
        var overshoots = (e.AsInt64() ^ bits) >> 63;
        var toward = bits + overshoots;
        return Vector256.ConditionalSelect(isExact.AsInt64(), bits, toward | Vector256<long>.One).AsDouble();
    }
}
