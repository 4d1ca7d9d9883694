// The reference's training: the U-Net learns to tell the noise in latent videos, the adapter what of the picture helps it.
using FashionFlow.Autograd;
using FashionFlow.Layers;
using FashionFlow.Tensors;

namespace FashionFlow.Diffusion.Training;

/// <summary>
/// Denoising diffusion (Ho et al. 2020, algorithm 1) of latent videos: a timestep for each video, noise in all frames but the
/// first, and the mean squared error of the noise (or the velocity, as the model's schedule says) that the U-Net predicts, whose target
/// in frame 0 is zero. In mode <c>fashionflow</c> the loss is the sum over frames of each frame's mean, as the reference's; in mode
/// <c>fixed</c> their mean, which does not grow with the window.
/// </summary>
public sealed class DenoisingTask : TrainingTask
{
    private readonly DeviceContext _context;
    private readonly TrainingOptions _options;
    private readonly LatentDataset _dataset;
    private readonly NoiseSchedule _schedule;
    private readonly NoisingTables _tables;
    private readonly RandomDraws _timesteps;

    /// <summary>A task on networks that are loaded; it owns them from now on.</summary>
    /// <param name="context">The device.</param>
    /// <param name="configuration">The model.</param>
    /// <param name="unet">The U-Net.</param>
    /// <param name="adapter">The adapter.</param>
    /// <param name="dataset">The latents; its seed and randomness are those of the run.</param>
    /// <param name="options">Settings.</param>
    public DenoisingTask(
        DeviceContext context, ModelConfiguration configuration, SpaceTimeUnet unet, EmbeddingAdapter adapter, LatentDataset dataset, TrainingOptions options)
    {
        (_context, _options, _dataset, Unet, Adapter) = (context, options, dataset, unet, adapter);
        _timesteps = new RandomDraws(context, options.Seed, "training/timesteps", options.Batch);
        unet.Recompute = options.Recompute;
        _schedule = new NoiseSchedule(configuration.Schedule, options.Compatibility.SchedulePrecision);
        Shape all = [_schedule.Timesteps];
        _tables = new NoisingTables(
            TensorScope.Detach(Tensor.FromArray<float>(context, _schedule.SqrtAlphasCumprod, all)),
            TensorScope.Detach(Tensor.FromArray<float>(context, _schedule.SqrtOneMinusAlphasCumprod, all)));
    }

    /// <summary>The U-Net.</summary>
    public SpaceTimeUnet Unet { get; }

    /// <summary>The adapter.</summary>
    public EmbeddingAdapter Adapter { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<TrainedModule> Modules => [new("unet", Unet), new("adapter", Adapter)];

    /// <inheritdoc/>
    public override double EpochsAfter(long steps) => (double)steps * _options.Batch / _dataset.Clips.Count;

    /// <summary>Where in the data a step starts.</summary>
    public DatasetPosition PositionAt(long step)
    {
        var sample = checked(step * _options.Batch);
        return new DatasetPosition((int)(sample / _dataset.Clips.Count), (int)(sample % _dataset.Clips.Count));
    }

    /// <inheritdoc/>
    public override Tensor Loss(long step)
    {
        // The reference trains in float32, whatever it samples in.
        Unet.ChannelNormEpsilon = ChanLayerNorm.Float32Epsilon;
        using var scope = TensorScope.Begin();
        var batch = _dataset.Batch(PositionAt(step), _options.Batch);
        var noise = Ops.Randn(_context, batch.Latents.Shape, _options.Seed, "training/noise", step * batch.Latents.Count);
        return scope.Keep(Loss(batch.Latents, batch.Tokens, batch.AdapterLatents, noise, Timesteps(step)));
    }

    /// <summary>The loss of given samples, noise and timesteps; <see cref="Loss(long)"/> draws them.</summary>
    /// <param name="latents">Clean latent videos [b, f, h, w, c], scaled.</param>
    /// <param name="tokens">The encoder's tokens of their first frames [b, n, d].</param>
    /// <param name="adapterLatents">The latents of the first frames that the adapter takes [b, h, w, c].</param>
    /// <param name="noise">Normal noise of the latents' shape.</param>
    /// <param name="timesteps">A timestep for each video.</param>
    public Tensor Loss(Tensor latents, Tensor tokens, Tensor adapterLatents, Tensor noise, int[] timesteps)
    {
        using var scope = TensorScope.Begin();
        return scope.Keep(Loss(latents, Adapter.Forward(tokens, adapterLatents), noise, timesteps));
    }

    /// <summary>The loss of given samples on given conditioning.</summary>
    /// <param name="latents">Clean latent videos [b, f, h, w, c], scaled.</param>
    /// <param name="conditioning">What the U-Net attends to [b, n, d].</param>
    /// <param name="noise">Normal noise of the latents' shape.</param>
    /// <param name="timesteps">A timestep for each video.</param>
    public Tensor Loss(Tensor latents, Tensor conditioning, Tensor noise, int[] timesteps)
    {
        using var scope = TensorScope.Begin();
        var (noisy, target) = AddNoise(latents, noise, timesteps);
        return scope.Keep(Functional.FrameLoss(
            Predict(noisy, conditioning, timesteps), target, _options.Compatibility.SumsFrameLosses ? FrameReduction.Sum : FrameReduction.Mean));
    }

    /// <summary>Noisy videos, and what the U-Net shall predict of them; both of the latents' shape.</summary>
    public (Tensor Noisy, Tensor Target) AddNoise(Tensor latents, Tensor noise, int[] timesteps)
    {
        using var scope = TensorScope.Begin();
        var (noisy, target) = Ops.AddNoise(
            latents, noise, Tensor.FromArray<int>(_context, timesteps, [timesteps.Length]), _tables, velocity: _schedule.Options.Prediction == PredictionType.Velocity);
        return (scope.Keep(noisy), scope.Keep(target));
    }

    /// <summary>The noise, or the velocity, that the U-Net sees in noisy videos, of their shape.</summary>
    public Tensor Predict(Tensor noisy, Tensor conditioning, int[] timesteps)
    {
        using var scope = TensorScope.Begin();
        var time = Unet.Options.ConditionOnTimestep
            ? Tensor.FromArray<float>(_context, Array.ConvertAll(timesteps, i => (float)i), [timesteps.Length])
            : null;
        return scope.Keep(Unet.Forward(noisy, time, conditioning));
    }

    /// <summary>A step's timesteps, uniform over the schedule.</summary>
    public int[] Timesteps(long step)
    {
        var numbers = _timesteps[step];
        var timesteps = new int[numbers.Length];
        for (var i = 0; i < timesteps.Length; i++)
        {
            timesteps[i] = RandomDraws.Choose(numbers[i], _schedule.Timesteps);
        }

        return timesteps;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        Unet.Dispose();
        Adapter.Dispose();
        _tables.SqrtAlphasCumprod.Dispose();
        _tables.SqrtOneMinusAlphasCumprod.Dispose();
    }
}
