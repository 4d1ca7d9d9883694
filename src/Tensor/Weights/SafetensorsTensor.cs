// A tensor to be written: a name, a type, a shape, and bytes from an array, a device or whatever has them.
using System.Runtime.InteropServices;
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Weights;

/// <summary>A named tensor for <see cref="SafetensorsWriter"/>.</summary>
public sealed class SafetensorsTensor
{
    private readonly Action<Stream> _write;

    /// <summary>Floats of a host array.</summary>
    /// <exception cref="ArgumentException">The array does not fill the shape exactly.</exception>
    public SafetensorsTensor(string name, Shape shape, float[] data)
        : this(name, DType.Float32, shape, stream => WriteArray(stream, data), data.LongLength)
    {
    }

    /// <summary>A device tensor, read when the file is written.</summary>
    public SafetensorsTensor(string name, Tensor tensor)
        : this(name, tensor.DType, tensor.Shape, stream => WriteTensor(stream, tensor), tensor.Count)
    {
    }

    private SafetensorsTensor(string name, DType type, Shape shape, Action<Stream> write, long elements)
    {
        if (elements != shape.Count)
        {
            throw new ArgumentException($"tensor \"{name}\": {elements} elements given for shape {shape}, which holds {shape.Count}", nameof(elements));
        }

        Name = name;
        DType = type;
        Shape = shape;
        _write = write;
    }

    /// <summary>Its name.</summary>
    public string Name { get; }

    /// <summary>Its element type.</summary>
    public DType DType { get; }

    /// <summary>Its shape.</summary>
    public Shape Shape { get; }

    /// <summary>Its size in bytes.</summary>
    public long Bytes => checked(Shape.Count * DType.SizeInBytes());

    /// <summary>Elements of a host array of any element type.</summary>
    /// <exception cref="ArgumentException">The array does not fill the shape exactly.</exception>
    public static SafetensorsTensor Of<T>(string name, Shape shape, T[] data)
        where T : unmanaged
        => new(name, DTypes.Of<T>(), shape, stream => WriteArray(stream, data), data.LongLength);

    /// <summary>Elements that are produced when the file is written, so that they need never be in memory together.</summary>
    /// <param name="name">The tensor's name.</param>
    /// <param name="type">The elements' type.</param>
    /// <param name="shape">The tensor's shape.</param>
    /// <param name="write">Writes the elements, little-endian and row-major: exactly as many bytes as the shape asks for.</param>
    public static SafetensorsTensor Streamed(string name, DType type, Shape shape, Action<Stream> write) => new(name, type, shape, write, shape.Count);

    internal void WriteTo(Stream stream) => _write(stream);

    private static void WriteArray<T>(Stream stream, T[] data)
        where T : unmanaged
    {
        const int Chunk = 1 << 20;
        for (var start = 0; start < data.Length; start += Chunk)
        {
            stream.Write(MemoryMarshal.AsBytes(data.AsSpan(start, Math.Min(Chunk, data.Length - start))));
        }
    }

    private static void WriteTensor(Stream stream, Tensor tensor)
    {
        var buffer = new byte[(int)Math.Min(tensor.Bytes, 4 << 20)];
        var source = tensor.Pointer<byte>();
        for (var done = 0L; done < tensor.Bytes; done += buffer.Length)
        {
            var part = buffer.AsSpan(0, (int)Math.Min(buffer.Length, tensor.Bytes - done));
            tensor.Context.Device.CopyToHost(part, source.Offset(done), tensor.Context.Stream);
            stream.Write(part);
        }
    }
}
