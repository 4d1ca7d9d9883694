// Gradients of the virtual device's convolutions against a double-precision direct loop, and to the bit: at other vector widths
// and thread counts, against a convolution with the weights turned round, against a product with the im2col matrix.
using CsCheck;
using FashionFlow.Gpu;
using FashionFlow.VirtualGpu.Simd;

namespace FashionFlow.VirtualGpu.Tests.Simd;

public class SimdDnnGradientTests
{
    // n, h, w, ci, co, kh, kw, stride, top, left, bottom, right: 3x3, temporal, 1x1, downsampling with and without asymmetric
    // padding, patches, 7x7; many small pictures; a stride beyond the kernel, padding beyond it, pixels that no window reaches.
    [TestCase(2, 7, 5, 33, 31, 3, 3, 1, 1, 1, 1, 1)]
    [TestCase(1, 9, 11, 16, 5, 3, 3, 1, 1, 1, 1, 1)]
    [TestCase(1, 8, 6, 3, 16, 3, 3, 1, 1, 1, 1, 1)]
    [TestCase(2, 5, 35, 40, 24, 3, 1, 1, 1, 0, 1, 0)]
    [TestCase(1, 3, 127, 4, 6, 3, 1, 1, 1, 0, 1, 0)]
    [TestCase(3, 6, 5, 65, 127, 1, 1, 1, 0, 0, 0, 0)]
    [TestCase(1, 9, 12, 20, 8, 3, 3, 2, 0, 0, 1, 1)]
    [TestCase(6, 8, 10, 18, 20, 3, 3, 2, 0, 0, 1, 1)]
    [TestCase(2, 10, 8, 18, 9, 4, 4, 2, 1, 1, 1, 1)]
    [TestCase(1, 28, 42, 3, 9, 14, 14, 14, 0, 0, 0, 0)]
    [TestCase(1, 13, 9, 3, 16, 7, 7, 1, 3, 3, 3, 3)]
    [TestCase(1, 1, 1, 1, 1, 3, 3, 1, 1, 1, 1, 1)]
    [TestCase(1, 2, 3, 30, 300, 3, 3, 1, 1, 1, 1, 1)]
    [TestCase(1, 4, 4, 6, 4, 5, 5, 3, 2, 4, 0, 1)]
    [TestCase(1, 25, 41, 17, 33, 3, 3, 1, 1, 1, 1, 1)]
    [TestCase(16, 3, 5, 16, 100, 3, 3, 1, 1, 1, 1, 1)]
    [TestCase(2, 9, 8, 7, 5, 1, 2, 3, 0, 0, 0, 0)]
    [TestCase(4, 5, 3, 31, 17, 2, 4, 3, 4, 1, 0, 5)]
    [TestCase(3, 6, 5, 4, 20, 2, 2, 1, 3, 2, 4, 3)]
    [TestCase(1, 40, 50, 5, 3, 3, 3, 1, 0, 0, 0, 0)]
    public void Agree_with_the_oracle(int n, int h, int w, int ci, int co, int kh, int kw, int stride, int top, int left, int bottom, int right)
    {
        var d = Description(n, h, w, ci, co, kh, kw, stride) with { PadTop = top, PadLeft = left, PadBottom = bottom, PadRight = right };
        Check<float>(d);
        Check<double>(d);
    }

    [Test]
    public void Agree_with_the_oracle_for_any_description()
        => Gen.Select(
            Gen.Select(Gen.Int[0, 8], Gen.Int[1, 9], Gen.Int[1, 9], Gen.Int[1, 24], Gen.Int[1, 24]),
            Gen.Select(Gen.Int[1, 4], Gen.Int[1, 4], Gen.Int[1, 3], Gen.Int[1, 3]),
            Gen.Select(Gen.Int[0, 4], Gen.Int[0, 4], Gen.Int[0, 4], Gen.Int[0, 4]))
            .Where((size, kernel, padding) =>
                size.Item2 + padding.Item1 + padding.Item2 >= kernel.Item1 && size.Item3 + padding.Item3 + padding.Item4 >= kernel.Item2)
            .Sample((size, kernel, padding) => Check<float>(
                Description(size.Item1, size.Item2, size.Item3, size.Item4, size.Item5, kernel.Item1, kernel.Item2, kernel.Item3) with
                {
                    StrideW = kernel.Item4,
                    PadTop = padding.Item1,
                    PadBottom = padding.Item2,
                    PadLeft = padding.Item3,
                    PadRight = padding.Item4,
                }), iter: 100);

    [TestCase(8, 12, 10, 40, 50, 3, 3, 1)]
    [TestCase(2, 16, 24, 33, 20, 3, 3, 2)]
    [TestCase(1, 6, 400, 24, 36, 3, 1, 1)]
    [TestCase(3, 40, 40, 4, 70, 4, 4, 2)]
    public void Same_bits_at_any_width_and_thread_count(int n, int h, int w, int ci, int co, int kh, int kw, int stride)
    {
        var d = Description(n, h, w, ci, co, kh, kw, stride) with { PadTop = kh / 2, PadLeft = kw / 2, PadBottom = (kh - 1) / 2, PadRight = (kw - 1) / 2 };
        var (dx, dw) = Run<float>(d, SimdLibrary.HostWidth, threads: 1);
        using (Assert.EnterMultipleScope())
        {
            foreach (var width in SimdBlasTests.Widths())
            {
                foreach (var threads in new[] { 1, 2, 5 })
                {
                    var (otherDx, otherDw) = Run<float>(d, width, threads);
                    SimdBlasTests.AssertSameBits(otherDx, dx, $"dx, {width}, {threads} threads");
                    SimdBlasTests.AssertSameBits(otherDw, dw, $"dw, {width}, {threads} threads");
                }
            }
        }
    }

    [TestCase(5, 9, 11, 33, 20, 3, 3)]
    [TestCase(2, 7, 50, 16, 48, 3, 1)]
    [TestCase(1, 64, 65, 5, 6, 5, 2)]
    public void Have_the_bits_of_the_convolution_and_the_product_that_they_are(int n, int h, int w, int ci, int co, int kh, int kw)
    {
        var d = Description(n, h, w, ci, co, kh, kw, 1) with { PadTop = kh / 2, PadLeft = kw / 2, PadBottom = (kh - 1) / 2, PadRight = (kw - 1) / 2 };
        var (rows, k) = (n * d.OutH * d.OutW, kh * kw * ci);
        var (x, weights, dy) = Values<float>(d);
        var (dx, dw) = Run<float>(d, SimdLibrary.HostWidth, threads: 2);
        using var operands = new Operands();
        var device = operands.Device;
        var gradient = operands.Put(dy);

        var turned = new float[weights.Length];
        for (var i = 0; i < turned.Length; i++)
        {
            var (o, r, s, c) = (i / k, i / (kw * ci) % kh, i / ci % kw, i % ci);
            turned[(((((c * kh) + kh - 1 - r) * kw) + kw - 1 - s) * co) + o] = weights[i];
        }

        var convolved = operands.Put(new float[x.Length]);
        var back = Description(n, d.OutH, d.OutW, co, ci, kh, kw, 1) with
        {
            PadTop = kh - 1 - d.PadTop, PadLeft = kw - 1 - d.PadLeft, PadBottom = kh - 1 - d.PadBottom, PadRight = kw - 1 - d.PadRight,
        };
        device.Dnn.ConvolutionForward(device.DefaultStream, back, gradient, operands.Put(turned), default, default, convolved, default);
        SimdBlasTests.AssertSameBits(dx, operands.Get<float>(convolved, x.Length), "a convolution with the weights turned round");

        var multiplied = operands.Put(new float[weights.Length]);
        var product = new GemmDescription
        {
            ElementType = DType.Float32, AccumulationType = DType.Float32, M = co, N = k, K = rows, TransposeA = true,
            LeadingDimensionA = co, LeadingDimensionB = k, LeadingDimensionC = k,
        };
        device.Blas.Gemm(
            device.DefaultStream, product, gradient, operands.Put(SimdDnnTests.Windows(d, x)), default, multiplied, default);
        SimdBlasTests.AssertSameBits(dw, operands.Get<float>(multiplied, weights.Length), "a product with the im2col matrix");
    }

    // Sums over so many outputs that a block of y's gradient is packed where it is used, not all of it once for all.
    [Test]
    public void Sums_over_very_many_outputs_have_the_same_bits_at_any_thread_count()
    {
        var d = Description(2, 250, 400, 2, 24, 3, 3, 1) with { PadTop = 1, PadLeft = 1, PadBottom = 1, PadRight = 1 };
        var alone = Run<float>(d, SimdLibrary.HostWidth, threads: 1).Dw;
        SimdBlasTests.AssertSameBits(Run<float>(d, SimdLibrary.HostWidth, threads: 3).Dw, alone, "3 threads");
    }

    [Test]
    public void Without_pictures_the_gradient_of_the_weights_is_zero()
    {
        using var operands = new Operands();
        var dw = operands.Put(Operands.Values<float>(5 * 9 * 2, 1));
        var d = Description(0, 4, 4, 2, 5, 3, 3, 1);
        operands.Device.Dnn.ConvolutionBackwardFilter(operands.Device.DefaultStream, d, default, default, dw, default);
        operands.Device.Dnn.ConvolutionBackwardData(operands.Device.DefaultStream, d, default, dw, default, default);
        Assert.That(operands.Get<float>(dw, 5 * 9 * 2), Is.All.Zero);
    }

    [Test]
    public void Wrong_calls_are_refused_by_name()
    {
        using var operands = new Operands();
        var x = operands.Put(new float[4 * 4 * 2]);
        var w = operands.Put(new float[3 * 9 * 2]);
        var y = operands.Put(new float[4 * 4 * 3]);
        var good = Description(1, 4, 4, 2, 3, 3, 3, 1) with { PadTop = 1, PadLeft = 1, PadBottom = 1, PadRight = 1 };
        using (Assert.EnterMultipleScope())
        {
            Fails(good with { ElementType = DType.BFloat16 }, CudaResult.CUDA_ERROR_NOT_SUPPORTED, "not with BFloat16", "not with BFloat16");
            Fails(good with { StrideH = 0 }, CudaResult.CUDA_ERROR_INVALID_VALUE, "strides must be at least 1", "strides must be at least 1");
            Fails(good with { N = 2 }, CudaResult.CUDA_ERROR_INVALID_VALUE, "ConvolutionBackwardData: operand dx", "ConvolutionBackwardFilter: operand x");
            Fails(good with { OutChannels = 4 }, CudaResult.CUDA_ERROR_INVALID_VALUE, "operand w", "operand dw");
            Fails(good with { PadBottom = 2 }, CudaResult.CUDA_ERROR_INVALID_VALUE, "operand dy", "operand dy");
        }

        void Fails(ConvolutionDescription d, CudaResult result, string ofData, string ofFilter)
        {
            var (device, stream) = (operands.Device.Dnn, operands.Device.DefaultStream);
            var data = Assert.Throws<GpuException>(() => device.ConvolutionBackwardData(stream, d, y, w, x, default));
            var filter = Assert.Throws<GpuException>(() => device.ConvolutionBackwardFilter(stream, d, x, y, w, default));
            Assert.That((data?.Result, filter?.Result), Is.EqualTo((result, result)));
            Assert.That(data?.Detail, Does.Contain(ofData));
            Assert.That(filter?.Detail, Does.Contain(ofFilter));
        }
    }

    private static ConvolutionDescription Description(int n, int h, int w, int ci, int co, int kh, int kw, int stride) => new()
    {
        ElementType = DType.Float32,
        AccumulationType = DType.Float32,
        N = n,
        H = h,
        W = w,
        InChannels = ci,
        OutChannels = co,
        KernelH = kh,
        KernelW = kw,
        StrideH = stride,
        StrideW = stride,
    };

    private static (T[] X, T[] W, T[] Dy) Values<T>(in ConvolutionDescription d)
        where T : unmanaged, System.Numerics.IFloatingPoint<T>
        => (
            Operands.Values<T>((long)d.N * d.H * d.W * d.InChannels, 21),
            Operands.Values<T>((long)d.OutChannels * d.KernelH * d.KernelW * d.InChannels, 22),
            Operands.Values<T>((long)d.N * d.OutH * d.OutW * d.OutChannels, 23));

    private static (T[] Dx, T[] Dw) Run<T>(ConvolutionDescription d, VectorWidth width, int threads)
        where T : unmanaged, System.Numerics.IFloatingPoint<T>
    {
        d = d with { ElementType = DTypes.Of<T>(), AccumulationType = DTypes.Of<T>() };
        var (x, w, dy) = Values<T>(d);
        using var operands = new Operands(threads);
        var device = operands.Device;
        device.Library.Width = width;
        var gradient = operands.Put(dy);
        var (dx, dw) = (operands.Put(new T[x.Length]), operands.Put(new T[w.Length]));
        device.Dnn.ConvolutionBackwardData(device.DefaultStream, d, gradient, operands.Put(w), dx, default);
        device.Dnn.ConvolutionBackwardFilter(device.DefaultStream, d, operands.Put(x), gradient, dw, default);
        return (operands.Get<T>(dx, x.Length), operands.Get<T>(dw, w.Length));
    }

    // The tolerance is SimdBlasTests': (n + 4) u times the sum of the n terms' sizes.
    private static void Check<T>(ConvolutionDescription d)
        where T : unmanaged, System.Numerics.IFloatingPoint<T>
    {
        var (rows, k) = (d.N * d.OutH * d.OutW, d.KernelH * d.KernelW * d.InChannels);
        var (x, w, dy) = Values<T>(d);
        var places = SimdDnnTests.WindowPlaces(d);
        var (dx, dxSize) = (new double[x.Length], new double[x.Length]);
        var (dw, dwSize) = (new double[w.Length], new double[w.Length]);
        for (var i = 0; i < places.Length; i++)
        {
            for (var co = 0; co < d.OutChannels && places[i] >= 0; co++)
            {
                var gradient = double.CreateChecked(dy[(i / k * d.OutChannels) + co]);
                var at = (co * k) + (i % k);
                Add(dx, dxSize, places[i], gradient * double.CreateChecked(w[at]));
                Add(dw, dwSize, at, gradient * double.CreateChecked(x[places[i]]));
            }
        }

        var (actualDx, actualDw) = Run<T>(d, VectorWidth.Bits256, threads: 0);
        var (otherDx, otherDw) = Run<T>(d, VectorWidth.Bits512, threads: 0);
        Assert.That(otherDx, Is.EqualTo(actualDx), "both widths give the same bits");
        Assert.That(otherDw, Is.EqualTo(actualDw), "both widths give the same bits");
        Compare("dx", actualDx, dx, dxSize, d.KernelH * d.KernelW * d.OutChannels);
        Compare("dw", actualDw, dw, dwSize, rows);

        void Compare(string what, T[] actual, double[] exact, double[] size, int terms)
        {
            for (var i = 0; i < exact.Length; i++)
            {
                if (!(Math.Abs(double.CreateChecked(actual[i]) - exact[i]) <= (terms + 4) * Oracle.Roundoff<T>() * size[i]))
                {
                    Assert.Fail($"{d}: {what}[{i}] is {actual[i]}, {exact[i]} expected");
                }
            }
        }

        static void Add(double[] sum, double[] size, int at, double term)
        {
            sum[at] += term;
            size[at] += Math.Abs(term);
        }
    }
}
