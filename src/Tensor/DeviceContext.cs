// A device as tensors see it: one stream, one caching allocator, and the accounting of what is alive.
using FashionFlow.Gpu;
using FashionFlow.Tensors.Memory;
using FashionFlow.VirtualGpu;

namespace FashionFlow.Tensors;

/// <summary>
/// Where tensors live: a device, the stream that their work is queued on, and the allocator of their memory. A context is
/// used by one thread at a time; another thread may dispose tensors that belong to no scope.
/// </summary>
public sealed class DeviceContext : IDisposable
{
    private readonly bool _ownsDevice;
    private readonly DeviceContextOptions _options;
    private readonly HashSet<Tensor> _live = [];
    private readonly Lock _gate = new();
    private bool _disposed;

    /// <summary>A context on a device.</summary>
    /// <param name="device">The device.</param>
    /// <param name="ownsDevice">Whether disposing the context disposes the device.</param>
    /// <param name="options">Checks to make; none if not given.</param>
    public DeviceContext(GpuDevice device, bool ownsDevice = true, DeviceContextOptions? options = null)
    {
        _ownsDevice = ownsDevice;
        _options = options ?? DeviceContextOptions.Default;
        Device = device;
        Stream = device.DefaultStream;
        Allocator = new CachingAllocator(device, Stream, _options);
    }

    /// <summary>Opens a device by its specification and makes a context that owns it.</summary>
    /// <param name="specification">auto, cuda, cuda:N, virtual or virtual:sm_NN; see <see cref="DeviceSelector"/>.</param>
    /// <param name="workerThreads">Host threads of a virtual device; 0 takes one a core. A GPU has no use for it.</param>
    /// <exception cref="ArgumentException">The specification has another form.</exception>
    /// <exception cref="GpuException">There is no such device; the message says what to do.</exception>
    public static DeviceContext Open(string specification = "auto", int workerThreads = 0) => new(DeviceSelector.Open(specification, workerThreads));

    /// <summary>The device.</summary>
    public GpuDevice Device { get; }

    /// <summary>The stream that all work on this context's tensors is queued on.</summary>
    public GpuStream Stream { get; }

    /// <summary>Which way matrix products and convolutions go.</summary>
    public MatmulBackend Backend { get; set; }

    /// <summary>
    /// Whether new tensors' memory is filled with <see cref="DeviceContextOptions.Poison"/>: as the options say at first, and checks
    /// may switch it on for a while.
    /// </summary>
    public bool PoisonMemory
    {
        get => Allocator.PoisonMemory;
        set => Allocator.PoisonMemory = value;
    }

    /// <summary>Bytes of device memory in use by tensors (whole blocks: a multiple of 512 a tensor).</summary>
    public long LiveBytes => Allocator.LiveBytes;

    /// <summary>The most that <see cref="LiveBytes"/> has been since the start or <see cref="ResetPeak"/>.</summary>
    public long PeakBytes => Allocator.PeakBytes;

    /// <summary>Bytes taken from the device, in use or cached.</summary>
    public long ReservedBytes => Allocator.ReservedBytes;

    /// <summary>Tensors alive, views included.</summary>
    public int LiveTensors
    {
        get
        {
            lock (_gate)
            {
                return _live.Count;
            }
        }
    }

    /// <summary>The open arena's size, and the most of it that was used since <see cref="ResetPeak"/>; null while there is none.</summary>
    public (long Bytes, long HighWater)? Arena => Allocator.Arena;

    /// <summary>
    /// A number that stands for where all tensors lie in the arena, 0 without one: where it repeats, equal work from there on lays out
    /// memory equally.
    /// </summary>
    public ulong ArenaLayout => Allocator.ArenaLayout;

    internal CachingAllocator Allocator { get; }

    /// <summary>
    /// Takes one stretch of device memory, from which all new tensors come from now on: what a plan promised is there, and no more is
    /// taken. It is given back with the context, or by <see cref="CloseArena"/>.
    /// </summary>
    /// <param name="bytes">Its size; a request beyond it is an error.</param>
    /// <exception cref="InvalidOperationException">There is one already.</exception>
    /// <exception cref="GpuException">CUDA_ERROR_OUT_OF_MEMORY: the device has not so much.</exception>
    public void OpenArena(long bytes)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bytes);
        Allocator.OpenArena(bytes);
    }

    /// <summary>Gives the arena back, if there is one.</summary>
    /// <exception cref="InvalidOperationException">A tensor is still in it.</exception>
    public void CloseArena() => Allocator.CloseArena();

    /// <summary>Starts a new measurement of <see cref="PeakBytes"/>.</summary>
    public void ResetPeak() => Allocator.ResetPeak();

    /// <summary>Gives cached memory that no tensor uses back to the device.</summary>
    public void ReleaseCached() => Allocator.ReleaseCached();

    /// <summary>Checks that so many tensors are alive.</summary>
    /// <exception cref="TensorLeakException">More or fewer are; the message lists their shapes and where they were made.</exception>
    public void CheckLeaks(int expected = 0)
    {
        lock (_gate)
        {
            if (_live.Count != expected)
            {
                throw new TensorLeakException(expected, _live);
            }
        }
    }

    /// <summary>Frees all memory, that of live tensors included, and the device if it is owned.</summary>
    /// <exception cref="TensorLeakException">Tensors were still alive, and the options ask to throw; all is freed nevertheless.</exception>
    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        Tensor[] leaked;
        lock (_gate)
        {
            leaked = [.. _live];
        }

        var report = _options.ThrowOnLeak && leaked.Length > 0 ? new TensorLeakException(0, leaked) : null;
        foreach (var tensor in leaked)
        {
            tensor.Dispose();
        }

        _disposed = true;
        Allocator.CloseArena();
        Allocator.ReleaseCached();
        if (_ownsDevice)
        {
            Device.Dispose();
        }

        if (report is not null)
        {
            throw report;
        }
    }

    internal Storage Allocate(long bytes)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        return new Storage(Allocator, bytes);
    }

    /// <summary>Counts a new tensor in, and says where it was made if the options ask for it.</summary>
    internal string? Register(Tensor tensor)
    {
        lock (_gate)
        {
            _live.Add(tensor);
        }

        return _options.RecordAllocationSites ? AllocationSite.Find() : null;
    }

    internal void Unregister(Tensor tensor)
    {
        lock (_gate)
        {
            _live.Remove(tensor);
        }
    }
}
