// Instructions from lanes to lanes.
using System.Reflection;
using System.Reflection.Emit;
using System.Runtime.Intrinsics;
using FashionFlow.VirtualGpu.Ptx;

namespace FashionFlow.VirtualGpu.Jit;

internal sealed partial class Emitter
{
    // Emits an instruction on a group of eight lanes, or, as a scalar, on the broadcast scalars of its operands.
    private void EmitInstruction(Instruction instruction)
    {
        var opcode = instruction.Opcode;
        var type = opcode.Type;
        switch (opcode.Op)
        {
            case Op.Mov:
                EmitMove(instruction);
                break;
            case Op.Ld:
                EmitLoad(instruction);
                break;
            case Op.St:
                EmitStore(instruction);
                break;
            case Op.Cvt or Op.CvtPack:
                EmitConvert(instruction);
                break;
            case Op.Setp:
                EmitSetPredicate(instruction);
                break;
            case Op.Set:
                EmitSet(instruction);
                break;
            case Op.Selp:
                EmitSelect(instruction);
                break;
            case Op.Slct:
                EmitSlct(instruction);
                break;
            case Op.Testp:
                EmitTest(instruction);
                break;
            case Op.Isspacep:
                EmitIsSpace(instruction);
                break;
            case Op.Pack:
                EmitPack(instruction);
                break;
            case Op.Unpack:
                EmitUnpack(instruction);
                break;
            case Op.Shl or Op.Shr:
                EmitShift(instruction);
                break;
            case Op.MulWide or Op.MadWide:
                EmitMultiplyWide(instruction);
                break;
            case Op.Popc or Op.Clz or Op.Bfind:
                EmitCount(instruction);
                break;
            case Op.Bfe or Op.Bfi:
                EmitBitField(instruction);
                break;
            default:
                if (opcode.CarryIn || opcode.CarryOut)
                {
                    EmitCarry(instruction);
                }
                else if (type is PtxType.F16 or PtxType.F16X2 or PtxType.BF16 or PtxType.BF16X2)
                {
                    EmitHalf(instruction);
                }
                else
                {
                    EmitMap(instruction);
                }

                break;
        }
    }

    private void EmitMove(Instruction instruction)
    {
        var type = instruction.Opcode.Type;
        for (var part = 0; part < Parts(type); part++)
        {
            EmitSource(instruction.Sources[0], type, part);
            EmitResult(instruction.Results[0], part, ElementOf(type));
        }
    }

    private static int Parts(PtxType type) => IsWide(type) ? 2 : 1;

    // ---- element by element, all operands of the one type

    private void EmitMap(Instruction instruction)
    {
        var opcode = instruction.Opcode;
        var element = ElementOf(opcode.Type);
        for (var part = 0; part < Parts(opcode.Type); part++)
        {
            foreach (var source in instruction.Sources)
            {
                EmitSource(source, opcode.Op == Op.Dp4a ? PtxType.S32 : opcode.Type, part);
                EmitFlush(opcode);
            }

            EmitOperation(opcode, element);
            EmitFlush(opcode);
            if (opcode.Saturate && opcode.Type.IsFloat())
            {
                _il.Emit(OpCodes.Call, MethodCatalog.Lane("Saturate", element));
            }

            EmitResult(instruction.Results[0], part, opcode.Op == Op.Dp4a ? typeof(int) : element);
        }
    }

    private void EmitFlush(Opcode opcode)
    {
        if (opcode.Ftz && opcode.Type == PtxType.F32)
        {
            _il.Emit(OpCodes.Call, MethodCatalog.Lane("Flush", typeof(float)));
        }
    }

    private void Vector(string name, Type element, int arguments) => _il.Emit(OpCodes.Call, MethodCatalog.Vector(name, element, arguments));

    private void Lane(string name, params ReadOnlySpan<Type> elements) => _il.Emit(OpCodes.Call, MethodCatalog.Lane(name, elements));

    private void EmitOperation(Opcode opcode, Type element)
    {
        var isFloat = opcode.Type.IsFloat();
        var directed = isFloat && opcode.Rounding is Rounding.Rm or Rounding.Rp or Rounding.Rz ? opcode.Rounding.ToString() : "";
        switch (opcode.Op)
        {
            case Op.Add when directed.Length > 0:
                Lane("Add" + directed, element, element);
                break;
            case Op.Sub when directed.Length > 0:
                Lane("Sub" + directed, element, element);
                break;
            case Op.Mul when directed.Length > 0:
                Lane("Mul" + directed, element, element);
                break;
            case Op.Fma when directed.Length > 0:
                Lane("Fma" + directed, element, element, element);
                break;
            case Op.Add when opcode.Saturate && !isFloat:
                Lane("AddSaturate", element, element);
                break;
            case Op.Sub when opcode.Saturate && !isFloat:
                Lane("SubSaturate", element, element);
                break;
            case Op.Add:
                Vector("Add", element, 2);
                break;
            case Op.Sub:
                Vector("Subtract", element, 2);
                break;
            case Op.Mul:
                Vector("Multiply", element, 2);
                break;
            case Op.Mad:
                EmitMultiplyAdd(element, "Multiply", isVector: true);
                break;
            case Op.MulHi when opcode.Type.Size() == 2:
                Vector("Multiply", element, 2);
                EmitConstant(16);
                _il.Emit(OpCodes.Call, MethodCatalog.Shift(opcode.Type.IsSigned() ? "ShiftRightArithmetic" : "ShiftRightLogical", element));
                break;
            case Op.MulHi:
                Lane("MulHi", element, element);
                break;
            case Op.MadHi:
                EmitMultiplyAdd(element, "MulHi", isVector: false);
                break;
            case Op.Mul24:
                Lane(opcode.Variant == 1 ? "Mul24High" : "Mul24Low", element, element);
                break;
            case Op.Mad24:
                EmitMultiplyAdd(element, opcode.Variant == 1 ? "Mul24High" : "Mul24Low", isVector: false);
                break;
            case Op.Fma:
                Vector("FusedMultiplyAdd", element, 3);
                break;
            case Op.Div when isFloat:
                Vector("Divide", element, 2);
                break;
            case Op.Div:
                Lane("Div", element, element);
                break;
            case Op.Rem:
                Lane("Rem", element, element);
                break;
            case Op.Abs:
                Lane("Abs", element);
                break;
            case Op.Neg when isFloat:
                Lane("Neg", element);
                break;
            case Op.Neg:
                Vector("Negate", element, 1);
                break;
            case Op.Min or Op.Max when isFloat:
                Lane(opcode.Op + (opcode.Variant == 1 ? "Nan" : ""), element, element);
                break;
            case Op.Min or Op.Max:
                Vector(opcode.Op.ToString(), element, 2);
                break;
            case Op.Sqrt:
                Vector("Sqrt", element, 1);
                break;
            case Op.Rcp or Op.Rsqrt when element == typeof(double) && opcode.Ftz:
                Lane(opcode.Op + "Upper", element);
                break;
            case Op.Rcp or Op.Rsqrt or Op.Ex2 or Op.Lg2 or Op.Sin or Op.Cos or Op.Tanh:
                Lane(opcode.Op.ToString(), element);
                break;
            case Op.And:
                Vector("BitwiseAnd", element, 2);
                break;
            case Op.Or:
                Vector("BitwiseOr", element, 2);
                break;
            case Op.Xor:
                Vector("Xor", element, 2);
                break;
            case Op.Not:
                Vector("OnesComplement", element, 1);
                break;
            case Op.Cnot:
                Lane("Cnot", element);
                break;
            case Op.Copysign:
                Lane("Copysign", element, element);
                break;
            case Op.Sad:
                Lane("Sad", element, element, element);
                break;
            case Op.Lop3:
                Lane("Lop3", element, element, element, element);
                break;
            case Op.Brev:
                Lane("Brev", element);
                break;
            case Op.Prmt:
                EmitConstant(opcode.Variant);
                var vector = MethodCatalog.VectorOf(element);
                _il.Emit(OpCodes.Call, MethodCatalog.Find(typeof(LaneMath), "Prmt", [vector, vector, vector, typeof(int)]));
                break;
            case Op.ShfLeft or Op.ShfRight:
                Lane(opcode.Op + (opcode.Variant == 1 ? "Clamp" : "Wrap"), element, element, element);
                break;
            case Op.Dp4a:
                EmitConstant(opcode.Type.IsSigned() ? 1 : 0);
                EmitConstant(opcode.Source.IsSigned() ? 1 : 0);
                _il.Emit(OpCodes.Call, MethodCatalog.Only(typeof(LaneMath), "Dp4a"));
                break;
            default:
                throw new InvalidOperationException($"no emitter for {opcode.Op}.{opcode.Type}");
        }
    }

    // a b c on the stack: product of the first two, then the sum.
    private void EmitMultiplyAdd(Type element, string product, bool isVector)
    {
        var c = _locals.Take(MethodCatalog.VectorOf(element));
        _il.Emit(OpCodes.Stloc, c);
        if (isVector)
        {
            Vector(product, element, 2);
        }
        else
        {
            Lane(product, element, element);
        }

        _il.Emit(OpCodes.Ldloc, c);
        Vector("Add", element, 2);
    }

    // ---- shifts and products of two widths

    private void EmitShift(Instruction instruction)
    {
        var opcode = instruction.Opcode;
        var isLeft = opcode.Op == Op.Shl;
        var type = isLeft || !opcode.Type.IsSigned() ? (IsWide(opcode.Type) ? PtxType.U64 : opcode.Type.Size() == 2 ? PtxType.U16 : PtxType.U32) : opcode.Type;
        var element = ElementOf(type);
        var bits = IsWide(type) ? 64 : 32;
        for (var part = 0; part < Parts(type); part++)
        {
            EmitSource(instruction.Sources[0], type, part);
            if (instruction.Sources[1] is { IsImmediate: true } immediate)
            {
                var count = (uint)immediate.Bits;
                if (count >= bits && (isLeft || !type.IsSigned()))
                {
                    _il.Emit(OpCodes.Pop);
                    EmitImmediate(0, type, element);
                }
                else
                {
                    EmitConstant((int)Math.Min(count, (uint)bits - 1));
                    _il.Emit(OpCodes.Call, MethodCatalog.Shift(isLeft ? "ShiftLeft" : type.IsSigned() ? "ShiftRightArithmetic" : "ShiftRightLogical", element));
                }
            }
            else
            {
                if (IsWide(type))
                {
                    EmitWidened(instruction.Sources[1], PtxType.U32, part);
                }
                else
                {
                    EmitSource(instruction.Sources[1], PtxType.U32, 0);
                }

                Lane(opcode.Op.ToString(), element, IsWide(type) ? typeof(ulong) : typeof(uint));
            }

            EmitResult(instruction.Results[0], part, element);
        }
    }

    private void EmitMultiplyWide(Instruction instruction)
    {
        var opcode = instruction.Opcode;
        var isAdd = opcode.Op == Op.MadWide;
        var wide = OperandRules.Wide(opcode.Type);
        var element = ElementOf(wide);
        if (opcode.Type.Size() == 2)
        {
            EmitSource(instruction.Sources[0], opcode.Type, 0);
            EmitSource(instruction.Sources[1], opcode.Type, 0);
            Vector("Multiply", element, 2);
            if (isAdd)
            {
                EmitSource(instruction.Sources[2], wide, 0);
                Vector("Add", element, 2);
            }

            EmitResult(instruction.Results[0], 0, element);
            return;
        }

        // Both halves before either is stored: a source may be the result's register.
        for (var part = 0; part < 2; part++)
        {
            EmitWidened(instruction.Sources[0], opcode.Type, part);
            EmitWidened(instruction.Sources[1], opcode.Type, part);
            Lane("MulWide", element, element);
            if (isAdd)
            {
                EmitSource(instruction.Sources[2], wide, part);
                Vector("Add", element, 2);
            }

            EmitResult(instruction.Results[0], part, element);
        }
    }

    private void EmitCount(Instruction instruction)
    {
        var opcode = instruction.Opcode;
        var type = opcode.Op == Op.Bfind && opcode.Type.IsSigned() ? opcode.Type : IsWide(opcode.Type) ? PtxType.U64 : PtxType.U32;
        var element = ElementOf(type);
        var name = opcode.Op == Op.Bfind && opcode.Variant == 1 ? "BfindShift" : opcode.Op.ToString();
        for (var part = 0; part < Parts(type); part++)
        {
            EmitSource(instruction.Sources[0], type, part);
            Lane(name, element);
        }

        if (IsWide(type))
        {
            Vector("Narrow", element, 2);
            element = element == typeof(long) ? typeof(int) : typeof(uint);
        }

        EmitResult(instruction.Results[0], 0, element);
    }

    private void EmitBitField(Instruction instruction)
    {
        var opcode = instruction.Opcode;
        var isInsert = opcode.Op == Op.Bfi;
        var type = isInsert ? (IsWide(opcode.Type) ? PtxType.U64 : PtxType.U32) : opcode.Type;
        var element = ElementOf(type);
        var count = IsWide(type) ? typeof(ulong) : typeof(uint);
        for (var part = 0; part < Parts(type); part++)
        {
            for (var i = 0; i < instruction.Sources.Length; i++)
            {
                if (i < (isInsert ? 2 : 1))
                {
                    EmitSource(instruction.Sources[i], type, part);
                }
                else if (IsWide(type))
                {
                    EmitWidened(instruction.Sources[i], PtxType.U32, part);
                }
                else
                {
                    EmitSource(instruction.Sources[i], PtxType.U32, 0);
                }
            }

            if (isInsert)
            {
                Lane("Bfi", element, element, count, count);
            }
            else
            {
                Lane("Bfe", element, count, count);
            }

            EmitResult(instruction.Results[0], part, element);
        }
    }

    // ---- carries: 32-bit sums whose carry is another result

    private void EmitCarry(Instruction instruction)
    {
        var opcode = instruction.Opcode;
        var element = typeof(uint);
        var vector = MethodCatalog.VectorOf(element);
        var a = _locals.Take(vector);
        var b = _locals.Take(vector);
        var c = _locals.Take(vector);
        EmitSource(instruction.Sources[0], PtxType.U32, 0);
        EmitSource(instruction.Sources[1], PtxType.U32, 0);
        var isProduct = opcode.Op is Op.Mad or Op.MadHi;
        if (isProduct)
        {
            if (opcode.Op == Op.Mad)
            {
                Vector("Multiply", element, 2);
            }
            else if (opcode.Type == PtxType.S32)
            {
                _il.Emit(OpCodes.Stloc, b);
                EmitAs(element, typeof(int));
                _il.Emit(OpCodes.Ldloc, b);
                EmitAs(element, typeof(int));
                Lane("MulHi", typeof(int), typeof(int));
                EmitAs(typeof(int), element);
            }
            else
            {
                Lane("MulHi", element, element);
            }

            EmitSource(instruction.Sources[2], PtxType.U32, 0);
        }

        _il.Emit(OpCodes.Stloc, b);
        _il.Emit(OpCodes.Stloc, a);
        if (opcode.CarryIn)
        {
            EmitSource(instruction.Sources[^1], PtxType.U32, 0);
        }
        else
        {
            EmitImmediate(0, PtxType.U32, element);
        }

        _il.Emit(OpCodes.Stloc, c);
        var isSub = opcode.Op == Op.Sub;
        _il.Emit(OpCodes.Ldloc, a);
        _il.Emit(OpCodes.Ldloc, b);
        Vector(isSub ? "Subtract" : "Add", element, 2);
        _il.Emit(OpCodes.Ldloc, c);
        Vector(isSub ? "Subtract" : "Add", element, 2);
        EmitResult(instruction.Results[0], 0, element);
        if (opcode.CarryOut)
        {
            _il.Emit(OpCodes.Ldloc, a);
            _il.Emit(OpCodes.Ldloc, b);
            _il.Emit(OpCodes.Ldloc, c);
            Lane(isSub ? "SubBorrowOut" : "AddCarryOut", element, element, element);
            EmitResult(instruction.Results[^1], 0, element);
        }
    }

    // ---- half types

    private static string HalfName(PtxType type) => type is PtxType.F16 or PtxType.F16X2 ? "Half" : "Brain";

    // Pushes a half as float: the low one of a lane, or the high one.
    private void EmitHalfSource(Operand operand, PtxType type, bool high)
    {
        if (operand.Register is null)
        {
            EmitImmediate(operand.Bits, PtxType.B32, typeof(int));
        }
        else
        {
            EmitRegister(operand.Register, 0);
            EmitAs(ElementOf(operand.Register.Type), typeof(int));
        }

        if (high)
        {
            EmitConstant(16);
            _il.Emit(OpCodes.Call, MethodCatalog.Shift("ShiftRightLogical", typeof(int)));
        }

        Lane(HalfName(type) + "ToSingle", typeof(int));
    }

    private void EmitHalf(Instruction instruction)
    {
        var opcode = instruction.Opcode;
        var type = opcode.Type;
        var isPair = type is PtxType.F16X2 or PtxType.BF16X2;
        var low = _locals.Take(typeof(Vector256<int>));
        for (var half = 0; half < (isPair ? 2 : 1); half++)
        {
            if (opcode.Op == Op.Fma)
            {
                foreach (var source in instruction.Sources)
                {
                    EmitSource(source, PtxType.S32, 0);
                    if (half == 1)
                    {
                        EmitConstant(16);
                        _il.Emit(OpCodes.Call, MethodCatalog.Shift("ShiftRightLogical", typeof(int)));
                    }
                }

                Lane(HalfName(type) + "Fma", typeof(int), typeof(int), typeof(int));
            }
            else
            {
                foreach (var source in instruction.Sources)
                {
                    EmitHalfSource(source, type, half == 1);
                }

                EmitOperation(opcode with { Type = PtxType.F32, Rounding = Rounding.None }, typeof(float));
                Lane(HalfName(type) + "FromSingle", typeof(float));
            }

            if (half == 0 && isPair)
            {
                _il.Emit(OpCodes.Stloc, low);
            }
            else if (half == 1)
            {
                EmitConstant(16);
                _il.Emit(OpCodes.Call, MethodCatalog.Shift("ShiftLeft", typeof(int)));
                _il.Emit(OpCodes.Ldloc, low);
                Vector("BitwiseOr", typeof(int), 2);
            }
        }

        EmitResult(instruction.Results[0], 0, typeof(int));
    }

    // ---- comparisons and choices

    // Pushes the 32-bit mask of a comparison of two sources.
    private void EmitCompare(Compare compare, PtxType type, Operand a, Operand b, bool flush, bool high = false)
    {
        if (type is PtxType.F16 or PtxType.F16X2 or PtxType.BF16 or PtxType.BF16X2)
        {
            EmitHalfSource(a, type, high);
            EmitHalfSource(b, type, high);
            EmitCompareOperation(compare, PtxType.F32);
            EmitAs(typeof(float), typeof(int));
            return;
        }

        if (compare is Compare.Lo or Compare.Ls or Compare.Hi or Compare.Hs)
        {
            type = IsWide(type) ? PtxType.U64 : type.Size() == 2 ? PtxType.U16 : PtxType.U32;
        }

        var element = ElementOf(type);
        for (var part = 0; part < Parts(type); part++)
        {
            EmitSource(a, type, part);
            EmitFlushIf(flush, type);
            EmitSource(b, type, part);
            EmitFlushIf(flush, type);
            EmitCompareOperation(compare, type);
            EmitAs(element, IsWide(type) ? typeof(long) : typeof(int));
        }

        if (IsWide(type))
        {
            Vector("Narrow", typeof(long), 2);
        }
    }

    private void EmitFlushIf(bool flush, PtxType type)
    {
        if (flush && type == PtxType.F32)
        {
            Lane("Flush", typeof(float));
        }
    }

    private void EmitCompareOperation(Compare compare, PtxType type)
    {
        var element = ElementOf(type);
        var isFloat = type.IsFloat();
        var (name, invert) = compare switch
        {
            Compare.Eq => ("Equals", false),
            Compare.Ne => isFloat ? ("NeOrdered", false) : ("Equals", true),
            Compare.Lt or Compare.Lo => ("LessThan", false),
            Compare.Le or Compare.Ls => ("LessThanOrEqual", false),
            Compare.Gt or Compare.Hi => ("GreaterThan", false),
            Compare.Ge or Compare.Hs => ("GreaterThanOrEqual", false),
            Compare.Equ => ("NeOrdered", true),
            Compare.Neu => ("Equals", true),
            Compare.Ltu => ("GreaterThanOrEqual", true),
            Compare.Leu => ("GreaterThan", true),
            Compare.Gtu => ("LessThanOrEqual", true),
            Compare.Geu => ("LessThan", true),
            Compare.Num => ("BothNumbers", false),
            _ => ("BothNumbers", true),
        };
        if (name is "NeOrdered" or "BothNumbers")
        {
            Lane(name, element, element);
        }
        else
        {
            Vector(name, element, 2);
        }

        if (invert)
        {
            Vector("OnesComplement", element, 1);
        }
    }

    // Combines the mask on the stack with the predicate source, if there is one.
    private void EmitCombine(Instruction instruction)
    {
        if (instruction.Opcode.Combine == Op.Mov)
        {
            return;
        }

        EmitSource(instruction.Sources[2], PtxType.Pred, 0);
        Vector(instruction.Opcode.Combine switch { Op.And => "BitwiseAnd", Op.Or => "BitwiseOr", _ => "Xor" }, typeof(int), 2);
    }

    private void EmitSetPredicate(Instruction instruction)
    {
        var opcode = instruction.Opcode;
        EmitCompare(opcode.Compare, opcode.Type, instruction.Sources[0], instruction.Sources[1], opcode.Ftz);
        if (instruction.Results.Length > 1)
        {
            var mask = _locals.Take(typeof(Vector256<int>));
            _il.Emit(OpCodes.Stloc, mask);
            var both = _locals.Take(typeof(Vector256<int>));
            _il.Emit(OpCodes.Ldloc, mask);
            EmitCombine(instruction);
            _il.Emit(OpCodes.Stloc, both);
            _il.Emit(OpCodes.Ldloc, mask);
            Vector("OnesComplement", typeof(int), 1);
            EmitCombine(instruction);
            EmitResult(instruction.Results[1], 0, typeof(int));
            _il.Emit(OpCodes.Ldloc, both);
        }
        else
        {
            EmitCombine(instruction);
        }

        EmitResult(instruction.Results[0], 0, typeof(int));
    }

    private void EmitSet(Instruction instruction)
    {
        var opcode = instruction.Opcode;
        EmitCompare(opcode.Compare, opcode.Source, instruction.Sources[0], instruction.Sources[1], opcode.Ftz);
        EmitCombine(instruction);
        var one = opcode.Type switch
        {
            PtxType.F32 => 0x3F800000,
            PtxType.F16 or PtxType.F16X2 => 0x3C00,
            PtxType.BF16 => 0x3F80,
            _ => -1,
        };
        EmitMaskedConstant(one);
        if (opcode.Type == PtxType.F16X2)
        {
            var low = _locals.Take(typeof(Vector256<int>));
            _il.Emit(OpCodes.Stloc, low);
            EmitCompare(opcode.Compare, opcode.Source, instruction.Sources[0], instruction.Sources[1], flush: false, high: true);
            EmitCombine(instruction);
            EmitMaskedConstant(one << 16);
            _il.Emit(OpCodes.Ldloc, low);
            Vector("BitwiseOr", typeof(int), 2);
        }

        EmitResult(instruction.Results[0], 0, typeof(int));
    }

    private void EmitMaskedConstant(int constant)
    {
        if (constant != -1)
        {
            EmitImmediate(constant, PtxType.S32, typeof(int));
            Vector("BitwiseAnd", typeof(int), 2);
        }
    }

    private void EmitSelect(Instruction instruction)
    {
        var type = instruction.Opcode.Type;
        var element = ElementOf(type);
        for (var part = 0; part < Parts(type); part++)
        {
            EmitSource(instruction.Sources[2], PtxType.Pred, 0);
            EmitMaskAs(type, part);
            EmitSource(instruction.Sources[0], type, part);
            EmitSource(instruction.Sources[1], type, part);
            _il.Emit(OpCodes.Call, MethodCatalog.Select(element));
            EmitResult(instruction.Results[0], part, element);
        }
    }

    // Turns the 32-bit mask on the stack into one for a type's lanes.
    private void EmitMaskAs(PtxType type, int part)
    {
        if (IsWide(type))
        {
            Vector(part == 0 ? "WidenLower" : "WidenUpper", typeof(int), 1);
        }

        EmitAs(IsWide(type) ? typeof(long) : typeof(int), ElementOf(type));
    }

    private void EmitSlct(Instruction instruction)
    {
        var opcode = instruction.Opcode;
        var element = ElementOf(opcode.Type);
        var mask = _locals.Take(typeof(Vector256<int>));
        EmitCompare(Compare.Ge, opcode.Source, instruction.Sources[2], Operand.Immediate(0), opcode.Ftz);
        _il.Emit(OpCodes.Stloc, mask);
        for (var part = 0; part < Parts(opcode.Type); part++)
        {
            _il.Emit(OpCodes.Ldloc, mask);
            EmitMaskAs(opcode.Type, part);
            EmitSource(instruction.Sources[0], opcode.Type, part);
            EmitSource(instruction.Sources[1], opcode.Type, part);
            _il.Emit(OpCodes.Call, MethodCatalog.Select(element));
            EmitResult(instruction.Results[0], part, element);
        }
    }

    private void EmitTest(Instruction instruction)
    {
        var opcode = instruction.Opcode;
        var element = ElementOf(opcode.Type);
        for (var part = 0; part < Parts(opcode.Type); part++)
        {
            EmitSource(instruction.Sources[0], opcode.Type, part);
            EmitConstant(opcode.Compare - Compare.Finite);
            _il.Emit(OpCodes.Call, MethodCatalog.Find(typeof(LaneMath), "Testp", [MethodCatalog.VectorOf(element), typeof(int)]));
            EmitAs(element, IsWide(opcode.Type) ? typeof(long) : typeof(int));
        }

        if (IsWide(opcode.Type))
        {
            Vector("Narrow", typeof(long), 2);
        }

        EmitResult(instruction.Results[0], 0, typeof(int));
    }

    private void EmitIsSpace(Instruction instruction)
    {
        var space = instruction.Opcode.Space;
        for (var part = 0; part < 2; part++)
        {
            switch (space)
            {
                case PtxSpace.Shared:
                    EmitWithin(instruction.Sources[0], part, nameof(WarpContext.SharedLow), nameof(WarpContext.SharedHigh));
                    break;
                case PtxSpace.Local:
                    EmitWithin(instruction.Sources[0], part, nameof(WarpContext.LocalLow), nameof(WarpContext.LocalHigh));
                    break;
                default:
                    EmitWithin(instruction.Sources[0], part, nameof(WarpContext.SharedLow), nameof(WarpContext.SharedHigh));
                    EmitWithin(instruction.Sources[0], part, nameof(WarpContext.LocalLow), nameof(WarpContext.LocalHigh));
                    Vector("BitwiseOr", typeof(long), 2);
                    Vector("OnesComplement", typeof(long), 1);
                    break;
            }
        }

        Vector("Narrow", typeof(long), 2);
        EmitResult(instruction.Results[0], 0, typeof(int));
    }

    private void EmitWithin(Operand address, int part, string low, string high)
    {
        EmitSource(address, PtxType.S64, part);
        EmitContext(low);
        _il.Emit(OpCodes.Ldind_I8);
        _il.Emit(OpCodes.Call, MethodCatalog.Broadcast(typeof(long)));
        Vector("GreaterThanOrEqual", typeof(long), 2);
        EmitSource(address, PtxType.S64, part);
        EmitContext(high);
        _il.Emit(OpCodes.Ldind_I8);
        _il.Emit(OpCodes.Call, MethodCatalog.Broadcast(typeof(long)));
        Vector("LessThan", typeof(long), 2);
        Vector("BitwiseAnd", typeof(long), 2);
    }

    // ---- packing

    private void EmitUnpack(Instruction instruction)
    {
        var isWide = IsWide(instruction.Opcode.Type);
        var parts = instruction.Results.Length;
        var bits = instruction.Opcode.Type.Size() * 8 / parts;

        // A result may be the source's register, so that all parts are taken first.
        for (var i = 0; i < parts; i++)
        {
            if (isWide)
            {
                EmitSource(instruction.Sources[0], PtxType.U64, 0);
                EmitShiftRight(i * bits, typeof(ulong));
                EmitSource(instruction.Sources[0], PtxType.U64, 1);
                EmitShiftRight(i * bits, typeof(ulong));
                Vector("Narrow", typeof(ulong), 2);
            }
            else
            {
                EmitSource(instruction.Sources[0], PtxType.U32, 0);
                EmitShiftRight(i * bits, typeof(uint));
            }

            if (bits == 16)
            {
                EmitExtend(PtxType.U16, typeof(uint));
            }
        }

        for (var i = parts - 1; i >= 0; i--)
        {
            EmitResult(instruction.Results[i], 0, typeof(uint));
        }
    }

    private void EmitShiftRight(int count, Type element)
    {
        if (count > 0)
        {
            EmitConstant(count);
            _il.Emit(OpCodes.Call, MethodCatalog.Shift("ShiftRightLogical", element));
        }
    }

    private void EmitPack(Instruction instruction)
    {
        var isWide = IsWide(instruction.Opcode.Type);
        var parts = instruction.Sources.Length;
        var bits = instruction.Opcode.Type.Size() * 8 / parts;
        var type = bits == 32 ? PtxType.U32 : PtxType.U16;
        var element = isWide ? typeof(ulong) : typeof(uint);
        for (var part = 0; part < (isWide ? 2 : 1); part++)
        {
            for (var i = 0; i < parts; i++)
            {
                if (isWide)
                {
                    EmitWidened(instruction.Sources[i], type, part);
                }
                else
                {
                    EmitSource(instruction.Sources[i], type, 0);
                }

                if (i > 0)
                {
                    EmitConstant(i * bits);
                    _il.Emit(OpCodes.Call, MethodCatalog.Shift("ShiftLeft", element));
                    Vector("BitwiseOr", element, 2);
                }
            }
        }

        for (var part = isWide ? 1 : 0; part >= 0; part--)
        {
            EmitResult(instruction.Results[0], part, element);
        }
    }
}
