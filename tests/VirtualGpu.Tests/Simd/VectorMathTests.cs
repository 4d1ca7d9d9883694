// Exponential and error function against double (and, for double, against series) over their whole range, at both widths.
using System.Runtime.Intrinsics;
using FashionFlow.VirtualGpu.Simd;

namespace FashionFlow.VirtualGpu.Tests.Simd;

public unsafe class VectorMathTests
{
    // 2 ulp and 3 ulp are the documented bounds; Math.Exp and the oracle's erf are exact to a float.
    [Test]
    public void Float_exp_is_within_2_ulp_and_erf_within_3()
    {
        double worstExp = 0, worstErf = 0;
        for (var i = -87_000; i <= 88_000; i += 7)
        {
            var x = i / 1000f;
            worstExp = Math.Max(worstExp, Ulps(Exp256(x), Math.Exp(x)));
        }

        for (var i = -50_000; i <= 50_000; i++)
        {
            var x = i / 10_000f;
            worstErf = Math.Max(worstErf, Ulps(Erf256(x), Oracle.Erf(x)));
        }

        TestContext.Out.WriteLine($"exp {worstExp:F3} ulp, erf {worstErf:F3} ulp");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(worstExp, Is.LessThan(2));
            Assert.That(worstErf, Is.LessThan(3));
        }
    }

    // libm's exp is good to about 1 ulp, hence 3 for a bound of 2; erf is held to 28-digit arithmetic.
    [Test]
    public void Double_exp_is_within_2_ulp_and_erf_within_4()
    {
        double worstExp = 0, worstErf = 0;
        for (var i = -70_000; i <= 70_000; i += 3)
        {
            var x = i / 100.0;
            worstExp = Math.Max(worstExp, Math.Abs(Exp256(x) - Math.Exp(x)) / (Math.BitIncrement(Math.Exp(x)) - Math.Exp(x)));
        }

        for (var i = 1; i <= 6_200; i++)
        {
            var x = i / 1000.0;
            var exact = x <= 3 ? ErfDecimal((decimal)x) : 1 - (decimal)Oracle.Erfc(x);
            worstErf = Math.Max(worstErf, (double)Math.Abs(ToDecimal(Erf256((double)(decimal)x)) - exact) / (Math.BitIncrement((double)exact) - (double)exact));
            Assert.That(Erf256(-x), Is.EqualTo(-Erf256(x)));
        }

        TestContext.Out.WriteLine($"exp {worstExp:F3} ulp, erf {worstErf:F3} ulp");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(worstExp, Is.LessThan(3));
            Assert.That(worstErf, Is.LessThan(4));
        }
    }

    [Test]
    public void Ends_of_the_range_and_special_values()
    {
        using (Assert.EnterMultipleScope())
        {
            Assert.That(Exp256(float.NegativeInfinity), Is.Zero);
            Assert.That(Exp256(-200f), Is.Zero);
            Assert.That(Exp256(89f), Is.EqualTo(float.PositiveInfinity));
            Assert.That(Exp256(float.PositiveInfinity), Is.EqualTo(float.PositiveInfinity));
            Assert.That(Exp256(float.NaN), Is.NaN);
            Assert.That(Exp256(0f), Is.EqualTo(1f));
            Assert.That(Exp256(-100f), Is.GreaterThan(0f).And.LessThan(1e-43f), "subnormal");
            Assert.That(Exp256(800.0), Is.EqualTo(double.PositiveInfinity));
            Assert.That(Exp256(-800.0), Is.Zero);
            Assert.That(Erf256(float.PositiveInfinity), Is.EqualTo(1f));
            Assert.That(Erf256(-10f), Is.EqualTo(-1f));
            Assert.That(Erf256(float.NaN), Is.NaN);
            Assert.That(Erf256(double.NegativeInfinity), Is.EqualTo(-1.0));
            Assert.That(float.IsNegative(Erf256(-0f)));
        }
    }

    [Test]
    public void Both_widths_give_the_same_bits()
    {
        for (var i = -4000; i <= 4000; i++)
        {
            var x = i * 0.0271f;
            Assert.That(Exp512(x), Is.EqualTo(Exp256(x)));
            Assert.That(Erf512(x), Is.EqualTo(Erf256(x)));
            Assert.That(Exp512((double)x), Is.EqualTo(Exp256((double)x)));
            Assert.That(Erf512((double)x), Is.EqualTo(Erf256((double)x)));
        }
    }

    // Conversion to decimal keeps 15 digits; a double's own value needs them all.
    private static decimal ToDecimal(double value)
    {
        var scaled = Math.ScaleB(value, 53);
        return new decimal(Math.Floor(scaled / (1L << 26))) * (1L << 26) / (1L << 53) + (new decimal(scaled % (1L << 26)) / (1L << 53));
    }

    // erf(x) = 2 / sqrt(pi) * sum of (-1)^n x^(2n+1) / (n! (2n+1)); up to 3 the largest term costs 4 of decimal's 28 digits.
    private static decimal ErfDecimal(decimal x)
    {
        decimal power = x, sum = x;
        for (var n = 1; Math.Abs(power) > 1e-28m; n++)
        {
            power *= -x * x / n;
            sum += power / ((2 * n) + 1);
        }

        return sum * 1.1283791670955125738961589031m;
    }

    private static double Ulps(float value, double exact)
    {
        var magnitude = (float)Math.Abs(exact);
        return Math.Abs(value - exact) / (MathF.BitIncrement(magnitude) - magnitude);
    }

    private static float Exp256(float x) => VectorMath.Exp<Simd256<float>, Vector256<float>, float>(Vector256.Create(x))[0];

    private static float Erf256(float x) => VectorMath.Erf<Simd256<float>, Vector256<float>, float>(Vector256.Create(x))[7];

    private static double Exp256(double x) => VectorMath.Exp<Simd256<double>, Vector256<double>, double>(Vector256.Create(x))[0];

    private static double Erf256(double x) => VectorMath.Erf<Simd256<double>, Vector256<double>, double>(Vector256.Create(x))[3];

    private static float Exp512(float x) => VectorMath.Exp<Simd512<float>, Vector512<float>, float>(Vector512.Create(x))[0];

    private static float Erf512(float x) => VectorMath.Erf<Simd512<float>, Vector512<float>, float>(Vector512.Create(x))[15];

    private static double Exp512(double x) => VectorMath.Exp<Simd512<double>, Vector512<double>, double>(Vector512.Create(x))[0];

    private static double Erf512(double x) => VectorMath.Erf<Simd512<double>, Vector512<double>, double>(Vector512.Create(x))[7];
}
