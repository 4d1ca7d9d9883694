// What the driver checks before a kernel starts, with its error names. Pure functions of the device's limits and of what the
// PTX says about the entry, so that every rule is tested at its edge.
using FashionFlow.Gpu;

namespace FashionFlow.VirtualGpu;

/// <summary>What a launch is held to, as the PTX of an entry declares it.</summary>
internal readonly record struct EntryFacts
{
    /// <summary>The entry's name, for messages.</summary>
    public required string Name { get; init; }

    /// <summary>Static shared memory in bytes.</summary>
    public int StaticSharedMemory { get; init; }

    /// <summary>Most threads a block (.maxntid), from <c>__launch_bounds__</c>; 0 if not declared.</summary>
    public int MaxThreads { get; init; }

    /// <summary>The only block shape allowed (.reqntid); null if not declared.</summary>
    public Dim3? RequiredThreads { get; init; }

    /// <summary>Size of the parameter buffer in bytes.</summary>
    public int ParameterBytes { get; init; }
}

/// <summary>The driver's rules for a launch.</summary>
internal static class LaunchRules
{
    /// <summary>Most threads a block that an entry can be launched with.</summary>
    public static int MaxThreadsPerBlock(DeviceProperties device, in EntryFacts entry)
        => (int)Math.Min(device.MaxThreadsPerBlock, DeclaredThreads(entry) ?? long.MaxValue);

    /// <summary>Dynamic shared memory that a launch may ask for before its function opts in to more.</summary>
    public static int DefaultDynamicSharedMemory(DeviceProperties device, in EntryFacts entry)
        => device.MaxSharedMemoryPerBlock - entry.StaticSharedMemory;

    /// <summary>Refuses an entry that no launch could satisfy: its assembler would.</summary>
    /// <exception cref="GpuException">CUDA_ERROR_INVALID_PTX.</exception>
    public static void CheckEntry(DeviceProperties device, in EntryFacts entry)
    {
        if (entry.StaticSharedMemory > device.MaxSharedMemoryPerBlock)
        {
            throw new GpuException(
                CudaResult.CUDA_ERROR_INVALID_PTX,
                $"entry {entry.Name} declares {entry.StaticSharedMemory} bytes of static shared memory; "
                + $"{device.MaxSharedMemoryPerBlock} is the most, beyond that it must be dynamic");
        }

        if (DeclaredThreads(entry) is { } bound && (bound > device.MaxThreadsPerBlock || bound < 1))
        {
            throw new GpuException(
                CudaResult.CUDA_ERROR_INVALID_PTX,
                $"entry {entry.Name} declares blocks of {bound} threads; {device.MaxThreadsPerBlock} is the most");
        }
    }

    /// <summary>Refuses an opt-in to more dynamic shared memory than a block can have.</summary>
    /// <exception cref="GpuException">CUDA_ERROR_INVALID_VALUE.</exception>
    public static void CheckOptin(DeviceProperties device, in EntryFacts entry, int bytes)
    {
        var most = device.MaxSharedMemoryPerBlockOptin - entry.StaticSharedMemory;
        if (bytes < 0 || bytes > most)
        {
            throw new GpuException(
                CudaResult.CUDA_ERROR_INVALID_VALUE,
                $"{entry.Name} cannot be allowed {bytes} bytes of dynamic shared memory: on {device.ComputeCapability} it can have at most {most}");
        }
    }

    /// <summary>Refuses a launch as the driver does.</summary>
    /// <exception cref="GpuException">
    /// CUDA_ERROR_INVALID_VALUE: a grid or block beyond the device's or the entry's bounds, more dynamic shared memory than was
    /// opted in to, a parameter buffer that is too short. CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES: one that is too long, which the
    /// driver takes for too many arguments.
    /// </exception>
    public static void Check(DeviceProperties device, in EntryFacts entry, int maxDynamicSharedMemory, in LaunchShape shape, int parameterBytes)
    {
        var (grid, block) = (shape.Grid, shape.Block);
        Axes(entry.Name, "grid", "blocks", grid, device.MaxGridDim);
        Axes(entry.Name, "block", "threads", block, device.MaxBlockDim);
        if (block.Count > device.MaxThreadsPerBlock)
        {
            throw Invalid($"{entry.Name}: a block of {block} has {block.Count} threads; the device allows {device.MaxThreadsPerBlock}");
        }

        if (entry.RequiredThreads is { } required && block != required)
        {
            throw Invalid($"{entry.Name} was compiled for blocks of exactly {required} threads (.reqntid), not {block}");
        }

        if (entry.MaxThreads > 0 && block.Count > entry.MaxThreads)
        {
            throw Invalid($"{entry.Name} was compiled for at most {entry.MaxThreads} threads a block (.maxntid); a block of {block} has {block.Count}");
        }

        if (shape.DynamicSharedMemory < 0 || shape.DynamicSharedMemory > maxDynamicSharedMemory)
        {
            throw Invalid(
                $"{entry.Name} asks for {shape.DynamicSharedMemory} bytes of dynamic shared memory and is allowed {maxDynamicSharedMemory} "
                + $"beside its {entry.StaticSharedMemory} static ones; call SetMaxDynamicSharedMemory first "
                + $"(up to {device.MaxSharedMemoryPerBlockOptin - entry.StaticSharedMemory} on {device.ComputeCapability})");
        }

        if (parameterBytes != entry.ParameterBytes)
        {
            throw new GpuException(
                parameterBytes < entry.ParameterBytes ? CudaResult.CUDA_ERROR_INVALID_VALUE : CudaResult.CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES,
                $"{entry.Name} takes {entry.ParameterBytes} bytes of parameters, not {parameterBytes}");
        }
    }

    private static long? DeclaredThreads(in EntryFacts entry)
        => entry.RequiredThreads?.Count ?? (entry.MaxThreads > 0 ? entry.MaxThreads : null);

    private static void Axes(string name, string what, string units, Dim3 size, Dim3 most)
    {
        if (size.X < 1 || size.Y < 1 || size.Z < 1 || size.X > most.X || size.Y > most.Y || size.Z > most.Z)
        {
            throw Invalid($"{name}: a {what} of {size} {units} is outside (1, 1, 1) to {most}");
        }
    }

    private static GpuException Invalid(string detail) => new(CudaResult.CUDA_ERROR_INVALID_VALUE, detail);
}
