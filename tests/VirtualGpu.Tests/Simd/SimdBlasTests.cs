// Matrix products of the virtual device against a double-precision triple loop, over odd shapes, layouts, batches and
// epilogues; and to the bit against themselves at other vector widths and thread counts.
using System.Runtime.InteropServices;
using CsCheck;
using FashionFlow.Gpu;
using FashionFlow.VirtualGpu.Simd;

namespace FashionFlow.VirtualGpu.Tests.Simd;

public class SimdBlasTests
{
    private static readonly (int M, int N, int K)[] Shapes =
    [
        (1, 1, 1), (1, 1, 1025), (1, 1025, 33), (3, 5, 31), (5, 3, 127), (6, 16, 384), (7, 17, 385), (31, 33, 127), (33, 31, 5),
        (127, 33, 31), (1025, 3, 5), (97, 65, 513), (128, 128, 128), (100, 1025, 1), (2, 64, 1030), (300, 70, 300),
    ];

    private static IEnumerable<TestCaseData> Products()
    {
        foreach (var (m, n, k) in Shapes)
        {
            foreach (var layout in new[] { (false, false), (false, true), (true, false), (true, true) })
            {
                yield return new TestCaseData(m, n, k, layout.Item1, layout.Item2);
            }
        }
    }

    [TestCaseSource(nameof(Products))]
    public void Agrees_with_the_oracle(int m, int n, int k, bool transposeA, bool transposeB)
    {
        foreach (var width in Widths())
        {
            Check<float>(Description(m, n, k, transposeA, transposeB, DType.Float32), width, bias: true);
            Check<double>(Description(m, n, k, transposeA, transposeB, DType.Float64), width, bias: false);
        }
    }

    [Test]
    public void Agrees_with_the_oracle_for_any_description()
        => Gen.Select(
            Gen.Select(Gen.Int[1, 60], Gen.Int[1, 90], Gen.Int[0, 300]),
            Gen.Select(Gen.Bool, Gen.Bool, Gen.Int[1, 5], Gen.Int[0, 3]),
            Gen.Select(Gen.Bool.Select(b => b ? 1.0 : -0.5), Gen.Int[0, 2].Select(i => i * 0.5), Gen.Enum<Epilogue>(), Gen.Bool))
            .Sample((shape, layout, scale) =>
            {
                var (m, n, k) = shape;
                var (transposeA, transposeB, batch, slack) = layout;
                var (alpha, beta, epilogue, bias) = scale;
                var plain = Description(m, n, k, transposeA, transposeB, DType.Float32);
                var description = plain with
                {
                    Alpha = alpha,
                    Beta = beta,
                    Epilogue = epilogue,
                    BatchCount = batch,
                    LeadingDimensionA = plain.LeadingDimensionA + slack,
                    LeadingDimensionB = plain.LeadingDimensionB + (2 * slack),
                    LeadingDimensionC = plain.LeadingDimensionC + slack,
                    BatchStrideA = slack == 1 ? 0 : (plain.LeadingDimensionA + slack) * (transposeA ? k : m),
                    BatchStrideB = slack == 2 ? 0 : (plain.LeadingDimensionB + (2 * slack)) * (transposeB ? n : k),
                    BatchStrideC = (plain.LeadingDimensionC + slack) * m,
                };
                Check<float>(description, SimdLibrary.HostWidth, bias);
                Check<double>(description with { ElementType = DType.Float64, AccumulationType = DType.Float64 }, VectorWidth.Bits256, bias);
            }, iter: 60);

    [TestCase(1, 300, 700)]
    [TestCase(97, 130, 513)]
    [TestCase(600, 700, 300)]
    [TestCase(193, 2100, 40)]
    public void Same_bits_at_any_width_thread_count_and_number_of_rows(int m, int n, int k)
    {
        var description = Description(m, n, k, false, true, DType.Float32) with { Epilogue = Epilogue.Gelu };
        var reference = Run<float>(description, SimdLibrary.HostWidth, threads: 1, bias: true).C;
        using (Assert.EnterMultipleScope())
        {
            foreach (var width in Widths())
            {
                foreach (var threads in new[] { 1, 2, 5 })
                {
                    AssertSameBits(Run<float>(description, width, threads, bias: true).C, reference, $"{width}, {threads} threads");
                }
            }

            var few = Math.Max(1, m / 3);
            AssertSameBits(Run<float>(description with { M = few }, SimdLibrary.HostWidth, 2, bias: true).C, reference[..(few * n)], "fewer rows");
        }
    }

    [Test]
    public void Same_bits_for_a_batch_as_for_its_products_alone()
    {
        const int Batch = 37, M = 13, N = 29, K = 300;
        var description = Description(M, N, K, false, true, DType.Float32) with
        {
            BatchCount = Batch, BatchStrideA = M * K, BatchStrideB = N * K, BatchStrideC = M * N,
        };
        var whole = Run<float>(description, SimdLibrary.HostWidth, 2, bias: false);
        using var operands = new Operands();
        var a = operands.Put(whole.A);
        var b = operands.Put(whole.B);
        var c = operands.Put(new float[M * N]);
        for (var i = 0; i < Batch; i++)
        {
            operands.Device.Blas.Gemm(
                operands.Device.DefaultStream,
                Description(M, N, K, false, true, DType.Float32),
                a.Offset(4L * i * M * K),
                b.Offset(4L * i * N * K),
                default,
                c,
                default);
            AssertSameBits(operands.Get<float>(c, M * N), whole.C[(i * M * N)..((i + 1) * M * N)], $"product {i}");
        }
    }

    [Test]
    public void An_infinite_or_missing_value_is_passed_on()
    {
        using var operands = new Operands();
        var a = operands.Put(new[] { float.NaN, 1f, 2f, float.PositiveInfinity });
        var b = operands.Put(new[] { 1f, 1f });
        var c = operands.Put(new float[2]);
        operands.Device.Blas.Gemm(operands.Device.DefaultStream, Description(2, 1, 2, false, false, DType.Float32), a, b, default, c, default);
        Assert.That(operands.Get<float>(c, 2), Is.EqualTo(new[] { float.NaN, float.PositiveInfinity }));
    }

    [Test]
    public void Empty_products()
    {
        using var operands = new Operands();
        var c = operands.Put(new[] { 1f, 2f, 3f, 4f, 5f, 6f });
        var bias = operands.Put(new[] { 10f, 20f, 30f });
        var blas = operands.Device.Blas;
        var stream = operands.Device.DefaultStream;
        blas.Gemm(stream, Description(0, 3, 4, false, false, DType.Float32), default, default, default, c, default);
        blas.Gemm(stream, Description(2, 3, 4, false, false, DType.Float32) with { BatchCount = 0 }, default, default, default, c, default);
        Assert.That(operands.Get<float>(c, 6), Is.EqualTo(new[] { 1f, 2f, 3f, 4f, 5f, 6f }));
        blas.Gemm(stream, Description(2, 3, 0, false, false, DType.Float32) with { Beta = 2 }, default, default, bias, c, default);
        Assert.That(operands.Get<float>(c, 6), Is.EqualTo(new[] { 12f, 24f, 36f, 18f, 30f, 42f }));
    }

    [Test]
    public void Wrong_calls_are_refused_by_name()
    {
        using var operands = new Operands();
        var blas = operands.Device.Blas;
        var stream = operands.Device.DefaultStream;
        var a = operands.Put(new float[12]);
        var b = operands.Put(new float[20]);
        var c = operands.Put(new float[15]);
        var good = Description(3, 5, 4, false, false, DType.Float32);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => blas.Gemm(stream, good, a, b, default, c, default), Throws.Nothing);
            Fails(good with { ElementType = DType.Int32 }, a, b, c, CudaResult.CUDA_ERROR_NOT_SUPPORTED, "not with Int32");
            Fails(good with { ElementType = DType.Float16, AccumulationType = DType.Float16 }, a, b, c, CudaResult.CUDA_ERROR_NOT_SUPPORTED, "kept in Float32");
            Fails(good with { AccumulationType = DType.Float64 }, a, b, c, CudaResult.CUDA_ERROR_NOT_SUPPORTED, "sums of Float32");
            Fails(good with { M = -1 }, a, b, c, CudaResult.CUDA_ERROR_INVALID_VALUE, "must not be negative");
            Fails(good with { LeadingDimensionA = 3 }, a, b, c, CudaResult.CUDA_ERROR_INVALID_VALUE, "leading dimension of A is 3");
            Fails(good with { M = 4 }, a, b, c, CudaResult.CUDA_ERROR_INVALID_VALUE, "operand A, 64 bytes long", "16 bytes past its end");
            Fails(good with { LeadingDimensionB = 6 }, a, b, c, CudaResult.CUDA_ERROR_INVALID_VALUE, "operand B");
            Fails(good with { LeadingDimensionC = 6 }, a, b, c, CudaResult.CUDA_ERROR_INVALID_VALUE, "operand C");
            Fails(good with { LeadingDimensionC = long.MaxValue / 2 }, a, b, c, CudaResult.CUDA_ERROR_INVALID_VALUE, "operand C");
            Fails(good with { BatchCount = 2 }, a, b, c, CudaResult.CUDA_ERROR_INVALID_VALUE, "BatchStrideC is 0");
            Fails(good, default, b, c, CudaResult.CUDA_ERROR_INVALID_VALUE, "operand A", "the null pointer");
            Fails(good, a.Offset(2), b, c, CudaResult.CUDA_ERROR_INVALID_VALUE, "not aligned");
        }

        void Fails(GemmDescription d, DevicePointer<byte> pa, DevicePointer<byte> pb, DevicePointer<byte> pc, CudaResult result, params string[] parts)
        {
            var error = Assert.Throws<GpuException>(() => blas.Gemm(stream, d, pa, pb, default, pc, default));
            Assert.That(error?.Result, Is.EqualTo(result));
            foreach (var part in parts)
            {
                Assert.That(error?.Detail, Does.Contain(part));
            }
        }
    }

    internal static IEnumerable<VectorWidth> Widths() => [VectorWidth.Bits256, VectorWidth.Bits512];

    internal static void AssertSameBits(float[] actual, float[] expected, string what)
        => Assert.That(MemoryMarshal.AsBytes(actual.AsSpan()).SequenceEqual(MemoryMarshal.AsBytes(expected.AsSpan())), what);

    private static GemmDescription Description(int m, int n, int k, bool transposeA, bool transposeB, DType type) => new()
    {
        ElementType = type,
        AccumulationType = type,
        M = m,
        N = n,
        K = k,
        TransposeA = transposeA,
        TransposeB = transposeB,
        LeadingDimensionA = transposeA ? m : k,
        LeadingDimensionB = transposeB ? k : n,
        LeadingDimensionC = n,
    };

    private static (T[] A, T[] B, T[]? Bias, T[] Before, T[] C) Run<T>(in GemmDescription d, VectorWidth width, int threads, bool bias)
        where T : unmanaged, System.Numerics.IFloatingPoint<T>
    {
        using var operands = new Operands(threads);
        operands.Device.Library.Width = width;
        var a = Operands.Values<T>(((d.BatchCount - 1) * d.BatchStrideA) + (d.LeadingDimensionA * (d.TransposeA ? d.K : d.M)), 1);
        var b = Operands.Values<T>(((d.BatchCount - 1) * d.BatchStrideB) + (d.LeadingDimensionB * (d.TransposeB ? d.N : d.K)), 2);
        var c = Operands.Values<T>(((d.BatchCount - 1) * d.BatchStrideC) + (d.LeadingDimensionC * d.M), 3);
        var biasValues = bias ? Operands.Values<T>(d.N, 4) : null;
        var target = operands.Put(c);
        operands.Device.Blas.Gemm(
            operands.Device.DefaultStream, d, operands.Put(a), operands.Put(b), operands.Put(biasValues), target, default);
        return (a, b, biasValues, c, operands.Get<T>(target, c.Length));
    }

    // |error| of a sum of K products in any order is at most K u times the sum of their magnitudes (Higham, Accuracy and Stability
    // of Numerical Algorithms, 3.1); each of alpha, bias and beta adds a rounding; an epilogue magnifies by its slope and adds
    // a few ulp of its own.
    private static void Check<T>(in GemmDescription d, VectorWidth width, bool bias)
        where T : unmanaged, System.Numerics.IFloatingPoint<T>
    {
        var (a, b, biasValues, before, c) = Run<T>(d, width, 0, bias);
        var u = Oracle.Roundoff<T>();
        for (var item = 0; item < d.BatchCount; item++)
        {
            for (var i = 0; i < d.M; i++)
            {
                for (var j = 0; j < d.N; j++)
                {
                    double sum = 0, magnitude = 0;
                    for (var k = 0; k < d.K; k++)
                    {
                        var x = double.CreateChecked(a[(item * d.BatchStrideA) + (d.TransposeA ? (k * d.LeadingDimensionA) + i : (i * d.LeadingDimensionA) + k)]);
                        var y = double.CreateChecked(b[(item * d.BatchStrideB) + (d.TransposeB ? (j * d.LeadingDimensionB) + k : (k * d.LeadingDimensionB) + j)]);
                        sum += x * y;
                        magnitude += Math.Abs(x * y);
                    }

                    var index = (item * d.BatchStrideC) + (i * d.LeadingDimensionC) + j;
                    var added = (biasValues is null ? 0 : double.CreateChecked(biasValues[j]), d.Beta == 0 ? 0 : d.Beta * double.CreateChecked(before[index]));
                    var exact = Oracle.Apply(d.Epilogue, (d.Alpha * sum) + added.Item1 + added.Item2);
                    var tolerance = ((d.K + 4) * u * ((Math.Abs(d.Alpha) * magnitude) + Math.Abs(added.Item1) + Math.Abs(added.Item2)) * Oracle.MaxSlope)
                        + (16 * u * Math.Abs(exact)) + (2 * u);
                    var actual = double.CreateChecked(c[index]);
                    if (!(Math.Abs(actual - exact) <= tolerance))
                    {
                        Assert.Fail($"{d}: C[{item}, {i}, {j}] is {actual}, {exact} expected within {tolerance}");
                    }
                }
            }
        }

        // What lies between the rows of C is nobody's business.
        for (var index = 0L; index < c.Length; index++)
        {
            if (index % d.LeadingDimensionC >= d.N && c[index] != before[index])
            {
                Assert.Fail($"{d}: element {index} of C, beyond its columns, was written");
            }
        }
    }
}
