// The directory of a zip archive whose records are stored as they are, so that they can be read where they lie.
using System.Buffers.Binary;
using System.Text;

namespace FashionFlow.Tensors.Weights;

/// <summary>A record of an archive.</summary>
/// <param name="Offset">Where its bytes start in the file.</param>
/// <param name="Length">How many they are.</param>
/// <param name="Checksum">Their CRC-32.</param>
internal sealed record ZipRecord(long Offset, long Length, uint Checksum);

/// <summary>
/// Reads an archive's directory (PKWARE's APPNOTE 6.3.10, sections 4.3 to 4.5, with zip64). <c>torch.save</c> stores
/// records without compression; .NET's own reader would give streams of them, but not their places in the file.
/// </summary>
internal static class ZipDirectory
{
    private const int EndBytes = 22;
    private const int LongestComment = ushort.MaxValue;
    private const int Zip64LocatorBytes = 20;
    private const int Zip64EndBytes = 56;
    private const int EntryBytes = 46;
    private const int LocalBytes = 30;
    private const int RecordBytes = 256;
    private const int Encrypted = 1;

    /// <summary>Whether a file starts as an archive does.</summary>
    public static bool IsZip(MappedFile file) => file.Length >= 4 && file.Slice(0, 4).SequenceEqual("PK\u0003\u0004"u8);

    /// <summary>The records by name.</summary>
    /// <exception cref="PyTorchFileException">The archive is damaged, or has what is not read.</exception>
    public static Dictionary<string, ZipRecord> Read(string path, MappedFile file, PickleBudget budget)
    {
        var end = FindEnd(path, file);
        var last = file.Slice(end, EndBytes);
        var (count, size, start) = (
            (long)BinaryPrimitives.ReadUInt16LittleEndian(last[10..]), (long)BinaryPrimitives.ReadUInt32LittleEndian(last[12..]), (long)BinaryPrimitives.ReadUInt32LittleEndian(last[16..]));
        if (BinaryPrimitives.ReadUInt16LittleEndian(last[4..]) is not (0 or ushort.MaxValue))
        {
            throw Damaged(path, "it is one of several parts");
        }

        var directoryEnd = end;
        if (end >= Zip64LocatorBytes && file.Slice(end - Zip64LocatorBytes, 4).SequenceEqual("PK\u0006\u0007"u8))
        {
            directoryEnd = Signed(path, file.Slice(end - Zip64LocatorBytes + 8, 8));
            if (directoryEnd > end - Zip64LocatorBytes - Zip64EndBytes || !file.Slice(directoryEnd, 4).SequenceEqual("PK\u0006\u0006"u8))
            {
                throw Damaged(path, "the place of its directory is wrong");
            }

            var zip64 = file.Slice(directoryEnd, Zip64EndBytes);
            (count, size, start) = (Signed(path, zip64[32..]), Signed(path, zip64[40..]), Signed(path, zip64[48..]));
        }

        if (start > directoryEnd || size != directoryEnd - start || count > size / EntryBytes)
        {
            throw Damaged(path, "its directory is not where it should be");
        }

        var records = new Dictionary<string, ZipRecord>(StringComparer.Ordinal);
        var at = start;
        for (var i = 0L; i < count; i++)
        {
            at += ReadEntry(path, file, at, directoryEnd, start, records, budget);
        }

        return at == directoryEnd ? records : throw Damaged(path, "its directory has another length than it says");
    }

    private static long ReadEntry(
        string path, MappedFile file, long at, long directoryEnd, long recordsEnd, Dictionary<string, ZipRecord> records, PickleBudget budget)
    {
        if (directoryEnd - at < EntryBytes || !file.Slice(at, 4).SequenceEqual("PK\u0001\u0002"u8))
        {
            throw Damaged(path, "its directory is damaged");
        }

        var entry = file.Slice(at, EntryBytes);
        var (flags, method, checksum) = (
            BinaryPrimitives.ReadUInt16LittleEndian(entry[8..]), BinaryPrimitives.ReadUInt16LittleEndian(entry[10..]), BinaryPrimitives.ReadUInt32LittleEndian(entry[16..]));
        var (stored, length, local) = (
            (long)BinaryPrimitives.ReadUInt32LittleEndian(entry[20..]), (long)BinaryPrimitives.ReadUInt32LittleEndian(entry[24..]), (long)BinaryPrimitives.ReadUInt32LittleEndian(entry[42..]));
        int nameLength = BinaryPrimitives.ReadUInt16LittleEndian(entry[28..]), extraLength = BinaryPrimitives.ReadUInt16LittleEndian(entry[30..]);
        var total = EntryBytes + nameLength + extraLength + BinaryPrimitives.ReadUInt16LittleEndian(entry[32..]);
        if (total > directoryEnd - at)
        {
            throw Damaged(path, "its directory is damaged");
        }

        budget.Take(RecordBytes + (2L * nameLength));
        var nameBytes = file.Slice(at + EntryBytes, nameLength);
        var name = Encoding.UTF8.GetString(nameBytes);
        ReadZip64(path, file.Slice(at + EntryBytes + nameLength, extraLength), ref length, ref stored, ref local);
        if ((flags & Encrypted) != 0 || method != 0)
        {
            throw new PyTorchFileException(
                PyTorchFileError.UnsupportedFormat, path, $"record {PrintableText.Quoted(name)} is {(method != 0 ? "compressed" : "encrypted")}, which torch.save does not do");
        }

        // The record itself repeats its name before its bytes.
        if (stored != length || local > recordsEnd - LocalBytes - nameLength || !file.Slice(local, 4).SequenceEqual("PK\u0003\u0004"u8))
        {
            throw Damaged(path, $"record {PrintableText.Quoted(name)} is not where it should be");
        }

        var header = file.Slice(local, LocalBytes);
        var offset = local + LocalBytes + nameLength + BinaryPrimitives.ReadUInt16LittleEndian(header[28..]);
        if (BinaryPrimitives.ReadUInt16LittleEndian(header[26..]) != nameLength
            || BinaryPrimitives.ReadUInt16LittleEndian(header[8..]) != method
            || !file.Slice(local + LocalBytes, nameLength).SequenceEqual(nameBytes)
            || offset > recordsEnd
            || length > recordsEnd - offset)
        {
            throw Damaged(path, $"record {PrintableText.Quoted(name)} is not where it should be");
        }

        return records.TryAdd(name, new ZipRecord(offset, length, checksum)) ? total : throw Damaged(path, $"record {PrintableText.Quoted(name)} is there twice");
    }

    // Numbers of 32 bits that are all ones stand in an extra field, in this order.
    private static void ReadZip64(string path, ReadOnlySpan<byte> extra, ref long length, ref long stored, ref long local)
    {
        while (extra.Length >= 4)
        {
            int id = BinaryPrimitives.ReadUInt16LittleEndian(extra), size = BinaryPrimitives.ReadUInt16LittleEndian(extra[2..]);
            if (size > extra.Length - 4)
            {
                break;
            }

            if (id == 1)
            {
                var numbers = extra.Slice(4, size);
                Replace(path, ref numbers, ref length);
                Replace(path, ref numbers, ref stored);
                Replace(path, ref numbers, ref local);
                return;
            }

            extra = extra[(4 + size)..];
        }

        static void Replace(string path, ref ReadOnlySpan<byte> numbers, ref long value)
        {
            if (value != uint.MaxValue)
            {
                return;
            }

            if (numbers.Length < sizeof(ulong))
            {
                throw Damaged(path, "its directory is damaged");
            }

            value = Signed(path, numbers);
            numbers = numbers[sizeof(ulong)..];
        }
    }

    // The last record of an archive is followed by a comment of any length, which may hold anything.
    private static long FindEnd(string path, MappedFile file)
    {
        var from = long.Max(0, file.Length - EndBytes - LongestComment);
        var tail = file.Slice(from, (int)(file.Length - from));
        for (var i = tail.Length - EndBytes; i >= 0; i--)
        {
            if (tail[i..].StartsWith("PK\u0005\u0006"u8) && BinaryPrimitives.ReadUInt16LittleEndian(tail[(i + 20)..]) == tail.Length - EndBytes - i)
            {
                return from + i;
            }
        }

        throw Damaged(path, "its end is missing: the file was cut off, perhaps by a download that broke");
    }

    private static long Signed(string path, ReadOnlySpan<byte> bytes) => BinaryPrimitives.ReadInt64LittleEndian(bytes) is >= 0 and var value
        ? value
        : throw Damaged(path, "a place or a length in it passes 63 bits");

    private static PyTorchFileException Damaged(string path, string detail) => new(PyTorchFileError.InvalidArchive, path, $"the archive is damaged: {detail}");
}
