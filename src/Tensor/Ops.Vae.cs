// Between pictures and latents: sampling the encoder's posterior, and 8-bit pixels from the decoder's output.
using System.Runtime.CompilerServices;
using FashionFlow.Gpu;
using FashionFlow.Gpu.Kernels;

namespace FashionFlow.Tensors;

public static partial class Ops
{
    /// <summary>A sample of the encoder's diagonal Gaussian, scaled: (mean + exp(clamp(logvar, -30, 20) / 2) noise) scale.</summary>
    /// <param name="moments">[.., 2c]: means, then log-variances.</param>
    /// <param name="noise">[.., c], standard normal.</param>
    /// <param name="scale">The latents' scaling factor.</param>
    /// <returns>[.., c].</returns>
    public static Tensor PosteriorSample(Tensor moments, Tensor noise, double scale)
    {
        RequireFloatingOrHalf(moments);
        var shape = MeanShape(moments);
        Require(noise.Shape == shape, $"noise must be {shape} for moments {moments.Shape}, not {noise.Shape}");
        RequireAlike(moments, noise);
        var y = Tensor.Empty(moments.Context, shape, moments.DType);
        if (y.Count == 0)
        {
            return y;
        }

        var (stream, count) = (y.Context.Stream, CountInt32(y));
        switch (y.DType)
        {
            case DType.Float32:
                VaeKernels.PosteriorSampleF32(
                    stream, Cover(count), moments.Pointer<float>(), noise.Pointer<float>(), y.Pointer<float>(), count, shape[-1], (float)scale);
                return y;
            case DType.Float64:
                VaeKernels.PosteriorSampleF64(
                    stream, Cover(count), moments.Pointer<double>(), noise.Pointer<double>(), y.Pointer<double>(), count, shape[-1], scale);
                return y;
            case DType.Float16:
                VaeHalfKernels.PosteriorSampleF16(
                    stream, Cover(count), moments.Pointer<Half>(), noise.Pointer<Half>(), y.Pointer<Half>(), count, shape[-1], (float)scale);
                return y;
            default:
                VaeHalfKernels.PosteriorSampleBf16(
                    stream, Cover(count), moments.Pointer<BFloat16>(), noise.Pointer<BFloat16>(), y.Pointer<BFloat16>(), count, shape[-1], (float)scale);
                return y;
        }
    }

    /// <summary>The mean of the encoder's diagonal Gaussian, scaled.</summary>
    /// <param name="moments">[.., 2c]: means, then log-variances.</param>
    /// <param name="scale">The latents' scaling factor.</param>
    /// <returns>[.., c].</returns>
    public static Tensor PosteriorMean(Tensor moments, double scale)
    {
        RequireFloatingOrHalf(moments);
        var shape = MeanShape(moments);
        var y = Tensor.Empty(moments.Context, shape, moments.DType);
        if (y.Count == 0)
        {
            return y;
        }

        var (stream, count) = (y.Context.Stream, CountInt32(y));
        switch (y.DType)
        {
            case DType.Float32:
                VaeKernels.PosteriorMeanF32(stream, Cover(count), moments.Pointer<float>(), y.Pointer<float>(), count, shape[-1], (float)scale);
                return y;
            case DType.Float64:
                VaeKernels.PosteriorMeanF64(stream, Cover(count), moments.Pointer<double>(), y.Pointer<double>(), count, shape[-1], scale);
                return y;
            case DType.Float16:
                VaeHalfKernels.PosteriorMeanF16(stream, Cover(count), moments.Pointer<Half>(), y.Pointer<Half>(), count, shape[-1], (float)scale);
                return y;
            default:
                VaeHalfKernels.PosteriorMeanBf16(
                    stream, Cover(count), moments.Pointer<BFloat16>(), y.Pointer<BFloat16>(), count, shape[-1], (float)scale);
                return y;
        }
    }

    /// <summary>8-bit values: 255 clamp(x, 0, 1), rounded to the nearest with ties to even; a NaN becomes 0.</summary>
    /// <param name="x">Any shape; a picture is [n, h, w, 3].</param>
    /// <returns>UInt8, of x's shape.</returns>
    public static Tensor ToRgb8(Tensor x)
    {
        var y = Tensor.Empty(x.Context, x.Shape, DType.UInt8);
        if (y.Count == 0)
        {
            return y;
        }

        var shape = Cover((x.Count + 3) / 4);
        switch (x.DType)
        {
            case DType.Float32:
                VaeKernels.ToRgb8F32(x.Context.Stream, shape, x.Pointer<float>(), y.Pointer<byte>(), x.Count);
                return y;
            case DType.Float64:
                VaeKernels.ToRgb8F64(x.Context.Stream, shape, x.Pointer<double>(), y.Pointer<byte>(), x.Count);
                return y;
            case DType.Float16:
                VaeHalfKernels.ToRgb8F16(x.Context.Stream, shape, x.Pointer<Half>(), y.Pointer<byte>(), x.Count);
                return y;
            case DType.BFloat16:
                VaeHalfKernels.ToRgb8Bf16(x.Context.Stream, shape, x.Pointer<BFloat16>(), y.Pointer<byte>(), x.Count);
                return y;
            default:
                throw UnsupportedType(x, halves: true);
        }
    }

    private static Shape MeanShape(Tensor moments, [CallerMemberName] string operation = "")
    {
        Require(moments.Shape.Rank >= 1 && moments.Shape[-1] % 2 == 0, $"moments must be [.., 2 channels], not {moments.Shape}", operation);
        return moments.Shape.With(-1, moments.Shape[-1] / 2);
    }
}
