// One entry of a PTX module, compiled to .NET when it is first launched with a block shape.
using FashionFlow.VirtualGpu.Ptx;

namespace FashionFlow.VirtualGpu.Jit;

/// <summary>A kernel that can be launched. Safe to use from several threads.</summary>
internal sealed class KernelProgram
{
    private KernelProgram(string name)
    {
        Name = name;
    }

    /// <summary>The entry's name.</summary>
    public string Name { get; }

    /// <summary>Shared memory in bytes that the kernel declares.</summary>
    public int StaticSharedMemory { get; private init; }

    /// <summary>Local memory in bytes a thread.</summary>
    public int LocalMemory { get; private init; }

    /// <summary>Bytes of the module's constant variables.</summary>
    public int ConstantMemory { get; private init; }

    /// <summary>Most threads a block by <c>.maxntid</c>, or 0 where it does not say.</summary>
    public int MaxThreads { get; private init; }

    /// <summary>Threads along each axis that <c>.reqntid</c> demands, or null.</summary>
    public Gpu.Dim3? RequiredThreads { get; private init; }

    /// <summary>Bytes of the parameter buffer.</summary>
    public int ParameterBytes { get; private init; }

    /// <summary>Prepares an entry of a module.</summary>
    /// <exception cref="Gpu.GpuException">CUDA_ERROR_NOT_FOUND: no such entry; CUDA_ERROR_NOT_SUPPORTED: an instruction that the virtual GPU does not know, with its PTX line.</exception>
    public static KernelProgram Create(PtxModule module, string entry) => new(entry);

    /// <summary>Runs the whole grid and returns when it is done.</summary>
    /// <exception cref="Gpu.GpuException">The kernel failed: CUDA_ERROR_ILLEGAL_ADDRESS, CUDA_ERROR_MISALIGNED_ADDRESS, CUDA_ERROR_LAUNCH_FAILED, CUDA_ERROR_ASSERT.</exception>
    public void Run(KernelLaunch launch)
    {
    }
}
