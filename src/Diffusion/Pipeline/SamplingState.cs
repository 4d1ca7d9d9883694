// A video between two steps of sampling: all that the remaining steps depend on, so that a run that was stopped can go on.
using FashionFlow.Tensors;

namespace FashionFlow.Diffusion;

/// <summary>
/// A latent video on its way from noise. The noise that later steps add follows from seed and step, so nothing random is part of it.
/// The same steps taken from here give the same bits, in whatever process.
/// </summary>
public sealed class SamplingState : IDisposable
{
    /// <summary>A state; it owns the tensors from now on.</summary>
    /// <param name="stepsDone">Steps taken so far.</param>
    /// <param name="video">The latent video [1, f, h, w, c], scaled.</param>
    /// <param name="picture">The picture's latent [1, h, w, c], scaled: frame 0.</param>
    /// <param name="conditioning">What the U-Net attends to [1, n, d].</param>
    /// <param name="memory">What the sampler remembers (<see cref="ISampler.Memory"/>), of the video's shape; null for nothing.</param>
    public SamplingState(int stepsDone, Tensor video, Tensor picture, Tensor conditioning, Tensor? memory = null)
    {
        StepsDone = stepsDone;
        Video = TensorScope.Detach(video);
        Picture = TensorScope.Detach(picture);
        Conditioning = TensorScope.Detach(conditioning);
        Memory = memory is null ? null : TensorScope.Detach(memory);
    }

    /// <summary>Steps taken so far.</summary>
    public int StepsDone { get; private set; }

    /// <summary>The latent video [1, f, h, w, c], scaled.</summary>
    public Tensor Video { get; private set; }

    /// <summary>The picture's latent [1, h, w, c], scaled: frame 0.</summary>
    public Tensor Picture { get; }

    /// <summary>What the U-Net attends to [1, n, d].</summary>
    public Tensor Conditioning { get; }

    /// <summary>What the sampler remembers of the steps taken, of the video's shape; null for nothing.</summary>
    public Tensor? Memory { get; private set; }

    /// <summary>Frees the tensors.</summary>
    public void Dispose()
    {
        Video.Dispose();
        Picture.Dispose();
        Conditioning.Dispose();
        Memory?.Dispose();
    }

    /// <summary>Takes the video that a step made, and shares what the sampler remembers of it; the old ones are freed.</summary>
    internal void Advance(Tensor video, Tensor? memory)
    {
        Video.Dispose();
        Memory?.Dispose();
        Video = TensorScope.Detach(video);
        Memory = memory is null ? null : TensorScope.Detach(memory.AddReference());
        StepsDone++;
    }
}

/// <summary>What may look on while a video is sampled.</summary>
public sealed record SamplingHooks
{
    /// <summary>Called after each step, on the sampling thread; the state is the caller's to read during the call.</summary>
    public Action<SamplingState>? AfterStep { get; init; }

    /// <summary>
    /// Asked before a step, by how many will be done after it, whether <see cref="ShowClean"/> shall be called: the clean video costs
    /// memory of its own.
    /// </summary>
    public Func<int, bool>? WantsClean { get; init; }

    /// <summary>Gets the clean video that a step believes in, [1, f, h, w, c], scaled, with the number of steps done; valid during the call.</summary>
    public Action<int, Tensor>? ShowClean { get; init; }

    /// <summary>Whether each output of the network is searched for values that are infinite or no number; it costs time.</summary>
    public bool ChecksFinite { get; init; }
}
