// How many operands an instruction has, of which types, and which combinations of operation and type the compiler knows.
using FashionFlow.VirtualGpu.Ptx;

namespace FashionFlow.VirtualGpu.Jit;

/// <summary>Rules on operands, asked when a kernel is loaded so that the emitters can rely on them.</summary>
internal static class OperandRules
{
    public static (int Least, int Most) SourceCount(Opcode opcode)
    {
        var carry = opcode.CarryIn ? 1 : 0;
        switch (opcode.Op)
        {
            case Op.Barrier:
                return opcode.Variant == 2 ? (2, 3) : (1, 2);
            case Op.Activemask or Op.Trap or Op.Fence:
                return (0, 0);
            case Op.Abs or Op.Neg or Op.Sqrt or Op.Rsqrt or Op.Rcp or Op.Ex2 or Op.Lg2 or Op.Sin or Op.Cos or Op.Tanh or Op.Not or Op.Cnot
                or Op.Bfind or Op.Brev or Op.Clz or Op.Popc or Op.Testp or Op.Cvt or Op.Isspacep or Op.WarpBarrier or Op.Mov:
                return (1, 1);
            case Op.Mad or Op.MadHi or Op.MadWide or Op.Fma or Op.Sad or Op.Mad24 or Op.Dp4a or Op.Prmt or Op.ShfLeft or Op.ShfRight or Op.Bfe
                or Op.Selp or Op.Slct:
                return (3 + carry, 3 + carry);
            case Op.Lop3 or Op.Bfi or Op.Shfl:
                return (4, 4);
            case Op.Setp or Op.Set:
                var count = opcode.Combine == Op.Mov ? 2 : 3;
                return (count, count);
            default:
                return (2 + carry, 2 + carry);
        }
    }

    /// <summary>The type as which an instruction reads a source.</summary>
    public static PtxType SourceType(Opcode opcode, int index) => opcode.Op switch
    {
        Op.Shl or Op.Shr => index == 1 ? PtxType.U32 : opcode.Type,
        Op.Cvt or Op.CvtPack => opcode.Source,
        Op.Set => index == 2 ? PtxType.Pred : opcode.Source,
        Op.Setp => index == 2 ? PtxType.Pred : opcode.Type,
        Op.Selp => index == 2 ? PtxType.Pred : opcode.Type,
        Op.Slct => index == 2 ? opcode.Source : opcode.Type,
        Op.MadWide => index == 2 ? Wide(opcode.Type) : opcode.Type,
        Op.Bfe => index >= 1 ? PtxType.U32 : opcode.Type,
        Op.Bfi => index >= 2 ? PtxType.U32 : opcode.Type,
        Op.Dp4a => index switch { 0 => opcode.Type, 1 => opcode.Source, _ => PtxType.S32 },
        Op.Shfl or Op.WarpBarrier => PtxType.B32,
        Op.Vote => index == 0 ? PtxType.Pred : PtxType.B32,
        Op.Match or Op.Redux => index == 0 ? opcode.Type : PtxType.B32,
        Op.Isspacep => PtxType.U64,
        _ => opcode.Type,
    };

    /// <summary>The type of an instruction's first result.</summary>
    public static PtxType ResultType(Opcode opcode) => opcode.Op switch
    {
        Op.Setp or Op.Testp or Op.Isspacep => PtxType.Pred,
        Op.MulWide or Op.MadWide => Wide(opcode.Type),
        Op.Popc or Op.Clz or Op.Bfind or Op.Activemask => PtxType.U32,
        Op.Match => PtxType.B32,
        Op.Vote => opcode.Warp == WarpMode.Ballot ? PtxType.B32 : PtxType.Pred,
        _ => opcode.Type,
    };

    public static PtxType Wide(PtxType type) => type switch
    {
        PtxType.U16 => PtxType.U32,
        PtxType.S16 => PtxType.S32,
        PtxType.U32 => PtxType.U64,
        PtxType.S32 => PtxType.S64,
        _ => type,
    };

    /// <summary>Why an instruction cannot be compiled; null where it can.</summary>
    public static string? Objection(Opcode opcode, IReadOnlyList<Operand> results, IReadOnlyList<Operand> sources)
    {
        if (!IsSupported(opcode))
        {
            return "the virtual GPU does not know this combination of operation and type";
        }

        if (opcode.Op is Op.Barrier)
        {
            return null;
        }

        for (var i = 0; i < sources.Count; i++)
        {
            var isCarry = opcode.CarryIn && i == sources.Count - 1;
            if (!isCarry && !Fits(sources[i], SourceType(opcode, i), opcode))
            {
                return $"operand {i + 1} has the wrong type";
            }
        }

        for (var i = 0; i < results.Count; i++)
        {
            var isCarry = opcode.CarryOut && i == results.Count - 1;
            var type = i == 0 ? ResultType(opcode) : PtxType.Pred;
            if (!isCarry && !Fits(results[i], type, opcode))
            {
                return "the result has the wrong type";
            }
        }

        return results.Count - (opcode.CarryOut ? 1 : 0) > 1 && opcode.Op is not (Op.Setp or Op.Shfl or Op.Match) ? "one result too many" : null;
    }

    private static bool Fits(Operand operand, PtxType type, Opcode opcode)
    {
        if (operand.Register is not { } register)
        {
            return true;
        }

        if (type == PtxType.Pred || register.Type == LaneType.Pred)
        {
            return type == PtxType.Pred && register.Type == LaneType.Pred;
        }

        var size = type.Size() * 8;
        return opcode.Op == Op.Cvt ? register.Bits >= size || register.Special != SpecialValue.None : register.IsWide == (size == 64) && register.Bits >= Math.Min(16, size);
    }

    public static bool IsAtomicSupported(Opcode opcode) => opcode.Atom switch
    {
        AtomOp.Add => opcode.Type is PtxType.U32 or PtxType.S32 or PtxType.U64 or PtxType.F32 or PtxType.F64 or PtxType.F16 or PtxType.F16X2
            or PtxType.S64 or PtxType.BF16 or PtxType.BF16X2,
        AtomOp.Min or AtomOp.Max => opcode.Type is PtxType.U32 or PtxType.S32 or PtxType.U64 or PtxType.S64,
        AtomOp.Inc or AtomOp.Dec => opcode.Type is PtxType.U32,
        AtomOp.And or AtomOp.Or or AtomOp.Xor or AtomOp.Exch or AtomOp.Cas => opcode.Type is PtxType.B32 or PtxType.B64 or PtxType.U32 or PtxType.U64 or PtxType.S32 or PtxType.S64,
        _ => false,
    };

    private static bool IsSupported(Opcode opcode)
    {
        var type = opcode.Type;
        var isInteger = type is PtxType.B16 or PtxType.U16 or PtxType.S16 or PtxType.B32 or PtxType.U32 or PtxType.S32 or PtxType.B64 or PtxType.U64 or PtxType.S64;
        var isWord = type is PtxType.B32 or PtxType.U32 or PtxType.S32 or PtxType.B64 or PtxType.U64 or PtxType.S64;
        var isHalf = type is PtxType.F16 or PtxType.F16X2 or PtxType.BF16 or PtxType.BF16X2;
        var isFloat = type is PtxType.F32 or PtxType.F64;
        var isNearest = opcode.Rounding is Rounding.None or Rounding.Rn;
        if (opcode.CarryIn || opcode.CarryOut)
        {
            return type is PtxType.U32 or PtxType.S32 or PtxType.B32 && opcode.Op is Op.Add or Op.Sub or Op.Mad or Op.MadHi;
        }

        switch (opcode.Op)
        {
            case Op.Add or Op.Sub:
                return (isInteger && (!opcode.Saturate || type == PtxType.S32)) || (isHalf && isNearest && !opcode.Saturate)
                    || isFloat;
            case Op.Mul:
                return isInteger || (isHalf && isNearest && !opcode.Saturate) || isFloat;
            case Op.Mad:
                return isInteger && !opcode.Saturate;
            case Op.Fma:
                return isFloat || (isHalf && isNearest && !opcode.Saturate);
            case Op.MulHi or Op.MadHi:
                return isInteger && !opcode.Saturate;
            case Op.MulWide or Op.MadWide:
                return type is PtxType.U16 or PtxType.S16 or PtxType.U32 or PtxType.S32;
            case Op.Mul24 or Op.Mad24:
                return type is PtxType.U32 or PtxType.S32;
            case Op.Div:
                return isInteger || (isFloat && (isNearest || opcode.Approximate));
            case Op.Rem:
                return isInteger;
            case Op.Abs:
                return type is PtxType.S16 or PtxType.S32 or PtxType.S64 || isFloat || isHalf;
            case Op.Neg:
                return type is PtxType.S16 or PtxType.S32 or PtxType.S64 || isFloat || isHalf;
            case Op.Min or Op.Max:
                return isInteger || isFloat && !(type == PtxType.F64 && opcode.Variant != 0) || (isHalf && opcode.Variant == 0);
            case Op.Sqrt:
                return isFloat && (isNearest || opcode.Approximate);
            case Op.Rcp:
                return type == PtxType.F32 ? isNearest || opcode.Approximate : type == PtxType.F64 && isNearest;
            case Op.Rsqrt:
                return isFloat;
            case Op.Ex2 or Op.Tanh:
                return type == PtxType.F32 || type == PtxType.F16 || type == PtxType.F16X2;
            case Op.Lg2 or Op.Sin or Op.Cos:
                return type == PtxType.F32;
            case Op.And or Op.Or or Op.Xor or Op.Not:
                return type == PtxType.Pred || isInteger;
            case Op.Cnot:
                return isInteger;
            case Op.Shl or Op.Shr:
                return isInteger;
            case Op.Lop3 or Op.Prmt or Op.ShfLeft or Op.ShfRight:
                return type == PtxType.B32;
            case Op.Bfe or Op.Bfi or Op.Bfind or Op.Brev or Op.Clz or Op.Popc:
                return isWord;
            case Op.Copysign or Op.Testp:
                return isFloat;
            case Op.Setp:
                return isInteger || isFloat || type is PtxType.F16 or PtxType.BF16;
            case Op.Set:
                return (type is PtxType.U32 or PtxType.S32 or PtxType.B32 or PtxType.F32 && opcode.Source != PtxType.Pred
                    && (opcode.Source.IsInteger() || opcode.Source is PtxType.F32 or PtxType.F64 or PtxType.F16 or PtxType.BF16))
                    || (type is PtxType.F16 or PtxType.BF16 && opcode.Source == type) || (type is PtxType.F16X2 && opcode.Source == PtxType.F16X2);
            case Op.Selp:
                return isInteger || isFloat || isHalf;
            case Op.Slct:
                return isInteger || isFloat;
            case Op.Cvt:
                return IsConversionSupported(opcode);
            case Op.CvtPack:
                return opcode.Rounding is Rounding.Rn or Rounding.Rz && !opcode.Saturate;
            case Op.Sad:
                return type is PtxType.U32 or PtxType.S32;
            case Op.Dp4a:
                return true;
            case Op.Isspacep:
                return opcode.Space is PtxSpace.Shared or PtxSpace.Global or PtxSpace.Local;
            case Op.Shfl:
                return opcode.Warp is WarpMode.Up or WarpMode.Down or WarpMode.Bfly or WarpMode.Idx && type is PtxType.B32 or PtxType.U32 or PtxType.S32 or PtxType.F32;
            case Op.Vote:
                return opcode.Warp == WarpMode.Ballot ? type == PtxType.B32 : type == PtxType.Pred && opcode.Warp != WarpMode.None;
            case Op.Match:
                return opcode.Warp is WarpMode.Any or WarpMode.All && type is PtxType.B32 or PtxType.B64 or PtxType.U32 or PtxType.S32 or PtxType.U64 or PtxType.S64;
            case Op.Redux:
                return opcode.Atom is AtomOp.Add or AtomOp.Min or AtomOp.Max or AtomOp.And or AtomOp.Or or AtomOp.Xor && type is PtxType.B32 or PtxType.U32 or PtxType.S32;
            case Op.Activemask:
                return type == PtxType.B32;
            default:
                return opcode.Op is Op.Barrier or Op.WarpBarrier or Op.Fence or Op.Trap or Op.Mov or Op.Pack or Op.Unpack;
        }
    }

    private static bool IsConversionSupported(Opcode opcode)
    {
        static bool IsKnown(PtxType type) => (type.IsInteger() || type is PtxType.F16 or PtxType.BF16 or PtxType.F32 or PtxType.F64)
            && type is not (PtxType.B8 or PtxType.B16 or PtxType.B32 or PtxType.B64);
        if (!IsKnown(opcode.Type) || !IsKnown(opcode.Source))
        {
            return false;
        }

        var toInteger = opcode.Type.IsInteger();
        var fromInteger = opcode.Source.IsInteger();
        var isIntegral = opcode.Rounding is Rounding.Rni or Rounding.Rzi or Rounding.Rmi or Rounding.Rpi;
        if (toInteger)
        {
            return fromInteger ? opcode.Rounding == Rounding.None : isIntegral;
        }

        if (fromInteger)
        {
            return opcode.Rounding == Rounding.Rn || (opcode.Type is PtxType.F32 or PtxType.F64 && opcode.Rounding is Rounding.Rz or Rounding.Rm or Rounding.Rp);
        }

        if (opcode.Type == opcode.Source)
        {
            return opcode.Rounding == Rounding.None || isIntegral;
        }

        if (opcode.Type.Size() > opcode.Source.Size())
        {
            return opcode.Rounding == Rounding.None;
        }

        return opcode.Rounding == Rounding.Rn
            || (opcode.Rounding == Rounding.Rz && opcode.Source == PtxType.F32)
            || (opcode.Type == PtxType.F32 && opcode.Rounding is Rounding.Rz or Rounding.Rm or Rounding.Rp);
    }
}
