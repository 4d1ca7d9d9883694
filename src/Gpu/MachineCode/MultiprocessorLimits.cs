// What a multiprocessor of each compute capability offers: the CUDA C++ Programming Guide's table "Technical Specifications per
// Compute Capability". In what pieces it is given out, that table no longer says; those figures are in the CUDA toolkit's header
// cuda_occupancy.h, which computes what cudaOccupancyMaxActiveBlocksPerMultiprocessor does.
namespace FashionFlow.Gpu;

/// <summary>The limits of a multiprocessor.</summary>
/// <param name="ComputeCapability">The compute capability.</param>
/// <param name="Warps">Warps resident at a time.</param>
/// <param name="Blocks">Blocks resident at a time.</param>
/// <param name="SharedMemory">Shared memory in bytes, where as much of the L1 cache as can be is made that.</param>
/// <param name="SharedMemoryPerBlock">Shared memory in bytes that a block may have once its function opted in.</param>
/// <param name="ReservedSharedMemory">Shared memory in bytes that CUDA takes for itself, a block.</param>
/// <param name="SharedMemoryUnit">A block's shared memory is allotted in multiples of this.</param>
public sealed record MultiprocessorLimits(
    ComputeCapability ComputeCapability,
    int Warps,
    int Blocks,
    int SharedMemory,
    int SharedMemoryPerBlock,
    int ReservedSharedMemory,
    int SharedMemoryUnit)
{
    /// <summary>Threads of a warp.</summary>
    public const int WarpSize = 32;

    /// <summary>Threads of a block, at most.</summary>
    public const int MaxThreadsPerBlock = 1024;

    /// <summary>Registers of a thread, at most.</summary>
    public const int MaxRegistersPerThread = 255;

    /// <summary>32-bit registers of a multiprocessor, and of a block at most: as many in all the capabilities here.</summary>
    public const int Registers = 64 * KiB;

    /// <summary>A warp's registers are allotted in multiples of this.</summary>
    public const int RegisterUnit = 256;

    /// <summary>Parts that a multiprocessor consists of, each with a scheduler and as many of the registers; a warp lives in one of them.</summary>
    public const int Partitions = 4;

    private const int KiB = 1024;

    /// <summary>The limits of all capabilities that are known here, ascending.</summary>
    public static IReadOnlyList<MultiprocessorLimits> All { get; } =
    [
        new(new(7, 0), 64, 32, 96 * KiB, 96 * KiB, 0, 256),
        new(new(7, 5), 32, 16, 64 * KiB, 64 * KiB, 0, 256),
        new(new(8, 0), 64, 32, 164 * KiB, 163 * KiB, KiB, 128),
        new(new(8, 6), 48, 16, 100 * KiB, 99 * KiB, KiB, 128),
        new(new(8, 9), 48, 24, 100 * KiB, 99 * KiB, KiB, 128),
        new(new(9, 0), 64, 32, 228 * KiB, 227 * KiB, KiB, 128),
    ];

    /// <summary>The limits of an architecture.</summary>
    /// <param name="architecture">80 for sm_80.</param>
    /// <exception cref="ArgumentOutOfRangeException">They are not known here.</exception>
    public static MultiprocessorLimits Of(int architecture)
        => All.FirstOrDefault(limits => limits.ComputeCapability.Number == architecture)
            ?? throw new ArgumentOutOfRangeException(nameof(architecture), architecture, $"known are {string.Join(", ", All.Select(limits => limits.ComputeCapability))}");
}
