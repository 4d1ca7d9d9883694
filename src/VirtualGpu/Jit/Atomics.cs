// atom and red: lane after lane in ascending order, each one truly atomic towards the host's other threads.
using System.Numerics;
using System.Runtime.CompilerServices;
using FashionFlow.VirtualGpu.Ptx;

namespace FashionFlow.VirtualGpu.Jit;

internal static unsafe class Atomics
{
    public static void Execute(WarpContext* warp, in WarpLanes lanes, WarpOp operation)
    {
        var instruction = operation.Instruction;
        var opcode = instruction.Opcode;
        var size = opcode.Type.Size();
        var isShared = opcode.Space == PtxSpace.Shared;
        var range = isShared ? (nint)(&warp->SharedLow) : warp->Sites + (instruction.Site * 16);
        var access = AccessCode.Create(size, size, opcode.Space, upperHalf: false, isStore: true);
        var isWideAddress = instruction.Sources[0].Register?.IsWide ?? true;
        for (var bits = warp->Mask; bits != 0; bits &= bits - 1)
        {
            var lane = BitOperations.TrailingZeroCount(bits);
            var address = isWideAddress ? lanes.Get64(operation.Sources[0], lane) : (uint)lanes.Get32(operation.Sources[0], lane);
            address += instruction.Offset + (isShared ? warp->SharedLow : 0);
            MemoryFaults.Check(warp, lanes.Group(lane), lane & 7, range, access, address);
            if (size == 8)
            {
                var c = operation.Sources.Length > 2 ? lanes.Get64(operation.Sources[2], lane) : 0;
                var old = Update64(opcode, (long*)address, lanes.Get64(operation.Sources[1], lane), c);
                if (operation.Results is [>= 0])
                {
                    lanes.Set64(operation.Results[0], lane, old);
                }
            }
            else
            {
                var c = operation.Sources.Length > 2 ? lanes.Get32(operation.Sources[2], lane) : 0;
                var b = lanes.Get32(operation.Sources[1], lane);
                var old = size == 2 ? Update16(opcode, address, b) : Update32(opcode, (int*)address, b, c);
                if (operation.Results is [>= 0])
                {
                    lanes.Set32(operation.Results[0], lane, old);
                }
            }
        }
    }

    private static int Update32(Opcode opcode, int* address, int b, int c)
    {
        ref var place = ref Unsafe.AsRef<int>(address);
        switch (opcode.Atom)
        {
            case AtomOp.Add when opcode.Type is PtxType.U32 or PtxType.S32:
                return unchecked(Interlocked.Add(ref place, b) - b);
            case AtomOp.Exch:
                return Interlocked.Exchange(ref place, b);
            case AtomOp.Cas:
                return Interlocked.CompareExchange(ref place, c, b);
        }

        while (true)
        {
            var old = Volatile.Read(ref place);
            var value = opcode.Atom switch
            {
                AtomOp.And => old & b,
                AtomOp.Or => old | b,
                AtomOp.Xor => old ^ b,
                AtomOp.Min => opcode.Type == PtxType.U32 ? (int)Math.Min((uint)old, (uint)b) : Math.Min(old, b),
                AtomOp.Max => opcode.Type == PtxType.U32 ? (int)Math.Max((uint)old, (uint)b) : Math.Max(old, b),
                AtomOp.Inc => (uint)old >= (uint)b ? 0 : old + 1,
                AtomOp.Dec => old == 0 || (uint)old > (uint)b ? b : old - 1,
                _ => AddFloating(opcode.Type, old, b),
            };
            if (Interlocked.CompareExchange(ref place, value, old) == old)
            {
                return old;
            }
        }
    }

    private static int AddFloating(PtxType type, int a, int b) => type switch
    {
        PtxType.F32 => BitConverter.SingleToInt32Bits(BitConverter.Int32BitsToSingle(a) + BitConverter.Int32BitsToSingle(b)),
        PtxType.F16X2 => (AddHalf((ushort)a, (ushort)b) & 0xFFFF) | AddHalf((ushort)(a >> 16), (ushort)(b >> 16)) << 16,
        _ => (AddBrain((ushort)a, (ushort)b) & 0xFFFF) | AddBrain((ushort)(a >> 16), (ushort)(b >> 16)) << 16,
    };

    private static int AddHalf(ushort a, ushort b)
        => BitConverter.HalfToUInt16Bits((Half)((float)BitConverter.UInt16BitsToHalf(a) + (float)BitConverter.UInt16BitsToHalf(b)));

    private static int AddBrain(ushort a, ushort b)
    {
        var sum = BitConverter.Int32BitsToSingle(a << 16) + BitConverter.Int32BitsToSingle(b << 16);
        return System.Runtime.Intrinsics.Vector256.ToScalar(LaneMath.BrainFromSingle(System.Runtime.Intrinsics.Vector256.Create(sum)));
    }

    // Halves are updated within their aligned word.
    private static int Update16(Opcode opcode, long address, int b)
    {
        ref var word = ref Unsafe.AsRef<int>((int*)(address & ~3L));
        var shift = (int)(address & 2) * 8;
        while (true)
        {
            var whole = Volatile.Read(ref word);
            var old = (ushort)(whole >> shift);
            var sum = opcode.Type == PtxType.F16 ? AddHalf(old, (ushort)b) : AddBrain(old, (ushort)b);
            var value = (whole & ~(0xFFFF << shift)) | (sum & 0xFFFF) << shift;
            if (Interlocked.CompareExchange(ref word, value, whole) == whole)
            {
                return old;
            }
        }
    }

    private static long Update64(Opcode opcode, long* address, long b, long c)
    {
        ref var place = ref Unsafe.AsRef<long>(address);
        switch (opcode.Atom)
        {
            case AtomOp.Add when opcode.Type is PtxType.U64 or PtxType.S64:
                return unchecked(Interlocked.Add(ref place, b) - b);
            case AtomOp.Exch:
                return Interlocked.Exchange(ref place, b);
            case AtomOp.Cas:
                return Interlocked.CompareExchange(ref place, c, b);
        }

        while (true)
        {
            var old = Volatile.Read(ref place);
            var value = opcode.Atom switch
            {
                AtomOp.And => old & b,
                AtomOp.Or => old | b,
                AtomOp.Xor => old ^ b,
                AtomOp.Min => opcode.Type == PtxType.U64 ? (long)Math.Min((ulong)old, (ulong)b) : Math.Min(old, b),
                AtomOp.Max => opcode.Type == PtxType.U64 ? (long)Math.Max((ulong)old, (ulong)b) : Math.Max(old, b),
                _ => BitConverter.DoubleToInt64Bits(BitConverter.Int64BitsToDouble(old) + BitConverter.Int64BitsToDouble(b)),
            };
            if (Interlocked.CompareExchange(ref place, value, old) == old)
            {
                return old;
            }
        }
    }
}
