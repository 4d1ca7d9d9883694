// Everyday CUDA, as NVRTC compiles it, against plain C# and in all ways of running: the mathematics library, integers of all
// widths, structures, sorting, scans, atomics, divergence, halves, votes, printing.
using System.Numerics;
using FashionFlow.Gpu;

namespace FashionFlow.VirtualGpu.Tests.Jit;

internal sealed class BreadthTests
{
    private static Harness Breadth => Harness.Breadth;

    private static void Near(double actual, double expected, double relative, double absolute, string what)
    {
        if (double.IsFinite(expected))
        {
            Assert.That(actual, Is.EqualTo(expected).Within((Math.Abs(expected) * relative) + absolute), () => what);
        }
        else
        {
            Assert.That(actual, Is.EqualTo(expected), () => what);
        }
    }

    // erf by a series of positive terms; lnGamma by Stirling's, far enough out. Both to about 1e-15.
    private static double Erf(double x)
    {
        if (Math.Abs(x) > 6)
        {
            return Math.Sign(x);
        }

        double term = x, sum = x;
        for (var k = 1; k < 200; k++)
        {
            term *= 2 * x * x / ((2 * k) + 1);
            sum += term;
        }

        return sum * Math.Exp(-x * x) * 2 / Math.Sqrt(Math.PI);
    }

    private static double LogGamma(double x)
    {
        var shifted = 0.0;
        while (x < 20)
        {
            shifted += Math.Log(x++);
        }

        var z = 1 / (x * x);
        return ((x - 0.5) * Math.Log(x)) - x + (0.5 * Math.Log(2 * Math.PI)) + ((1.0 / 12) - (z * ((1.0 / 360) - (z * ((1.0 / 1260) - (z / 1680)))))) / x - shifted;
    }

    [Test]
    public void DoublePrecisionFunctions()
    {
        const int N = 301;
        double[] x = [.. Enumerable.Range(0, N).Select(i => (i - 150) * (i % 7 == 0 ? 1.2345e5 : i % 11 == 3 ? 3e14 : 0.37))];
        var y = Breadth.RunAllWays<double>("double_functions", 3, 128, N * 16, (memory, output) => [memory.Allocate<double>(x), output, N]);
        for (var i = 0; i < N; i++)
        {
            var v = x[i];
            var p = Math.Abs(v) + 1e-3;
            double[] expected =
            [
                Math.Sin(v), Math.Cos(v), Math.Exp(v * 0.01), Math.Log(p), Math.Pow(p, 0.37), Math.Tanh(v * 0.1), Math.Atan2(v, 3), Math.Cbrt(v),
                Math.Sinh(v * 0.01), Math.Log(1 + p), Math.Exp(v * 1e-3) - 1, v % 7.25, Erf(v * 0.05), LogGamma(p), Math.Sqrt((v * v) + 25), Math.Asin(v / (p + 1)),
            ];
            for (var k = 0; k < 16; k++)
            {
                // CUDA's guide gives at most 4 units in the last place (2^-50), asin near 1 and the oracles' own sums some more.
                Near(y[(16 * i) + k], expected[k], 4e-15, k == 13 ? 2e-13 : 2e-15, $"function {k} of {v:R}");
            }
        }
    }

    [Test]
    public void SinglePrecisionFunctionsOfLargeArguments()
    {
        const int N = 300;
        float[] x = [.. Enumerable.Range(0, N).Select(i => (float)((i - 150) * (i % 3 == 0 ? 777.77 : i % 3 == 1 ? 1e7 * i : 1e20 * Math.Pow(1.2, i / 4.0))))];
        var y = Breadth.RunAllWays<float>("float_functions", 3, 128, N * 14, (memory, output) => [memory.Allocate<float>(x), output, N]);
        for (var i = 0; i < N; i++)
        {
            var v = x[i];
            var p = Math.Abs(v) + 1e-3f;
            double[] expected =
            [
                Math.Sin(v), Math.Cos(v), (float)Math.Exp(v * 1e-4f), Math.Log(p), Math.Pow(p, 0.37f), Math.Tanh(v * 1e-3f), Math.Atan2(v, 3), Math.Cbrt(v),
                Erf(v * 1e-3f), Math.Log(1 + (double)p), v % 7.25f, (float)Math.Pow(2, v * 1e-4f), 1 / Math.Sqrt(p), Math.Tan(v),
            ];
            for (var k = 0; k < 14; k++)
            {
                // CUDA's guide gives at most 4 units in the last place (2^-21 of a value) for these.
                Near(y[(14 * i) + k], expected[k], 5e-7, 1.5e-7, $"function {k} of {v:R}");
            }
        }
    }

    [Test]
    public void DivisionsOfAllWidths()
    {
        const int N = 700;
        long[] a = [.. Enumerable.Range(0, N).Select(i => (long)Inputs.Bits((ulong)i) >> (i % 5 * 13))];
        long[] b = [.. Enumerable.Range(0, N).Select(i => (long)Inputs.Bits((ulong)i + 9999) >> (i % 7 * 9))];
        (a[3], b[3], a[4], b[4], a[5], b[5]) = (long.MinValue, 1, long.MaxValue, -1, -128, -1);
        var y = Breadth.RunAllWays<long>("divisions", 6, 128, N * 16, (memory, output) => [memory.Allocate<long>(a), memory.Allocate<long>(b), output, N]);
        for (var i = 0; i < N; i++)
        {
            unchecked
            {
                long p = a[i], q = b[i] | 1;
                long[] expected =
                [
                    (sbyte)p / (sbyte)q, (sbyte)p % (sbyte)q, (byte)p / (byte)q, (byte)p % (byte)q, (short)p / (short)q, (short)p % (short)q, (ushort)p / (ushort)q, (ushort)p % (ushort)q,
                    (int)(p >> 1) / 7, (int)(p >> 1) % 1000003, (uint)p / (uint)q, (uint)p % (uint)q,
                    (q | 2) == -1 ? -p : p / (q | 2), (q | 2) == -1 ? 0 : p % (q | 2), (long)((ulong)p / (ulong)q), (long)((ulong)p % 1000000007),
                ];
                Assert.That(y.AsSpan(16 * i, 16).ToArray(), Is.EqualTo(expected), () => $"{p}, {q}");
            }
        }
    }

    [Test]
    public void StructuresAndFunctions()
    {
        const int N = 300;
        float[] scale = [1.5f, -2.25f, 3.125f, 0.75f];
        byte[] options = [.. scale.SelectMany(BitConverter.GetBytes), .. BitConverter.GetBytes(-17), .. BitConverter.GetBytes((short)-5), 3, 0, .. BitConverter.GetBytes(0.625), .. BitConverter.GetBytes(1L << 33)];
        int[][] table = [[3, 1, 4, 1, 5, 9, 2, 6], [2, 7, 1, 8, 2, 8, 1, 8]];
        var x = Inputs.Integers(N, 5000);
        var y = Breadth.RunAllWays<double>("structures", 3, 128, N, (memory, output) => [memory.Allocate<int>(x), output, N, options]);
        for (var i = 0; i < N; i++)
        {
            var k = x[i];
            var mine = (k >> 2 & 3) == (k & 3) ? -scale[k & 3] : scale[k >> 2 & 3];
            var weight = (mine * ((k & 1) != 0 ? 2f : 0.5f)) + (-17 + k);
            Assert.That(y[i], Is.EqualTo(weight + scale[k & 3] + 0.625 + ((double)(1L << 33) * i) + (-5 << 2) + table[k & 1][(k >> 1) & 7]), () => $"element {i}, {k}");
        }
    }

    [TestCase(32)]
    [TestCase(64)]
    [TestCase(512)]
    public void BitonicSort(int block)
    {
        uint[] x = [.. Enumerable.Range(0, block * 3).Select(i => (uint)Inputs.Bits((ulong)i) >> (i % 9))];
        var y = Breadth.RunAllWays<uint>("bitonic_sort", 3, block, x.Length, (memory, output) => [memory.Allocate<uint>(x), output]);
        Assert.That(y, Is.EqualTo(x.Chunk(block).SelectMany(c => c.Order())));
    }

    [TestCase(1000, 256)]
    [TestCase(1024, 1024)]
    [TestCase(77, 64)]
    public void PrefixScan(int n, int block)
    {
        var x = Inputs.AnyIntegers(n, 3);
        var y = Breadth.RunAllWays<int>("prefix_scan", (n + block - 1) / block, block, n, (memory, output) => [memory.Allocate<int>(x), output, n]);
        var sum = 0;
        for (var i = 0; i < n; i++)
        {
            sum = i % block == 0 ? x[i] : unchecked(sum + x[i]);
            Assert.That(y[i], Is.EqualTo(sum), () => $"element {i}");
        }
    }

    [Test]
    public void AtomicsOfManyKinds()
    {
        const int N = 777;
        var x = Inputs.Integers(N, 1 << 20);
        var y = Breadth.RunAllWays<ulong>("atomics", 7, 128, 17, (memory, output) => [memory.Allocate<int>(x), output, N]);
        for (var bin = 0; bin < 8; bin++)
        {
            Assert.That(y[bin], Is.EqualTo((ulong)x.Count(v => (v & 7) == bin)));
        }

        Assert.That(y[8], Is.EqualTo(x.Where(v => v % 3 == 0).Aggregate(0UL, (s, v) => s + ((ulong)v << 20))));
        Assert.That(y[9], Is.EqualTo((ulong)x.Max() * 4294967311UL));
        Assert.That(y[10], Is.EqualTo((ulong)x.Aggregate(0, (s, v) => s ^ v)));
        Assert.That(y[11], Is.EqualTo((ulong)x.Aggregate(0u, (s, v) => s | (1u << (v & 31)))));
        Assert.That(BitConverter.UInt64BitsToDouble(y[12]), Is.EqualTo(x.Sum(v => (double)(v & 1023))));
        Assert.That(BitConverter.UInt32BitsToSingle((uint)y[13]), Is.EqualTo((float)x.Sum(v => v & 15)));
        Assert.That(y[14], Is.EqualTo((ulong)(N % 13)));
        Assert.That(y[15], Is.EqualTo((ulong)x.Sum(v => v & 255)));
        Assert.That(y[16], Is.Zero);
    }

    [TestCase(33, 70, 8)]
    [TestCase(64, 32, 32)]
    [TestCase(1, 100, 5)]
    public void Transpose(int rows, int columns, int height)
    {
        double[] x = [.. Enumerable.Range(0, rows * columns).Select(i => i * 0.5)];
        var y = Breadth.RunAllWays<double>("transpose", new Dim3((columns + 31) / 32, (rows + 31) / 32), new Dim3(32, height), x.Length, (memory, output) => [memory.Allocate<double>(x), output, rows, columns]);
        for (var i = 0; i < x.Length; i++)
        {
            Assert.That(y[(i % columns * rows) + (i / columns)], Is.EqualTo(x[i]));
        }
    }

    [TestCase(900, 128)]
    [TestCase(70, 37)]
    public void LocalArraysAndWanderingLanes(int n, int block)
    {
        var x = Inputs.AnyIntegers(n, 77).Select((v, i) => i % 2 == 0 ? v : v >> 12).ToArray();
        var y = Breadth.RunAllWays<int>("wanders", (n + block - 1) / block, block, n, (memory, output) => [memory.Allocate<int>(x), output, n]);
        for (var i = 0; i < n; i++)
        {
            Assert.That(y[i], Is.EqualTo(Wander(x[i])), () => $"element {i}, {x[i]}");
        }
    }

    private static int Collatz(uint v)
    {
        var k = 0;
        while (v != 1)
        {
            v = (v & 1) != 0 ? (3 * v) + 1 : v >> 1;
            if (++k == 60)
            {
                return -k;
            }
        }

        return k;
    }

    private static int Wander(int v)
    {
        var stack = new Stack<int>();
        var r = 0;
        unchecked
        {
            for (var k = 0; k < 40; k++)
            {
                var d = (v >> (k & 15)) + k;
                if (d % 5 == 0)
                {
                    continue;
                }

                if (d % 37 == 36)
                {
                    break;
                }

                var kind = d % 9;
                if (kind == 4 && r < -100000)
                {
                    return r;
                }

                switch (kind)
                {
                    case 0 when stack.Count < 12:
                        stack.Push(d);
                        break;
                    case 0:
                        break;
                    case 1:
                        r += stack.TryPop(out var top) ? top * 3 : 0;
                        break;
                    case 2:
                        r ^= d;
                        break;
                    case 3:
                        r = (int)BitOperations.RotateLeft((uint)r, 3);
                        break;
                    case 4 or 5:
                        r -= d * k;
                        break;
                    case 6:
                        r += BitOperations.PopCount((uint)d) + BitOperations.LeadingZeroCount((uint)d) + (d == 0 ? 0 : BitOperations.TrailingZeroCount(d) + 1)
                            + (int)Enumerable.Range(0, 32).Aggregate(0u, (s, b) => s | ((((uint)d >> b) & 1) << (31 - b)));
                        break;
                    case 7:
                        r += stack.Aggregate(0, (s, e) => s + e);
                        break;
                    default:
                        r += Collatz((uint)(d & 1023) + 1);
                        break;
                }
            }

            while (stack.TryPop(out var last))
            {
                r = (r * 31) + last;
            }
        }

        return r;
    }

    [Test]
    public void Halves()
    {
        const int N = 2000;
        uint[] a = [.. Enumerable.Range(0, N).Select(i => (uint)Inputs.Bits((ulong)i) & 0xFBFFFBFF)];
        uint[] b = [.. Enumerable.Range(0, N).Select(i => (uint)Inputs.Bits((ulong)i + 50_000) & 0xBBFFBBFF)];
        var y = Breadth.RunAllWays<uint>("halves", 16, 128, N * 5, (memory, output) => [memory.Allocate<uint>(a), memory.Allocate<uint>(b), output, N]);
        static double H(uint bits) => (double)BitConverter.UInt16BitsToHalf((ushort)bits);
        static uint R(double value) => BitConverter.HalfToUInt16Bits((Half)value);
        static uint Both(uint a, uint b, Func<double, double, double> f) => (R(f(H(a >> 16), H(b >> 16))) << 16) | R(f(H(a), H(b)));
        for (var i = 0; i < N; i++)
        {
            var (p, q) = (a[i], b[i]);
            var sum = Both(p, q, (u, v) => u + v);

            // Products and sums of halves are exact in double, or nearly: the third is 22 bits wide and 40 apart at the most.
            var fused = (R((H(p >> 16) * H(q >> 16)) + H(sum >> 16)) << 16) | R((H(p) * H(q)) + H(sum));
            uint[] expected =
            [
                sum, Both(p, q, (u, v) => u * v), fused, (R(H(q >> 16)) << 16) | R(H(q) * H(q >> 16)), H(p) < H(q) ? p : q,
            ];
            for (var k = 0; k < 5; k++)
            {
                // Infinity minus infinity gives a NaN, whose payload is the device's own.
                if (!HasNan(expected[k]))
                {
                    Assert.That(y[(5 * i) + k], Is.EqualTo(expected[k]), () => $"result {k} of 0x{p:x}, 0x{q:x}");
                }
            }
        }

        static bool HasNan(uint bits) => (bits & 0x7FFF) > 0x7C00 || ((bits >> 16) & 0x7FFF) > 0x7C00;
    }

    [Test]
    public void WideIntegers()
    {
        const int N = 400;
        ulong[] a = [.. Enumerable.Range(0, N).Select(i => Inputs.Bits((ulong)i) >> (i % 6 * 10))];
        ulong[] b = [.. Enumerable.Range(0, N).Select(i => Inputs.Bits((ulong)i + 777) >> (i % 5 * 12))];
        (a[0], b[0]) = (0x8000008000000001, ulong.MaxValue);
        var y = Breadth.RunAllWays<ulong>("wide", 4, 128, N * 8, (memory, output) => [memory.Allocate<ulong>(a), memory.Allocate<ulong>(b), output, N]);
        for (var i = 0; i < N; i++)
        {
            unchecked
            {
                var (p, q) = (a[i], b[i]);
                var product = ((UInt128)p * q) + p;
                var k = (int)(q & 63);
                var permuted = 0u;
                for (var j = 0; j < 4; j++)
                {
                    var s = (int)(q >> 32 >> (4 * j)) & 7;
                    permuted |= (uint)(byte)(((q << 32) | (uint)p) >> (8 * s)) << (8 * j);
                }

                var reversed = Enumerable.Range(0, 64).Aggregate(0UL, (s, j) => s | (((q >> j) & 1) << (63 - j)));
                ulong[] expected =
                [
                    (ulong)product, (ulong)(product >> 64), (ulong)(long)(((Int128)(long)p * (long)q) >> 64), BitOperations.RotateLeft(p, k), (ulong)((long)p >> k),
                    ((ulong)permuted << 32) | (uint)(p >> (k & 31)),
                    (uint)BitOperations.PopCount(p) | ((ulong)(uint)BitOperations.LeadingZeroCount(q) << 8) | ((ulong)(uint)(p == 0 ? 0 : BitOperations.TrailingZeroCount(p) + 1) << 16) | (reversed << 32),
                    Saturated((double)NearestSingle(p)) ^ (ulong)BitConverter.DoubleToInt64Bits((double)(long)q) ^ BitConverter.SingleToUInt32Bits((float)(long)q) ^ (ulong)(long)(float)(int)q,
                ];
                Assert.That(y.AsSpan(8 * i, 8).ToArray(), Is.EqualTo(expected), () => $"0x{p:x}, 0x{q:x}");
            }
        }

        static ulong Saturated(double value) => value >= 18446744073709551616.0 ? ulong.MaxValue : (ulong)value;

        // To 24 binary digits in integers: the host's own conversion may go through double.
        static float NearestSingle(ulong value)
        {
            var shift = Math.Max(0, 40 - BitOperations.LeadingZeroCount(value));
            var (quotient, rest) = (value >> shift, value & ((1UL << shift) - 1));
            var half = shift == 0 ? 1UL : 1UL << (shift - 1);
            return (float)(long)(quotient + (rest > half || (rest == half && (quotient & 1) != 0) ? 1UL : 0)) * (float)(1L << shift);
        }
    }

    [Test]
    public void GroupsOfPartedLanes()
    {
        const int N = 512;
        var x = Inputs.Integers(N, 1000);
        var y = Breadth.RunAllWays<int>("groups", 4, 128, N + 1, (memory, output) => [memory.Allocate<int>(x), output]);
        for (var i = 0; i < N; i++)
        {
            var warp = i & ~31;
            var peers = Enumerable.Range(warp, 32).Where(j => x[j] % 5 == x[i] % 5).ToArray();
            var r = x[i] % 5 == 2 ? -peers.Sum(j => j - warp) : (peers.Length * 100) + peers.Count(j => j < i) + 10000;
            r += Enumerable.Range(warp, 32).Any(j => x[j] % 5 == 3) ? 1000000 : 0;
            r += Enumerable.Range(i / 128 * 128, 128).Count(j => x[j] % 5 == 1) * 10000000;
            Assert.That(y[i], Is.EqualTo(r), () => $"element {i}");
        }
    }

    [Test]
    public void Prints()
    {
        foreach (var way in Way.All)
        {
            using var memory = new HarnessMemory();
            var lines = Breadth.Launch(way, memory, "says", 2, 32, 0, 40).Split("%\n", StringSplitOptions.RemoveEmptyEntries).Order(StringComparer.Ordinal);
            var expected = Enumerable.Range(0, 40).Where(t => (t & 1) != 0)
                .Select(t => FormattableString.Invariant($"{t}|{t * 0.25:F3}|{((t & 2) != 0 ? "odd" : "ends")}|{-5000000000L * t}|{(char)('a' + t)}|{t * 77:x8}|4000000000|")).Order(StringComparer.Ordinal);
            Assert.That(lines, Is.EqualTo(expected), () => way.Name);
        }
    }
}
