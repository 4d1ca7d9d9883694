// Strings of JSON as .NET strings, at the cost of the string alone.
using System.Buffers.Text;
using System.Text;
using System.Text.Json;

namespace FashionFlow.Tensors.Weights;

/// <summary>
/// Reads a string or a name. <see cref="Utf8JsonReader.GetString"/> does the same, but resolves escapes in a buffer that may be
/// twice as long as the text; here a text of n bytes needs 2n bytes of memory, escapes or not.
/// </summary>
internal static class JsonText
{
    /// <summary>The text of the reader's token.</summary>
    /// <exception cref="JsonException">An escape is half of a surrogate pair.</exception>
    public static string Read(ref Utf8JsonReader reader)
    {
        if (!reader.ValueIsEscaped)
        {
            return reader.GetString()!;
        }

        var text = string.Create(Unescape(reader.ValueSpan, default), reader.ValueSpan, static (characters, json) => Unescape(json, characters));
        for (var i = 0; i < text.Length; i++)
        {
            if (char.IsSurrogate(text[i]) && !(i + 1 < text.Length && char.IsSurrogatePair(text[i], text[++i])))
            {
                throw new JsonException("an escape is half of a surrogate pair");
            }
        }

        return text;
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
                characters[count] = (char)(json[1] switch
                {
                    (byte)'b' => '\b',
                    (byte)'f' => '\f',
                    (byte)'n' => '\n',
                    (byte)'r' => '\r',
                    (byte)'t' => '\t',
                    (byte)'u' => Utf8Parser.TryParse(json.Slice(2, 4), out ushort unit, out _, 'X') ? unit : throw new JsonException("an escape is not of four hexadecimal digits"),
                    var itself => itself,
                });
            }

            count++;
            json = json[(json[1] == (byte)'u' ? 6 : 2)..];
        }

        return count;
    }
}
