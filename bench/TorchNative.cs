// Makes TorchSharp loadable on Debian 12: its native shim asks for the symbol version GLIBCXX_3.4.32, which that release's
// libstdc++ does not have and the shim does not need. The copy of the shim in this program's own folder is marked as needing it
// weakly, which is what the flag VER_FLG_WEAK of the ELF version-need table (.gnu.version_r) is for; the package is not touched.
using System.Buffers.Binary;
using System.Text;

namespace FashionFlow.Bench;

internal static class TorchNative
{
    private const string Version = "GLIBCXX_3.4.32";
    private const long DynamicStringTable = 5;
    private const long DynamicVersionNeed = 0x6ffffffe;
    private const long DynamicVersionNeedCount = 0x6fffffff;
    private const ushort Weak = 2;

    /// <summary>Marks the version as weakly needed in our copy of the shim, unless it is already. Call before TorchSharp is touched.</summary>
    public static void Prepare()
    {
        var path = Directory.EnumerateFiles(AppContext.BaseDirectory, "libLibTorchSharp.so", SearchOption.AllDirectories).FirstOrDefault()
            ?? throw new FileNotFoundException("libLibTorchSharp.so is not beside the program; build bench/ first");
        var image = File.ReadAllBytes(path);
        if (!MarkWeak(image))
        {
            return;
        }

        var temporary = path + ".tmp";
        File.WriteAllBytes(temporary, image);
        File.Move(temporary, path, overwrite: true);
    }

    // Offsets and names as in the ELF-64 specification and the Linux Standard Base's chapter on symbol versioning.
    private static bool MarkWeak(byte[] image)
    {
        long U64(long at) => BinaryPrimitives.ReadInt64LittleEndian(image.AsSpan((int)at));
        uint U32(long at) => BinaryPrimitives.ReadUInt32LittleEndian(image.AsSpan((int)at));
        ushort U16(long at) => BinaryPrimitives.ReadUInt16LittleEndian(image.AsSpan((int)at));

        long programHeaders = U64(32), headerSize = U16(54), headers = U16(56);
        long FileOffset(long address)
        {
            for (var i = 0L; i < headers; i++)
            {
                var header = programHeaders + (i * headerSize);
                if (U32(header) == 1 && address >= U64(header + 16) && address < U64(header + 16) + U64(header + 32))
                {
                    return address - U64(header + 16) + U64(header + 8);
                }
            }

            throw new InvalidDataException($"address 0x{address:x} is in no segment of the shim");
        }

        long strings = 0, needs = 0, needCount = 0;
        for (var i = 0L; i < headers; i++)
        {
            var header = programHeaders + (i * headerSize);
            for (var entry = U64(header + 8); U32(header) == 2 && U64(entry) != 0; entry += 16)
            {
                switch (U64(entry))
                {
                    case DynamicStringTable:
                        strings = FileOffset(U64(entry + 8));
                        break;
                    case DynamicVersionNeed:
                        needs = FileOffset(U64(entry + 8));
                        break;
                    case DynamicVersionNeedCount:
                        needCount = U64(entry + 8);
                        break;
                }
            }
        }

        var changed = false;
        for (var need = needs; needCount > 0; needCount--, need += U32(need + 12))
        {
            var auxiliary = need + U32(need + 8);
            for (int left = U16(need + 2); left > 0; left--, auxiliary += U32(auxiliary + 12))
            {
                var name = image.AsSpan((int)(strings + U32(auxiliary + 8)));
                if (name[..name.IndexOf((byte)0)].SequenceEqual(Encoding.ASCII.GetBytes(Version)) && (U16(auxiliary + 4) & Weak) == 0)
                {
                    BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan((int)auxiliary + 4), (ushort)(U16(auxiliary + 4) | Weak));
                    changed = true;
                }
            }
        }

        return changed;
    }
}
