// Modules, functions, streams and events of a GPU.
namespace FashionFlow.Gpu.Cuda;

/// <summary>A module loaded by the driver.</summary>
internal sealed unsafe class CudaModule(CudaDevice device, CudaModuleHandle handle) : GpuModule
{
    public override GpuDevice Device => device;

    internal CudaDevice Owner => device;

    public override GpuFunction GetFunction(string name)
    {
        device.MakeCurrent();
        nint function;
        CudaDriver.Check(CudaNative.cuModuleGetFunction(&function, handle, name), $"looking for the entry {name}");
        return new CudaFunction(this, name, function);
    }

    public override DevicePointer<byte> GetGlobal(string name, out long bytes)
    {
        device.MakeCurrent();
        ulong address;
        nuint size;
        CudaDriver.Check(CudaNative.cuModuleGetGlobal_v2(&address, &size, handle, name), $"looking for the variable {name}");
        bytes = (long)size;
        return new(address);
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            handle.Dispose();
        }
    }
}

/// <summary>An entry of a module; it lives as long as the module.</summary>
internal sealed unsafe class CudaFunction(CudaModule module, string name, nint function) : GpuFunction
{
    public override string Name => name;

    public override GpuModule Module => module;

    public override FunctionAttributes Attributes
    {
        get
        {
            module.Owner.MakeCurrent();
            return new()
            {
                MaxThreadsPerBlock = Read(FunctionAttribute.MaxThreadsPerBlock),
                StaticSharedMemory = Read(FunctionAttribute.SharedSizeBytes),
                ConstantMemory = Read(FunctionAttribute.ConstSizeBytes),
                LocalMemory = Read(FunctionAttribute.LocalSizeBytes),
                Registers = Read(FunctionAttribute.NumRegs),
                MaxDynamicSharedMemory = Read(FunctionAttribute.MaxDynamicSharedSizeBytes),
            };
        }
    }

    public override void SetMaxDynamicSharedMemory(int bytes)
    {
        module.Owner.MakeCurrent();
        CudaDriver.Check(
            CudaNative.cuFuncSetAttribute(function, FunctionAttribute.MaxDynamicSharedSizeBytes, bytes),
            $"allowing {name} {bytes:N0} bytes of dynamic shared memory");
    }

    public override int MaxActiveBlocksPerMultiprocessor(int threadsPerBlock, int dynamicSharedMemory)
    {
        module.Owner.MakeCurrent();
        int blocks;
        CudaDriver.Check(
            CudaNative.cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, function, threadsPerBlock, (nuint)dynamicSharedMemory),
            $"asking for the occupancy of {name}");
        return blocks;
    }

    public override void Launch(GpuStream stream, in LaunchShape shape, ReadOnlySpan<byte> parameters)
    {
        module.Owner.MakeCurrent();
        var size = (nuint)parameters.Length;
        CudaResult result;
        fixed (byte* buffer = parameters)
        {
            var extra = stackalloc void*[]
            {
                (void*)CudaNative.LaunchParamBufferPointer, buffer,
                (void*)CudaNative.LaunchParamBufferSize, &size,
                (void*)CudaNative.LaunchParamEnd,
            };
            result = CudaNative.cuLaunchKernel(
                function,
                unchecked((uint)shape.Grid.X), unchecked((uint)shape.Grid.Y), unchecked((uint)shape.Grid.Z),
                unchecked((uint)shape.Block.X), unchecked((uint)shape.Block.Y), unchecked((uint)shape.Block.Z),
                unchecked((uint)shape.DynamicSharedMemory),
                module.Owner.HandleOf(stream),
                null,
                parameters.IsEmpty ? null : extra);
        }

        if (result != CudaResult.CUDA_SUCCESS)
        {
            throw CudaDriver.Error(
                result, $"launching {name} with grid {shape.Grid}, block {shape.Block}, {shape.DynamicSharedMemory:N0} bytes of dynamic shared memory");
        }
    }

    private int Read(FunctionAttribute attribute)
    {
        int value;
        CudaDriver.Check(CudaNative.cuFuncGetAttribute(&value, attribute, function), $"reading {attribute} of {name}");
        return value;
    }
}

/// <summary>A stream of the driver.</summary>
internal sealed unsafe class CudaStream(CudaDevice device, CudaStreamHandle handle) : GpuStream
{
    public override GpuDevice Device => device;

    internal CudaStreamHandle Handle => handle;

    public override void Synchronize()
    {
        device.MakeCurrent();
        CudaDriver.Check(CudaNative.cuStreamSynchronize(handle), "waiting for the stream (a kernel queued earlier may have failed)");
    }

    public override void Record(GpuEvent marker)
    {
        device.MakeCurrent();
        CudaDriver.Check(CudaNative.cuEventRecord(CudaEvent.HandleOf(marker), handle), "recording an event");
    }

    public override void Wait(GpuEvent marker)
    {
        device.MakeCurrent();
        CudaDriver.Check(CudaNative.cuStreamWaitEvent(handle, CudaEvent.HandleOf(marker), 0), "waiting for an event");
    }

    public override void BeginCapture()
    {
        device.MakeCurrent();
        CudaDriver.Check(CudaNative.cuStreamBeginCapture_v2(handle, StreamCaptureMode.ThreadLocal), "beginning a capture");
        device.NoteCapture(this);
    }

    public override GpuGraph EndCapture()
    {
        device.MakeCurrent();
        device.NoteCapture(null);
        nint captured;
        CudaDriver.Check(CudaNative.cuStreamEndCapture(handle, &captured), "ending a capture");
        return device.Instantiate(captured);
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            handle.Dispose();
        }
    }
}

/// <summary>A graph of the driver.</summary>
internal sealed class CudaGraph(CudaDevice device, CudaGraphExecutableHandle executable, int nodes) : GpuGraph
{
    public override int Nodes => nodes;

    public override void Launch(GpuStream stream)
    {
        device.MakeCurrent();
        CudaDriver.Check(CudaNative.cuGraphLaunch(executable, device.HandleOf(stream)), $"launching a graph of {nodes} nodes");
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            executable.Dispose();
        }
    }
}

/// <summary>An event of the driver.</summary>
internal sealed unsafe class CudaEvent(CudaDevice device, CudaEventHandle handle) : GpuEvent
{
    internal static CudaEventHandle HandleOf(GpuEvent marker) => marker is CudaEvent own
        ? own.Handle
        : throw new GpuException(CudaResult.CUDA_ERROR_INVALID_HANDLE, "the event belongs to another device");

    private CudaEventHandle Handle => handle;

    public override void Synchronize()
    {
        device.MakeCurrent();
        CudaDriver.Check(CudaNative.cuEventSynchronize(handle), "waiting for an event");
    }

    public override float ElapsedMilliseconds(GpuEvent start)
    {
        device.MakeCurrent();
        float milliseconds;
        CudaDriver.Check(CudaNative.cuEventElapsedTime(&milliseconds, HandleOf(start), handle), "reading the time between two events");
        return milliseconds;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            handle.Dispose();
        }
    }
}
