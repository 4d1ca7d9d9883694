// Graphs of the virtual device: work that was noted while a stream captured, and is done when the graph is launched.
using FashionFlow.Gpu;

namespace FashionFlow.VirtualGpu;

/// <summary>A capture that is on.</summary>
internal sealed class VirtualCapture(VirtualStream stream)
{
    /// <summary>The stream that captures.</summary>
    public VirtualStream Stream => stream;

    /// <summary>The thread that began it: to it alone operations are refused.</summary>
    public int Thread { get; } = Environment.CurrentManagedThreadId;

    /// <summary>What was queued so far.</summary>
    public List<Action<GpuStream>> Work { get; } = [];

    /// <summary>What ended the capture; null while it goes on.</summary>
    public string? Problem { get; private set; }

    /// <summary>Ends the capture by an error.</summary>
    /// <param name="what">What cannot be done.</param>
    public void Invalidate(string what)
    {
        Problem ??= what;
        throw new GpuException(CudaResult.CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, $"{what} while a stream captures");
    }
}

/// <summary>
/// A graph of a <see cref="VirtualDevice"/>. Each node does all that the call did which it was noted of, its checks included: a graph
/// whose memory was freed is refused at its launch, where a GPU would compute on whatever lies there.
/// </summary>
public sealed class VirtualGraph : GpuGraph
{
    private readonly VirtualDevice _device;
    private Action<GpuStream>[]? _work;

    internal VirtualGraph(VirtualDevice device, Action<GpuStream>[] work) => (_device, _work, Nodes) = (device, work, work.Length);

    /// <inheritdoc/>
    public override int Nodes { get; }

    /// <inheritdoc/>
    public override void Launch(GpuStream stream)
    {
        lock (_device.ExecutionLock)
        {
            _device.Enter(stream);
            if (_device.Note(stream, Launch))
            {
                return;
            }

            foreach (var work in _work ?? throw new GpuException(CudaResult.CUDA_ERROR_INVALID_HANDLE, "the graph has been disposed"))
            {
                work(stream);
            }
        }
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => _work = null;
}
