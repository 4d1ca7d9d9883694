// Writes pickles and the archives around them by hand, so that tests can make any file, right or wrong.
using System.Buffers.Binary;
using System.IO.Hashing;
using System.Text;

namespace FashionFlow.Tensors.Tests.Weights;

/// <summary>Puts a pickle of protocol 2 together, instruction by instruction.</summary>
internal sealed class PickleText
{
    private readonly List<byte> _bytes = [0x80, 2];

    public static PickleText Start() => new();

    public PickleText Op(params byte[] bytes)
    {
        _bytes.AddRange(bytes);
        return this;
    }

    public PickleText Ops(string ascii) => Op(Encoding.ASCII.GetBytes(ascii));

    public PickleText Text(string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        return Op([(byte)'X', .. LittleEndian(bytes.Length), .. bytes]);
    }

    public PickleText Int(long value) => value is >= 0 and < 256
        ? Op((byte)'K', (byte)value)
        : value is >= int.MinValue and <= int.MaxValue ? Op([(byte)'J', .. LittleEndian((int)value)]) : Op([0x8a, 8, .. BitConverter.GetBytes(value)]);

    public PickleText Global(string module, string name) => Ops($"c{module}\n{name}\n");

    public PickleText Tuple(params long[] values)
    {
        Ops("(");
        foreach (var value in values)
        {
            Int(value);
        }

        return Ops("t");
    }

    public PickleText Storage(string key, string type, long elements)
        => Ops("(").Text("storage").Global("torch", type).Text(key).Text("cpu").Int(elements).Ops("tQ");

    public PickleText Tensor(string key, string type, long elements, long offset, long[] sizes, long[] strides)
        => Global("torch._utils", "_rebuild_tensor_v2").Ops("(").Storage(key, type, elements).Int(offset).Tuple(sizes).Tuple(strides)
            .Op(0x89).Global("collections", "OrderedDict").Ops(")RtR");

    public byte[] Stop() => [.. _bytes, (byte)'.'];

    /// <summary>The pickle so far as the one object of an archive, with storages of these bytes.</summary>
    public byte[] Archive(params (string Key, byte[] Bytes)[] storages)
        => HandmadeZip.Make([("x/data.pkl", Stop()), .. storages.Select(s => ($"x/data/{s.Key}", s.Bytes)), ("x/version", "3\n"u8.ToArray())]);

    private static byte[] LittleEndian(int value)
    {
        var bytes = new byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, value);
        return bytes;
    }
}

/// <summary>Writes zip archives of stored records, with or without zip64.</summary>
internal static class HandmadeZip
{
    public static byte[] Make(IEnumerable<(string Name, byte[] Bytes)> records, bool zip64 = false, ushort method = 0, ushort flags = 0, byte[]? comment = null)
    {
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream);
        var directory = new List<byte[]>();
        foreach (var (name, bytes) in records)
        {
            var local = (uint)stream.Position;
            var nameBytes = Encoding.UTF8.GetBytes(name);
            var sum = Crc32.HashToUInt32(bytes);

            // As PyTorch does it: the extra field pads the record to a multiple of 64 bytes.
            var padding = (int)((64 - ((stream.Position + 30 + nameBytes.Length + 4) % 64)) % 64);
            Header("PK\u0003\u0004", [45, flags, method, 0, 0]);
            writer.Write(sum);
            writer.Write(bytes.Length);
            writer.Write(bytes.Length);
            writer.Write((ushort)nameBytes.Length);
            writer.Write((ushort)(4 + padding));
            writer.Write(nameBytes);
            writer.Write("FB"u8);
            writer.Write((ushort)padding);
            writer.Write(new string('Z', padding).ToCharArray());
            writer.Write(bytes);

            using var entry = new MemoryStream();
            using var entryWriter = new BinaryWriter(entry);
            entryWriter.Write("PK\u0001\u0002"u8);
            foreach (var number in (ushort[])[45, 45, flags, method, 0, 0])
            {
                entryWriter.Write(number);
            }

            entryWriter.Write(sum);
            entryWriter.Write(zip64 ? uint.MaxValue : (uint)bytes.Length);
            entryWriter.Write(zip64 ? uint.MaxValue : (uint)bytes.Length);
            entryWriter.Write((ushort)nameBytes.Length);
            entryWriter.Write((ushort)(zip64 ? 28 : 0));
            entryWriter.Write(new byte[10]);
            entryWriter.Write(zip64 ? uint.MaxValue : local);
            entryWriter.Write(nameBytes);
            if (zip64)
            {
                entryWriter.Write((ushort)1);
                entryWriter.Write((ushort)24);
                entryWriter.Write((long)bytes.Length);
                entryWriter.Write((long)bytes.Length);
                entryWriter.Write((long)local);
            }

            directory.Add(entry.ToArray());
        }

        var start = stream.Position;
        foreach (var entry in directory)
        {
            writer.Write(entry);
        }

        var end = stream.Position;
        if (zip64)
        {
            Header("PK\u0006\u0006", []);
            writer.Write(44L);
            writer.Write((ushort)45);
            writer.Write((ushort)45);
            writer.Write(0L);
            writer.Write((long)directory.Count);
            writer.Write((long)directory.Count);
            writer.Write(end - start);
            writer.Write(start);
            Header("PK\u0006\u0007", []);
            writer.Write(0);
            writer.Write(end);
            writer.Write(1);
        }

        Header("PK\u0005\u0006", [0, 0, zip64 ? ushort.MaxValue : (ushort)directory.Count, zip64 ? ushort.MaxValue : (ushort)directory.Count]);
        writer.Write(zip64 ? uint.MaxValue : (uint)(end - start));
        writer.Write(zip64 ? uint.MaxValue : (uint)start);
        writer.Write((ushort)(comment?.Length ?? 0));
        writer.Write(comment ?? []);
        writer.Flush();
        return stream.ToArray();

        void Header(string signature, ushort[] numbers)
        {
            writer.Write(Encoding.Latin1.GetBytes(signature));
            foreach (var number in numbers)
            {
                writer.Write(number);
            }
        }
    }
}
