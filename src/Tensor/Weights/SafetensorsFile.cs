// A safetensors file in memory-mapped form: tensors are read where they lie, without a copy of the file.
using System.Buffers.Binary;
using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Weights;

/// <summary>
/// An open safetensors file. All rules of the format are checked when it is opened. Spans point into the mapping and must
/// not be used after disposal; the file must not be shortened while it is open.
/// </summary>
public sealed unsafe class SafetensorsFile : IDisposable
{
    private readonly string _path;
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private readonly SafetensorsHeader _header;
    private byte* _data;

    private SafetensorsFile(string path, MemoryMappedFile file, long fileBytes)
    {
        _path = path;
        _file = file;
        _view = file.CreateViewAccessor(0, fileBytes, MemoryMappedFileAccess.Read);
        byte* start = null;
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
        _data = start;
        try
        {
            start += _view.PointerOffset;
            var headerBytes = BinaryPrimitives.ReadUInt64LittleEndian(new ReadOnlySpan<byte>(start, SafetensorsHeader.LengthBytes));
            var length = SafetensorsHeader.CheckLength(path, headerBytes, fileBytes);
            _data = start + SafetensorsHeader.LengthBytes + length;
            _header = SafetensorsHeader.Parse(
                path, new ReadOnlySpan<byte>(start + SafetensorsHeader.LengthBytes, length), fileBytes - SafetensorsHeader.LengthBytes - length);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>What the file says of itself.</summary>
    public IReadOnlyDictionary<string, string> Metadata => _header.Metadata;

    /// <summary>The tensors by name.</summary>
    public IReadOnlyDictionary<string, SafetensorsEntry> Tensors => _header.Tensors;

    /// <summary>Opens and checks a file.</summary>
    /// <exception cref="SafetensorsException">It cannot be opened, or breaks a rule of the format.</exception>
    public static SafetensorsFile Open(string path)
    {
        MemoryMappedFile file;
        long bytes;
        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read);
            bytes = stream.Length;
            if (bytes < SafetensorsHeader.LengthBytes)
            {
                throw new SafetensorsException(SafetensorsError.HeaderTooSmall, path, $"a file of {bytes} bytes is no safetensors file");
            }

            file = MemoryMappedFile.CreateFromFile(stream, mapName: null, capacity: 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException)
        {
            throw new SafetensorsException(SafetensorsError.Io, path, e is FileNotFoundException or DirectoryNotFoundException ? "there is no such file" : $"cannot be read: {e.Message}", e);
        }

        return new SafetensorsFile(path, file, bytes);
    }

    /// <summary>A tensor's bytes, in the mapping.</summary>
    /// <exception cref="SafetensorsException">There is no such tensor, or it has 2 GiB or more.</exception>
    public ReadOnlySpan<byte> Bytes(string name)
    {
        var entry = Entry(name);
        return entry.Length <= int.MaxValue
            ? Slice(entry, 0, (int)entry.Length)
            : throw new SafetensorsException(SafetensorsError.InvalidTensorView, _path, $"tensor \"{name}\" of {entry.Length} bytes is too large for one span");
    }

    /// <summary>A tensor's elements as floats: exactly from F32, F16 and BF16, rounded to nearest even from F64.</summary>
    /// <exception cref="SafetensorsException">There is no such tensor, or it holds no floating-point numbers.</exception>
    public float[] ReadFloat32(string name)
    {
        var bytes = Bytes(name);
        return Entry(name).DType switch
        {
            DType.Float32 => MemoryMarshal.Cast<byte, float>(bytes).ToArray(),
            DType.Float64 => Convert<double>(bytes, value => (float)value),
            DType.Float16 => Convert<Half>(bytes, value => (float)value),
            DType.BFloat16 => Convert<ushort>(bytes, value => BitConverter.UInt32BitsToSingle((uint)value << 16)),
            var type => throw new SafetensorsException(SafetensorsError.InvalidTensorView, _path, $"tensor \"{name}\" holds {type}, not floating-point numbers"),
        };
    }

    /// <summary>Loads a tensor to a device in its own element type, straight from the mapping.</summary>
    /// <exception cref="SafetensorsException">There is no such tensor.</exception>
    public Tensor Load(DeviceContext context, string name)
    {
        const int Chunk = 1 << 30;
        var entry = Entry(name);
        var tensor = Tensor.Empty(context, entry.Shape, entry.DType);
        var destination = tensor.Pointer<byte>();
        for (var done = 0L; done < entry.Length; done += Chunk)
        {
            var length = (int)Math.Min(Chunk, entry.Length - done);
            context.Device.CopyToDevice(destination.Offset(done), Slice(entry, done, length), context.Stream);
        }

        return tensor;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_data != null)
        {
            _data = null;
            _view.SafeMemoryMappedViewHandle.ReleasePointer();
        }

        _view.Dispose();
        _file.Dispose();
    }

    private static float[] Convert<T>(ReadOnlySpan<byte> bytes, Func<T, float> toFloat)
        where T : unmanaged
    {
        var source = MemoryMarshal.Cast<byte, T>(bytes);
        var result = new float[source.Length];
        for (var i = 0; i < source.Length; i++)
        {
            result[i] = toFloat(source[i]);
        }

        return result;
    }

    private SafetensorsEntry Entry(string name)
        => _header.Tensors.TryGetValue(name, out var entry)
            ? entry
            : throw new SafetensorsException(SafetensorsError.TensorNotFound, _path, $"there is no tensor \"{name}\"");

    /// <summary>Bytes of an entry. The header's checks put every entry inside the mapping.</summary>
    private ReadOnlySpan<byte> Slice(SafetensorsEntry entry, long start, int length)
    {
        ObjectDisposedException.ThrowIf(_data == null, this);
        return new ReadOnlySpan<byte>(_data + entry.Offset + start, length);
    }
}
