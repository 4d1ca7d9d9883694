// The container of machine code: ELF, 64-bit and little-endian, by the System V ABI (chapters 4 and 5 of the generic ABI, gabi.xinuos.com).
// Sections, their names and the symbols, and no more than that. Every offset is checked before it is followed.
using System.Buffers.Binary;
using System.Text;

namespace FashionFlow.Gpu;

/// <summary>A section.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Flags">sh_flags.</param>
/// <param name="Size">Its size in memory, in bytes; one without contents (SHT_NOBITS) has a size too.</param>
/// <param name="Link">sh_link.</param>
/// <param name="Info">sh_info.</param>
/// <param name="Contents">Its contents; empty for one without.</param>
internal sealed record ElfSection(string Name, ulong Flags, long Size, uint Link, uint Info, ReadOnlyMemory<byte> Contents);

/// <summary>A symbol.</summary>
/// <param name="Name">Its name.</param>
/// <param name="IsFunction">Whether it is a function (STT_FUNC).</param>
/// <param name="Other">st_other.</param>
/// <param name="Section">The number of the section that it is defined in.</param>
internal sealed record ElfSymbol(string Name, bool IsFunction, byte Other, int Section);

/// <summary>An ELF file for one machine.</summary>
internal sealed class ElfFile
{
    private const int HeaderSize = 64;
    private const int SectionHeaderSize = 64;
    private const int SymbolSize = 24;
    private const uint SectionOfSymbols = 2;      // SHT_SYMTAB
    private const uint SectionWithoutContents = 8;  // SHT_NOBITS
    private const int FunctionSymbol = 2;         // STT_FUNC

    private readonly ReadOnlyMemory<byte> _file;

    /// <summary>Reads the sections and symbols.</summary>
    /// <param name="file">The whole file. It is referred to, not copied.</param>
    /// <param name="machine">The machine that the file must be for (e_machine).</param>
    /// <param name="machineName">Its name, for messages.</param>
    /// <exception cref="CubinException">The file is no such file, or damaged.</exception>
    public ElfFile(ReadOnlyMemory<byte> file, int machine, string machineName)
    {
        _file = file;
        var header = file.Span;
        Require(header.StartsWith("\u007fELF"u8), "this is no ELF file");
        Require(header.Length >= HeaderSize, $"the file ends within its header, after {header.Length} bytes");
        Require(header[4] == 2 && header[5] == 1, "the file is not 64-bit and little-endian");
        var found = UInt16(header, 18);
        Require(found == machine, $"the file is for machine {found}, not for {machineName} ({machine})");
        AbiVersion = header[8];
        Flags = UInt32(header, 48);

        var size = UInt16(header, 58);
        var count = UInt16(header, 60);
        var names = UInt16(header, 62);
        Require(count > 0, "the file has no sections");
        Require(size == SectionHeaderSize, $"a section's header has {size} bytes, not {SectionHeaderSize}");
        Require(names < count, $"section {names}, which is to hold the names, is not one of {count}");
        var headers = Slice(UInt64(header, 40), (ulong)count * SectionHeaderSize, "the table of sections").Span;
        var text = ContentsOf(headers[(names * SectionHeaderSize)..], "the sections' names");
        var sections = new ElfSection[count];
        for (var i = 0; i < count; i++)
        {
            sections[i] = ReadSection(headers[(i * SectionHeaderSize)..], text);
        }

        Sections = sections;
        Symbols = ReadSymbols(headers);
    }

    /// <summary>EI_ABIVERSION.</summary>
    public int AbiVersion { get; }

    /// <summary>e_flags.</summary>
    public uint Flags { get; }

    /// <summary>The sections; the first is the empty one that every file has.</summary>
    public IReadOnlyList<ElfSection> Sections { get; }

    /// <summary>The symbols; the first is the empty one. None, if the file has no table of them.</summary>
    public IReadOnlyList<ElfSymbol> Symbols { get; }

    /// <summary>The section of a name, or null.</summary>
    public ElfSection? Find(string name) => Sections.FirstOrDefault(section => section.Name == name);

    private static void Require(bool holds, string problem)
    {
        if (!holds)
        {
            throw new CubinException(problem);
        }
    }

    private static ushort UInt16(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[at..]);

    private static uint UInt32(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);

    private static ulong UInt64(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt64LittleEndian(bytes[at..]);

    private ElfSection ReadSection(ReadOnlySpan<byte> header, ReadOnlyMemory<byte> names)
    {
        var name = Text(names, UInt32(header, 0), "a section's name");
        var size = UInt64(header, 32);
        Require(size <= int.MaxValue, $"section {name} has {size} bytes");
        return new(name, UInt64(header, 8), (long)size, UInt32(header, 40), UInt32(header, 44), ContentsOf(header, $"section {name}"));
    }

    private ReadOnlyMemory<byte> ContentsOf(ReadOnlySpan<byte> header, string what) =>
        UInt32(header, 4) is 0 or SectionWithoutContents ? default : Slice(UInt64(header, 24), UInt64(header, 32), what);

    private ElfSymbol[] ReadSymbols(ReadOnlySpan<byte> headers)
    {
        for (var i = 0; i < Sections.Count; i++)
        {
            if (UInt32(headers, (i * SectionHeaderSize) + 4) != SectionOfSymbols)
            {
                continue;
            }

            var table = Sections[i];
            Require(table.Link < Sections.Count, $"section {table.Link}, which is to hold the symbols' names, is not one of {Sections.Count}");
            Require(table.Size % SymbolSize == 0, $"section {table.Name} of {table.Size} bytes is not whole symbols of {SymbolSize}");
            var names = Sections[(int)table.Link].Contents;
            var symbols = new ElfSymbol[table.Size / SymbolSize];
            for (var s = 0; s < symbols.Length; s++)
            {
                var symbol = table.Contents.Span[(s * SymbolSize)..];
                symbols[s] = new(Text(names, UInt32(symbol, 0), $"the name of symbol {s}"), (symbol[4] & 15) == FunctionSymbol, symbol[5], UInt16(symbol, 6));
            }

            return symbols;
        }

        return [];
    }

    private ReadOnlyMemory<byte> Slice(ulong offset, ulong size, string what)
    {
        var length = (ulong)_file.Length;
        Require(offset <= length && size <= length - offset, $"{what} (bytes {offset} to {offset + size}) ends past the file's {length} bytes");
        return _file.Slice((int)offset, (int)size);
    }

    private static string Text(ReadOnlyMemory<byte> names, uint at, string what)
    {
        Require(at < names.Length, $"{what} starts at byte {at} of a table of {names.Length}");
        var tail = names.Span[(int)at..];
        var end = tail.IndexOf((byte)0);
        Require(end >= 0, $"{what} has no end");
        return Encoding.UTF8.GetString(tail[..end]);
    }
}
