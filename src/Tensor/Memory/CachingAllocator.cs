// Device memory without a driver call a tensor: freed blocks are kept, split, merged and handed out again in stream order.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Memory;

/// <summary>
/// A caching allocator over one stream. A block freed on the host may be handed out at once, although queued kernels still
/// use it: whoever gets it queues its work behind theirs on the same stream, so no wait is needed.
/// Two size classes keep small tensors from cutting up the large segments; in each the best fit is taken, and
/// neighbouring free blocks are merged. When the device is full, cached segments go back to it and the request is tried again.
/// </summary>
internal sealed class CachingAllocator(GpuDevice device, GpuStream stream, DeviceContextOptions options)
{
    /// <summary>Blocks are multiples of this, so that every tensor starts at an address that any vector access may use.</summary>
    public const long Granularity = 512;

    /// <summary>The largest request served from the small segments.</summary>
    public const long LargestSmall = 1 << 20;

    private readonly BlockPool _small = new(segmentGranularity: 2 << 20, smallestRemainder: Granularity);
    private readonly BlockPool _large = new(segmentGranularity: 2 << 20, smallestRemainder: LargestSmall);
    private readonly Lock _gate = new();
    private Arena? _arena;
    private PrivateMemory? _private;

    /// <summary>Whether blocks are handed out filled with <see cref="DeviceContextOptions.Poison"/>.</summary>
    public bool PoisonMemory { get; set; } = options.PoisonMemory;

    /// <summary>Bytes of the blocks in use.</summary>
    public long LiveBytes { get; private set; }

    /// <summary>The most that <see cref="LiveBytes"/> has been since the last reset.</summary>
    public long PeakBytes { get; private set; }

    /// <summary>Bytes taken from the device, in use or cached.</summary>
    public long ReservedBytes { get; private set; }

    /// <summary>A block of at least <paramref name="bytes"/> bytes. Contents are undefined, or poison where the options ask for it.</summary>
    /// <exception cref="GpuException">CUDA_ERROR_OUT_OF_MEMORY, with what is live and what was asked for.</exception>
    public Block Allocate(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        Block block;
        lock (_gate)
        {
            block = _private is { } own ? TakeOrReserve(bytes, own.Small, own.Large)
                : _arena is not null ? FromArena(bytes) : options.IsolateAllocations ? NewSegment(Math.Max(bytes, 1), _small)
                : TakeOrReserve(bytes, _small, _large);
            block.InUse = true;
            LiveBytes += block.Bytes;
            PeakBytes = Math.Max(PeakBytes, LiveBytes);
        }

        if (PoisonMemory)
        {
            device.Fill(block.Pointer, DeviceContextOptions.Poison, block.Bytes, stream);
        }

        return block;
    }

    /// <summary>Gives a block back.</summary>
    /// <exception cref="InvalidOperationException">It is not in use: freed twice.</exception>
    public void Free(Block block)
    {
        lock (_gate)
        {
            if (!block.InUse)
            {
                throw new InvalidOperationException($"the {block.Bytes}-byte block at {block.Pointer} was freed twice");
            }

            block.InUse = false;
            LiveBytes -= block.Bytes;
            if (_arena is not null && IsOf(_arena, block))
            {
                _arena.Free(block);
                return;
            }

            if (options.IsolateAllocations && !block.Pool.IsPrivate)
            {
                ReturnSegment(block);
                return;
            }

            block = block.MergeWithFreeNeighbours();
            if (block.Pool.IsOrphaned && block.IsWholeSegment)
            {
                ReturnSegment(block);
                return;
            }

            block.Pool.Add(block);
        }
    }

    /// <summary>The arena's size, and the most that it was used up to since the last reset; null while there is none.</summary>
    public (long Bytes, long HighWater)? Arena
    {
        get
        {
            lock (_gate)
            {
                return _arena is null ? null : (_arena.Bytes, _arena.HighWater);
            }
        }
    }

    /// <summary>Where everything lies in the arena, as a number; 0 without one.</summary>
    public ulong ArenaLayout
    {
        get
        {
            lock (_gate)
            {
                return _arena?.Layout ?? 0;
            }
        }
    }

    /// <summary>Takes an arena from the device: from now on all blocks come from it, until it is closed.</summary>
    /// <exception cref="InvalidOperationException">There is one already.</exception>
    /// <exception cref="GpuException">CUDA_ERROR_OUT_OF_MEMORY.</exception>
    public void OpenArena(long bytes)
    {
        lock (_gate)
        {
            if (_arena is not null)
            {
                throw new InvalidOperationException("an arena is open already");
            }

            ReleaseCachedSegments();
            _arena = new Arena(device.Allocate(bytes), bytes);
            ReservedBytes += bytes;
        }
    }

    /// <summary>Gives the arena back to the device.</summary>
    /// <exception cref="InvalidOperationException">A tensor is still in it.</exception>
    public void CloseArena()
    {
        lock (_gate)
        {
            if (_arena is null)
            {
                return;
            }

            if (!_arena.IsEmpty)
            {
                throw new InvalidOperationException("tensors are still in the arena");
            }

            device.Free(_arena.Start);
            ReservedBytes -= _arena.Bytes;
            _arena = null;
        }
    }

    /// <summary>Gives every cached segment that nothing uses back to the device.</summary>
    public void ReleaseCached()
    {
        lock (_gate)
        {
            ReleaseCachedSegments();
        }
    }

    /// <summary>From now on all blocks come from one user's memory, until the result is disposed.</summary>
    /// <exception cref="InvalidOperationException">Another user's is in use.</exception>
    public IDisposable UsePrivate(PrivateMemory memory)
    {
        lock (_gate)
        {
            _private = _private is null ? memory : throw new InvalidOperationException("private memory is in use already");
        }

        return new PrivateUse(this);
    }

    /// <summary>
    /// Gives one user's memory back to the device: what is free at once, the rest when its last tensor goes. A network keeps tables
    /// that its first run made, wherever that was.
    /// </summary>
    public void Release(PrivateMemory memory)
    {
        lock (_gate)
        {
            foreach (var pool in (ReadOnlySpan<BlockPool>)[memory.Small, memory.Large])
            {
                pool.IsOrphaned = true;
                foreach (var segment in pool.TakeWholeSegments())
                {
                    ReturnSegment(segment);
                }
            }
        }
    }

    /// <summary>Starts a new measurement of <see cref="PeakBytes"/>.</summary>
    public void ResetPeak()
    {
        lock (_gate)
        {
            PeakBytes = LiveBytes;
            _arena?.ResetHighWater();
        }
    }

    private static bool IsOf(Arena arena, Block block)
        => block.Pointer.Address >= arena.Start.Address && block.Pointer.Address - arena.Start.Address < (ulong)arena.Bytes;

    private Block FromArena(long bytes) => _arena!.TryAllocate(bytes) ?? throw new GpuException(
        CudaResult.CUDA_ERROR_OUT_OF_MEMORY,
        $"{bytes:N0} bytes asked for, and the planned arena of {_arena.Bytes:N0} has no room for them: {LiveBytes:N0} are in use by tensors");

    private Block TakeOrReserve(long bytes, BlockPool small, BlockPool large)
    {
        var rounded = checked((Math.Max(bytes, 1) + Granularity - 1) / Granularity * Granularity);
        var pool = rounded <= LargestSmall ? small : large;
        var block = pool.TakeBestFit(rounded) ?? NewSegment(pool.SegmentBytes(rounded), pool);
        if (block.Bytes - rounded >= pool.SmallestRemainder)
        {
            block.Split(rounded);
        }

        return block;
    }

    private Block NewSegment(long bytes, BlockPool pool)
    {
        DevicePointer<byte> pointer;
        try
        {
            pointer = device.Allocate(bytes);
        }
        catch (GpuException full) when (full.Result == CudaResult.CUDA_ERROR_OUT_OF_MEMORY)
        {
            ReleaseCachedSegments();
            try
            {
                pointer = device.Allocate(bytes);
            }
            catch (GpuException stillFull) when (stillFull.Result == CudaResult.CUDA_ERROR_OUT_OF_MEMORY)
            {
                throw new GpuException(
                    CudaResult.CUDA_ERROR_OUT_OF_MEMORY,
                    $"{bytes:N0} bytes asked for, {LiveBytes:N0} in use by tensors, {ReservedBytes:N0} reserved: {stillFull.Detail}",
                    stillFull);
            }
        }

        ReservedBytes += bytes;
        return new Block(pointer, bytes, pool);
    }

    private void ReleaseCachedSegments()
    {
        foreach (var pool in (ReadOnlySpan<BlockPool>)[_small, _large])
        {
            foreach (var segment in pool.TakeWholeSegments())
            {
                ReturnSegment(segment);
            }
        }
    }

    private void ReturnSegment(Block segment)
    {
        device.Free(segment.Pointer);
        ReservedBytes -= segment.Bytes;
    }

    private sealed class PrivateUse(CachingAllocator allocator) : IDisposable
    {
        public void Dispose()
        {
            lock (allocator._gate)
            {
                allocator._private = null;
            }
        }
    }
}
