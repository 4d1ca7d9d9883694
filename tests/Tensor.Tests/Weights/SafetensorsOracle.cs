// What a safetensors file says, read in the plainest way: the whole header as a document, exact integers, no care for memory.
using System.Buffers.Binary;
using System.Numerics;
using System.Text;
using System.Text.Json;

namespace FashionFlow.Tensors.Tests.Weights;

/// <summary>A tensor as the oracle reads it.</summary>
internal sealed record OracleTensor(string Type, int[] Shape, int Start, int Length);

/// <summary>The second reader, to which the first is held.</summary>
internal static class SafetensorsOracle
{
    private static readonly Dictionary<string, int> Sizes = new(StringComparer.Ordinal)
    {
        ["BOOL"] = 1, ["U8"] = 1, ["I8"] = 1, ["U16"] = 2, ["I16"] = 2, ["F16"] = 2, ["BF16"] = 2,
        ["U32"] = 4, ["I32"] = 4, ["F32"] = 4, ["U64"] = 8, ["I64"] = 8, ["F64"] = 8,
    };

    /// <summary>The file's tensors, their starts counted from the file's; null if the file breaks a rule.</summary>
    public static Dictionary<string, OracleTensor>? Read(byte[] image)
    {
        try
        {
            if (image.Length < 8 || BinaryPrimitives.ReadUInt64LittleEndian(image) is var length && (length > 100_000_000 || length > (ulong)(image.Length - 8)))
            {
                return null;
            }

            var text = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true).GetString(image, 8, (int)length);
            if (!text.StartsWith('{'))
            {
                return null;
            }

            using var document = JsonDocument.Parse(text, new JsonDocumentOptions { MaxDepth = 127 });
            var members = document.RootElement.EnumerateObject().ToList();
            var isValid = IsText(document.RootElement)
                && AreDistinct(members)
                && members.Where(member => member.Name == "__metadata__").All(member => AreStrings(member.Value));
            var tensors = members.Where(member => member.Name != "__metadata__").ToDictionary(member => member.Name, member => Tensor(member.Value, 8 + (long)length));
            return isValid && Cover(tensors.Values, 8 + (long)length, image.Length) ? tensors.ToDictionary(tensor => tensor.Key, tensor => tensor.Value!) : null;
        }
        catch (Exception e) when (e is JsonException or DecoderFallbackException or InvalidOperationException or ArgumentException)
        {
            // Not UTF-8, not JSON, a value of another kind, half a surrogate pair, a name twice.
            return null;
        }
    }

    // Reading a name or a string that is no text throws.
    private static bool IsText(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => value.EnumerateObject().All(member => member.Name is not null && IsText(member.Value)),
        JsonValueKind.Array => value.EnumerateArray().All(IsText),
        JsonValueKind.String => value.GetString() is not null,
        _ => true,
    };

    private static bool AreDistinct(List<JsonProperty> members) => members.Select(member => member.Name).Distinct(StringComparer.Ordinal).Count() == members.Count;

    private static bool AreStrings(JsonElement metadata)
    {
        var members = metadata.EnumerateObject().ToList();
        return AreDistinct(members) && members.TrueForAll(member => member.Value.GetString() is not null);
    }

    private static OracleTensor? Tensor(JsonElement tensor, long data)
    {
        var fields = tensor.EnumerateObject().Where(field => field.Name is "dtype" or "shape" or "data_offsets").ToList();
        if (fields.Count != 3 || !AreDistinct(fields))
        {
            return null;
        }

        var type = tensor.GetProperty("dtype").GetString();
        var (shape, offsets) = (Numbers(tensor.GetProperty("shape")), Numbers(tensor.GetProperty("data_offsets")));
        if (type is null || !Sizes.TryGetValue(type, out var bytes) || shape is null || offsets is not [var start, var end] || shape.Exists(axis => axis > int.MaxValue))
        {
            return null;
        }

        BigInteger needed = bytes;
        foreach (var axis in shape)
        {
            needed *= axis;
            if (needed > ulong.MaxValue)
            {
                return null;
            }
        }

        return needed == end - start && data + end <= int.MaxValue ? new OracleTensor(type, [.. shape.Select(axis => (int)axis)], (int)(data + start), (int)needed) : null;
    }

    private static List<BigInteger>? Numbers(JsonElement array)
    {
        var numbers = array.EnumerateArray().Select(number => number.TryGetUInt64(out var value) ? value : (BigInteger?)null).ToList();
        return numbers.TrueForAll(number => number is not null) ? numbers.ConvertAll(number => number!.Value) : null;
    }

    // Every tensor starts where the one before ends; the first at the data's start, the last ends with the file.
    private static bool Cover(IEnumerable<OracleTensor?> tensors, long start, long end)
    {
        foreach (var tensor in tensors.OrderBy(tensor => tensor?.Start).ThenBy(tensor => tensor?.Length))
        {
            if (tensor?.Start != start)
            {
                return false;
            }

            start += tensor.Length;
        }

        return start == end;
    }
}
