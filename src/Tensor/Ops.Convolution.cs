// Convolutions on channels-last tensors, by the device's library or by our kernels (kernels/convolution.cu).
using System.Runtime.CompilerServices;
using FashionFlow.Gpu;
using FashionFlow.Gpu.Kernels;

namespace FashionFlow.Tensors;

public static partial class Ops
{
    /// <summary>y = epilogue(conv(x, weight) + bias + residual), a cross-correlation as in PyTorch.</summary>
    /// <param name="x">[n, h, w, ci].</param>
    /// <param name="weight">[co, kh, kw, ci].</param>
    /// <param name="bias">[co], or null.</param>
    /// <param name="stride">Step along height and width.</param>
    /// <param name="padding">Zeros around the pictures; none if not given.</param>
    /// <param name="epilogue">Applied last, after the residual is added.</param>
    /// <param name="residual">Of the result's shape, or null.</param>
    /// <returns>[n, (h + top + bottom - kh) / stride + 1, (w + left + right - kw) / stride + 1, co].</returns>
    /// <exception cref="ArgumentException">Shapes, element types or contexts do not fit.</exception>
    public static Tensor Conv2d(
        Tensor x,
        Tensor weight,
        Tensor? bias,
        int stride = 1,
        Padding2d padding = default,
        Epilogue epilogue = Epilogue.None,
        Tensor? residual = null)
    {
        Require(x.Shape.Rank == 4, $"x must be [n, h, w, channels], not {x.Shape}");
        Require(weight.Shape.Rank == 4, $"weight must be [out, kernel height, kernel width, in], not {weight.Shape}");
        var (n, h, w) = (x.Shape[0], x.Shape[1], x.Shape[2]);
        return Convolve(x, weight, bias, residual, n, h, w, weight.Shape[1], weight.Shape[2], stride, padding, epilogue, (outH, outW) => [n, outH, outW, weight.Shape[0]]);
    }

    /// <summary>A convolution over the frames alone, with zeros before the first and after the last: y = conv(x, weight) + bias + residual.</summary>
    /// <param name="x">[b, f, h, w, ci].</param>
    /// <param name="weight">[co, kt, ci], kt odd.</param>
    /// <param name="bias">[co], or null.</param>
    /// <param name="residual">[b, f, h, w, co], or null.</param>
    /// <returns>[b, f, h, w, co].</returns>
    /// <exception cref="ArgumentException">Shapes, element types or contexts do not fit.</exception>
    public static Tensor TemporalConv(Tensor x, Tensor weight, Tensor? bias, Tensor? residual = null)
    {
        Require(x.Shape.Rank == 5, $"x must be [b, frames, h, w, channels], not {x.Shape}");
        Require(weight.Shape.Rank == 3, $"weight must be [out, kernel, in], not {weight.Shape}");
        Require(weight.Shape[1] % 2 == 1, $"the kernel of weight {weight.Shape} is even");
        var shape = x.Shape.With(-1, weight.Shape[0]);
        var pixels = CheckedInt32((long)x.Shape[2] * x.Shape[3], $"pixels of a frame of x {x.Shape}");
        var padding = Padding2d.Same(weight.Shape[1], 1);
        return Convolve(x, weight, bias, residual, x.Shape[0], x.Shape[1], pixels, weight.Shape[1], 1, 1, padding, Epilogue.None, (_, _) => shape);
    }

    /// <summary>
    /// A pseudo-3D convolution: a spatial one on every frame, then one over the frames at every pixel, both keeping the size,
    /// with nothing between them.
    /// </summary>
    /// <param name="x">[b, f, h, w, ci].</param>
    /// <param name="spatialWeight">[co, k, k, ci], k odd.</param>
    /// <param name="spatialBias">[co], or null.</param>
    /// <param name="temporalWeight">[co, kt, co], kt odd; null leaves the temporal part out (k = 1, or time not enabled).</param>
    /// <param name="temporalBias">[co], or null.</param>
    /// <param name="residual">[b, f, h, w, co] to add to the result, or null.</param>
    /// <returns>[b, f, h, w, co].</returns>
    /// <exception cref="ArgumentException">Shapes, element types or contexts do not fit.</exception>
    public static Tensor PseudoConv3d(
        Tensor x, Tensor spatialWeight, Tensor? spatialBias, Tensor? temporalWeight, Tensor? temporalBias, Tensor? residual = null)
    {
        var y = PseudoConv3d(x, spatialWeight, spatialBias, temporalWeight, temporalBias, residual, out var spatial);
        spatial?.Dispose();
        return y;
    }

    /// <summary>
    /// As <see cref="PseudoConv3d(Tensor, Tensor, Tensor?, Tensor?, Tensor?, Tensor?)"/>, and hands out what the gradient of the
    /// temporal weight needs.
    /// </summary>
    /// <param name="x">[b, f, h, w, ci].</param>
    /// <param name="spatialWeight">[co, k, k, ci], k odd.</param>
    /// <param name="spatialBias">[co], or null.</param>
    /// <param name="temporalWeight">[co, kt, co], kt odd, or null.</param>
    /// <param name="temporalBias">[co], or null.</param>
    /// <param name="residual">[b, f, h, w, co] to add to the result, or null.</param>
    /// <param name="spatial">What the temporal part worked on, [b, f, h, w, co], the caller's to dispose; null where there is none.</param>
    /// <returns>[b, f, h, w, co].</returns>
    /// <exception cref="ArgumentException">Shapes, element types or contexts do not fit.</exception>
    public static Tensor PseudoConv3d(
        Tensor x,
        Tensor spatialWeight,
        Tensor? spatialBias,
        Tensor? temporalWeight,
        Tensor? temporalBias,
        Tensor? residual,
        out Tensor? spatial)
    {
        Require(x.Shape.Rank == 5, $"x must be [b, frames, h, w, channels], not {x.Shape}");
        Require(spatialWeight.Shape.Rank == 4, $"spatial weight must be [out, k, k, in], not {spatialWeight.Shape}");
        Require(
            spatialWeight.Shape[1] % 2 == 1 && spatialWeight.Shape[2] % 2 == 1,
            $"the kernel of spatial weight {spatialWeight.Shape} is even");
        Require(temporalBias is null || temporalWeight is not null, $"a temporal bias without a temporal weight");
        var shape = x.Shape.With(-1, spatialWeight.Shape[0]);
        var frames = CheckedInt32((long)x.Shape[0] * x.Shape[1], $"frames of x {x.Shape}");
        var padding = Padding2d.Same(spatialWeight.Shape[1], spatialWeight.Shape[2]);
        var ofFrames = Convolve(
            x, spatialWeight, spatialBias, temporalWeight is null ? residual : null, frames, x.Shape[2], x.Shape[3], spatialWeight.Shape[1],
            spatialWeight.Shape[2], 1, padding, Epilogue.None, (_, _) => shape);
        spatial = temporalWeight is null ? null : ofFrames;
        if (temporalWeight is null)
        {
            return ofFrames;
        }

        try
        {
            return TemporalConv(ofFrames, temporalWeight, temporalBias, residual);
        }
        catch
        {
            ofFrames.Dispose();
            throw;
        }
    }

    /// <summary>The convolution behind the public ones: x seen as [n, h, w, ci], weight as [co, kernelH, kernelW, ci].</summary>
    private static Tensor Convolve(
        Tensor x,
        Tensor weight,
        Tensor? bias,
        Tensor? residual,
        int n,
        int h,
        int w,
        int kernelH,
        int kernelW,
        int stride,
        Padding2d padding,
        Epilogue epilogue,
        Func<int, int, Shape> shapeOf,
        [CallerMemberName] string operation = "")
    {
        RequireAlike(x, weight, operation);
        var co = weight.Shape[0];
        var d = Describe(x.DType, x.Shape, weight.Shape, n, h, w, kernelH, kernelW, stride, padding, operation) with { Epilogue = epilogue };
        RequireBias(x, bias, co, operation);
        var shape = shapeOf(d.OutH, d.OutW);
        RequireResidual(x, residual, shape, operation);
        var y = Tensor.Empty(x.Context, shape, x.DType);
        if (y.Count == 0)
        {
            return y;
        }

        var rows = CheckedInt32(y.Count / co, $"{operation}: output pixels {shape}");
        if (IsProduct(d))
        {
            var product = RowsByWeight(x.DType, rows, co, d.InChannels, epilogue);
            Product(x.Context, product, Bytes(x), Bytes(weight), Bytes(bias), Bytes(residual), y);
        }
        else if (LibraryFor(x.Context, d, ConvolutionPass.Forward) is { } dnn)
        {
            using var workspace = Workspace(x.Context, dnn.WorkspaceBytes(d, ConvolutionPass.Forward), out var memory);
            x.Context.Device.Kernels.LastCall = dnn.Name;
            dnn.ConvolutionForward(x.Context.Stream, d, Bytes(x), Bytes(weight), Bytes(bias), Bytes(residual), Bytes(y), memory);
        }
        else
        {
            ConvolveByKernels(x.Context.Stream, d, ChooseTile(rows, co, 1, x.DType), Bytes(x), Bytes(weight), Bytes(bias), Bytes(residual), Bytes(y));
        }

        return y;
    }

    /// <summary>The convolution of x, seen as [n, h, w, ci], and a weight, seen as [co, kernelH, kernelW, ci], if they fit each other.</summary>
    private static ConvolutionDescription Describe(
        DType type, Shape x, Shape weight, int n, int h, int w, int kernelH, int kernelW, int stride, Padding2d padding, string operation)
    {
        var (ci, co) = (x[-1], weight[0]);
        Require(weight[-1] == ci, $"weight {weight} is for {weight[-1]} channels, x {x} has {ci}", operation);
        Require(ci > 0 && co > 0 && kernelH > 0 && kernelW > 0, $"weight {weight} is empty", operation);
        Require(stride > 0, $"stride {stride} is not positive", operation);
        Require(padding is { Top: >= 0, Left: >= 0, Bottom: >= 0, Right: >= 0 }, $"negative padding {padding}", operation);
        Require(
            (long)h + padding.Top + padding.Bottom >= kernelH && (long)w + padding.Left + padding.Right >= kernelW,
            $"x {x} with its padding is smaller than the kernel of weight {weight}", operation);
        Require((long)h * w <= int.MaxValue, $"a picture of x {x} has more than 2^31 - 1 pixels", operation);
        return new ConvolutionDescription
        {
            ElementType = type,
            AccumulationType = type.Accumulation(),
            N = n,
            H = h,
            W = w,
            InChannels = ci,
            OutChannels = co,
            KernelH = kernelH,
            KernelW = kernelW,
            StrideH = stride,
            StrideW = stride,
            PadTop = padding.Top,
            PadLeft = padding.Left,
            PadBottom = padding.Bottom,
            PadRight = padding.Right,
        };
    }

    /// <summary>The library that does this pass of a convolution; null where our kernels are to do it.</summary>
    private static IDnn? LibraryFor(DeviceContext context, in ConvolutionDescription d, ConvolutionPass pass)
        => context.Backend == MatmulBackend.Library && context.Device.Dnn is { } dnn && dnn.Supports(d, pass) ? dnn : null;

    /// <summary>Whether a convolution is a product of pixels and weights as they lie.</summary>
    private static bool IsProduct(in ConvolutionDescription d)
        => d is { KernelH: 1, KernelW: 1, StrideH: 1, StrideW: 1, PadTop: 0, PadLeft: 0, PadBottom: 0, PadRight: 0 };

    /// <summary>The convolution by our kernels with a given tile: all give the same bits.</summary>
    internal static void ConvolveByKernels(
        GpuStream stream,
        in ConvolutionDescription d,
        ProductTile tile,
        DevicePointer<byte> x,
        DevicePointer<byte> weight,
        DevicePointer<byte> bias,
        DevicePointer<byte> residual,
        DevicePointer<byte> y)
    {
        var launch = TiledLaunch(tile, (long)d.N * d.OutH * d.OutW, d.OutChannels, 1, d.ElementType);
        switch (d.ElementType)
        {
            case DType.Float32:
                Launch<float>(ConvolutionKernels.Conv2dF32, ConvolutionKernels.Conv2dSmallF32, ConvolutionKernels.Conv2dNarrowF32, d);
                break;
            case DType.Float64:
                Launch<double>(ConvolutionKernels.Conv2dF64, ConvolutionKernels.Conv2dSmallF64, ConvolutionKernels.Conv2dNarrowF64, d);
                break;
            case DType.Float16:
                Launch<Half>(ConvolutionHalfKernels.Conv2dF16, ConvolutionHalfKernels.Conv2dSmallF16, ConvolutionHalfKernels.Conv2dNarrowF16, d);
                break;
            case DType.BFloat16:
                Launch<BFloat16>(ConvolutionHalfKernels.Conv2dBf16, ConvolutionHalfKernels.Conv2dSmallBf16, ConvolutionHalfKernels.Conv2dNarrowBf16, d);
                break;
            default:
                throw UnsupportedType(d.ElementType, halves: true, "convolution");
        }

        void Launch<T>(ConvolutionKernel<T> large, ConvolutionKernel<T> small, ConvolutionKernel<T> narrow, in ConvolutionDescription d)
            where T : unmanaged
        {
            var kernel = tile switch
            {
                ProductTile.Large => large,
                ProductTile.Small => small,
                _ => narrow,
            };
            kernel(
                stream, launch, x.Cast<T>(), weight.Cast<T>(), bias.Cast<T>(), residual.Cast<T>(), y.Cast<T>(), d.N, d.H, d.W, d.InChannels,
                d.OutH, d.OutW, d.OutChannels, d.KernelH, d.KernelW, d.StrideH, d.StrideW, d.PadTop, d.PadLeft, (int)d.Epilogue);
        }
    }

    private delegate void ConvolutionKernel<T>(
        GpuStream stream, in LaunchShape shape, DevicePointer<T> x, DevicePointer<T> w, DevicePointer<T> bias, DevicePointer<T> residual,
        DevicePointer<T> y, int pictures, int height, int width, int inChannels, int outHeight, int outWidth, int outChannels, int kernelH,
        int kernelW, int strideH, int strideW, int padTop, int padLeft, int epilogue)
        where T : unmanaged;
}
