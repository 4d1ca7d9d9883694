// Finds each register's form, optimistically and without regard to the order of definitions. Divergence is not analysed: where
// lanes come back from different ways, entering the fast method checks the forms, and one that fails is given up for good.
using FashionFlow.Gpu;
using FashionFlow.VirtualGpu.Ptx;

namespace FashionFlow.VirtualGpu.Jit;

/// <summary>The forms of a kernel's registers for one block shape.</summary>
internal sealed class FormAnalysis
{
    private readonly IrKernel _kernel;
    private readonly LaneForm[] _forms;

    private FormAnalysis(IrKernel kernel)
    {
        _kernel = kernel;
        _forms = new LaneForm[kernel.Registers.Count];
    }

    /// <summary>Analyses a kernel; registers in <paramref name="givenUp"/> are varying.</summary>
    public static LaneForm[] Analyse(IrKernel kernel, Dim3 block, IReadOnlySet<int> givenUp)
    {
        var analysis = new FormAnalysis(kernel);
        foreach (var register in kernel.Registers)
        {
            if (register.Special != SpecialValue.None)
            {
                analysis._forms[register.Index] = OfSpecial(register, kernel, block);
            }

            if (givenUp.Contains(register.Index))
            {
                analysis._forms[register.Index] = LaneForm.Varying;
            }
        }

        bool changed;
        do
        {
            changed = false;
            foreach (var segment in kernel.Segments)
            {
                foreach (var instruction in segment.Instructions.Span)
                {
                    changed |= analysis.Visit(instruction);
                }
            }
        }
        while (changed);

        for (var i = 0; i < analysis._forms.Length; i++)
        {
            if (analysis._forms[i].IsUndefined)
            {
                analysis._forms[i] = LaneForm.Scalar(null, 0);
            }
        }

        return analysis._forms;
    }

    private bool Visit(Instruction instruction)
    {
        var changed = false;
        for (var i = 0; i < instruction.Results.Length; i++)
        {
            if (instruction.Results[i].Register is not { } register)
            {
                continue;
            }

            var old = _forms[register.Index];
            if (old.IsVarying)
            {
                continue;
            }

            var joined = old.Join(OfResult(instruction, i));
            if (!joined.Same(old))
            {
                _forms[register.Index] = joined;
                changed = true;
            }
        }

        return changed;
    }

    private LaneForm Of(Operand operand, PtxType type)
    {
        if (operand.Register is { } register)
        {
            return _forms[register.Index];
        }

        return LaneForm.Known(type.Size() <= 4 && type != PtxType.None && type.IsInteger() ? unchecked((int)operand.Bits) : operand.Bits);
    }

    private LaneForm OfResult(Instruction instruction, int result)
    {
        var opcode = instruction.Opcode;
        switch (opcode.Op)
        {
            case Op.Vote or Op.Activemask or Op.Redux:
                return LaneForm.Scalar(null, 0);
            case Op.Barrier or Op.SystemCall when opcode.Op == Op.Barrier || opcode.Variant is (int)SystemCall.Clock or (int)SystemCall.ClockHigh:
                return LaneForm.Scalar(null, 0);
            case Op.Shfl when result == 0:
                return Of(instruction.Sources[0], opcode.Type) is { IsVarying: false, Pattern: null } source ? Plain(source) : LaneForm.Varying;
            case Op.Atom or Op.SystemCall or Op.Match or Op.Shfl:
                return LaneForm.Varying;
            case Op.Ld when opcode.Space == PtxSpace.Local:
                return LaneForm.Varying;
        }

        var isUndefined = false;
        var isUniform = true;
        for (var i = 0; i < instruction.Sources.Length; i++)
        {
            var form = Of(instruction.Sources[i], opcode.Type);
            if (form.IsVarying)
            {
                return LaneForm.Varying;
            }

            isUndefined |= form.IsUndefined;
            isUniform &= form.Pattern is null;
        }

        if (isUndefined)
        {
            return LaneForm.Undefined;
        }

        return InStep(instruction, result) ?? (isUniform ? LaneForm.Scalar(null, 0) : LaneForm.Varying);
    }

    private static LaneForm Plain(LaneForm form) => form.IsUndefined ? form : LaneForm.Scalar(null, form.Alignment, form.Constant);

    // Instructions that keep a scalar-plus-pattern, or of which more is known than that the result is uniform.
    private LaneForm? InStep(Instruction instruction, int result)
    {
        var opcode = instruction.Opcode;
        if (opcode.CarryIn || opcode.CarryOut || opcode.Saturate || result > 0)
        {
            return null;
        }

        var sources = instruction.Sources;
        var type = opcode.Type;
        var wide = type.Size() == 8;
        switch (opcode.Op)
        {
            case Op.Mov when type != PtxType.Pred:
                return Of(sources[0], type);
            case Op.Cvt when type.IsInteger() && opcode.Source.IsInteger() && type.Size() >= 4 && opcode.Source.Size() >= 4:
                return Converted(Of(sources[0], opcode.Source), opcode, wide);
            case Op.Add or Op.Sub when type.IsInteger() && type.Size() >= 4:
                return Sum(Of(sources[0], type), Of(sources[1], type), opcode.Op == Op.Sub ? -1 : 1, wide);
            case Op.Mul when type.IsInteger() && type.Size() >= 4:
                return Product(Of(sources[0], type), Of(sources[1], type), wide);
            case Op.MulWide or Op.MadWide when type == PtxType.U32 && (Of(sources[0], type).Constant < 0 || Of(sources[1], type).Constant < 0):
                return null;
            case Op.MulWide when type.Size() == 4:
                return Product(Of(sources[0], type), Of(sources[1], type), wide: true);
            case Op.Mad when type.IsInteger() && type.Size() >= 4:
                return Product(Of(sources[0], type), Of(sources[1], type), wide) is { } product ? Sum(product, Of(sources[2], type), 1, wide) : null;
            case Op.MadWide when type.Size() == 4:
                return Product(Of(sources[0], type), Of(sources[1], type), wide: true) is { } wideProduct
                    ? Sum(wideProduct, Of(sources[2], OperandRules.Wide(type)), 1, wide: true)
                    : null;
            case Op.Shl when type.Size() >= 4 && Of(sources[1], PtxType.U32) is { Pattern: null, Constant: { } count }:
                return count >= 0 && count < type.Size() * 8 ? Product(Of(sources[0], type), LaneForm.Known(1L << (int)count), wide, isShift: true) : null;
            case Op.Shr when type.Size() >= 4 && Of(sources[1], PtxType.U32) is { Pattern: null, Constant: { } shift }:
                return ShiftRight(Of(sources[0], type), shift, type.Size() * 8);
            case Op.And or Op.Or or Op.Xor when type.IsInteger() && type.Size() >= 4:
                return Bitwise(opcode.Op, Of(sources[0], type), Of(sources[1], type), wide);
            case Op.Not when type.IsInteger() && type.Size() >= 4:
                var inverted = Of(sources[0], type);
                return inverted.Pattern is { } p ? Scaled(p, -1, wide) is { } negative ? LaneForm.Scalar(negative, 0) : null : null;
            case Op.Neg when type is PtxType.S32 or PtxType.S64:
                return Product(Of(sources[0], type), LaneForm.Known(-1), wide);
            case Op.Selp when type.IsInteger() && type.Size() >= 4 && Of(sources[2], PtxType.Pred) is { Pattern: null }:
                var chosen = Of(sources[0], type).Join(Of(sources[1], type));
                return chosen.IsScalar ? chosen : null;
            default:
                return null;
        }
    }

    // Patterns of 32-bit values are kept as signed 32-bit numbers.
    private static LanePattern? Wrap(long[] lanes, bool wide)
    {
        if (!wide)
        {
            for (var i = 0; i < lanes.Length; i++)
            {
                lanes[i] = unchecked((int)lanes[i]);
            }
        }

        return LanePattern.Create(lanes);
    }

    private static LaneForm Converted(LaneForm form, Opcode opcode, bool wide)
    {
        var constant = form.Constant is not { } c ? (long?)null
            : !wide || (opcode.Source.Size() == 4 && opcode.Source.IsSigned()) ? unchecked((int)c)
            : opcode.Source.Size() == 4 ? unchecked((uint)c) : c;
        return LaneForm.Scalar(form.Pattern is null ? null : Wrap([.. form.Pattern.Lanes], wide), Math.Min(form.Alignment, wide ? 63 : 31), constant);
    }

    private static LanePattern? Scaled(LanePattern pattern, long factor, bool wide)
        => Wrap([.. pattern.Lanes.Select(x => unchecked(x * factor))], wide);

    private static LaneForm Sum(LaneForm a, LaneForm b, int sign, bool wide)
    {
        var lanes = new long[32];
        for (var i = 0; i < 32; i++)
        {
            lanes[i] = unchecked(LanePattern.At(a.Pattern, i) + (sign * LanePattern.At(b.Pattern, i)));
        }

        return LaneForm.Scalar(Wrap(lanes, wide), Math.Min(a.Alignment, b.Alignment), Fold(a.Constant, b.Constant, wide, sign == 1 ? (x, y) => x + y : (x, y) => x - y));
    }

    private static long? Fold(long? a, long? b, bool wide, Func<long, long, long> operation)
        => a is { } x && b is { } y ? wide ? operation(x, y) : unchecked((int)operation(x, y)) : null;

    private static LaneForm? Product(LaneForm a, LaneForm b, bool wide, bool isShift = false)
    {
        var constant = Fold(a.Constant, b.Constant, wide, (x, y) => unchecked(x * y));
        if (a.Pattern is null && b.Pattern is null)
        {
            return LaneForm.Scalar(null, a.Alignment + b.Alignment, isShift || !wide ? constant : null);
        }

        if (a.Pattern is not null && b.Pattern is not null)
        {
            return null;
        }

        // (u + c) * k = u k + c k needs k itself at compile time.
        var (patterned, factor) = a.Pattern is not null ? (a, b) : (b, a);
        if (factor.Constant is not { } k)
        {
            return null;
        }

        return LaneForm.Scalar(Scaled(patterned.Pattern!, k, wide), patterned.Alignment + LaneForm.TrailingZeros(k));
    }

    private static LaneForm? ShiftRight(LaneForm a, long count, int bits)
    {
        if (count < 0 || count >= bits || a.Pattern is null)
        {
            return null;
        }

        return a.IsDisjoint && a.Alignment >= count && bits > a.Alignment
            ? LaneForm.Scalar(LanePattern.Create([.. a.Pattern.Lanes.Select(x => x >> (int)count)]), a.Alignment - (int)count)
            : a.IsDisjoint && a.Constant == 0 ? LaneForm.Scalar(LanePattern.Create([.. a.Pattern.Lanes.Select(x => x >> (int)count)]), 0, 0) : null;
    }

    private static LaneForm? Bitwise(Op op, LaneForm a, LaneForm b, bool wide)
    {
        if (a.Pattern is null && b.Pattern is null)
        {
            return op == Op.And
                ? LaneForm.Scalar(null, Math.Max(a.Alignment, b.Alignment))
                : LaneForm.Scalar(null, Math.Min(a.Alignment, b.Alignment));
        }

        var (patterned, other) = a.Pattern is not null ? (a, b) : (b, a);
        if (other.Pattern is not null || other.Constant is not { } mask || !patterned.IsDisjoint)
        {
            return null;
        }

        // The scalar's bits and the pattern's are disjoint, so that each meets its own part of the constant; what the scalar
        // operation already put into the low bits is taken off the pattern.
        var low = patterned.Alignment >= 62 ? long.MaxValue : (1L << patterned.Alignment) - 1;
        var lanes = new long[32];
        for (var i = 0; i < 32; i++)
        {
            var c = patterned.Pattern!.Lanes[i];
            lanes[i] = op switch
            {
                Op.And => c & mask,
                Op.Or => (c | (mask & low)) - (mask & low),
                _ => (c ^ (mask & low)) - (mask & low),
            };
        }

        var alignment = op == Op.And
            ? Math.Max(patterned.Alignment, LaneForm.TrailingZeros(mask))
            : Math.Min(patterned.Alignment, LaneForm.TrailingZeros(mask));
        return LaneForm.Scalar(Wrap(lanes, wide), alignment);
    }

    private static LaneForm OfSpecial(IrRegister register, IrKernel kernel, Dim3 block)
    {
        switch (register.Special)
        {
            case SpecialValue.NtidX:
                return LaneForm.Known(block.X);
            case SpecialValue.NtidY:
                return LaneForm.Known(block.Y);
            case SpecialValue.NtidZ:
                return LaneForm.Known(block.Z);
            case SpecialValue.TidX or SpecialValue.TidY or SpecialValue.TidZ or SpecialValue.LaneId or SpecialValue.LaneMaskEq
                or SpecialValue.LaneMaskLt or SpecialValue.LaneMaskLe or SpecialValue.LaneMaskGt or SpecialValue.LaneMaskGe or SpecialValue.LocalBase:
                return OfThreads(register.Special, kernel, block);
            case SpecialValue.Variable when register.Symbol == Lowering.DynamicSharedSymbol:
                return LaneForm.Known(kernel.StaticShared);
            default:
                return LaneForm.Scalar(null, 0);
        }
    }

    // A value that depends on the thread alone: in step if all full warps show the same pattern.
    private static LaneForm OfThreads(SpecialValue special, IrKernel kernel, Dim3 block)
    {
        var warps = (int)(block.Count / 32);
        long[]? pattern = null;
        var alignment = 63;
        long? constant = null;
        for (var warp = 0; warp < Math.Max(1, warps); warp++)
        {
            var start = SpecialValues.OfThread(special, block, warp, 0, kernel.LocalBytes);
            var lanes = new long[32];
            for (var lane = 0; lane < 32; lane++)
            {
                lanes[lane] = SpecialValues.OfThread(special, block, warp, lane, kernel.LocalBytes) - start;
                if (special != SpecialValue.LocalBase)
                {
                    lanes[lane] = unchecked((int)lanes[lane]);
                }
            }

            if (pattern is not null && !pattern.AsSpan().SequenceEqual(lanes))
            {
                return LaneForm.Varying;
            }

            constant = pattern is null || constant == start ? start : null;
            pattern = lanes;
            alignment = Math.Min(alignment, LaneForm.TrailingZeros(start));
        }

        return special == SpecialValue.LocalBase
            ? LaneForm.Scalar(LanePattern.Create(pattern!), 0)
            : LaneForm.Scalar(LanePattern.Create(pattern!), alignment, constant is { } c ? unchecked((int)c) : null);
    }
}
