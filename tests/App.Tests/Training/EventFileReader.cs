// Reads event files by the published formats alone, with none of the code that writes them: record framing, CRC-32C bit by bit,
// and protocol buffers' wire format.
using System.Buffers.Binary;
using System.Text;

namespace FashionFlow.App.Tests.Training;

/// <summary>One event as it lies in the file.</summary>
/// <param name="WallTime">Field 1.</param>
/// <param name="Step">Field 2.</param>
/// <param name="FileVersion">Field 3.</param>
/// <param name="SessionStatus">Field 1 of field 7.</param>
/// <param name="Values">Field 1 of field 5.</param>
internal sealed record StoredEvent(double WallTime, long Step, string? FileVersion, long? SessionStatus, IReadOnlyList<StoredValue> Values);

/// <summary>One value of a summary.</summary>
internal sealed record StoredValue(string Tag, float? Scalar, StoredImage? Image);

/// <summary>A picture.</summary>
internal sealed record StoredImage(long Height, long Width, long Colorspace, byte[] Encoded);

/// <summary>The reader.</summary>
internal static class EventFileReader
{
    /// <summary>All events of a file; fails on anything that is not whole or not as it should be.</summary>
    public static List<StoredEvent> Read(string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        var events = new List<StoredEvent>();
        for (var at = 0; at < bytes.Length;)
        {
            var length = (int)BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(at));
            CheckMasked(bytes.AsSpan(at, 8), bytes.AsSpan(at + 8, 4));
            var data = bytes.AsSpan(at + 12, length);
            CheckMasked(data, bytes.AsSpan(at + 12 + length, 4));
            events.Add(EventOf(Fields(data)));
            at += length + 16;
        }

        return events;
    }

    /// <summary>CRC-32C from its definition: the polynomial 0x1EDC6F41, bits reflected, all bits turned before and after.</summary>
    public static uint Crc32C(ReadOnlySpan<byte> data)
    {
        var checksum = uint.MaxValue;
        foreach (var value in data)
        {
            checksum ^= value;
            for (var bit = 0; bit < 8; bit++)
            {
                checksum = (checksum >> 1) ^ ((checksum & 1) * 0x82F63B78);
            }
        }

        return ~checksum;
    }

    private static void CheckMasked(ReadOnlySpan<byte> data, ReadOnlySpan<byte> stored)
    {
        var checksum = Crc32C(data);
        var masked = unchecked(((checksum >> 15) | (checksum << 17)) + 0xA282EAD8);
        Assert.That(BinaryPrimitives.ReadUInt32LittleEndian(stored), Is.EqualTo(masked), "masked checksum");
    }

    private static StoredEvent EventOf(List<Field> fields) => new(
        fields.Single(f => f.Number == 1).Double,
        fields.SingleOrDefault(f => f.Number == 2)?.Varint ?? 0,
        fields.SingleOrDefault(f => f.Number == 3)?.Text,
        fields.SingleOrDefault(f => f.Number == 7) is { } session ? Fields(session.Bytes).SingleOrDefault(f => f.Number == 1)?.Varint ?? 0 : null,
        fields.SingleOrDefault(f => f.Number == 5) is { } summary ? [.. Fields(summary.Bytes).Select(f => ValueOf(Fields(f.Bytes)))] : []);

    private static StoredValue ValueOf(List<Field> fields) => new(
        fields.Single(f => f.Number == 1).Text,
        fields.SingleOrDefault(f => f.Number == 2)?.Single,
        fields.SingleOrDefault(f => f.Number == 4) is { } image ? ImageOf(Fields(image.Bytes)) : null);

    private static StoredImage ImageOf(List<Field> fields) => new(
        fields.Single(f => f.Number == 1).Varint, fields.Single(f => f.Number == 2).Varint, fields.Single(f => f.Number == 3).Varint, fields.Single(f => f.Number == 4).Bytes);

    private static List<Field> Fields(ReadOnlySpan<byte> message)
    {
        var fields = new List<Field>();
        while (!message.IsEmpty)
        {
            var key = Varint(ref message);
            var length = (key & 7) switch { 0 => 0, 1 => 8, 2 => (int)Varint(ref message), 5 => 4, var wire => throw new InvalidDataException($"wire type {wire}") };
            var varint = (key & 7) == 0 ? Varint(ref message) : 0;
            fields.Add(new Field((int)(key >> 3), varint, message[..length].ToArray()));
            message = message[length..];
        }

        return fields;
    }

    private static long Varint(ref ReadOnlySpan<byte> message)
    {
        var value = 0UL;
        for (var shift = 0; ; shift += 7)
        {
            var next = message[0];
            message = message[1..];
            value |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80)
            {
                return (long)value;
            }
        }
    }

    private sealed record Field(int Number, long Varint, byte[] Bytes)
    {
        public double Double => BinaryPrimitives.ReadDoubleLittleEndian(Bytes);

        public float Single => BinaryPrimitives.ReadSingleLittleEndian(Bytes);

        public string Text => new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(Bytes);
    }
}
