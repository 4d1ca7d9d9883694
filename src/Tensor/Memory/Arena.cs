// One stretch of device memory from which tensors are cut: its size is known before anything runs.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Memory;

/// <summary>
/// Hands out ranges of one allocation: the best fit among the holes that freed tensors left, else behind all that is in use. What
/// a sequence of requests gets does not depend on the arena's size, only whether it is large enough: so a run on a
/// <see cref="MeasuringDevice"/>, with an arena without end, finds the size that the same run needs.
/// </summary>
internal sealed class Arena(DevicePointer<byte> start, long bytes)
{
    private readonly BlockPool _holes = new(segmentGranularity: 1, smallestRemainder: CachingAllocator.Granularity);
    private Block? _last;
    private long _top;

    /// <summary>Its size.</summary>
    public long Bytes => bytes;

    /// <summary>Where it starts.</summary>
    public DevicePointer<byte> Start => start;

    /// <summary>Whether nothing is in use.</summary>
    public bool IsEmpty => _top == 0;

    /// <summary>The most that it was used up to.</summary>
    public long HighWater { get; private set; }

    /// <summary>A range.</summary>
    /// <returns>Null if there is no room for it.</returns>
    public Block? TryAllocate(long wanted)
    {
        var rounded = checked((Math.Max(wanted, 1) + CachingAllocator.Granularity - 1) / CachingAllocator.Granularity * CachingAllocator.Granularity);
        var block = _holes.TakeBestFit(rounded);
        if (block is null)
        {
            if (rounded > bytes - _top)
            {
                return null;
            }

            block = new Block(start.Offset(_top), rounded, _holes) { Previous = _last };
            if (_last is not null)
            {
                _last.Next = block;
            }

            _last = block;
            _top += rounded;
            HighWater = Math.Max(HighWater, _top);
        }
        else if (block.Bytes > rounded)
        {
            block.Split(rounded);
        }

        block.InUse = true;
        return block;
    }

    /// <summary>Takes a range back; what was the last one makes the end free again.</summary>
    public void Free(Block block)
    {
        block.InUse = false;
        block = block.MergeWithFreeNeighbours();
        if (block.Next is not null)
        {
            _holes.Add(block);
            return;
        }

        _top -= block.Bytes;
        _last = block.Previous;
        if (_last is not null)
        {
            _last.Next = null;
        }
    }

    /// <summary>A number that stands for where everything lies: FNV-1a of offsets and sizes of all ranges in use, from the end.</summary>
    public ulong Layout
    {
        get
        {
            var hash = 14695981039346656037UL;
            for (var block = _last; block is not null; block = block.Previous)
            {
                foreach (var number in block.InUse ? (ReadOnlySpan<ulong>)[block.Pointer.Address - start.Address, (ulong)block.Bytes] : [])
                {
                    hash = unchecked((hash ^ number) * 1099511628211UL);
                }
            }

            return hash;
        }
    }

    /// <summary>Starts a new measurement of <see cref="HighWater"/>.</summary>
    public void ResetHighWater() => HighWater = _top;
}
