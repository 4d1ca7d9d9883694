// Streams and events of the virtual device. Work is done when it is queued, so a stream has always caught up.
using System.Diagnostics;
using FashionFlow.Gpu;

namespace FashionFlow.VirtualGpu;

/// <summary>A stream of a <see cref="VirtualDevice"/>: each call returns when its work is done.</summary>
public sealed class VirtualStream : GpuStream
{
    private readonly VirtualDevice _device;
    private bool _disposed;

    internal VirtualStream(VirtualDevice device) => _device = device;

    /// <inheritdoc/>
    public override GpuDevice Device => _device;

    /// <inheritdoc/>
    public override void Synchronize()
    {
        ThrowIfUnusable(_device);
        _device.ThrowIfFailed();
        _device.RefuseInCapture("a stream cannot be waited for");
    }

    /// <inheritdoc/>
    public override void BeginCapture()
    {
        lock (_device.ExecutionLock)
        {
            _device.Enter(this);
            if (_device.Capture is not null)
            {
                throw new GpuException(CudaResult.CUDA_ERROR_INVALID_VALUE, "a capture is on already");
            }

            _device.Capture = new VirtualCapture(this);
        }
    }

    /// <inheritdoc/>
    public override GpuGraph EndCapture()
    {
        lock (_device.ExecutionLock)
        {
            if (_device.Capture is not { } capture || !ReferenceEquals(capture.Stream, this))
            {
                throw new GpuException(CudaResult.CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, "the stream is not capturing");
            }

            _device.Capture = null;
            return capture.Problem is null
                ? new VirtualGraph(_device, [.. capture.Work])
                : throw new GpuException(CudaResult.CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, $"the capture was ended by an error: {capture.Problem}");
        }
    }

    /// <inheritdoc/>
    public override void Record(GpuEvent marker)
    {
        ThrowIfUnusable(_device);
        _device.ThrowIfFailed();
        VirtualEvent.From(marker, _device).Mark();
    }

    /// <inheritdoc/>
    public override void Wait(GpuEvent marker)
    {
        ThrowIfUnusable(_device);
        _device.ThrowIfFailed();
        _ = VirtualEvent.From(marker, _device);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        // The default stream lives as long as its device.
        _disposed = !ReferenceEquals(this, _device.DefaultStream);
    }

    /// <summary>Refuses a stream of another device or one that was disposed.</summary>
    internal static void Check(GpuStream stream, VirtualDevice device)
    {
        if (stream is not VirtualStream own)
        {
            throw new GpuException(CudaResult.CUDA_ERROR_INVALID_HANDLE, $"the stream belongs to a {stream.Device.Kind} device, not to this virtual one");
        }

        own.ThrowIfUnusable(device);
    }

    private void ThrowIfUnusable(VirtualDevice device)
    {
        if (!ReferenceEquals(device, _device))
        {
            throw new GpuException(CudaResult.CUDA_ERROR_INVALID_HANDLE, "the stream belongs to another virtual device");
        }

        if (_disposed)
        {
            throw new GpuException(CudaResult.CUDA_ERROR_INVALID_HANDLE, "the stream has been disposed");
        }
    }
}

/// <summary>An event of a <see cref="VirtualDevice"/>.</summary>
public sealed class VirtualEvent : GpuEvent
{
    private readonly VirtualDevice _device;
    private long _timestamp;
    private bool _disposed;

    internal VirtualEvent(VirtualDevice device) => _device = device;

    /// <inheritdoc/>
    public override void Synchronize()
    {
        _ = From(this, _device);
        _device.ThrowIfFailed();
        _device.RefuseInCapture("an event cannot be waited for");
    }

    /// <inheritdoc/>
    public override float ElapsedMilliseconds(GpuEvent start)
    {
        var end = From(this, _device);
        var begin = From(start, _device);
        return end._timestamp != 0 && begin._timestamp != 0
            ? (float)Stopwatch.GetElapsedTime(begin._timestamp, end._timestamp).TotalMilliseconds
            : throw new GpuException(CudaResult.CUDA_ERROR_INVALID_HANDLE, "an event must have been recorded before its time is asked for");
    }

    internal static VirtualEvent From(GpuEvent marker, VirtualDevice device)
        => marker is VirtualEvent own && ReferenceEquals(own._device, device)
            ? !own._disposed ? own : throw new GpuException(CudaResult.CUDA_ERROR_INVALID_HANDLE, "the event has been disposed")
            : throw new GpuException(CudaResult.CUDA_ERROR_INVALID_HANDLE, "the event belongs to another device");

    internal void Mark() => _timestamp = Stopwatch.GetTimestamp();

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => _disposed = true;
}
