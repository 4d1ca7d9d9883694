// Text that came from a file, made fit for one line of a message or of a terminal.
using System.Globalization;
using System.Text;

namespace FashionFlow.Tensors.Weights;

/// <summary>
/// Names and metadata are whatever the maker of a file chose. Printed as they are, a line break would forge a second message,
/// an escape sequence would steer the terminal, and a mark of writing direction would show letters in another order.
/// </summary>
public static class PrintableText
{
    /// <summary>The most characters of a text that a message shows.</summary>
    public const int MessageLength = 100;

    /// <summary>
    /// The text with every control character, formatting mark, line or paragraph separator and unpaired surrogate written as
    /// <c>\uXXXX</c>, and cut, with an ellipsis at its end, where it is longer than <paramref name="most"/> characters.
    /// </summary>
    public static string Of(string text, int most = int.MaxValue)
    {
        var cut = text.Length <= most ? text.Length : char.IsHighSurrogate(text[most - 1]) ? most - 1 : most;
        var result = new StringBuilder(cut);
        for (var i = 0; i < cut; i++)
        {
            if (char.IsHighSurrogate(text[i]) && i + 1 < cut && char.IsLowSurrogate(text[i + 1]))
            {
                // Formatting marks live beyond the first plane too (tags of languages).
                var pair = text.AsSpan(i++, 2);
                _ = CharUnicodeInfo.GetUnicodeCategory(char.ConvertToUtf32(pair[0], pair[1])) == UnicodeCategory.Format
                    ? Escape(Escape(result, pair[0]), pair[1])
                    : result.Append(pair);
                continue;
            }

            _ = char.GetUnicodeCategory(text[i]) is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator
                or UnicodeCategory.ParagraphSeparator or UnicodeCategory.Surrogate
                ? Escape(result, text[i])
                : result.Append(text[i]);
        }

        return cut == text.Length ? result.ToString() : result.Append('…').ToString();
    }

    /// <summary>The text for a message: in quotes, and not longer than a message can bear.</summary>
    internal static string Quoted(string text) => $"\"{Of(text, MessageLength)}\"";

    private static StringBuilder Escape(StringBuilder result, char character) => result.Append(CultureInfo.InvariantCulture, $"\\u{(int)character:x4}");
}
