// What differs between trainings: the networks, and the loss of a step.
using FashionFlow.Layers;
using FashionFlow.Tensors;

namespace FashionFlow.Diffusion.Training;

/// <summary>A network that is trained, under the name that its files and its parameters in the optimizer's state bear.</summary>
/// <param name="Name">"unet"; its weights are in <c>unet.safetensors</c>.</param>
/// <param name="Module">The network, loaded.</param>
public sealed record TrainedModule(string Name, Module Module)
{
    /// <summary>The file that its weights are in.</summary>
    public string FileName => $"{Name}.safetensors";
}

/// <summary>
/// Something to train. What a step works on is a pure function of the run's seed and the step's number, so that a checkpoint
/// needs nothing but the number to go on with the same samples, timesteps and noise.
/// </summary>
public abstract class TrainingTask : IDisposable
{
    /// <summary>The networks that are trained.</summary>
    public abstract IReadOnlyList<TrainedModule> Modules { get; }

    /// <summary>Passes over the data that the steps so far made.</summary>
    public abstract double EpochsAfter(long steps);

    /// <summary>The loss [1] of a step, recorded on the running tape. The caller's scope owns it.</summary>
    /// <param name="step">From 0.</param>
    public abstract Tensor Loss(long step);

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees the networks.</summary>
    protected abstract void Dispose(bool disposing);
}
