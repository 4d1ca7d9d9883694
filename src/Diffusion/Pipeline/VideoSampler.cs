// Sampling: from noise to a latent video, the U-Net around and around.
using FashionFlow.Tensors;

namespace FashionFlow.Diffusion;

/// <summary>Denoises latent videos with a U-Net that somebody else owns: a pipeline, or a training that looks at what it has learned.</summary>
/// <param name="context">The device.</param>
/// <param name="configuration">The model's schedule and defaults.</param>
/// <param name="unet">The network.</param>
public sealed class VideoSampler(DeviceContext context, ModelConfiguration configuration, SpaceTimeUnet unet)
{
    /// <summary>Makes the latent video of a picture.</summary>
    /// <param name="latent">The picture's latent [1, h, w, c], scaled: frame 0 of every step.</param>
    /// <param name="conditioning">The picture's context [1, n, d].</param>
    /// <param name="options">Sampler, steps, frames, seed.</param>
    /// <param name="progress">Told after each step, on this thread.</param>
    /// <param name="cancellationToken">Looked at between steps.</param>
    /// <returns>[1, f, h, w, c], scaled as the latent is.</returns>
    /// <exception cref="ModelException">The options do not fit the model; nothing was done.</exception>
    public Tensor Sample(
        Tensor latent,
        Tensor conditioning,
        GenerationOptions options,
        IProgress<GenerationProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        var o = configuration.Resolve(options);
        using var sampler = CreateSampler(o);
        return Sample(sampler, latent, conditioning, o, progress, cancellationToken);
    }

    /// <summary>The sampler that options name, so that those which do not fit are refused before any work is done.</summary>
    /// <param name="o">Options with the model's choices filled in.</param>
    /// <exception cref="ModelException">They do not fit.</exception>
    internal ISampler CreateSampler(GenerationOptions o)
    {
        var schedule = new NoiseSchedule(configuration.Schedule, o.Compatibility!.SchedulePrecision);
        var points = schedule.Points(o.Steps!.Value, o.Spacing!.Value);
        return o.Sampler switch
        {
            SamplerKind.Ddpm => new DdpmSampler(context, schedule, Whole()),
            SamplerKind.Ddim => new DdimSampler(context, schedule, Whole(), o.Eta),
            SamplerKind.Euler => new SolverSampler(context, points, order: 1),
            SamplerKind.Dpmpp => new SolverSampler(context, points, order: 2),
            _ => throw new ModelException($"unknown sampler {o.Sampler}"),
        };

        int[] Whole() => [.. points.Select(p => (int)p.Timestep)];
    }

    /// <summary>As the public one, with a sampler that <see cref="CreateSampler"/> made for the same options.</summary>
    internal Tensor Sample(
        ISampler sampler,
        Tensor latent,
        Tensor conditioning,
        GenerationOptions o,
        IProgress<GenerationProgress>? progress,
        CancellationToken cancellationToken)
    {
        using var scope = TensorScope.Begin();
        unet.ChannelNormEpsilon = o.Compatibility!.ChannelNormEpsilon;
        var steps = sampler.Steps;
        Shape shape = [1, o.Frames!.Value, latent.Shape[1], latent.Shape[2], latent.Shape[3]];
        var video = Ops.Randn(context, shape, o.Seed, "initial video");
        Ops.PutFirstFrame(video, latent);
        progress?.Report(new GenerationProgress(GenerationStage.Sampling, 0, steps));
        for (var step = 0; step < steps; step++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var next = Denoise(sampler, step, video, latent, conditioning, o.Seed);
            video.Dispose();
            video = next;

            // The step's work is done before it is called done; a kernel's error shows at the step that raised it.
            context.Stream.Synchronize();
            progress?.Report(new GenerationProgress(GenerationStage.Sampling, step + 1, steps));
        }

        return scope.Keep(video);
    }

    private Tensor Denoise(ISampler sampler, int step, Tensor video, Tensor latent, Tensor conditioning, ulong seed)
    {
        using var scope = TensorScope.Begin();
        var timestep = configuration.Unet.ConditionOnTimestep ? sampler.NetworkTimestep(step) : null;
        var predicted = unet.Forward(video, timestep, conditioning);
        var noise = sampler.NeedsNoise ? Ops.Randn(context, video.Shape, seed, "step noise", step * video.Count) : null;
        return scope.Keep(sampler.Step(step, video, predicted, noise, latent));
    }
}
