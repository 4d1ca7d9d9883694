// cvt: from any arithmetic type to any other.
using System.Reflection.Emit;
using FashionFlow.VirtualGpu.Ptx;

namespace FashionFlow.VirtualGpu.Jit;

internal sealed partial class Emitter
{
    private void EmitConvert(Instruction instruction)
    {
        var opcode = instruction.Opcode;
        var source = instruction.Sources[0];
        if (opcode.Op == Op.CvtPack)
        {
            // cvt.rn.f16x2.f32 d, a, b: a in the upper half.
            EmitSource(source, PtxType.F32, 0);
            EmitFromSingle(opcode.Type, opcode);
            EmitConstant(16);
            _il.Emit(OpCodes.Call, MethodCatalog.Shift("ShiftLeft", typeof(int)));
            EmitSource(instruction.Sources[1], PtxType.F32, 0);
            EmitFromSingle(opcode.Type, opcode);
            Vector("BitwiseOr", typeof(int), 2);
            EmitResult(instruction.Results[0], 0, typeof(int));
            return;
        }

        var result = instruction.Results[0];
        if (opcode.Type.IsInteger() && opcode.Source.IsInteger())
        {
            EmitIntegerConversion(opcode, source, result);
        }
        else if (opcode.Source.IsInteger())
        {
            EmitFromInteger(opcode, source, result);
        }
        else if (opcode.Source == PtxType.F64)
        {
            EmitFromDouble(opcode, source, result);
        }
        else
        {
            EmitFromFloat(opcode, source, result);
        }
    }

    // The source's lanes in the low bits of its register may be fewer than the register has; a 64-bit one is cut to 32.
    private void EmitNarrowSource(Operand source, PtxType type)
    {
        if (source.Register is { IsWide: true })
        {
            EmitSource(source, PtxType.U64, 0);
            EmitSource(source, PtxType.U64, 1);
            Vector("Narrow", typeof(ulong), 2);
            EmitAs(typeof(uint), ElementOf(type));
            if (type.Size() < 4)
            {
                EmitExtend(type, ElementOf(type));
            }

            return;
        }

        EmitSource(source, type, 0);
    }

    private void EmitIntegerConversion(Opcode opcode, Operand source, Operand result)
    {
        var (to, from) = (opcode.Type, opcode.Source);
        if (IsWide(from))
        {
            for (var part = 0; part < 2; part++)
            {
                EmitSource(source, from, part);
                EmitClamp(opcode);
                if (IsWide(to))
                {
                    EmitResult(result, part, ElementOf(from));
                }
            }

            if (!IsWide(to))
            {
                Vector("Narrow", ElementOf(from), 2);
                EmitNarrowResult(to, result, from.IsSigned() ? typeof(int) : typeof(uint));
            }

            return;
        }

        if (IsWide(to) || (result.Register?.IsWide ?? false))
        {
            EmitNarrowSource(source, from);
            if (!IsWide(to) && opcode.Saturate)
            {
                EmitClamp(opcode);
            }

            // A result narrower than its register is extended as its own type says.
            var element = ElementOf(from);
            if (!IsWide(to) && to.Size() < 4)
            {
                EmitAs(element, ElementOf(to));
                element = ElementOf(to);
                EmitExtend(to, element);
            }
            else if (!IsWide(to))
            {
                EmitAs(element, ElementOf(to));
                element = ElementOf(to);
            }
            else if (opcode.Saturate && from.IsSigned() && !to.IsSigned())
            {
                EmitImmediate(0, from, element);
                Vector("Max", element, 2);
            }

            var local = _locals.Take(MethodCatalog.VectorOf(element));
            _il.Emit(OpCodes.Stloc, local);
            for (var part = 0; part < 2; part++)
            {
                _il.Emit(OpCodes.Ldloc, local);
                Vector(part == 0 ? "WidenLower" : "WidenUpper", element, 1);
                EmitResult(result, part, element == typeof(int) ? typeof(long) : typeof(ulong));
            }

            return;
        }

        EmitNarrowSource(source, from);
        EmitClamp(opcode);
        EmitNarrowResult(to, result, ElementOf(from));
    }

    // A result of at most 32 bits; one narrower than its register is extended by its own sign.
    private void EmitNarrowResult(PtxType to, Operand result, Type element)
    {
        if (to.Size() < 4)
        {
            EmitAs(element, ElementOf(to));
            element = ElementOf(to);
            EmitExtend(to, element);
        }

        if (result.Register is { IsWide: true })
        {
            var local = _locals.Take(MethodCatalog.VectorOf(element));
            _il.Emit(OpCodes.Stloc, local);
            for (var part = 0; part < 2; part++)
            {
                _il.Emit(OpCodes.Ldloc, local);
                Vector(part == 0 ? "WidenLower" : "WidenUpper", element, 1);
                EmitResult(result, part, element == typeof(int) ? typeof(long) : typeof(ulong));
            }

            return;
        }

        EmitResult(result, 0, element);
    }

    // .sat between integers: the source's value bounded by the destination's range.
    private void EmitClamp(Opcode opcode)
    {
        if (!opcode.Saturate)
        {
            return;
        }

        var (to, from) = (opcode.Type, opcode.Source);
        var element = ElementOf(from);
        var bits = to.Size() * 8;
        if (from.IsSigned())
        {
            var high = to.IsSigned() ? (1L << (bits - 1)) - 1 : bits == 64 ? long.MaxValue : (1L << bits) - 1;
            var low = to.IsSigned() ? -high - 1 : 0;
            if (element == typeof(int))
            {
                low = Math.Max(low, int.MinValue);
                high = Math.Min(high, int.MaxValue);
            }

            EmitScalarConstant(low, element);
            EmitScalarConstant(high, element);
            _il.Emit(OpCodes.Call, MethodCatalog.Find(typeof(LaneMath), "ClampTo", [MethodCatalog.VectorOf(element), element, element]));
        }
        else
        {
            var high = to.IsSigned() ? (1UL << (bits - 1)) - 1 : bits == 64 ? ulong.MaxValue : (1UL << bits) - 1;
            EmitScalarConstant(unchecked((long)(element == typeof(uint) ? Math.Min(high, uint.MaxValue) : high)), element);
            _il.Emit(OpCodes.Call, MethodCatalog.Find(typeof(LaneMath), "ClampTo", [MethodCatalog.VectorOf(element), element]));
        }
    }

    private void EmitFromInteger(Opcode opcode, Operand source, Operand result)
    {
        var (to, from) = (opcode.Type, opcode.Source);
        if (IsWide(from))
        {
            var element = ElementOf(from);
            var directed = opcode.Rounding is Rounding.Rm or Rounding.Rp or Rounding.Rz ? opcode.Rounding.ToString() : "";
            if (to == PtxType.F64)
            {
                for (var part = 0; part < 2; part++)
                {
                    EmitSource(source, from, part);
                    Lane("ToDouble" + directed, element);
                    EmitResult(result, part, typeof(double));
                }

                return;
            }

            EmitSource(source, from, 0);
            EmitSource(source, from, 1);
            Lane("ToSingle" + directed, element, element);
            EmitFloatResult(opcode, result);
            return;
        }

        var isExactInSingle = from.Size() < 4;
        if (to == PtxType.F64)
        {
            EmitNarrowSource(source, from);
            var local = _locals.Take(MethodCatalog.VectorOf(ElementOf(from)));
            _il.Emit(OpCodes.Stloc, local);
            for (var part = 0; part < 2; part++)
            {
                _il.Emit(OpCodes.Ldloc, local);
                EmitExactDouble(from, part);
                EmitResult(result, part, typeof(double));
            }

            return;
        }

        if (!isExactInSingle && (to != PtxType.F32 || opcode.Rounding != Rounding.Rn))
        {
            // Exact in double, then one rounding.
            EmitNarrowSource(source, from);
            var local = _locals.Take(MethodCatalog.VectorOf(ElementOf(from)));
            _il.Emit(OpCodes.Stloc, local);
            for (var part = 0; part < 2; part++)
            {
                _il.Emit(OpCodes.Ldloc, local);
                EmitExactDouble(from, part);
            }

            EmitNarrowDouble(opcode, result);
            return;
        }

        EmitNarrowSource(source, from);
        Lane("ToSingle", ElementOf(from));
        EmitFloatResult(opcode, result);
    }

    private void EmitExactDouble(PtxType from, int part)
    {
        var element = ElementOf(from);
        Vector(part == 0 ? "WidenLower" : "WidenUpper", element, 1);
        EmitAs(element == typeof(int) ? typeof(long) : typeof(ulong), typeof(long));
        Lane("ToDoubleExact", typeof(long));
    }

    // Two vectors of double on the stack become one of a smaller type.
    private void EmitNarrowDouble(Opcode opcode, Operand result)
    {
        switch (opcode.Type)
        {
            case PtxType.F16:
                Lane("HalfFromDouble", typeof(double), typeof(double));
                EmitResult(result, 0, typeof(int));
                return;
            case PtxType.F32 when opcode.Rounding is Rounding.Rm or Rounding.Rp or Rounding.Rz:
                Lane("Narrow" + opcode.Rounding, typeof(double), typeof(double));
                break;
            default:
                Vector("Narrow", typeof(double), 2);
                break;
        }

        EmitFloatResult(opcode, result);
    }

    // A vector of float on the stack, to the opcode's type of at most 32 bits.
    private void EmitFloatResult(Opcode opcode, Operand result)
    {
        if (opcode.Saturate)
        {
            Lane("Saturate", typeof(float));
        }

        if (opcode.Type == PtxType.F32)
        {
            EmitFlush(opcode);
            EmitResult(result, 0, typeof(float));
            return;
        }

        EmitFromSingle(opcode.Type, opcode);
        EmitResult(result, 0, typeof(int));
    }

    private void EmitFromSingle(PtxType type, Opcode opcode)
        => Lane(HalfName(type) + "FromSingle" + (opcode.Rounding == Rounding.Rz ? "Rz" : ""), typeof(float));

    private static string Integral(Rounding rounding) => "Round" + rounding;

    private static string IntegerName(PtxType type) => (type.IsSigned() ? "ToInt" : "ToUInt") + (type.Size() * 8);

    private void EmitFromDouble(Opcode opcode, Operand source, Operand result)
    {
        var to = opcode.Type;
        if (to == PtxType.F64)
        {
            for (var part = 0; part < 2; part++)
            {
                EmitSource(source, PtxType.F64, part);
                if (opcode.Rounding != Rounding.None)
                {
                    Lane(Integral(opcode.Rounding), typeof(double));
                }

                if (opcode.Saturate)
                {
                    Lane("Saturate", typeof(double));
                }

                EmitResult(result, part, typeof(double));
            }

            return;
        }

        if (!to.IsInteger())
        {
            EmitSource(source, PtxType.F64, 0);
            EmitSource(source, PtxType.F64, 1);
            EmitNarrowDouble(opcode, result);
            return;
        }

        for (var part = 0; part < 2; part++)
        {
            EmitSource(source, PtxType.F64, part);
            Lane(Integral(opcode.Rounding), typeof(double));
            Lane(IntegerName(to), typeof(double));
            if (IsWide(to))
            {
                EmitResult(result, part, ElementOf(to));
            }
        }

        if (!IsWide(to))
        {
            Vector("Narrow", typeof(long), 2);
            EmitNarrowResult(to, result, typeof(int));
        }
    }

    // From float or a half type, which is exact in float.
    private void EmitFromFloat(Opcode opcode, Operand source, Operand result)
    {
        var (to, from) = (opcode.Type, opcode.Source);
        if (from == PtxType.F32)
        {
            EmitSource(source, PtxType.F32, 0);
            EmitFlushIf(opcode.Ftz, PtxType.F32);
        }
        else
        {
            EmitHalfSource(source, from, high: false);
        }

        if (to == PtxType.F64 || IsWide(to))
        {
            var local = _locals.Take(MethodCatalog.VectorOf(typeof(float)));
            _il.Emit(OpCodes.Stloc, local);
            for (var part = 0; part < 2; part++)
            {
                _il.Emit(OpCodes.Ldloc, local);
                Vector(part == 0 ? "WidenLower" : "WidenUpper", typeof(float), 1);
                if (to.IsInteger())
                {
                    Lane(Integral(opcode.Rounding), typeof(double));
                    Lane(IntegerName(to), typeof(double));
                }
                else if (opcode.Saturate)
                {
                    Lane("Saturate", typeof(double));
                }

                EmitResult(result, part, to.IsInteger() ? ElementOf(to) : typeof(double));
            }

            return;
        }

        if (opcode.Rounding is Rounding.Rni or Rounding.Rzi or Rounding.Rmi or Rounding.Rpi)
        {
            Lane(Integral(opcode.Rounding), typeof(float));
        }

        if (to.IsInteger())
        {
            Lane(IntegerName(to), typeof(float));
            EmitNarrowResult(to, result, to.IsSigned() ? typeof(int) : typeof(uint));
            return;
        }

        EmitFloatResult(opcode, result);
    }
}
