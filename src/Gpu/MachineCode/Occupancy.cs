// How many blocks of a kernel a multiprocessor holds at a time, and what keeps it from holding more.
namespace FashionFlow.Gpu;

/// <summary>What a multiprocessor runs out of first.</summary>
public enum OccupancyLimit
{
    /// <summary>Places for warps.</summary>
    Warps,

    /// <summary>Places for blocks.</summary>
    Blocks,

    /// <summary>Registers.</summary>
    Registers,

    /// <summary>Shared memory.</summary>
    SharedMemory,
}

/// <summary>The blocks of a kernel that a multiprocessor holds at a time.</summary>
/// <param name="Blocks">Blocks; 0 where one alone takes more than there is.</param>
/// <param name="Warps">Warps of these blocks.</param>
/// <param name="Fraction">Warps against those that a multiprocessor has places for.</param>
/// <param name="Limit">What runs out first; of several, the first in the order of <see cref="OccupancyLimit"/>.</param>
public readonly record struct Occupancy(int Blocks, int Warps, double Fraction, OccupancyLimit Limit)
{
    /// <summary>Computes it.</summary>
    /// <param name="limits">Of the multiprocessor.</param>
    /// <param name="threads">Threads a block, 1 to 1024.</param>
    /// <param name="registers">Registers a thread, 0 to 255; 0 for not known, which then are no limit.</param>
    /// <param name="sharedMemory">Static and dynamic shared memory a block in bytes.</param>
    /// <exception cref="ArgumentOutOfRangeException">There are no such blocks.</exception>
    public static Occupancy Of(MultiprocessorLimits limits, int threads, int registers, int sharedMemory)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(threads, MultiprocessorLimits.MaxThreadsPerBlock);
        ArgumentOutOfRangeException.ThrowIfNegative(registers);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(registers, MultiprocessorLimits.MaxRegistersPerThread);
        ArgumentOutOfRangeException.ThrowIfNegative(sharedMemory);
        var warps = (threads + MultiprocessorLimits.WarpSize - 1) / MultiprocessorLimits.WarpSize;
        var (blocks, limit) = (limits.Warps / warps, OccupancyLimit.Warps);
        Limit(limits.Blocks, OccupancyLimit.Blocks);
        Limit(ByRegisters(warps, registers), OccupancyLimit.Registers);
        Limit(BySharedMemory(limits, sharedMemory), OccupancyLimit.SharedMemory);
        return new(blocks, blocks * warps, (double)(blocks * warps) / limits.Warps, limit);

        void Limit(int allowed, OccupancyLimit by)
        {
            if (allowed < blocks)
            {
                (blocks, limit) = (allowed, by);
            }
        }
    }

    private static int ByRegisters(int warps, int registers)
    {
        if (registers == 0)
        {
            return int.MaxValue;
        }

        // Each partition holds whole warps. A block's warps are spread over the partitions, so to fit at all it needs room for
        // its warps rounded up to as many in each.
        var ofWarp = RoundUp(registers * MultiprocessorLimits.WarpSize, MultiprocessorLimits.RegisterUnit);
        var held = MultiprocessorLimits.Registers / MultiprocessorLimits.Partitions / ofWarp * MultiprocessorLimits.Partitions;
        return ofWarp * RoundUp(warps, MultiprocessorLimits.Partitions) <= MultiprocessorLimits.Registers ? held / warps : 0;
    }

    private static int BySharedMemory(MultiprocessorLimits limits, int sharedMemory)
    {
        var ofBlock = RoundUp((long)sharedMemory + limits.ReservedSharedMemory, limits.SharedMemoryUnit);
        return sharedMemory > limits.SharedMemoryPerBlock ? 0 : ofBlock == 0 ? int.MaxValue : (int)(limits.SharedMemory / ofBlock);
    }

    private static int RoundUp(int value, int unit) => (value + unit - 1) / unit * unit;

    private static long RoundUp(long value, int unit) => (value + unit - 1) / unit * unit;
}
