// Device memory that is the host's: a device address is a host address, so its alignment is real, and every allocation has
// guard space around it and can be found by any address inside, which is what makes a stray access an error and not a crash.
using System.Runtime.InteropServices;
using FashionFlow.Gpu;

namespace FashionFlow.VirtualGpu;

/// <summary>The allocations of one virtual device. Finding is free of locks; making and freeing take one.</summary>
internal sealed unsafe class VirtualMemory(long capacity, bool poison) : Jit.IDeviceMemory, IDisposable
{
    /// <summary>Every allocation starts at a multiple of this many bytes, as cuMemAlloc's do.</summary>
    public const int Alignment = 256;

    /// <summary>Bytes before and after each allocation that belong to nobody.</summary>
    public const int GuardBytes = 4096;

    private const byte PoisonByte = 0xFF;
    private const byte GuardByte = 0xA7;
    private const long HugePage = 2 << 20;
    private const int AdviseHugePage = 14;
    private const int RememberedFrees = 256;

    // madvise of the C library, null where there is none.
    private static readonly delegate* unmanaged<void*, nuint, int, int> Advise = FindAdvise();

    private readonly Lock _gate = new();
    private readonly Queue<Allocation> _freed = new();
    private Snapshot _live = new([], [], []);
    private long _used;
    private int _generation;
    private bool _disposed;

    /// <summary>Bytes that may be allocated in all.</summary>
    public long Capacity { get; } = capacity;

    /// <summary>Bytes in live allocations.</summary>
    public long Used => Interlocked.Read(ref _used);

    /// <summary>Live allocations.</summary>
    public int Count => Volatile.Read(ref _live).Starts.Length;

    /// <summary>Changes whenever an allocation is made or freed.</summary>
    public int Generation => Volatile.Read(ref _generation);

    /// <summary>Makes an allocation of undefined contents.</summary>
    /// <param name="bytes">Its size, above 0.</param>
    /// <param name="label">What messages call it, e.g. the name of a module's variable; null for a plain allocation.</param>
    /// <param name="alignment">Its alignment if more than <see cref="Alignment"/>; a power of two.</param>
    /// <exception cref="GpuException">CUDA_ERROR_INVALID_VALUE; CUDA_ERROR_OUT_OF_MEMORY naming what was asked and what is free.</exception>
    public ulong Allocate(long bytes, string? label = null, int alignment = Alignment)
    {
        if (bytes <= 0)
        {
            throw new GpuException(CudaResult.CUDA_ERROR_INVALID_VALUE, $"an allocation must have at least 1 byte, not {bytes}");
        }

        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, typeof(VirtualDevice));
            var free = Capacity - _used;
            if (bytes > free)
            {
                throw OutOfMemory(bytes, free);
            }

            byte* block;
            var align = Math.Max(alignment, Alignment);
            var lead = Math.Max(GuardBytes, align);
            var total = lead + bytes + GuardBytes;
            try
            {
                block = (byte*)NativeMemory.AlignedAlloc((nuint)total, (nuint)Math.Max(align, total >= 2 * HugePage ? HugePage : 4096));
            }
            catch (OutOfMemoryException)
            {
                throw OutOfMemory(bytes, free);
            }

            if (total >= 2 * HugePage)
            {
                AdviseHugePages(block, total);
            }

            var start = block + lead;
            if (poison)
            {
                Set(block, GuardByte, lead);
                Set(start, PoisonByte, bytes);
                Set(start + bytes, GuardByte, GuardBytes);
            }

            var allocation = new Allocation((ulong)start, bytes, (nint)block, label);
            var live = _live;
            Volatile.Write(ref _live, live.Insert(live.CountUpTo(allocation.Start), allocation));
            Interlocked.Add(ref _used, bytes);
            Interlocked.Increment(ref _generation);
            return allocation.Start;
        }
    }

    /// <summary>Frees an allocation.</summary>
    /// <exception cref="GpuException">CUDA_ERROR_INVALID_VALUE: not the start of a live allocation (freed twice, foreign, or
    /// inside one). CUDA_ERROR_ILLEGAL_ADDRESS: something wrote into its guard space (only where memory is poisoned).</exception>
    public void Free(ulong address)
    {
        bool damaged;
        Allocation allocation;
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, typeof(VirtualDevice));
            var live = _live;
            var index = live.CountUpTo(address) - 1;
            if (index < 0 || live.Starts[index] != address)
            {
                throw new GpuException(CudaResult.CUDA_ERROR_INVALID_VALUE, $"cannot free 0x{address:x}: {DescribeForFree(address)}");
            }

            allocation = live.Allocations[index];
            damaged = poison && !GuardsIntact(allocation);
            Volatile.Write(ref _live, live.Remove(index));
            Interlocked.Add(ref _used, -allocation.Bytes);
            Interlocked.Increment(ref _generation);
            _freed.Enqueue(allocation);
            if (_freed.Count > RememberedFrees)
            {
                _freed.Dequeue();
            }

            NativeMemory.AlignedFree((void*)allocation.Block);
        }

        if (damaged)
        {
            throw new GpuException(
                CudaResult.CUDA_ERROR_ILLEGAL_ADDRESS,
                $"something wrote into the guard space around {allocation}, beside its first or behind its last byte");
        }
    }

    /// <summary>The live allocation that holds an address, as [start, end).</summary>
    public bool TryFind(ulong address, out ulong start, out ulong end)
    {
        var live = Volatile.Read(ref _live);
        var index = live.CountUpTo(address) - 1;
        if (index >= 0 && address < live.Ends[index])
        {
            start = live.Starts[index];
            end = live.Ends[index];
            return true;
        }

        start = end = 0;
        return false;
    }

    /// <summary>Whether all of [address, address + bytes) lies in one live allocation.</summary>
    public bool Contains(ulong address, long bytes)
        => bytes == 0 || (TryFind(address, out _, out var end) && (ulong)bytes <= end - address);

    /// <summary>Says for a message where an address lies: "24 bytes past the end of the 4096-byte allocation at 0x...".</summary>
    public string Describe(ulong address)
    {
        if (address < GuardBytes)
        {
            return address == 0 ? "the null pointer" : $"{Bytes((long)address)} past the null pointer";
        }

        var live = Volatile.Read(ref _live);
        var index = live.CountUpTo(address) - 1;
        if (index >= 0 && address < live.Ends[index])
        {
            return $"{Bytes((long)(address - live.Starts[index]))} into {live.Allocations[index]}";
        }

        lock (_gate)
        {
            foreach (var old in _freed.Reverse())
            {
                if (address >= old.Start && address < old.End)
                {
                    return $"{Bytes((long)(address - old.Start))} into {old}, which has been freed";
                }
            }
        }

        if (live.Starts.Length == 0)
        {
            return "no memory is allocated";
        }

        var after = index >= 0 ? address - live.Ends[index] : ulong.MaxValue;
        var before = index + 1 < live.Starts.Length ? live.Starts[index + 1] - address : ulong.MaxValue;
        return after <= before
            ? after == 0
                ? $"just past the end of {live.Allocations[index]}"
                : $"{Bytes((long)after)} past the end of {live.Allocations[index]}"
            : $"{Bytes((long)before)} before {live.Allocations[index + 1]}";
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
            foreach (var allocation in _live.Allocations)
            {
                NativeMemory.AlignedFree((void*)allocation.Block);
            }

            Volatile.Write(ref _live, new Snapshot([], [], []));
            Interlocked.Exchange(ref _used, 0);
            Interlocked.Increment(ref _generation);
        }
    }

    private static GpuException OutOfMemory(long asked, long free)
        => new(CudaResult.CUDA_ERROR_OUT_OF_MEMORY, $"{asked:N0} bytes were asked for, {free:N0} are free");

    private static string Bytes(long count) => count == 1 ? "1 byte" : $"{count} bytes";

    // Span's Fill takes at most 2^31 elements; an allocation may have more.
    private static void Set(byte* start, byte value, long bytes) => NativeMemory.Fill(start, (nuint)bytes, value);

    // Huge pages save most of the page faults and TLB misses of large tensors. They are a hint: failing changes nothing.
    private static void AdviseHugePages(byte* block, long bytes)
    {
        if (Advise != null)
        {
            _ = Advise(block, (nuint)(bytes / HugePage * HugePage), AdviseHugePage);
        }
    }

    private static delegate* unmanaged<void*, nuint, int, int> FindAdvise()
        => OperatingSystem.IsLinux() && NativeLibrary.TryLoad("libc.so.6", out var library) && NativeLibrary.TryGetExport(library, "madvise", out var address)
            ? (delegate* unmanaged<void*, nuint, int, int>)address
            : null;

    private static bool GuardsIntact(in Allocation allocation)
    {
        var start = (byte*)allocation.Start;
        return !new ReadOnlySpan<byte>(start - GuardBytes, GuardBytes).ContainsAnyExcept(GuardByte)
            && !new ReadOnlySpan<byte>(start + allocation.Bytes, GuardBytes).ContainsAnyExcept(GuardByte);
    }

    private string DescribeForFree(ulong address)
    {
        foreach (var old in _freed.Reverse())
        {
            if (old.Start == address)
            {
                return $"{old} has been freed already";
            }
        }

        return TryFind(address, out _, out _) ? $"it is {Describe(address)}, not its start" : $"it was never allocated here ({Describe(address)})";
    }

    private readonly record struct Allocation(ulong Start, long Bytes, nint Block, string? Label)
    {
        public ulong End => Start + (ulong)Bytes;

        public override string ToString()
            => Label is null ? $"the {Bytes}-byte allocation at 0x{Start:x}" : $"{Label} ({Bytes} bytes at 0x{Start:x})";
    }

    // The live allocations in ascending order; never changed, only replaced, so that a reader needs no lock.
    private sealed class Snapshot(ulong[] starts, ulong[] ends, Allocation[] allocations)
    {
        public readonly ulong[] Starts = starts;
        public readonly ulong[] Ends = ends;
        public readonly Allocation[] Allocations = allocations;

        // How many allocations start at or below the address.
        public int CountUpTo(ulong address)
        {
            int low = 0, high = Starts.Length;
            while (low < high)
            {
                var middle = (low + high) >>> 1;
                if (Starts[middle] <= address)
                {
                    low = middle + 1;
                }
                else
                {
                    high = middle;
                }
            }

            return low;
        }

        public Snapshot Insert(int index, in Allocation allocation)
            => new(Inserted(Starts, index, allocation.Start), Inserted(Ends, index, allocation.End), Inserted(Allocations, index, allocation));

        public Snapshot Remove(int index) => new(Removed(Starts, index), Removed(Ends, index), Removed(Allocations, index));

        private static T[] Inserted<T>(T[] array, int index, T item)
        {
            var result = new T[array.Length + 1];
            array.AsSpan(0, index).CopyTo(result);
            result[index] = item;
            array.AsSpan(index).CopyTo(result.AsSpan(index + 1));
            return result;
        }

        private static T[] Removed<T>(T[] array, int index)
        {
            var result = new T[array.Length - 1];
            array.AsSpan(0, index).CopyTo(result);
            array.AsSpan(index + 1).CopyTo(result.AsSpan(index));
            return result;
        }
    }
}
