// The gradient of sampling the encoder's posterior (Ops.Vae.cs). That of its mean is Ops.PadChannels.
using FashionFlow.Gpu;
using FashionFlow.Gpu.Kernels;

namespace FashionFlow.Tensors;

public static partial class Ops
{
    /// <summary>
    /// The gradient of <see cref="PosteriorSample"/> at the moments: scale times the result's gradient for the means, and that times
    /// noise exp(logvar / 2) / 2 for the log-variances between the bounds and on them, else 0.
    /// </summary>
    /// <param name="moments">[.., 2c]: means, then log-variances.</param>
    /// <param name="noise">[.., c], the noise that the sample was taken with.</param>
    /// <param name="gradient">[.., c].</param>
    /// <param name="scale">The latents' scaling factor.</param>
    /// <returns>[.., 2c].</returns>
    public static Tensor PosteriorSampleBackward(Tensor moments, Tensor noise, Tensor gradient, double scale)
    {
        var shape = MeanShape(moments);
        Require(noise.Shape == shape, $"noise must be {shape} for moments {moments.Shape}, not {noise.Shape}");
        Require(gradient.Shape == shape, $"the gradient must be {shape} for moments {moments.Shape}, not {gradient.Shape}");
        RequireFloating(moments);
        RequireAlike(moments, noise);
        RequireAlike(moments, gradient);
        var y = Like(moments, moments.Shape);
        var count = (int)gradient.Count;
        if (count > 0 && y.DType == DType.Float32)
        {
            VaeBackwardKernels.PosteriorSampleBackwardF32(
                y.Context.Stream, Cover(count), moments.Pointer<float>(), noise.Pointer<float>(), gradient.Pointer<float>(), y.Pointer<float>(),
                count, shape[-1], (float)scale);
        }
        else if (count > 0)
        {
            VaeBackwardKernels.PosteriorSampleBackwardF64(
                y.Context.Stream, Cover(count), moments.Pointer<double>(), noise.Pointer<double>(), gradient.Pointer<double>(), y.Pointer<double>(),
                count, shape[-1], scale);
        }

        return y;
    }
}
