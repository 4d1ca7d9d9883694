// A dense array in device memory: shape, element type and a share in a reference-counted block.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using FashionFlow.Gpu;
using FashionFlow.Tensors.Memory;

namespace FashionFlow.Tensors;

/// <summary>
/// A tensor in device memory, always contiguous and row-major. It holds one reference to its memory until it is disposed,
/// by hand or by the <see cref="TensorScope"/> it was made in; views (<see cref="Reshape"/>, <see cref="Narrow"/>) hold
/// references of their own, so each lives as long as it likes.
/// </summary>
public sealed class Tensor : IDisposable
{
    private readonly Storage _storage;
    private readonly long _byteOffset;
    private readonly string? _site;
    private int _disposed;

    private Tensor(DeviceContext context, Storage storage, long byteOffset, Shape shape, DType type)
    {
        Context = context;
        _storage = storage;
        _byteOffset = byteOffset;
        Shape = shape;
        DType = type;
        _site = context.Register(this);
        TensorScope.Adopt(this);
    }

    /// <summary>The context it lives in.</summary>
    public DeviceContext Context { get; }

    /// <summary>The elements' type.</summary>
    public DType DType { get; }

    /// <summary>The axis lengths.</summary>
    public Shape Shape { get; }

    /// <summary>The number of elements.</summary>
    public long Count => Shape.Count;

    /// <summary>The size in bytes.</summary>
    public long Bytes => Count * DType.SizeInBytes();

    /// <summary>Whether it has been disposed.</summary>
    public bool IsDisposed => _disposed != 0;

    /// <summary>What automatic differentiation knows of its values; null where nothing asks for their gradient.</summary>
    public TensorHistory? History { get; set; }

    /// <summary>Whether other tensors, views included, hold the same memory.</summary>
    public bool SharesMemory => _storage.IsShared;

    /// <summary>How often its memory was overwritten in place, by whichever tensor. A value kept for later can tell by it.</summary>
    public int Version => _storage.Version;

    /// <summary>The scope that will dispose it, if any, and its place there.</summary>
    internal TensorScope? Scope { get; set; }

    /// <inheritdoc cref="Scope"/>
    internal int ScopeIndex { get; set; }

    /// <summary>A tensor whose contents are undefined.</summary>
    public static Tensor Empty(DeviceContext context, Shape shape, DType type = DType.Float32)
        => new(context, context.Allocate(checked(shape.Count * type.SizeInBytes())), 0, shape, type);

    /// <summary>A tensor of zeros.</summary>
    public static Tensor Zeros(DeviceContext context, Shape shape, DType type = DType.Float32)
    {
        var tensor = Empty(context, shape, type);
        if (tensor.Count > 0)
        {
            context.Device.Fill(tensor.Start, 0, tensor.Bytes, context.Stream);
        }

        return tensor;
    }

    /// <summary>A tensor with these elements, row-major.</summary>
    /// <exception cref="ArgumentException"><paramref name="data"/> does not fill the shape exactly.</exception>
    public static Tensor FromArray<T>(DeviceContext context, ReadOnlySpan<T> data, Shape shape)
        where T : unmanaged
    {
        if (data.Length != shape.Count)
        {
            throw new ArgumentException($"{data.Length} elements given for shape {shape}, which holds {shape.Count}", nameof(data));
        }

        var tensor = Empty(context, shape, DTypes.Of<T>());
        tensor.CopyFrom(data);
        return tensor;
    }

    /// <summary>The address of the first element. <c>Pointer&lt;byte&gt;()</c> works for any element type.</summary>
    /// <exception cref="InvalidOperationException"><typeparamref name="T"/> is not the elements' type.</exception>
    /// <exception cref="ObjectDisposedException">The tensor was disposed.</exception>
    public DevicePointer<T> Pointer<T>()
        where T : unmanaged
        => typeof(T) == typeof(byte) || DTypes.Of<T>() == DType
            ? Start.Cast<T>()
            : throw new InvalidOperationException($"a tensor of {DType} has no pointer to {DTypes.Of<T>()}");

    /// <summary>Copies the elements to the host, after all work queued so far.</summary>
    /// <exception cref="InvalidOperationException"><typeparamref name="T"/> is not the elements' type.</exception>
    public T[] ToArray<T>()
        where T : unmanaged
    {
        var array = new T[Count];
        CopyTo<T>(array);
        return array;
    }

    /// <summary>Copies the elements to host memory that holds exactly as many, after all work queued so far.</summary>
    public void CopyTo<T>(Span<T> destination)
        where T : unmanaged
    {
        var source = HostCopyStart<T>(destination.Length);
        for (var chunks = new Chunks(Count, Unsafe.SizeOf<T>()); chunks.Next(out var start, out var length);)
        {
            var bytes = MemoryMarshal.AsBytes(destination.Slice(start, length));
            Context.Device.CopyToHost(bytes, source.Offset((long)start * Unsafe.SizeOf<T>()), Context.Stream);
        }
    }

    /// <summary>Overwrites all elements from the host, in stream order.</summary>
    /// <exception cref="ArgumentException"><paramref name="source"/> does not fill the tensor exactly.</exception>
    public void CopyFrom<T>(ReadOnlySpan<T> source)
        where T : unmanaged
    {
        MarkWritten();
        var destination = HostCopyStart<T>(source.Length);
        for (var chunks = new Chunks(Count, Unsafe.SizeOf<T>()); chunks.Next(out var start, out var length);)
        {
            var bytes = MemoryMarshal.AsBytes(source.Slice(start, length));
            Context.Device.CopyToDevice(destination.Offset((long)start * Unsafe.SizeOf<T>()), bytes, Context.Stream);
        }
    }

    /// <summary>Overwrites all elements with another tensor's, on the device and in stream order: how parts are put into a larger tensor's views.</summary>
    /// <exception cref="ArgumentException">The tensors differ in shape or element type.</exception>
    public void CopyFrom(Tensor source)
    {
        if (source.Shape != Shape || source.DType != DType)
        {
            throw new ArgumentException($"a tensor of {source} is not copied to one of {this}", nameof(source));
        }

        MarkWritten();
        if (Count > 0)
        {
            Context.Device.Copy(Start, source.Start, Bytes, Context.Stream);
        }
    }

    /// <summary>The same elements seen as another shape of the same count. One axis may be -1: it takes what is left. A shape converts to its lengths.</summary>
    /// <exception cref="ArgumentException">The counts differ.</exception>
    public Tensor Reshape(params ReadOnlySpan<int> lengths) => WithHistory(View(0, Shape.Resolve(lengths, Count)));

    /// <summary>A range of the first axis, in the same memory.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range passes the axis.</exception>
    public Tensor Narrow(int start, int length)
    {
        if (Shape.Rank == 0 || start < 0 || length < 0 || start > Shape[0] - length)
        {
            throw new ArgumentOutOfRangeException(nameof(start), $"shape {Shape} has no range of {length} from {start} on its first axis");
        }

        var rowElements = Shape.CountBetween(1, Shape.Rank);
        var view = View(start * rowElements * DType.SizeInBytes(), Shape.With(0, length));
        History?.Narrowed(this, view, start);
        return view;
    }

    /// <summary>A second tensor on the same memory, with a lifetime of its own.</summary>
    public Tensor AddReference() => WithHistory(View(0, Shape));

    /// <summary>Counts an overwriting of the elements in place; every operator that makes one calls it.</summary>
    public void MarkWritten() => _storage.MarkWritten();

    /// <summary>Gives up this tensor's reference to its memory. Disposing twice does nothing the second time.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        Scope?.Remove(this);
        Context.Unregister(this);
        _storage.Release();
        History?.Released(this);
    }

    /// <summary>Element type and shape.</summary>
    public override string ToString() => $"{DType} {Shape}";

    /// <summary>Element type, shape and, where recorded, the place that made it.</summary>
    internal string Describe() => _site is null ? ToString() : $"{this}, allocated at {_site}";

    private DevicePointer<byte> Start
    {
        get
        {
            ObjectDisposedException.ThrowIf(IsDisposed, this);
            return _storage.Pointer.Offset(_byteOffset);
        }
    }

    private Tensor View(long byteOffset, Shape shape)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        return new Tensor(Context, _storage.AddReference(), _byteOffset + byteOffset, shape, DType);
    }

    private Tensor WithHistory(Tensor view)
    {
        view.History = History;
        return view;
    }

    private DevicePointer<byte> HostCopyStart<T>(int hostElements)
        where T : unmanaged
    {
        if (DTypes.Of<T>() != DType)
        {
            throw new InvalidOperationException($"a tensor of {DType} is not copied as {DTypes.Of<T>()}");
        }

        return hostElements == Count
            ? Start
            : throw new ArgumentException($"host memory holds {hostElements} elements, the tensor {Count} ({Shape})");
    }

    /// <summary>Cuts a host copy into pieces whose bytes a span can count.</summary>
    private struct Chunks(long count, int elementBytes)
    {
        private long _start;

        public bool Next(out int start, out int length)
        {
            start = (int)_start;
            length = (int)Math.Min(count - _start, (1 << 30) / elementBytes);
            _start += length;
            return length > 0;
        }
    }
}
