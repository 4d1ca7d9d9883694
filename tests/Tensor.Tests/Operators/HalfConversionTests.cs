// Every number of the half types, and every rounding to them: to float and back on the device, against .NET's Half and against a
// reference that knows nothing of bits but their order.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Tests.Operators;

public class HalfConversionTests
{
    private static readonly ushort[] s_all = [.. Enumerable.Range(0, 1 << 16).Select(bits => (ushort)bits)];

    private static IReadOnlyList<TestDevice> Devices => TestDevice.AtHand;

    [TestCaseSource(nameof(Devices))]
    public void Every_half_is_the_float_that_DotNet_says(TestDevice device)
        => AssertSame(Cast<Half, float>(device, Array.ConvertAll(s_all, BitConverter.UInt16BitsToHalf)), i => (float)BitConverter.UInt16BitsToHalf(s_all[i]));

    [TestCaseSource(nameof(Devices))]
    public void Every_bfloat16_is_the_float_with_its_bits_on_top(TestDevice device)
        => AssertSame(
            Cast<BFloat16, float>(device, Array.ConvertAll(s_all, bits => new BFloat16(bits))), i => BitConverter.UInt32BitsToSingle((uint)s_all[i] << 16));

    [TestCaseSource(nameof(Devices))]
    public void Every_half_and_every_tie_between_two_is_rounded_as_DotNet_does(TestDevice device)
    {
        float[] values = [.. Neighbourhoods(bits => (float)BitConverter.UInt16BitsToHalf(bits), 0x7BFF, 65520)];
        AssertSame(Array.ConvertAll(Cast<float, Half>(device, values), x => (float)x), i => (float)(Half)values[i]);
    }

    [TestCaseSource(nameof(Devices))]
    public void Every_bfloat16_and_every_tie_between_two_goes_to_the_nearest_and_even(TestDevice device)
    {
        // The largest float rounds up to infinity, as do all from half a step above the largest bfloat16.
        float[] values = [.. Neighbourhoods(bits => BitConverter.UInt32BitsToSingle((uint)bits << 16), 0x7F7F, 3.3961775E38f), float.MaxValue];
        AssertSame(Array.ConvertAll(Cast<float, BFloat16>(device, values), x => (float)x), i => (float)HostTensor.Round(values[i], DType.BFloat16));
    }

    [TestCaseSource(nameof(Devices))]
    public void What_is_no_number_stays_none_and_zero_keeps_its_sign(TestDevice device)
    {
        // NaNs with the least and the most payload, of both signs: rounding their bits as a number's would give infinity, or 0.
        float[] values = [.. new uint[] { 0x7F800001, 0x7FFFFFFF, 0xFF800001, 0xFFFFFFFF, 0x80000000 }.Select(BitConverter.UInt32BitsToSingle)];
        var halves = Cast<float, Half>(device, values);
        var brains = Cast<float, BFloat16>(device, values);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(halves[..4], Is.All.Matches<Half>(Half.IsNaN));
            Assert.That(brains[..4], Is.All.Matches<BFloat16>(x => float.IsNaN(x)));
            Assert.That(BitConverter.HalfToUInt16Bits(halves[4]), Is.EqualTo(0x8000));
            Assert.That(brains[4].Bits, Is.EqualTo(0x8000));
        }
    }

    [Test]
    public void The_host_rounds_to_bfloat16_as_the_device_does()
    {
        float[] values = [.. Neighbourhoods(bits => BitConverter.UInt32BitsToSingle((uint)bits << 16), 0x7F7F, 3.3961775E38f), float.MaxValue];
        AssertSame(Array.ConvertAll(values, x => (float)(BFloat16)x), i => (float)HostTensor.Round(values[i], DType.BFloat16));
    }

    /// <summary>
    /// Each finite number of a type up to the largest, the tie between it and the next one (beyond the largest, where infinity begins), and
    /// the floats on either side of that; all with both signs; infinity.
    /// </summary>
    private static IEnumerable<float> Neighbourhoods(Func<ushort, float> number, ushort largest, float infinityFrom)
    {
        for (ushort bits = 0; bits <= largest; bits++)
        {
            var own = number(bits);
            var tie = bits == largest ? infinityFrom : (float)(((double)own + number((ushort)(bits + 1))) / 2);
            foreach (var value in (float[])[own, tie, float.BitDecrement(tie), float.BitIncrement(tie)])
            {
                yield return value;
                yield return -value;
            }
        }

        yield return float.PositiveInfinity;
        yield return float.NegativeInfinity;
    }

    private static TTo[] Cast<TFrom, TTo>(TestDevice device, TFrom[] values)
        where TFrom : unmanaged
        where TTo : unmanaged
    {
        TTo[] result = [];
        TestDevices.Run(device, (context, _) =>
        {
            using var x = Tensor.FromArray<TFrom>(context, values, [values.Length]);
            using var y = Ops.Cast(x, DTypes.Of<TTo>());
            result = y.ToArray<TTo>();
        });
        return result;
    }

    /// <summary>Compares bits, so that -0 differs from 0; all NaNs count as one.</summary>
    private static void AssertSame(float[] actual, Func<int, float> expected)
    {
        for (var i = 0; i < actual.Length; i++)
        {
            var (a, e) = (actual[i], expected(i));
            if (BitConverter.SingleToUInt32Bits(a) != BitConverter.SingleToUInt32Bits(e) && !(float.IsNaN(a) && float.IsNaN(e)))
            {
                Assert.Fail($"number {i} became {a:R}, not {e:R}");
            }
        }
    }
}
