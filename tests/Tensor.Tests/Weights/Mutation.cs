// Damage to a safetensors file: blind, as disks and networks do it, and knowing, as someone does who has read the format.
using System.Buffers.Binary;
using System.Text;

namespace FashionFlow.Tensors.Tests.Weights;

/// <summary>A seeded way to damage files. The same seed and files give the same bytes.</summary>
internal sealed class Mutation(ulong seed)
{
    private static readonly byte[] Telling = [0, 0x7F, 0x80, 0xC0, 0xED, 0xFF, (byte)'"', (byte)'\\', (byte)'{', (byte)'}', (byte)'[', (byte)']', (byte)',', (byte)':', (byte)'0', (byte)'-', (byte)' ', (byte)'\n'];

    private static readonly string[] Numbers =
    [
        "0", "1", "2", "-1", "-0", "00", "1.0", "1e1", "2147483647", "2147483648", "4294967296", "9223372036854775807", "9223372036854775808",
        "18446744073709551615", "18446744073709551616", "1" + new string('0', 400), "null", "\"1\"", "[1]", "",
    ];

    private static readonly string[] Types = ["BOOL", "U8", "I8", "F16", "BF16", "F32", "F64", "I64", "F8_E4M3", "F4", "C64", "F31", "f32", "F3\\u0032", ""];

    private static readonly string[] Names =
        ["x", "__metadata__", "__metadat\\u0061__", "", "\\u0000", "\\n", "\\ud800", "\\udc00\\ud800", "\\ud83d\\ude00", "\\u12", "\\q", "a\u0001", "\u202e", "\"", "dtype"];

    private static readonly string[] Values = ["null", "{}", "[]", "1", "\"F32\"", "true", "{\"a\":{\"a\":1}}", "tru", "[1,]", "//", "NaN", "{\"a\":1,\"a\":1}", "\"\\ud800\""];

    private ulong _state = seed * 0xD1342543DE82EF95;

    /// <summary>One of the files, damaged up to four times.</summary>
    public byte[] Of(IReadOnlyList<byte[]> files)
    {
        // The last file is larger than all others together, and so the rarer guest.
        byte[] Pick() => files[Below(20) == 0 ? files.Count - 1 : Below(files.Count - 1)];
        var image = Pick();
        for (var times = 1 + (Below(3) == 0 ? Below(4) : 0); times > 0; times--)
        {
            image = Below(4) == 0 ? Blind(image, Pick()) : Knowing(image);
        }

        return image;
    }

    private byte[] Blind(byte[] image, byte[] other)
    {
        if (image.Length == 0)
        {
            return other[..Below(other.Length)];
        }

        // Half of the damage goes where the header is.
        var at = Below(Below(2) == 0 ? image.Length : Math.Min(image.Length, 400));
        var end = at + Math.Min(image.Length - at, 1 + Below(Below(2) == 0 ? 16 : 400));
        var to = Below(image.Length);
        switch (Below(9))
        {
            case 0:
                return [.. image[..at], (byte)(image[at] ^ (1 << Below(8))), .. image[(at + 1)..]];
            case 1:
                return [.. image[..at], Telling[Below(Telling.Length)], .. image[(at + 1)..]];
            case 2:
                return image[..at];
            case 3:
                return [.. image[..at], .. Enumerable.Range(0, 1 + Below(9)).Select(_ => (byte)Below(256)), .. image[at..]];
            case 4:
                return [.. image[..end], .. image[at..]];
            case 5:
                return [.. image[..at], .. image[end..]];
            case 6:
                // The block changes places with as many bytes elsewhere.
                var swapped = image.ToArray();
                var length = Math.Min(end - at, image.Length - to);
                image.AsSpan(at, length).CopyTo(swapped.AsSpan(to));
                image.AsSpan(to, length).CopyTo(swapped.AsSpan(at));
                return swapped;
            case 7:
                return [.. image[..at], .. other[Below(other.Length)..]];
            default:
                return WithLength(image, length => Below(4) switch
                {
                    0 => length + (ulong)Below(17) - 8,
                    1 => (ulong)(image.Length - 8 + Below(3) - 1),
                    2 => 100_000_000UL + (ulong)Below(3) - 1,
                    _ => Next() >> Below(64),
                });
        }
    }

    /// <summary>Changes the header's text, and mostly corrects the header's length.</summary>
    private byte[] Knowing(byte[] image)
    {
        var length = image.Length < 8 ? 0 : (int)Math.Min(BinaryPrimitives.ReadUInt64LittleEndian(image), (ulong)(image.Length - 8));
        if (length == 0)
        {
            return image;
        }

        // Latin-1 keeps every byte, so that text that is not UTF-8 stays as broken as it is.
        var header = Latin(image.AsSpan(8, length));
        var changed = Change(header);
        byte[] result = [.. image[..8], .. Encoding.Latin1.GetBytes(changed), .. image[(8 + length)..]];
        return Below(10) == 0 ? result : WithLength(result, _ => (ulong)changed.Length);
    }

    private string Change(string header)
    {
        switch (Below(10))
        {
            case 0 or 1:
                // Digits stand in shapes and offsets, and in names such as F32.
                return Replace(header, Spans(header, char.IsAsciiDigit), number => Below(3) > 0 || !ulong.TryParse(number, out var value)
                    ? Numbers[Below(Numbers.Length)]
                    : Below(2) == 0 ? $"{value + 1}" : $"{value - 1}");
            case 2:
                return Replace(header, Strings(header), text => $"\"{Utf8(Names[Below(Names.Length)])}\"");
            case 3:
                return Replace(header, Strings(header), text => text[..^1] + Utf8(Names[Below(Names.Length)]) + text[^1]);
            case 4:
                // Types begin with a capital letter, names seldom.
                var types = Strings(header).FindAll(text => char.IsAsciiLetterUpper(header[text.Start.Value + 1 < header.Length ? text.Start.Value + 1 : text.Start.Value]));
                return Replace(header, Below(3) == 0 ? Strings(header) : types, text => Below(2) == 0 ? $"\"{Types[Below(Types.Length)]}\"" : text.Length > 2 ? $"\"\\u{(int)text[1]:x4}{text[2..]}" : text);
            case 5:
                // A member once more, elsewhere, or in place of another.
                var members = Members(header);
                var again = members.Count == 0 ? default : members[Below(members.Count)];
                return Replace(header, members, member => Below(2) == 0 ? member + "," + header[again] : header[again]);
            case 6:
                // Members without this one, which leaves a hole unless the tensor is empty.
                return Replace(header, Members(header), _ => "").Replace(",,", ",").Replace("{,", "{").Replace(",}", "}");
            case 7:
                return Replace(header, Members(header), member => $"{member},\"{(Below(2) == 0 ? "note" : Names[Below(4)])}\":{Nested()}");
            case 8:
                // White space is allowed between tokens, and only there.
                return Replace(header, Spans(header, character => character is ',' or ':' or '{' or '}'), text => (Below(2) == 0 ? " \t" : "\n\r") + text + (Below(5) == 0 ? "\v" : " "));
            default:
                return header + new string(Below(4) == 0 ? 'x' : ' ', Below(12));
        }
    }

    private string Nested()
    {
        if (Below(3) > 0)
        {
            return Values[Below(Values.Length)];
        }

        var depth = Below(2) == 0 ? 1 + Below(8) : 120 + Below(10);
        return string.Concat(Enumerable.Repeat(Below(2) == 0 ? "[" : "{\"a\":[", depth)) + new string(']', depth);
    }

    private string Replace(string text, List<Range> places, Func<string, string> change)
    {
        if (places.Count == 0)
        {
            return text;
        }

        var place = places[Below(places.Count)];
        return text[..place.Start] + change(text[place]) + text[place.End..];
    }

    private static List<Range> Spans(string text, Predicate<char> belongs)
    {
        var spans = new List<Range>();
        for (var i = 0; i < text.Length; i++)
        {
            var start = i;
            while (i < text.Length && belongs(text[i]))
            {
                i++;
            }

            if (i > start)
            {
                spans.Add(start..i);
            }
        }

        return spans;
    }

    private static List<Range> Strings(string text)
    {
        var strings = new List<Range>();
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] == '"')
            {
                var start = i++;
                while (i < text.Length && text[i] != '"')
                {
                    i += text[i] == '\\' ? 2 : 1;
                }

                strings.Add(start..Math.Min(i + 1, text.Length));
            }
        }

        return strings;
    }

    /// <summary>Every "name":value whose value ends, at any depth.</summary>
    private static List<Range> Members(string text)
    {
        var members = new List<Range>();
        foreach (var name in Strings(text).Where(name => name.End.Value < text.Length && text[name.End] == ':'))
        {
            var depth = 0;
            for (var i = name.End.Value; i < text.Length; i++)
            {
                depth += text[i] is '{' or '[' ? 1 : text[i] is '}' or ']' ? -1 : 0;
                if (depth < 0 || (depth == 0 && text[i] == ','))
                {
                    members.Add(name.Start..i);
                    break;
                }
            }
        }

        return members;
    }

    private static byte[] WithLength(byte[] image, Func<ulong, ulong> change)
    {
        if (image.Length < 8)
        {
            return image;
        }

        var result = image.ToArray();
        BinaryPrimitives.WriteUInt64LittleEndian(result, change(BinaryPrimitives.ReadUInt64LittleEndian(image)));
        return result;
    }

    private static string Latin(ReadOnlySpan<byte> bytes) => Encoding.Latin1.GetString(bytes);

    private static string Utf8(string text) => Latin(Encoding.UTF8.GetBytes(text));

    private int Below(int count) => (int)(Next() % (uint)Math.Max(count, 1));

    // SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
    private ulong Next()
    {
        var z = _state += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
