// A safetensors file in memory-mapped form: tensors are read where they lie, without a copy of the file.
using System.Buffers.Binary;
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Weights;

/// <summary>
/// An open safetensors file. All rules of the format are checked when it is opened. Spans point into the mapping and must
/// not be used after disposal. The file must not be shortened while it is open: Windows forbids that, but on Unix the system
/// ends a program that reads a mapped page which is gone (SIGBUS), and no check here could prevent it.
/// </summary>
/// <remarks>
/// A tensor may start at any byte. Writers align it (the crate by sorting types and padding the header), but the format does
/// not ask for it, and the crate reads such files too. Nothing here therefore looks at the mapping as elements: bytes are
/// copied, or read one element at a time. <see cref="IsAligned"/> tells a caller who would rather cast a span.
/// </remarks>
public sealed class SafetensorsFile : WeightFile
{
    // What is given out or copied at a time.
    private const int Chunk = 1 << 30;

    private readonly string _path;
    private readonly MappedFile _file;
    private readonly SafetensorsHeader _header;
    private readonly long _data;

    private SafetensorsFile(string path, MappedFile file)
    {
        (_path, _file) = (path, file);
        if (file.Length < SafetensorsHeader.LengthBytes)
        {
            throw new SafetensorsException(SafetensorsError.HeaderTooSmall, path, $"a file of {file.Length} bytes is no safetensors file");
        }

        // Text, read as the header's length, is far too large for one.
        if (FileKind.Describe(file) is { } kind)
        {
            throw new SafetensorsException(SafetensorsError.HeaderTooLarge, path, kind);
        }

        var headerBytes = BinaryPrimitives.ReadUInt64LittleEndian(file.Slice(0, SafetensorsHeader.LengthBytes));
        var length = SafetensorsHeader.CheckLength(path, headerBytes, file.Length);
        _data = SafetensorsHeader.LengthBytes + length;
        _header = SafetensorsHeader.Parse(path, file.Slice(SafetensorsHeader.LengthBytes, length), file.Length - _data);
    }

    /// <inheritdoc/>
    public override string Path => _path;

    /// <inheritdoc/>
    public override string Format => "safetensors";

    /// <inheritdoc/>
    public override IEnumerable<WeightEntry> Entries => _header.Tensors.Values.OrderBy(entry => entry.Offset).ThenBy(entry => entry.Length);

    /// <inheritdoc/>
    public override IEnumerable<KeyValuePair<string, string>> Notes => Metadata;

    /// <summary>What the file says of itself.</summary>
    public IReadOnlyDictionary<string, string> Metadata => _header.Metadata;

    /// <summary>The tensors by name.</summary>
    public IReadOnlyDictionary<string, SafetensorsEntry> Tensors => _header.Tensors;

    /// <summary>
    /// Opens and checks a file. Memory is allocated for names, shapes and metadata alone: at most twice the file's size and
    /// 16 MiB, whatever the file says of itself.
    /// </summary>
    /// <exception cref="SafetensorsException">It cannot be opened, or breaks a rule of the format.</exception>
    public static new SafetensorsFile Open(string path)
        => MappedFile.Open(path, file => new SafetensorsFile(path, file), (detail, cause) => new SafetensorsException(SafetensorsError.Io, path, detail, cause));

    /// <summary>Whether a tensor starts, in memory as in the file, at a multiple of its element's size.</summary>
    /// <exception cref="SafetensorsException">There is no such tensor.</exception>
    public bool IsAligned(string name)
    {
        var entry = Entry(name);
        return _file.AddressOf(_data + entry.Offset) % (nuint)entry.DType.SizeInBytes() == 0;
    }

    /// <summary>A tensor's bytes, in the mapping.</summary>
    /// <exception cref="SafetensorsException">There is no such tensor, or it has 2 GiB or more.</exception>
    public ReadOnlySpan<byte> Bytes(string name)
    {
        var entry = Entry(name);
        return entry.Length <= int.MaxValue
            ? Slice(entry, 0, (int)entry.Length)
            : throw new SafetensorsException(SafetensorsError.InvalidTensorView, _path, $"tensor {PrintableText.Quoted(name)} of {entry.Length} bytes is too large for one span");
    }

    /// <summary>Some of a tensor's bytes, in the mapping: how a tensor of any size is read piece by piece.</summary>
    /// <exception cref="SafetensorsException">There is no such tensor.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The tensor does not have these bytes.</exception>
    public ReadOnlySpan<byte> Bytes(string name, long start, int length)
    {
        var entry = Entry(name);
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, entry.Length - start);
        return Slice(entry, start, length);
    }

    /// <inheritdoc/>
    public override WeightEntry? Find(string name) => _header.Tensors.GetValueOrDefault(name);

    /// <inheritdoc/>
    public override void Read(string name, Action<ReadOnlySpan<byte>> take)
    {
        ArgumentNullException.ThrowIfNull(take);
        var entry = Entry(name);
        for (var done = 0L; done < entry.Length; done += Chunk)
        {
            take(Slice(entry, done, (int)Math.Min(Chunk, entry.Length - done)));
        }

        _file.Release(_data + entry.Offset, entry.Length);
    }

    /// <summary>Loads a tensor to a device in its own element type, straight from the mapping.</summary>
    /// <exception cref="SafetensorsException">There is no such tensor.</exception>
    public Tensor Load(DeviceContext context, string name)
    {
        var entry = Entry(name);
        var tensor = Tensor.Empty(context, entry.Shape, entry.DType);
        CopyToDevice(entry, tensor);
        return tensor;
    }

    /// <summary>Loads a tensor into memory that is there already, bit for bit.</summary>
    /// <exception cref="SafetensorsException">There is no such tensor, or it is of another type or shape.</exception>
    public void Load(string name, Tensor destination)
    {
        Require(name, destination.DType, destination.Shape);
        destination.MarkWritten();
        CopyToDevice(Entry(name), destination);
    }

    /// <summary>Checks that the file holds a tensor as it is wanted.</summary>
    /// <exception cref="SafetensorsException">There is no such tensor, or it is of another type or shape.</exception>
    public void Require(string name, DType type, Shape shape)
    {
        var entry = Entry(name);
        if (entry.DType != type || entry.Shape != shape)
        {
            throw new SafetensorsException(
                SafetensorsError.InvalidTensorView,
                _path,
                $"tensor {PrintableText.Quoted(name)} is {entry.TypeName} {PrintableText.Of(entry.Shape.ToString(), PrintableText.MessageLength)}, not {SafetensorsTypes.NameOf(type)} {shape}");
        }
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => _file.Dispose();

    /// <inheritdoc/>
    protected override WeightFileException Missing(string name) => new SafetensorsException(SafetensorsError.TensorNotFound, _path, $"there is no tensor {PrintableText.Quoted(name)}");

    /// <inheritdoc/>
    protected override WeightFileException WrongType(WeightEntry entry)
        => new SafetensorsException(SafetensorsError.InvalidTensorView, _path, $"tensor {PrintableText.Quoted(entry.Name)} holds {entry.DType}, not floating-point numbers");

    /// <summary>What the header says of a tensor, or the error that there is none.</summary>
    internal SafetensorsEntry Entry(string name)
        => _header.Tensors.TryGetValue(name, out var entry)
            ? entry
            : throw Missing(name);

    private void CopyToDevice(SafetensorsEntry entry, Tensor tensor)
    {
        var destination = tensor.Pointer<byte>();
        for (var done = 0L; done < entry.Length; done += Chunk)
        {
            var length = (int)Math.Min(Chunk, entry.Length - done);
            tensor.Context.Device.CopyToDevice(destination.Offset(done), Slice(entry, done, length), tensor.Context.Stream);
        }
    }

    /// <summary>Bytes of an entry. The header's checks put every entry inside the mapping.</summary>
    private ReadOnlySpan<byte> Slice(SafetensorsEntry entry, long start, int length) => _file.Slice(_data + entry.Offset + start, length);
}
