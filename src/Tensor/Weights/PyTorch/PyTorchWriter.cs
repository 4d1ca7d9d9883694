// Writes what torch.load reads: a state dictionary in a zip archive, as PyTorch 1.6 and later save it.
using System.Buffers.Binary;
using System.Globalization;
using System.IO.Hashing;
using System.Text;
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Weights;

/// <summary>
/// Writes tensors as the <c>OrderedDict</c> of a state dictionary, each with a storage of its own, contiguous; also
/// <c>torch.load(weights_only=True)</c> reads it. The same tensors give the same bytes.
/// </summary>
public static class PyTorchWriter
{
    private const string Folder = "archive";
    private const int Alignment = 64;
    private const int LocalBytes = 30;
    private const ushort Version = 45;

    /// <summary>Writes an archive.</summary>
    /// <param name="stream">A stream that can seek: checksums are written behind what they are of.</param>
    /// <param name="name">What it is called in messages.</param>
    /// <param name="tensors">The tensors, in the order of the dictionary.</param>
    /// <exception cref="PyTorchFileException">Two tensors have one name, or an element type that PyTorch's storages have not.</exception>
    /// <exception cref="IOException">The stream cannot be written.</exception>
    public static void Write(Stream stream, string name, IReadOnlyList<SafetensorsTensor> tensors)
    {
        ArgumentNullException.ThrowIfNull(stream);
        ArgumentNullException.ThrowIfNull(tensors);
        if (tensors.GroupBy(t => t.Name, StringComparer.Ordinal).FirstOrDefault(g => g.Count() > 1) is { } twice)
        {
            throw new PyTorchFileException(PyTorchFileError.InvalidPickle, name, $"two tensors are called {PrintableText.Quoted(twice.Key)}");
        }

        var pickle = Pickle(name, tensors);
        var directory = new List<(string Name, long Offset, long Length, uint Checksum)>();
        Record("data.pkl", pickle.Length, s => s.Write(pickle));
        Record("byteorder", 6, s => s.Write("little"u8));
        for (var i = 0; i < tensors.Count; i++)
        {
            Record(string.Create(CultureInfo.InvariantCulture, $"data/{i}"), tensors[i].Bytes, tensors[i].WriteTo);
        }

        Record("version", 2, s => s.Write("3\n"u8));
        Directory(stream, directory);

        void Record(string record, long length, Action<Stream> write)
        {
            var full = Encoding.UTF8.GetBytes($"{Folder}/{record}");
            var start = stream.Position;

            // An extra field fills up to a multiple of 64, so that a reader may map what follows.
            var padding = (int)((Alignment - ((start + LocalBytes + full.Length + 4) % Alignment)) % Alignment);
            var header = new byte[LocalBytes + full.Length + 4 + padding];
            "PK\u0003\u0004"u8.CopyTo(header);
            BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(4), Version);
            BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(18), uint.CreateSaturating(length));
            BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(22), uint.CreateSaturating(length));
            BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(26), (ushort)full.Length);
            BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(28), (ushort)(4 + padding));
            full.CopyTo(header, LocalBytes);
            "FB"u8.CopyTo(header.AsSpan(LocalBytes + full.Length));
            BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(LocalBytes + full.Length + 2), (ushort)padding);
            header.AsSpan(LocalBytes + full.Length + 4).Fill((byte)'Z');
            stream.Write(header);
            var content = new SummingStream(stream);
            write(content);
            if (content.Written != length)
            {
                throw new InvalidOperationException($"{record}: {content.Written} bytes were written where {length} were to be");
            }

            var end = stream.Position;
            Span<byte> checksum = stackalloc byte[sizeof(uint)];
            BinaryPrimitives.WriteUInt32LittleEndian(checksum, content.Checksum);
            stream.Position = start + 14;
            stream.Write(checksum);
            stream.Position = end;
            directory.Add(($"{Folder}/{record}", start, length, content.Checksum));
        }
    }

    // Always with zip64's numbers, so that there is one form for all sizes.
    private static void Directory(Stream stream, List<(string Name, long Offset, long Length, uint Checksum)> records)
    {
        var start = stream.Position;
        using var writer = new BinaryWriter(stream, Encoding.UTF8, leaveOpen: true);
        foreach (var (name, offset, length, checksum) in records)
        {
            var bytes = Encoding.UTF8.GetBytes(name);
            writer.Write("PK\u0001\u0002"u8);
            Shorts(Version, Version, 0, 0, 0, 0);
            writer.Write(checksum);
            writer.Write(uint.MaxValue);
            writer.Write(uint.MaxValue);
            Shorts((ushort)bytes.Length, 28, 0, 0, 0);
            writer.Write(0);
            writer.Write(uint.MaxValue);
            writer.Write(bytes);
            Shorts(1, 24);
            writer.Write(length);
            writer.Write(length);
            writer.Write(offset);
        }

        writer.Flush();
        var end = stream.Position;
        writer.Write("PK\u0006\u0006"u8);
        writer.Write(44L);
        Shorts(Version, Version);
        writer.Write(0L);
        writer.Write((long)records.Count);
        writer.Write((long)records.Count);
        writer.Write(end - start);
        writer.Write(start);
        writer.Write("PK\u0006\u0007"u8);
        writer.Write(0);
        writer.Write(end);
        writer.Write(1);
        writer.Write("PK\u0005\u0006"u8);
        Shorts(0, 0, ushort.MaxValue, ushort.MaxValue);
        writer.Write(uint.MaxValue);
        writer.Write(uint.MaxValue);
        Shorts(0);

        void Shorts(params ReadOnlySpan<ushort> numbers)
        {
            foreach (var number in numbers)
            {
                writer.Write(number);
            }
        }
    }

    private static byte[] Pickle(string file, IReadOnlyList<SafetensorsTensor> tensors)
    {
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream);
        writer.Write([0x80, 2]);
        Global("collections", "OrderedDict");
        Text(")R(");
        for (var i = 0; i < tensors.Count; i++)
        {
            var tensor = tensors[i];
            Unicode(tensor.Name);
            Global("torch._utils", "_rebuild_tensor_v2");
            Text("((");
            Unicode("storage");
            Global("torch", StorageOf(file, tensor.DType));
            Unicode(string.Create(CultureInfo.InvariantCulture, $"{i}"));
            Unicode("cpu");
            Integer(tensor.Shape.Count);
            Text("tQ");
            Integer(0);
            Text("(");
            foreach (var length in tensor.Shape.Lengths)
            {
                Integer(length);
            }

            Text("t(");
            for (var axis = 0; axis < tensor.Shape.Rank; axis++)
            {
                Integer(tensor.Shape.CountBetween(axis + 1, tensor.Shape.Rank));
            }

            Text("t");
            writer.Write((byte)0x89);
            Global("collections", "OrderedDict");
            Text(")RtR");
        }

        Text("u.");
        writer.Flush();
        return stream.ToArray();

        void Text(string ascii) => writer.Write(Encoding.ASCII.GetBytes(ascii));

        void Global(string module, string name) => Text($"c{module}\n{name}\n");

        void Unicode(string text)
        {
            var bytes = Encoding.UTF8.GetBytes(text);
            writer.Write((byte)'X');
            writer.Write(bytes.Length);
            writer.Write(bytes);
        }

        void Integer(long value)
        {
            if (value <= int.MaxValue)
            {
                writer.Write((byte)'J');
                writer.Write((int)value);
            }
            else
            {
                writer.Write([0x8a, sizeof(long)]);
                writer.Write(value);
            }
        }
    }

    private static string StorageOf(string file, DType type) => PickleGlobal.StorageOf(type)
        ?? throw new PyTorchFileException(PyTorchFileError.UnsupportedType, file, $"PyTorch's storages have no elements of type {type}");

    /// <summary>Passes bytes on and sums them up.</summary>
    private sealed class SummingStream(Stream inner) : Stream
    {
        private readonly Crc32 _sum = new();

        public long Written { get; private set; }

        public uint Checksum => _sum.GetCurrentHashAsUInt32();

        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            inner.Write(buffer);
            _sum.Append(buffer);
            Written += buffer.Length;
        }

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override void Flush() => inner.Flush();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();
    }
}
