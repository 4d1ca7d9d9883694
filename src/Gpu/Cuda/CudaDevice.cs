// An NVIDIA GPU through the driver: the device seam over libcuda.
using System.Text;
using FashionFlow.Gpu.Cuda.Libraries;

namespace FashionFlow.Gpu.Cuda;

/// <summary>A GPU. It uses the device's primary context, which CUDA's libraries share.</summary>
public sealed unsafe class CudaDevice : GpuDevice
{
    private readonly CudaContextHandle _context;
    private readonly CudaStream _defaultStream;
    private CudaStream? _capturing;
    private readonly Lazy<(CublasBlas? Library, string? Problem)> _blas;
    private readonly Lazy<(CudnnDnn? Library, string? Problem)> _dnn;

    private CudaDevice(int ordinal)
    {
        int device;
        CudaDriver.Check(CudaNative.cuDeviceGet(&device, ordinal), $"opening device {ordinal}");
        Properties = ReadProperties(device);
        _blas = new(() => Start(CudaLibraries.Cublas, CublasBlas.Create));
        _dnn = new(() => Start(CudaLibraries.Cudnn, CudnnDnn.Create));
        _context = new CudaContextHandle(device);
        try
        {
            _context.MakeCurrent();
            _defaultStream = new CudaStream(this, new CudaStreamHandle(_context));
        }
        catch
        {
            _context.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public override string Kind => "cuda";

    /// <inheritdoc/>
    public override DeviceProperties Properties { get; }

    /// <inheritdoc/>
    public override GpuStream DefaultStream => _defaultStream;

    /// <inheritdoc/>
    public override IBlas? Blas => _blas.Value.Library;

    /// <inheritdoc/>
    public override IDnn? Dnn => _dnn.Value.Library;

    /// <summary>Why <see cref="Blas"/> is null, so that our kernels do its work; null where it is not.</summary>
    public string? BlasProblem => _blas.Value.Problem;

    /// <summary>Why <see cref="Dnn"/> is null, so that our kernels do its work; null where it is not.</summary>
    public string? DnnProblem => _dnn.Value.Problem;

    /// <inheritdoc/>
    public override MemoryInfo MemoryInfo
    {
        get
        {
            _context.MakeCurrent();
            nuint free, total;
            CudaDriver.Check(CudaNative.cuMemGetInfo_v2(&free, &total), "asking for free memory");
            return new((long)free, (long)total);
        }
    }

    /// <summary>Opens a device.</summary>
    /// <param name="ordinal">Its number, from 0, as CUDA_VISIBLE_DEVICES leaves them.</param>
    /// <exception cref="GpuException">There is no driver, no device, or none of that number.</exception>
    public static CudaDevice Open(int ordinal = 0)
    {
        CudaDriver.Initialize();
        var count = CudaDriver.TryInitialize().DeviceCount;
        return ordinal >= 0 && ordinal < count
            ? new CudaDevice(ordinal)
            : throw new GpuException(CudaResult.CUDA_ERROR_INVALID_DEVICE, $"there is no device {ordinal}; the driver has {count}, counted from 0");
    }

    /// <inheritdoc/>
    public override DevicePointer<byte> Allocate(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bytes);
        _context.MakeCurrent();
        ulong address;
        var result = CudaNative.cuMemAlloc_v2(&address, (nuint)bytes);
        if (result == CudaResult.CUDA_ERROR_OUT_OF_MEMORY)
        {
            var memory = MemoryInfo;
            throw new GpuException(result, $"{bytes:N0} bytes were asked for, {memory.Free:N0} of {memory.Total:N0} are free");
        }

        CudaDriver.Check(result, $"allocating {bytes:N0} bytes");
        return new(address);
    }

    /// <summary>
    /// Frees an allocation. cuMemFree itself waits for the work in flight on memory that cuMemAlloc gave, which keeps the seam's
    /// promise; the caching allocator above makes it rare.
    /// </summary>
    public override void Free(DevicePointer<byte> allocation)
    {
        _context.MakeCurrent();
        CudaDriver.Check(CudaNative.cuMemFree_v2(allocation.Address), "freeing memory");
    }

    /// <summary>
    /// Copies from pageable host memory: the driver stages it before the call returns. Do not pass page-locked memory, which it
    /// would read later.
    /// </summary>
    public override void CopyToDevice(DevicePointer<byte> destination, ReadOnlySpan<byte> source, GpuStream stream)
    {
        ThrowIfCapturing(stream);
        if (source.IsEmpty)
        {
            return;
        }

        _context.MakeCurrent();
        fixed (byte* p = source)
        {
            CudaDriver.Check(
                CudaNative.cuMemcpyHtoDAsync_v2(destination.Address, p, (nuint)source.Length, HandleOf(stream)), $"copying {source.Length:N0} bytes to the device");
        }
    }

    /// <inheritdoc/>
    public override void CopyToHost(Span<byte> destination, DevicePointer<byte> source, GpuStream stream)
    {
        ThrowIfCapturing(stream);
        if (destination.IsEmpty)
        {
            return;
        }

        _context.MakeCurrent();
        fixed (byte* p = destination)
        {
            CudaDriver.Check(
                CudaNative.cuMemcpyDtoHAsync_v2(p, source.Address, (nuint)destination.Length, HandleOf(stream)), $"copying {destination.Length:N0} bytes to the host");
            CudaDriver.Check(CudaNative.cuStreamSynchronize(HandleOf(stream)), "waiting for a copy to the host");
        }
    }

    /// <inheritdoc/>
    public override void Copy(DevicePointer<byte> destination, DevicePointer<byte> source, long bytes, GpuStream stream)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        _context.MakeCurrent();
        if (bytes > 0)
        {
            CudaDriver.Check(
                CudaNative.cuMemcpyDtoDAsync_v2(destination.Address, source.Address, (nuint)bytes, HandleOf(stream)), $"copying {bytes:N0} bytes on the device");
        }
    }

    /// <inheritdoc/>
    public override void Fill(DevicePointer<byte> destination, byte value, long bytes, GpuStream stream)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        _context.MakeCurrent();
        if (bytes > 0)
        {
            CudaDriver.Check(CudaNative.cuMemsetD8Async(destination.Address, value, (nuint)bytes, HandleOf(stream)), $"setting {bytes:N0} bytes");
        }
    }

    /// <inheritdoc/>
    public override GpuModule LoadModule(ReadOnlySpan<byte> image)
    {
        const int LogBytes = 16384;
        _context.MakeCurrent();
        // PTX is text that must end in a zero; machine code carries its own length and does not mind one.
        var terminated = new byte[image.Length + 1];
        image.CopyTo(terminated);
        var log = new byte[LogBytes];
        nint module;
        CudaResult result;
        fixed (byte* code = terminated)
        fixed (byte* errors = log)
        {
            var options = stackalloc JitOption[] { JitOption.ErrorLogBuffer, JitOption.ErrorLogBufferSizeBytes };
            var values = stackalloc void*[] { errors, (void*)LogBytes };
            result = CudaNative.cuModuleLoadDataEx(&module, code, 2, options, values);
        }

        if (result != CudaResult.CUDA_SUCCESS)
        {
            var length = log.AsSpan().IndexOf((byte)0);
            var text = Encoding.UTF8.GetString(log, 0, length < 0 ? log.Length : length).Trim();
            throw CudaDriver.Error(result, text.Length == 0 ? "loading a module" : $"loading a module ({text})");
        }

        return new CudaModule(this, new CudaModuleHandle(_context, module));
    }

    /// <inheritdoc/>
    public override GpuStream CreateStream()
    {
        _context.MakeCurrent();
        return new CudaStream(this, new CudaStreamHandle(_context));
    }

    /// <inheritdoc/>
    public override GpuEvent CreateEvent()
    {
        _context.MakeCurrent();
        return new CudaEvent(this, new CudaEventHandle(_context));
    }

    /// <inheritdoc/>
    public override void Synchronize()
    {
        _context.MakeCurrent();
        CudaDriver.Check(CudaNative.cuCtxSynchronize(), "waiting for the device (a kernel queued earlier may have failed)");
    }

    internal void MakeCurrent() => _context.MakeCurrent();

    /// <summary>Remembers which stream captures; null for none.</summary>
    internal void NoteCapture(CudaStream? stream) => Volatile.Write(ref _capturing, stream);

    /// <summary>Makes captured work ready to launch.</summary>
    internal CudaGraph Instantiate(nint captured)
    {
        using var graph = new CudaGraphHandle(_context, captured);
        nuint nodes;
        CudaDriver.Check(CudaNative.cuGraphGetNodes(graph, null, &nodes), "counting a graph's nodes");
        return new CudaGraph(this, new CudaGraphExecutableHandle(_context, graph), (int)nodes);
    }

    // The driver would note the address that the bytes have now, which is another one when the graph is launched.
    private void ThrowIfCapturing(GpuStream stream)
    {
        if (ReferenceEquals(Volatile.Read(ref _capturing), stream))
        {
            throw new GpuException(CudaResult.CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "a graph cannot repeat a copy from or to the host");
        }
    }

    /// <summary>The driver's stream behind one of ours; a stream of another device is a caller's error.</summary>
    internal CudaStreamHandle HandleOf(GpuStream stream) => stream is CudaStream own && ReferenceEquals(own.Device, this)
        ? own.Handle
        : throw new GpuException(CudaResult.CUDA_ERROR_INVALID_HANDLE, "the stream belongs to another device");

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            Stop(_blas);
            Stop(_dnn);
            _defaultStream.Dispose();
            _context.Dispose();
        }
    }

    private static void Stop<T>(Lazy<(T? Library, string? Problem)> library)
        where T : class, IDisposable
    {
        if (library.IsValueCreated)
        {
            library.Value.Library?.Dispose();
        }
    }

    // A library that is there and does not start (half installed, of another driver's time) is no reason to compute nothing.
    private (T? Library, string? Problem) Start<T>(CudaLibraryStatus status, Func<CudaDevice, CudaContextHandle, T> create)
        where T : class
    {
        if (status.Problem is not null)
        {
            return (null, status.Problem);
        }

        _context.MakeCurrent();
        try
        {
            return (create(this, _context), null);
        }
        catch (Exception e) when (e is GpuException or EntryPointNotFoundException)
        {
            return (null, e.Message);
        }
    }

    private static DeviceProperties ReadProperties(int device)
    {
        int Read(DeviceAttribute attribute)
        {
            int value;
            CudaDriver.Check(CudaNative.cuDeviceGetAttribute(&value, attribute, device), $"reading {attribute}");
            return value;
        }

        const int NameBytes = 256;
        var name = stackalloc byte[NameBytes];
        CudaDriver.Check(CudaNative.cuDeviceGetName(name, NameBytes, device), "reading the device's name");
        nuint memory;
        CudaDriver.Check(CudaNative.cuDeviceTotalMem_v2(&memory, device), "reading the device's memory");
        return new DeviceProperties
        {
            Name = System.Runtime.InteropServices.Marshal.PtrToStringUTF8((nint)name) ?? "",
            ComputeCapability = new(Read(DeviceAttribute.ComputeCapabilityMajor), Read(DeviceAttribute.ComputeCapabilityMinor)),
            MultiprocessorCount = Read(DeviceAttribute.MultiprocessorCount),
            TotalMemory = (long)memory,
            WarpSize = Read(DeviceAttribute.WarpSize),
            MaxThreadsPerBlock = Read(DeviceAttribute.MaxThreadsPerBlock),
            MaxBlockDim = new(Read(DeviceAttribute.MaxBlockDimX), Read(DeviceAttribute.MaxBlockDimY), Read(DeviceAttribute.MaxBlockDimZ)),
            MaxGridDim = new(Read(DeviceAttribute.MaxGridDimX), Read(DeviceAttribute.MaxGridDimY), Read(DeviceAttribute.MaxGridDimZ)),
            MaxSharedMemoryPerBlock = Read(DeviceAttribute.MaxSharedMemoryPerBlock),
            MaxSharedMemoryPerBlockOptin = Read(DeviceAttribute.MaxSharedMemoryPerBlockOptin),
            MaxSharedMemoryPerMultiprocessor = Read(DeviceAttribute.MaxSharedMemoryPerMultiprocessor),
            MaxRegistersPerBlock = Read(DeviceAttribute.MaxRegistersPerBlock),
            MaxThreadsPerMultiprocessor = Read(DeviceAttribute.MaxThreadsPerMultiprocessor),
        };
    }
}
