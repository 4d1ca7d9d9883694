// Sampling: from noise to a latent video, the U-Net around and around.
using FashionFlow.Layers;
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
        using var scope = TensorScope.Begin();
        using var state = Begin(latent.AddReference(), conditioning.AddReference(), o);
        Sample(sampler, state, o, hooks: null, progress, cancellationToken);
        return scope.Keep(state.Video.AddReference());
    }

    /// <summary>The sampler that options name; those which do not fit are refused by <see cref="ModelConfiguration.Resolve"/> before.</summary>
    /// <param name="o">Options with the model's choices filled in.</param>
    /// <exception cref="ModelException">They do not fit.</exception>
    internal ISampler CreateSampler(GenerationOptions o)
    {
        var schedule = new NoiseSchedule(configuration.Schedule, o.Compatibility!.SchedulePrecision);
        var points = schedule.Points(o.Steps!.Value, o.Spacing!.Value);
        ISampler sampler = o.Sampler switch
        {
            SamplerKind.Ddpm => new DdpmSampler(context, schedule, Whole()),
            SamplerKind.Ddim => new DdimSampler(context, schedule, Whole(), o.Eta),
            SamplerKind.Euler => new SolverSampler(context, points, order: 1),
            SamplerKind.Dpmpp => new SolverSampler(context, points, order: 2),
            _ => throw new ModelException($"unknown sampler {o.Sampler}"),
        };
        return configuration.Schedule.Prediction == PredictionType.Velocity ? new VelocitySampler(context, points, sampler) : sampler;

        int[] Whole() => [.. points.Select(p => (int)p.Timestep)];
    }

    /// <summary>The state before the first step: noise behind the picture. It owns latent and conditioning from now on.</summary>
    internal SamplingState Begin(Tensor latent, Tensor conditioning, GenerationOptions o)
    {
        Shape shape = [1, o.Frames!.Value, latent.Shape[1], latent.Shape[2], latent.Shape[3]];
        var video = Ops.Randn(context, shape, o.Seed, "initial video");
        Ops.PutFirstFrame(video, latent);
        return new SamplingState(0, video, latent, conditioning);
    }

    /// <summary>Takes the steps that a state lacks, with a sampler that <see cref="CreateSampler"/> made for the same options.</summary>
    internal void Sample(
        ISampler sampler,
        SamplingState state,
        GenerationOptions o,
        SamplingHooks? hooks,
        IProgress<GenerationProgress>? progress,
        CancellationToken cancellationToken)
    {
        unet.ChannelNormEpsilon = o.Compatibility!.ChannelNormEpsilon;
        using var clean = hooks?.ShowClean is null ? null : CleanCoefficients(o);
        progress?.Report(new GenerationProgress(GenerationStage.Sampling, state.StepsDone, sampler.Steps));
        using var network = UsesGraph(o, hooks) && state.StepsDone + 1 < sampler.Steps ? new CapturedNetwork(context, unet, state.Conditioning) : null;
        sampler.Restore(state.Memory);
        while (state.StepsDone < sampler.Steps)
        {
            cancellationToken.ThrowIfCancellationRequested();
            state.Advance(Denoise(sampler, state, o.Seed, hooks, clean, network), sampler.Memory);

            // The step's work is done before it is called done; a kernel's error shows at the step that raised it.
            context.Stream.Synchronize();
            hooks?.AfterStep?.Invoke(state);
            progress?.Report(new GenerationProgress(GenerationStage.Sampling, state.StepsDone, sampler.Steps));
        }
    }

    // A graph's memory is beside the arena's, which a budget bounds; and what looks at every module's values cannot be captured.
    private bool UsesGraph(GenerationOptions o, SamplingHooks? hooks)
        => (o.UseGraph ?? (context.Device.Kind == "cuda" && context.Arena is null)) && hooks?.ChecksFinite != true;

    private Tensor Denoise(ISampler sampler, SamplingState state, ulong seed, SamplingHooks? hooks, Tensor? clean, CapturedNetwork? network)
    {
        using var scope = TensorScope.Begin();
        var (step, video) = (state.StepsDone, state.Video);
        var timestep = configuration.Unet.ConditionOnTimestep ? sampler.NetworkTimestep(step) : null;
        var predicted = network?.Predict(video, timestep) ?? FiniteCheck.Run(
            hooks?.ChecksFinite ?? false, unet, "unet", $"step {step + 1} of {sampler.Steps}", () => unet.Forward(video, timestep, state.Conditioning));
        if (clean is not null && hooks!.WantsClean?.Invoke(step + 1) != false)
        {
            var index = Tensor.FromArray<int>(context, [step], [1]);
            using var shown = Ops.Reparametrize(video, predicted, index, clean);
            Ops.PutFirstFrame(shown, state.Picture);
            hooks.ShowClean!(step + 1, shown);
        }

        var noise = sampler.NeedsNoise ? Ops.Randn(context, video.Shape, seed, "step noise", step * video.Count) : null;
        return scope.Keep(sampler.Step(step, video, predicted, noise, state.Picture));
    }

    // What makes the clean video of a noisy one and the network's prediction, a row a step.
    private Tensor CleanCoefficients(GenerationOptions o)
    {
        var points = new NoiseSchedule(configuration.Schedule, o.Compatibility!.SchedulePrecision).Points(o.Steps!.Value, o.Spacing!.Value);
        var rows = points.SelectMany(p => configuration.Schedule.Prediction == PredictionType.Velocity
            ? new[] { (float)p.Alpha, (float)-p.Sigma }
            : [(float)(1 / p.Alpha), (float)(-p.Sigma / p.Alpha)]);
        return TensorScope.Detach(Tensor.FromArray<float>(context, [.. rows], [points.Length, 2]));
    }
}
