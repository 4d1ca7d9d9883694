// The limits of each compute capability that a virtual device can take, and what follows from them: how many blocks one
// multiprocessor holds.
using System.Collections.Frozen;
using FashionFlow.Gpu;

namespace FashionFlow.VirtualGpu;

/// <summary>What a multiprocessor of one compute capability offers.</summary>
/// <param name="ComputeCapability">The compute capability.</param>
/// <param name="SharedMemoryPerMultiprocessor">Shared memory of a multiprocessor in bytes.</param>
/// <param name="SharedMemoryPerBlockOptin">Shared memory in bytes that a block may have once its function opted in.</param>
/// <param name="ThreadsPerMultiprocessor">Threads resident on a multiprocessor.</param>
/// <param name="BlocksPerMultiprocessor">Blocks resident on a multiprocessor.</param>
/// <param name="ReservedSharedMemoryPerBlock">Shared memory in bytes that the driver takes of each block's share.</param>
/// <param name="SharedMemoryGranularity">A block's shared memory is allotted in multiples of this.</param>
public sealed record DeviceLimits(
    ComputeCapability ComputeCapability,
    int SharedMemoryPerMultiprocessor,
    int SharedMemoryPerBlockOptin,
    int ThreadsPerMultiprocessor,
    int BlocksPerMultiprocessor,
    int ReservedSharedMemoryPerBlock,
    int SharedMemoryGranularity)
{
    /// <summary>Multiprocessors that every virtual device reports, whatever the host.</summary>
    public const int MultiprocessorCount = 4;

    private static readonly FrozenDictionary<int, DeviceLimits> Table = MultiprocessorLimits.All
        .Select(of => new DeviceLimits(
            of.ComputeCapability, of.SharedMemory, of.SharedMemoryPerBlock, of.Warps * MultiprocessorLimits.WarpSize, of.Blocks, of.ReservedSharedMemory,
            of.SharedMemoryUnit))
        .ToFrozenDictionary(limits => limits.ComputeCapability.Number);

    /// <summary>The compute capabilities that a virtual device can take, ascending.</summary>
    public static IReadOnlyList<ComputeCapability> Supported { get; } =
        [.. Table.Values.Select(limits => limits.ComputeCapability).Order()];

    /// <summary>The limits of a compute capability.</summary>
    /// <exception cref="GpuException">CUDA_ERROR_INVALID_DEVICE: there is no virtual device of that capability.</exception>
    public static DeviceLimits Of(ComputeCapability capability)
        => Table.TryGetValue(capability.Number, out var limits)
            ? limits
            : throw new GpuException(
                CudaResult.CUDA_ERROR_INVALID_DEVICE,
                $"there is no virtual device {capability}; choose one of {string.Join(", ", Supported)}");

    /// <summary>Blocks that a multiprocessor holds at a time, by threads, shared memory and block slots.</summary>
    /// <param name="threadsPerBlock">Threads a block; whole warps are allotted.</param>
    /// <param name="sharedMemory">Static and dynamic shared memory a block in bytes.</param>
    public int ResidentBlocks(int threadsPerBlock, int sharedMemory)
        => Occupancy.Of(MultiprocessorLimits.Of(ComputeCapability.Number), threadsPerBlock, registers: 0, sharedMemory).Blocks;

    /// <summary>The properties that a virtual device with these limits reports.</summary>
    internal DeviceProperties ToProperties(long totalMemory) => new()
    {
        Name = $"FashionFlow virtual GPU ({ComputeCapability})",
        ComputeCapability = ComputeCapability,
        MultiprocessorCount = MultiprocessorCount,
        TotalMemory = totalMemory,
        MaxSharedMemoryPerBlockOptin = SharedMemoryPerBlockOptin,
        MaxSharedMemoryPerMultiprocessor = SharedMemoryPerMultiprocessor,
        MaxThreadsPerMultiprocessor = ThreadsPerMultiprocessor,
    };
}
