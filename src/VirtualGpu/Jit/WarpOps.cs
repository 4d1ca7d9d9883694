// Instructions on a warp as a whole: shuffles, votes, matches, reductions, atomics. They read and write the frame.
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using FashionFlow.VirtualGpu.Ptx;

namespace FashionFlow.VirtualGpu.Jit;

/// <summary>A warp-level instruction and where its operands lie in each group of the frame; -1 for none.</summary>
internal sealed record WarpOp(Instruction Instruction, int[] Sources, int[] Results)
{
    /// <summary>For a shuffle by constants: the lane that each lane reads, and the lanes that read in range.</summary>
    public (byte[] From, uint InRange)? Shuffle { get; } = Instruction.Op == Op.Shfl
        && Instruction.Sources[1] is { IsImmediate: true } b && Instruction.Sources[2] is { IsImmediate: true } c
        ? WarpOps.ShuffleTable(Instruction.Opcode.Warp, (int)b.Bits, (int)c.Bits) : null;
}

internal static unsafe class WarpOps
{
    /// <summary>Does a warp-level instruction for the lanes of <see cref="WarpContext.Mask"/>. Called by compiled code.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Execute(nint context, nint frame, int number)
    {
        var warp = (WarpContext*)context;
        var worker = MemoryFaults.WorkerOf(warp);
        var operation = worker.Version.WarpOps[number];
        var lanes = new WarpLanes(warp, frame);
        switch (operation.Instruction.Op)
        {
            case Op.Shfl:
                Shuffle(warp, lanes, operation);
                break;
            case Op.Vote:
                Vote(warp, lanes, operation);
                break;
            case Op.Match:
                Match(warp, lanes, operation);
                break;
            case Op.Redux:
                Reduce(warp, lanes, operation);
                break;
            case Op.Activemask:
                lanes.Broadcast32(operation.Results[0], warp->Mask, unchecked((int)warp->Mask));
                break;
            case Op.Atom or Op.Red:
                Atomics.Execute(warp, lanes, operation);
                break;
            case Op.Fence:
                Interlocked.MemoryBarrier();
                break;
            case Op.WarpBarrier:
                break;
            case Op.Trap:
                throw new Gpu.GpuException(Gpu.CudaResult.CUDA_ERROR_LAUNCH_FAILED, $"{worker.DescribeThread(BitOperations.TrailingZeroCount(warp->Mask))} executed a trap");
            case Op.SystemCall:
                SystemCalls.Execute(warp, worker, lanes, operation);
                break;
            default:
                throw new InvalidOperationException($"{operation.Instruction.Op} is no warp-level instruction");
        }
    }

    /// <summary>shfl.sync.bfly over the whole warp.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void ShuffleXor(nint groups, int groupBytes, int result, int source, int distance)
    {
        var order = Vector256.Create(0, 1, 2, 3, 4, 5, 6, 7) ^ Vector256.Create(distance & 7);
        var far = distance >> 3;
        var a = Permuted(Vector256.Load((int*)(groups + source)), order);
        var b = Permuted(Vector256.Load((int*)(groups + groupBytes + source)), order);
        var c = Permuted(Vector256.Load((int*)(groups + (2 * groupBytes) + source)), order);
        var d = Permuted(Vector256.Load((int*)(groups + (3 * groupBytes) + source)), order);
        a.Store((int*)(groups + (far * groupBytes) + result));
        b.Store((int*)(groups + ((1 ^ far) * groupBytes) + result));
        c.Store((int*)(groups + ((2 ^ far) * groupBytes) + result));
        d.Store((int*)(groups + ((3 ^ far) * groupBytes) + result));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Permuted(Vector256<int> lanes, Vector256<int> order)
        => Avx2.IsSupported ? Avx2.PermuteVar8x32(lanes, order) : Vector256.Shuffle(lanes, order);

    // PTX ISA, "shfl.sync": the clamp value is in bits 0-4 of c, the segment mask in bits 8-12.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (int From, bool IsInRange) ShuffleSource(WarpMode mode, int lane, int b, int c)
    {
        var distance = b & 31;
        var segment = (c >> 8) & 31;
        var most = (lane & segment) | (c & 31 & ~segment);
        var from = mode switch
        {
            WarpMode.Up => lane - distance,
            WarpMode.Down => lane + distance,
            WarpMode.Bfly => lane ^ distance,
            _ => (lane & segment) | (distance & ~segment),
        };
        var isInRange = mode == WarpMode.Up ? from >= most : from <= most;
        return (isInRange ? from & 31 : lane, isInRange);
    }

    public static (byte[] From, uint InRange) ShuffleTable(WarpMode mode, int b, int c)
    {
        var table = new byte[32];
        uint inRange = 0;
        for (var lane = 0; lane < 32; lane++)
        {
            var (from, isInRange) = ShuffleSource(mode, lane, b, c);
            table[lane] = (byte)from;
            inRange |= isInRange ? 1u << lane : 0;
        }

        return (table, inRange);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Shuffle(WarpContext* warp, in WarpLanes lanes, WarpOp operation)
    {
        var values = stackalloc int[32];
        for (var group = 0; group < FrameLayout.Groups; group++)
        {
            Vector256.Load((int*)(lanes.Group(group * 8) + operation.Sources[0])).Store(values + (group * 8));
        }

        var predicate = operation.Results.Length > 1 ? operation.Results[1] : -1;
        var result = operation.Results[0];
        if (operation.Shuffle is var (table, inRange))
        {
            for (var lane = 0; lane < 32; lane++)
            {
                if ((warp->Mask >> lane & 1) != 0)
                {
                    if (result >= 0)
                    {
                        lanes.Set32(result, lane, values[table[lane]]);
                    }

                    if (predicate >= 0)
                    {
                        lanes.Set32(predicate, lane, (inRange >> lane & 1) != 0 ? -1 : 0);
                    }
                }
            }

            return;
        }

        var mode = operation.Instruction.Opcode.Warp;
        for (var bits = warp->Mask; bits != 0; bits &= bits - 1)
        {
            var lane = BitOperations.TrailingZeroCount(bits);
            var (from, isInRange) = ShuffleSource(mode, lane, lanes.Get32(operation.Sources[1], lane), lanes.Get32(operation.Sources[2], lane));
            if (result >= 0)
            {
                lanes.Set32(result, lane, values[from]);
            }

            if (predicate >= 0)
            {
                lanes.Set32(predicate, lane, isInRange ? -1 : 0);
            }
        }
    }

    private static void Vote(WarpContext* warp, in WarpLanes lanes, WarpOp operation)
    {
        var isNegated = operation.Instruction.Sources[0].Negated;
        uint ballot = 0;
        for (var bits = warp->Mask; bits != 0; bits &= bits - 1)
        {
            var lane = BitOperations.TrailingZeroCount(bits);
            if (lanes.Get32(operation.Sources[0], lane) != 0 != isNegated)
            {
                ballot |= 1u << lane;
            }
        }

        // Each lane hears of the lanes in its own mask.
        for (var bits = warp->Mask; bits != 0; bits &= bits - 1)
        {
            var lane = BitOperations.TrailingZeroCount(bits);
            var members = warp->Mask & (uint)lanes.Get32(operation.Sources[1], lane);
            var voted = ballot & members;
            lanes.Set32(operation.Results[0], lane, operation.Instruction.Opcode.Warp switch
            {
                WarpMode.Ballot => unchecked((int)voted),
                WarpMode.All => voted == members ? -1 : 0,
                WarpMode.Any => voted != 0 ? -1 : 0,
                _ => voted == members || voted == 0 ? -1 : 0,
            });
        }
    }

    private static void Match(WarpContext* warp, in WarpLanes lanes, WarpOp operation)
    {
        var isWide = operation.Instruction.Opcode.Type.Size() == 8;
        var values = stackalloc long[32];
        for (var lane = 0; lane < 32; lane++)
        {
            values[lane] = isWide ? lanes.Get64(operation.Sources[0], lane) : lanes.Get32(operation.Sources[0], lane);
        }

        for (var bits = warp->Mask; bits != 0; bits &= bits - 1)
        {
            var lane = BitOperations.TrailingZeroCount(bits);
            var members = warp->Mask & (uint)lanes.Get32(operation.Sources[1], lane);
            uint equal = 0;
            for (var others = members; others != 0; others &= others - 1)
            {
                var other = BitOperations.TrailingZeroCount(others);
                equal |= values[other] == values[lane] ? 1u << other : 0;
            }

            if (operation.Instruction.Opcode.Warp == WarpMode.All)
            {
                var all = equal == members;
                equal = all ? members : 0;
                if (operation.Results.Length > 1 && operation.Results[1] >= 0)
                {
                    lanes.Set32(operation.Results[1], lane, all ? -1 : 0);
                }
            }

            if (operation.Results[0] >= 0)
            {
                lanes.Set32(operation.Results[0], lane, unchecked((int)equal));
            }
        }
    }

    private static void Reduce(WarpContext* warp, in WarpLanes lanes, WarpOp operation)
    {
        var opcode = operation.Instruction.Opcode;
        for (var bits = warp->Mask; bits != 0; bits &= bits - 1)
        {
            var lane = BitOperations.TrailingZeroCount(bits);
            var members = warp->Mask & (uint)lanes.Get32(operation.Sources[1], lane);
            var first = true;
            var sum = 0;
            for (var others = members; others != 0; others &= others - 1)
            {
                var value = lanes.Get32(operation.Sources[0], BitOperations.TrailingZeroCount(others));
                sum = first ? value : opcode.Atom switch
                {
                    AtomOp.Add => unchecked(sum + value),
                    AtomOp.And => sum & value,
                    AtomOp.Or => sum | value,
                    AtomOp.Xor => sum ^ value,
                    AtomOp.Min => opcode.Type == PtxType.U32 ? (int)Math.Min((uint)sum, (uint)value) : Math.Min(sum, value),
                    _ => opcode.Type == PtxType.U32 ? (int)Math.Max((uint)sum, (uint)value) : Math.Max(sum, value),
                };
                first = false;
            }

            lanes.Set32(operation.Results[0], lane, sum);
        }
    }
}

/// <summary>A frame's registers lane by lane.</summary>
internal readonly unsafe struct WarpLanes(nint frame, int headerBytes, int groupBytes)
{
    public WarpLanes(WarpContext* warp, nint frame)
        : this(frame, warp->HeaderBytes, warp->GroupBytes)
    {
    }

    public nint Group(int lane) => frame + headerBytes + ((lane >> 3) * groupBytes);

    public int Get32(int offset, int lane) => ((int*)(Group(lane) + offset))[lane & 7];

    public void Set32(int offset, int lane, int value) => ((int*)(Group(lane) + offset))[lane & 7] = value;

    public long Get64(int offset, int lane) => ((long*)(Group(lane) + offset))[lane & 7];

    public void Set64(int offset, int lane, long value) => ((long*)(Group(lane) + offset))[lane & 7] = value;

    public void Broadcast32(int offset, uint mask, int value)
    {
        for (; mask != 0; mask &= mask - 1)
        {
            Set32(offset, BitOperations.TrailingZeroCount(mask), value);
        }
    }

    public void Broadcast64(int offset, uint mask, long value)
    {
        for (; mask != 0; mask &= mask - 1)
        {
            Set64(offset, BitOperations.TrailingZeroCount(mask), value);
        }
    }
}
