// Memory of a worker, kept from launch to launch so that a small kernel does not pay for fresh pages.
using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace FashionFlow.VirtualGpu.Jit;

/// <summary>Takes pieces off large chunks of native memory; all are given back at once.</summary>
internal sealed unsafe class WorkerArena
{
    private const long ChunkBytes = 1 << 20;
    private const long MostKeptBytes = 64L << 20;

    private static readonly ConcurrentBag<WorkerArena> Idle = [];

    private readonly List<(nint Memory, long Bytes)> _chunks = [];
    private int _chunk;
    private long _used;

    private WorkerArena()
    {
    }

    /// <summary>An arena that nobody else uses.</summary>
    public static WorkerArena Rent() => Idle.TryTake(out var arena) ? arena : new WorkerArena();

    /// <summary>Memory of undefined contents, aligned to a cache line.</summary>
    public nint Take(long bytes)
    {
        bytes = (Math.Max(64, bytes) + 63) & -64;
        while (_chunk < _chunks.Count && _used + bytes > _chunks[_chunk].Bytes)
        {
            _chunk++;
            _used = 0;
        }

        if (_chunk == _chunks.Count)
        {
            var size = Math.Max(ChunkBytes, bytes);
            _chunks.Add(((nint)NativeMemory.AlignedAlloc((nuint)size, 64), size));
            _used = 0;
        }

        var place = _chunks[_chunk].Memory + (nint)_used;
        _used += bytes;
        return place;
    }

    /// <summary>Gives all pieces back, and the arena to the next launch.</summary>
    public void Return()
    {
        if (_chunks.Sum(c => c.Bytes) > MostKeptBytes)
        {
            Release();
        }

        _chunk = 0;
        _used = 0;
        Idle.Add(this);
    }

    private void Release()
    {
        foreach (var (memory, _) in _chunks)
        {
            NativeMemory.AlignedFree((void*)memory);
        }

        _chunks.Clear();
    }
}
