// The device seam. Everything above it is one code path; below it is an NVIDIA GPU or the virtual one.
using System.Collections.Concurrent;

namespace FashionFlow.Gpu;

/// <summary>Free and total device memory in bytes.</summary>
public readonly record struct MemoryInfo(long Free, long Total);

/// <summary>
/// One device: what the CUDA driver gives of it. Methods throw <see cref="GpuException"/> with the driver's error
/// names. A device may be used from several threads; a stream from one at a time.
/// </summary>
public abstract class GpuDevice : IDisposable
{
    private readonly Lazy<KernelLibrary> _kernels;
    private readonly ConcurrentDictionary<KernelSourceSet, Lazy<KernelLibrary>> _others = new();

    /// <summary>Makes the device's kernel library, which loads nothing before it is used.</summary>
    protected GpuDevice() => _kernels = new(() => new KernelLibrary(this));

    /// <summary>The project's kernels on this device.</summary>
    public KernelLibrary Kernels => _kernels.Value;

    /// <summary>
    /// Kernels of somebody else on this device, compiled when first used and kept until the device is disposed:
    /// <code>
    /// private static readonly KernelSourceSet Sources = KernelSourceSet.FromAssembly(typeof(MyOperators).Assembly);
    /// ...
    /// device.KernelsOf(Sources).GetFunction("mine.cu", "scale_f32").LaunchWith(stream, new LaunchShape(blocks, 256), x, 2f, n);
    /// </code>
    /// </summary>
    /// <param name="sources">The kernels; the same set gives the same library again.</param>
    public KernelLibrary KernelsOf(KernelSourceSet sources) => sources == KernelSourceSet.Embedded
        ? Kernels
        : _others.GetOrAdd(sources, set => new(() => new KernelLibrary(this, set))).Value;

    /// <summary>The kind that outputs record: <c>cuda</c> or <c>virtual</c>. Same seed and kind give the same bits.</summary>
    public abstract string Kind { get; }

    /// <summary>Properties and limits.</summary>
    public abstract DeviceProperties Properties { get; }

    /// <summary>The stream for work that asks for no other. It lives as long as the device.</summary>
    public abstract GpuStream DefaultStream { get; }

    /// <summary>Matrix products by the vendor's library: cuBLAS, or the virtual device's SIMD one; null where there is none.</summary>
    public abstract IBlas? Blas { get; }

    /// <summary>Convolutions by the vendor's library: cuDNN, or the virtual device's SIMD one; null where there is none.</summary>
    public abstract IDnn? Dnn { get; }

    /// <summary>Free and total memory.</summary>
    public abstract MemoryInfo MemoryInfo { get; }

    /// <summary>Allocates <paramref name="bytes"/> bytes (&gt; 0), aligned to 256 at least. Contents are undefined.</summary>
    public abstract DevicePointer<byte> Allocate(long bytes);

    /// <summary>Frees an allocation, once all work queued so far on any stream is done with it.</summary>
    public abstract void Free(DevicePointer<byte> allocation);

    /// <summary>Copies host bytes to the device, in stream order. The source may be reused when the call returns.</summary>
    public abstract void CopyToDevice(DevicePointer<byte> destination, ReadOnlySpan<byte> source, GpuStream stream);

    /// <summary>Copies device bytes to the host, after all earlier work of the stream; the bytes are there on return.</summary>
    public abstract void CopyToHost(Span<byte> destination, DevicePointer<byte> source, GpuStream stream);

    /// <summary>Copies within the device, in stream order. The ranges may not overlap.</summary>
    public abstract void Copy(DevicePointer<byte> destination, DevicePointer<byte> source, long bytes, GpuStream stream);

    /// <summary>Sets <paramref name="bytes"/> bytes to one value, in stream order.</summary>
    public abstract void Fill(DevicePointer<byte> destination, byte value, long bytes, GpuStream stream);

    /// <summary>Loads PTX text (or, on a GPU, machine code) and compiles it for this device.</summary>
    public abstract GpuModule LoadModule(ReadOnlySpan<byte> image);

    /// <summary>Makes a stream.</summary>
    public abstract GpuStream CreateStream();

    /// <summary>Makes an event.</summary>
    public abstract GpuEvent CreateEvent();

    /// <summary>Waits for all work on the device; an error of a kernel shows here at the latest.</summary>
    public abstract void Synchronize();

    /// <summary>Runs what is launched from now on by another schedule, until the result is disposed.</summary>
    /// <returns>Null where the device cannot be told, as a GPU cannot: its scheduler is its own.</returns>
    public virtual IDisposable? UseSchedule(LaunchSchedule schedule) => null;

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_kernels.IsValueCreated)
        {
            _kernels.Value.Dispose();
        }

        foreach (var library in _others.Values)
        {
            library.Value.Dispose();
        }

        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Releases the device.</summary>
    protected abstract void Dispose(bool disposing);
}

/// <summary>A loaded module: functions and global variables.</summary>
public abstract class GpuModule : IDisposable
{
    /// <summary>The device it is loaded on.</summary>
    public abstract GpuDevice Device { get; }

    /// <summary>The entry of that name.</summary>
    /// <exception cref="GpuException">CUDA_ERROR_NOT_FOUND.</exception>
    public abstract GpuFunction GetFunction(string name);

    /// <summary>A module-scope variable and its size in bytes.</summary>
    /// <exception cref="GpuException">CUDA_ERROR_NOT_FOUND.</exception>
    public abstract DevicePointer<byte> GetGlobal(string name, out long bytes);

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Unloads the module.</summary>
    protected abstract void Dispose(bool disposing);
}

/// <summary>Attributes of a function (CUfunction_attribute).</summary>
public readonly record struct FunctionAttributes
{
    /// <summary>Most threads a block that this function can be launched with on this device.</summary>
    public required int MaxThreadsPerBlock { get; init; }

    /// <summary>Static shared memory in bytes.</summary>
    public required int StaticSharedMemory { get; init; }

    /// <summary>Constant memory in bytes.</summary>
    public required int ConstantMemory { get; init; }

    /// <summary>Local memory in bytes a thread.</summary>
    public required int LocalMemory { get; init; }

    /// <summary>Registers a thread; on the virtual device 0, since registers are allotted by the GPU's assembler.</summary>
    public required int Registers { get; init; }

    /// <summary>Dynamic shared memory in bytes that a launch may ask for.</summary>
    public required int MaxDynamicSharedMemory { get; init; }
}

/// <summary>The shape of a launch.</summary>
/// <param name="Grid">Blocks.</param>
/// <param name="Block">Threads a block.</param>
/// <param name="DynamicSharedMemory">Dynamic shared memory a block in bytes.</param>
public readonly record struct LaunchShape(Dim3 Grid, Dim3 Block, int DynamicSharedMemory = 0);

/// <summary>An entry of a module.</summary>
public abstract class GpuFunction
{
    /// <summary>The entry's name.</summary>
    public abstract string Name { get; }

    /// <summary>The module that holds it.</summary>
    public abstract GpuModule Module { get; }

    /// <summary>Its attributes.</summary>
    public abstract FunctionAttributes Attributes { get; }

    /// <summary>Allows up to <paramref name="bytes"/> of dynamic shared memory a block, beyond the default 48 KiB.</summary>
    public abstract void SetMaxDynamicSharedMemory(int bytes);

    /// <summary>Most blocks of this shape that one multiprocessor holds at a time.</summary>
    public abstract int MaxActiveBlocksPerMultiprocessor(int threadsPerBlock, int dynamicSharedMemory);

    /// <summary>
    /// Queues a launch. <paramref name="parameters"/> is the parameter buffer: each parameter at its natural alignment, as
    /// CU_LAUNCH_PARAM_BUFFER_POINTER takes it. Use the generated methods of <c>FashionFlow.Gpu.Kernels</c>, which pack it.
    /// </summary>
    public abstract void Launch(GpuStream stream, in LaunchShape shape, ReadOnlySpan<byte> parameters);

    /// <summary>Queues a launch of a kernel that has no generated method.</summary>
    /// <param name="stream">The stream.</param>
    /// <param name="shape">Grid, block and dynamic shared memory.</param>
    /// <param name="arguments">Numbers and pointers, each of its parameter's size, in order.</param>
    public void LaunchWith(GpuStream stream, in LaunchShape shape, params ReadOnlySpan<KernelArgument> arguments)
    {
        Span<byte> buffer = stackalloc byte[arguments.Length * sizeof(ulong)];
        Launch(stream, shape, buffer[..KernelArgument.Pack(arguments, buffer)]);
    }
}

/// <summary>A queue of work, done in order.</summary>
public abstract class GpuStream : IDisposable
{
    /// <summary>The device it belongs to.</summary>
    public abstract GpuDevice Device { get; }

    /// <summary>Waits for the work queued so far; throws the error of a kernel that failed.</summary>
    public abstract void Synchronize();

    /// <summary>Records an event after the work queued so far.</summary>
    public abstract void Record(GpuEvent marker);

    /// <summary>Makes later work of this stream wait for an event.</summary>
    public abstract void Wait(GpuEvent marker);

    /// <summary>
    /// Begins a capture: work queued on this stream from now on is noted and not done. Only what a graph can repeat may be queued until
    /// <see cref="EndCapture"/>: launches, library calls, copies within the device and fills. Waiting, copying from or to the host,
    /// allocating, freeing and loading modules are refused (by this thread, on any stream), and end the capture.
    /// </summary>
    /// <exception cref="GpuException">CUDA_ERROR_NOT_SUPPORTED: the device captures nothing. CUDA_ERROR_INVALID_VALUE: a capture is on.</exception>
    public virtual void BeginCapture() => throw new GpuException(CudaResult.CUDA_ERROR_NOT_SUPPORTED, "this device captures no graphs");

    /// <summary>Ends a capture.</summary>
    /// <returns>The work that was noted, to be launched as often as wanted. Memory that it works on stays the caller's to keep.</returns>
    /// <exception cref="GpuException">CUDA_ERROR_STREAM_CAPTURE_INVALIDATED: an operation in between was refused.
    /// CUDA_ERROR_STREAM_CAPTURE_UNMATCHED: no capture is on.</exception>
    public virtual GpuGraph EndCapture() => throw new GpuException(CudaResult.CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, "this device captures no graphs");

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Releases the stream.</summary>
    protected abstract void Dispose(bool disposing);
}

/// <summary>Captured work, which one call queues again (CUgraphExec).</summary>
public abstract class GpuGraph : IDisposable
{
    /// <summary>Launches, copies and fills in it.</summary>
    public abstract int Nodes { get; }

    /// <summary>Queues all of it.</summary>
    public abstract void Launch(GpuStream stream);

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Releases the graph.</summary>
    protected abstract void Dispose(bool disposing);
}

/// <summary>A point in a stream's work.</summary>
public abstract class GpuEvent : IDisposable
{
    /// <summary>Waits until the event has been passed.</summary>
    public abstract void Synchronize();

    /// <summary>Milliseconds from <paramref name="start"/> to this event; both must have been passed.</summary>
    public abstract float ElapsedMilliseconds(GpuEvent start);

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Releases the event.</summary>
    protected abstract void Dispose(bool disposing);
}
