// Saves a video in the making now and then, and when its run is stopped.
using System.Diagnostics;
using FashionFlow.App.Media;
using FashionFlow.Diffusion;
using FashionFlow.Gpu;

namespace FashionFlow.App.Generation;

/// <summary>Keeps <c>OUT.latents</c> beside a video while it is made.</summary>
/// <param name="path">The file.</param>
/// <param name="recipe">How the video is made.</param>
/// <param name="paths">Where the inputs are.</param>
/// <param name="output">What is written.</param>
/// <param name="saved">The steps that the file has already: of the run that this one goes on with.</param>
internal sealed class LatentsKeeper(string path, Recipe recipe, SidecarPaths paths, SavedOutput output, int saved)
{
    // Without --checkpoint-every this much work may be lost to a power cut; a checkpoint costs milliseconds.
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(30);
    private long _last = Stopwatch.GetTimestamp();
    private int _saved = saved;

    /// <summary>The file.</summary>
    public string Path => path;

    /// <summary>Saves if it is time to.</summary>
    /// <exception cref="UserError">Checkpoints were asked for, and one cannot be written.</exception>
    public void AfterStep(SamplingState state)
    {
        var isLast = state.StepsDone == recipe.Options.Steps;
        if (output.CheckpointEvery is { } every ? state.StepsDone % every == 0 || isLast : isLast && output.KeepLatents)
        {
            Save(state);
        }
        else if (output.CheckpointEvery is null && Stopwatch.GetElapsedTime(_last) >= Pause)
        {
            TrySave(state);
        }
    }

    /// <summary>Saves what there is when a run ends early.</summary>
    /// <returns>Whether the file holds what was done.</returns>
    public bool TrySave(SamplingState state)
    {
        try
        {
            if (state.StepsDone > _saved)
            {
                Save(state);
            }
        }
        catch (Exception e) when (e is UserError or GpuException)
        {
            // The error that ends the run says more than one about this; a checkpoint of before is still whole.
        }

        return _saved > 0;
    }

    /// <summary>The video is there: its latents go, unless they are to be kept.</summary>
    public void Finish()
    {
        if (!output.KeepLatents)
        {
            PendingOutput.TakeBack(Path);
        }
    }

    private void Save(SamplingState state)
    {
        SavedLatents.Write(Path, state, recipe, paths, output);
        (_saved, _last) = (state.StepsDone, Stopwatch.GetTimestamp());
    }
}
