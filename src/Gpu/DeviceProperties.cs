// What a device is and what it allows: the subset of CUdevice_attribute that kernels and launches depend on.
namespace FashionFlow.Gpu;

/// <summary>Compute capability, for example 8.0 for <c>sm_80</c>.</summary>
public readonly record struct ComputeCapability(int Major, int Minor) : IComparable<ComputeCapability>
{
    /// <summary>The number in <c>sm_NN</c>.</summary>
    public int Number => (Major * 10) + Minor;

    /// <inheritdoc/>
    public int CompareTo(ComputeCapability other) => Number.CompareTo(other.Number);

    /// <summary>Whether the left capability is the lower one.</summary>
    public static bool operator <(ComputeCapability left, ComputeCapability right) => left.CompareTo(right) < 0;

    /// <summary>Whether the left capability is the higher one.</summary>
    public static bool operator >(ComputeCapability left, ComputeCapability right) => left.CompareTo(right) > 0;

    /// <summary>Whether the left capability is not the higher one.</summary>
    public static bool operator <=(ComputeCapability left, ComputeCapability right) => left.CompareTo(right) <= 0;

    /// <summary>Whether the left capability is not the lower one.</summary>
    public static bool operator >=(ComputeCapability left, ComputeCapability right) => left.CompareTo(right) >= 0;

    /// <summary><c>sm_80</c> and the like.</summary>
    public override string ToString() => $"sm_{Number}";
}

/// <summary>A size in threads or blocks along x, y and z.</summary>
public readonly record struct Dim3(int X, int Y = 1, int Z = 1)
{
    /// <summary>The product of the three.</summary>
    public long Count => (long)X * Y * Z;

    /// <summary>One number is a size along x alone.</summary>
    public static implicit operator Dim3(int x) => new(x);

    /// <inheritdoc cref="op_Implicit(int)"/>
    public static Dim3 FromInt32(int x) => new(x);

    /// <inheritdoc/>
    public override string ToString() => $"({X}, {Y}, {Z})";
}

/// <summary>Properties and limits of a device. Names follow CUdevice_attribute.</summary>
public sealed record DeviceProperties
{
    /// <summary>The device's name, as its driver gives it.</summary>
    public required string Name { get; init; }

    /// <summary>Compute capability.</summary>
    public required ComputeCapability ComputeCapability { get; init; }

    /// <summary>Multiprocessors. The virtual device reports a fixed number, whatever the host.</summary>
    public required int MultiprocessorCount { get; init; }

    /// <summary>Device memory in bytes.</summary>
    public required long TotalMemory { get; init; }

    /// <summary>Threads in a warp: 32.</summary>
    public int WarpSize { get; init; } = 32;

    /// <summary>Most threads in a block.</summary>
    public int MaxThreadsPerBlock { get; init; } = 1024;

    /// <summary>Most threads along each axis of a block.</summary>
    public Dim3 MaxBlockDim { get; init; } = new(1024, 1024, 64);

    /// <summary>Most blocks along each axis of a grid.</summary>
    public Dim3 MaxGridDim { get; init; } = new(int.MaxValue, 65535, 65535);

    /// <summary>Shared memory in bytes that a block may use without asking.</summary>
    public int MaxSharedMemoryPerBlock { get; init; } = 48 * 1024;

    /// <summary>Shared memory in bytes that a block may use once its function opted in.</summary>
    public required int MaxSharedMemoryPerBlockOptin { get; init; }

    /// <summary>Shared memory in bytes of one multiprocessor.</summary>
    public required int MaxSharedMemoryPerMultiprocessor { get; init; }

    /// <summary>32-bit registers that one block may use.</summary>
    public int MaxRegistersPerBlock { get; init; } = 65536;

    /// <summary>Threads resident on one multiprocessor.</summary>
    public required int MaxThreadsPerMultiprocessor { get; init; }
}
