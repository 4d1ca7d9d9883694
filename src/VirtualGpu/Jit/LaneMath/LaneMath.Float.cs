// Floating-point instructions on eight float or four double lanes that are no single intrinsic, and the approximate functions.
// The approximations are ours: fixed sequences of correctly rounded operations, the same bits on any host, and within the
// bounds that the PTX ISA gives for the hardware's.
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace FashionFlow.VirtualGpu.Jit;

internal static partial class LaneMath
{
    private const int CanonicalNan = 0x7FFFFFFF;

    [MethodImpl(Inline)]
    public static Vector256<float> Abs(Vector256<float> a) => (a.AsInt32() & Vector256.Create(int.MaxValue)).AsSingle();

    [MethodImpl(Inline)]
    public static Vector256<double> Abs(Vector256<double> a) => (a.AsInt64() & Vector256.Create(long.MaxValue)).AsDouble();

    [MethodImpl(Inline)]
    public static Vector256<float> Neg(Vector256<float> a) => (a.AsInt32() ^ Vector256.Create(int.MinValue)).AsSingle();

    [MethodImpl(Inline)]
    public static Vector256<double> Neg(Vector256<double> a) => (a.AsInt64() ^ Vector256.Create(long.MinValue)).AsDouble();

    // copysign.f32 d, a, b: the sign of a on the magnitude of b.
    [MethodImpl(Inline)]
    public static Vector256<float> Copysign(Vector256<float> a, Vector256<float> b)
        => ((a.AsInt32() & Vector256.Create(int.MinValue)) | (b.AsInt32() & Vector256.Create(int.MaxValue))).AsSingle();

    [MethodImpl(Inline)]
    public static Vector256<double> Copysign(Vector256<double> a, Vector256<double> b)
        => ((a.AsInt64() & Vector256.Create(long.MinValue)) | (b.AsInt64() & Vector256.Create(long.MaxValue))).AsDouble();

    // Subnormals become zeros of their sign.
    [MethodImpl(Inline)]
    public static Vector256<float> Flush(Vector256<float> a)
    {
        var bits = a.AsInt32();
        var isSubnormal = Vector256.Equals(bits & Vector256.Create(0x7F800000), Vector256<int>.Zero);
        return Vector256.ConditionalSelect(isSubnormal, bits & Vector256.Create(int.MinValue), bits).AsSingle();
    }

    // .sat: to [0, 1], NaN to +0.
    [MethodImpl(Inline)]
    public static Vector256<float> Saturate(Vector256<float> a)
    {
        var low = Vector256.ConditionalSelect(Vector256.GreaterThan(a, Vector256<float>.Zero), a, Vector256<float>.Zero);
        return Vector256.ConditionalSelect(Vector256.LessThan(low, Vector256<float>.One), low, Vector256<float>.One);
    }

    [MethodImpl(Inline)]
    public static Vector256<double> Saturate(Vector256<double> a)
    {
        var low = Vector256.ConditionalSelect(Vector256.GreaterThan(a, Vector256<double>.Zero), a, Vector256<double>.Zero);
        return Vector256.ConditionalSelect(Vector256.LessThan(low, Vector256<double>.One), low, Vector256<double>.One);
    }

    // min and max: the number where one is NaN, the canonical NaN where both are, -0 below +0.
    [MethodImpl(Inline)]
    public static Vector256<float> Min(Vector256<float> a, Vector256<float> b)
    {
        var both = Vector256.ConditionalSelect(Vector256.Equals(a, b), (a.AsInt32() | b.AsInt32()).AsSingle(), Vector256.ConditionalSelect(Vector256.LessThan(a, b), a, b));
        return MinMaxNan(a, b, both);
    }

    [MethodImpl(Inline)]
    public static Vector256<float> Max(Vector256<float> a, Vector256<float> b)
    {
        var both = Vector256.ConditionalSelect(Vector256.Equals(a, b), (a.AsInt32() & b.AsInt32()).AsSingle(), Vector256.ConditionalSelect(Vector256.GreaterThan(a, b), a, b));
        return MinMaxNan(a, b, both);
    }

    [MethodImpl(Inline)]
    private static Vector256<float> MinMaxNan(Vector256<float> a, Vector256<float> b, Vector256<float> both)
    {
        // A comparison with NaN has chosen b; where b is the NaN it must be a, or the canonical NaN.
        var other = Vector256.ConditionalSelect(Vector256.Equals(a, a), a, Vector256.Create(CanonicalNan).AsSingle());
        return Vector256.ConditionalSelect(Vector256.Equals(b, b), both, other);
    }

    [MethodImpl(Inline)]
    public static Vector256<double> Min(Vector256<double> a, Vector256<double> b)
    {
        var both = Vector256.ConditionalSelect(Vector256.Equals(a, b), (a.AsInt64() | b.AsInt64()).AsDouble(), Vector256.ConditionalSelect(Vector256.LessThan(a, b), a, b));
        return MinMaxNan(a, b, both);
    }

    [MethodImpl(Inline)]
    public static Vector256<double> Max(Vector256<double> a, Vector256<double> b)
    {
        var both = Vector256.ConditionalSelect(Vector256.Equals(a, b), (a.AsInt64() & b.AsInt64()).AsDouble(), Vector256.ConditionalSelect(Vector256.GreaterThan(a, b), a, b));
        return MinMaxNan(a, b, both);
    }

    [MethodImpl(Inline)]
    private static Vector256<double> MinMaxNan(Vector256<double> a, Vector256<double> b, Vector256<double> both)
    {
        var other = Vector256.ConditionalSelect(Vector256.Equals(a, a), a, Vector256.Create(0x7FFFFFFFFFFFFFFFL).AsDouble());
        return Vector256.ConditionalSelect(Vector256.Equals(b, b), both, other);
    }

    // .NaN: any NaN gives the canonical NaN.
    [MethodImpl(Inline)]
    public static Vector256<float> MinNan(Vector256<float> a, Vector256<float> b)
        => Vector256.ConditionalSelect(Vector256.Equals(a, a) & Vector256.Equals(b, b), Min(a, b), Vector256.Create(CanonicalNan).AsSingle());

    [MethodImpl(Inline)]
    public static Vector256<float> MaxNan(Vector256<float> a, Vector256<float> b)
        => Vector256.ConditionalSelect(Vector256.Equals(a, a) & Vector256.Equals(b, b), Max(a, b), Vector256.Create(CanonicalNan).AsSingle());

    // ---- directed rounding

    // a * b + c rounded toward -inf, exactly: the product of two floats is exact in double, TwoSum gives the sum's error, and
    // the nearest float of the sum is one step too high where it lies above the true sum.
    [MethodImpl(Inline)]
    private static Vector256<double> RoundFloor(Vector256<double> a, Vector256<double> b, Vector256<double> c)
    {
        var p = a * b;
        var s = p + c;
        var t = s - p;
        var e = (p - (s - t)) + (c - t);

        // Where the sum overflowed or is no number, there is no error term.
        e = Vector256.ConditionalSelect(Vector256.Equals(e, e), e, Vector256<double>.Zero);
        var rounded = StepDown(s, Vector256.LessThan(e, Vector256<double>.Zero));

        // An exact zero of opposite signs is -0 toward -inf; two zeros are -0 where either is.
        var isZero = Vector256.Equals(s, Vector256<double>.Zero);
        var isSumOfZeros = isZero & Vector256.Equals(p, Vector256<double>.Zero);
        var zero = Vector256.ConditionalSelect(isSumOfZeros, p | c, Vector256.Create(-0.0));
        return Vector256.ConditionalSelect(isZero, zero, rounded);
    }

    // The largest float not above s, or not above what is a little less than s, as a double.
    [MethodImpl(Inline)]
    private static Vector256<double> StepDown(Vector256<double> s, Vector256<double> isLess)
    {
        var r4 = Vector256.Narrow(s, s);
        var r = Vector256.WidenLower(r4);
        var isAbove = Vector256.GreaterThan(r, s) | (Vector256.Equals(r, s) & isLess);
        var bits = r4.AsInt32();

        // One float down: away from zero for negative numbers, from +0 to the smallest negative one.
        var down = Vector256.ConditionalSelect(
            Vector256.Equals(bits & Vector256.Create(int.MaxValue), Vector256<int>.Zero),
            Vector256.Create(unchecked((int)0x80000001)),
            Vector256.ConditionalSelect(Vector256.LessThan(bits, Vector256<int>.Zero), bits + Vector256<int>.One, bits - Vector256<int>.One));
        return Vector256.ConditionalSelect(isAbove, Vector256.WidenLower(down.AsSingle()), r);
    }

    [MethodImpl(Call)]
    public static Vector256<float> FmaRm(Vector256<float> a, Vector256<float> b, Vector256<float> c)
        => Avx512F.IsSupported
            ? Avx512F.FusedMultiplyAdd(a.ToVector512Unsafe(), b.ToVector512Unsafe(), c.ToVector512Unsafe(), FloatRoundingMode.ToNegativeInfinity).GetLower()
            : FmaRmPortable(a, b, c);

    /// <summary>What <see cref="FmaRm(Vector256{float}, Vector256{float}, Vector256{float})"/> does on a host without embedded rounding.</summary>
    [MethodImpl(Call)]
    public static Vector256<float> FmaRmPortable(Vector256<float> a, Vector256<float> b, Vector256<float> c)
    {
        return Vector256.Narrow(
            RoundFloor(Vector256.WidenLower(a), Vector256.WidenLower(b), Vector256.WidenLower(c)),
            RoundFloor(Vector256.WidenUpper(a), Vector256.WidenUpper(b), Vector256.WidenUpper(c)));
    }

    [MethodImpl(Call)]
    public static Vector256<float> FmaRp(Vector256<float> a, Vector256<float> b, Vector256<float> c) => Neg(FmaRm(Neg(a), b, Neg(c)));

    // Toward zero: the floor of what is not negative, the ceiling of what is.
    [MethodImpl(Call)]
    public static Vector256<float> FmaRz(Vector256<float> a, Vector256<float> b, Vector256<float> c)
    {
        var floor = FmaRm(a, b, c);
        var ceiling = FmaRp(a, b, c);

        // A floor of zero belongs to a small positive value, unless the ceiling is zero too: then the ceiling has its sign.
        var isZero = Vector256.Equals(floor, Vector256<float>.Zero) & Vector256.Equals(ceiling, Vector256<float>.Zero);
        return Vector256.ConditionalSelect(Vector256.LessThan(floor, Vector256<float>.Zero) | isZero, ceiling, floor);
    }

    [MethodImpl(Call)]
    public static Vector256<float> AddRm(Vector256<float> a, Vector256<float> b) => FmaRm(a, Vector256<float>.One, b);

    [MethodImpl(Call)]
    public static Vector256<float> AddRp(Vector256<float> a, Vector256<float> b) => FmaRp(a, Vector256<float>.One, b);

    [MethodImpl(Call)]
    public static Vector256<float> AddRz(Vector256<float> a, Vector256<float> b) => FmaRz(a, Vector256<float>.One, b);

    [MethodImpl(Call)]
    public static Vector256<float> SubRm(Vector256<float> a, Vector256<float> b) => FmaRm(a, Vector256<float>.One, Neg(b));

    [MethodImpl(Call)]
    public static Vector256<float> SubRp(Vector256<float> a, Vector256<float> b) => FmaRp(a, Vector256<float>.One, Neg(b));

    [MethodImpl(Call)]
    public static Vector256<float> SubRz(Vector256<float> a, Vector256<float> b) => FmaRz(a, Vector256<float>.One, Neg(b));

    // A product's zero of the product's own sign is added, so that an exact zero keeps its sign.
    [MethodImpl(Inline)]
    private static Vector256<float> ZeroLike(Vector256<float> a, Vector256<float> b)
        => ((a.AsInt32() ^ b.AsInt32()) & Vector256.Create(int.MinValue)).AsSingle();

    [MethodImpl(Call)]
    public static Vector256<float> MulRm(Vector256<float> a, Vector256<float> b) => FmaRm(a, b, ZeroLike(a, b));

    [MethodImpl(Call)]
    public static Vector256<float> MulRp(Vector256<float> a, Vector256<float> b) => FmaRp(a, b, ZeroLike(a, b));

    [MethodImpl(Call)]
    public static Vector256<float> MulRz(Vector256<float> a, Vector256<float> b) => FmaRz(a, b, ZeroLike(a, b));

    // The same in double precision. Without embedded rounding the exact value is compared in integers: rare, so that slow is fine.
    [MethodImpl(Call)]
    public static Vector256<double> FmaRm(Vector256<double> a, Vector256<double> b, Vector256<double> c)
        => Avx512F.IsSupported
            ? Avx512F.FusedMultiplyAdd(a.ToVector512Unsafe(), b.ToVector512Unsafe(), c.ToVector512Unsafe(), FloatRoundingMode.ToNegativeInfinity).GetLower()
            : FmaRmPortable(a, b, c);

    /// <summary>What <see cref="FmaRm(Vector256{double}, Vector256{double}, Vector256{double})"/> does on a host without embedded rounding.</summary>
    [MethodImpl(Call)]
    public static Vector256<double> FmaRmPortable(Vector256<double> a, Vector256<double> b, Vector256<double> c)
        => Vector256.Create(FloorOf(a[0], b[0], c[0]), FloorOf(a[1], b[1], c[1]), FloorOf(a[2], b[2], c[2]), FloorOf(a[3], b[3], c[3]));

    private static double FloorOf(double a, double b, double c)
    {
        var nearest = Math.FusedMultiplyAdd(a, b, c);
        if (!double.IsFinite(a) || !double.IsFinite(b) || !double.IsFinite(c) || double.IsNegativeInfinity(nearest))
        {
            return nearest;
        }

        var candidate = Math.Min(nearest, double.MaxValue);
        var exact = (Scaled(a) * Scaled(b)) + (Scaled(c) << 1074);
        if (exact.IsZero)
        {
            // Zeros of one sign keep it; others meet in -0.
            var isNegativeProduct = double.IsNegative(a) != double.IsNegative(b);
            return c == 0 && (a == 0 || b == 0) && !isNegativeProduct && !double.IsNegative(c) ? 0.0 : -0.0;
        }

        return (Scaled(candidate) << 1074) > exact ? Math.BitDecrement(candidate) : candidate;
    }

    // In units of the smallest double.
    private static BigInteger Scaled(double x)
    {
        var bits = BitConverter.DoubleToInt64Bits(x);
        var exponent = (int)(bits >> 52) & 0x7FF;
        var value = new BigInteger((bits & 0xFFFFFFFFFFFFF) | (exponent == 0 ? 0 : 1L << 52)) << (Math.Max(exponent, 1) - 1);
        return bits < 0 ? -value : value;
    }

    [MethodImpl(Call)]
    public static Vector256<double> FmaRp(Vector256<double> a, Vector256<double> b, Vector256<double> c) => Neg(FmaRm(Neg(a), b, Neg(c)));

    [MethodImpl(Call)]
    public static Vector256<double> FmaRz(Vector256<double> a, Vector256<double> b, Vector256<double> c)
    {
        var floor = FmaRm(a, b, c);
        var ceiling = FmaRp(a, b, c);
        var isZero = Vector256.Equals(floor, Vector256<double>.Zero) & Vector256.Equals(ceiling, Vector256<double>.Zero);
        return Vector256.ConditionalSelect(Vector256.LessThan(floor, Vector256<double>.Zero) | isZero, ceiling, floor);
    }

    [MethodImpl(Inline)]
    private static Vector256<double> ZeroLike(Vector256<double> a, Vector256<double> b)
        => ((a.AsInt64() ^ b.AsInt64()) & Vector256.Create(long.MinValue)).AsDouble();

    [MethodImpl(Call)]
    public static Vector256<double> AddRm(Vector256<double> a, Vector256<double> b) => FmaRm(a, Vector256<double>.One, b);

    [MethodImpl(Call)]
    public static Vector256<double> SubRm(Vector256<double> a, Vector256<double> b) => FmaRm(a, Vector256<double>.One, Neg(b));

    [MethodImpl(Call)]
    public static Vector256<double> MulRm(Vector256<double> a, Vector256<double> b) => FmaRm(a, b, ZeroLike(a, b));

    [MethodImpl(Call)]
    public static Vector256<double> AddRp(Vector256<double> a, Vector256<double> b) => FmaRp(a, Vector256<double>.One, b);

    [MethodImpl(Call)]
    public static Vector256<double> SubRp(Vector256<double> a, Vector256<double> b) => FmaRp(a, Vector256<double>.One, Neg(b));

    [MethodImpl(Call)]
    public static Vector256<double> MulRp(Vector256<double> a, Vector256<double> b) => FmaRp(a, b, ZeroLike(a, b));

    [MethodImpl(Call)]
    public static Vector256<double> AddRz(Vector256<double> a, Vector256<double> b) => FmaRz(a, Vector256<double>.One, b);

    [MethodImpl(Call)]
    public static Vector256<double> SubRz(Vector256<double> a, Vector256<double> b) => FmaRz(a, Vector256<double>.One, Neg(b));

    [MethodImpl(Call)]
    public static Vector256<double> MulRz(Vector256<double> a, Vector256<double> b) => FmaRz(a, b, ZeroLike(a, b));

    // ---- reciprocals and roots

    [MethodImpl(Inline)]
    public static Vector256<float> Rcp(Vector256<float> a) => Vector256<float>.One / a;

    [MethodImpl(Inline)]
    public static Vector256<double> Rcp(Vector256<double> a) => Vector256<double>.One / a;

    [MethodImpl(Inline)]
    public static Vector256<float> Rsqrt(Vector256<float> a) => Vector256<float>.One / Vector256.Sqrt(a);

    [MethodImpl(Inline)]
    public static Vector256<double> Rsqrt(Vector256<double> a) => Vector256<double>.One / Vector256.Sqrt(a);

    // rcp.approx.ftz.f64 and rsqrt.approx.ftz.f64 see the upper 32 bits and give the upper 32 bits.
    [MethodImpl(Inline)]
    private static Vector256<double> UpperWord(Vector256<double> a)
    {
        var bits = a.AsInt64() & Vector256.Create(unchecked((long)0xFFFFFFFF00000000));
        var isSubnormal = Vector256.Equals(bits & Vector256.Create(0x7FF0000000000000L), Vector256<long>.Zero);
        return Vector256.ConditionalSelect(isSubnormal, bits & Vector256.Create(long.MinValue), bits).AsDouble();
    }

    [MethodImpl(Call)]
    public static Vector256<double> RcpUpper(Vector256<double> a) => UpperWord(Vector256<double>.One / UpperWord(a));

    [MethodImpl(Call)]
    public static Vector256<double> RsqrtUpper(Vector256<double> a) => UpperWord(Vector256<double>.One / Vector256.Sqrt(UpperWord(a)));

    // ---- approximate functions

    // 2^x as 2^n 2^f with |f| <= 1/2 and a Taylor polynomial of degree 7, whose remainder is 5.2e-9. With the roundings of
    // Horner's rule the relative error stays below 2^-23 (the ISA allows 2^-22). Exact for integral x.
    [MethodImpl(Call)]
    public static Vector256<float> Ex2(Vector256<float> x)
    {
        var bound = Vector256.Create(160f);
        var clamped = Vector256.ConditionalSelect(Vector256.LessThan(x, bound), x, bound);
        clamped = Vector256.ConditionalSelect(Vector256.GreaterThan(clamped, -bound), clamped, -bound);
        var magic = Vector256.Create(12582912f);
        var shifted = clamped + magic;
        var n = shifted - magic;
        var f = clamped - n;
        var p = Vector256.Create(1.52527338e-5f);
        p = Vector256.FusedMultiplyAdd(p, f, Vector256.Create(1.54035304e-4f));
        p = Vector256.FusedMultiplyAdd(p, f, Vector256.Create(1.33335581e-3f));
        p = Vector256.FusedMultiplyAdd(p, f, Vector256.Create(9.61812911e-3f));
        p = Vector256.FusedMultiplyAdd(p, f, Vector256.Create(5.55041087e-2f));
        p = Vector256.FusedMultiplyAdd(p, f, Vector256.Create(2.40226507e-1f));
        p = Vector256.FusedMultiplyAdd(p, f, Vector256.Create(6.93147181e-1f));
        p = Vector256.FusedMultiplyAdd(p, f, Vector256<float>.One);

        // The scale in two factors, so that subnormal results are rounded once and overflow is infinite.
        var exponent = shifted.AsInt32() - magic.AsInt32();
        var half = exponent >> 1;
        var first = ((half + Vector256.Create(127)) << 23).AsSingle();
        var second = ((exponent - half + Vector256.Create(127)) << 23).AsSingle();
        return Vector256.ConditionalSelect(Vector256.Equals(x, x), p * first * second, Vector256.Create(CanonicalNan).AsSingle());
    }

    // log2 x = e + log2 m with m in [sqrt 1/2, sqrt 2), by the series of atanh((m-1)/(m+1)) up to the 11th power, remainder
    // below 2^-33. Absolute error below 2^-23 in [1/2, 2], relative error below 2^-22.6 elsewhere.
    [MethodImpl(Call)]
    public static Vector256<float> Lg2(Vector256<float> x)
    {
        var isSubnormal = Vector256.LessThan(x, Vector256.Create(1.17549435e-38f));
        var scaled = Vector256.ConditionalSelect(isSubnormal, x * Vector256.Create(8388608f), x);
        var bits = scaled.AsInt32();
        var shifted = bits - Vector256.Create(0x3F3504F3);
        var e = Vector256.ConvertToSingle(shifted >> 23) - (isSubnormal & Vector256.Create(23f));
        var m = ((shifted & Vector256.Create(0x007FFFFF)) + Vector256.Create(0x3F3504F3)).AsSingle();
        var t = m - Vector256<float>.One;
        var s = t / (m + Vector256<float>.One);
        var z = s * s;
        var p = Vector256.Create(0.2623082f);
        p = Vector256.FusedMultiplyAdd(p, z, Vector256.Create(0.32059890f));
        p = Vector256.FusedMultiplyAdd(p, z, Vector256.Create(0.41219858f));
        p = Vector256.FusedMultiplyAdd(p, z, Vector256.Create(0.57707802f));
        p = Vector256.FusedMultiplyAdd(p, z, Vector256.Create(0.96179669f));
        p = Vector256.FusedMultiplyAdd(p * z, s, s * Vector256.Create(2.8853901f));
        var result = e + p;

        var nan = Vector256.Create(CanonicalNan).AsSingle();
        result = Vector256.ConditionalSelect(Vector256.Equals(x, Vector256.Create(float.PositiveInfinity)), x, result);
        result = Vector256.ConditionalSelect(Vector256.Equals(x, Vector256<float>.Zero), Vector256.Create(float.NegativeInfinity), result);
        return Vector256.ConditionalSelect(Vector256.GreaterThanOrEqual(x, Vector256<float>.Zero), result, nan);
    }

    // Sine and cosine in double: reduction by pi/2 in two parts, then Taylor polynomials on [-pi/4, pi/4].
    [MethodImpl(Inline)]
    private static Vector256<double> SinePart(Vector256<double> x, Vector256<double> quadrantOffset)
    {
        var k = Vector256.Round(x * Vector256.Create(0.63661977236758134));
        var r = Vector256.FusedMultiplyAdd(k, Vector256.Create(-1.5707963267948966), x);
        r = Vector256.FusedMultiplyAdd(k, Vector256.Create(-6.123233995736766e-17), r);
        var z = r * r;
        var s = Vector256.Create(-2.5052108385441718e-8);
        s = Vector256.FusedMultiplyAdd(s, z, Vector256.Create(2.7557319223985893e-6));
        s = Vector256.FusedMultiplyAdd(s, z, Vector256.Create(-1.9841269841269841e-4));
        s = Vector256.FusedMultiplyAdd(s, z, Vector256.Create(8.3333333333333333e-3));
        s = Vector256.FusedMultiplyAdd(s, z, Vector256.Create(-1.6666666666666667e-1));
        s = Vector256.FusedMultiplyAdd(s * z, r, r);
        var c = Vector256.Create(2.08767569878681e-9);
        c = Vector256.FusedMultiplyAdd(c, z, Vector256.Create(-2.7557319223985888e-7));
        c = Vector256.FusedMultiplyAdd(c, z, Vector256.Create(2.4801587301587302e-5));
        c = Vector256.FusedMultiplyAdd(c, z, Vector256.Create(-1.3888888888888889e-3));
        c = Vector256.FusedMultiplyAdd(c, z, Vector256.Create(4.1666666666666667e-2));
        c = Vector256.FusedMultiplyAdd(c, z, Vector256.Create(-0.5));
        c = Vector256.FusedMultiplyAdd(c, z, Vector256<double>.One);

        // Quadrant q = k mod 4: odd ones take the cosine, the upper two are negative.
        var q = k + quadrantOffset;
        q -= Vector256.Create(4.0) * Vector256.Floor(q * Vector256.Create(0.25));
        var isOdd = Vector256.Equals(q, Vector256<double>.One) | Vector256.Equals(q, Vector256.Create(3.0));
        var isNegative = Vector256.GreaterThanOrEqual(q, Vector256.Create(2.0));
        var value = Vector256.ConditionalSelect(isOdd, c, s);
        return (value.AsInt64() ^ (isNegative.AsInt64() & Vector256.Create(long.MinValue))).AsDouble();
    }

    // Absolute error below 2^-24 for |x| up to 2^20 (the ISA: 2^-20.9 in [-pi, pi]); infinities give NaN.
    [MethodImpl(Call)]
    public static Vector256<float> Sin(Vector256<float> x)
        => NanWhereInfinite(x, Vector256.Narrow(
            SinePart(Vector256.WidenLower(x), Vector256<double>.Zero),
            SinePart(Vector256.WidenUpper(x), Vector256<double>.Zero)));

    [MethodImpl(Call)]
    public static Vector256<float> Cos(Vector256<float> x)
        => NanWhereInfinite(x, Vector256.Narrow(
            SinePart(Vector256.WidenLower(x), Vector256<double>.One),
            SinePart(Vector256.WidenUpper(x), Vector256<double>.One)));

    [MethodImpl(Inline)]
    private static Vector256<float> NanWhereInfinite(Vector256<float> x, Vector256<float> value)
        => Vector256.ConditionalSelect(Vector256.LessThan(Abs(x), Vector256.Create(float.PositiveInfinity)), value, Vector256.Create(CanonicalNan).AsSingle());

    // tanh x = 1 - 2 / (e^2x + 1), and its Taylor series where that would cancel. Relative error below 2^-20 (the ISA: 2^-11).
    [MethodImpl(Call)]
    public static Vector256<float> Tanh(Vector256<float> x)
    {
        var a = Abs(x);
        var e = Ex2(a * Vector256.Create(2.8853901f));
        var large = Vector256<float>.One - (Vector256.Create(2f) / (e + Vector256<float>.One));
        var z = x * x;
        var p = Vector256.Create(0.021869488f);
        p = Vector256.FusedMultiplyAdd(p, z, Vector256.Create(-0.053968254f));
        p = Vector256.FusedMultiplyAdd(p, z, Vector256.Create(0.13333333f));
        p = Vector256.FusedMultiplyAdd(p, z, Vector256.Create(-0.33333333f));
        var small = Vector256.FusedMultiplyAdd(p * z, a, a);
        var magnitude = Vector256.ConditionalSelect(Vector256.LessThan(a, Vector256.Create(0.3f)), small, large);
        return Copysign(x, magnitude);
    }

    // ---- predicates

    [MethodImpl(Inline)]
    public static Vector256<float> NeOrdered(Vector256<float> a, Vector256<float> b)
        => Vector256.LessThan(a, b) | Vector256.GreaterThan(a, b);

    [MethodImpl(Inline)]
    public static Vector256<double> NeOrdered(Vector256<double> a, Vector256<double> b)
        => Vector256.LessThan(a, b) | Vector256.GreaterThan(a, b);

    [MethodImpl(Inline)]
    public static Vector256<float> BothNumbers(Vector256<float> a, Vector256<float> b) => Vector256.Equals(a, a) & Vector256.Equals(b, b);

    [MethodImpl(Inline)]
    public static Vector256<double> BothNumbers(Vector256<double> a, Vector256<double> b) => Vector256.Equals(a, a) & Vector256.Equals(b, b);

    [MethodImpl(Call)]
    public static Vector256<float> Testp(Vector256<float> a, int test)
    {
        var bits = a.AsInt32() & Vector256.Create(int.MaxValue);
        var infinity = Vector256.Create(0x7F800000);
        var isSubnormal = Vector256.LessThan(bits, Vector256.Create(0x00800000)) & Vector256.GreaterThan(bits, Vector256<int>.Zero);
        var isFinite = Vector256.LessThan(bits, infinity);
        return (test switch
        {
            0 => isFinite,
            1 => Vector256.Equals(bits, infinity),
            2 => ~Vector256.GreaterThan(bits, infinity),
            3 => Vector256.GreaterThan(bits, infinity),
            4 => isFinite & Vector256.GreaterThanOrEqual(bits, Vector256.Create(0x00800000)),
            _ => isSubnormal,
        }).AsSingle();
    }

    [MethodImpl(Call)]
    public static Vector256<double> Testp(Vector256<double> a, int test)
    {
        var bits = a.AsInt64() & Vector256.Create(long.MaxValue);
        var infinity = Vector256.Create(0x7FF0000000000000L);
        var isSubnormal = Vector256.LessThan(bits, Vector256.Create(0x0010000000000000L)) & Vector256.GreaterThan(bits, Vector256<long>.Zero);
        var isFinite = Vector256.LessThan(bits, infinity);
        return (test switch
        {
            0 => isFinite,
            1 => Vector256.Equals(bits, infinity),
            2 => ~Vector256.GreaterThan(bits, infinity),
            3 => Vector256.GreaterThan(bits, infinity),
            4 => isFinite & Vector256.GreaterThanOrEqual(bits, Vector256.Create(0x0010000000000000L)),
            _ => isSubnormal,
        }).AsDouble();
    }
}
