// The meaning of an opcode with its modifiers: ld.global.nc.v4.f32 as data. What has no meaning here is refused.
using System.Collections.Concurrent;

namespace FashionFlow.VirtualGpu.Ptx;

/// <summary>Operations, named as PTX names them.</summary>
internal enum Op : byte
{
    Mov, Add, Sub, Mul, MulHi, MulWide, Mad, MadHi, MadWide, Fma, Div, Rem, Abs, Neg, Min, Max,
    Sqrt, Rsqrt, Rcp, Ex2, Lg2, Sin, Cos, Tanh,
    And, Or, Xor, Not, Cnot, Shl, Shr, ShfLeft, ShfRight, Lop3, Prmt, Bfe, Bfi, Bfind, Brev, Clz, Popc,
    Copysign, Testp, Setp, Set, Selp, Slct, Cvt, CvtPack, Cvta, CvtaTo, Isspacep, Sad, Mul24, Mad24, Dp4a,
    Ld, St, Atom, Red, Shfl, Vote, Match, Activemask, Redux, Barrier, WarpBarrier, Fence, Nothing,
    Bra, Ret, Exit, Trap, Call,

    /// <summary>Made by the compiler: a vector move's first, second ... part from one wide register.</summary>
    Unpack,

    /// <summary>Made by the compiler: one wide register from parts.</summary>
    Pack,

    /// <summary>Made by the compiler: a call of <c>vprintf</c> or <c>__assertfail</c>.</summary>
    SystemCall,
}

/// <summary>Rounding modifiers; the integer ones round to an integral value.</summary>
internal enum Rounding : byte
{
    None, Rn, Rz, Rm, Rp, Rna, Rni, Rzi, Rmi, Rpi,
}

/// <summary>Comparison operators of set, setp and testp.</summary>
internal enum Compare : byte
{
    None, Eq, Ne, Lt, Le, Gt, Ge, Lo, Ls, Hi, Hs, Equ, Neu, Ltu, Leu, Gtu, Geu, Num, Nan,
    Finite, Infinite, Number, NotANumber, Normal, Subnormal,
}

/// <summary>Operations of atom, red, redux and bar.red.</summary>
internal enum AtomOp : byte
{
    None, And, Or, Xor, Cas, Exch, Add, Inc, Dec, Min, Max, Popc,
}

/// <summary>Modes of shfl, vote and match.</summary>
internal enum WarpMode : byte
{
    None, Up, Down, Bfly, Idx, All, Any, Uni, Ballot,
}

/// <summary>An opcode taken apart.</summary>
internal sealed record Opcode
{
    private static readonly ConcurrentDictionary<string, Opcode> Known = new(StringComparer.Ordinal);

    public required Op Op { get; init; }

    /// <summary>The type of the result and of the sources that have no other.</summary>
    public PtxType Type { get; init; }

    /// <summary>The type of the source of cvt, set and slct's third operand.</summary>
    public PtxType Source { get; init; }

    public Rounding Rounding { get; init; }

    public bool Approximate { get; init; }

    public bool Ftz { get; init; }

    public bool Saturate { get; init; }

    public PtxSpace Space { get; init; }

    /// <summary>Elements of a vector access: 1, 2 or 4.</summary>
    public int Vector { get; init; } = 1;

    /// <summary>ld.global.nc: memory that the kernel does not write.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>Volatile, relaxed, acquire or release: never merged or moved.</summary>
    public bool Strong { get; init; }

    public Compare Compare { get; init; }

    /// <summary>And, Or or Xor of set and setp; Mov for none.</summary>
    public Op Combine { get; init; } = Op.Mov;

    public bool CarryOut { get; init; }

    public bool CarryIn { get; init; }

    public AtomOp Atom { get; init; }

    public WarpMode Warp { get; init; }

    /// <summary>Clamp of shf; nan of min and max; shiftamt of bfind; arrive of barrier; the mode number of prmt.</summary>
    public int Variant { get; init; }

    /// <summary>Decodes an opcode; null where it has no meaning here.</summary>
    public static Opcode? Decode(string text)
    {
        if (Known.TryGetValue(text, out var known))
        {
            return known;
        }

        var decoded = OpcodeDecoder.Decode(text);
        if (decoded is not null)
        {
            Known.TryAdd(text, decoded);
        }

        return decoded;
    }
}
