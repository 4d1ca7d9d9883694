// Exponential, error function and the activations built on them, with our own polynomials (Chebyshev interpolation in 50-digit
// arithmetic), so that their bits depend on neither the host's libm nor the vector width.
using System.Runtime.CompilerServices;
using FashionFlow.Gpu;

namespace FashionFlow.VirtualGpu.Simd;

/// <summary>Functions on vectors of float or double. Their errors are stated in units in the last place (ulp) of that type.</summary>
internal static class VectorMath
{
    /// <summary>1.5 x 2^23: adding it rounds a float to a whole number, kept in the low bits of the sum.</summary>
    public const double MagicFloat = 12582912;

    /// <summary>1.5 x 2^52: the same for double.</summary>
    public const double MagicDouble = 6755399441055744;

    /// <summary>The activation of a product or convolution.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Activate<TSimd, TVector, T>(Epilogue epilogue, TVector x)
        where TSimd : struct, ISimd<TVector, T>
        where T : unmanaged
        => epilogue switch
        {
            Epilogue.Silu => SigmoidProduct<TSimd, TVector, T>(x, 1),
            Epilogue.QuickGelu => SigmoidProduct<TSimd, TVector, T>(x, 1.702),
            Epilogue.Gelu => Gelu<TSimd, TVector, T>(x),
            _ => x,
        };

    /// <summary>x sigmoid(factor x) = x / (1 + exp(-factor x)).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector SigmoidProduct<TSimd, TVector, T>(TVector x, double factor)
        where TSimd : struct, ISimd<TVector, T>
        where T : unmanaged
    {
        var power = Exp<TSimd, TVector, T>(TSimd.Multiply(x, TSimd.Constant(-factor)));
        return TSimd.Divide(x, TSimd.Add(TSimd.Constant(1), power));
    }

    /// <summary>x Phi(x) = x (1 + erf(x / sqrt 2)) / 2.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Gelu<TSimd, TVector, T>(TVector x)
        where TSimd : struct, ISimd<TVector, T>
        where T : unmanaged
    {
        var half = TSimd.Multiply(x, TSimd.Constant(0.5));
        return TSimd.MultiplyAdd(half, Erf<TSimd, TVector, T>(TSimd.Multiply(x, TSimd.Constant(0.7071067811865476))), half);
    }

    /// <summary>exp(x), within 2 ulp where the result is normal; 0 and infinity beyond the type's range.</summary>
    /// <remarks>x = n ln 2 + r with |r| at most ln 2 / 2; exp(r) by a polynomial; times 2^n in two steps, which lets results become
    /// subnormal.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Exp<TSimd, TVector, T>(TVector x)
        where TSimd : struct, ISimd<TVector, T>
        where T : unmanaged
    {
        var single = typeof(T) == typeof(float);
        var low = TSimd.Constant(single ? -110 : -760);
        var high = TSimd.Constant(single ? 100 : 720);
        x = TSimd.SelectLess(x, low, low, TSimd.SelectLess(high, x, high, x));
        var magic = TSimd.Constant(single ? MagicFloat : MagicDouble);
        var n = TSimd.Subtract(TSimd.MultiplyAdd(x, TSimd.Constant(1.4426950408889634), magic), magic);
        TVector r, p;
        if (single)
        {
            // ln 2 in two parts, the first with so few bits that n times it is exact.
            r = TSimd.MultiplyAdd(n, TSimd.Constant(-0.693359375), x);
            r = TSimd.MultiplyAdd(n, TSimd.Constant(2.1219444005469057e-4), r);
            p = TSimd.Constant(0.00019891080463998843);
            p = TSimd.MultiplyAdd(p, r, TSimd.Constant(0.0013933730715792083));
            p = TSimd.MultiplyAdd(p, r, TSimd.Constant(0.008333310844647862));
            p = TSimd.MultiplyAdd(p, r, TSimd.Constant(0.04166646419740569));
            p = TSimd.MultiplyAdd(p, r, TSimd.Constant(0.16666666681704215));
            p = TSimd.MultiplyAdd(p, r, TSimd.Constant(0.500000001353873));
        }
        else
        {
            r = TSimd.MultiplyAdd(n, TSimd.Constant(-6.93147180369123816490e-01), x);
            r = TSimd.MultiplyAdd(n, TSimd.Constant(-1.90821492927058770002e-10), r);
            p = TSimd.Constant(2.09147553258932e-09);
            p = TSimd.MultiplyAdd(p, r, TSimd.Constant(2.5105312729622103e-08));
            p = TSimd.MultiplyAdd(p, r, TSimd.Constant(2.755727347871858e-07));
            p = TSimd.MultiplyAdd(p, r, TSimd.Constant(2.755725517000089e-06));
            p = TSimd.MultiplyAdd(p, r, TSimd.Constant(2.480158732567746e-05));
            p = TSimd.MultiplyAdd(p, r, TSimd.Constant(0.0001984126987500228));
            p = TSimd.MultiplyAdd(p, r, TSimd.Constant(0.0013888888888883711));
            p = TSimd.MultiplyAdd(p, r, TSimd.Constant(0.008333333333326084));
            p = TSimd.MultiplyAdd(p, r, TSimd.Constant(0.04166666666666667));
            p = TSimd.MultiplyAdd(p, r, TSimd.Constant(0.1666666666666667));
            p = TSimd.MultiplyAdd(p, r, TSimd.Constant(0.5));
        }

        p = TSimd.Add(TSimd.MultiplyAdd(TSimd.Multiply(r, r), p, r), TSimd.Constant(1));
        var halfN = TSimd.Subtract(TSimd.MultiplyAdd(n, TSimd.Constant(0.5), magic), magic);
        return TSimd.Multiply(TSimd.Multiply(p, TSimd.PowerOfTwo(halfN)), TSimd.PowerOfTwo(TSimd.Subtract(n, halfN)));
    }

    /// <summary>erf(x), within 3 ulp for float and 4 ulp for double.</summary>
    /// <remarks>Up to 1 by x + x P(x^2), beyond by 1 - exp(-Q(|x|)), where Q is a polynomial for -ln erfc.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Erf<TSimd, TVector, T>(TVector x)
        where TSimd : struct, ISimd<TVector, T>
        where T : unmanaged
    {
        var one = TSimd.Constant(1);
        var t = TSimd.Abs(x);
        var square = TSimd.Multiply(x, x);
        TVector p, small, u;
        if (typeof(T) == typeof(float))
        {
            p = TSimd.Constant(7.875875062685488e-05);
            p = TSimd.MultiplyAdd(p, square, TSimd.Constant(-0.000801686428716587));
            p = TSimd.MultiplyAdd(p, square, TSimd.Constant(0.005189087423433974));
            p = TSimd.MultiplyAdd(p, square, TSimd.Constant(-0.026854212010626412));
            p = TSimd.MultiplyAdd(p, square, TSimd.Constant(0.11283594715160218));
            p = TSimd.MultiplyAdd(p, square, TSimd.Constant(-0.37612626666720334));
            p = TSimd.MultiplyAdd(p, square, TSimd.Constant(0.12837916584835093));
            small = TSimd.MultiplyAdd(x, p, x);

            // On [1, 4], u = (2 t - 5) / 3; erf(4) rounds to 1.
            u = TSimd.SelectLess(t, TSimd.Constant(4), t, TSimd.Constant(4));
            u = TSimd.MultiplyAdd(u, TSimd.Constant(0.6666666666666666), TSimd.Constant(-1.6666666666666667));
            p = TSimd.Constant(-4.195840012167537e-05);
            p = TSimd.MultiplyAdd(p, u, TSimd.Constant(0.00022749950380415685));
            p = TSimd.MultiplyAdd(p, u, TSimd.Constant(-0.0008803970815024043));
            p = TSimd.MultiplyAdd(p, u, TSimd.Constant(0.0031903054131416668));
            p = TSimd.MultiplyAdd(p, u, TSimd.Constant(-0.010961849217635256));
            p = TSimd.MultiplyAdd(p, u, TSimd.Constant(0.03664757804477679));
            p = TSimd.MultiplyAdd(p, u, TSimd.Constant(2.123760833123964));
            p = TSimd.MultiplyAdd(p, u, TSimd.Constant(8.02902101133673));
            p = TSimd.MultiplyAdd(p, u, TSimd.Constant(7.806815272727264));
        }
        else
        {
            p = TSimd.Constant(5.957176147748911e-11);
            p = TSimd.MultiplyAdd(p, square, TSimd.Constant(-1.1372848856791674e-09));
            p = TSimd.MultiplyAdd(p, square, TSimd.Constant(1.4659775274047436e-08));
            p = TSimd.MultiplyAdd(p, square, TSimd.Constant(-1.6350312701054695e-07));
            p = TSimd.MultiplyAdd(p, square, TSimd.Constant(1.6461000484121368e-06));
            p = TSimd.MultiplyAdd(p, square, TSimd.Constant(-1.4925595266831182e-05));
            p = TSimd.MultiplyAdd(p, square, TSimd.Constant(0.0001205533111164271));
            p = TSimd.MultiplyAdd(p, square, TSimd.Constant(-0.000854832698083379));
            p = TSimd.MultiplyAdd(p, square, TSimd.Constant(0.0052239776248180145));
            p = TSimd.MultiplyAdd(p, square, TSimd.Constant(-0.026866170645076792));
            p = TSimd.MultiplyAdd(p, square, TSimd.Constant(0.11283791670954879));
            p = TSimd.MultiplyAdd(p, square, TSimd.Constant(-0.3761263890318375));
            p = TSimd.MultiplyAdd(p, square, TSimd.Constant(0.1283791670955126));
            small = TSimd.MultiplyAdd(x, p, x);

            // On [1, 6], u = (2 t - 7) / 5; erf(6) rounds to 1.
            u = TSimd.SelectLess(t, TSimd.Constant(6), t, TSimd.Constant(6));
            u = TSimd.MultiplyAdd(u, TSimd.Constant(0.4), TSimd.Constant(-1.4));
            p = TSimd.Constant(7.159677424539575e-09);
            p = TSimd.MultiplyAdd(p, u, TSimd.Constant(-1.8019347257583866e-08));
            p = TSimd.MultiplyAdd(p, u, TSimd.Constant(-4.239998243092615e-09));
            p = TSimd.MultiplyAdd(p, u, TSimd.Constant(3.763040107372945e-08));
            p = TSimd.MultiplyAdd(p, u, TSimd.Constant(-2.0037511430812822e-08));
            p = TSimd.MultiplyAdd(p, u, TSimd.Constant(7.64411331566818e-08));
            p = TSimd.MultiplyAdd(p, u, TSimd.Constant(-3.9018039170275555e-07));
            p = TSimd.MultiplyAdd(p, u, TSimd.Constant(9.678311639437117e-07));
            p = TSimd.MultiplyAdd(p, u, TSimd.Constant(-1.914247497267893e-06));
            p = TSimd.MultiplyAdd(p, u, TSimd.Constant(3.387990651103627e-06));
            p = TSimd.MultiplyAdd(p, u, TSimd.Constant(-4.56748228287393e-06));
            p = TSimd.MultiplyAdd(p, u, TSimd.Constant(1.4917592686842429e-06));
            p = TSimd.MultiplyAdd(p, u, TSimd.Constant(1.8474935013349413e-05));
            p = TSimd.MultiplyAdd(p, u, TSimd.Constant(-9.090481707720762e-05));
            p = TSimd.MultiplyAdd(p, u, TSimd.Constant(0.00030781949005153524));
            p = TSimd.MultiplyAdd(p, u, TSimd.Constant(-0.000893575902216765));
            p = TSimd.MultiplyAdd(p, u, TSimd.Constant(0.0023739972871857783));
            p = TSimd.MultiplyAdd(p, u, TSimd.Constant(-0.005953704546707301));
            p = TSimd.MultiplyAdd(p, u, TSimd.Constant(0.014384548330034056));
            p = TSimd.MultiplyAdd(p, u, TSimd.Constant(-0.034128411075984806));
            p = TSimd.MultiplyAdd(p, u, TSimd.Constant(0.0816509097178122));
            p = TSimd.MultiplyAdd(p, u, TSimd.Constant(6.04220659213886));
            p = TSimd.MultiplyAdd(p, u, TSimd.Constant(18.165248970912977));
            p = TSimd.MultiplyAdd(p, u, TSimd.Constant(14.112437402148174));
        }

        var large = TSimd.Subtract(one, Exp<TSimd, TVector, T>(TSimd.Subtract(TSimd.Zero, p)));
        return TSimd.SelectLess(one, t, TSimd.CopySign(large, x), small);
    }
}
