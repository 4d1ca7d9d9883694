// The approximate functions against double precision, within the bounds of the PTX ISA; directed rounding with and without
// the host's own.
using System.Runtime.Intrinsics;
using FashionFlow.VirtualGpu.Jit;

namespace FashionFlow.VirtualGpu.Tests.Jit;

internal sealed class LaneMathTests
{
    private static IEnumerable<float> Grid(double low, double high, int count)
        => Enumerable.Range(0, count).Select(i => (float)(low + ((high - low) * i / (count - 1))));

    [Test]
    public void PowerOfTwo()
    {
        // ISA: relative error at most 2^-22.
        foreach (var x in Grid(-126, 127.9, 40_001))
        {
            var right = Math.Pow(2, x);
            Assert.That((double)LaneMath.Ex2(Vector256.Create(x)).ToScalar(), Is.EqualTo(right).Within(right * Math.Pow(2, -22)));
        }

        Assert.That(LaneMath.Ex2(Vector256.Create(-200f)).ToScalar(), Is.Zero);
        Assert.That(LaneMath.Ex2(Vector256.Create(float.NegativeInfinity)).ToScalar(), Is.Zero);
        Assert.That(LaneMath.Ex2(Vector256.Create(128f)).ToScalar(), Is.EqualTo(float.PositiveInfinity));
        Assert.That(LaneMath.Ex2(Vector256.Create(-149f)).ToScalar(), Is.EqualTo(float.Epsilon));
        Assert.That(LaneMath.Ex2(Vector256.Create(float.NaN)).ToScalar(), Is.NaN);
    }

    [Test]
    public void LogarithmToBaseTwo()
    {
        // ISA: absolute error at most 2^-22.6 in [0.5, 2], else relative error at most 2^-22.6.
        foreach (var x in Grid(0.5, 2, 40_001).Concat(Grid(1e-30, 1e30, 1001)).Concat(Grid(1e-44, 1e-38, 101)))
        {
            var right = Math.Log2(x);
            Assert.That((double)LaneMath.Lg2(Vector256.Create(x)).ToScalar(), Is.EqualTo(right).Within(Math.Max(1, Math.Abs(right)) * Math.Pow(2, -22.6)), () => $"{x}");
        }

        Assert.That(LaneMath.Lg2(Vector256.Create(0f)).ToScalar(), Is.EqualTo(float.NegativeInfinity));
        Assert.That(LaneMath.Lg2(Vector256.Create(-1f)).ToScalar(), Is.NaN);
        Assert.That(LaneMath.Lg2(Vector256.Create(float.PositiveInfinity)).ToScalar(), Is.EqualTo(float.PositiveInfinity));
    }

    [Test]
    public void SineAndCosine()
    {
        // ISA: absolute error at most 2^-20.9 in [-pi, pi].
        foreach (var x in Grid(-Math.PI, Math.PI, 20_001).Concat(Grid(-1e4, 1e4, 2001)))
        {
            Assert.That((double)LaneMath.Sin(Vector256.Create(x)).ToScalar(), Is.EqualTo(Math.Sin(x)).Within(Math.Pow(2, -20.9)));
            Assert.That((double)LaneMath.Cos(Vector256.Create(x)).ToScalar(), Is.EqualTo(Math.Cos(x)).Within(Math.Pow(2, -20.9)));
        }

        Assert.That(LaneMath.Sin(Vector256.Create(float.PositiveInfinity)).ToScalar(), Is.NaN);
    }

    [Test]
    public void HyperbolicTangent()
    {
        // ISA: relative error at most 2^-11.
        foreach (var x in Grid(-12, 12, 20_001))
        {
            var right = Math.Tanh(x);
            Assert.That((double)LaneMath.Tanh(Vector256.Create(x)).ToScalar(), Is.EqualTo(right).Within(Math.Abs(right) * Math.Pow(2, -11)));
        }
    }

    [Test]
    public void RoundingDownIsTheSameWithoutTheHostsOwn()
    {
        for (var i = 0UL; i < 20_000; i++)
        {
            var a = Vector256.Create(unchecked((uint)Inputs.Bits(3 * i))).AsSingle();
            var b = Vector256.Create(unchecked((uint)Inputs.Bits((3 * i) + 1))).AsSingle();
            var c = i % 3 == 0 ? -(a * b) : Vector256.Create(unchecked((uint)Inputs.Bits((3 * i) + 2))).AsSingle();
            var (own, portable) = (LaneMath.FmaRm(a, b, c).ToScalar(), LaneMath.FmaRmPortable(a, b, c).ToScalar());
            Assert.That(BitConverter.SingleToInt32Bits(portable) == BitConverter.SingleToInt32Bits(own) || (float.IsNaN(own) && float.IsNaN(portable)), Is.True,
                () => $"{a.ToScalar():R} * {b.ToScalar():R} + {c.ToScalar():R}: {portable:R}, not {own:R}");
        }
    }

    [Test]
    public void DirectedDoubleRoundingIsTheSameOnAnyHost()
    {
        for (var i = 0UL; i < 5_000; i++)
        {
            var a = Vector256.Create(Inputs.Bits(3 * i)).AsDouble();
            var b = Vector256.Create(Inputs.Bits((3 * i) + 1)).AsDouble();
            var c = i % 3 == 0 ? -(a * b) : Vector256.Create(Inputs.Bits((3 * i) + 2)).AsDouble();
            var (own, portable) = (LaneMath.FmaRm(a, b, c).ToScalar(), LaneMath.FmaRmPortable(a, b, c).ToScalar());
            Assert.That(BitConverter.DoubleToInt64Bits(portable) == BitConverter.DoubleToInt64Bits(own) || (double.IsNaN(own) && double.IsNaN(portable)), Is.True,
                () => $"{a.ToScalar():R} * {b.ToScalar():R} + {c.ToScalar():R}: {portable:R}, not {own:R}");
        }
    }

    [Test]
    public void HalvesThereAndBack()
    {
        for (var bits = 0; bits < 65536; bits++)
        {
            var half = BitConverter.UInt16BitsToHalf((ushort)bits);
            var single = LaneMath.HalfToSingle(Vector256.Create(bits)).ToScalar();
            if (Half.IsNaN(half))
            {
                Assert.That(single, Is.NaN);
                continue;
            }

            Assert.That(BitConverter.SingleToInt32Bits(single), Is.EqualTo(BitConverter.SingleToInt32Bits((float)half)));
            Assert.That(LaneMath.HalfFromSingle(Vector256.Create(single)).ToScalar(), Is.EqualTo(bits));
        }
    }
}
