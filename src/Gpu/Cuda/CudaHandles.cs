// Owners of the driver's objects. Each keeps its context alive and makes it current before it lets go, since a finalizer may
// run on any thread.
using System.Runtime.InteropServices;

namespace FashionFlow.Gpu.Cuda;

/// <summary>The primary context of a device, which the process shares with CUDA's libraries.</summary>
internal sealed unsafe class CudaContextHandle : SafeHandle
{
    // Which context the thread made current: a number, since a reference would keep a forgotten context alive.
    [ThreadStatic]
    private static long t_current;

    private static long s_count;

    private readonly long _number = Interlocked.Increment(ref s_count);
    private readonly int _device;

    public CudaContextHandle(int device)
        : base(0, ownsHandle: true)
    {
        _device = device;
        nint context;
        CudaDriver.Check(CudaNative.cuDevicePrimaryCtxRetain(&context, device), $"retaining the primary context of device {device}");
        SetHandle(context);
    }

    public override bool IsInvalid => handle == 0;

    /// <summary>Makes this context the calling thread's current one.</summary>
    public void MakeCurrent()
    {
        if (t_current != _number)
        {
            ObjectDisposedException.ThrowIf(IsClosed, typeof(CudaDevice));
            CudaDriver.Check(CudaNative.cuCtxSetCurrent(handle), "making the context current");
            t_current = _number;
        }
    }

    /// <summary>The same for a finalizer, which cannot throw.</summary>
    public bool TryMakeCurrent()
    {
        if (t_current != _number)
        {
            t_current = CudaNative.cuCtxSetCurrent(handle) == CudaResult.CUDA_SUCCESS ? _number : 0;
        }

        return t_current == _number;
    }

    protected override bool ReleaseHandle()
    {
        if (t_current == _number)
        {
            t_current = 0;
        }

        return CudaNative.cuDevicePrimaryCtxRelease_v2(_device) == CudaResult.CUDA_SUCCESS;
    }
}

/// <summary>An object that belongs to a context.</summary>
internal abstract class CudaObjectHandle : SafeHandle
{
    private readonly CudaContextHandle _context;

    protected CudaObjectHandle(CudaContextHandle context)
        : base(0, ownsHandle: true) => _context = context;

    public override bool IsInvalid => handle == 0;

    protected abstract bool Destroy();

    /// <summary>Takes what the driver made, and the context with it.</summary>
    protected void Own(nint value)
    {
        var added = false;
        _context.DangerousAddRef(ref added);
        SetHandle(value);
    }

    protected override bool ReleaseHandle()
    {
        // A context that failed (a sticky error) cannot destroy its objects one by one; releasing it does.
        var released = _context.TryMakeCurrent() && Destroy();
        _context.DangerousRelease();
        return released;
    }
}

/// <summary>A loaded module (CUmodule).</summary>
internal sealed class CudaModuleHandle : CudaObjectHandle
{
    public CudaModuleHandle(CudaContextHandle context, nint module)
        : base(context) => Own(module);

    protected override bool Destroy() => CudaNative.cuModuleUnload(handle) == CudaResult.CUDA_SUCCESS;
}

/// <summary>A stream (CUstream).</summary>
internal sealed unsafe class CudaStreamHandle : CudaObjectHandle
{
    public CudaStreamHandle(CudaContextHandle context)
        : base(context)
    {
        nint stream;
        CudaDriver.Check(CudaNative.cuStreamCreate(&stream, CudaNative.StreamNonBlocking), "creating a stream");
        Own(stream);
    }

    protected override bool Destroy() => CudaNative.cuStreamDestroy_v2(handle) == CudaResult.CUDA_SUCCESS;
}

/// <summary>An event (CUevent).</summary>
internal sealed unsafe class CudaEventHandle : CudaObjectHandle
{
    public CudaEventHandle(CudaContextHandle context)
        : base(context)
    {
        nint marker;
        CudaDriver.Check(CudaNative.cuEventCreate(&marker, 0), "creating an event");
        Own(marker);
    }

    protected override bool Destroy() => CudaNative.cuEventDestroy_v2(handle) == CudaResult.CUDA_SUCCESS;
}

/// <summary>Captured work as a description (CUgraph).</summary>
internal sealed class CudaGraphHandle : CudaObjectHandle
{
    public CudaGraphHandle(CudaContextHandle context, nint graph)
        : base(context) => Own(graph);

    protected override bool Destroy() => CudaNative.cuGraphDestroy(handle) == CudaResult.CUDA_SUCCESS;
}

/// <summary>Captured work that can be launched (CUgraphExec).</summary>
internal sealed unsafe class CudaGraphExecutableHandle : CudaObjectHandle
{
    public CudaGraphExecutableHandle(CudaContextHandle context, CudaGraphHandle graph)
        : base(context)
    {
        nint executable;
        CudaDriver.Check(CudaNative.cuGraphInstantiateWithFlags(&executable, graph, 0), "making a graph ready to launch");
        Own(executable);
    }

    protected override bool Destroy() => CudaNative.cuGraphExecDestroy(handle) == CudaResult.CUDA_SUCCESS;
}
