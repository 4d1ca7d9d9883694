// The safetensors header, read strictly: every rule of the Rust crate (safetensors/src/tensor.rs), and unique names besides.
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

    private readonly string _path;

    private SafetensorsHeader(string path) => _path = path;

    public Dictionary<string, string> Metadata { get; } = new(StringComparer.Ordinal);

    public Dictionary<string, SafetensorsEntry> Tensors { get; } = new(StringComparer.Ordinal);

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

    /// <summary>Parses and checks a header against the number of bytes that follow it.</summary>
    public static SafetensorsHeader Parse(string path, ReadOnlySpan<byte> json, long dataBytes)
    {
        var header = new SafetensorsHeader(path);
        if (!Utf8.IsValid(json))
        {
            throw header.Fail(SafetensorsError.InvalidHeader, "the header is not UTF-8");
        }

        if (json.IsEmpty || json[0] != (byte)'{')
        {
            throw header.Fail(SafetensorsError.InvalidHeaderStart, "the header does not start with \"{\"");
        }

        try
        {
            header.ReadObject(json);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // InvalidOperationException: an escape that is no character, such as half a surrogate pair.
            throw new SafetensorsException(SafetensorsError.InvalidHeaderDeserialization, path, $"the header is not valid JSON: {FirstLine(e.Message)}", e);
        }

        header.Validate(dataBytes);
        return header;
    }

    private static string FirstLine(string text) => text.AsSpan().IndexOfAny('\r', '\n') is var end and >= 0 ? text[..end] : text;

    private void ReadObject(ReadOnlySpan<byte> json)
    {
        var reader = new Utf8JsonReader(json);
        reader.Read();
        var hasMetadata = false;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var name = reader.GetString()!;
            if (name == "__metadata__")
            {
                if (hasMetadata)
                {
                    throw Fail(SafetensorsError.DuplicateName, "\"__metadata__\" occurs twice");
                }

                hasMetadata = true;
                ReadMetadata(ref reader);
            }
            else if (!Tensors.TryAdd(name, ReadEntry(ref reader, name)))
            {
                throw Fail(SafetensorsError.DuplicateName, $"tensor \"{name}\" occurs twice");
            }
        }

        // One more read makes the reader refuse anything but white space after the object.
        reader.Read();
    }

    private void ReadMetadata(ref Utf8JsonReader reader)
    {
        Expect(ref reader, JsonTokenType.StartObject, "\"__metadata__\" is not an object");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var name = reader.GetString()!;
            Expect(ref reader, JsonTokenType.String, $"metadata \"{name}\" is not a string");
            if (!Metadata.TryAdd(name, reader.GetString()!))
            {
                throw Fail(SafetensorsError.DuplicateName, $"metadata \"{name}\" occurs twice");
            }
        }
    }

    private SafetensorsEntry ReadEntry(ref Utf8JsonReader reader, string tensor)
    {
        Expect(ref reader, JsonTokenType.StartObject, $"tensor \"{tensor}\" is not described by an object");
        (string? typeName, List<ulong>? shape, List<ulong>? offsets) = (null, null, null);
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var field = reader.GetString()!;
            var isNew = field switch
            {
                "dtype" => typeName is null,
                "shape" => shape is null,
                "data_offsets" => offsets is null,
                _ => true,
            };
            if (!isNew)
            {
                throw Fail(SafetensorsError.DuplicateName, $"tensor \"{tensor}\" has \"{field}\" twice");
            }

            switch (field)
            {
                case "dtype":
                    Expect(ref reader, JsonTokenType.String, $"tensor \"{tensor}\": \"dtype\" is not a string");
                    typeName = reader.GetString()!;
                    break;
                case "shape":
                    shape = ReadNumbers(ref reader, tensor, field);
                    break;
                case "data_offsets":
                    offsets = ReadNumbers(ref reader, tensor, field);
                    break;
                default:
                    reader.Skip();
                    break;
            }
        }

        if (typeName is null || shape is null || offsets is not [var start, var end])
        {
            throw Fail(
                SafetensorsError.InvalidHeaderDeserialization,
                $"tensor \"{tensor}\" needs \"dtype\", \"shape\" and \"data_offsets\" of two numbers");
        }

        if (!SafetensorsTypes.TryParse(typeName, out var type))
        {
            throw Fail(SafetensorsError.UnsupportedType, $"tensor \"{tensor}\" has element type {typeName}, which is not supported");
        }

        if (end < start || end > long.MaxValue)
        {
            throw Fail(SafetensorsError.InvalidOffset, $"tensor \"{tensor}\" goes from byte {start} to byte {end}");
        }

        return new SafetensorsEntry(tensor, type, ShapeOf(tensor, shape, type, (long)(end - start)), (long)start, (long)(end - start));
    }

    private List<ulong> ReadNumbers(ref Utf8JsonReader reader, string tensor, string field)
    {
        Expect(ref reader, JsonTokenType.StartArray, $"tensor \"{tensor}\": \"{field}\" is not an array");
        var numbers = new List<ulong>();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetUInt64(out var number))
            {
                throw Fail(SafetensorsError.InvalidHeaderDeserialization, $"tensor \"{tensor}\": \"{field}\" holds something other than whole numbers from 0");
            }

            numbers.Add(number);
        }

        return numbers;
    }

    private Shape ShapeOf(string tensor, List<ulong> lengths, DType type, long bytes)
    {
        ulong needed;
        try
        {
            needed = lengths.Aggregate((ulong)type.SizeInBytes(), (product, length) => checked(product * length));
        }
        catch (OverflowException)
        {
            throw Fail(SafetensorsError.ValidationOverflow, $"tensor \"{tensor}\" of shape [{string.Join(", ", lengths)}] has more than 2^64 bytes");
        }

        if (needed != (ulong)bytes)
        {
            throw Fail(
                SafetensorsError.TensorInvalidInfo,
                $"tensor \"{tensor}\" of shape [{string.Join(", ", lengths)}] and type {SafetensorsTypes.NameOf(type)} needs {needed} bytes, its offsets give it {bytes}");
        }

        return lengths.TrueForAll(length => length <= int.MaxValue)
            ? new Shape([.. lengths.Select(length => (int)length)])
            : throw Fail(SafetensorsError.ValidationOverflow, $"tensor \"{tensor}\" of shape [{string.Join(", ", lengths)}] has an axis above 2^31 - 1");
    }

    private void Validate(long dataBytes)
    {
        var end = 0L;
        foreach (var entry in Tensors.Values.OrderBy(entry => entry.Offset).ThenBy(entry => entry.Length))
        {
            if (entry.Offset != end)
            {
                var what = entry.Offset < end ? "overlaps another" : "leaves a hole before it";
                throw Fail(SafetensorsError.InvalidOffset, $"tensor \"{entry.Name}\" {what}: it starts at byte {entry.Offset}, the one before ends at {end}");
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

    private void Expect(ref Utf8JsonReader reader, JsonTokenType type, string otherwise)
    {
        if (!reader.Read() || reader.TokenType != type)
        {
            throw Fail(SafetensorsError.InvalidHeaderDeserialization, otherwise);
        }
    }

    private SafetensorsException Fail(SafetensorsError error, string detail) => new(error, _path, detail);
}
