// What a training run is told; all of it is recorded in the run's folder, and what decides results must not change on resuming.
using FashionFlow.Autograd.Optimization;

namespace FashionFlow.Diffusion.Training;

/// <summary>Which part of a model is trained; the others stay as they are.</summary>
public enum TrainedPart
{
    /// <summary>U-Net and adapter, on projected latents: the reference's training.</summary>
    Denoiser,

    /// <summary>The autoencoder, on pictures: reconstruction and divergence.</summary>
    Vae,

    /// <summary>The picture encoder, on pairs of frames: contrastive.</summary>
    Encoder,
}

/// <summary>Settings that decide a training's results.</summary>
public sealed record TrainingOptions
{
    /// <summary>What is trained.</summary>
    public TrainedPart Part { get; init; }

    /// <summary>Steps in all.</summary>
    public long Steps { get; init; } = 10_000;

    /// <summary>Samples a step: windows, pictures, or pairs of frames.</summary>
    public int Batch { get; init; } = 2;

    /// <summary>The seed of order, windows, timesteps and noise.</summary>
    public ulong Seed { get; init; }

    /// <summary>The learning rate; the reference's is constant at 1e-4.</summary>
    public LearningRate Rate { get; init; } = LearningRate.Constant(1e-4);

    /// <summary>AdamW's weight decay; the reference's is 0.01.</summary>
    public double WeightDecay { get; init; } = 0.01;

    /// <summary>The global norm that gradients are clipped to; null clips nothing, as the reference.</summary>
    public double? MaxNorm { get; init; }

    /// <summary>Decay of the weights' moving average, which samples and the finished model are made of; null keeps none, as the reference.</summary>
    public double? AverageDecay { get; init; }

    /// <summary>Frames of a window; null for the model's.</summary>
    public int? Frames { get; init; }

    /// <summary>Whether the U-Net's activations are computed again on the way back, for a fraction of the memory and the same bits.</summary>
    public bool Recompute { get; init; }

    /// <summary>Height and width of the crops that the autoencoder is trained on; null for whole pictures.</summary>
    public int? Crop { get; init; }

    /// <summary>Weight of the divergence beside the autoencoder's mean squared error.</summary>
    public double DivergenceWeight { get; init; } = 1e-6;

    /// <summary>The temperature that the encoder's similarities are divided by.</summary>
    public double Temperature { get; init; } = 0.1;

    /// <summary>The mode: <c>fashionflow</c> trains as the reference did, <c>fixed</c> as a new training should.</summary>
    public CompatibilityOptions Compatibility { get; init; } = CompatibilityOptions.Fixed;
}

/// <summary>A training cannot go on; the message says at which step and why.</summary>
public sealed class TrainingException : Exception
{
    /// <summary>The error.</summary>
    public TrainingException(string message, Exception? innerException = null)
        : base(message, innerException)
    {
    }
}
