// An entry of a module: holds launches to the limits, then runs the compiled kernel.
using FashionFlow.Gpu;
using FashionFlow.VirtualGpu.Jit;

namespace FashionFlow.VirtualGpu;

/// <summary>An entry of a <see cref="VirtualModule"/>.</summary>
public sealed class VirtualFunction : GpuFunction
{
    private readonly VirtualModule _module;
    private readonly KernelProgram _program;
    private readonly EntryFacts _facts;
    private int _maxDynamicSharedMemory;

    internal VirtualFunction(VirtualModule module, KernelProgram program)
    {
        _module = module;
        _program = program;
        _facts = new EntryFacts
        {
            Name = program.Name,
            StaticSharedMemory = program.StaticSharedMemory,
            MaxThreads = program.MaxThreads,
            RequiredThreads = program.RequiredThreads,
            ParameterBytes = program.ParameterBytes,
        };
        LaunchRules.CheckEntry(module.Device.Properties, _facts);
        _maxDynamicSharedMemory = LaunchRules.DefaultDynamicSharedMemory(module.Device.Properties, _facts);
    }

    /// <inheritdoc/>
    public override string Name => _program.Name;

    /// <inheritdoc/>
    public override GpuModule Module => _module;

    /// <inheritdoc/>
    public override FunctionAttributes Attributes => new()
    {
        MaxThreadsPerBlock = LaunchRules.MaxThreadsPerBlock(_module.Device.Properties, _facts),
        StaticSharedMemory = _program.StaticSharedMemory,
        ConstantMemory = _program.ConstantMemory,
        LocalMemory = _program.LocalMemory,
        Registers = 0,
        MaxDynamicSharedMemory = Volatile.Read(ref _maxDynamicSharedMemory),
    };

    /// <inheritdoc/>
    public override void SetMaxDynamicSharedMemory(int bytes)
    {
        _module.ThrowIfUnusable();
        LaunchRules.CheckOptin(_module.Device.Properties, _facts, bytes);
        Volatile.Write(ref _maxDynamicSharedMemory, bytes);
    }

    /// <inheritdoc/>
    public override int MaxActiveBlocksPerMultiprocessor(int threadsPerBlock, int dynamicSharedMemory)
    {
        _module.ThrowIfUnusable();
        if (threadsPerBlock < 1 || dynamicSharedMemory < 0)
        {
            throw new GpuException(
                CudaResult.CUDA_ERROR_INVALID_VALUE,
                $"{Name}: blocks of {threadsPerBlock} threads with {dynamicSharedMemory} bytes of shared memory do not exist");
        }

        // A block that cannot be launched is resident nowhere.
        return threadsPerBlock > Attributes.MaxThreadsPerBlock || dynamicSharedMemory > Volatile.Read(ref _maxDynamicSharedMemory)
            ? 0
            : _module.Owner.Limits.ResidentBlocks(threadsPerBlock, _program.StaticSharedMemory + dynamicSharedMemory);
    }

    /// <inheritdoc/>
    public override void Launch(GpuStream stream, in LaunchShape shape, ReadOnlySpan<byte> parameters)
    {
        var device = _module.Owner;
        LaunchRules.Check(device.Properties, _facts, Volatile.Read(ref _maxDynamicSharedMemory), shape, parameters.Length);
        lock (device.ExecutionLock)
        {
            device.Enter(stream);
            _module.ThrowIfUnusable();
            var (kept, buffer) = (shape, parameters.ToArray());
            if (device.Note(stream, again => Launch(again, kept, buffer)))
            {
                return;
            }

            try
            {
                _program.Run(new KernelLaunch
                {
                    Grid = shape.Grid,
                    Block = shape.Block,
                    DynamicSharedMemory = shape.DynamicSharedMemory,
                    Parameters = buffer,
                    Memory = device.Memory,
                    Variables = _module.Addresses,
                    Method = device.Schedule.MaskLanes ? ExecutionMethod.General : ExecutionMethod.Auto,
                    OrderSeed = device.Schedule.OrderSeed,
                    Workers = device.Workers,
                    Properties = device.Properties,
                    Print = device.Options.Print,
                });
            }
            catch (GpuException failure)
            {
                device.NoteFailure(failure);
                throw;
            }
        }
    }
}
