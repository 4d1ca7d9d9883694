// Memory that one user has for itself: cached blocks that nobody else is given.
namespace FashionFlow.Tensors.Memory;

/// <summary>
/// The free blocks of a user whose memory must not be handed to others, as captured work's must not: its graph writes to it whenever it
/// is launched. Blocks know their pool, and go back to it.
/// </summary>
internal sealed class PrivateMemory
{
    /// <summary>Blocks of small requests.</summary>
    public BlockPool Small { get; } = new(segmentGranularity: 2 << 20, smallestRemainder: CachingAllocator.Granularity) { IsPrivate = true };

    /// <summary>Blocks of large requests.</summary>
    public BlockPool Large { get; } = new(segmentGranularity: 2 << 20, smallestRemainder: CachingAllocator.LargestSmall) { IsPrivate = true };
}
