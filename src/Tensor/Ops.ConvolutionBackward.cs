// Gradients of convolutions, by the device's library or by our kernels (kernels/convolution_backward.cu).
using System.Runtime.CompilerServices;
using FashionFlow.Gpu;
using FashionFlow.Gpu.Kernels;

namespace FashionFlow.Tensors;

public static partial class Ops
{
    /// <summary>Least output pixels of a chunk that a sum over all of them is cut into.</summary>
    private const int ShortestChunk = 256;

    /// <summary>Pixels that the kernels for gradients of weights take a step; chunks are whole steps.</summary>
    private const int ChunkStep = 8;

    /// <summary>
    /// The gradient of <see cref="Conv2d"/>'s x: each output's gradient times the weights, spread over its window (the transposed
    /// convolution of Dumoulin and Visin 2016, arXiv 1603.07285, chapter 4).
    /// </summary>
    /// <param name="gradient">Of the result, before bias, residual and epilogue: [n, out h, out w, co].</param>
    /// <param name="weight">[co, kh, kw, ci].</param>
    /// <param name="x">The shape of x: [n, h, w, ci].</param>
    /// <param name="stride">As in the convolution.</param>
    /// <param name="padding">As in the convolution.</param>
    /// <returns>[n, h, w, ci]; zeros where no window reaches.</returns>
    /// <exception cref="ArgumentException">Shapes, element types or contexts do not fit.</exception>
    public static Tensor Conv2dBackwardInput(Tensor gradient, Tensor weight, Shape x, int stride = 1, Padding2d padding = default)
    {
        var d = Describe2d(gradient.DType, x, weight.Shape, stride, padding);
        return ConvolveBackwardInput(d, gradient, weight, x, [d.N, d.OutH, d.OutW, d.OutChannels]);
    }

    /// <summary>The gradient of <see cref="Conv2d"/>'s weight: the sum over all outputs of the output's gradient times its window.</summary>
    /// <param name="x">[n, h, w, ci].</param>
    /// <param name="gradient">Of the result, before bias, residual and epilogue: [n, out h, out w, co].</param>
    /// <param name="weight">The shape of the weight: [co, kh, kw, ci].</param>
    /// <param name="stride">As in the convolution.</param>
    /// <param name="padding">As in the convolution.</param>
    /// <returns>[co, kh, kw, ci].</returns>
    /// <exception cref="ArgumentException">Shapes, element types or contexts do not fit.</exception>
    public static Tensor Conv2dBackwardWeight(Tensor x, Tensor gradient, Shape weight, int stride = 1, Padding2d padding = default)
    {
        var d = Describe2d(x.DType, x.Shape, weight, stride, padding);
        return ConvolveBackwardWeight(d, x, gradient, weight, [d.N, d.OutH, d.OutW, d.OutChannels]);
    }

    /// <summary>The gradient of <see cref="TemporalConv"/>'s x.</summary>
    /// <param name="gradient">Of the result: [b, f, h, w, co].</param>
    /// <param name="weight">[co, kt, ci], kt odd.</param>
    /// <returns>[b, f, h, w, ci].</returns>
    /// <exception cref="ArgumentException">Shapes, element types or contexts do not fit.</exception>
    public static Tensor TemporalConvBackwardInput(Tensor gradient, Tensor weight)
    {
        Require(gradient.Shape.Rank == 5, $"the gradient must be [b, frames, h, w, channels], not {gradient.Shape}");
        Require(weight.Shape.Rank == 3, $"weight must be [out, kernel, in], not {weight.Shape}");
        var x = gradient.Shape.With(-1, weight.Shape[2]);
        var d = DescribeTemporal(gradient.DType, x, weight.Shape);
        return ConvolveBackwardInput(d, gradient, weight, x, x.With(-1, d.OutChannels));
    }

    /// <summary>The gradient of <see cref="TemporalConv"/>'s weight.</summary>
    /// <param name="x">[b, f, h, w, ci].</param>
    /// <param name="gradient">Of the result: [b, f, h, w, co].</param>
    /// <param name="weight">The shape of the weight: [co, kt, ci], kt odd.</param>
    /// <returns>[co, kt, ci].</returns>
    /// <exception cref="ArgumentException">Shapes, element types or contexts do not fit.</exception>
    public static Tensor TemporalConvBackwardWeight(Tensor x, Tensor gradient, Shape weight)
    {
        Require(x.Shape.Rank == 5, $"x must be [b, frames, h, w, channels], not {x.Shape}");
        Require(weight.Rank == 3, $"weight must be [out, kernel, in], not {weight}");
        var d = DescribeTemporal(x.DType, x.Shape, weight);
        return ConvolveBackwardWeight(d, x, gradient, weight, x.Shape.With(-1, d.OutChannels));
    }

    /// <summary>The convolution of <see cref="Conv2d"/>.</summary>
    private static ConvolutionDescription Describe2d(
        DType type, Shape x, Shape weight, int stride, Padding2d padding, [CallerMemberName] string operation = "")
    {
        Require(x.Rank == 4, $"x must be [n, h, w, channels], not {x}", operation);
        Require(weight.Rank == 4, $"weight must be [out, kernel height, kernel width, in], not {weight}", operation);
        return Describe(type, x, weight, x[0], x[1], x[2], weight[1], weight[2], stride, padding, operation);
    }

    /// <summary>The convolution of <see cref="TemporalConv"/>: every frame a row.</summary>
    private static ConvolutionDescription DescribeTemporal(DType type, Shape x, Shape weight, [CallerMemberName] string operation = "")
    {
        Require(weight[1] % 2 == 1, $"the kernel of weight {weight} is even", operation);
        var pixels = CheckedInt32((long)x[2] * x[3], $"pixels of a frame of x {x}");
        return Describe(type, x, weight, x[0], x[1], pixels, weight[1], 1, 1, Padding2d.Same(weight[1], 1), operation);
    }

    private static Tensor ConvolveBackwardInput(
        in ConvolutionDescription d, Tensor gradient, Tensor weight, Shape x, Shape y, [CallerMemberName] string operation = "")
    {
        RequireFloating(gradient, operation);
        RequireAlike(gradient, weight, operation);
        RequireGradient(gradient, y, operation);
        var dx = Like(gradient, x);
        if (dx.Count == 0)
        {
            return dx;
        }

        var pixels = CheckedInt32(dx.Count / d.InChannels, $"{operation}: pixels of x {x}");
        if (IsProduct(d))
        {
            GradientByWeight(gradient, weight, pixels, d.OutChannels, d.InChannels, dx);
        }
        else if (LibraryFor(dx.Context, d, ConvolutionPass.BackwardData) is { } dnn)
        {
            using var workspace = Workspace(dx.Context, dnn.WorkspaceBytes(d, ConvolutionPass.BackwardData), out var memory);
            dx.Context.Device.Kernels.LastCall = dnn.Name;
            dnn.ConvolutionBackwardData(dx.Context.Stream, d, Bytes(gradient), Bytes(weight), Bytes(dx), memory);
        }
        else
        {
            Require((long)d.StrideH * d.StrideW <= MaxGridZ, $"a stride of {d.StrideH} is beyond what our kernels take", operation);
            var tile = ChooseTile(ClassPixels(d), d.InChannels, d.StrideH * d.StrideW, d.ElementType);
            BackwardDataByKernels(dx.Context.Stream, d, tile, Bytes(gradient), Bytes(weight), Bytes(dx));
        }

        return dx;
    }

    private static Tensor ConvolveBackwardWeight(
        in ConvolutionDescription d, Tensor x, Tensor gradient, Shape weight, Shape y, [CallerMemberName] string operation = "")
    {
        RequireFloating(x, operation);
        RequireAlike(x, gradient, operation);
        RequireGradient(gradient, y, operation);
        var pixels = CheckedInt32(gradient.Count / d.OutChannels, $"{operation}: output pixels {y}");
        if (pixels == 0)
        {
            return Tensor.Zeros(x.Context, weight, x.DType);
        }

        var dnn = IsProduct(d) ? null : LibraryFor(x.Context, d, ConvolutionPass.BackwardFilter);
        if (!IsProduct(d) && dnn is null)
        {
            var window = CheckedInt32((long)d.KernelH * d.KernelW * d.InChannels, $"{operation}: elements of a window of weight {weight}");
            var (tile, chunk) = ChooseChunks(pixels, d.OutChannels, window, d.ElementType);
            return BackwardFilterByKernels(d, tile, chunk, x, gradient, weight);
        }

        var dw = Like(x, weight);
        if (dnn is null)
        {
            GradientByRows(x, gradient, pixels, d.OutChannels, d.InChannels, dw);
        }
        else
        {
            using var workspace = Workspace(x.Context, dnn.WorkspaceBytes(d, ConvolutionPass.BackwardFilter), out var memory);
            x.Context.Device.Kernels.LastCall = dnn.Name;
            dnn.ConvolutionBackwardFilter(x.Context.Stream, d, Bytes(x), Bytes(gradient), Bytes(dw), memory);
        }

        return dw;
    }

    private static void RequireGradient(Tensor gradient, Shape shape, string operation)
        => Require(gradient.Shape == shape, $"the gradient must be {shape} like the result, not {gradient.Shape}", operation);

    /// <summary>Most pixels of x that meet the same taps of the kernel: all at stride 1.</summary>
    private static long ClassPixels(in ConvolutionDescription d)
        => (long)d.N * CeilingDivide(d.H, d.StrideH) * CeilingDivide(d.W, d.StrideW);

    /// <summary>
    /// How the sum over output pixels is cut, by the shape alone: into as many chunks as give every multiprocessor of a large GPU
    /// a block, but not into short ones.
    /// </summary>
    private static (ProductTile Tile, int Chunk) ChooseChunks(int pixels, int outChannels, int window, DType type)
    {
        var tile = ChooseTile(outChannels, window, 1, type) == ProductTile.Large ? ProductTile.Large : ProductTile.Small;
        var edge = tile == ProductTile.Large ? LargeEdge(type) : LargeEdge(type) / 2;
        var tiles = Tiles(outChannels, edge) * Tiles(window, edge);
        var chunks = (int)Math.Clamp(ManyTiles / tiles, 1, Math.Max(1, pixels / ShortestChunk));
        return (tile, CeilingDivide(CeilingDivide(pixels, chunks), ChunkStep) * ChunkStep);
    }

    /// <summary>The gradient of x by our kernels with a given tile: all give the same bits.</summary>
    internal static void BackwardDataByKernels(
        GpuStream stream,
        in ConvolutionDescription d,
        ProductTile tile,
        DevicePointer<byte> gradient,
        DevicePointer<byte> weight,
        DevicePointer<byte> dx)
    {
        var launch = TiledLaunch(tile, ClassPixels(d), d.InChannels, d.StrideH * d.StrideW, d.ElementType);
        if (d.ElementType == DType.Float32)
        {
            BackwardDataKernel<float> kernel = tile switch
            {
                ProductTile.Large => ConvolutionBackwardKernels.Conv2dBackwardDataF32,
                ProductTile.Small => ConvolutionBackwardKernels.Conv2dBackwardDataSmallF32,
                _ => ConvolutionBackwardKernels.Conv2dBackwardDataNarrowF32,
            };
            kernel(
                stream, launch, gradient.Cast<float>(), weight.Cast<float>(), dx.Cast<float>(), d.N, d.H, d.W, d.InChannels, d.OutH, d.OutW,
                d.OutChannels, d.KernelH, d.KernelW, d.StrideH, d.StrideW, d.PadTop, d.PadLeft);
        }
        else
        {
            BackwardDataKernel<double> kernel = tile switch
            {
                ProductTile.Large => ConvolutionBackwardKernels.Conv2dBackwardDataF64,
                ProductTile.Small => ConvolutionBackwardKernels.Conv2dBackwardDataSmallF64,
                _ => ConvolutionBackwardKernels.Conv2dBackwardDataNarrowF64,
            };
            kernel(
                stream, launch, gradient.Cast<double>(), weight.Cast<double>(), dx.Cast<double>(), d.N, d.H, d.W, d.InChannels, d.OutH, d.OutW,
                d.OutChannels, d.KernelH, d.KernelW, d.StrideH, d.StrideW, d.PadTop, d.PadLeft);
        }
    }

    /// <summary>The gradient of the weight by our kernels with a given tile, large or small, and output pixels a chunk: all tiles give the same bits.</summary>
    internal static Tensor BackwardFilterByKernels(
        in ConvolutionDescription d, ProductTile tile, int chunk, Tensor x, Tensor gradient, Shape weight)
    {
        var window = d.KernelH * d.KernelW * d.InChannels;
        var chunks = CeilingDivide(d.N * d.OutH * d.OutW, chunk);
        var partial = Like(x, [chunks, d.OutChannels, window]);
        var launch = TiledLaunch(tile, d.OutChannels, window, chunks, d.ElementType);
        if (d.ElementType == DType.Float32)
        {
            BackwardFilterKernel<float> kernel = tile == ProductTile.Large
                ? ConvolutionBackwardKernels.Conv2dBackwardFilterF32
                : ConvolutionBackwardKernels.Conv2dBackwardFilterSmallF32;
            kernel(
                x.Context.Stream, launch, x.Pointer<float>(), gradient.Pointer<float>(), partial.Pointer<float>(), d.N, d.H, d.W, d.InChannels,
                d.OutH, d.OutW, d.OutChannels, d.KernelH, d.KernelW, d.StrideH, d.StrideW, d.PadTop, d.PadLeft, chunk);
        }
        else
        {
            BackwardFilterKernel<double> kernel = tile == ProductTile.Large
                ? ConvolutionBackwardKernels.Conv2dBackwardFilterF64
                : ConvolutionBackwardKernels.Conv2dBackwardFilterSmallF64;
            kernel(
                x.Context.Stream, launch, x.Pointer<double>(), gradient.Pointer<double>(), partial.Pointer<double>(), d.N, d.H, d.W, d.InChannels,
                d.OutH, d.OutW, d.OutChannels, d.KernelH, d.KernelW, d.StrideH, d.StrideW, d.PadTop, d.PadLeft, chunk);
        }

        using (partial)
        {
            if (chunks == 1)
            {
                return partial.Reshape(weight);
            }

            using var sum = SumRows(partial, [d.OutChannels, window]);
            return sum.Reshape(weight);
        }
    }

    private delegate void BackwardDataKernel<T>(
        GpuStream stream, in LaunchShape shape, DevicePointer<T> gradient, DevicePointer<T> weight, DevicePointer<T> dx, int pictures, int height,
        int width, int inChannels, int outHeight, int outWidth, int outChannels, int kernelH, int kernelW, int strideH, int strideW, int padTop,
        int padLeft)
        where T : unmanaged;

    private delegate void BackwardFilterKernel<T>(
        GpuStream stream, in LaunchShape shape, DevicePointer<T> x, DevicePointer<T> gradient, DevicePointer<T> partial, int pictures, int height,
        int width, int inChannels, int outHeight, int outWidth, int outChannels, int kernelH, int kernelW, int strideH, int strideW, int padTop,
        int padLeft, int chunk)
        where T : unmanaged;
}
