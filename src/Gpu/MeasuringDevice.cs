// A device that does nothing and counts what it was asked to do: the same host code, run on it, tells what memory and work a
// real run will take, without a second description of any network that could go stale.
namespace FashionFlow.Gpu;

/// <summary>
/// A device whose allocations are addresses without memory behind them and whose copies, launches, products and convolutions do
/// no work. It takes another device's properties and library choices, so that everything above the seam decides as it would there.
/// What is read back from it is zero. For one thread.
/// </summary>
public sealed class MeasuringDevice : GpuDevice
{
    // Far from null, and each allocation on a boundary that any vector access may use.
    private const ulong FirstAddress = 1UL << 40;
    private const long Alignment = 512;

    private readonly Dictionary<ulong, long> _allocations = [];
    private readonly MeasuringStream _stream;
    private ulong _next = FirstAddress;

    /// <summary>A device that looks like another one, which may be disposed before it.</summary>
    public MeasuringDevice(GpuDevice device)
    {
        (Kind, Properties) = (device.Kind, device.Properties);
        Blas = device.Blas is null ? null : new MeasuringBlas(this, device.Blas);
        Dnn = device.Dnn is null ? null : new MeasuringDnn(this, device.Dnn);
        _stream = new MeasuringStream(this);
    }

    /// <inheritdoc/>
    public override string Kind { get; }

    /// <inheritdoc/>
    public override DeviceProperties Properties { get; }

    /// <inheritdoc/>
    public override GpuStream DefaultStream => _stream;

    /// <inheritdoc/>
    public override IBlas? Blas { get; }

    /// <inheritdoc/>
    public override IDnn? Dnn { get; }

    /// <summary>As much as can be named: what does not fit is for the caller to see in what it counted.</summary>
    public override MemoryInfo MemoryInfo => new(long.MaxValue, long.MaxValue);

    /// <summary>Kernel launches so far, those inside library calls not counted.</summary>
    public long Launches { get; private set; }

    /// <summary>Multiplications and additions of products and convolutions so far, two for each pair.</summary>
    public double FloatingPointOperations { get; private set; }

    /// <inheritdoc/>
    public override DevicePointer<byte> Allocate(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bytes);
        var address = _next;
        _next = checked(_next + (ulong)((bytes + Alignment - 1) / Alignment * Alignment));
        _allocations.Add(address, bytes);
        return new DevicePointer<byte>(address);
    }

    /// <inheritdoc/>
    public override void Free(DevicePointer<byte> allocation)
    {
        if (!_allocations.Remove(allocation.Address))
        {
            throw new GpuException(CudaResult.CUDA_ERROR_INVALID_VALUE, $"{allocation} is no allocation");
        }
    }

    /// <inheritdoc/>
    public override void CopyToDevice(DevicePointer<byte> destination, ReadOnlySpan<byte> source, GpuStream stream)
    {
    }

    /// <inheritdoc/>
    public override void CopyToHost(Span<byte> destination, DevicePointer<byte> source, GpuStream stream) => destination.Clear();

    /// <inheritdoc/>
    public override void Copy(DevicePointer<byte> destination, DevicePointer<byte> source, long bytes, GpuStream stream)
    {
    }

    /// <inheritdoc/>
    public override void Fill(DevicePointer<byte> destination, byte value, long bytes, GpuStream stream)
    {
    }

    /// <inheritdoc/>
    public override GpuModule LoadModule(ReadOnlySpan<byte> image) => new MeasuringModule(this);

    /// <inheritdoc/>
    public override GpuStream CreateStream() => new MeasuringStream(this);

    /// <inheritdoc/>
    public override GpuEvent CreateEvent() => new MeasuringEvent();

    /// <inheritdoc/>
    public override void Synchronize()
    {
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
    }

    private sealed class MeasuringStream(MeasuringDevice device) : GpuStream
    {
        public override GpuDevice Device => device;

        public override void Synchronize()
        {
        }

        public override void Record(GpuEvent marker)
        {
        }

        public override void Wait(GpuEvent marker)
        {
        }

        protected override void Dispose(bool disposing)
        {
        }
    }

    private sealed class MeasuringEvent : GpuEvent
    {
        public override void Synchronize()
        {
        }

        public override float ElapsedMilliseconds(GpuEvent start) => 0;

        protected override void Dispose(bool disposing)
        {
        }
    }

    private sealed class MeasuringModule(MeasuringDevice device) : GpuModule
    {
        public override GpuDevice Device => device;

        public override GpuFunction GetFunction(string name) => new MeasuringFunction(device, this, name);

        public override DevicePointer<byte> GetGlobal(string name, out long bytes) => throw new GpuException(CudaResult.CUDA_ERROR_NOT_FOUND, $"{name}: a measuring device has no variables");

        protected override void Dispose(bool disposing)
        {
        }
    }

    private sealed class MeasuringFunction(MeasuringDevice device, GpuModule module, string name) : GpuFunction
    {
        public override string Name => name;

        public override GpuModule Module => module;

        public override FunctionAttributes Attributes => new()
        {
            MaxThreadsPerBlock = device.Properties.MaxThreadsPerBlock,
            StaticSharedMemory = 0,
            ConstantMemory = 0,
            LocalMemory = 0,
            Registers = 0,
            MaxDynamicSharedMemory = device.Properties.MaxSharedMemoryPerBlock,
        };

        public override void SetMaxDynamicSharedMemory(int bytes)
        {
        }

        public override int MaxActiveBlocksPerMultiprocessor(int threadsPerBlock, int dynamicSharedMemory) => 1;

        public override void Launch(GpuStream stream, in LaunchShape shape, ReadOnlySpan<byte> parameters) => device.Launches++;
    }

    private sealed class MeasuringBlas(MeasuringDevice device, IBlas like) : IBlas
    {
        public string Name => like.Name;

        public bool Supports(in GemmDescription description) => like.Supports(description);

        public long WorkspaceBytes(in GemmDescription description) => like.WorkspaceBytes(description);

        public void Gemm(
            GpuStream stream, in GemmDescription description, DevicePointer<byte> a, DevicePointer<byte> b, DevicePointer<byte> bias, DevicePointer<byte> c, Workspace workspace)
            => device.FloatingPointOperations += 2.0 * description.M * description.N * description.K * description.BatchCount;
    }

    private sealed class MeasuringDnn(MeasuringDevice device, IDnn like) : IDnn
    {
        public string Name => like.Name;

        public bool Supports(in ConvolutionDescription description, ConvolutionPass pass) => like.Supports(description, pass);

        public long WorkspaceBytes(in ConvolutionDescription description, ConvolutionPass pass) => like.WorkspaceBytes(description, pass);

        public void ConvolutionForward(
            GpuStream stream,
            in ConvolutionDescription description,
            DevicePointer<byte> x,
            DevicePointer<byte> w,
            DevicePointer<byte> bias,
            DevicePointer<byte> residual,
            DevicePointer<byte> y,
            Workspace workspace) => Count(description);

        public void ConvolutionBackwardData(
            GpuStream stream, in ConvolutionDescription description, DevicePointer<byte> dy, DevicePointer<byte> w, DevicePointer<byte> dx, Workspace workspace) => Count(description);

        public void ConvolutionBackwardFilter(
            GpuStream stream, in ConvolutionDescription description, DevicePointer<byte> x, DevicePointer<byte> dy, DevicePointer<byte> dw, Workspace workspace) => Count(description);

        private void Count(in ConvolutionDescription d)
            => device.FloatingPointOperations += 2.0 * d.N * d.OutH * d.OutW * d.OutChannels * d.KernelH * d.KernelW * d.InChannels;
    }
}
