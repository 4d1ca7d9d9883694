// Products and convolutions of half types: to the bit what the same numbers give in float, rounded once, by .NET's own conversion.
using FashionFlow.Gpu;
using FashionFlow.VirtualGpu.Simd;

namespace FashionFlow.VirtualGpu.Tests.Simd;

public class HalfOperandsTests
{
    private static readonly DType[] s_types = [DType.Float16, DType.BFloat16];

    private static IEnumerable<TestCaseData> Products =>
        from type in s_types
        from d in new GemmDescription[]
        {
            Product(1, 1, 1),
            Product(5, 7, 33) with { TransposeB = true, LeadingDimensionB = 35, Epilogue = Epilogue.Silu },
            Product(33, 17, 5) with { TransposeA = true, LeadingDimensionA = 40, Alpha = -0.375 },

            // A batch whose results lie in each other's gaps, as the heads of an attention do; old contents count.
            Product(9, 4, 31) with { BatchCount = 3, LeadingDimensionC = 12, BatchStrideC = 4, BatchStrideA = 0, BatchStrideB = 31 * 4, Beta = 0.5 },

            // Enough for several threads and for rows of several pieces.
            Product(3, 70_001, 2) with { Epilogue = Epilogue.Gelu },
            Product(300, 130, 400) with { Epilogue = Epilogue.QuickGelu, Beta = 1 },
            Product(2, 3, 0) with { Beta = 2 },
        }
        select new TestCaseData(d with { ElementType = type }).SetArgDisplayNames($"{type}", $"{d.BatchCount} x {d.M} x {d.N} x {d.K}");

    [TestCaseSource(nameof(Products))]
    public void A_product_of_halves_is_that_of_the_same_floats_rounded_once(GemmDescription d)
    {
        var a = Numbers(d.ElementType, 1 << 18, 1);
        var b = Numbers(d.ElementType, 1 << 18, 2);
        var bias = Numbers(d.ElementType, d.N, 3);
        var before = Numbers(d.ElementType, ((d.BatchCount - 1) * d.BatchStrideC) + ((d.M - 1) * d.LeadingDimensionC) + d.N + 5, 4);
        var floats = Run(d with { ElementType = DType.Float32 }, threads: 1, SimdLibrary.HostWidth);
        var expected = Array.ConvertAll(floats, x => Round(d.ElementType, x));
        using (Assert.EnterMultipleScope())
        {
            foreach (var threads in (int[])[1, 2, 5])
            {
                foreach (var width in SimdBlasTests.Widths())
                {
                    SimdBlasTests.AssertSameBits(Run(d, threads, width), expected, $"{threads} threads, {width}");
                }
            }
        }

        float[] Run(GemmDescription description, int threads, VectorWidth width)
        {
            using var operands = new Operands(threads);
            operands.Device.Library.Width = width;
            var c = Put(operands, description.ElementType, before);
            operands.Device.Blas.Gemm(
                operands.Device.DefaultStream, description, Put(operands, description.ElementType, a), Put(operands, description.ElementType, b),
                Put(operands, description.ElementType, bias), c, default);
            return Get(operands, description.ElementType, c, before.Length);
        }
    }

    [Test]
    public void A_convolution_of_halves_is_that_of_the_same_floats_rounded_once(
        [Values(DType.Float16, DType.BFloat16)] DType type, [Values(1, 2)] int stride, [Values] bool residual)
    {
        var d = new ConvolutionDescription
        {
            ElementType = type, AccumulationType = DType.Float32, N = 2, H = 11, W = 13, InChannels = 19, OutChannels = 21, KernelH = 3, KernelW = 3,
            StrideH = stride, StrideW = stride, PadTop = 1, PadLeft = 1, PadBottom = 1, PadRight = 0, Epilogue = Epilogue.Silu,
        };
        var x = Numbers(type, d.N * d.H * d.W * d.InChannels, 1);
        var w = Numbers(type, d.OutChannels * d.KernelH * d.KernelW * d.InChannels, 2);
        var bias = Numbers(type, d.OutChannels, 3);
        var added = Numbers(type, d.N * d.OutH * d.OutW * d.OutChannels, 4);
        var expected = Array.ConvertAll(Run(d with { ElementType = DType.Float32 }), value => Round(type, value));
        SimdBlasTests.AssertSameBits(Run(d), expected, "rounded results");

        float[] Run(ConvolutionDescription description)
        {
            using var operands = new Operands();
            var element = description.ElementType;
            var y = Put(operands, element, new float[added.Length]);
            operands.Device.Dnn.ConvolutionForward(
                operands.Device.DefaultStream, description, Put(operands, element, x), Put(operands, element, w), Put(operands, element, bias),
                residual ? Put(operands, element, added) : default, y, default);
            return Get(operands, element, y, added.Length);
        }
    }

    [Test]
    public void Every_number_of_a_half_type_passes_through_a_product_with_one([Values(DType.Float16, DType.BFloat16)] DType type)
    {
        // All but -0, which a sum that starts at 0 makes 0.
        float[] numbers = [.. Enumerable.Range(0, 1 << 16).Where(bits => bits != 0x8000).Select(bits => FromBits(type, (ushort)bits))];
        using var operands = new Operands();
        var c = Put(operands, type, new float[numbers.Length]);
        operands.Device.Blas.Gemm(
            operands.Device.DefaultStream, Product(numbers.Length, 1, 1) with { ElementType = type }, Put(operands, type, numbers), Put(operands, type, [1]),
            default, c, default);
        Assert.That(Get(operands, type, c, numbers.Length), Is.EqualTo(numbers));
    }

    [Test]
    public void Gradients_of_convolutions_are_refused_by_name()
    {
        using var operands = new Operands();
        var d = new ConvolutionDescription
        {
            ElementType = DType.Float16, AccumulationType = DType.Float32, N = 1, H = 1, W = 1, InChannels = 1, OutChannels = 1, KernelH = 1, KernelW = 1,
        };
        var one = Put(operands, DType.Float16, [1]);
        Assert.That(
            () => operands.Device.Dnn.ConvolutionBackwardData(operands.Device.DefaultStream, d, one, one, one, default),
            Throws.TypeOf<GpuException>().With.Message.Contains("the virtual device computes with Float32 and Float64, not with Float16"));
    }

    private static GemmDescription Product(int m, int n, int k) => new()
    {
        ElementType = DType.Float16,
        AccumulationType = DType.Float32,
        M = m,
        N = n,
        K = k,
        LeadingDimensionA = k,
        LeadingDimensionB = n,
        LeadingDimensionC = n,
    };

    private static float[] Numbers(DType type, long count, ulong seed)
        => Array.ConvertAll(Operands.Values<float>(count, seed), value => Round(type, value));

    private static float Round(DType type, float value) => type == DType.Float16 ? (float)(Half)value : (BFloat16)value;

    private static float FromBits(DType type, ushort bits) => type == DType.Float16 ? (float)BitConverter.UInt16BitsToHalf(bits) : new BFloat16(bits);

    private static DevicePointer<byte> Put(Operands operands, DType type, float[] values) => type switch
    {
        DType.Float16 => operands.Put(Array.ConvertAll(values, value => (Half)value)),
        DType.BFloat16 => operands.Put(Array.ConvertAll(values, value => (BFloat16)value)),
        _ => operands.Put(values),
    };

    private static float[] Get(Operands operands, DType type, DevicePointer<byte> pointer, long count) => type switch
    {
        DType.Float16 => Array.ConvertAll(operands.Get<Half>(pointer, count), value => (float)value),
        DType.BFloat16 => Array.ConvertAll(operands.Get<BFloat16>(pointer, count), value => (float)value),
        _ => operands.Get<float>(pointer, count),
    };
}
