// Memory of a worker, native and managed, kept from launch to launch: a small kernel pays for no fresh pages, and a long run of
// launches leaves the garbage collector nothing to do.
using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace FashionFlow.VirtualGpu.Jit;

/// <summary>Takes pieces off large chunks of native memory, and warps and barriers off lists; all are given back at once.</summary>
internal sealed unsafe class WorkerArena
{
    private const long ChunkBytes = 1 << 20;
    private const long MostKeptBytes = 64L << 20;
    private const int MostKeptWarps = 1024;

    private static readonly ConcurrentBag<WorkerArena> Idle = [];

    private readonly List<(nint Memory, long Bytes)> _chunks = [];
    private readonly List<WarpState> _warps = [];
    private readonly List<BarrierState[]> _barriers = [];
    private int _chunk;
    private long _used;
    private int _usedWarps;
    private int _usedBarriers;

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

    /// <summary>A warp whose places are set and which has not been prepared; its other state is that of some earlier one.</summary>
    public WarpState TakeWarp(int index, nint frame, nint local)
    {
        if (_usedWarps == _warps.Count)
        {
            _warps.Add(new WarpState());
        }

        var warp = _warps[_usedWarps++];
        warp.Index = index;
        warp.Frame = frame;
        warp.Local = local;
        warp.IsPrepared = false;
        return warp;
    }

    /// <summary>The barriers of a block, as some earlier block left them.</summary>
    public BarrierState[] TakeBarriers()
    {
        if (_usedBarriers == _barriers.Count)
        {
            _barriers.Add(new BarrierState[ResidentBlock.BarrierCount]);
        }

        return _barriers[_usedBarriers++];
    }

    /// <summary>Gives all pieces back, and the arena to the next launch.</summary>
    public void Return()
    {
        var bytes = 0L;
        foreach (var (_, size) in _chunks)
        {
            bytes += size;
        }

        if (bytes > MostKeptBytes)
        {
            Release();
        }

        if (_warps.Count > MostKeptWarps)
        {
            _warps.Clear();
            _barriers.Clear();
        }

        // A warp must not keep the code of a kernel alive that is unloaded.
        for (var i = 0; i < Math.Min(_usedWarps, _warps.Count); i++)
        {
            _warps[i].Version = null;
        }

        _chunk = 0;
        _used = 0;
        _usedWarps = 0;
        _usedBarriers = 0;
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
