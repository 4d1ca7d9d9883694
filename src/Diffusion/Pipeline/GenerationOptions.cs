// What a user chooses about one video, and what is told while it is made.
using FashionFlow.Diffusion.Preprocessing;

namespace FashionFlow.Diffusion;

/// <summary>Choices for one video. What is null is the model's.</summary>
public sealed record GenerationOptions
{
    /// <summary>DDPM's steps where neither user nor model say: the reference's.</summary>
    public const int DefaultDdpmSteps = 1000;

    /// <summary>DDIM's and Euler's steps where neither user nor model say.</summary>
    public const int DefaultDdimSteps = 50;

    /// <summary>DPM-Solver++'s steps where neither user nor model say: its paper's.</summary>
    public const int DefaultSolverSteps = 20;

    /// <summary>The sampler where neither user nor model say: the reference's.</summary>
    public const SamplerKind DefaultSampler = SamplerKind.Ddpm;

    /// <summary>The sampler; null for the model's.</summary>
    public SamplerKind? Sampler { get; init; }

    /// <summary>Denoising steps, 1 to the schedule's number of timesteps.</summary>
    public int? Steps { get; init; }

    /// <summary>DDIM's noise, 0 to 1; 0 with other samplers.</summary>
    public double Eta { get; init; }

    /// <summary>Which times are visited; null for the model's.</summary>
    public TimestepSpacing? Spacing { get; init; }

    /// <summary>Frames of the video.</summary>
    public int? Frames { get; init; }

    /// <summary>The seed of all noise.</summary>
    public ulong Seed { get; init; }

    /// <summary>How a picture of other proportions than the model's is fitted; null for the compatibility mode's own way.</summary>
    public PictureFit? Fit { get; init; }

    /// <summary>
    /// Whether the network's evaluation is captured as a graph and repeated, which spares the host's time for each launch; null captures
    /// on a GPU without a planned arena. Frames are the same to the bit.
    /// </summary>
    public bool? UseGraph { get; init; }

    /// <summary>Which of the reference's oddities to reproduce; null for those that the model was trained with.</summary>
    public CompatibilityOptions? Compatibility { get; init; }
}

/// <summary>What is being done.</summary>
public enum GenerationStage
{
    /// <summary>The picture goes through CLIP and the autoencoder.</summary>
    Encoding,

    /// <summary>The video is denoised.</summary>
    Sampling,

    /// <summary>Frames are decoded.</summary>
    Decoding,
}

/// <summary>How far a video is.</summary>
/// <param name="Stage">What is being done.</param>
/// <param name="Done">Steps or frames done in this stage.</param>
/// <param name="Total">Steps or frames of this stage.</param>
public readonly record struct GenerationProgress(GenerationStage Stage, int Done, int Total);
