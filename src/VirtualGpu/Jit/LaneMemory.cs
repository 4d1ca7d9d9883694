// Loads and stores of eight (or four 64-bit) lanes at addresses that were not known to be in step. Every address is checked
// against a cached allocation before it is used.
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace FashionFlow.VirtualGpu.Jit;

/// <summary>
/// Called by compiled code. <c>context</c> is the <see cref="WarpContext"/>, <c>group</c> the group's part of the frame,
/// <c>mask</c> has a bit a lane, <c>range</c> points at the start and end of the memory that the lanes may touch, and
/// <c>access</c> is an <see cref="AccessCode"/>.
/// </summary>
internal static unsafe class LaneMemory
{
    private const MethodImplOptions Inline = MethodImplOptions.AggressiveInlining;
    private const MethodImplOptions Call = MethodImplOptions.AggressiveOptimization;

    [MethodImpl(Inline)]
    private static bool AllWithin(nint range, int access, Vector256<long> low, Vector256<long> high)
    {
        var first = Vector256.Create(((long*)range)[0]);
        var last = Vector256.Create(((long*)range)[1] - AccessCode.Size(access));
        var outside = Vector256.LessThan(low, first) | Vector256.GreaterThan(low, last) | Vector256.LessThan(high, first) | Vector256.GreaterThan(high, last)
            | ~Vector256.Equals((low | high) & Vector256.Create((long)AccessCode.AlignmentMask(access)), Vector256<long>.Zero);
        return outside == Vector256<long>.Zero;
    }

    [MethodImpl(Inline)]
    private static bool AllWithin(nint range, int access, Vector256<long> addresses) => AllWithin(range, access, addresses, addresses);

    // Checks lane by lane; throws for the first lane that may not.
    private static void Check(nint context, nint group, int mask, nint range, int access, Vector256<long> addresses, int firstLane)
    {
        for (var lane = 0; lane < 4; lane++)
        {
            if ((mask >> lane & 1) != 0)
            {
                MemoryFaults.Check((WarpContext*)context, group, firstLane + lane, range, access, addresses[lane]);
            }
        }
    }

    [MethodImpl(Inline)]
    private static void Guard(nint context, nint group, int mask, nint range, int access, Vector256<long> low, Vector256<long> high)
    {
        if (mask != 0xFF || !AllWithin(range, access, low, high))
        {
            Check(context, group, mask & 15, range, access, low, 0);
            Check(context, group, mask >> 4, range, access, high, 4);
        }
    }

    /// <summary>Checks an access of eight lanes that the caller makes itself.</summary>
    [MethodImpl(Call)]
    public static void CheckAll(nint context, nint group, int mask, nint range, int access, Vector256<long> low, Vector256<long> high)
        => Guard(context, group, mask, range, access, low, high);

    // Whether eight addresses step by a size.
    [MethodImpl(Inline)]
    private static bool AreContiguous(Vector256<long> low, Vector256<long> high, long size)
    {
        var first = Vector256.Create(low.ToScalar());
        return Vector256.EqualsAll(low, first + Vector256.Create(0, size, 2 * size, 3 * size))
            && Vector256.EqualsAll(high, first + Vector256.Create(4 * size, 5 * size, 6 * size, 7 * size));
    }

    [MethodImpl(Call)]
    public static Vector256<int> Load32(nint context, nint group, int mask, nint range, int access, Vector256<long> low, Vector256<long> high)
    {
        Guard(context, group, mask, range, access, low, high);
        if (mask == 0xFF)
        {
            if (AreContiguous(low, high, 4))
            {
                return Vector256.Load((int*)low.ToScalar());
            }

            if (Avx2.IsSupported)
            {
                return Vector256.Create(Avx2.GatherVector128((int*)0, low, 1), Avx2.GatherVector128((int*)0, high, 1));
            }
        }

        var result = Vector256<int>.Zero;
        for (var lane = 0; lane < 8; lane++)
        {
            if ((mask >> lane & 1) != 0)
            {
                result = result.WithElement(lane, *(int*)(lane < 4 ? low[lane] : high[lane - 4]));
            }
        }

        return result;
    }

    [MethodImpl(Call)]
    public static Vector256<int> Load8Unsigned(nint context, nint group, int mask, nint range, int access, Vector256<long> low, Vector256<long> high)
    {
        Guard(context, group, mask, range, access, low, high);
        if (mask == 0xFF && AreContiguous(low, high, 1))
        {
            return Contiguous8Unsigned(low.ToScalar());
        }

        var result = Vector256<int>.Zero;
        for (var lane = 0; lane < 8; lane++)
        {
            if ((mask >> lane & 1) != 0)
            {
                result = result.WithElement(lane, *(byte*)(lane < 4 ? low[lane] : high[lane - 4]));
            }
        }

        return result;
    }

    [MethodImpl(Call)]
    public static Vector256<int> Load16Unsigned(nint context, nint group, int mask, nint range, int access, Vector256<long> low, Vector256<long> high)
    {
        Guard(context, group, mask, range, access, low, high);
        if (mask == 0xFF && AreContiguous(low, high, 2))
        {
            return Contiguous16Unsigned(low.ToScalar());
        }

        var result = Vector256<int>.Zero;
        for (var lane = 0; lane < 8; lane++)
        {
            if ((mask >> lane & 1) != 0)
            {
                result = result.WithElement(lane, *(ushort*)(lane < 4 ? low[lane] : high[lane - 4]));
            }
        }

        return result;
    }

    [MethodImpl(Call)]
    public static Vector256<int> Load8Signed(nint context, nint group, int mask, nint range, int access, Vector256<long> low, Vector256<long> high)
        => (Load8Unsigned(context, group, mask, range, access, low, high) << 24) >> 24;

    [MethodImpl(Call)]
    public static Vector256<int> Load16Signed(nint context, nint group, int mask, nint range, int access, Vector256<long> low, Vector256<long> high)
        => (Load16Unsigned(context, group, mask, range, access, low, high) << 16) >> 16;

    /// <summary>Four 32-bit values a lane, 16 bytes in a row; they come into the group's scratch places.</summary>
    [MethodImpl(Call)]
    public static void Load128(nint context, nint group, int mask, nint range, int access, Vector256<long> low, Vector256<long> high)
    {
        Guard(context, group, mask, range, access, low, high);
        var to = (float*)(group + FrameLayout.ScratchOffset);
        if (mask == 0xFF && Avx2.IsSupported)
        {
            // Lanes 0 4, 1 5, 2 6, 3 7; then two transposes of four by four side by side.
            var a = Vector256.Create(Vector128.Load((float*)low[0]), Vector128.Load((float*)high[0]));
            var b = Vector256.Create(Vector128.Load((float*)low[1]), Vector128.Load((float*)high[1]));
            var c = Vector256.Create(Vector128.Load((float*)low[2]), Vector128.Load((float*)high[2]));
            var d = Vector256.Create(Vector128.Load((float*)low[3]), Vector128.Load((float*)high[3]));
            var lowAb = Avx.UnpackLow(a, b);
            var lowCd = Avx.UnpackLow(c, d);
            var highAb = Avx.UnpackHigh(a, b);
            var highCd = Avx.UnpackHigh(c, d);
            Avx.Shuffle(lowAb, lowCd, 0x44).Store(to);
            Avx.Shuffle(lowAb, lowCd, 0xEE).Store(to + 8);
            Avx.Shuffle(highAb, highCd, 0x44).Store(to + 16);
            Avx.Shuffle(highAb, highCd, 0xEE).Store(to + 24);
            return;
        }

        for (var lane = 0; lane < 8; lane++)
        {
            var runs = (mask >> lane & 1) != 0;
            var from = (float*)(lane < 4 ? low[lane] : high[lane - 4]);
            for (var k = 0; k < 4; k++)
            {
                to[(8 * k) + lane] = runs ? from[k] : 0f;
            }
        }
    }

    // 64-bit values come four lanes a call; the mask has four bits, and lane 4 is the upper half's first.
    [MethodImpl(Call)]
    public static Vector256<long> Load64(nint context, nint group, int mask, nint range, int access, Vector256<long> addresses)
    {
        if (mask == 15)
        {
            if (!AllWithin(range, access, addresses))
            {
                Check(context, group, mask, range, access, addresses, AccessCode.FirstLane(access));
            }

            return Avx2.IsSupported
                ? Avx2.GatherVector256((long*)0, addresses, 1)
                : Vector256.Create(*(long*)addresses[0], *(long*)addresses[1], *(long*)addresses[2], *(long*)addresses[3]);
        }

        Check(context, group, mask, range, access, addresses, AccessCode.FirstLane(access));
        var result = Vector256<long>.Zero;
        for (var lane = 0; lane < 4; lane++)
        {
            if ((mask >> lane & 1) != 0)
            {
                result = result.WithElement(lane, *(long*)addresses[lane]);
            }
        }

        return result;
    }

    [MethodImpl(Call)]
    public static void Store32(nint context, nint group, int mask, nint range, int access, Vector256<long> low, Vector256<long> high, Vector256<int> value)
    {
        Guard(context, group, mask, range, access, low, high);
        if (mask == 0xFF && AreContiguous(low, high, 4))
        {
            value.Store((int*)low.ToScalar());
            return;
        }

        var addresses = stackalloc long[8];
        low.Store(addresses);
        high.Store(addresses + 4);
        var values = stackalloc int[8];
        value.Store(values);
        for (var lane = 0; lane < 8; lane++)
        {
            if ((mask >> lane & 1) != 0)
            {
                *(int*)addresses[lane] = values[lane];
            }
        }
    }

    [MethodImpl(Call)]
    public static void Store16(nint context, nint group, int mask, nint range, int access, Vector256<long> low, Vector256<long> high, Vector256<int> value)
    {
        Guard(context, group, mask, range, access, low, high);
        for (var lane = 0; lane < 8; lane++)
        {
            if ((mask >> lane & 1) != 0)
            {
                *(short*)(lane < 4 ? low[lane] : high[lane - 4]) = (short)value[lane];
            }
        }
    }

    [MethodImpl(Call)]
    public static void Store8(nint context, nint group, int mask, nint range, int access, Vector256<long> low, Vector256<long> high, Vector256<int> value)
    {
        Guard(context, group, mask, range, access, low, high);
        for (var lane = 0; lane < 8; lane++)
        {
            if ((mask >> lane & 1) != 0)
            {
                *(byte*)(lane < 4 ? low[lane] : high[lane - 4]) = (byte)value[lane];
            }
        }
    }

    [MethodImpl(Call)]
    public static void Store64(nint context, nint group, int mask, nint range, int access, Vector256<long> addresses, Vector256<long> value)
    {
        if (mask != 15 || !AllWithin(range, access, addresses))
        {
            Check(context, group, mask, range, access, addresses, AccessCode.FirstLane(access));
        }

        for (var lane = 0; lane < 4; lane++)
        {
            if ((mask >> lane & 1) != 0)
            {
                *(long*)addresses[lane] = value[lane];
            }
        }
    }

    /// <summary>Host addresses of four lanes' places in local memory, from offsets within each lane's own.</summary>
    [MethodImpl(Call)]
    public static Vector256<long> LocalAddresses(nint context, nint group, int mask, int access, Vector256<long> offsets)
    {
        var warp = (WarpContext*)context;
        var last = Vector256.Create((long)warp->LocalBytes - AccessCode.Size(access));
        var firstLane = (MemoryFaults.GroupOf(warp, group) * FrameLayout.LanesPerGroup) + AccessCode.FirstLane(access);
        var outside = Vector256.LessThan(offsets, Vector256<long>.Zero) | Vector256.GreaterThan(offsets, last);
        var bad = (int)Vector256.ExtractMostSignificantBits(outside) & mask;
        if (bad != 0)
        {
            var lane = System.Numerics.BitOperations.TrailingZeroCount(bad);
            MemoryFaults.ThrowLocal(warp, firstLane + lane, access, offsets[lane]);
        }

        var stride = (long)warp->LocalBytes;
        var start = warp->LocalLow + (firstLane * stride);
        var addresses = offsets + Vector256.Create(start, start + stride, start + (2 * stride), start + (3 * stride));

        // Lanes that do not run must not carry wild addresses.
        return mask == 15 ? addresses : Vector256.ConditionalSelect(outside, Vector256.Create(start), addresses);
    }

    // ---- eight lanes in a row, for addresses known to step

    [MethodImpl(Inline)]
    public static Vector256<int> Contiguous8Unsigned(nint address)
        => Vector256.Create(
            Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalar(*(ulong*)address).AsByte())).AsInt32(),
            Vector128.WidenUpper(Vector128.WidenLower(Vector128.CreateScalar(*(ulong*)address).AsByte())).AsInt32());

    [MethodImpl(Inline)]
    public static Vector256<int> Contiguous8Unsigned(long address) => Contiguous8Unsigned((nint)address);

    [MethodImpl(Inline)]
    public static Vector256<int> Contiguous8Signed(nint address) => (Contiguous8Unsigned(address) << 24) >> 24;

    [MethodImpl(Inline)]
    public static Vector256<int> Contiguous16Unsigned(nint address)
        => Vector256.Create(Vector128.WidenLower(Vector128.Load((ushort*)address)).AsInt32(), Vector128.WidenUpper(Vector128.Load((ushort*)address)).AsInt32());

    [MethodImpl(Inline)]
    public static Vector256<int> Contiguous16Unsigned(long address) => Contiguous16Unsigned((nint)address);

    [MethodImpl(Inline)]
    public static Vector256<int> Contiguous16Signed(nint address) => (Contiguous16Unsigned(address) << 16) >> 16;

    [MethodImpl(Inline)]
    public static void StoreContiguous8(nint address, Vector256<int> value)
    {
        var low = Vector256.Narrow(value.AsUInt32() & Vector256.Create(0xFFu), Vector256<uint>.Zero);
        var bytes = Vector256.Narrow(low, Vector256<ushort>.Zero);
        *(ulong*)address = bytes.AsUInt64().ToScalar();
    }

    [MethodImpl(Inline)]
    public static void StoreContiguous16(nint address, Vector256<int> value)
        => Vector256.Narrow(value.AsUInt32() & Vector256.Create(0xFFFFu), Vector256<uint>.Zero).GetLower().Store((ushort*)address);

    // ---- eight lanes at constant distances from a checked address

    [MethodImpl(Inline)]
    public static Vector256<int> Gather32(nint address, Vector256<int> distances)
    {
        if (Avx2.IsSupported)
        {
            return Avx2.GatherVector256((int*)address, distances, 1);
        }

        var result = Vector256<int>.Zero;
        for (var lane = 0; lane < 8; lane++)
        {
            result = result.WithElement(lane, *(int*)(address + distances[lane]));
        }

        return result;
    }

    [MethodImpl(Inline)]
    public static Vector256<long> Gather64(nint address, Vector128<int> distances)
        => Avx2.IsSupported
            ? Avx2.GatherVector256((long*)address, distances, 1)
            : Vector256.Create(*(long*)(address + distances[0]), *(long*)(address + distances[1]), *(long*)(address + distances[2]), *(long*)(address + distances[3]));

    [MethodImpl(Call)]
    public static Vector256<int> Gather8Unsigned(nint address, Vector256<int> distances)
    {
        var result = Vector256<int>.Zero;
        for (var lane = 0; lane < 8; lane++)
        {
            result = result.WithElement(lane, *(byte*)(address + distances[lane]));
        }

        return result;
    }

    [MethodImpl(Call)]
    public static Vector256<int> Gather16Unsigned(nint address, Vector256<int> distances)
    {
        var result = Vector256<int>.Zero;
        for (var lane = 0; lane < 8; lane++)
        {
            result = result.WithElement(lane, *(ushort*)(address + distances[lane]));
        }

        return result;
    }

    [MethodImpl(Call)]
    public static Vector256<int> Gather8Signed(nint address, Vector256<int> distances) => (Gather8Unsigned(address, distances) << 24) >> 24;

    [MethodImpl(Call)]
    public static Vector256<int> Gather16Signed(nint address, Vector256<int> distances) => (Gather16Unsigned(address, distances) << 16) >> 16;

    [MethodImpl(Call)]
    public static void Scatter8(nint address, Vector256<int> distances, Vector256<int> value)
    {
        for (var lane = 0; lane < 8; lane++)
        {
            *(byte*)(address + distances[lane]) = (byte)value[lane];
        }
    }

    [MethodImpl(Call)]
    public static void Scatter16(nint address, Vector256<int> distances, Vector256<int> value)
    {
        for (var lane = 0; lane < 8; lane++)
        {
            *(short*)(address + distances[lane]) = (short)value[lane];
        }
    }

    [MethodImpl(Call)]
    public static void Scatter32(nint address, Vector256<int> distances, Vector256<int> value)
    {
        for (var lane = 0; lane < 8; lane++)
        {
            *(int*)(address + distances[lane]) = value[lane];
        }
    }

    [MethodImpl(Call)]
    public static void Scatter64(nint address, Vector128<int> distances, Vector256<long> value)
    {
        for (var lane = 0; lane < 4; lane++)
        {
            *(long*)(address + distances[lane]) = value[lane];
        }
    }

    /// <summary>Whether <c>[low, high)</c> lies in one live allocation, which is then cached.</summary>
    [MethodImpl(Call)]
    public static bool Resolve(nint context, nint range, long low, long high)
        => MemoryFaults.TryResolve((WarpContext*)context, range, low, high);
}

/// <summary>What an access is, in one number: its size, its alignment, its space, the lanes of a 64-bit half.</summary>
internal static class AccessCode
{
    public static int Create(int size, int alignment, Ptx.PtxSpace space, bool upperHalf, bool isStore)
        => size | (alignment - 1) << 8 | (int)space << 16 | (upperHalf ? 1 << 20 : 0) | (isStore ? 1 << 21 : 0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Size(int access) => access & 0xFF;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int AlignmentMask(int access) => access >> 8 & 0xFF;

    public static Ptx.PtxSpace Space(int access) => (Ptx.PtxSpace)(access >> 16 & 0xF);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int FirstLane(int access) => (access >> 20 & 1) * 4;

    public static bool IsStore(int access) => (access >> 21 & 1) != 0;
}
