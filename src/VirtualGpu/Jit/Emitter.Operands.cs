// Operands and results: from the frame, from locals, from constants; as vectors of eight lanes or as the warp's scalar.
using System.Reflection.Emit;
using System.Runtime.Intrinsics;
using FashionFlow.VirtualGpu.Ptx;

namespace FashionFlow.VirtualGpu.Jit;

internal sealed partial class Emitter
{
    /// <summary>The element type of the vectors in which values of a type are handled.</summary>
    private static Type ElementOf(PtxType type) => type switch
    {
        PtxType.F32 => typeof(float),
        PtxType.F64 => typeof(double),
        PtxType.S64 => typeof(long),
        PtxType.U64 or PtxType.B64 => typeof(ulong),
        PtxType.S8 or PtxType.S16 or PtxType.S32 or PtxType.Pred => typeof(int),
        PtxType.F16 or PtxType.F16X2 or PtxType.BF16 or PtxType.BF16X2 => typeof(int),
        _ => typeof(uint),
    };

    /// <summary>The element type in which a register is kept in locals and in the frame.</summary>
    private static Type ElementOf(LaneType type) => type switch
    {
        LaneType.F32 => typeof(float),
        LaneType.F64 => typeof(double),
        LaneType.I64 => typeof(long),
        _ => typeof(int),
    };

    private static Type ScalarType(LaneType type) => ElementOf(type);

    private static bool IsWide(PtxType type) => type.Size() == 8;

    // ---- vectors

    // Pushes a source as Vector256 of ElementOf(type); for 64-bit types one half of the eight lanes.
    private void EmitSource(Operand operand, PtxType type, int part)
    {
        var element = ElementOf(type);
        if (operand.Register is not { } register)
        {
            EmitImmediate(operand.Bits, type, element);
            return;
        }

        EmitRegister(register, part);
        EmitAs(ElementOf(register.Type), element);
        if (type == PtxType.Pred)
        {
            if (operand.Negated)
            {
                _il.Emit(OpCodes.Call, MethodCatalog.Vector("OnesComplement", typeof(int), 1));
            }
        }
        else if (type.Size() < 4 && (type.IsSigned() || register.Bits > type.Size() * 8 || type.Size() == 1))
        {
            EmitExtend(type, element);
        }
    }

    // Pushes half of the lanes of a 32-bit source, widened to 64 bits.
    private void EmitWidened(Operand operand, PtxType type, int part)
    {
        if (operand.Register is null)
        {
            var wide = type.IsSigned() ? unchecked((int)operand.Bits) : type == PtxType.F32 ? operand.Bits : unchecked((uint)operand.Bits);
            if (type == PtxType.F32)
            {
                EmitImmediate(BitConverter.DoubleToInt64Bits(BitConverter.Int32BitsToSingle(unchecked((int)operand.Bits))), PtxType.F64, typeof(double));
            }
            else
            {
                EmitImmediate(type.Size() >= 4 ? wide : Narrowed(operand.Bits, type), type.IsSigned() ? PtxType.S64 : PtxType.U64, type.IsSigned() ? typeof(long) : typeof(ulong));
            }

            return;
        }

        EmitSource(operand, type, 0);
        _il.Emit(OpCodes.Call, MethodCatalog.Vector(part == 0 ? "WidenLower" : "WidenUpper", ElementOf(type), 1));
    }

    private static Type WidenedElement(PtxType type) => type == PtxType.F32 ? typeof(double) : ElementOf(type) == typeof(int) ? typeof(long) : typeof(ulong);

    private static long Narrowed(long bits, PtxType type) => type switch
    {
        PtxType.S8 => unchecked((sbyte)bits),
        PtxType.S16 => unchecked((short)bits),
        PtxType.B8 or PtxType.U8 => unchecked((byte)bits),
        PtxType.B16 or PtxType.U16 or PtxType.F16 or PtxType.BF16 => unchecked((ushort)bits),
        _ => bits,
    };

    private void EmitImmediate(long bits, PtxType type, Type element)
    {
        bits = type == PtxType.Pred ? (bits != 0 ? -1 : 0) : Narrowed(bits, type);
        EmitScalarConstant(bits, element);
        _il.Emit(OpCodes.Call, MethodCatalog.Broadcast(element));
    }

    private void EmitScalarConstant(long bits, Type element)
    {
        if (element == typeof(float))
        {
            _il.Emit(OpCodes.Ldc_R4, BitConverter.Int32BitsToSingle(unchecked((int)bits)));
        }
        else if (element == typeof(double))
        {
            _il.Emit(OpCodes.Ldc_R8, BitConverter.Int64BitsToDouble(bits));
        }
        else if (element == typeof(long) || element == typeof(ulong))
        {
            _il.Emit(OpCodes.Ldc_I8, bits);
        }
        else
        {
            EmitConstant(unchecked((int)bits));
        }
    }

    private void EmitAs(Type from, Type to)
    {
        if (from != to)
        {
            _il.Emit(OpCodes.Call, MethodCatalog.As(from, to));
        }
    }

    // Pushes a register as a vector of its own element type, and keeps it in a local.
    private void EmitRegister(IrRegister register, int part)
    {
        if (_asScalar)
        {
            EmitScalarValue(register);
            _il.Emit(OpCodes.Call, MethodCatalog.Broadcast(ElementOf(register.Type)));
            return;
        }

        var element = ElementOf(register.Type);
        var form = FormOf(register);
        var scalar = form.IsScalar && form.Constant is null ? ScalarLocal(register) : null;
        LocalBuilder? local;
        if (scalar is not null ? _broadcasts.TryGetValue((scalar, part, register.Index), out local) : _vectors.TryGetValue((register.Index, part), out local))
        {
            _il.Emit(OpCodes.Ldloc, local);
            return;
        }

        if (form.IsScalar)
        {
            EmitScalarValue(register);
            _il.Emit(OpCodes.Call, MethodCatalog.Broadcast(element));
            if (form.Pattern is { } pattern)
            {
                EmitPattern(pattern, part, element);
                _il.Emit(OpCodes.Call, MethodCatalog.Vector("Add", element, 2));
            }
        }
        else
        {
            EmitFrameAddress(_layout.Lanes(register) + (part * 32));
            _il.Emit(OpCodes.Ldobj, MethodCatalog.VectorOf(element));
        }

        local = _locals.Take(MethodCatalog.VectorOf(element));
        _il.Emit(OpCodes.Dup);
        _il.Emit(OpCodes.Stloc, local);
        if (scalar is not null)
        {
            _broadcasts[(scalar, part, register.Index)] = local;
        }
        else
        {
            _vectors[(register.Index, part)] = local;
        }
    }

    // Pushes a group's part of a pattern: constants in memory that lives as long as the code.
    private void EmitPattern(LanePattern pattern, int part, Type element)
    {
        var isWide = element == typeof(long);
        var address = isWide ? _version.Constants.Add64(pattern) : _version.Constants.Add32(pattern);
        _il.Emit(OpCodes.Ldc_I8, (long)address + (part * 32));
        _il.Emit(OpCodes.Conv_I);
        _il.Emit(OpCodes.Ldloc, _index);
        EmitConstant(isWide ? 6 : 5);
        _il.Emit(OpCodes.Shl);
        _il.Emit(OpCodes.Add);
        _il.Emit(OpCodes.Ldobj, MethodCatalog.VectorOf(element));
    }

    // Sign- or zero-extends the low bits of 32-bit lanes.
    private void EmitExtend(PtxType type, Type element)
    {
        var bits = type.Size() * 8;
        if (type.IsSigned())
        {
            EmitConstant(32 - bits);
            _il.Emit(OpCodes.Call, MethodCatalog.Shift("ShiftLeft", element));
            EmitConstant(32 - bits);
            _il.Emit(OpCodes.Call, MethodCatalog.Shift("ShiftRightArithmetic", element));
        }
        else
        {
            EmitConstant((1 << bits) - 1);
            _il.Emit(OpCodes.Call, MethodCatalog.Broadcast(element));
            _il.Emit(OpCodes.Call, MethodCatalog.Vector("BitwiseAnd", element, 2));
        }
    }

    // Pops a vector of an element type into a result.
    private void EmitResult(Operand result, int part, Type element)
    {
        if (result.Register is not { } register)
        {
            _il.Emit(OpCodes.Pop);
            return;
        }

        var own = ElementOf(register.Type);
        EmitAs(element, own);

        // Registers of 16 bits are kept zero-extended.
        if (register.Bits == 16)
        {
            EmitExtend(PtxType.U16, own);
        }

        if (_asScalar)
        {
            if (part > 0)
            {
                _il.Emit(OpCodes.Pop);
                return;
            }

            _il.Emit(OpCodes.Call, MethodCatalog.ToScalar(own));
            EmitScalarResult(register);
            return;
        }

        if (!_vectors.TryGetValue((register.Index, part), out var local))
        {
            local = _locals.Take(MethodCatalog.VectorOf(own));
            _vectors[(register.Index, part)] = local;
        }

        _il.Emit(OpCodes.Stloc, local);
        if (!_kernel.InFrame[register.Index] || !_segment.LiveOut[register.Index])
        {
            return;
        }

        var offset = _layout.Lanes(register) + (part * 32);
        EmitFrameAddress(offset);
        if (IsGeneral)
        {
            EmitMask(register.IsWide, part, own);
            _il.Emit(OpCodes.Ldloc, local);
            EmitFrameAddress(offset);
            _il.Emit(OpCodes.Ldobj, MethodCatalog.VectorOf(own));
            _il.Emit(OpCodes.Call, MethodCatalog.Select(own));
        }
        else
        {
            _il.Emit(OpCodes.Ldloc, local);
        }

        _il.Emit(OpCodes.Stobj, MethodCatalog.VectorOf(own));
    }

    // Pushes the active mask as a vector of an element type.
    private void EmitMask(bool wide, int part, Type element)
    {
        _il.Emit(OpCodes.Ldloc, _mask);
        if (wide)
        {
            _il.Emit(OpCodes.Call, MethodCatalog.Vector(part == 0 ? "WidenLower" : "WidenUpper", typeof(int), 1));
        }

        EmitAs(wide ? typeof(long) : typeof(int), element);
    }

    // ---- scalars

    // Before lane loops: scalars that they use are in locals.
    private void PrepareScalarOperands(Instruction instruction)
    {
        foreach (var source in instruction.Sources)
        {
            if (source.Register is { } register && FormOf(register).IsScalar)
            {
                _captured[(instruction, register.Index)] = EnsureScalar(register);
            }
        }
    }

    // The local that holds a register's scalar as the current instruction sees it.
    private LocalBuilder ScalarLocal(IrRegister register)
        => _current is not null && _captured.TryGetValue((_current, register.Index), out var captured) ? captured : EnsureScalar(register);

    private LocalBuilder EnsureScalar(IrRegister register)
    {
        if (!_scalars.TryGetValue(register.Index, out var local))
        {
            local = _locals.Take(ScalarType(register.Type));
            EmitUniformAddress(register);
            EmitLoadIndirect(ScalarType(register.Type));
            _il.Emit(OpCodes.Stloc, local);
            _scalars[register.Index] = local;
        }

        return local;
    }

    // Pushes the scalar of a register: a constant, or a local.
    private void EmitScalarValue(IrRegister register)
    {
        if (FormOf(register).Constant is { } constant)
        {
            EmitScalarConstant(constant, ScalarType(register.Type));
            return;
        }

        _il.Emit(OpCodes.Ldloc, ScalarLocal(register));
    }

    // Pops a scalar into a register's local.
    private void EmitScalarResult(IrRegister register)
    {
        var local = _locals.Take(ScalarType(register.Type));
        _il.Emit(OpCodes.Stloc, local);
        _scalars[register.Index] = local;
    }

    private void EmitUniformAddress(IrRegister register)
    {
        _il.Emit(OpCodes.Ldarg_1);
        EmitConstant(_layout.Uniform(register));
        _il.Emit(OpCodes.Conv_I);
        _il.Emit(OpCodes.Add);
    }

    private void EmitStoreUniform(IrRegister register, LocalBuilder local)
    {
        EmitUniformAddress(register);
        _il.Emit(OpCodes.Ldloc, local);
        var type = ScalarType(register.Type);
        _il.Emit(type == typeof(float) ? OpCodes.Stind_R4 : type == typeof(double) ? OpCodes.Stind_R8 : type == typeof(long) ? OpCodes.Stind_I8 : OpCodes.Stind_I4);
    }

    private void EmitLoadIndirect(Type type)
        => _il.Emit(type == typeof(float) ? OpCodes.Ldind_R4 : type == typeof(double) ? OpCodes.Ldind_R8 : type == typeof(long) ? OpCodes.Ldind_I8 : OpCodes.Ldind_I4);
}
