// Writes safetensors files: the same tensors give the same bytes, and the file appears whole or not at all.
using System.Buffers;
using System.Buffers.Binary;
using System.Text.Encodings.Web;
using System.Text.Json;
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Weights;

/// <summary>The writer.</summary>
public static class SafetensorsWriter
{
    /// <summary>
    /// Writes a file, atomically. Tensors are laid out as the Rust crate does it, whatever order they are given in: types of
    /// larger elements first, so that every tensor is aligned, then by name; metadata by name; the header padded with spaces
    /// to a multiple of 8.
    /// </summary>
    /// <exception cref="SafetensorsException">Two tensors have one name, a tensor is called "__metadata__", there are too many, the header is too large, or the file cannot be written.</exception>
    public static void Write(string path, IEnumerable<SafetensorsTensor> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        var ordered = Ordered(tensors);
        var header = Header(path, ordered, metadata);
        try
        {
            AtomicFile.Write(path, stream => Write(stream, header, ordered));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SafetensorsException(SafetensorsError.Io, path, $"cannot be written: {e.Message}", e);
        }
    }

    /// <summary>Writes to a stream what <see cref="Write(string, IEnumerable{SafetensorsTensor}, IReadOnlyDictionary{string, string})"/> writes to a file.</summary>
    /// <param name="stream">The stream, which may be one that cannot seek.</param>
    /// <param name="name">What the stream is called in messages.</param>
    /// <param name="tensors">The tensors.</param>
    /// <param name="metadata">The metadata.</param>
    /// <exception cref="SafetensorsException">Two tensors have one name, a tensor is called "__metadata__", there are too many, or the header is too large.</exception>
    /// <exception cref="IOException">The stream cannot be written.</exception>
    public static void Write(Stream stream, string name, IEnumerable<SafetensorsTensor> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        var ordered = Ordered(tensors);
        Write(stream, Header(name, ordered, metadata), ordered);
    }

    private static void Write(Stream stream, byte[] header, SafetensorsTensor[] ordered)
    {
        Span<byte> length = stackalloc byte[SafetensorsHeader.LengthBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(length, (ulong)header.Length);
        stream.Write(length);
        stream.Write(header);
        foreach (var tensor in ordered)
        {
            tensor.WriteTo(stream);
        }
    }

    private static SafetensorsTensor[] Ordered(IEnumerable<SafetensorsTensor> tensors) =>
    [
        .. tensors
            .OrderByDescending(tensor => SafetensorsTypes.RankOf(tensor.DType))
            .ThenBy(tensor => tensor.Name, StringComparer.Ordinal),
    ];

    private static byte[] Header(string path, SafetensorsTensor[] tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        if (tensors.Length + (metadata?.Count ?? 0) is > SafetensorsHeader.MaxNames and var count)
        {
            throw new SafetensorsException(SafetensorsError.TooManyNames, path, $"{count} tensors and metadata are above the limit of {SafetensorsHeader.MaxNames}");
        }

        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            if (metadata is { Count: > 0 })
            {
                json.WriteStartObject("__metadata__");
                foreach (var (name, value) in metadata.OrderBy(pair => pair.Key, StringComparer.Ordinal))
                {
                    json.WriteString(name, value);
                }

                json.WriteEndObject();
            }

            var offset = 0L;
            var names = new HashSet<string>(StringComparer.Ordinal) { "__metadata__" };
            foreach (var tensor in tensors)
            {
                if (!names.Add(tensor.Name))
                {
                    throw new SafetensorsException(SafetensorsError.DuplicateName, path, $"two tensors would be called {PrintableText.Quoted(tensor.Name)}");
                }

                offset = WriteEntry(json, tensor, offset);
            }

            json.WriteEndObject();
        }

        var padding = -buffer.WrittenCount & 7;
        buffer.GetSpan(padding)[..padding].Fill((byte)' ');
        buffer.Advance(padding);
        return buffer.WrittenCount <= SafetensorsHeader.MaxBytes
            ? buffer.WrittenSpan.ToArray()
            : throw new SafetensorsException(
                SafetensorsError.HeaderTooLarge, path, $"the header would have {buffer.WrittenCount} bytes, above the limit of {SafetensorsHeader.MaxBytes}");
    }

    private static long WriteEntry(Utf8JsonWriter json, SafetensorsTensor tensor, long offset)
    {
        json.WriteStartObject(tensor.Name);
        json.WriteString("dtype", SafetensorsTypes.NameOf(tensor.DType));
        json.WriteStartArray("shape");
        foreach (var length in tensor.Shape)
        {
            json.WriteNumberValue(length);
        }

        json.WriteEndArray();
        json.WriteStartArray("data_offsets");
        json.WriteNumberValue(offset);
        offset = checked(offset + tensor.Bytes);
        json.WriteNumberValue(offset);
        json.WriteEndArray();
        json.WriteEndObject();
        return offset;
    }
}
