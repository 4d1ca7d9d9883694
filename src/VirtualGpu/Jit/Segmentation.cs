// Cuts blocks into segments and finds which registers live across them. Both methods use the same cut, so that a program
// counter means the same in either.
using FashionFlow.VirtualGpu.Ptx;

namespace FashionFlow.VirtualGpu.Jit;

/// <summary>
/// A segment may run group of lanes by group of lanes, which is right for kernels without races: lanes meet at warp-level
/// instructions alone. A load ends the segment where an earlier store of it may have written what the load reads, so that a
/// load of one value for the whole warp may be done first.
/// </summary>
internal static class Segmentation
{
    private const int MaxInstructions = 300;

    public static IrKernel Divide(string name, List<IrRegister> registers, List<IrBlock> blocks, int staticShared, int localBytes, int sites)
    {
        DropUnusedPredicates(registers, blocks);
        FindConstantLanes(registers, blocks);
        var segments = new List<Segment>();
        foreach (var block in blocks)
        {
            Divide(block, segments);
        }

        var inFrame = FindLiveness(registers, segments);
        foreach (var block in blocks.Where(b => b.End == BlockEnd.Branch))
        {
            block.Segments[^1].Detour = FindDetour(block);
        }

        return new IrKernel
        {
            Name = name,
            Registers = registers,
            Blocks = blocks,
            Segments = segments,
            StaticShared = staticShared,
            LocalBytes = localBytes,
            Sites = sites,
            InFrame = inFrame,
        };
    }

    // NVRTC lets every shuffle say whether its source was in range, and hardly ever asks.
    private static void DropUnusedPredicates(List<IrRegister> registers, List<IrBlock> blocks)
    {
        var isRead = new bool[registers.Count];
        foreach (var block in blocks)
        {
            if (block.Condition.Register is { } condition)
            {
                isRead[condition.Index] = true;
            }

            foreach (var source in block.Instructions.SelectMany(i => i.Sources))
            {
                if (source.Register is { } register)
                {
                    isRead[register.Index] = true;
                }
            }
        }

        foreach (var instruction in blocks.SelectMany(b => b.Instructions))
        {
            if (instruction.Op is Op.Shfl or Op.Match && instruction.Results is [_, { Register: { } predicate }] && !isRead[predicate.Index])
            {
                instruction.Results[1] = default;
            }
        }
    }

    // NVRTC moves the constants of a shuffle, its distance, clamp and members, into registers first: some that nothing else
    // writes, and some just before that serve as something else later.
    private static void FindConstantLanes(List<IrRegister> registers, List<IrBlock> blocks)
    {
        var definitions = new int[registers.Count];
        var constants = new Operand[registers.Count];
        foreach (var instruction in blocks.SelectMany(b => b.Instructions))
        {
            foreach (var register in instruction.Results.Select(r => r.Register).OfType<IrRegister>())
            {
                definitions[register.Index]++;
                constants[register.Index] = MovedConstant(instruction, register);
            }
        }

        foreach (var block in blocks)
        {
            // Registers of several definitions are known from one in the block to the next.
            var known = new Dictionary<int, Operand>();
            foreach (var instruction in block.Instructions)
            {
                for (var i = 0; instruction.Converges && i < instruction.Sources.Length; i++)
                {
                    if (instruction.Sources[i].Register is { } register)
                    {
                        var constant = definitions[register.Index] == 1 ? constants[register.Index] : known.GetValueOrDefault(register.Index);
                        instruction.Sources[i] = constant.IsImmediate ? constant : instruction.Sources[i];
                    }
                }

                foreach (var register in instruction.Results.Select(r => r.Register).OfType<IrRegister>())
                {
                    known[register.Index] = MovedConstant(instruction, register);
                }
            }
        }
    }

    private static Operand MovedConstant(Instruction instruction, IrRegister register)
        => instruction is { Op: Op.Mov, Sources: [{ IsImmediate: true }] } && register is { Type: LaneType.I32, Bits: 32 } ? instruction.Sources[0] : default;

    private static void Divide(IrBlock block, List<Segment> segments)
    {
        var instructions = block.Instructions.ToArray();
        var start = 0;
        var stored = new bool[8];

        void Close(int end, bool isWarpLevel = false)
        {
            if (end > start)
            {
                var segment = new Segment
                {
                    Index = segments.Count,
                    Block = block,
                    Instructions = instructions.AsMemory(start, end - start),
                    IsWarpLevel = isWarpLevel,
                };
                segments.Add(segment);
                block.Segments.Add(segment);
            }

            start = end;
            Array.Clear(stored);
        }

        for (var i = 0; i < instructions.Length; i++)
        {
            var instruction = instructions[i];
            if (instruction.IsWarpLevel)
            {
                Close(i);
                Close(i + 1, isWarpLevel: true);
                continue;
            }

            if (i - start >= MaxInstructions)
            {
                Close(i);
            }

            if (instruction.Op is not (Op.Ld or Op.St))
            {
                continue;
            }

            var space = instruction.Opcode.Space;
            if (instruction.Opcode.Strong)
            {
                Close(i);
            }
            else if (instruction.Op == Op.Ld && !instruction.Opcode.ReadOnly && space is PtxSpace.Generic or PtxSpace.Global or PtxSpace.Shared
                && (stored[(int)space] || stored[(int)PtxSpace.Generic] || (space == PtxSpace.Generic && (stored[(int)PtxSpace.Global] || stored[(int)PtxSpace.Shared]))))
            {
                Close(i);
            }

            if (instruction.Op == Op.St)
            {
                stored[(int)space] = true;
            }

            if (instruction.Opcode.Strong)
            {
                Close(i + 1);
            }
        }

        Close(instructions.Length);

        // What follows a warp-level instruction is a segment of its own, if an empty one: there a warp goes on after a barrier.
        if (block.Segments.Count == 0 || block.Segments[^1].IsWarpLevel)
        {
            var empty = new Segment { Index = segments.Count, Block = block, Instructions = default, IsWarpLevel = false };
            segments.Add(empty);
            block.Segments.Add(empty);
        }

        block.Segments[^1].IsLast = true;
    }

    private static Detour? FindDetour(IrBlock block)
    {
        var (next, taken) = (block.Next!, block.Taken!);
        var join = next.End == BlockEnd.Jump && next.Next == taken ? taken
            : taken.End == BlockEnd.Jump && (taken.Next == next || (next.End == BlockEnd.Jump && next.Next == taken.Next)) ? taken.Next
            : null;
        if (join is null || next == taken)
        {
            return null;
        }

        var meeting = join.Segments[0];
        IrBlock[] arms = [.. new[] { next, taken }.Where(b => b != join).OrderBy(b => b.Segments[0].Index)];
        if (Array.Exists(arms, b => b.Segments[^1].Index >= meeting.Index || b.Segments.Exists(s => s.IsWarpLevel)))
        {
            return null;
        }

        var last = block.Segments[^1];
        var changed = arms.SelectMany(b => b.Instructions).SelectMany(i => i.Results).Select(o => o.Register).OfType<IrRegister>()
            .Where(r => meeting.LiveIn[r.Index]).ToHashSet();
        var read = arms.SelectMany(b => b.Instructions).SelectMany(i => i.Sources).Select(o => o.Register).OfType<IrRegister>();
        return new Detour(
            [.. arms.Select(b => (b.Segments[0].Index, b == taken))],
            meeting.Index,
            [.. changed.Union(read).Where(r => last.LiveOut[r.Index])],
            [.. changed]);
    }

    private static bool[] FindLiveness(List<IrRegister> registers, List<Segment> segments)
    {
        var size = registers.Count;
        var uses = new BitSet[segments.Count];
        var definitions = new BitSet[segments.Count];
        foreach (var segment in segments)
        {
            var use = new BitSet(size);
            var definition = new BitSet(size);
            foreach (var instruction in segment.Instructions.Span)
            {
                foreach (var source in instruction.Sources)
                {
                    if (source.Register is { } register && !definition[register.Index])
                    {
                        use.Add(register.Index);
                    }
                }

                foreach (var result in instruction.Results)
                {
                    if (result.Register is { } register)
                    {
                        definition.Add(register.Index);
                    }
                }
            }

            if (segment.IsLast && segment.Block.Condition.Register is { } condition && !definition[condition.Index])
            {
                use.Add(condition.Index);
            }

            uses[segment.Index] = use;
            definitions[segment.Index] = definition;
            segment.LiveIn = use.Copy();
            segment.LiveOut = new BitSet(size);
        }

        bool changed;
        do
        {
            changed = false;
            for (var i = segments.Count - 1; i >= 0; i--)
            {
                var segment = segments[i];
                var grew = false;
                if (!segment.IsLast)
                {
                    grew = segment.LiveOut.UnionWith(segments[i + 1].LiveIn);
                }
                else
                {
                    if (segment.Block.Next is { } next)
                    {
                        grew |= segment.LiveOut.UnionWith(next.Segments[0].LiveIn);
                    }

                    if (segment.Block.Taken is { } taken)
                    {
                        grew |= segment.LiveOut.UnionWith(taken.Segments[0].LiveIn);
                    }
                }

                if (!grew)
                {
                    continue;
                }

                changed = true;
                var flow = segment.LiveOut.Copy();
                flow.Subtract(definitions[i]);
                segment.LiveIn.UnionWith(flow);
            }
        }
        while (changed);

        // Warp-level instructions work on the frame.
        var inFrame = new bool[size];
        foreach (var segment in segments)
        {
            segment.LiveRegisters = [.. registers.Where(r => segment.LiveIn[r.Index])];
            segment.LiveOutRegisters = [.. registers.Where(r => segment.LiveOut[r.Index])];
            foreach (var register in segment.LiveRegisters)
            {
                inFrame[register.Index] = true;
            }

            if (segment.IsWarpLevel)
            {
                foreach (var operand in segment.Instructions.Span[0].Sources.Concat(segment.Instructions.Span[0].Results))
                {
                    if (operand.Register is { } register)
                    {
                        inFrame[register.Index] = true;
                    }
                }
            }
        }

        foreach (var register in registers)
        {
            inFrame[register.Index] |= register.Special != SpecialValue.None;
        }

        return inFrame;
    }
}
