// One launch of a kernel: its shape, its parameters, and the device that it runs on.
using FashionFlow.Gpu;

namespace FashionFlow.VirtualGpu.Jit;

/// <summary>Everything that <see cref="KernelProgram.Run"/> needs. Limits have been checked before.</summary>
internal sealed record KernelLaunch
{
    /// <summary>Blocks in the grid.</summary>
    public required Dim3 Grid { get; init; }

    /// <summary>Threads in a block.</summary>
    public required Dim3 Block { get; init; }

    /// <summary>Dynamic shared memory a block in bytes.</summary>
    public int DynamicSharedMemory { get; init; }

    /// <summary>The parameter buffer, each parameter at its natural alignment; at least <see cref="KernelProgram.ParameterBytes"/> long.</summary>
    public required ReadOnlyMemory<byte> Parameters { get; init; }

    /// <summary>The device's allocations, those of module variables among them.</summary>
    public required IDeviceMemory Memory { get; init; }

    /// <summary>Device address of every variable in <see cref="Ptx.PtxModule.Variables"/>, by name.</summary>
    public required IReadOnlyDictionary<string, ulong> Variables { get; init; }

    /// <summary>Which compiled method runs.</summary>
    public ExecutionMethod Method { get; init; }

    /// <summary>Null for ascending order of blocks and warps; else the seed of another order. A seed also poisons fresh shared memory.</summary>
    public ulong? OrderSeed { get; init; }

    /// <summary>Host threads that share the grid's blocks; null for the calling thread alone.</summary>
    public WorkerPool? Workers { get; init; }

    /// <summary>The device, for special registers and messages.</summary>
    public required DeviceProperties Properties { get; init; }

    /// <summary>Where <c>printf</c> of kernels writes; null for standard output.</summary>
    public Action<string>? Print { get; init; }
}
