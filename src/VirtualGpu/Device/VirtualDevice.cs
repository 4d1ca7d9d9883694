// The seam's other side: a device whose memory is the host's and whose kernels are PTX compiled to .NET code. It keeps a
// real device's limits and speaks the driver's errors.
using System.Runtime.InteropServices;
using FashionFlow.Gpu;
using FashionFlow.VirtualGpu.Simd;

namespace FashionFlow.VirtualGpu;

/// <summary>
/// A virtual GPU. Calls are done when they return; calls from several threads take turns. After a kernel has failed, every
/// further call but <see cref="Free"/> and disposal throws that kernel's error, as on a GPU whose context is lost.
/// </summary>
public sealed class VirtualDevice : GpuDevice
{
    private readonly VirtualStream _defaultStream;
    private GpuException? _failure;
    private bool _disposed;

    /// <summary>Makes a device.</summary>
    /// <exception cref="GpuException">CUDA_ERROR_INVALID_DEVICE: no such compute capability. CUDA_ERROR_INVALID_VALUE: an option is negative.</exception>
    public VirtualDevice(VirtualDeviceOptions? options = null)
    {
        Options = options ?? new VirtualDeviceOptions();
        Limits = DeviceLimits.Of(Options.ComputeCapability);
        if (Options.MemoryBytes < 0 || Options.WorkerThreads < 0)
        {
            throw new GpuException(CudaResult.CUDA_ERROR_INVALID_VALUE, "a virtual device's memory and threads must not be negative");
        }

        var capacity = Options.MemoryBytes > 0 ? Options.MemoryBytes : GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 2;
        Properties = Limits.ToProperties(capacity);
        Memory = new VirtualMemory(capacity, Options.PoisonReusedMemory);
        Schedule = new LaunchSchedule { OrderSeed = Options.OrderSeed, MaskLanes = Options.Method == ExecutionMethod.General };
        Workers = new WorkerPool(Options.WorkerThreads);
        Library = new SimdLibrary(this);
        Blas = new SimdBlas(Library);
        Dnn = new SimdDnn(Library);
        _defaultStream = new VirtualStream(this);
    }

    /// <summary>What the device was made with.</summary>
    public VirtualDeviceOptions Options { get; }

    /// <inheritdoc/>
    public override string Kind => "virtual";

    /// <inheritdoc/>
    public override DeviceProperties Properties { get; }

    /// <inheritdoc/>
    public override GpuStream DefaultStream => _defaultStream;

    /// <inheritdoc/>
    public override IBlas Blas { get; }

    /// <inheritdoc/>
    public override IDnn Dnn { get; }

    /// <inheritdoc/>
    public override MemoryInfo MemoryInfo => new(Memory.Capacity - Memory.Used, Memory.Capacity);

    /// <summary>Whether the device has been disposed, and its memory with it.</summary>
    internal bool IsDisposed => _disposed;

    /// <summary>How launches run: as the options say, or as <see cref="UseSchedule"/> has it for now.</summary>
    internal LaunchSchedule Schedule { get; private set; }

    internal DeviceLimits Limits { get; }

    internal VirtualMemory Memory { get; }

    internal WorkerPool Workers { get; }

    internal SimdLibrary Library { get; }

    /// <summary>Held while device memory is read, written or freed: the device does one thing at a time.</summary>
    internal Lock ExecutionLock { get; } = new();

    /// <inheritdoc/>
    public override DevicePointer<byte> Allocate(long bytes)
    {
        ThrowIfFailed();
        RefuseInCapture("memory cannot be allocated");
        return new DevicePointer<byte>(Memory.Allocate(bytes));
    }

    /// <inheritdoc/>
    /// <remarks>Works after a kernel has failed, too, so that cleaning up never hides the cause.</remarks>
    public override void Free(DevicePointer<byte> allocation)
    {
        RefuseInCapture("memory cannot be freed");
        lock (ExecutionLock)
        {
            Memory.Free(allocation.Address);
        }
    }

    /// <inheritdoc/>
    public override unsafe void CopyToDevice(DevicePointer<byte> destination, ReadOnlySpan<byte> source, GpuStream stream)
    {
        lock (ExecutionLock)
        {
            Enter(stream);
            RefuseInCapture(stream, "a graph cannot repeat a copy from the host");
            CheckRange(destination, source.Length, "the destination of a copy to the device");
            source.CopyTo(new Span<byte>((void*)destination.Address, source.Length));
        }
    }

    /// <inheritdoc/>
    public override unsafe void CopyToHost(Span<byte> destination, DevicePointer<byte> source, GpuStream stream)
    {
        lock (ExecutionLock)
        {
            Enter(stream);
            RefuseInCapture(stream, "a graph cannot repeat a copy to the host");
            CheckRange(source, destination.Length, "the source of a copy to the host");
            new ReadOnlySpan<byte>((void*)source.Address, destination.Length).CopyTo(destination);
        }
    }

    /// <inheritdoc/>
    public override unsafe void Copy(DevicePointer<byte> destination, DevicePointer<byte> source, long bytes, GpuStream stream)
    {
        lock (ExecutionLock)
        {
            Enter(stream);
            CheckRange(source, bytes, "the source of a copy");
            CheckRange(destination, bytes, "the destination of a copy");
            if (bytes > 0 && source.Address < destination.Address + (ulong)bytes && destination.Address < source.Address + (ulong)bytes)
            {
                throw new GpuException(
                    CudaResult.CUDA_ERROR_INVALID_VALUE,
                    $"a copy's ranges overlap: {bytes} bytes from 0x{source.Address:x} to 0x{destination.Address:x}");
            }

            if (!Note(stream, again => Copy(destination, source, bytes, again)))
            {
                NativeMemory.Copy((void*)source.Address, (void*)destination.Address, (nuint)bytes);
            }
        }
    }

    /// <inheritdoc/>
    public override unsafe void Fill(DevicePointer<byte> destination, byte value, long bytes, GpuStream stream)
    {
        lock (ExecutionLock)
        {
            Enter(stream);
            CheckRange(destination, bytes, "the destination of a fill");
            if (!Note(stream, again => Fill(destination, value, bytes, again)))
            {
                NativeMemory.Fill((void*)destination.Address, (nuint)bytes, value);
            }
        }
    }

    /// <inheritdoc/>
    public override GpuModule LoadModule(ReadOnlySpan<byte> image)
    {
        ThrowIfFailed();
        RefuseInCapture("modules cannot be loaded");
        return new VirtualModule(this, image);
    }

    /// <inheritdoc/>
    public override GpuStream CreateStream()
    {
        ThrowIfFailed();
        return new VirtualStream(this);
    }

    /// <inheritdoc/>
    public override GpuEvent CreateEvent()
    {
        ThrowIfFailed();
        return new VirtualEvent(this);
    }

    /// <inheritdoc/>
    public override void Synchronize()
    {
        ThrowIfFailed();
        RefuseInCapture("the device cannot be waited for");
    }

    /// <inheritdoc/>
    public override IDisposable UseSchedule(LaunchSchedule schedule)
    {
        lock (ExecutionLock)
        {
            var change = new ScheduleChange(this, Schedule);
            Schedule = schedule;
            return change;
        }
    }

    /// <summary>Throws the error of the kernel that failed, if one has.</summary>
    internal void ThrowIfFailed()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (Volatile.Read(ref _failure) is { } failure)
        {
            throw new GpuException(failure.Result, $"an earlier kernel failed and the device must be made anew: {failure.Detail}", failure);
        }
    }

    /// <summary>Refuses a stream of another device, and any work after a failed kernel. Every queued call starts with it.</summary>
    internal void Enter(GpuStream stream)
    {
        ThrowIfFailed();
        VirtualStream.Check(stream, this);
    }

    /// <summary>The capture that is on; null for none. One device has one at a time.</summary>
    internal VirtualCapture? Capture { get; set; }

    /// <summary>Notes work instead of doing it where the stream captures.</summary>
    /// <param name="stream">The stream.</param>
    /// <param name="again">Does the work, checks included, on a stream.</param>
    /// <returns>Whether it was noted.</returns>
    internal bool Note(GpuStream stream, Action<GpuStream> again)
    {
        if (Capture is not { } capture || !ReferenceEquals(capture.Stream, stream))
        {
            return false;
        }

        capture.Work.Add(again);
        return true;
    }

    /// <summary>Refuses what the driver refuses to the thread that captures, and so ends the capture.</summary>
    internal void RefuseInCapture(string what)
    {
        if (Capture is { } capture && capture.Thread == Environment.CurrentManagedThreadId)
        {
            capture.Invalidate(what);
        }
    }

    /// <summary>Refuses what a graph cannot hold, on the stream that captures.</summary>
    internal void RefuseInCapture(GpuStream stream, string what)
    {
        if (Capture is { } capture && ReferenceEquals(capture.Stream, stream))
        {
            capture.Invalidate(what);
        }
    }

    /// <summary>Remembers a kernel's error if it is one that ends a context.</summary>
    internal void NoteFailure(GpuException failure)
    {
        if (failure.Result is CudaResult.CUDA_ERROR_ILLEGAL_ADDRESS or CudaResult.CUDA_ERROR_LAUNCH_TIMEOUT or CudaResult.CUDA_ERROR_ASSERT
            or CudaResult.CUDA_ERROR_ILLEGAL_INSTRUCTION or CudaResult.CUDA_ERROR_MISALIGNED_ADDRESS
            or CudaResult.CUDA_ERROR_INVALID_ADDRESS_SPACE or CudaResult.CUDA_ERROR_LAUNCH_FAILED)
        {
            Interlocked.CompareExchange(ref _failure, failure, null);
        }
    }

    /// <summary>Refuses a range that is not inside one live allocation.</summary>
    internal void CheckRange(DevicePointer<byte> start, long bytes, string what)
    {
        if (bytes < 0)
        {
            throw new GpuException(CudaResult.CUDA_ERROR_INVALID_VALUE, $"{what} cannot be {bytes} bytes long");
        }

        if (!Memory.Contains(start.Address, bytes))
        {
            var where = Memory.TryFind(start.Address, out _, out var end)
                ? $"starts {Memory.Describe(start.Address)} and ends {start.Address + (ulong)bytes - end} bytes past its end"
                : $"starts at 0x{start.Address:x}: {Memory.Describe(start.Address)}";
            throw new GpuException(CudaResult.CUDA_ERROR_INVALID_VALUE, $"{what}, {bytes} bytes long, {where}");
        }
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (!_disposed)
        {
            lock (ExecutionLock)
            {
                _disposed = true;
                Workers.Dispose();
                Library.Dispose();
                Memory.Dispose();
            }
        }
    }

    /// <summary>Sets the schedule back once.</summary>
    private sealed class ScheduleChange(VirtualDevice device, LaunchSchedule before) : IDisposable
    {
        private LaunchSchedule? _before = before;

        public void Dispose()
        {
            lock (device.ExecutionLock)
            {
                device.Schedule = _before ?? device.Schedule;
                _before = null;
            }
        }
    }
}
