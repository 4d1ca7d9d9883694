// What a training step of the diffusion model starts from. Timesteps and tables stay on the device; nothing here is differentiated.
using FashionFlow.Gpu;
using FashionFlow.Gpu.Kernels;

namespace FashionFlow.Tensors;

public static partial class Ops
{
    /// <summary>
    /// The forward process (Ho et al. 2020, equation 4) at a step of its own for each video: sqrt(abar_t) x0 + sqrt(1 - abar_t)
    /// noise, frame 0 kept clean, and what the network shall predict of it, zero in frame 0: the noise, or the velocity
    /// sqrt(abar_t) noise - sqrt(1 - abar_t) x0 (Salimans and Ho 2022, "Progressive distillation for fast sampling of diffusion models").
    /// </summary>
    /// <param name="x0">Clean latent videos [b, f, h, w, c].</param>
    /// <param name="noise">Standard normal noise of x0's shape.</param>
    /// <param name="timesteps">t, Int32 [b] or [1] in device memory. Held inside the tables.</param>
    /// <param name="tables">The schedule's tables, of x0's element type.</param>
    /// <param name="velocity">Whether the target is the velocity, not the noise.</param>
    /// <returns>The noisy videos and the network's target, both of x0's shape.</returns>
    /// <exception cref="ArgumentException">Shapes or element types do not fit.</exception>
    public static (Tensor Noisy, Tensor Target) AddNoise(Tensor x0, Tensor noise, Tensor timesteps, NoisingTables tables, bool velocity = false)
    {
        RequireFloating(x0);
        RequireSameShape(x0, noise);
        Require(timesteps.DType == DType.Int32, $"the timesteps must be Int32, not {timesteps.DType}");
        Require(timesteps.Context == x0.Context, $"operands of different device contexts, {x0} and {timesteps}");
        var steps = CheckTables(nameof(AddNoise), x0, tables.SqrtAlphasCumprod, tables.SqrtOneMinusAlphasCumprod);
        var place = CheckStep(x0, noise, noise: null, timesteps, firstFrame: null);
        var (noisy, target) = (Like(x0, x0.Shape), Like(x0, x0.Shape));
        if (x0.Count > 0 && x0.DType == DType.Float32)
        {
            TrainingKernels.AddNoiseF32(
                x0.Context.Stream, place.Launch, x0.Pointer<float>(), noise.Pointer<float>(), timesteps.Pointer<int>(),
                tables.SqrtAlphasCumprod.Pointer<float>(), tables.SqrtOneMinusAlphasCumprod.Pointer<float>(), noisy.Pointer<float>(),
                target.Pointer<float>(), place.Frames, place.FrameElements, place.StepStride, steps, velocity ? 1 : 0);
        }
        else if (x0.Count > 0)
        {
            TrainingKernels.AddNoiseF64(
                x0.Context.Stream, place.Launch, x0.Pointer<double>(), noise.Pointer<double>(), timesteps.Pointer<int>(),
                tables.SqrtAlphasCumprod.Pointer<double>(), tables.SqrtOneMinusAlphasCumprod.Pointer<double>(), noisy.Pointer<double>(),
                target.Pointer<double>(), place.Frames, place.FrameElements, place.StepStride, steps, velocity ? 1 : 0);
        }

        return (noisy, target);
    }
}
