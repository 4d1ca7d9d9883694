// Convolutions of the virtual device against a double-precision direct loop, and to the bit against the product of the im2col
// matrix and the weights.
using CsCheck;
using FashionFlow.Gpu;
using FashionFlow.VirtualGpu.Simd;

namespace FashionFlow.VirtualGpu.Tests.Simd;

public class SimdDnnTests
{
    // n, h, w, ci, co, kh, kw, stride, top, left, bottom, right: every way to find windows, with odd sizes and each kind of
    // convolution of the models: 3x3, temporal, 1x1, downsampling with and without asymmetric padding, patches, 7x7.
    [TestCase(2, 7, 5, 33, 31, 3, 3, 1, 1, 1, 1, 1)]
    [TestCase(1, 9, 11, 16, 5, 3, 3, 1, 1, 1, 1, 1)]
    [TestCase(1, 8, 6, 3, 16, 3, 3, 1, 1, 1, 1, 1)]
    [TestCase(2, 5, 5, 4, 3, 3, 3, 1, 1, 1, 1, 1)]
    [TestCase(2, 5, 35, 40, 24, 3, 1, 1, 1, 0, 1, 0)]
    [TestCase(1, 3, 127, 4, 6, 3, 1, 1, 1, 0, 1, 0)]
    [TestCase(3, 6, 5, 65, 127, 1, 1, 1, 0, 0, 0, 0)]
    [TestCase(1, 9, 12, 20, 8, 3, 3, 2, 0, 0, 1, 1)]
    [TestCase(1, 9, 12, 5, 8, 3, 3, 2, 0, 0, 1, 1)]
    [TestCase(2, 10, 8, 18, 9, 4, 4, 2, 1, 1, 1, 1)]
    [TestCase(1, 64, 96, 3, 17, 32, 32, 32, 0, 0, 0, 0)]
    [TestCase(1, 28, 42, 3, 9, 14, 14, 14, 0, 0, 0, 0)]
    [TestCase(1, 13, 9, 3, 16, 7, 7, 1, 3, 3, 3, 3)]
    [TestCase(1, 13, 9, 20, 16, 7, 7, 1, 3, 3, 3, 3)]
    [TestCase(1, 1, 1, 1, 1, 3, 3, 1, 1, 1, 1, 1)]
    [TestCase(1, 2, 3, 300, 3, 3, 3, 1, 1, 1, 1, 1)]
    [TestCase(1, 4, 4, 6, 4, 5, 5, 3, 2, 4, 0, 1)]
    [TestCase(1, 25, 41, 17, 33, 3, 3, 1, 1, 1, 1, 1)]
    [TestCase(5, 6, 4, 20, 33, 3, 3, 1, 1, 1, 1, 1)]
    [TestCase(16, 3, 5, 100, 16, 3, 3, 1, 1, 1, 1, 1)]
    [TestCase(7, 4, 5, 17, 9, 3, 3, 2, 1, 1, 1, 1)]
    [TestCase(13, 1, 2, 16, 7, 5, 5, 1, 2, 2, 2, 2)]
    [TestCase(4, 5, 3, 31, 3, 2, 4, 3, 4, 1, 0, 5)]
    public void Agrees_with_the_oracle_and_with_im2col(
        int n, int h, int w, int ci, int co, int kh, int kw, int stride, int top, int left, int bottom, int right)
    {
        var d = new ConvolutionDescription
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
            PadTop = top,
            PadLeft = left,
            PadBottom = bottom,
            PadRight = right,
        };
        Check<float>(d, bias: true, residual: false, im2col: true);
        Check<double>(d with { Epilogue = Epilogue.Silu }, bias: true, residual: true, im2col: false);
    }

    [Test]
    public void Agrees_with_the_oracle_for_any_description()
        => Gen.Select(
            Gen.Select(Gen.Int[0, 8], Gen.Int[1, 9], Gen.Int[1, 9], Gen.Int[1, 40], Gen.Int[1, 20]),
            Gen.Select(Gen.Int[1, 4], Gen.Int[1, 4], Gen.Int[1, 3], Gen.Int[1, 3]),
            Gen.Select(Gen.Int[0, 3], Gen.Int[0, 3], Gen.Int[0, 3], Gen.Int[0, 3]),
            Gen.Select(Gen.Enum<Epilogue>(), Gen.Bool, Gen.Bool))
            .Where((size, kernel, padding, _) =>
                size.Item2 + padding.Item1 + padding.Item2 >= kernel.Item1 && size.Item3 + padding.Item3 + padding.Item4 >= kernel.Item2)
            .Sample((size, kernel, padding, extra) => Check<float>(
                new ConvolutionDescription
                {
                    ElementType = DType.Float32,
                    AccumulationType = DType.Float32,
                    N = size.Item1,
                    H = size.Item2,
                    W = size.Item3,
                    InChannels = size.Item4,
                    OutChannels = size.Item5,
                    KernelH = kernel.Item1,
                    KernelW = kernel.Item2,
                    StrideH = kernel.Item3,
                    StrideW = kernel.Item4,
                    PadTop = padding.Item1,
                    PadBottom = padding.Item2,
                    PadLeft = padding.Item3,
                    PadRight = padding.Item4,
                    Epilogue = extra.Item1,
                },
                extra.Item2,
                extra.Item3,
                im2col: false), iter: 100);

    [Test]
    public void The_residual_may_be_the_output_itself()
    {
        var d = new ConvolutionDescription
        {
            ElementType = DType.Float32, AccumulationType = DType.Float32, N = 1, H = 12, W = 10, InChannels = 40, OutChannels = 32,
            KernelH = 3, KernelW = 3, PadTop = 1, PadLeft = 1, PadBottom = 1, PadRight = 1,
        };
        using var operands = new Operands();
        var x = operands.Put(Operands.Values<float>(12 * 10 * 40, 1));
        var w = operands.Put(Operands.Values<float>(32 * 9 * 40, 2));
        var before = Operands.Values<float>(12 * 10 * 32, 3);
        var residual = operands.Put(before);
        var y = operands.Put(before);
        var apart = operands.Put(new float[before.Length]);
        operands.Device.Dnn.ConvolutionForward(operands.Device.DefaultStream, d, x, w, default, residual, apart, default);
        operands.Device.Dnn.ConvolutionForward(operands.Device.DefaultStream, d, x, w, default, y, y, default);
        SimdBlasTests.AssertSameBits(operands.Get<float>(y, before.Length), operands.Get<float>(apart, before.Length), "in place");
    }

    [Test]
    public void Wrong_calls_are_refused_by_name()
    {
        using var operands = new Operands();
        var x = operands.Put(new float[4 * 4 * 2]);
        var w = operands.Put(new float[3 * 9 * 2]);
        var y = operands.Put(new float[4 * 4 * 3]);
        var good = new ConvolutionDescription
        {
            ElementType = DType.Float32, AccumulationType = DType.Float32, N = 1, H = 4, W = 4, InChannels = 2, OutChannels = 3,
            KernelH = 3, KernelW = 3, PadTop = 1, PadLeft = 1, PadBottom = 1, PadRight = 1,
        };
        using (Assert.EnterMultipleScope())
        {
            Assert.That(
                () => operands.Device.Dnn.ConvolutionForward(operands.Device.DefaultStream, good, x, w, default, default, y, default), Throws.Nothing);
            Fails(good with { ElementType = DType.UInt8 }, CudaResult.CUDA_ERROR_NOT_SUPPORTED, "not with UInt8");
            Fails(good with { StrideH = 0 }, CudaResult.CUDA_ERROR_INVALID_VALUE, "strides must be at least 1");
            Fails(good with { KernelH = 7 }, CudaResult.CUDA_ERROR_INVALID_VALUE, "does not fit the padded input");
            Fails(good with { N = 2 }, CudaResult.CUDA_ERROR_INVALID_VALUE, "operand x");
            Fails(good with { OutChannels = 4 }, CudaResult.CUDA_ERROR_INVALID_VALUE, "operand w");
            Fails(good with { PadBottom = 2 }, CudaResult.CUDA_ERROR_INVALID_VALUE, "operand y");
        }

        void Fails(ConvolutionDescription d, CudaResult result, string part)
        {
            var error = Assert.Throws<GpuException>(
                () => operands.Device.Dnn.ConvolutionForward(operands.Device.DefaultStream, d, x, w, default, default, y, default));
            Assert.That(error?.Result, Is.EqualTo(result));
            Assert.That(error?.Detail, Does.Contain(part));
        }
    }

    /// <summary>Where in x each element of each output's window lies, [outputs, kernel rows x kernel columns x channels]; -1 in the padding.</summary>
    internal static int[] WindowPlaces(ConvolutionDescription d)
    {
        var k = d.KernelH * d.KernelW * d.InChannels;
        var places = new int[(long)d.N * d.OutH * d.OutW * k];
        for (var i = 0; i < places.Length; i++)
        {
            var (row, kh, kw, ci) = (i / k, i % k / (d.KernelW * d.InChannels), i / d.InChannels % d.KernelW, i % d.InChannels);
            var (picture, oh, ow) = (row / (d.OutH * d.OutW), row / d.OutW % d.OutH, row % d.OutW);
            var (h, v) = ((oh * d.StrideH) - d.PadTop + kh, (ow * d.StrideW) - d.PadLeft + kw);
            var inside = h >= 0 && h < d.H && v >= 0 && v < d.W;
            places[i] = inside ? (((((picture * d.H) + h) * d.W) + v) * d.InChannels) + ci : -1;
        }

        return places;
    }

    /// <summary>The im2col matrix: the window of each output, border zeros in place.</summary>
    internal static T[] Windows<T>(ConvolutionDescription d, T[] x)
        where T : unmanaged
        => Array.ConvertAll(WindowPlaces(d), place => place < 0 ? default : x[place]);

    private static void Check<T>(ConvolutionDescription d, bool bias, bool residual, bool im2col)
        where T : unmanaged, System.Numerics.IFloatingPoint<T>
    {
        d = d with { ElementType = DTypes.Of<T>(), AccumulationType = DTypes.Of<T>() };
        var rows = d.N * d.OutH * d.OutW;
        var k = d.KernelH * d.KernelW * d.InChannels;
        var x = Operands.Values<T>((long)d.N * d.H * d.W * d.InChannels, 11);
        var w = Operands.Values<T>((long)d.OutChannels * k, 12);
        var biasValues = bias ? Operands.Values<T>(d.OutChannels, 13) : null;
        var residualValues = residual ? Operands.Values<T>((long)rows * d.OutChannels, 14) : null;

        using var operands = new Operands();
        var (xp, wp, bp, rp) = (operands.Put(x), operands.Put(w), operands.Put(biasValues), operands.Put(residualValues));
        var results = new List<T[]>();
        foreach (var width in SimdBlasTests.Widths())
        {
            operands.Device.Library.Width = width;
            var yp = operands.Put(new T[rows * d.OutChannels]);
            operands.Device.Dnn.ConvolutionForward(operands.Device.DefaultStream, d, xp, wp, bp, rp, yp, default);
            results.Add(operands.Get<T>(yp, rows * d.OutChannels));
        }

        Assert.That(results[1], Is.EqualTo(results[0]), "both widths give the same bits");

        var windows = Windows(d, x);

        // The tolerance is SimdBlasTests'.
        var u = Oracle.Roundoff<T>();
        for (var row = 0; row < rows; row++)
        {
            for (var co = 0; co < d.OutChannels; co++)
            {
                double sum = 0, magnitude = 0;
                for (var i = 0; i < k; i++)
                {
                    var product = double.CreateChecked(windows[((long)row * k) + i]) * double.CreateChecked(w[((long)co * k) + i]);
                    sum += product;
                    magnitude += Math.Abs(product);
                }

                foreach (var added in new[] { biasValues?[co], residualValues?[(row * d.OutChannels) + co] })
                {
                    sum += double.CreateChecked(added ?? T.Zero);
                    magnitude += Math.Abs(double.CreateChecked(added ?? T.Zero));
                }

                var exact = Oracle.Apply(d.Epilogue, sum);
                var tolerance = ((k + 4) * u * magnitude * Oracle.MaxSlope) + (16 * u * Math.Abs(exact)) + (2 * u);
                var actual = double.CreateChecked(results[0][(row * d.OutChannels) + co]);
                if (!(Math.Abs(actual - exact) <= tolerance))
                {
                    Assert.Fail($"{d}: row {row}, channel {co} is {actual}, {exact} expected within {tolerance}");
                }
            }
        }

        if (im2col)
        {
            var cp = operands.Put(new T[rows * d.OutChannels]);
            operands.Device.Blas.Gemm(
                operands.Device.DefaultStream,
                new GemmDescription
                {
                    ElementType = d.ElementType, AccumulationType = d.AccumulationType, M = rows, N = d.OutChannels, K = k,
                    TransposeB = true, LeadingDimensionA = k, LeadingDimensionB = k, LeadingDimensionC = d.OutChannels, Epilogue = d.Epilogue,
                },
                operands.Put(windows),
                wp,
                bp,
                cp,
                default);
            Assert.That(operands.Get<T>(cp, rows * d.OutChannels), Is.EqualTo(results[0]), "im2col and GEMM give the same bits");
        }
    }
}
