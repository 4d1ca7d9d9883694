// What a virtual device is told when it is made.
using FashionFlow.Gpu;

namespace FashionFlow.VirtualGpu;

/// <summary>How the virtual device runs a kernel's warps. Both ways give the same bits.</summary>
public enum ExecutionMethod
{
    /// <summary>The fast method where a warp's lanes have converged, the general one where they part.</summary>
    Auto,

    /// <summary>The general method alone, a mask a lane; the fast one is tested against it.</summary>
    General,
}

/// <summary>Options of a <see cref="VirtualDevice"/>. None of them changes a result's bits, except the order of blocks and
/// warps for kernels that race.</summary>
public sealed record VirtualDeviceOptions
{
    /// <summary>The compute capability whose limits are enforced: one of <see cref="DeviceLimits.Supported"/>.</summary>
    public ComputeCapability ComputeCapability { get; init; } = new(8, 0);

    /// <summary>How kernels are run.</summary>
    public ExecutionMethod Method { get; init; }

    /// <summary>Null: blocks and warps run in ascending order; else in an order drawn from this seed.</summary>
    public ulong? OrderSeed { get; init; }

    /// <summary>Host threads that run kernels and library calls; 0 takes one a core.</summary>
    public int WorkerThreads { get; init; }

    /// <summary>Device memory in bytes; 0 takes half of the host's.</summary>
    public long MemoryBytes { get; init; }

    /// <summary>
    /// Fills every new allocation with bytes 0xFF (a NaN in every floating-point type) and watches the guard space around
    /// it, so that a read of memory never written and a write beside an allocation show.
    /// </summary>
    public bool PoisonReusedMemory { get; init; }

    /// <summary>Where <c>printf</c> of kernels writes; null is standard output.</summary>
    public Action<string>? Print { get; init; }
}
