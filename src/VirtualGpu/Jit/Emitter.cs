// Emits IL for a run of segments: the frame of a compiled method, its control flow, its loops over groups of lanes. What
// instructions do is in the other parts; all of them serve both methods.
using System.Reflection.Emit;
using System.Runtime.Intrinsics;
using FashionFlow.VirtualGpu.Ptx;

namespace FashionFlow.VirtualGpu.Jit;

/// <summary>Emits one .NET method: <c>int (WarpContext* context, byte* frame, int segment)</c>.</summary>
internal sealed partial class Emitter
{
    private readonly IrKernel _kernel;
    private readonly FrameLayout _layout;
    private readonly CompiledVersion _version;
    private readonly ILGenerator _il;

    // Forms of registers under the fast method; null for the general one, to which everything is varying.
    private readonly LaneForm[]? _forms;
    private readonly int _first;
    private readonly int _count;
    private readonly Label[] _labels;
    private readonly LocalBuilder _group;
    private readonly LocalBuilder _index;
    private readonly LocalBuilder _mask;
    private readonly LocalBuilder _bits;
    private readonly LocalBuilder _taken;
    private readonly LocalPool _locals;

    // State of the segment being emitted.
    private readonly Dictionary<(int Register, int Part), LocalBuilder> _vectors = [];
    private readonly Dictionary<int, LocalBuilder> _scalars = [];
    private readonly Dictionary<Instruction, LocalBuilder> _bases = [];

    // The scalars that an instruction on lanes was given; a later one of the segment may have another value in the register.
    private readonly Dictionary<(Instruction, int Register), LocalBuilder> _captured = [];
    private readonly Dictionary<(LocalBuilder Scalar, int Part, int Register), LocalBuilder> _broadcasts = [];
    private Instruction? _current;
    private Segment _segment = null!;
    private Label _leave;
    private bool _leaves;

    // Whether vector code stands for a scalar: operands are broadcast and the first lane of results is kept.
    private bool _asScalar;

    private Emitter(IrKernel kernel, FrameLayout layout, CompiledVersion version, LaneForm[]? forms, ILGenerator il, int first, int count)
    {
        _kernel = kernel;
        _layout = layout;
        _version = version;
        _forms = forms;
        _il = il;
        _first = first;
        _count = count;
        _labels = new Label[count];
        for (var i = 0; i < count; i++)
        {
            _labels[i] = il.DefineLabel();
        }

        _group = il.DeclareLocal(typeof(nint));
        _index = il.DeclareLocal(typeof(nint));
        _mask = il.DeclareLocal(typeof(Vector256<int>));
        _bits = il.DeclareLocal(typeof(int));
        _taken = il.DeclareLocal(typeof(uint));
        _locals = new LocalPool(il);
    }

    private bool IsGeneral => _forms is null;

    /// <summary>Compiles segments <c>[first, first + count)</c>.</summary>
    public static DynamicMethod Compile(IrKernel kernel, FrameLayout layout, CompiledVersion version, LaneForm[]? forms, int first, int count)
    {
        var method = new DynamicMethod(
            $"{kernel.Name}/{(forms is null ? "general" : "fast")}/{first}", typeof(int), [typeof(nint), typeof(nint), typeof(int)], typeof(Emitter).Module, skipVisibility: true);
        var emitter = new Emitter(kernel, layout, version, forms, method.GetILGenerator(1 << 16), first, count);
        emitter.EmitBody();
        return method;
    }

    private void EmitBody()
    {
        _il.Emit(OpCodes.Ldarg_2);
        EmitConstant(_first);
        _il.Emit(OpCodes.Sub);
        _il.Emit(OpCodes.Switch, _labels);
        EmitReturn(Reason.Continue, _first);
        for (var i = 0; i < _count; i++)
        {
            _segment = _kernel.Segments[_first + i];
            _il.MarkLabel(_labels[i]);
            _vectors.Clear();
            _scalars.Clear();
            _bases.Clear();
            _captured.Clear();
            _broadcasts.Clear();
            _locals.ReleaseAll();
            _leaves = false;
            _leave = _il.DefineLabel();
            if (_segment.IsWarpLevel)
            {
                EmitWarpLevel(_segment.Instructions.Span[0]);
            }
            else if (IsGeneral)
            {
                EmitGeneral();
            }
            else
            {
                EmitFast();
            }

            if (_segment.IsLast)
            {
                EmitEnd();
            }
            else if (i == _count - 1 && !(_segment.IsWarpLevel && _segment.Instructions.Span[0].Op == Op.Barrier))
            {
                EmitReturn(Reason.Continue, _segment.Index + 1);
            }
            else if (_leaves)
            {
                // The next segment follows, but past the way out of this one.
                _il.Emit(OpCodes.Br, _labels[i + 1]);
            }

            if (_leaves)
            {
                _il.MarkLabel(_leave);
                EmitReturn(Reason.Leave, _segment.Index);
            }
        }
    }

    // ---- segments

    private LaneForm FormOf(IrRegister register) => _forms?[register.Index] ?? LaneForm.Varying;

    // Whether an instruction is done once for the warp, on the scalars of its operands.
    private bool IsScalar(Instruction instruction)
    {
        if (IsGeneral || instruction.Op == Op.St)
        {
            return false;
        }

        foreach (var source in instruction.Sources)
        {
            if (source.Register is { } register && !FormOf(register).IsScalar)
            {
                return false;
            }
        }

        foreach (var result in instruction.Results)
        {
            if (result.Register is { } register && !FormOf(register).IsScalar)
            {
                return false;
            }
        }

        // A load is a scalar's where all lanes have the same address.
        return instruction.Op != Op.Ld || (instruction.Opcode.Space != PtxSpace.Local && (instruction.Sources[0].Register is not { } address || FormOf(address).IsUniform));
    }

    private void EmitFast()
    {
        var instructions = _segment.Instructions.Span;
        var hasLanes = NeedsLanesForEnd();

        // Scalars first. Nothing reaches the frame before all checks have passed, so that the segment can be left undone.
        foreach (var instruction in instructions)
        {
            if (IsScalar(instruction))
            {
                EmitScalar(instruction);
            }
            else
            {
                hasLanes = true;
                if (instruction.Op is Op.Ld or Op.St)
                {
                    EmitScalarBase(instruction);
                }

                PrepareScalarOperands(instruction);
            }
        }

        foreach (var instruction in instructions)
        {
            foreach (var result in instruction.Results)
            {
                if (result.Register is { } register && FormOf(register).IsScalar && _kernel.InFrame[register.Index] && _segment.LiveOut[register.Index]
                    && _scalars.TryGetValue(register.Index, out var local))
                {
                    EmitStoreUniform(register, local);
                }
            }
        }

        if (!hasLanes)
        {
            return;
        }

        if (_segment.IsLast && _segment.Block.Condition.Register is { } condition && FormOf(condition).IsScalar)
        {
            EnsureScalar(condition);
        }

        EmitLaneLoop(() =>
        {
            foreach (var instruction in _segment.Instructions.Span)
            {
                if (!IsScalar(instruction))
                {
                    _current = instruction;
                    EmitInstruction(instruction);
                    _current = null;
                }
            }

            EmitTakenBits();
        });
    }

    private void EmitGeneral()
    {
        EmitLaneLoop(() =>
        {
            foreach (var instruction in _segment.Instructions.Span)
            {
                EmitInstruction(instruction);
            }

            EmitTakenBits();
        });
    }

    // for (index = 0, group = first group; index < 4; index++, group += size) body
    private void EmitLaneLoop(Action body)
    {
        var top = _il.DefineLabel();
        var next = _il.DefineLabel();
        EmitFirstGroup();
        _il.Emit(OpCodes.Ldc_I4_0);
        _il.Emit(OpCodes.Stloc, _taken);
        _il.MarkLabel(top);
        if (IsGeneral)
        {
            EmitFrameAddress(FrameLayout.MaskBitsOffset);
            _il.Emit(OpCodes.Ldind_I4);
            _il.Emit(OpCodes.Stloc, _bits);
            _il.Emit(OpCodes.Ldloc, _bits);
            _il.Emit(OpCodes.Brfalse, next);
            EmitFrameAddress(FrameLayout.MaskOffset);
            _il.Emit(OpCodes.Ldobj, typeof(Vector256<int>));
            _il.Emit(OpCodes.Stloc, _mask);
        }

        body();
        _il.MarkLabel(next);
        EmitNextGroup(top);
    }

    // index = 0, group = first group
    private void EmitFirstGroup()
    {
        _il.Emit(OpCodes.Ldarg_1);
        EmitConstant(_layout.HeaderBytes);
        _il.Emit(OpCodes.Conv_I);
        _il.Emit(OpCodes.Add);
        _il.Emit(OpCodes.Stloc, _group);
        _il.Emit(OpCodes.Ldc_I4_0);
        _il.Emit(OpCodes.Conv_I);
        _il.Emit(OpCodes.Stloc, _index);
    }

    // index++, group += size, and back to the top while there are groups
    private void EmitNextGroup(Label top)
    {
        _il.Emit(OpCodes.Ldloc, _group);
        EmitConstant(_layout.GroupBytes);
        _il.Emit(OpCodes.Conv_I);
        _il.Emit(OpCodes.Add);
        _il.Emit(OpCodes.Stloc, _group);
        _il.Emit(OpCodes.Ldloc, _index);
        _il.Emit(OpCodes.Ldc_I4_1);
        _il.Emit(OpCodes.Conv_I);
        _il.Emit(OpCodes.Add);
        _il.Emit(OpCodes.Stloc, _index);
        _il.Emit(OpCodes.Ldloc, _index);
        EmitConstant(FrameLayout.Groups);
        _il.Emit(OpCodes.Conv_I);
        _il.Emit(OpCodes.Blt, top);
    }

    // ---- ends of blocks

    private bool NeedsLanesForEnd()
        => _segment.IsLast && _segment.Block.End == BlockEnd.Branch && _segment.Block.Condition.Register is { } condition && !FormOf(condition).IsScalar;

    // taken |= bits of the condition << (8 * index)
    private void EmitTakenBits()
    {
        if (!NeedsLanesForEnd())
        {
            return;
        }

        EmitSource(_segment.Block.Condition with { Negated = false }, PtxType.Pred, 0);
        _il.Emit(OpCodes.Call, MethodCatalog.MoveMask(typeof(int)));
        if (_segment.Block.Condition.Negated)
        {
            EmitConstant(0xFF);
            _il.Emit(OpCodes.Xor);
        }

        _il.Emit(OpCodes.Ldloc, _index);
        _il.Emit(OpCodes.Conv_I4);
        _il.Emit(OpCodes.Ldc_I4_3);
        _il.Emit(OpCodes.Shl);
        _il.Emit(OpCodes.Shl);
        _il.Emit(OpCodes.Ldloc, _taken);
        _il.Emit(OpCodes.Or);
        _il.Emit(OpCodes.Stloc, _taken);
    }

    private void EmitEnd()
    {
        var block = _segment.Block;
        switch (block.End)
        {
            case BlockEnd.Exit:
                EmitReturn(Reason.Exit, _segment.Index);
                return;
            case BlockEnd.Jump:
                EmitGoTo(block.Next!);
                return;
        }

        var condition = block.Condition.Register!;
        var taken = _il.DefineLabel();
        if (FormOf(condition).IsScalar)
        {
            EmitScalarValue(condition);
            _il.Emit(block.Condition.Negated ? OpCodes.Brfalse : OpCodes.Brtrue, taken);
            EmitGoTo(block.Next!);
            _il.MarkLabel(taken);
            EmitGoTo(block.Taken!);
            return;
        }

        var none = _il.DefineLabel();
        if (IsGeneral)
        {
            _il.Emit(OpCodes.Ldloc, _taken);
            EmitContext(nameof(WarpContext.Mask));
            _il.Emit(OpCodes.Ldind_U4);
            _il.Emit(OpCodes.And);
            _il.Emit(OpCodes.Stloc, _taken);
        }

        _il.Emit(OpCodes.Ldloc, _taken);
        _il.Emit(OpCodes.Brfalse, none);
        _il.Emit(OpCodes.Ldloc, _taken);
        if (IsGeneral)
        {
            EmitContext(nameof(WarpContext.Mask));
            _il.Emit(OpCodes.Ldind_U4);
        }
        else
        {
            _il.Emit(OpCodes.Ldc_I4_M1);
        }

        _il.Emit(OpCodes.Beq, taken);
        EmitContext(nameof(WarpContext.Taken));
        _il.Emit(OpCodes.Ldloc, _taken);
        _il.Emit(OpCodes.Stind_I4);
        EmitReturn(Reason.Diverge, _segment.Index);
        _il.MarkLabel(none);
        EmitGoTo(block.Next!);
        _il.MarkLabel(taken);
        EmitGoTo(block.Taken!);
    }

    // Goes to a block: inside this method, or by returning. Back edges use up fuel; lanes that run without the others go no
    // further than to where the others stand.
    private void EmitGoTo(IrBlock target)
    {
        var segment = target.Segments[0].Index;
        if (segment <= _segment.Index)
        {
            var go = _il.DefineLabel();
            EmitContext(nameof(WarpContext.Fuel));
            EmitContext(nameof(WarpContext.Fuel));
            _il.Emit(OpCodes.Ldind_I4);
            _il.Emit(OpCodes.Ldc_I4_1);
            _il.Emit(OpCodes.Sub);
            _il.Emit(OpCodes.Stind_I4);
            EmitContext(nameof(WarpContext.Fuel));
            _il.Emit(OpCodes.Ldind_I4);
            _il.Emit(OpCodes.Ldc_I4_0);
            _il.Emit(OpCodes.Bgt, go);
            EmitReturn(Reason.Yield, segment);
            _il.MarkLabel(go);
        }

        if (segment < _first || segment >= _first + _count)
        {
            EmitReturn(Reason.Continue, segment);
            return;
        }

        if (IsGeneral)
        {
            var stop = _il.DefineLabel();
            EmitConstant(segment);
            EmitContext(nameof(WarpContext.LowestOther));
            _il.Emit(OpCodes.Ldind_I4);
            _il.Emit(OpCodes.Bge, stop);
            _il.Emit(OpCodes.Br, _labels[segment - _first]);
            _il.MarkLabel(stop);
            EmitReturn(Reason.Continue, segment);
            return;
        }

        _il.Emit(OpCodes.Br, _labels[segment - _first]);
    }

    private void EmitReturn(Reason reason, int segment)
    {
        EmitConstant(((int)reason << 24) | segment);
        _il.Emit(OpCodes.Ret);
    }

    // ---- warp-level instructions

    private void EmitWarpLevel(Instruction instruction)
    {
        if (IsGeneral && instruction.Converges)
        {
            // All living lanes together need no leave; else the scheduler decides.
            var go = _il.DefineLabel();
            EmitContext(nameof(WarpContext.Mask));
            _il.Emit(OpCodes.Ldind_U4);
            EmitContext(nameof(WarpContext.Alive));
            _il.Emit(OpCodes.Ldind_U4);
            _il.Emit(OpCodes.Beq, go);
            EmitContext(nameof(WarpContext.Granted));
            _il.Emit(OpCodes.Ldind_I4);
            EmitConstant(_segment.Index);
            _il.Emit(OpCodes.Beq, go);
            EmitWarpOperands(instruction);
            EmitReturn(Reason.WarpSync, _segment.Index);
            _il.MarkLabel(go);
            EmitContext(nameof(WarpContext.Granted));
            _il.Emit(OpCodes.Ldc_I4_M1);
            _il.Emit(OpCodes.Stind_I4);
        }

        var (number, operation) = EmitWarpOperands(instruction);
        if (instruction.Op == Op.Barrier)
        {
            EmitReturn(Reason.Barrier, _segment.Index);
            return;
        }

        if (!IsGeneral)
        {
            EmitContext(nameof(WarpContext.Mask));
            _il.Emit(OpCodes.Ldc_I4_M1);
            _il.Emit(OpCodes.Stind_I4);
        }

        if (IsWholeWarpButterfly(instruction, out var distance))
        {
            _il.Emit(OpCodes.Ldarg_1);
            EmitConstant(_layout.HeaderBytes);
            _il.Emit(OpCodes.Conv_I);
            _il.Emit(OpCodes.Add);
            EmitConstant(_layout.GroupBytes);
            EmitConstant(operation.Results[0]);
            EmitConstant(operation.Sources[0]);
            EmitConstant(distance);
            _il.Emit(OpCodes.Call, MethodCatalog.Only(typeof(WarpOps), nameof(WarpOps.ShuffleXor)));
        }
        else
        {
            _il.Emit(OpCodes.Ldarg_0);
            _il.Emit(OpCodes.Ldarg_1);
            EmitConstant(number);
            _il.Emit(OpCodes.Call, MethodCatalog.Only(typeof(WarpOps), nameof(WarpOps.Execute)));
        }

        // A result that is the same in all lanes goes to its place as a scalar.
        for (var i = 0; i < instruction.Results.Length; i++)
        {
            if (instruction.Results[i].Register is { } register && FormOf(register).IsScalar)
            {
                _il.Emit(OpCodes.Ldarg_1);
                EmitConstant(_layout.HeaderBytes + operation.Results[i]);
                _il.Emit(OpCodes.Conv_I);
                _il.Emit(OpCodes.Add);
                EmitLoadIndirect(ScalarType(register.Type));
                var local = _locals.Take(ScalarType(register.Type));
                _il.Emit(OpCodes.Stloc, local);
                _scalars[register.Index] = local;
                EmitStoreUniform(register, local);
            }
        }
    }

    private bool IsWholeWarpButterfly(Instruction instruction, out int distance)
    {
        distance = 0;
        if (IsGeneral || instruction.Op != Op.Shfl || instruction.Opcode.Warp != WarpMode.Bfly || instruction.Results is [_, { IsNone: false }] || instruction.Results[0].IsNone
            || instruction.Sources[1] is not { IsImmediate: true } lane || instruction.Sources[2] is not { IsImmediate: true, Bits: 31 })
        {
            return false;
        }

        distance = (int)(lane.Bits & 31);
        return true;
    }

    // Operands that are not in the frame as lanes are put into the scratch places.
    private (int Number, WarpOp Operation) EmitWarpOperands(Instruction instruction)
    {
        var sources = new int[instruction.Sources.Length];
        var results = new int[instruction.Results.Length];
        var stray = new List<(int Source, int Place)>();
        var place = 0;
        for (var i = 0; i < sources.Length; i++)
        {
            if (instruction.Sources[i].Register is { } register && FormOf(register).IsVarying)
            {
                sources[i] = _layout.Lanes(register);
            }
            else
            {
                sources[i] = FrameLayout.Scratch(place);
                stray.Add((i, place++));
            }
        }

        for (var i = 0; i < results.Length; i++)
        {
            results[i] = instruction.Results[i].Register is { } register ? _layout.Lanes(register) : -1;
        }

        if (stray.Count > 0)
        {
            foreach (var (source, _) in stray)
            {
                if (instruction.Sources[source].Register is { } register)
                {
                    EnsureScalar(register);
                }
            }

            // Immediates may be needed before any lane of the group runs, so that the loop has no mask.
            EmitPlainLaneLoop(() =>
            {
                foreach (var (source, to) in stray)
                {
                    EmitToScratch(instruction, source, FrameLayout.Scratch(to));
                }
            });
        }

        var operation = new WarpOp(instruction, sources, results);
        var number = _version.AddWarpOp(_segment.Index, operation);
        return (number, operation);
    }

    private void EmitPlainLaneLoop(Action body)
    {
        var top = _il.DefineLabel();
        EmitFirstGroup();
        _il.MarkLabel(top);
        body();
        EmitNextGroup(top);
        _vectors.Clear();
        _broadcasts.Clear();
    }

    private void EmitToScratch(Instruction instruction, int source, int offset)
    {
        var operand = instruction.Sources[source] with { Negated = false };
        var isAddress = instruction.Op is Op.Atom or Op.Red && source == 0;
        var type = operand.Register?.Type switch
        {
            LaneType.Pred => PtxType.Pred,
            LaneType.I64 => PtxType.B64,
            LaneType.F64 => PtxType.F64,
            LaneType.F32 => PtxType.F32,
            LaneType.I32 => PtxType.B32,
            _ => isAddress ? PtxType.B64 : OperandRules.SourceType(instruction.Opcode, source) is var expected && expected == PtxType.None ? PtxType.B32
                : expected == PtxType.Pred ? PtxType.Pred : expected.Size() == 8 ? PtxType.B64 : PtxType.B32,
        };
        var parts = type.Size() == 8 ? 2 : 1;
        for (var part = 0; part < parts; part++)
        {
            EmitFrameAddress(offset + (part * 32));
            EmitSource(operand, type, part);
            _il.Emit(OpCodes.Stobj, MethodCatalog.VectorOf(ElementOf(type)));
        }
    }

    // ---- small things

    private void EmitConstant(int value) => _il.Emit(OpCodes.Ldc_I4, value);

    private void EmitContext(string field)
    {
        _il.Emit(OpCodes.Ldarg_0);
        EmitConstant(ContextOffset(field));
        _il.Emit(OpCodes.Conv_I);
        _il.Emit(OpCodes.Add);
    }

    private static readonly Dictionary<string, int> ContextOffsets = typeof(WarpContext).GetFields()
        .ToDictionary(f => f.Name, f => WarpContext.OffsetOf(f.Name), StringComparer.Ordinal);

    private static int ContextOffset(string field) => ContextOffsets[field];

    private void EmitFrameAddress(int offset)
    {
        _il.Emit(OpCodes.Ldloc, _group);
        EmitConstant(offset);
        _il.Emit(OpCodes.Conv_I);
        _il.Emit(OpCodes.Add);
    }

    /// <summary>IL locals, used again from segment to segment.</summary>
    private sealed class LocalPool(ILGenerator il)
    {
        private readonly Dictionary<Type, List<LocalBuilder>> _all = [];
        private readonly Dictionary<Type, int> _used = [];

        public LocalBuilder Take(Type type)
        {
            if (!_all.TryGetValue(type, out var list))
            {
                _all.Add(type, list = []);
            }

            var used = _used.GetValueOrDefault(type);
            if (used == list.Count)
            {
                list.Add(il.DeclareLocal(type));
            }

            _used[type] = used + 1;
            return list[used];
        }

        public void ReleaseAll() => _used.Clear();
    }
}
