// What the formats of weights have in common: named tensors that are read one at a time.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Weights;

/// <summary>A tensor in a file.</summary>
/// <param name="Name">Its name, unique in the file.</param>
/// <param name="DType">Its element type.</param>
/// <param name="Shape">Its shape.</param>
public abstract record WeightEntry(string Name, DType DType, Shape Shape)
{
    /// <summary>The name of its element type as safetensors has it, such as F32.</summary>
    public string TypeName => SafetensorsTypes.NameOf(DType);

    /// <summary>The size of its elements.</summary>
    public long Bytes => Shape.Count * DType.SizeInBytes();
}

/// <summary>A file of weights, or several that belong together, open for reading. Nothing in it is run.</summary>
public abstract class WeightFile : IDisposable
{
    // What is converted at a time.
    private const int PieceElements = 1 << 14;

    /// <summary>The file's path as it was given.</summary>
    public abstract string Path { get; }

    /// <summary>The format's name, for people.</summary>
    public abstract string Format { get; }

    /// <summary>All tensors, in the file's order.</summary>
    public abstract IEnumerable<WeightEntry> Entries { get; }

    /// <summary>What the file says beside its tensors, as text.</summary>
    public abstract IEnumerable<KeyValuePair<string, string>> Notes { get; }

    /// <summary>
    /// Opens a file of any format that is read: safetensors, an index of several safetensors or PyTorch files
    /// (<c>*.index.json</c>), or what <c>torch.save</c> writes. The content decides, not the name.
    /// </summary>
    /// <exception cref="WeightFileException">It cannot be opened, or is not what it should be.</exception>
    public static WeightFile Open(string path)
    {
        if (path.EndsWith(ShardedWeightFile.Extension, StringComparison.Ordinal))
        {
            return ShardedWeightFile.Open(path);
        }

        Span<byte> start = stackalloc byte[4];
        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
            start = start[..stream.ReadAtLeast(start, start.Length, throwOnEndOfStream: false)];
        }
        catch (Exception e) when (MappedFile.IsFileError(e))
        {
            throw new SafetensorsException(SafetensorsError.Io, path, MappedFile.Describe(e), e);
        }

        // A safetensors header of 2 GB and more would be needed to look like either.
        return start.StartsWith("PK"u8) || (start.Length > 1 && start[0] == 0x80 && start[1] is >= 1 and <= 5) ? PyTorchFile.Open(path) : SafetensorsFile.Open(path);
    }

    /// <summary>A tensor of the file; null if there is none of that name.</summary>
    public abstract WeightEntry? Find(string name);

    /// <summary>Gives a tensor's elements out in pieces of whole elements, little-endian and row-major.</summary>
    /// <param name="name">The tensor.</param>
    /// <param name="take">Gets a piece, which is valid during the call.</param>
    /// <exception cref="WeightFileException">There is no such tensor, or its elements are damaged.</exception>
    public abstract void Read(string name, Action<ReadOnlySpan<byte>> take);

    /// <summary>Writes a tensor's elements to a stream, little-endian and row-major.</summary>
    /// <exception cref="WeightFileException">There is no such tensor, or its elements are damaged.</exception>
    public void CopyTo(string name, Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        Read(name, stream.Write);
    }

    /// <summary>Writes a floating-point tensor's elements as another floating-point type, rounded to nearest, ties to even.</summary>
    /// <exception cref="WeightFileException">There is no such tensor, or its elements are damaged.</exception>
    /// <exception cref="ArgumentException">One of the types is no floating-point type, or the wanted one is Float64.</exception>
    public void CopyTo(string name, Stream stream, DType type)
    {
        ArgumentNullException.ThrowIfNull(stream);
        var from = Require(name).DType;
        if (from == type)
        {
            CopyTo(name, stream);
            return;
        }

        var numbers = new float[PieceElements];
        var bytes = new byte[PieceElements * sizeof(float)];
        ReadPieces(name, PieceElements, piece =>
        {
            var part = numbers.AsSpan(0, piece.Length / from.SizeInBytes());
            FloatingPoint.ToFloat32(from, piece, part);
            stream.Write(bytes.AsSpan(0, FloatingPoint.FromFloat32(type, part, bytes)));
        });
    }

    /// <summary>A tensor's elements as floats: exactly from F32, F16 and BF16, rounded to nearest even from F64.</summary>
    /// <exception cref="WeightFileException">There is no such tensor, or it holds no floating-point numbers.</exception>
    public float[] ReadFloat32(string name)
    {
        var entry = Require(name);
        if (!entry.DType.IsFloatingPoint())
        {
            throw WrongType(entry);
        }

        var result = new float[entry.Shape.Count];
        var done = 0;
        Read(name, bytes =>
        {
            var count = bytes.Length / entry.DType.SizeInBytes();
            FloatingPoint.ToFloat32(entry.DType, bytes, result.AsSpan(done, count));
            done += count;
        });
        return result;
    }

    /// <summary>As <see cref="Read"/>, in pieces of at most so many elements.</summary>
    internal void ReadPieces(string name, int elements, Action<ReadOnlySpan<byte>> take)
    {
        var most = elements * Require(name).DType.SizeInBytes();
        Read(name, piece =>
        {
            for (var done = 0; done < piece.Length; done += most)
            {
                take(piece.Slice(done, int.Min(piece.Length - done, most)));
            }
        });
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Closes the file.</summary>
    protected abstract void Dispose(bool disposing);

    /// <summary>The format's error for a tensor that is not there.</summary>
    protected abstract WeightFileException Missing(string name);

    /// <summary>The format's error for a tensor that holds no floating-point numbers.</summary>
    protected abstract WeightFileException WrongType(WeightEntry entry);

    /// <summary>A tensor of the file.</summary>
    /// <exception cref="WeightFileException">There is none of that name.</exception>
    internal WeightEntry Require(string name) => Find(name) ?? throw Missing(name);
}

/// <summary>The floating-point types of files, to float and back.</summary>
internal static class FloatingPoint
{
    /// <summary>Elements, which may lie at any byte, as floats.</summary>
    public static void ToFloat32(DType type, ReadOnlySpan<byte> bytes, Span<float> values)
    {
        switch (type)
        {
            case DType.Float32:
                bytes.CopyTo(MemoryMarshal.AsBytes(values));
                break;
            case DType.Float64:
                Each<double>(bytes, values, v => (float)v);
                break;
            case DType.Float16:
                Each<Half>(bytes, values, v => (float)v);
                break;
            case DType.BFloat16:
                Each<BFloat16>(bytes, values, v => v);
                break;
            default:
                throw new ArgumentException($"{type} is no floating-point type", nameof(type));
        }
    }

    /// <summary>Floats as elements, to nearest, ties to even.</summary>
    /// <returns>How many bytes they take.</returns>
    public static int FromFloat32(DType type, ReadOnlySpan<float> values, Span<byte> bytes)
    {
        switch (type)
        {
            case DType.Float32:
                MemoryMarshal.AsBytes(values).CopyTo(bytes);
                return values.Length * sizeof(float);
            case DType.Float16:
                for (var i = 0; i < values.Length; i++)
                {
                    BitConverter.TryWriteBytes(bytes[(i * 2)..], (Half)values[i]);
                }

                return values.Length * 2;
            case DType.BFloat16:
                for (var i = 0; i < values.Length; i++)
                {
                    BitConverter.TryWriteBytes(bytes[(i * 2)..], BFloat16.FromSingle(values[i]).Bits);
                }

                return values.Length * 2;
            default:
                throw new ArgumentException($"{type} is not written from floats", nameof(type));
        }
    }

    private static void Each<T>(ReadOnlySpan<byte> bytes, Span<float> values, Func<T, float> toFloat)
        where T : unmanaged
    {
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = toFloat(MemoryMarshal.Read<T>(bytes[(i * Unsafe.SizeOf<T>())..]));
        }
    }
}
