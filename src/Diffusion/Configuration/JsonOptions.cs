// Reads options from a JSON object so that a wrong one is named: type, unknown key, place.
using System.Text.Json;

namespace FashionFlow.Diffusion;

/// <summary>One JSON object being read as options. Every key must be read or known to be of no interest.</summary>
internal sealed class JsonOptions
{
    private readonly JsonElement _object;
    private readonly string _where;
    private readonly HashSet<string> _read = new(StringComparer.Ordinal);

    public JsonOptions(JsonElement element, string where)
    {
        _where = where;
        _object = element.ValueKind == JsonValueKind.Object ? element : throw new ModelException($"{where}: expected a JSON object, not {Kind(element)}");
    }

    public static JsonOptions Parse(string json, string where)
    {
        try
        {
            using var document = JsonDocument.Parse(json, new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true });
            return new JsonOptions(document.RootElement.Clone(), where);
        }
        catch (JsonException e)
        {
            throw new ModelException($"{where}: not valid JSON at line {e.LineNumber + 1}, byte {e.BytePositionInLine}", e);
        }
    }

    public JsonOptions? Section(string key) => Find(key) is { } value ? new JsonOptions(value, $"{_where}: {key}") : null;

    public int Int(string key, int fallback, int minimum = 1)
        => Find(key) is { } value ? CheckedInt(key, value, minimum) : fallback;

    public ulong? UInt64(string key)
        => Find(key) is { } value
            ? (value.ValueKind == JsonValueKind.Number && value.TryGetUInt64(out var number) ? number : throw Wrong(key, "a whole number from 0", value))
            : null;

    public double Double(string key, double fallback)
        => Find(key) is { } value
            ? (value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && double.IsFinite(number) ? number : throw Wrong(key, "a number", value))
            : fallback;

    public bool Bool(string key, bool fallback)
        => Find(key) is { } value ? CheckedBool(key, value) : fallback;

    public string? Text(string key)
        => Find(key) is { } value ? (value.ValueKind == JsonValueKind.String ? value.GetString() : throw Wrong(key, "a text", value)) : null;

    /// <summary>One of an enumeration's words; null where the key is not there.</summary>
    public T? Word<T>(string key)
        where T : struct, Enum
    {
        if (Text(key) is not { } word)
        {
            return null;
        }

        var values = Enum.GetValues<T>();
        var at = Array.FindIndex(values, v => EnumWord.Of(v) == word);
        return at >= 0
            ? values[at]
            : throw Error($"{key} is \"{word}\"; possible are {string.Join(", ", values[..^1].Select(v => $"\"{EnumWord.Of(v)}\""))} and \"{EnumWord.Of(values[^1])}\"");
    }

    /// <summary>A list; one number stands for the same at each of <paramref name="count"/> levels.</summary>
    public IReadOnlyList<int> Ints(string key, IReadOnlyList<int> fallback, int? count = null, int minimum = 1)
        => Find(key) is { } value ? List(key, value, count, v => CheckedInt(key, v, minimum)) : Repeated(fallback, count);

    /// <inheritdoc cref="Ints"/>
    public IReadOnlyList<bool> Bools(string key, IReadOnlyList<bool> fallback, int? count = null)
        => Find(key) is { } value ? List(key, value, count, v => CheckedBool(key, v)) : Repeated(fallback, count);

    /// <summary>Fails if the value is there and another one: the model runs with this one alone.</summary>
    public void Only(string key, string supported)
    {
        if (Text(key) is { } value && value != supported)
        {
            throw new ModelException($"{_where}: {key} is \"{value}\", but only \"{supported}\" is supported");
        }
    }

    /// <summary>Fails on a key that was not read, unless it is one of these: what other programs write and we need not know.</summary>
    public void RejectUnknown(params ReadOnlySpan<string> ofNoInterest)
    {
        foreach (var property in _object.EnumerateObject())
        {
            if (!_read.Contains(property.Name) && !ofNoInterest.Contains(property.Name))
            {
                throw new ModelException($"{_where}: unknown key \"{property.Name}\"; known are {string.Join(", ", _read.Order(StringComparer.Ordinal))}");
            }
        }
    }

    public ModelException Error(string message) => new($"{_where}: {message}");

    private static string Kind(JsonElement value) => value.ValueKind.ToString().ToLowerInvariant();

    private static IReadOnlyList<T> Repeated<T>(IReadOnlyList<T> fallback, int? count)
        => count is null || fallback.Count == count ? fallback : [.. Enumerable.Range(0, count.Value).Select(i => fallback[Math.Min(i, fallback.Count - 1)])];

    private List<T> List<T>(string key, JsonElement value, int? count, Func<JsonElement, T> read)
    {
        if (value.ValueKind != JsonValueKind.Array)
        {
            return count is { } times ? [.. Enumerable.Repeat(read(value), times)] : throw Wrong(key, "a list", value);
        }

        var list = value.EnumerateArray().Select(read).ToList();
        return count is null || list.Count == count ? list : throw Error($"{key} has {list.Count} entries, but there are {count} levels");
    }

    private int CheckedInt(string key, JsonElement value, int minimum)
        => value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number) && number >= minimum
            ? number
            : throw Wrong(key, $"a whole number from {minimum}", value);

    private bool CheckedBool(string key, JsonElement value)
        => value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw Wrong(key, "true or false", value);

    private ModelException Wrong(string key, string expected, JsonElement value) => Error($"{key} must be {expected}, not {value.GetRawText()}");

    private JsonElement? Find(string key)
    {
        _read.Add(key);
        return _object.TryGetProperty(key, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;
    }
}
