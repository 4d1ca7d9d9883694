// Whole kernels, as NVRTC compiles them, against plain C# and in all ways of running.
using FashionFlow.Gpu;
using FashionFlow.VirtualGpu.Ptx;

namespace FashionFlow.VirtualGpu.Tests.Jit;

internal sealed class CorpusTests
{
    private static Harness Corpus => Harness.Corpus;

    [TestCase(1, 32)]
    [TestCase(31, 64)]
    [TestCase(1025, 128)]
    [TestCase(3000, 96)]
    [TestCase(777, 48)]
    public void LanesThatPartMeetAgain(int n, int block)
    {
        var x = Inputs.Integers(n, 100_000);
        var y = Corpus.RunAllWays<int>("divergence", (n + block - 1) / block, block, n, (memory, output) => [memory.Allocate<int>(x), output, n]);
        for (var i = 0; i < n; i++)
        {
            int v = x[i], r = 0;
            if (v % 3 == 0)
            {
                for (var k = 0; k < (v & 15); k++)
                {
                    r = unchecked(r + (k * v));
                }
            }
            else if (v % 3 == 1)
            {
                r = (v & 1) != 0 ? -v ^ 0x55 : -v;
            }
            else
            {
                var k = v & 31;
                while (k != 1 && k != 0)
                {
                    k = (k & 1) != 0 ? ((3 * k) + 1) & 63 : k >> 1;
                    if (++r > 40)
                    {
                        break;
                    }
                }
            }

            Assert.That(y[i], Is.EqualTo(r), () => $"element {i}, input {v}");
        }
    }

    // Branches around a block and around one of two, that change what was the same in all lanes or in step across them.
    [TestCase(0)]
    [TestCase(50)]
    [TestCase(1000)]
    public void LanesThatPartForABlockOrTwo(int bound)
    {
        const int Threads = 96, Blocks = 3, Rounds = 4;
        var x = Inputs.Integers(Threads * Blocks, 100);
        var y = new Harness(PtxModule.Parse(Detours)).RunAllWays<int>(
            "detours", Blocks, Threads, Threads * Blocks, (memory, output) => [memory.Allocate<int>(x), output, bound]);
        for (var i = 0; i < y.Length; i++)
        {
            int value = x[i], step = 7, sum = i;
            for (var round = 0; round < Rounds; round++)
            {
                step = value < bound ? step : 3;
                if ((value & 1) != 0)
                {
                    value = (value * 3) + i;
                    sum += step;
                }
                else
                {
                    value >>= 1;
                }

                value += step;
            }

            Assert.That(y[i], Is.EqualTo(value ^ sum), () => $"element {i}, input {x[i]}");
        }
    }

    private const string Detours = """
        .version 7.0
        .target sm_70
        .address_size 64
        .visible .entry detours(.param .u64 x, .param .u64 y, .param .u32 bound)
        {
            .reg .pred %p<4>;
            .reg .b32 %r<12>;
            .reg .b64 %rd<6>;
            ld.param.u64 %rd1, [x];
            ld.param.u64 %rd2, [y];
            ld.param.u32 %r11, [bound];
            mov.u32 %r1, %tid.x;
            mov.u32 %r2, %ctaid.x;
            mov.u32 %r3, %ntid.x;
            mad.lo.s32 %r4, %r2, %r3, %r1;
            mul.wide.s32 %rd3, %r4, 4;
            add.s64 %rd4, %rd1, %rd3;
            ld.global.u32 %r5, [%rd4];
            mov.u32 %r6, 7;
            mov.u32 %r9, %r4;
            mov.u32 %r10, 0;
        $round:
            setp.lt.s32 %p1, %r5, %r11;
            @%p1 bra $kept;
            mov.u32 %r6, 3;
        $kept:
            and.b32 %r8, %r5, 1;
            setp.eq.s32 %p2, %r8, 0;
            @%p2 bra $even;
            mad.lo.s32 %r5, %r5, 3, %r4;
            add.s32 %r9, %r9, %r6;
            bra.uni $met;
        $even:
            shr.s32 %r5, %r5, 1;
        $met:
            add.s32 %r5, %r5, %r6;
            add.s32 %r10, %r10, 1;
            setp.lt.s32 %p3, %r10, 4;
            @%p3 bra $round;
            xor.b32 %r5, %r5, %r9;
            add.s64 %rd5, %rd2, %rd3;
            st.global.u32 [%rd5], %r5;
            ret;
        }
        """;

    [TestCase(1, 32)]
    [TestCase(33, 256)]
    [TestCase(1000, 256)]
    [TestCase(4096, 1024)]
    [TestCase(500, 96)]
    public void SumsOverABlock(int n, int block)
    {
        const int Rows = 7;
        var x = Inputs.Floats(n * Rows, -1, 1);
        var y = Corpus.RunAllWays<float>("block_sum", Rows, block, Rows, (memory, output) => [memory.Allocate<float>(x), output, n]);
        for (var row = 0; row < Rows; row++)
        {
            // n summands below 1 in magnitude, each rounding at most 2^-24 of a partial sum that stays below n.
            Assert.That(y[row], Is.EqualTo(x.Skip(row * n).Take(n).Sum(v => (double)v)).Within(n * 6e-8 * Math.Sqrt(n)));
        }
    }

    [TestCase(16, 16, 16)]
    [TestCase(33, 17, 40)]
    [TestCase(1, 1, 1)]
    [TestCase(50, 70, 129)]
    public void TiledProduct(int m, int n, int k)
    {
        var a = Inputs.Floats(m * k, -1, 1);
        var b = Inputs.Floats(k * n, -2, 1);
        var c = Corpus.RunAllWays<float>("tiled_product", new Dim3((n + 15) / 16, (m + 15) / 16), new Dim3(16, 16), m * n,
            (memory, output) => [memory.Allocate<float>(a), memory.Allocate<float>(b), output, m, n, k]);
        for (var i = 0; i < m; i++)
        {
            for (var j = 0; j < n; j++)
            {
                // The kernel's own order of sums, fused: exact.
                var sum = 0f;
                for (var l = 0; l < (k + 15) / 16 * 16; l++)
                {
                    sum = MathF.FusedMultiplyAdd(l < k ? a[(i * k) + l] : 0f, l < k ? b[(l * n) + j] : 0f, sum);
                }

                Assert.That(c[(i * n) + j], Is.EqualTo(sum));
            }
        }
    }

    [TestCase(256)]
    [TestCase(100)]
    [TestCase(1)]
    public void DynamicSharedMemory(int block)
    {
        var x = Inputs.Floats(block * 3, 0, 1);
        var y = Corpus.RunAllWays<float>("dynamic_reverse", 3, block, block * 3, (memory, output) => [memory.Allocate<float>(x), output], block * 4);
        for (var i = 0; i < y.Length; i++)
        {
            Assert.That(y[i], Is.EqualTo(x[(i / block * block) + block - 1 - (i % block)]));
        }
    }

    [Test]
    public void AtomicHistogram()
    {
        var x = Inputs.Integers(5001, 1 << 20);
        var y = Corpus.RunAllWays<int>("histogram", 6, 128, 16, (memory, output) => [memory.Allocate<int>(x), output, x.Length]);
        for (var bin = 0; bin < 16; bin++)
        {
            Assert.That(y[bin], Is.EqualTo(x.Count(v => (v & 15) == bin)));
        }
    }

    [Test]
    public void DoublePrecisionWithDeviceFunctionsAndLocalArrays()
    {
        const int N = 301;
        double[] x = [.. Enumerable.Range(0, N).Select(i => i % 7 == 0 ? (i - 150) * 1e9 : (i - 150) * 0.37)];
        var y = Corpus.RunAllWays<double>("doubles", 3, 128, N * 4, (memory, output) => [memory.Allocate<double>(x), output, N]);
        for (var i = 0; i < N; i++)
        {
            var v = x[i];
            var s = 0.0;
            for (var k = 0; k < 6; k++)
            {
                s = (s * v * 1e-3) + (1.0 / (k + 1 + (i & 3))) + (i % 6 == k ? 1.0 : 0.0);
            }

            // CUDA's library promises 2 units in the last place for these; the polynomial adds its own roundings.
            Assert.That(y[4 * i], Is.EqualTo(s).Within(1e-12).Percent, () => $"polynomial({v})");
            Assert.That(y[(4 * i) + 1], Is.EqualTo(Math.Sin(v)).Within(1e-15), () => $"sin({v})");
            Assert.That(y[(4 * i) + 2], Is.EqualTo(Math.Pow(Math.Abs(v), 0.7)).Within(1e-13).Percent, () => $"pow({v})");
            Assert.That(y[(4 * i) + 3], Is.Not.NaN);
        }
    }

    [Test]
    public void SinglePrecisionFunctions()
    {
        const int N = 515;
        var x = Inputs.Floats(N, -30, 30);
        var y = Corpus.RunAllWays<float>("floats", 5, 128, N * 8, (memory, output) => [memory.Allocate<float>(x), output, N]);
        for (var i = 0; i < N; i++)
        {
            double v = x[i];
            double[] expected =
            [
                Math.Exp(v), Math.Log(Math.Abs(v)), Math.Sin(v), Math.Cos((float)v * 100f), Math.Tanh(v), double.NaN, 1 / Math.Sqrt(Math.Abs(v)), Math.Pow(Math.Abs(v), (double)1.3f),
            ];
            for (var k = 0; k < 8; k++)
            {
                if (k != 5)
                {
                    // CUDA's guide gives at most 4 units in the last place (2^-22) for these, with slack for powf's 9.
                    Assert.That(y[(8 * i) + k], Is.EqualTo(expected[k]).Within(Math.Max(1e-6, Math.Abs(expected[k]) * 1.1e-6)), () => $"function {k} of {v}");
                }
            }
        }
    }

    [Test]
    public void VectorAndByteAccess()
    {
        const int N = 333;
        var x = Inputs.Floats(N * 4, 0, 20);
        var s = Inputs.Floats(N * 2, -1, 1);
        var bytes = Enumerable.Range(0, 2 * N).Select(i => (byte)(i * 7)).ToArray();
        var y = Corpus.RunAllWays<float>("vectors", 3, 128, N * 4, (memory, output) => [memory.Allocate<float>(x), memory.Allocate<float>(s), output, memory.Allocate<byte>(bytes), N]);
        for (var i = 0; i < 4 * N; i++)
        {
            Assert.That(y[i], Is.EqualTo(MathF.FusedMultiplyAdd(x[i], s[i / 4 * 2], s[(i / 4 * 2) + 1])));
        }
    }

    [Test]
    public void VotesShufflesAndBits() => Corpus.RunAllWays("votes", 4, 128, 4 * 128 * 4, (memory, output) => [memory.Allocate<int>(Inputs.Integers(512, 300)), output]);

    [Test]
    public void ThreeDimensionsOfOddSizes()
    {
        var block = new Dim3(5, 3, 4);
        var grid = new Dim3(2, 3, 2);
        var y = Corpus.RunAllWays<int>("three_d", grid, block, 12 * 60, (_, output) => [output, 60]);
        for (var i = 0; i < y.Length; i++)
        {
            var t = i % 60;
            Assert.That(y[i], Is.EqualTo((t % 5 * 1000000) + (t / 5 % 3 * 10000) + (t / 15 * 100) + (i / 60)));
        }
    }

    [TestCase(0u, 0)]
    [TestCase(0xFFFFFFF0u, 0)]
    [TestCase(0xFFFFFFE3u, 17)]
    public void IndexArithmeticWrapsAround(uint start, int n)
    {
        var x = Inputs.AnyIntegers(64, 5);
        var y = Corpus.RunAllWays<uint>("wrap", 1, 64, 64, (memory, output) => [memory.Allocate<int>(x), output, start, n]);
        for (var t = 0u; t < 64; t++)
        {
            var i = unchecked(start + t);
            var wide = unchecked((long)(0x7ffffff0 + (int)t + n));
            Assert.That(y[t], Is.EqualTo(unchecked((uint)x[((i * 4u) >> 2) & 63u] + (uint)(wide >> 32) + (uint)((i * 5ul) >> 30))));
        }
    }

    [Test]
    public void Integers()
    {
        const int N = 600;
        var a = Inputs.AnyIntegers(N, 1);
        var b = Inputs.AnyIntegers(N, 7777);
        (a[0], b[0], a[1], b[1]) = (int.MinValue, -1, int.MinValue, 1);
        var y = Corpus.RunAllWays<long>("integers", 5, 128, N * 6, (memory, output) => [memory.Allocate<int>(a), memory.Allocate<int>(b), output, N]);
        for (var i = 2; i < N; i++)
        {
            int p = a[i], q = b[i] | 1;
            var w = unchecked(((long)p * q) + i);
            var v = unchecked(w ^ ((long)q << 33));
            Assert.That(y[6 * i], Is.EqualTo(p / q));
            Assert.That(y[(6 * i) + 1], Is.EqualTo((uint)p % (uint)q));
            Assert.That(y[(6 * i) + 2], Is.EqualTo(w / q));
            Assert.That(y[(6 * i) + 3], Is.EqualTo((((long)p * q) >> 32) + (long)(((ulong)(uint)p * (uint)q) >> 32)));
            Assert.That(y[(6 * i) + 4], Is.EqualTo(Math.BigMul(w, v, out _) ^ (v >> (p & 63)) ^ (v >>> (q & 63))));
            Assert.That(y[(6 * i) + 5], Is.EqualTo(unchecked(System.Numerics.BitOperations.PopCount((ulong)v) + System.Numerics.BitOperations.LeadingZeroCount((ulong)w)
                + ((short)p * (short)q) + (sbyte)p + Math.Abs(v % q))));
        }
    }

    [TestCase(64)]
    [TestCase(1000)]
    public void ConstantMemory(int n)
    {
        var x = Inputs.Floats(n, -1, 1);
        float[] weights = [1, 4, 6, 4, 1];
        var y = Corpus.RunAllWays<float>("blur", (n + 127) / 128, 128, n, (memory, output) => [memory.Allocate<float>(x), output, n]);
        for (var i = 0; i < n; i++)
        {
            var sum = 0f;
            for (var k = -2; k <= 2; k++)
            {
                sum = MathF.FusedMultiplyAdd(weights[k + 2], x[Math.Clamp(i + k, 0, n - 1)], sum);
            }

            Assert.That(y[i], Is.EqualTo(sum / 16f));
        }
    }

    [Test]
    public void BarriersInLoopsAndBranches()
    {
        var y = Corpus.RunAllWays<int>("barriers", 2, 256, 512, (_, output) => [output]);
        var sums = Enumerable.Range(0, 256).Select(i => i * (i + 1) / 2).ToArray();
        for (var i = 0; i < 512; i++)
        {
            Assert.That(y[i], Is.EqualTo(sums[i % 256] + (sums.Count(s => (s & 1) != 0) * 1000) + 18));
        }
    }
}
