// The framing of TensorFlow's record files, by which a reader knows where a record ends and whether it is whole.
using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;

namespace FashionFlow.App.Training.Events;

/// <summary>
/// A record: its length as 8 bytes, a checksum of those, its bytes, a checksum of them; all little-endian. A checksum is
/// CRC-32C (Castagnoli; RFC 3720, appendix B.4), turned and shifted so that records may hold records.
/// </summary>
internal static class TfRecord
{
    /// <summary>The record around some bytes.</summary>
    public static byte[] Frame(ReadOnlySpan<byte> data)
    {
        const int LengthBytes = sizeof(ulong);
        const int HeaderBytes = LengthBytes + sizeof(uint);
        var record = new byte[HeaderBytes + data.Length + sizeof(uint)];
        BinaryPrimitives.WriteUInt64LittleEndian(record, (ulong)data.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(LengthBytes), MaskedChecksum(record.AsSpan(0, LengthBytes)));
        data.CopyTo(record.AsSpan(HeaderBytes));
        BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(HeaderBytes + data.Length), MaskedChecksum(data));
        return record;
    }

    private static uint MaskedChecksum(ReadOnlySpan<byte> data)
    {
        var checksum = uint.MaxValue;
        var words = MemoryMarshal.Cast<byte, ulong>(data);
        foreach (var word in words)
        {
            checksum = BitOperations.Crc32C(checksum, word);
        }

        foreach (var value in data[(words.Length * sizeof(ulong))..])
        {
            checksum = BitOperations.Crc32C(checksum, value);
        }

        return unchecked(BitOperations.RotateRight(~checksum, 15) + 0xA282EAD8);
    }
}
