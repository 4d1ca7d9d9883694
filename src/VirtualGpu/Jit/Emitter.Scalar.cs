// Instructions done once for the warp, on scalars. The common ones are IL arithmetic; the rest run on lanes of which one is kept.
using System.Reflection.Emit;
using FashionFlow.VirtualGpu.Ptx;

namespace FashionFlow.VirtualGpu.Jit;

internal sealed partial class Emitter
{
    private void EmitScalar(Instruction instruction)
    {
        EmitWrapChecks(instruction);
        if (instruction.Op == Op.Ld)
        {
            EmitScalarLoad(instruction);
            return;
        }

        if (!TryEmitScalarArithmetic(instruction))
        {
            _asScalar = true;
            EmitInstruction(instruction);
            _asScalar = false;
        }
    }

    // Widening a 32-bit scalar plus pattern is the sum of the widened parts only where no lane wraps around.
    private void EmitWrapChecks(Instruction instruction)
    {
        var opcode = instruction.Opcode;
        var widened = opcode.Op switch
        {
            Op.Cvt when IsWide(opcode.Type) && opcode.Source.Size() == 4 => 1,
            Op.MulWide or Op.MadWide => 2,
            _ => 0,
        };
        var type = opcode.Op == Op.Cvt ? opcode.Source : opcode.Type;
        for (var i = 0; i < widened; i++)
        {
            if (instruction.Sources[i].Register is not { } register || FormOf(register) is not { Pattern: { } pattern, IsDisjoint: false })
            {
                continue;
            }

            var isSigned = type.IsSigned();
            var wide = _locals.Take(typeof(long));
            EmitScalarValue(register);
            _il.Emit(isSigned ? OpCodes.Conv_I8 : OpCodes.Conv_U8);
            _il.Emit(OpCodes.Stloc, wide);
            _il.Emit(OpCodes.Ldloc, wide);
            _il.Emit(OpCodes.Ldc_I8, pattern.Least);
            _il.Emit(OpCodes.Add);
            _il.Emit(OpCodes.Ldc_I8, isSigned ? int.MinValue : 0L);
            _il.Emit(OpCodes.Blt, _leave);
            _il.Emit(OpCodes.Ldloc, wide);
            _il.Emit(OpCodes.Ldc_I8, pattern.Most);
            _il.Emit(OpCodes.Add);
            _il.Emit(OpCodes.Ldc_I8, isSigned ? int.MaxValue : uint.MaxValue);
            _il.Emit(OpCodes.Bgt, _leave);
            _leaves = true;
        }
    }

    // Whether a source can be pushed as the IL type that a scalar operation of this type works on.
    private static bool IsPlain(Operand operand, PtxType type)
        => operand.Register is not { } register || (type == PtxType.Pred ? register.Type == LaneType.Pred && !operand.Negated : ElementOf(register.Type) == StackType(type) && register.Bits >= 32);

    private static Type StackType(PtxType type) => type switch
    {
        PtxType.F32 => typeof(float),
        PtxType.F64 => typeof(double),
        _ => IsWide(type) ? typeof(long) : typeof(int),
    };

    private void EmitScalarOperand(Operand operand, PtxType type)
    {
        if (operand.Register is { } register)
        {
            EmitScalarValue(register);
        }
        else
        {
            EmitScalarConstant(type == PtxType.Pred ? (operand.Bits != 0 ? -1 : 0) : operand.Bits, StackType(type));
        }
    }

    private bool TryEmitScalarArithmetic(Instruction instruction)
    {
        var opcode = instruction.Opcode;
        var type = opcode.Type;
        if (instruction.Results is not [{ Register: { Bits: not 16 } result }] || opcode.CarryIn || opcode.CarryOut || opcode.Saturate || opcode.Ftz
            || type.Size() is 1 or 2)
        {
            return false;
        }

        for (var i = 0; i < instruction.Sources.Length; i++)
        {
            if (!IsPlain(instruction.Sources[i], OperandRules.SourceType(opcode, i)))
            {
                return false;
            }
        }

        var resultType = OperandRules.ResultType(opcode);
        if (ScalarType(result.Type) != StackType(resultType))
        {
            return false;
        }

        var isInteger = type.IsInteger() || type == PtxType.Pred;
        var isNearestFloat = type is PtxType.F32 or PtxType.F64 && opcode.Rounding is Rounding.None or Rounding.Rn;
        switch (opcode.Op)
        {
            case Op.Mov:
                EmitScalarOperands(instruction);
                break;
            case Op.Add or Op.Sub or Op.Mul when isInteger || isNearestFloat:
                EmitScalarOperands(instruction);
                _il.Emit(opcode.Op == Op.Add ? OpCodes.Add : opcode.Op == Op.Sub ? OpCodes.Sub : OpCodes.Mul);
                break;
            case Op.Mad when isInteger:
                EmitScalarOperand(instruction.Sources[0], type);
                EmitScalarOperand(instruction.Sources[1], type);
                _il.Emit(OpCodes.Mul);
                EmitScalarOperand(instruction.Sources[2], type);
                _il.Emit(OpCodes.Add);
                break;
            case Op.And or Op.Or or Op.Xor when isInteger:
                EmitScalarOperands(instruction);
                _il.Emit(opcode.Op == Op.And ? OpCodes.And : opcode.Op == Op.Or ? OpCodes.Or : OpCodes.Xor);
                break;
            case Op.Not when isInteger:
                EmitScalarOperands(instruction);
                _il.Emit(OpCodes.Not);
                break;
            case Op.Neg when isInteger:
                EmitScalarOperands(instruction);
                _il.Emit(OpCodes.Neg);
                break;
            case Op.Shl or Op.Shr when instruction.Sources[1] is { IsImmediate: true } count && (ulong)count.Bits < (ulong)type.Size() * 8:
                EmitScalarOperand(instruction.Sources[0], type);
                EmitConstant((int)count.Bits);
                _il.Emit(opcode.Op == Op.Shl ? OpCodes.Shl : type.IsSigned() ? OpCodes.Shr : OpCodes.Shr_Un);
                break;
            case Op.Div or Op.Rem when isInteger:
                EmitScalarOperands(instruction);
                var element = ElementOf(type);
                _il.Emit(OpCodes.Call, MethodCatalog.Find(typeof(LaneMath), opcode.Op.ToString(), [element, element]));
                break;
            case Op.MulWide or Op.MadWide:
                for (var i = 0; i < 2; i++)
                {
                    EmitScalarOperand(instruction.Sources[i], type);
                    _il.Emit(type.IsSigned() ? OpCodes.Conv_I8 : OpCodes.Conv_U8);
                }

                _il.Emit(OpCodes.Mul);
                if (opcode.Op == Op.MadWide)
                {
                    EmitScalarOperand(instruction.Sources[2], resultType);
                    _il.Emit(OpCodes.Add);
                }

                break;
            case Op.Cvt when isInteger && opcode.Source.IsInteger() && opcode.Source.Size() >= 4:
                EmitScalarOperand(instruction.Sources[0], opcode.Source);
                if (IsWide(type) != IsWide(opcode.Source))
                {
                    _il.Emit(!IsWide(type) ? OpCodes.Conv_I4 : opcode.Source.IsSigned() ? OpCodes.Conv_I8 : OpCodes.Conv_U8);
                }

                break;
            case Op.Selp when isInteger || isNearestFloat:
                EmitScalarSelect(instruction);
                break;
            case Op.Setp when isInteger && opcode.Combine == Op.Mov:
                EmitScalarCompare(instruction);
                break;
            default:
                return false;
        }

        EmitScalarResult(result);
        return true;
    }

    private void EmitScalarOperands(Instruction instruction)
    {
        for (var i = 0; i < instruction.Sources.Length; i++)
        {
            EmitScalarOperand(instruction.Sources[i], OperandRules.SourceType(instruction.Opcode, i));
        }
    }

    private void EmitScalarSelect(Instruction instruction)
    {
        var otherwise = _il.DefineLabel();
        var end = _il.DefineLabel();
        var type = instruction.Opcode.Type;
        var value = _locals.Take(StackType(type));
        EmitScalarOperand(instruction.Sources[2], PtxType.Pred);
        _il.Emit(OpCodes.Brfalse, otherwise);
        EmitScalarOperand(instruction.Sources[0], type);
        _il.Emit(OpCodes.Stloc, value);
        _il.Emit(OpCodes.Br, end);
        _il.MarkLabel(otherwise);
        EmitScalarOperand(instruction.Sources[1], type);
        _il.Emit(OpCodes.Stloc, value);
        _il.MarkLabel(end);
        _il.Emit(OpCodes.Ldloc, value);
    }

    private void EmitScalarCompare(Instruction instruction)
    {
        var opcode = instruction.Opcode;
        EmitScalarOperands(instruction);
        var isSigned = opcode.Type.IsSigned() && opcode.Compare is not (Compare.Lo or Compare.Ls or Compare.Hi or Compare.Hs);
        var (operation, invert) = opcode.Compare switch
        {
            Compare.Eq => (OpCodes.Ceq, false),
            Compare.Ne => (OpCodes.Ceq, true),
            Compare.Lt or Compare.Lo => (isSigned ? OpCodes.Clt : OpCodes.Clt_Un, false),
            Compare.Ge or Compare.Hs => (isSigned ? OpCodes.Clt : OpCodes.Clt_Un, true),
            Compare.Gt or Compare.Hi => (isSigned ? OpCodes.Cgt : OpCodes.Cgt_Un, false),
            _ => (isSigned ? OpCodes.Cgt : OpCodes.Cgt_Un, true),
        };
        _il.Emit(operation);
        if (invert)
        {
            _il.Emit(OpCodes.Ldc_I4_0);
            _il.Emit(OpCodes.Ceq);
        }

        _il.Emit(OpCodes.Neg);
    }
}
