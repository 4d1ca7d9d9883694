// The compiler's view of a kernel: typed registers, instructions on them, basic blocks, and segments between warp-level steps.
using FashionFlow.VirtualGpu.Ptx;

namespace FashionFlow.VirtualGpu.Jit;

/// <summary>How a register lies in a warp's frame and in .NET locals.</summary>
internal enum LaneType : byte
{
    /// <summary>A predicate: 0 or -1 in 32 bits.</summary>
    Pred,

    /// <summary>Integers and bits of at most 32; narrower ones are zero-extended.</summary>
    I32,
    F32,
    I64,
    F64,
}

/// <summary>Values that a thread finds rather than computes.</summary>
internal enum SpecialValue : byte
{
    None, TidX, TidY, TidZ, NtidX, NtidY, NtidZ, CtaidX, CtaidY, CtaidZ, NctaidX, NctaidY, NctaidZ, LaneId, WarpId, WarpCount,
    LaneMaskEq, LaneMaskLt, LaneMaskLe, LaneMaskGt, LaneMaskGe, SmId, SmCount, GridId, DynamicSharedBytes, TotalSharedBytes,

    /// <summary>Host address of the block's shared memory.</summary>
    SharedBase,

    /// <summary>Host address of the thread's local memory.</summary>
    LocalBase,

    /// <summary>Device address of the module variable <see cref="IrRegister.Symbol"/>.</summary>
    Variable,
}

/// <summary>A virtual register.</summary>
internal sealed class IrRegister
{
    public required int Index { get; init; }

    public required string Name { get; init; }

    public required LaneType Type { get; init; }

    /// <summary>Bits that count: 1, 16, 32 or 64.</summary>
    public required int Bits { get; init; }

    public SpecialValue Special { get; init; }

    public string? Symbol { get; init; }

    public bool IsWide => Type is LaneType.I64 or LaneType.F64;
}

/// <summary>A register, a constant, or nothing.</summary>
internal readonly record struct Operand(IrRegister? Register, long Bits = 0, bool Negated = false, bool IsImmediate = false)
{
    public static Operand Immediate(long bits) => new(null, bits, IsImmediate: true);

    public bool IsNone => Register is null && !IsImmediate;

    public override string ToString() => Register?.Name ?? (IsImmediate ? $"0x{Bits:x}" : "_");
}

/// <summary>One instruction.</summary>
internal sealed class Instruction
{
    public required Opcode Opcode { get; init; }

    public required int Line { get; init; }

    /// <summary>Results; an element may be nothing.</summary>
    public Operand[] Results { get; init; } = [];

    /// <summary>Sources. For memory instructions the first is the address.</summary>
    public Operand[] Sources { get; init; } = [];

    /// <summary>Added to the address of a memory instruction.</summary>
    public long Offset { get; init; }

    /// <summary>Number of a memory instruction: its place among the cached allocations.</summary>
    public int Site { get; set; } = -1;

    public Op Op => Opcode.Op;

    /// <summary>Whether it works on a warp as a whole, outside of lane loops.</summary>
    public bool IsWarpLevel => Op is Op.Shfl or Op.Vote or Op.Match or Op.Activemask or Op.Redux or Op.Atom or Op.Red or Op.SystemCall
        or Op.Trap or Op.Barrier or Op.WarpBarrier or Op.Fence;

    /// <summary>Whether the lanes it names must have arrived together.</summary>
    public bool Converges => Op is Op.Shfl or Op.Vote or Op.Match or Op.Redux or Op.WarpBarrier;
}

/// <summary>How a block ends.</summary>
internal enum BlockEnd : byte
{
    /// <summary>Goes on at <see cref="IrBlock.Next"/>.</summary>
    Jump,

    /// <summary>To <see cref="IrBlock.Taken"/> where the condition holds, else <see cref="IrBlock.Next"/>.</summary>
    Branch,

    /// <summary>The thread ends.</summary>
    Exit,
}

/// <summary>A basic block.</summary>
internal sealed class IrBlock
{
    public int Index { get; set; }

    public List<Instruction> Instructions { get; } = [];

    public BlockEnd End { get; set; }

    public Operand Condition { get; set; }

    public IrBlock? Taken { get; set; }

    public IrBlock? Next { get; set; }

    public List<Segment> Segments { get; } = [];
}

/// <summary>
/// A run of instructions of a block that may be done group of lanes by group of lanes, or one warp-level instruction. The
/// number of a segment is what a program counter holds.
/// </summary>
internal sealed class Segment
{
    public required int Index { get; init; }

    public required IrBlock Block { get; init; }

    public required ReadOnlyMemory<Instruction> Instructions { get; init; }

    public required bool IsWarpLevel { get; init; }

    public bool IsLast { get; set; }

    /// <summary>Registers with a place in the frame that are needed from here on.</summary>
    public BitSet LiveIn { get; set; } = BitSet.Empty;

    public BitSet LiveOut { get; set; } = BitSet.Empty;

    /// <summary>The same as lists, for leaving and entering methods.</summary>
    public IrRegister[] LiveRegisters { get; set; } = [];

    public IrRegister[] LiveOutRegisters { get; set; } = [];

    /// <summary>For the last segment of a block that branches: the way to where lanes that part there soon meet again.</summary>
    public Detour? Detour { get; set; }
}

/// <summary>
/// A branch around a block, or around one of two: guarded tails and selections. Lanes that part there need no more than these
/// blocks from the general method, so that a warp does not have to leave the fast one with all its registers.
/// </summary>
/// <param name="Arms">The blocks' first segments, lowest first, and whether it is for lanes that take the branch.</param>
/// <param name="Join">The segment where the lanes meet.</param>
/// <param name="Touched">Registers that the blocks read or change and that have a value before them.</param>
/// <param name="Changed">Registers that the blocks change and that are needed after them.</param>
internal sealed record Detour((int Segment, bool OfTaken)[] Arms, int Join, IrRegister[] Touched, IrRegister[] Changed);

/// <summary>A kernel ready to be compiled.</summary>
internal sealed class IrKernel
{
    public required string Name { get; init; }

    public required List<IrRegister> Registers { get; init; }

    public required List<IrBlock> Blocks { get; init; }

    public required List<Segment> Segments { get; init; }

    public required int StaticShared { get; init; }

    public required int LocalBytes { get; init; }

    public required int Sites { get; init; }

    /// <summary>Registers that live across segments, and thus have a place in the frame.</summary>
    public required bool[] InFrame { get; init; }
}
