// Integer instructions on eight 32-bit or four 64-bit lanes. Method names are those of Op; overloads select by element type.
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace FashionFlow.VirtualGpu.Jit;

/// <summary>
/// What instructions do to lanes, where no single vector intrinsic does it. Results depend on no feature of the host.
/// </summary>
internal static partial class LaneMath
{
    private const MethodImplOptions Inline = MethodImplOptions.AggressiveInlining;
    private const MethodImplOptions Call = MethodImplOptions.AggressiveOptimization;

    // ---- products

    [MethodImpl(Inline)]
    public static Vector256<long> MulWide(Vector256<long> a, Vector256<long> b)
        => Avx2.IsSupported ? Avx2.Multiply(a.AsInt32(), b.AsInt32()) : a * b;

    [MethodImpl(Inline)]
    public static Vector256<ulong> MulWide(Vector256<ulong> a, Vector256<ulong> b)
        => Avx2.IsSupported ? Avx2.Multiply(a.AsUInt32(), b.AsUInt32()) : a * b;

    [MethodImpl(Call)]
    public static Vector256<int> MulHi(Vector256<int> a, Vector256<int> b)
    {
        var low = MulWide(Vector256.WidenLower(a), Vector256.WidenLower(b)) >> 32;
        var high = MulWide(Vector256.WidenUpper(a), Vector256.WidenUpper(b)) >> 32;
        return Vector256.Narrow(low, high);
    }

    [MethodImpl(Call)]
    public static Vector256<uint> MulHi(Vector256<uint> a, Vector256<uint> b)
    {
        var low = MulWide(Vector256.WidenLower(a), Vector256.WidenLower(b)) >> 32;
        var high = MulWide(Vector256.WidenUpper(a), Vector256.WidenUpper(b)) >> 32;
        return Vector256.Narrow(low, high);
    }

    [MethodImpl(Call)]
    public static Vector256<long> MulHi(Vector256<long> a, Vector256<long> b)
        => Vector256.Create(Math.BigMul(a[0], b[0], out _), Math.BigMul(a[1], b[1], out _), Math.BigMul(a[2], b[2], out _), Math.BigMul(a[3], b[3], out _));

    [MethodImpl(Call)]
    public static Vector256<ulong> MulHi(Vector256<ulong> a, Vector256<ulong> b)
        => Vector256.Create(Math.BigMul(a[0], b[0], out _), Math.BigMul(a[1], b[1], out _), Math.BigMul(a[2], b[2], out _), Math.BigMul(a[3], b[3], out _));

    // 24-bit products: the low or the high 32 of 48 bits.
    [MethodImpl(Call)]
    public static Vector256<int> Mul24Low(Vector256<int> a, Vector256<int> b) => ((a << 8) >> 8) * ((b << 8) >> 8);

    [MethodImpl(Call)]
    public static Vector256<uint> Mul24Low(Vector256<uint> a, Vector256<uint> b) => (a & Vector256.Create(0xFFFFFFu)) * (b & Vector256.Create(0xFFFFFFu));

    [MethodImpl(Call)]
    public static Vector256<int> Mul24High(Vector256<int> a, Vector256<int> b)
    {
        var x = (a << 8) >> 8;
        var y = (b << 8) >> 8;
        return Vector256.Narrow(
            MulWide(Vector256.WidenLower(x), Vector256.WidenLower(y)) >> 16,
            MulWide(Vector256.WidenUpper(x), Vector256.WidenUpper(y)) >> 16);
    }

    [MethodImpl(Call)]
    public static Vector256<uint> Mul24High(Vector256<uint> a, Vector256<uint> b)
    {
        var x = a & Vector256.Create(0xFFFFFFu);
        var y = b & Vector256.Create(0xFFFFFFu);
        return Vector256.Narrow(
            MulWide(Vector256.WidenLower(x), Vector256.WidenLower(y)) >> 16,
            MulWide(Vector256.WidenUpper(x), Vector256.WidenUpper(y)) >> 16);
    }

    // ---- quotients. A quotient by zero is all ones, its remainder the dividend, as the hardware's sequence gives.

    [MethodImpl(Inline)]
    public static int Div(int a, int b) => b == 0 ? -1 : b == -1 ? unchecked(-a) : a / b;

    [MethodImpl(Inline)]
    public static uint Div(uint a, uint b) => b == 0 ? uint.MaxValue : a / b;

    [MethodImpl(Inline)]
    public static long Div(long a, long b) => b == 0 ? -1 : b == -1 ? unchecked(-a) : a / b;

    [MethodImpl(Inline)]
    public static ulong Div(ulong a, ulong b) => b == 0 ? ulong.MaxValue : a / b;

    [MethodImpl(Inline)]
    public static int Rem(int a, int b) => b == 0 ? a : b == -1 ? 0 : a % b;

    [MethodImpl(Inline)]
    public static uint Rem(uint a, uint b) => b == 0 ? a : a % b;

    [MethodImpl(Inline)]
    public static long Rem(long a, long b) => b == 0 ? a : b == -1 ? 0 : a % b;

    [MethodImpl(Inline)]
    public static ulong Rem(ulong a, ulong b) => b == 0 ? a : a % b;

    // The double quotient of 32-bit integers, cut off, is exact: a true quotient below an integer q differs from it by at
    // least 1/b, and 1/b relative to q is above 2^-53.
    [MethodImpl(Inline)]
    private static Vector256<long> Quotient(Vector256<long> a, Vector256<long> b)
    {
        var magic = Vector256.Create(6755399441055744.0);
        var x = (a + magic.AsInt64()).AsDouble() - magic;
        var y = (b + magic.AsInt64()).AsDouble() - magic;
        return (Vector256.Truncate(x / y) + magic).AsInt64() - magic.AsInt64();
    }

    [MethodImpl(Call)]
    public static Vector256<int> Div(Vector256<int> a, Vector256<int> b)
    {
        var quotient = Vector256.Narrow(
            Quotient(Vector256.WidenLower(a), Vector256.WidenLower(b)),
            Quotient(Vector256.WidenUpper(a), Vector256.WidenUpper(b)));
        return Vector256.ConditionalSelect(Vector256.Equals(b, Vector256<int>.Zero), Vector256<int>.AllBitsSet, quotient);
    }

    [MethodImpl(Call)]
    public static Vector256<uint> Div(Vector256<uint> a, Vector256<uint> b)
    {
        var quotient = Vector256.Narrow(
            Quotient(Vector256.WidenLower(a).AsInt64(), Vector256.WidenLower(b).AsInt64()),
            Quotient(Vector256.WidenUpper(a).AsInt64(), Vector256.WidenUpper(b).AsInt64())).AsUInt32();
        return Vector256.ConditionalSelect(Vector256.Equals(b, Vector256<uint>.Zero), Vector256<uint>.AllBitsSet, quotient);
    }

    [MethodImpl(Call)]
    public static Vector256<int> Rem(Vector256<int> a, Vector256<int> b)
        => Vector256.ConditionalSelect(Vector256.Equals(b, Vector256<int>.Zero), a, a - (Div(a, b) * b));

    [MethodImpl(Call)]
    public static Vector256<uint> Rem(Vector256<uint> a, Vector256<uint> b)
        => Vector256.ConditionalSelect(Vector256.Equals(b, Vector256<uint>.Zero), a, a - (Div(a, b) * b));

    [MethodImpl(Call)]
    public static Vector256<long> Div(Vector256<long> a, Vector256<long> b)
        => Vector256.Create(Div(a[0], b[0]), Div(a[1], b[1]), Div(a[2], b[2]), Div(a[3], b[3]));

    [MethodImpl(Call)]
    public static Vector256<ulong> Div(Vector256<ulong> a, Vector256<ulong> b)
        => Vector256.Create(Div(a[0], b[0]), Div(a[1], b[1]), Div(a[2], b[2]), Div(a[3], b[3]));

    [MethodImpl(Call)]
    public static Vector256<long> Rem(Vector256<long> a, Vector256<long> b)
        => Vector256.Create(Rem(a[0], b[0]), Rem(a[1], b[1]), Rem(a[2], b[2]), Rem(a[3], b[3]));

    [MethodImpl(Call)]
    public static Vector256<ulong> Rem(Vector256<ulong> a, Vector256<ulong> b)
        => Vector256.Create(Rem(a[0], b[0]), Rem(a[1], b[1]), Rem(a[2], b[2]), Rem(a[3], b[3]));

    // ---- sums that saturate, carries

    [MethodImpl(Inline)]
    public static Vector256<int> AddSaturate(Vector256<int> a, Vector256<int> b)
    {
        var sum = a + b;
        var overflow = ((a ^ sum) & (b ^ sum)) >> 31;
        return Vector256.ConditionalSelect(overflow, (a >> 31) ^ Vector256.Create(int.MaxValue), sum);
    }

    [MethodImpl(Inline)]
    public static Vector256<int> SubSaturate(Vector256<int> a, Vector256<int> b)
    {
        var difference = a - b;
        var overflow = ((a ^ b) & (a ^ difference)) >> 31;
        return Vector256.ConditionalSelect(overflow, (a >> 31) ^ Vector256.Create(int.MaxValue), difference);
    }

    // Carries are 0 or 1. The carry out of a + b + c.
    [MethodImpl(Inline)]
    public static Vector256<uint> AddCarryOut(Vector256<uint> a, Vector256<uint> b, Vector256<uint> carry)
    {
        var sum = a + b;
        var total = sum + carry;
        return (Vector256.LessThan(sum, a) | Vector256.LessThan(total, sum)) & Vector256<uint>.One;
    }

    // PTX keeps the borrow in the carry flag as an add of the complement would: 1 means no borrow is not visible to programs,
    // so that the flag here is the borrow itself.
    [MethodImpl(Inline)]
    public static Vector256<uint> SubBorrowOut(Vector256<uint> a, Vector256<uint> b, Vector256<uint> borrow)
    {
        var difference = a - b;
        return (Vector256.LessThan(a, b) | Vector256.LessThan(difference, borrow)) & Vector256<uint>.One;
    }

    // ---- shifts: counts above the width act like the width

    [MethodImpl(Inline)]
    public static Vector256<uint> Shl(Vector256<uint> a, Vector256<uint> count)
    {
        if (Avx2.IsSupported)
        {
            return Avx2.ShiftLeftLogicalVariable(a, count);
        }

        var result = Vector256<uint>.Zero;
        for (var i = 0; i < 8; i++)
        {
            result = result.WithElement(i, count[i] > 31 ? 0 : a[i] << (int)count[i]);
        }

        return result;
    }

    [MethodImpl(Inline)]
    public static Vector256<ulong> Shl(Vector256<ulong> a, Vector256<ulong> count)
    {
        if (Avx2.IsSupported)
        {
            return Avx2.ShiftLeftLogicalVariable(a, count);
        }

        var result = Vector256<ulong>.Zero;
        for (var i = 0; i < 4; i++)
        {
            result = result.WithElement(i, count[i] > 63 ? 0 : a[i] << (int)count[i]);
        }

        return result;
    }

    [MethodImpl(Inline)]
    public static Vector256<uint> Shr(Vector256<uint> a, Vector256<uint> count)
    {
        if (Avx2.IsSupported)
        {
            return Avx2.ShiftRightLogicalVariable(a, count);
        }

        var result = Vector256<uint>.Zero;
        for (var i = 0; i < 8; i++)
        {
            result = result.WithElement(i, count[i] > 31 ? 0 : a[i] >> (int)count[i]);
        }

        return result;
    }

    [MethodImpl(Inline)]
    public static Vector256<ulong> Shr(Vector256<ulong> a, Vector256<ulong> count)
    {
        if (Avx2.IsSupported)
        {
            return Avx2.ShiftRightLogicalVariable(a, count);
        }

        var result = Vector256<ulong>.Zero;
        for (var i = 0; i < 4; i++)
        {
            result = result.WithElement(i, count[i] > 63 ? 0 : a[i] >> (int)count[i]);
        }

        return result;
    }

    [MethodImpl(Inline)]
    public static Vector256<int> Shr(Vector256<int> a, Vector256<uint> count)
    {
        if (Avx2.IsSupported)
        {
            return Avx2.ShiftRightArithmeticVariable(a, count);
        }

        var result = Vector256<int>.Zero;
        for (var i = 0; i < 8; i++)
        {
            result = result.WithElement(i, a[i] >> (int)Math.Min(count[i], 31));
        }

        return result;
    }

    [MethodImpl(Inline)]
    public static Vector256<long> Shr(Vector256<long> a, Vector256<ulong> count)
    {
        // Logical shifts of the value and of its sign extension, put together.
        var clamped = Vector256.Min(count, Vector256.Create(63UL));
        var sign = a >> 63;
        return Shr((a ^ sign).AsUInt64(), clamped).AsInt64() ^ sign;
    }

    [MethodImpl(Call)]
    public static Vector256<uint> ShfLeftWrap(Vector256<uint> low, Vector256<uint> high, Vector256<uint> count)
    {
        var n = count & Vector256.Create(31u);
        return Shl(high, n) | Shr(low, Vector256.Create(32u) - n);
    }

    [MethodImpl(Call)]
    public static Vector256<uint> ShfRightWrap(Vector256<uint> low, Vector256<uint> high, Vector256<uint> count)
    {
        var n = count & Vector256.Create(31u);
        return Shr(low, n) | Shl(high, Vector256.Create(32u) - n);
    }

    [MethodImpl(Call)]
    public static Vector256<uint> ShfLeftClamp(Vector256<uint> low, Vector256<uint> high, Vector256<uint> count)
    {
        var n = Vector256.Min(count, Vector256.Create(32u));
        return Shl(high, n) | Shr(low, Vector256.Create(32u) - n);
    }

    [MethodImpl(Call)]
    public static Vector256<uint> ShfRightClamp(Vector256<uint> low, Vector256<uint> high, Vector256<uint> count)
    {
        var n = Vector256.Min(count, Vector256.Create(32u));
        return Shr(low, n) | Shl(high, Vector256.Create(32u) - n);
    }

    // ---- bits

    [MethodImpl(Inline)]
    public static Vector256<int> Abs(Vector256<int> a) => Vector256.Abs(a);

    [MethodImpl(Inline)]
    public static Vector256<long> Abs(Vector256<long> a)
    {
        var sign = a >> 63;
        return (a ^ sign) - sign;
    }

    [MethodImpl(Inline)]
    public static Vector256<uint> Cnot(Vector256<uint> a) => Vector256.Equals(a, Vector256<uint>.Zero) & Vector256<uint>.One;

    [MethodImpl(Inline)]
    public static Vector256<ulong> Cnot(Vector256<ulong> a) => Vector256.Equals(a, Vector256<ulong>.Zero) & Vector256<ulong>.One;

    [MethodImpl(Call)]
    public static Vector256<uint> Lop3(Vector256<uint> a, Vector256<uint> b, Vector256<uint> c, Vector256<uint> table)
    {
        var lookUp = table.ToScalar();
        var result = Vector256<uint>.Zero;
        for (var i = 0; i < 8; i++)
        {
            if ((lookUp >> i & 1) != 0)
            {
                result |= ((i & 4) != 0 ? a : ~a) & ((i & 2) != 0 ? b : ~b) & ((i & 1) != 0 ? c : ~c);
            }
        }

        return result;
    }

    [MethodImpl(Call)]
    public static Vector256<uint> Popc(Vector256<uint> a)
    {
        var result = Vector256<uint>.Zero;
        for (var i = 0; i < 8; i++)
        {
            result = result.WithElement(i, (uint)BitOperations.PopCount(a[i]));
        }

        return result;
    }

    [MethodImpl(Call)]
    public static Vector256<ulong> Popc(Vector256<ulong> a)
        => Vector256.Create((ulong)BitOperations.PopCount(a[0]), (ulong)BitOperations.PopCount(a[1]), (ulong)BitOperations.PopCount(a[2]), (ulong)BitOperations.PopCount(a[3]));

    [MethodImpl(Call)]
    public static Vector256<uint> Clz(Vector256<uint> a)
    {
        var result = Vector256<uint>.Zero;
        for (var i = 0; i < 8; i++)
        {
            result = result.WithElement(i, (uint)BitOperations.LeadingZeroCount(a[i]));
        }

        return result;
    }

    [MethodImpl(Call)]
    public static Vector256<ulong> Clz(Vector256<ulong> a)
        => Vector256.Create((ulong)BitOperations.LeadingZeroCount(a[0]), (ulong)BitOperations.LeadingZeroCount(a[1]), (ulong)BitOperations.LeadingZeroCount(a[2]), (ulong)BitOperations.LeadingZeroCount(a[3]));

    private static uint Reverse(uint x)
    {
        x = (x >> 1 & 0x55555555u) | (x & 0x55555555u) << 1;
        x = (x >> 2 & 0x33333333u) | (x & 0x33333333u) << 2;
        x = (x >> 4 & 0x0F0F0F0Fu) | (x & 0x0F0F0F0Fu) << 4;
        return System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(x);
    }

    [MethodImpl(Call)]
    public static Vector256<uint> Brev(Vector256<uint> a)
    {
        var result = Vector256<uint>.Zero;
        for (var i = 0; i < 8; i++)
        {
            result = result.WithElement(i, Reverse(a[i]));
        }

        return result;
    }

    [MethodImpl(Call)]
    public static Vector256<ulong> Brev(Vector256<ulong> a)
    {
        var result = Vector256<ulong>.Zero;
        for (var i = 0; i < 4; i++)
        {
            result = result.WithElement(i, (ulong)Reverse((uint)a[i]) << 32 | Reverse((uint)(a[i] >> 32)));
        }

        return result;
    }

    // The place of the most significant bit that differs from the sign, or -1.
    [MethodImpl(Call)]
    public static Vector256<uint> Bfind(Vector256<uint> a) => Vector256.Create(31u) - Clz(a);

    [MethodImpl(Call)]
    public static Vector256<int> Bfind(Vector256<int> a) => Bfind((a ^ (a >> 31)).AsUInt32()).AsInt32();

    [MethodImpl(Call)]
    public static Vector256<ulong> Bfind(Vector256<ulong> a) => Vector256.Create(63UL) - Clz(a);

    [MethodImpl(Call)]
    public static Vector256<long> Bfind(Vector256<long> a) => Bfind((a ^ (a >> 63)).AsUInt64()).AsInt64();

    // The same as a shift count that brings the bit to the top.
    [MethodImpl(Call)]
    public static Vector256<uint> BfindShift(Vector256<uint> a)
        => Vector256.ConditionalSelect(Vector256.Equals(a, Vector256<uint>.Zero), Vector256<uint>.AllBitsSet, Clz(a));

    [MethodImpl(Call)]
    public static Vector256<int> BfindShift(Vector256<int> a) => BfindShift((a ^ (a >> 31)).AsUInt32()).AsInt32();

    [MethodImpl(Call)]
    public static Vector256<ulong> BfindShift(Vector256<ulong> a)
        => Vector256.ConditionalSelect(Vector256.Equals(a, Vector256<ulong>.Zero), Vector256<ulong>.AllBitsSet, Clz(a));

    [MethodImpl(Call)]
    public static Vector256<long> BfindShift(Vector256<long> a) => BfindShift((a ^ (a >> 63)).AsUInt64()).AsInt64();

    private static ulong ExtractField(ulong value, uint position, uint length, int width, bool signed)
    {
        position &= 0xFF;
        length &= 0xFF;
        var top = position + length - 1 < (uint)width - 1 && length > 0 ? (int)(position + length - 1) : width - 1;
        var sign = signed && length > 0 && (value >> top & 1) != 0;
        ulong result = 0;
        for (var i = 0; i < width; i++)
        {
            var from = (uint)i + position;
            var bit = (uint)i < length && from < (uint)width ? value >> (int)from & 1 : sign ? 1UL : 0UL;
            result |= bit << i;
        }

        return result;
    }

    [MethodImpl(Call)]
    public static Vector256<uint> Bfe(Vector256<uint> a, Vector256<uint> position, Vector256<uint> length)
    {
        var result = Vector256<uint>.Zero;
        for (var i = 0; i < 8; i++)
        {
            result = result.WithElement(i, (uint)ExtractField(a[i], position[i], length[i], 32, signed: false));
        }

        return result;
    }

    [MethodImpl(Call)]
    public static Vector256<int> Bfe(Vector256<int> a, Vector256<uint> position, Vector256<uint> length)
    {
        var result = Vector256<int>.Zero;
        for (var i = 0; i < 8; i++)
        {
            result = result.WithElement(i, (int)ExtractField((uint)a[i], position[i], length[i], 32, signed: true));
        }

        return result;
    }

    [MethodImpl(Call)]
    public static Vector256<ulong> Bfe(Vector256<ulong> a, Vector256<ulong> position, Vector256<ulong> length)
    {
        var result = Vector256<ulong>.Zero;
        for (var i = 0; i < 4; i++)
        {
            result = result.WithElement(i, ExtractField(a[i], (uint)position[i], (uint)length[i], 64, signed: false));
        }

        return result;
    }

    [MethodImpl(Call)]
    public static Vector256<long> Bfe(Vector256<long> a, Vector256<ulong> position, Vector256<ulong> length)
    {
        var result = Vector256<long>.Zero;
        for (var i = 0; i < 4; i++)
        {
            result = result.WithElement(i, (long)ExtractField((ulong)a[i], (uint)position[i], (uint)length[i], 64, signed: true));
        }

        return result;
    }

    // Puts the low bits of a into b.
    [MethodImpl(Call)]
    public static Vector256<uint> Bfi(Vector256<uint> a, Vector256<uint> b, Vector256<uint> position, Vector256<uint> length)
    {
        var at = position & Vector256.Create(0xFFu);
        var mask = Shl(~Shl(Vector256<uint>.AllBitsSet, length & Vector256.Create(0xFFu)), at);
        return (Shl(a, at) & mask) | (b & ~mask);
    }

    [MethodImpl(Call)]
    public static Vector256<ulong> Bfi(Vector256<ulong> a, Vector256<ulong> b, Vector256<ulong> position, Vector256<ulong> length)
    {
        var at = position & Vector256.Create(0xFFUL);
        var mask = Shl(~Shl(Vector256<ulong>.AllBitsSet, length & Vector256.Create(0xFFUL)), at);
        return (Shl(a, at) & mask) | (b & ~mask);
    }

    private static uint Permute(uint a, uint b, uint selector, int mode)
    {
        var bytes = (ulong)b << 32 | a;
        uint result = 0;
        for (var i = 0; i < 4; i++)
        {
            var s = (int)(selector & 3);
            var nibble = mode switch
            {
                1 => s + i,
                2 => (s - i) & 7,
                3 => s,
                4 => Math.Max(s, i),
                5 => Math.Min(s, i),
                6 => ((s & 1) * 2) + (i & 1),
                _ => (int)(selector >> (4 * i) & 15),
            };
            var value = (uint)(bytes >> (8 * (nibble & 7)) & 0xFF);
            if ((nibble & 8) != 0)
            {
                value = (value & 0x80) != 0 ? 0xFFu : 0;
            }

            result |= value << (8 * i);
        }

        return result;
    }

    [MethodImpl(Call)]
    public static Vector256<uint> Prmt(Vector256<uint> a, Vector256<uint> b, Vector256<uint> selector) => Prmt(a, b, selector, 0);

    [MethodImpl(Call)]
    public static Vector256<uint> Prmt(Vector256<uint> a, Vector256<uint> b, Vector256<uint> selector, int mode)
    {
        var result = Vector256<uint>.Zero;
        for (var i = 0; i < 8; i++)
        {
            result = result.WithElement(i, Permute(a[i], b[i], selector[i], mode));
        }

        return result;
    }

    [MethodImpl(Inline)]
    public static Vector256<int> Sad(Vector256<int> a, Vector256<int> b, Vector256<int> c)
        => c + Vector256.ConditionalSelect(Vector256.LessThan(a, b), b - a, a - b);

    [MethodImpl(Inline)]
    public static Vector256<uint> Sad(Vector256<uint> a, Vector256<uint> b, Vector256<uint> c)
        => c + Vector256.ConditionalSelect(Vector256.LessThan(a, b), b - a, a - b);

    // Dot product of four bytes; which of the two are signed is in the name.
    [MethodImpl(Call)]
    public static Vector256<int> Dp4a(Vector256<int> a, Vector256<int> b, Vector256<int> c, bool signedA, bool signedB)
    {
        var sum = c;
        for (var i = 0; i < 4; i++)
        {
            var x = a << (24 - (8 * i));
            var y = b << (24 - (8 * i));
            sum += (signedA ? x >> 24 : x >>> 24) * (signedB ? y >> 24 : y >>> 24);
        }

        return sum;
    }
}
