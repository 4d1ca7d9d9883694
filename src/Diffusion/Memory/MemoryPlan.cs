// What a video will take of a device's memory, known before anything runs.
namespace FashionFlow.Diffusion;

/// <summary>What bounds a pipeline's temporaries. Zero means no bound.</summary>
/// <param name="TokensAtATime">Tokens that go through a cross-attention block at a time; the result is the same to the bit.</param>
/// <param name="DecodeRows">
/// Rows of an activation that are on the device at a time when a frame is decoded; norms then add up their statistics in another
/// order, so that a value differs in its last bits.
/// </param>
public sealed record MemorySettings(int TokensAtATime = 0, int DecodeRows = 0)
{
    /// <summary>No bounds.</summary>
    public static MemorySettings Unbounded { get; } = new();
}

/// <summary>One stage of making a video.</summary>
/// <param name="Name">"encode", "step" or "decode".</param>
/// <param name="ActivationBytes">The most of the arena that it uses.</param>
/// <param name="FloatingPointOperations">Multiplications and additions of its products and convolutions: of the picture, of one step, of one frame.</param>
/// <param name="Launches">Kernel launches, likewise.</param>
public sealed record MemoryStage(string Name, long ActivationBytes, double FloatingPointOperations, long Launches);

/// <summary>A plan: what lies where, and how much of it there is.</summary>
/// <param name="Settings">What bounds the temporaries.</param>
/// <param name="WeightBytes">What the networks take.</param>
/// <param name="ArenaBytes">The size of the arena that all activations are cut from.</param>
/// <param name="Stages">The stages, in their order.</param>
public sealed record MemoryPlan(MemorySettings Settings, long WeightBytes, long ArenaBytes, IReadOnlyList<MemoryStage> Stages)
{
    /// <summary>All that is taken from the device.</summary>
    public long TotalBytes => WeightBytes + ArenaBytes;
}

/// <summary>A budget cannot be met.</summary>
public sealed class MemoryBudgetException : Exception
{
    /// <summary>The error.</summary>
    /// <param name="budget">The budget in bytes.</param>
    /// <param name="smallest">The smallest that can be met.</param>
    public MemoryBudgetException(long budget, long smallest)
        : base($"{budget:N0} bytes of device memory are not enough: this video takes {smallest:N0} at least")
        => (Budget, Smallest) = (budget, smallest);

    /// <summary>The budget in bytes.</summary>
    public long Budget { get; }

    /// <summary>The smallest that can be met, in bytes.</summary>
    public long Smallest { get; }
}
