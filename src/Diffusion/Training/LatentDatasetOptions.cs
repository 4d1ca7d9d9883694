// How a data set is sampled, and where in it a training is.
namespace FashionFlow.Diffusion.Training;

/// <summary>Which randomness an epoch has.</summary>
public enum EpochRandomness
{
    /// <summary>Its own: another order, other windows, other draws of the posterior. What a new training should use (<c>--compat fixed</c>).</summary>
    Fresh,

    /// <summary>
    /// The first epoch's, for ever: one window a clip, drawn once, in one order. So does the reference, which cuts and encodes
    /// its windows before training and never tells its sampler the epoch (<c>--compat fashionflow</c>).
    /// </summary>
    Frozen,
}

/// <summary>Choices for a <see cref="LatentDataset"/>.</summary>
public sealed record LatentDatasetOptions
{
    /// <summary>Which clips: <see cref="LatentIndex.Train"/> or <see cref="LatentIndex.Test"/>.</summary>
    public string Split { get; init; } = LatentIndex.Train;

    /// <summary>Frames of a window; null for the model's.</summary>
    public int? Frames { get; init; }

    /// <summary>Every how manyth frame of the clip a window takes.</summary>
    public int Stride { get; init; } = 1;

    /// <summary>The seed of order, windows and posterior draws.</summary>
    public ulong Seed { get; init; }

    /// <summary>Whether epochs differ.</summary>
    public EpochRandomness Randomness { get; init; } = EpochRandomness.Fresh;
}

/// <summary>
/// A place in the endless sequence of samples: epoch after epoch, every clip once in each. With the options it is all that
/// decides what comes next, and so all that a checkpoint must keep.
/// </summary>
/// <param name="Epoch">The epoch, from 0.</param>
/// <param name="Index">The sample within it, from 0.</param>
public readonly record struct DatasetPosition(int Epoch, int Index)
{
    /// <summary>The first sample.</summary>
    public static DatasetPosition Start => default;
}

/// <summary>A window of a clip.</summary>
/// <param name="Clip">The clip's place in <see cref="LatentDataset.Clips"/>.</param>
/// <param name="Start">Its first frame, which conditions the model.</param>
public readonly record struct LatentWindow(int Clip, int Start);
