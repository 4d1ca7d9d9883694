// What the machine code of a kernel takes of a multiprocessor, read from the cubin that NVRTC made.
//
// A cubin is an ELF file for machine 190 (EM_CUDA, in the list of machines of the generic ABI). Of what is in it NVIDIA documents
// names alone: "CUDA Binary Utilities" shows them in the output of cuobjdump and nvdisasm. The layouts below were observed in the
// output of NVRTC 11.8 for sm_70 to sm_90; the attributes' numbers agree with "nvopen-tools", an analysis of ptxas 13. Three things
// keep them honest: what is in the file twice must agree, what is not known is refused, and a test holds the numbers to what the
// assembler prints about itself (ptxas -v).
using System.Buffers.Binary;
using System.Globalization;

namespace FashionFlow.Gpu;

/// <summary>What a kernel takes to run.</summary>
public sealed record MachineCodeEntry
{
    /// <summary>The entry's name.</summary>
    public required string Name { get; init; }

    /// <summary>Registers a thread.</summary>
    public required int Registers { get; init; }

    /// <summary>Static shared memory a block in bytes, without what CUDA reserves for itself.</summary>
    public required int SharedMemory { get; init; }

    /// <summary>Local memory a thread in bytes: local arrays, and registers that did not fit (spills).</summary>
    public required int LocalMemory { get; init; }

    /// <summary>Bytes of parameters.</summary>
    public required int ParameterBytes { get; init; }

    /// <summary>Bytes in each bank of constant memory, by the bank's number. Bank 0 holds the launch's shape and the parameters.</summary>
    public required IReadOnlyDictionary<int, int> ConstantBanks { get; init; }

    /// <summary>Barriers that a block synchronises at.</summary>
    public required int Barriers { get; init; }

    /// <summary>The largest block that it was compiled for (<c>__launch_bounds__</c>, <c>.maxntid</c>); null where it does not say.</summary>
    public required Dim3? MaxThreads { get; init; }
}

/// <summary>A cubin: the machine code of a kernel file for one architecture.</summary>
public sealed class Cubin
{
    /// <summary>e_machine of CUDA's files.</summary>
    private const int CudaMachine = 190;

    /// <summary>EI_ABIVERSION of what was observed. Files of version 8, of newer compilers, hold the architecture elsewhere.</summary>
    private const int KnownAbiVersion = 7;

    /// <summary>The bit of st_other that marks the functions which can be launched (STO_CUDA_ENTRY).</summary>
    private const byte EntryBit = 0x10;

    /// <summary>sm_90's <c>.nv.shared</c> sections begin with the 1 KiB that CUDA reserves a block; those before it leave it out.</summary>
    private const int ReservedSharedMemory = 1024;

    private Cubin(ElfFile file)
    {
        // The low byte of e_flags: 0x50 for sm_80.
        Architecture = (int)(file.Flags & 0xff);
        var resources = new Resources(file);
        Entries =
        [
            .. file.Symbols.Index()
                .Where(symbol => symbol.Item.IsFunction && (symbol.Item.Other & EntryBit) != 0)
                .Select(symbol => ReadEntry(file, symbol.Index, symbol.Item, resources)),
        ];
    }

    /// <summary>The architecture: 80 for sm_80.</summary>
    public int Architecture { get; }

    /// <summary>The kernels, in the file's order.</summary>
    public IReadOnlyList<MachineCodeEntry> Entries { get; }

    /// <summary>Reads a cubin.</summary>
    /// <param name="image">The whole file.</param>
    /// <exception cref="CubinException">It is no cubin, damaged, or of a form that is not known here.</exception>
    public static Cubin Read(ReadOnlyMemory<byte> image)
    {
        var file = new ElfFile(image, CudaMachine, "CUDA");
        return file.AbiVersion == KnownAbiVersion
            ? new Cubin(file)
            : throw new CubinException($"the cubin has version {file.AbiVersion} of CUDA's ABI; {KnownAbiVersion} is the one that is known here");
    }

    private MachineCodeEntry ReadEntry(ElfFile file, int index, ElfSymbol symbol, Resources resources)
    {
        var name = symbol.Name;
        if (symbol.Section >= file.Sections.Count || file.Sections[symbol.Section] is not { } text || text.Name != $".text.{name}")
        {
            throw new CubinException($"entry {name} is not in a section .text.{name}");
        }

        if (!resources.Registers.TryGetValue(index, out var registers) || !resources.Stack.TryGetValue(index, out var stack))
        {
            throw new CubinException($"section .nv.info does not say how many registers and how much stack entry {name} takes");
        }

        // Up to sm_89 the section's sh_info repeats the registers, in its top byte, above the symbol's number; sm_90 leaves it 0.
        var repeated = (int)(text.Info >> 24);
        if (repeated != 0 && repeated != registers)
        {
            throw new CubinException($"entry {name} takes {registers} registers by section .nv.info, {repeated} by {text.Name}");
        }

        var own = ReadOwn(file, name);
        return new()
        {
            Name = name,
            Registers = registers,
            SharedMemory = SharedMemoryOf(file, name),
            LocalMemory = stack,
            ParameterBytes = own.Parameters,
            ConstantBanks = ConstantBanksOf(file, name),
            Barriers = (int)(text.Flags >> 20 & 0x7f),
            MaxThreads = own.MaxThreads,
        };
    }

    private int SharedMemoryOf(ElfFile file, string name)
    {
        var size = (int)(file.Find($".nv.shared.{name}")?.Size ?? 0);
        if (size == 0 || Architecture < 90)
        {
            return size;
        }

        return size >= ReservedSharedMemory
            ? size - ReservedSharedMemory
            : throw new CubinException($"section .nv.shared.{name} has {size} bytes, fewer than the {ReservedSharedMemory} that CUDA reserves in it");
    }

    private static Dictionary<int, int> ConstantBanksOf(ElfFile file, string name)
    {
        const string Prefix = ".nv.constant";
        var banks = new Dictionary<int, int>();
        foreach (var section in file.Sections)
        {
            if (section.Name.StartsWith(Prefix, StringComparison.Ordinal)
                && section.Name.EndsWith("." + name, StringComparison.Ordinal)
                && int.TryParse(section.Name.AsSpan(Prefix.Length, section.Name.Length - Prefix.Length - name.Length - 1), NumberStyles.None, CultureInfo.InvariantCulture, out var bank))
            {
                banks[bank] = (int)section.Size;
            }
        }

        return banks;
    }

    private static (int Parameters, Dim3? MaxThreads) ReadOwn(ElfFile file, string name)
    {
        var section = file.Find($".nv.info.{name}") ?? throw new CubinException($"entry {name} has no section .nv.info.{name}");
        var (inBank, alone) = (-1, -1);
        Dim3? maxThreads = null;
        foreach (var attribute in InfoAttribute.ReadAll(section))
        {
            switch (attribute.Code)
            {
                case InfoCode.ParameterBank:
                    // The section of the bank, then where the parameters begin in it and how many bytes they have.
                    inBank = (int)(attribute.Word(1, section) >> 16);
                    break;
                case InfoCode.ParameterSize:
                    alone = attribute.Value;
                    break;
                case InfoCode.MaxThreads:
                    maxThreads = new((int)attribute.Word(0, section), (int)attribute.Word(1, section), (int)attribute.Word(2, section));
                    break;
                default:
                    break;
            }
        }

        return inBank >= 0 && inBank == alone
            ? (inBank, maxThreads)
            : throw new CubinException($"section {section.Name} does not say once and the same how many bytes of parameters entry {name} has");
    }

    /// <summary>What the section <c>.nv.info</c> says about each function, by the number of its symbol.</summary>
    private sealed class Resources
    {
        public Resources(ElfFile file)
        {
            if (file.Find(".nv.info") is not { } section)
            {
                return;
            }

            foreach (var attribute in InfoAttribute.ReadAll(section))
            {
                switch (attribute.Code)
                {
                    case InfoCode.RegisterCount:
                        Registers[(int)attribute.Word(0, section)] = (int)attribute.Word(1, section);
                        break;
                    case InfoCode.MinStackSize:
                        // The frame and those of the functions that it calls; EIATTR_FRAME_SIZE is without them.
                        Stack[(int)attribute.Word(0, section)] = (int)attribute.Word(1, section);
                        break;
                    default:
                        break;
                }
            }
        }

        public Dictionary<int, int> Registers { get; } = [];

        public Dictionary<int, int> Stack { get; } = [];
    }

    /// <summary>The attributes that are read here, by the numbers of their names in nvdisasm's output.</summary>
    private enum InfoCode : byte
    {
        /// <summary>EIATTR_MAX_THREADS: the largest block along x, y and z.</summary>
        MaxThreads = 0x05,

        /// <summary>EIATTR_PARAM_CBANK: where the parameters are.</summary>
        ParameterBank = 0x0a,

        /// <summary>EIATTR_MIN_STACK_SIZE: a symbol and its stack.</summary>
        MinStackSize = 0x12,

        /// <summary>EIATTR_CBANK_PARAM_SIZE: bytes of parameters.</summary>
        ParameterSize = 0x19,

        /// <summary>EIATTR_REGCOUNT: a symbol and its registers.</summary>
        RegisterCount = 0x2f,
    }

    /// <summary>
    /// An attribute of a section <c>.nv.info</c>: a byte for its form, one for its code, then 16 bits that are its value or, in the
    /// form with data, their size in bytes.
    /// </summary>
    private readonly record struct InfoAttribute(InfoCode Code, ushort Value, ReadOnlyMemory<byte> Data)
    {
        private const int HeaderSize = 4;
        private const byte WithData = 4;    // EIFMT_SVAL; 1 (EIFMT_NVAL), 2 (EIFMT_BVAL) and 3 (EIFMT_HVAL) have none

        public static IEnumerable<InfoAttribute> ReadAll(ElfSection section)
        {
            var rest = section.Contents;
            while (rest.Length > 0)
            {
                if (rest.Length < HeaderSize)
                {
                    throw new CubinException($"section {section.Name} ends within an attribute");
                }

                var (form, code) = (rest.Span[0], (InfoCode)rest.Span[1]);
                var value = BinaryPrimitives.ReadUInt16LittleEndian(rest.Span[2..]);
                if (form is 0 or > WithData)
                {
                    throw new CubinException($"section {section.Name} has an attribute of the unknown form {form}");
                }

                var size = form == WithData ? value : 0;
                if (size > rest.Length - HeaderSize)
                {
                    throw new CubinException($"section {section.Name} ends within the data of an attribute");
                }

                yield return new(code, value, rest.Slice(HeaderSize, size));
                rest = rest[(HeaderSize + size)..];
            }
        }

        /// <summary>A 32-bit number of the data.</summary>
        public uint Word(int index, ElfSection section) => Data.Length >= (index + 1) * sizeof(uint)
            ? BinaryPrimitives.ReadUInt32LittleEndian(Data.Span[(index * sizeof(uint))..])
            : throw new CubinException($"section {section.Name} has an attribute {Code} of {Data.Length} bytes, too few");
    }
}
