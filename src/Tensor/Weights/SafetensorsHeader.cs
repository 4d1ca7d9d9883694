// The safetensors header, read strictly: every rule of the Rust crate (safetensors/src/tensor.rs), unique names
// besides, and memory in proportion to the file.
using System.Text;
using System.Text.Json;
using System.Text.Unicode;
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Weights;

/// <summary>
/// A parsed header. The format: 8 bytes of header length n, little-endian; n bytes of JSON, an object of tensors by name
/// ({"dtype", "shape", "data_offsets"}) and optionally "__metadata__", strings by name; then the tensors' bytes without
/// overlap, hole or rest. Nothing that the header says is believed before it is checked.
/// </summary>
internal sealed class SafetensorsHeader
{
    /// <summary>The bytes of the header's length.</summary>
    public const int LengthBytes = 8;

    /// <summary>The largest header allowed.</summary>
    public const long MaxBytes = 100_000_000;

    /// <summary>
    /// The most tensors and metadata together. Every one costs some 170 bytes besides its text, which for the shortest is
    /// three times what it takes in the file: this bounds what a hostile header can make of that. Files of whole language
    /// models hold some ten thousand tensors.
    /// </summary>
    public const int MaxNames = 250_000;

    private const string MetadataName = "__metadata__";

    // The depth of nesting at which serde_json, which the crate reads with, gives up (its limit of 128 is not reached).
    private static readonly JsonReaderOptions s_options = new() { MaxDepth = 127 };

    private readonly string _path;
    private readonly Dictionary<string, string> _metadata;
    private readonly Dictionary<string, SafetensorsEntry> _tensors;

    private SafetensorsHeader(string path, int metadata, int tensors)
    {
        _path = path;
        _metadata = new(metadata, StringComparer.Ordinal);
        _tensors = new(tensors, StringComparer.Ordinal);
    }

    public IReadOnlyDictionary<string, string> Metadata => _metadata;

    public IReadOnlyDictionary<string, SafetensorsEntry> Tensors => _tensors;

    /// <summary>Checks the header's length against the file's.</summary>
    public static int CheckLength(string path, ulong headerBytes, long fileBytes)
    {
        if (headerBytes > MaxBytes)
        {
            throw new SafetensorsException(SafetensorsError.HeaderTooLarge, path, $"a header of {headerBytes} bytes is above the limit of {MaxBytes}; is this a safetensors file?");
        }

        if ((long)headerBytes > fileBytes - LengthBytes)
        {
            throw new SafetensorsException(
                SafetensorsError.InvalidHeaderLength, path, $"the header should have {headerBytes} bytes, but the file ends after {fileBytes - LengthBytes}; it was cut short");
        }

        return (int)headerBytes;
    }

    /// <summary>
    /// Parses and checks a header against the number of bytes that follow it. What it allocates is at most twice the header
    /// (UTF-8 becomes UTF-16, an axis of two bytes an integer of four) and 16 MiB.
    /// </summary>
    public static SafetensorsHeader Parse(string path, ReadOnlySpan<byte> json, long dataBytes)
    {
        if (!Utf8.IsValid(json))
        {
            throw new SafetensorsException(SafetensorsError.InvalidHeader, path, "the header is not UTF-8");
        }

        if (json.IsEmpty || json[0] != (byte)'{')
        {
            throw new SafetensorsException(SafetensorsError.InvalidHeaderStart, path, "the header does not start with \"{\"");
        }

        try
        {
            var (tensors, metadata) = Count(json);
            if (tensors + metadata > MaxNames)
            {
                throw new SafetensorsException(
                    SafetensorsError.TooManyNames, path, $"{tensors} tensors and {metadata} metadata are together above the limit of {MaxNames}");
            }

            var header = new SafetensorsHeader(path, metadata, tensors);
            header.ReadObject(json);
            header.Validate(dataBytes);
            return header;
        }
        catch (JsonException e)
        {
            throw new SafetensorsException(SafetensorsError.InvalidHeaderDeserialization, path, $"the header is not valid JSON: {e.Message}", e);
        }
    }

    /// <summary>Walks through all of the JSON, which checks its grammar and its text, and counts, so that nothing need grow later.</summary>
    private static (int Tensors, int Metadata) Count(ReadOnlySpan<byte> json)
    {
        var reader = new Utf8JsonReader(json, s_options);
        var (tensors, metadata, inMetadata) = (0, 0, false);
        while (IsLiteralWhole(json[(int)reader.BytesConsumed..]) && reader.Read())
        {
            if (reader.TokenType is JsonTokenType.PropertyName or JsonTokenType.String && reader.ValueIsEscaped)
            {
                JsonText.CheckEscapes(reader.ValueSpan);
            }

            if (reader.TokenType == JsonTokenType.PropertyName)
            {
                if (reader.CurrentDepth == 1)
                {
                    inMetadata = reader.ValueTextEquals(MetadataName);
                    tensors += inMetadata ? 0 : 1;
                }
                else if (reader.CurrentDepth == 2 && inMetadata)
                {
                    metadata++;
                }
            }
        }

        return (tensors, metadata);
    }

    /// <summary>Refuses a misspelt true, false or null. The reader would too, but with a message that cites all the rest of the header, twice in memory.</summary>
    private static bool IsLiteralWhole(ReadOnlySpan<byte> rest)
    {
        rest = rest.TrimStart(" \t\r\n,:"u8);
        var isWhole = rest is not [(byte)'t' or (byte)'f' or (byte)'n', ..] || rest.StartsWith("true"u8) || rest.StartsWith("false"u8) || rest.StartsWith("null"u8);
        return isWhole
            ? true
            : throw new JsonException($"{Cite(rest)} is no value");
    }

    private void ReadObject(ReadOnlySpan<byte> json)
    {
        var reader = new Utf8JsonReader(json, s_options);
        reader.Read();
        var hasMetadata = false;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (!reader.ValueTextEquals(MetadataName))
            {
                var name = JsonText.Read(ref reader);
                if (!_tensors.TryAdd(name, ReadEntry(ref reader, json, name)))
                {
                    throw Fail(SafetensorsError.DuplicateName, $"tensor {PrintableText.Quoted(name)} occurs twice");
                }
            }
            else if (hasMetadata)
            {
                throw Fail(SafetensorsError.DuplicateName, "\"__metadata__\" occurs twice");
            }
            else
            {
                hasMetadata = true;
                ReadMetadata(ref reader);
            }
        }
    }

    private void ReadMetadata(ref Utf8JsonReader reader)
    {
        if (!NextIs(ref reader, JsonTokenType.StartObject))
        {
            throw Fail(SafetensorsError.InvalidHeaderDeserialization, "\"__metadata__\" is not an object");
        }

        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var name = JsonText.Read(ref reader);
            if (!NextIs(ref reader, JsonTokenType.String))
            {
                throw Fail(SafetensorsError.InvalidHeaderDeserialization, $"metadata {PrintableText.Quoted(name)} is not a string");
            }

            if (!_metadata.TryAdd(name, JsonText.Read(ref reader)))
            {
                throw Fail(SafetensorsError.DuplicateName, $"metadata {PrintableText.Quoted(name)} occurs twice");
            }
        }
    }

    private SafetensorsEntry ReadEntry(ref Utf8JsonReader reader, ReadOnlySpan<byte> json, string tensor)
    {
        if (!NextIs(ref reader, JsonTokenType.StartObject))
        {
            throw Fail(SafetensorsError.InvalidHeaderDeserialization, $"tensor {PrintableText.Quoted(tensor)} is not described by an object");
        }

        (DType? type, (ulong Start, ulong End)? offsets) = (null, null);

        // Where the axes' JSON starts: they are read once the type is known, to one array of the right length.
        var shape = -1;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("dtype"u8))
            {
                RefuseSecond(type is not null, tensor, "dtype");
                type = ReadType(ref reader, tensor);
            }
            else if (reader.ValueTextEquals("shape"u8))
            {
                RefuseSecond(shape >= 0, tensor, "shape");
                reader.Read();
                shape = (int)reader.TokenStartIndex;
                reader.Skip();
            }
            else if (reader.ValueTextEquals("data_offsets"u8))
            {
                RefuseSecond(offsets is not null, tensor, "data_offsets");
                offsets = ReadOffsets(ref reader, tensor);
            }
            else
            {
                reader.Skip();
            }
        }

        if (type is null || shape < 0 || offsets is not var (start, end))
        {
            throw Fail(
                SafetensorsError.InvalidHeaderDeserialization, $"tensor {PrintableText.Quoted(tensor)} needs \"dtype\", \"shape\" and \"data_offsets\"");
        }

        return end < start || end > long.MaxValue
            ? throw Fail(SafetensorsError.InvalidOffset, $"tensor {PrintableText.Quoted(tensor)} goes from byte {start} to byte {end}")
            : new SafetensorsEntry(tensor, type.Value, ReadShape(json[shape..], tensor, type.Value, end - start), (long)start, (long)(end - start));
    }

    private DType ReadType(ref Utf8JsonReader reader, string tensor)
    {
        if (!NextIs(ref reader, JsonTokenType.String))
        {
            throw Fail(SafetensorsError.InvalidHeaderDeserialization, $"tensor {PrintableText.Quoted(tensor)}: \"dtype\" is not a string");
        }

        if (SafetensorsTypes.TryParse(ref reader, out var type))
        {
            return type;
        }

        var name = JsonText.Read(ref reader);
        throw SafetensorsTypes.IsUnsupported(name)
            ? Fail(SafetensorsError.UnsupportedType, $"tensor {PrintableText.Quoted(tensor)} has element type {name}, which is not supported")
            : Fail(SafetensorsError.UnknownType, $"tensor {PrintableText.Quoted(tensor)} has element type {PrintableText.Quoted(name)}, which the format does not have");
    }

    private (ulong Start, ulong End) ReadOffsets(ref Utf8JsonReader reader, string tensor)
    {
        reader.Read();
        RequireArray(ref reader, tensor, "data_offsets");
        Span<ulong> offsets = stackalloc ulong[2];
        var count = 0;
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            var number = ReadNumber(ref reader, tensor, "data_offsets");
            if (count == offsets.Length)
            {
                count = -1;
                break;
            }

            offsets[count++] = number;
        }

        return count == offsets.Length
            ? (offsets[0], offsets[1])
            : throw Fail(SafetensorsError.InvalidHeaderDeserialization, $"tensor {PrintableText.Quoted(tensor)} needs \"data_offsets\" of two numbers");
    }

    /// <summary>Reads the axes at the start of <paramref name="json"/>, and holds them to the bytes that the tensor has.</summary>
    private Shape ReadShape(ReadOnlySpan<byte> json, string tensor, DType type, ulong bytes)
    {
        // Two walks over the numbers, since the array's length is known only after the first.
        var reader = new Utf8JsonReader(json, s_options);
        reader.Read();
        RequireArray(ref reader, tensor, "shape");
        var (rank, needed, longest) = (0, (ulong?)(uint)type.SizeInBytes(), 0UL);
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            var length = ReadNumber(ref reader, tensor, "shape");
            needed = needed is { } product && Math.BigMul(product, length, out var low) == 0 ? low : null;
            longest = Math.Max(longest, length);
            rank++;
        }

        json = json[..(int)reader.BytesConsumed];
        if (needed is null)
        {
            throw Fail(SafetensorsError.ValidationOverflow, $"tensor {PrintableText.Quoted(tensor)} of shape {Cite(json)} has more than 2^64 bytes");
        }

        if (needed != bytes)
        {
            throw Fail(
                SafetensorsError.TensorInvalidInfo,
                $"tensor {PrintableText.Quoted(tensor)} of shape {Cite(json)} and type {SafetensorsTypes.NameOf(type)} needs {needed} bytes, its offsets give it {bytes}");
        }

        if (longest > int.MaxValue)
        {
            throw Fail(SafetensorsError.ValidationOverflow, $"tensor {PrintableText.Quoted(tensor)} of shape {Cite(json)} has an axis above 2^31 - 1");
        }

        if (rank == 0)
        {
            return [];
        }

        var lengths = new int[rank];
        reader = new Utf8JsonReader(json, s_options);
        reader.Read();
        foreach (ref var length in lengths.AsSpan())
        {
            reader.Read();
            length = reader.GetInt32();
        }

        return Shape.Keep(lengths);
    }

    private ulong ReadNumber(ref Utf8JsonReader reader, string tensor, string field)
        => reader.TokenType == JsonTokenType.Number && reader.TryGetUInt64(out var number)
            ? number
            : throw Fail(
                SafetensorsError.InvalidHeaderDeserialization,
                $"tensor {PrintableText.Quoted(tensor)}: \"{field}\" holds something other than whole numbers from 0");

    private void RequireArray(ref Utf8JsonReader reader, string tensor, string field)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
        {
            throw Fail(SafetensorsError.InvalidHeaderDeserialization, $"tensor {PrintableText.Quoted(tensor)}: \"{field}\" is not an array");
        }
    }

    private void RefuseSecond(bool isSecond, string tensor, string field)
    {
        if (isSecond)
        {
            throw Fail(SafetensorsError.DuplicateName, $"tensor {PrintableText.Quoted(tensor)} has \"{field}\" twice");
        }
    }

    private void Validate(long dataBytes)
    {
        SafetensorsEntry[] entries = [.. _tensors.Values];
        Array.Sort(entries, (a, b) => (a.Offset, a.Length).CompareTo((b.Offset, b.Length)));
        var end = 0L;
        foreach (var entry in entries)
        {
            if (entry.Offset != end)
            {
                var what = entry.Offset < end ? "overlaps another" : "leaves a hole before it";
                throw Fail(
                    SafetensorsError.InvalidOffset,
                    $"tensor {PrintableText.Quoted(entry.Name)} {what}: it starts at byte {entry.Offset}, the one before ends at {end}");
            }

            // Offset and Length are at most 2^63 - 1 in sum: both come from data_offsets, whose end was checked.
            end = entry.Offset + entry.Length;
        }

        if (end != dataBytes)
        {
            var what = end > dataBytes ? "the file was cut short" : "something follows the last tensor";
            throw Fail(SafetensorsError.MetadataIncompleteBuffer, $"the tensors take {end} bytes, but {dataBytes} follow the header: {what}");
        }
    }

    private static bool NextIs(ref Utf8JsonReader reader, JsonTokenType type) => reader.Read() && reader.TokenType == type;

    /// <summary>The start of a piece of the header, for a message.</summary>
    private static string Cite(ReadOnlySpan<byte> json)
        => PrintableText.Of(Encoding.UTF8.GetString(json[..Math.Min(json.Length, PrintableText.MessageLength + 1)]), PrintableText.MessageLength);

    private SafetensorsException Fail(SafetensorsError error, string detail) => new(error, _path, detail);
}
