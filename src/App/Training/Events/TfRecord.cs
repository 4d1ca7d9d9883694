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
    private const int LengthBytes = sizeof(ulong);
    private const int HeaderBytes = LengthBytes + sizeof(uint);

    /// <summary>The record around some bytes.</summary>
    public static byte[] Frame(ReadOnlySpan<byte> data)
    {
        var record = new byte[HeaderBytes + data.Length + sizeof(uint)];
        BinaryPrimitives.WriteUInt64LittleEndian(record, (ulong)data.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(LengthBytes), MaskedChecksum(record.AsSpan(0, LengthBytes)));
        data.CopyTo(record.AsSpan(HeaderBytes));
        BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(HeaderBytes + data.Length), MaskedChecksum(data));
        return record;
    }

    /// <summary>The next record's bytes, checked.</summary>
    /// <param name="stream">A stream that knows its length, where a record starts or where it ends.</param>
    /// <returns>The bytes; null at the end, which a record that is not whole is taken for: its writer was stopped, or is at it.</returns>
    /// <exception cref="InvalidDataException">A checksum is another.</exception>
    public static byte[]? Read(Stream stream)
    {
        Span<byte> header = stackalloc byte[HeaderBytes];
        if (stream.ReadAtLeast(header, HeaderBytes, throwOnEndOfStream: false) < HeaderBytes)
        {
            return null;
        }

        Check(header[..LengthBytes], header[LengthBytes..]);
        var length = BinaryPrimitives.ReadUInt64LittleEndian(header);
        if (length > int.MaxValue)
        {
            throw new InvalidDataException($"a record of {length} bytes");
        }

        // Asked of the stream first: no file makes us reserve more memory than it has bytes.
        if (stream.Length - stream.Position < (long)length + sizeof(uint))
        {
            return null;
        }

        var data = new byte[length];
        Span<byte> checksum = stackalloc byte[sizeof(uint)];
        stream.ReadExactly(data);
        stream.ReadExactly(checksum);
        Check(data, checksum);
        return data;
    }

    private static void Check(ReadOnlySpan<byte> data, ReadOnlySpan<byte> checksum)
    {
        if (BinaryPrimitives.ReadUInt32LittleEndian(checksum) != MaskedChecksum(data))
        {
            throw new InvalidDataException("a record's checksum does not fit its bytes");
        }
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
