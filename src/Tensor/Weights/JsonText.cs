// Strings of JSON as .NET strings, at the cost of the string alone.
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace FashionFlow.Tensors.Weights;

/// <summary>
/// Reads a string or a name. <see cref="Utf8JsonReader.GetString"/> does the same, but resolves escapes in a buffer that may be
/// twice as long as the text; here a text of n bytes needs 2n bytes of memory, escapes or not.
/// </summary>
internal static class JsonText
{
    /// <summary>The text of the reader's token, whose escapes have been checked.</summary>
    public static string Read(ref Utf8JsonReader reader) => reader.ValueIsEscaped
        ? string.Create(Unescape(reader.ValueSpan, default), reader.ValueSpan, static (characters, json) => Unescape(json, characters))
        : reader.GetString()!;

    /// <summary>Refuses half of a surrogate pair, which JSON's grammar allows and no text can hold.</summary>
    /// <exception cref="JsonException">There is one.</exception>
    public static void CheckEscapes(ReadOnlySpan<byte> json)
    {
        while (json.IndexOf((byte)'\\') is var at and >= 0)
        {
            json = json[at..];
            var unit = Unit(json);
            if (char.IsHighSurrogate(unit) && json[6..] is [(byte)'\\', (byte)'u', ..] && char.IsLowSurrogate(Unit(json[6..])))
            {
                json = json[12..];
            }
            else if (char.IsSurrogate(unit))
            {
                throw new JsonException("an escape is half of a surrogate pair");
            }
            else
            {
                json = json[(json[1] == (byte)'u' ? 6 : 2)..];
            }
        }
    }

    /// <summary>Writes the characters of a JSON string, or counts them where there is no room. The reader has checked its grammar.</summary>
    private static int Unescape(ReadOnlySpan<byte> json, Span<char> characters)
    {
        var counting = characters.IsEmpty;
        var count = 0;
        while (!json.IsEmpty)
        {
            var plain = json.IndexOf((byte)'\\') is var at and >= 0 ? json[..at] : json;
            count += counting ? Encoding.UTF8.GetCharCount(plain) : Encoding.UTF8.GetChars(plain, characters[count..]);
            json = json[plain.Length..];
            if (json.IsEmpty)
            {
                break;
            }

            if (!counting)
            {
                characters[count] = Unit(json);
            }

            count++;
            json = json[(json[1] == (byte)'u' ? 6 : 2)..];
        }

        return count;
    }

    /// <summary>The UTF-16 unit that the escape at the start stands for.</summary>
    private static char Unit(ReadOnlySpan<byte> escape) => (char)(escape[1] switch
    {
        (byte)'b' => '\b',
        (byte)'f' => '\f',
        (byte)'n' => '\n',
        (byte)'r' => '\r',
        (byte)'t' => '\t',
        (byte)'u' => ushort.Parse(escape.Slice(2, 4), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture),
        var itself => itself,
    });
}
