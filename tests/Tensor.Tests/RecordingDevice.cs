// A device that passes everything on to another and notes which kernels were launched, so that a case can be held to them.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Tests;

/// <summary>A decorator of a device.</summary>
public sealed class RecordingDevice : GpuDevice
{
    private readonly GpuDevice _inner;
    private readonly RecordingStream _stream;

    /// <summary>Wraps a device and owns it.</summary>
    public RecordingDevice(GpuDevice inner)
    {
        _inner = inner;
        _stream = new RecordingStream(this, inner.DefaultStream);
        Blas = inner.Blas is { } blas ? new UnwrappingBlas(blas) : null;
        Dnn = inner.Dnn is { } dnn ? new UnwrappingDnn(dnn) : null;
    }

    /// <summary>Names of the kernels launched since it was cleared.</summary>
    public HashSet<string> Launched { get; } = new(StringComparer.Ordinal);

    /// <summary>The same, each as often as it was launched, in order.</summary>
    public List<string> Launches { get; } = [];

    /// <summary>Threads of the smallest and of the largest block that each kernel was launched with.</summary>
    public Dictionary<string, (long Smallest, long Largest)> Blocks { get; } = new(StringComparer.Ordinal);

    /// <inheritdoc/>
    public override string Kind => _inner.Kind;

    /// <inheritdoc/>
    public override DeviceProperties Properties => _inner.Properties;

    /// <inheritdoc/>
    public override GpuStream DefaultStream => _stream;

    /// <inheritdoc/>
    public override IBlas? Blas { get; }

    /// <inheritdoc/>
    public override IDnn? Dnn { get; }

    /// <inheritdoc/>
    public override MemoryInfo MemoryInfo => _inner.MemoryInfo;

    /// <inheritdoc/>
    public override DevicePointer<byte> Allocate(long bytes) => _inner.Allocate(bytes);

    /// <inheritdoc/>
    public override void Free(DevicePointer<byte> allocation) => _inner.Free(allocation);

    /// <inheritdoc/>
    public override void CopyToDevice(DevicePointer<byte> destination, ReadOnlySpan<byte> source, GpuStream stream)
        => _inner.CopyToDevice(destination, source, Unwrap(stream));

    /// <inheritdoc/>
    public override void CopyToHost(Span<byte> destination, DevicePointer<byte> source, GpuStream stream)
        => _inner.CopyToHost(destination, source, Unwrap(stream));

    /// <inheritdoc/>
    public override void Copy(DevicePointer<byte> destination, DevicePointer<byte> source, long bytes, GpuStream stream)
        => _inner.Copy(destination, source, bytes, Unwrap(stream));

    /// <inheritdoc/>
    public override void Fill(DevicePointer<byte> destination, byte value, long bytes, GpuStream stream)
        => _inner.Fill(destination, value, bytes, Unwrap(stream));

    /// <inheritdoc/>
    public override GpuModule LoadModule(ReadOnlySpan<byte> image) => new RecordingModule(this, _inner.LoadModule(image));

    /// <inheritdoc/>
    public override GpuStream CreateStream() => new RecordingStream(this, _inner.CreateStream());

    /// <inheritdoc/>
    public override GpuEvent CreateEvent() => _inner.CreateEvent();

    /// <inheritdoc/>
    public override void Synchronize() => _inner.Synchronize();

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => _inner.Dispose();

    private static GpuStream Unwrap(GpuStream stream) => ((RecordingStream)stream).Inner;

    private sealed class RecordingStream(RecordingDevice device, GpuStream inner) : GpuStream
    {
        public GpuStream Inner => inner;

        public override GpuDevice Device => device;

        public override void Synchronize() => inner.Synchronize();

        public override void Record(GpuEvent marker) => inner.Record(marker);

        public override void Wait(GpuEvent marker) => inner.Wait(marker);

        public override void BeginCapture() => inner.BeginCapture();

        public override GpuGraph EndCapture() => new RecordingGraph(inner.EndCapture());

        protected override void Dispose(bool disposing) => inner.Dispose();
    }

    private sealed class RecordingGraph(GpuGraph inner) : GpuGraph
    {
        public override int Nodes => inner.Nodes;

        public override void Launch(GpuStream stream) => inner.Launch(Unwrap(stream));

        protected override void Dispose(bool disposing) => inner.Dispose();
    }

    private sealed class RecordingModule(RecordingDevice device, GpuModule inner) : GpuModule
    {
        public override GpuDevice Device => device;

        public override GpuFunction GetFunction(string name) => new RecordingFunction(device, this, inner.GetFunction(name));

        public override DevicePointer<byte> GetGlobal(string name, out long bytes) => inner.GetGlobal(name, out bytes);

        protected override void Dispose(bool disposing) => inner.Dispose();
    }

    private sealed class RecordingFunction(RecordingDevice device, GpuModule module, GpuFunction inner) : GpuFunction
    {
        public override string Name => inner.Name;

        public override GpuModule Module => module;

        public override FunctionAttributes Attributes => inner.Attributes;

        public override void SetMaxDynamicSharedMemory(int bytes) => inner.SetMaxDynamicSharedMemory(bytes);

        public override int MaxActiveBlocksPerMultiprocessor(int threadsPerBlock, int dynamicSharedMemory)
            => inner.MaxActiveBlocksPerMultiprocessor(threadsPerBlock, dynamicSharedMemory);

        public override void Launch(GpuStream stream, in LaunchShape shape, ReadOnlySpan<byte> parameters)
        {
            device.Launched.Add(Name);
            device.Launches.Add(Name);
            var threads = shape.Block.Count;
            device.Blocks[Name] = device.Blocks.TryGetValue(Name, out var before)
                ? (Math.Min(before.Smallest, threads), Math.Max(before.Largest, threads))
                : (threads, threads);
            inner.Launch(Unwrap(stream), shape, parameters);
        }
    }

    private sealed class UnwrappingBlas(IBlas inner) : IBlas
    {
        public string Name => inner.Name;

        public bool Supports(in GemmDescription description) => inner.Supports(description);

        public long WorkspaceBytes(in GemmDescription description) => inner.WorkspaceBytes(description);

        public void Gemm(
            GpuStream stream,
            in GemmDescription description,
            DevicePointer<byte> a,
            DevicePointer<byte> b,
            DevicePointer<byte> bias,
            DevicePointer<byte> c,
            Workspace workspace)
            => inner.Gemm(Unwrap(stream), description, a, b, bias, c, workspace);
    }

    private sealed class UnwrappingDnn(IDnn inner) : IDnn
    {
        public string Name => inner.Name;

        public bool Supports(in ConvolutionDescription description, ConvolutionPass pass) => inner.Supports(description, pass);

        public long WorkspaceBytes(in ConvolutionDescription description, ConvolutionPass pass) => inner.WorkspaceBytes(description, pass);

        public void ConvolutionForward(
            GpuStream stream,
            in ConvolutionDescription description,
            DevicePointer<byte> x,
            DevicePointer<byte> w,
            DevicePointer<byte> bias,
            DevicePointer<byte> residual,
            DevicePointer<byte> y,
            Workspace workspace)
            => inner.ConvolutionForward(Unwrap(stream), description, x, w, bias, residual, y, workspace);

        public void ConvolutionBackwardData(
            GpuStream stream, in ConvolutionDescription description, DevicePointer<byte> dy, DevicePointer<byte> w, DevicePointer<byte> dx, Workspace workspace)
            => inner.ConvolutionBackwardData(Unwrap(stream), description, dy, w, dx, workspace);

        public void ConvolutionBackwardFilter(
            GpuStream stream, in ConvolutionDescription description, DevicePointer<byte> x, DevicePointer<byte> dy, DevicePointer<byte> dw, Workspace workspace)
            => inner.ConvolutionBackwardFilter(Unwrap(stream), description, x, dy, dw, workspace);
    }
}
