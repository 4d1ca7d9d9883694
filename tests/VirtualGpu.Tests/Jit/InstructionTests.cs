// Single instructions on edge values against scalar C#, as lanes and as scalars of the warp, under both methods.
using System.Numerics;
using FashionFlow.Gpu;
using FashionFlow.VirtualGpu.Ptx;

namespace FashionFlow.VirtualGpu.Tests.Jit;

internal sealed class InstructionTests
{
    private static readonly ulong[] Edges32 =
    [
        0, 1, 2, 3, 5, 7, 31, 32, 33, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x12345678, 0x7FFFFFFE, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFE, 0xFFFFFFFF,
    ];

    private static readonly ulong[] Edges64 = [.. Edges32, 0xFFFFFFFF80000000, 0x100000000, 0x7FFFFFFFFFFFFFFF, 0x8000000000000000, 0xFFFFFFFFFFFFFFFF, 0x123456789ABCDEF0, 0xFEDCBA9876543210, 0x8000008000000001, 0x8000008000000000, 0x0100000080000001, 0x0020000000000001, 0xFFFFFF8000000000, 0x8000000000000401];

    private static readonly ulong[] EdgesF32 = [.. new[]
    {
        0f, -0f, 1f, -1f, 0.5f, -0.5f, 1.5f, 2.5f, -2.5f, 3.7f, 255.5f, -128.5f, 65504f, 65520f, 1e-8f, 1e-40f, -1e-40f, 1.17549435e-38f, 3.4028235e38f, -3.4028235e38f,
        float.PositiveInfinity, float.NegativeInfinity, float.NaN, 2147483648f, -2147483648f, 4294967296f, 9.223372e18f, 1e20f, 16777217f, 0.1f, -33.3f, 12582913f,
    }.Select(f => (ulong)BitConverter.SingleToUInt32Bits(f))];

    private static readonly ulong[] EdgesF64 = [.. new[]
    {
        0.0, -0.0, 1, -1, 0.5, 1.5, 2.5, -2.5, 0.1, -1e300, 1e300, 1e-310, double.MaxValue, double.PositiveInfinity, double.NegativeInfinity, double.NaN,
        2147483647.5, -2147483648.5, 4294967295.5, 9.3e18, 1.9e19, 1e-46, 1.0000000596046448, 65519.99, 65520, 3.0e-8,
    }.Select(d => BitConverter.DoubleToUInt64Bits(d))];

    private static int I(ulong x) => unchecked((int)x);

    private static long L(ulong x) => unchecked((long)x);

    private static float F(ulong x) => BitConverter.UInt32BitsToSingle((uint)x);

    private static double D(ulong x) => BitConverter.UInt64BitsToDouble(x);

    private static ulong U(int x) => unchecked((uint)x);

    private static ulong U(long x) => unchecked((ulong)x);

    private static ulong U(float x) => BitConverter.SingleToUInt32Bits(x);

    private static ulong U(double x) => BitConverter.DoubleToUInt64Bits(x);

    private static ulong U(Half x) => BitConverter.HalfToUInt16Bits(x);

    private static ulong B(bool x) => x ? 1UL : 0UL;

    // Name, the types of result and sources, the text (d: result, a b c: sources), and what it should give.
    private static IEnumerable<TestCaseData> Cases()
    {
        static TestCaseData Case(string text, string types, Func<ulong, ulong, ulong, ulong> expected)
            => new TestCaseData(text, types, expected).SetName(text.Replace('.', '_').Replace("%", "").Split(';')[0]);

        unchecked
        {
            yield return Case("add.s32 %d, %a, %b;", "u32 u32 u32", (a, b, _) => U(I(a) + I(b)));
            yield return Case("sub.s32 %d, %a, %b;", "u32 u32 u32", (a, b, _) => U(I(a) - I(b)));
            yield return Case("add.sat.s32 %d, %a, %b;", "u32 u32 u32", (a, b, _) => U((int)Math.Clamp((long)I(a) + I(b), int.MinValue, int.MaxValue)));
            yield return Case("sub.sat.s32 %d, %a, %b;", "u32 u32 u32", (a, b, _) => U((int)Math.Clamp((long)I(a) - I(b), int.MinValue, int.MaxValue)));
            yield return Case("mul.lo.s32 %d, %a, %b;", "u32 u32 u32", (a, b, _) => U(I(a) * I(b)));
            yield return Case("mul.hi.s32 %d, %a, %b;", "u32 u32 u32", (a, b, _) => U((int)(((long)I(a) * I(b)) >> 32)));
            yield return Case("mul.hi.u32 %d, %a, %b;", "u32 u32 u32", (a, b, _) => (a * b) >> 32);
            yield return Case("mad.lo.s32 %d, %a, %b, %c;", "u32 u32 u32 u32", (a, b, c) => U((I(a) * I(b)) + I(c)));
            yield return Case("mad.hi.u32 %d, %a, %b, %c;", "u32 u32 u32 u32", (a, b, c) => (uint)(((a * b) >> 32) + c));
            yield return Case("mul.wide.s32 %d, %a, %b;", "u64 u32 u32", (a, b, _) => U((long)I(a) * I(b)));
            yield return Case("mul.wide.u32 %d, %a, %b;", "u64 u32 u32", (a, b, _) => a * b);
            yield return Case("mad.wide.s32 %d, %a, %b, %c;", "u64 u32 u32 u64", (a, b, c) => U(((long)I(a) * I(b)) + L(c)));
            yield return Case("mad.wide.u32 %d, %a, %b, %c;", "u64 u32 u32 u64", (a, b, c) => (a * b) + c);
            yield return Case("mul.lo.s64 %d, %a, %b;", "u64 u64 u64", (a, b, _) => a * b);
            yield return Case("mul.hi.s64 %d, %a, %b;", "u64 u64 u64", (a, b, _) => U(Math.BigMul(L(a), L(b), out long low)));
            yield return Case("mul.hi.u64 %d, %a, %b;", "u64 u64 u64", (a, b, _) => Math.BigMul(a, b, out var low));
            yield return Case("mul24.lo.s32 %d, %a, %b;", "u32 u32 u32", (a, b, _) => U((I(a) << 8 >> 8) * (I(b) << 8 >> 8)));
            yield return Case("div.s32 %d, %a, %b;", "u32 u32 u32", (a, b, _) => I(b) == 0 ? 0xFFFFFFFF : I(b) == -1 ? U(-I(a)) : U(I(a) / I(b)));
            yield return Case("div.u32 %d, %a, %b;", "u32 u32 u32", (a, b, _) => b == 0 ? 0xFFFFFFFF : a / b);
            yield return Case("rem.s32 %d, %a, %b;", "u32 u32 u32", (a, b, _) => I(b) == 0 ? a : I(b) == -1 ? 0 : U(I(a) % I(b)));
            yield return Case("rem.u32 %d, %a, %b;", "u32 u32 u32", (a, b, _) => b == 0 ? a : a % b);
            yield return Case("div.s64 %d, %a, %b;", "u64 u64 u64", (a, b, _) => b == 0 ? ulong.MaxValue : L(b) == -1 ? U(-L(a)) : U(L(a) / L(b)));
            yield return Case("rem.u64 %d, %a, %b;", "u64 u64 u64", (a, b, _) => b == 0 ? a : a % b);
            yield return Case("abs.s32 %d, %a;", "u32 u32", (a, _, _) => I(a) < 0 ? U(-I(a)) : a);
            yield return Case("neg.s64 %d, %a;", "u64 u64", (a, _, _) => U(-L(a)));
            yield return Case("min.s32 %d, %a, %b;", "u32 u32 u32", (a, b, _) => U(Math.Min(I(a), I(b))));
            yield return Case("max.u32 %d, %a, %b;", "u32 u32 u32", (a, b, _) => Math.Max(a, b));
            yield return Case("min.u64 %d, %a, %b;", "u64 u64 u64", (a, b, _) => Math.Min(a, b));
            yield return Case("max.s64 %d, %a, %b;", "u64 u64 u64", (a, b, _) => U(Math.Max(L(a), L(b))));
            yield return Case("and.b32 %d, %a, %b;", "u32 u32 u32", (a, b, _) => a & b);
            yield return Case("xor.b64 %d, %a, %b;", "u64 u64 u64", (a, b, _) => a ^ b);
            yield return Case("not.b32 %d, %a;", "u32 u32", (a, _, _) => (uint)~a);
            yield return Case("cnot.b32 %d, %a;", "u32 u32", (a, _, _) => B(a == 0));
            yield return Case("shl.b32 %d, %a, %b;", "u32 u32 u32", (a, b, _) => b > 31 ? 0 : (uint)(a << (int)b));
            yield return Case("shr.u32 %d, %a, %b;", "u32 u32 u32", (a, b, _) => b > 31 ? 0 : a >> (int)b);
            yield return Case("shr.s32 %d, %a, %b;", "u32 u32 u32", (a, b, _) => U(I(a) >> (int)Math.Min(b, 31)));
            yield return Case("shl.b64 %d, %a, %b;", "u64 u64 u32", (a, b, _) => b > 63 ? 0 : a << (int)b);
            yield return Case("shr.s64 %d, %a, %b;", "u64 u64 u32", (a, b, _) => U(L(a) >> (int)Math.Min(b, 63)));
            yield return Case("shr.u64 %d, %a, 33;", "u64 u64", (a, _, _) => a >> 33);
            yield return Case("shf.l.wrap.b32 %d, %a, %b, %c;", "u32 u32 u32 u32", (a, b, c) => (uint)((((b << 32) | a) << (int)(c & 31)) >> 32));
            yield return Case("shf.r.clamp.b32 %d, %a, %b, %c;", "u32 u32 u32 u32", (a, b, c) => (uint)(((b << 32) | a) >> (int)Math.Min(c, 32)));
            yield return Case("prmt.b32 %d, %a, %b, %c;", "u32 u32 u32 u32", (a, b, c) =>
            {
                var bytes = (b << 32) | a;
                ulong r = 0;
                for (var i = 0; i < 4; i++)
                {
                    var s = (int)(c >> (4 * i)) & 15;
                    var v = (bytes >> (8 * (s & 7))) & 0xFF;
                    r |= ((s & 8) != 0 ? (v & 0x80) != 0 ? 0xFFUL : 0 : v) << (8 * i);
                }

                return r;
            });
            yield return Case("lop3.b32 %d, %a, %b, %c, 0x96;", "u32 u32 u32 u32", (a, b, c) => a ^ b ^ c);
            yield return Case("bfe.u32 %d, %a, %b, %c;", "u32 u32 u32 u32", (a, b, c) => (b & 0xFF) > 31 ? 0 : (a >> (int)(b & 0xFF)) & ((c & 0xFF) >= 32 ? uint.MaxValue : (1UL << (int)(c & 0xFF)) - 1));
            yield return Case("bfi.b32 %d, %a, %b, %c, 5;", "u32 u32 u32 u32", (a, b, c) =>
            {
                var p = (int)(c & 0xFF);
                var mask = p > 31 ? 0 : (uint)(31UL << p);
                return p > 31 ? b : ((uint)(a << p) & mask) | (b & ~mask & uint.MaxValue);
            });
            yield return Case("popc.b32 %d, %a;", "u32 u32", (a, _, _) => (ulong)BitOperations.PopCount(a));
            yield return Case("clz.b64 %d, %a;", "u32 u64", (a, _, _) => (ulong)BitOperations.LeadingZeroCount(a));
            yield return Case("brev.b32 %d, %a;", "u32 u32", (a, _, _) => Enumerable.Range(0, 32).Aggregate(0UL, (r, i) => r | (((a >> i) & 1) << (31 - i))));
            yield return Case("bfind.u32 %d, %a;", "u32 u32", (a, _, _) => a == 0 ? uint.MaxValue : (ulong)BitOperations.Log2(a));
            yield return Case("bfind.shiftamt.s32 %d, %a;", "u32 u32", (a, _, _) => I(a) is var v && (v < 0 ? ~v : v) is var m && m == 0 ? uint.MaxValue : (ulong)BitOperations.LeadingZeroCount((uint)m));
            yield return Case("sad.s32 %d, %a, %b, %c;", "u32 u32 u32 u32", (a, b, c) => (uint)(c + (I(a) < I(b) ? b - a : a - b)));
            yield return Case("add.cc.u32 %t, %a, %b; addc.u32 %d, %c, 0;", "u32 u32 u32 u32", (a, b, c) => (uint)(c + ((a + b) >> 32)));
            yield return Case("sub.cc.u32 %t, %a, %b; subc.u32 %d, %c, 0;", "u32 u32 u32 u32", (a, b, c) => (uint)(c - B(a < b)));
            yield return Case("mad.lo.cc.u32 %t, %a, %b, %c; madc.hi.u32 %d, %a, %b, 0;", "u32 u32 u32 u32", (a, b, c) => ((a * b) + c) >> 32);
            yield return Case("setp.lt.s32 %p, %a, %b; selp.b32 %d, 7, 9, %p;", "u32 u32 u32", (a, b, _) => I(a) < I(b) ? 7UL : 9);
            yield return Case("setp.hi.u32 %p, %a, %b; selp.b32 %d, 7, 9, %p;", "u32 u32 u32", (a, b, _) => a > b ? 7UL : 9);
            yield return Case("setp.ne.and.s64 %p|%q, %a, %b, %q; selp.u32 %d, 1, 2, %p;", "u32 u64 u64", (_, _, _) => 2);
            yield return Case("slct.b32.s32 %d, %a, %b, %c;", "u32 u32 u32 u32", (a, b, c) => I(c) >= 0 ? a : b);
            yield return Case("set.ge.u32.u32 %d, %a, %b;", "u32 u32 u32", (a, b, _) => a >= b ? uint.MaxValue : 0UL);
            yield return Case("dp4a.s32.s32 %d, %a, %b, %c;", "u32 u32 u32 u32", (a, b, c) => U(I(c) + Enumerable.Range(0, 4).Sum(i => (sbyte)(a >> (8 * i)) * (sbyte)(b >> (8 * i)))));

            yield return Case("add.f32 %d, %a, %b;", "f32 f32 f32", (a, b, _) => U(F(a) + F(b)));
            yield return Case("sub.rn.f32 %d, %a, %b;", "f32 f32 f32", (a, b, _) => U(F(a) - F(b)));
            yield return Case("mul.f32 %d, %a, %b;", "f32 f32 f32", (a, b, _) => U(F(a) * F(b)));
            yield return Case("fma.rn.f32 %d, %a, %b, %c;", "f32 f32 f32 f32", (a, b, c) => U(MathF.FusedMultiplyAdd(F(a), F(b), F(c))));
            yield return Case("fma.rm.f32 %d, %a, %b, %c;", "f32 f32 f32 f32", (a, b, c) => U(Directed(F(a), F(b), F(c), down: true)));
            yield return Case("fma.rp.f32 %d, %a, %b, %c;", "f32 f32 f32 f32", (a, b, c) => U(Directed(F(a), F(b), F(c), down: false)));
            yield return Case("fma.rz.f32 %d, %a, %b, %c;", "f32 f32 f32 f32", (a, b, c) => U(TowardZero(F(a), F(b), F(c))));
            yield return Case("mul.rz.f32 %d, %a, %b;", "f32 f32 f32", (a, b, _) => U(TowardZero(F(a), F(b), MathF.CopySign(0, MathF.CopySign(1, F(a)) * MathF.CopySign(1, F(b))))));
            yield return Case("add.rz.f32 %d, %a, %b;", "f32 f32 f32", (a, b, _) => U(TowardZero(F(a), 1, F(b))));
            yield return Case("fma.rm.f64 %d, %a, %b, %c;", "f64 f64 f64 f64", (a, b, c) => U(DirectedDouble(D(a), D(b), D(c), down: true)));
            yield return Case("fma.rp.f64 %d, %a, %b, %c;", "f64 f64 f64 f64", (a, b, c) => U(DirectedDouble(D(a), D(b), D(c), down: false)));
            yield return Case("fma.rz.f64 %d, %a, %b, %c;", "f64 f64 f64 f64", (a, b, c) => U(TowardZeroDouble(D(a), D(b), D(c))));
            yield return Case("add.rp.f64 %d, %a, %b;", "f64 f64 f64", (a, b, _) => U(DirectedDouble(D(a), 1, D(b), down: false)));
            yield return Case("sub.rm.f64 %d, %a, %b;", "f64 f64 f64", (a, b, _) => U(DirectedDouble(D(a), 1, -D(b), down: true)));
            yield return Case("mul.rz.f64 %d, %a, %b;", "f64 f64 f64", (a, b, _) => U(TowardZeroDouble(D(a), D(b), Math.CopySign(0, Math.CopySign(1, D(a)) * Math.CopySign(1, D(b))))));
            foreach (var (mode, direction) in new[] { ("rn", 'n'), ("rz", 'z'), ("rm", 'm'), ("rp", 'p') })
            {
                yield return Case($"cvt.{mode}.f32.u64 %d, %a;", "f32 u64", (a, _, _) => U((float)FromInteger(a, 24, direction)));
                yield return Case($"cvt.{mode}.f32.s64 %d, %a;", "f32 u64", (a, _, _) => U((float)FromInteger(L(a), 24, direction)));
                yield return Case($"cvt.{mode}.f64.u64 %d, %a;", "f64 u64", (a, _, _) => U(FromInteger(a, 53, direction)));
                yield return Case($"cvt.{mode}.f64.s64 %d, %a;", "f64 u64", (a, _, _) => U(FromInteger(L(a), 53, direction)));
            }

            yield return Case("div.rn.f32 %d, %a, %b;", "f32 f32 f32", (a, b, _) => U(F(a) / F(b)));
            yield return Case("sqrt.rn.f32 %d, %a;", "f32 f32", (a, _, _) => U(MathF.Sqrt(F(a))));
            yield return Case("rcp.rn.f32 %d, %a;", "f32 f32", (a, _, _) => U(1f / F(a)));
            yield return Case("neg.f32 %d, %a;", "f32 f32", (a, _, _) => a ^ 0x80000000);
            yield return Case("abs.f32 %d, %a;", "f32 f32", (a, _, _) => a & 0x7FFFFFFF);
            yield return Case("min.f32 %d, %a, %b;", "f32 f32 f32", (a, b, _) => U(float.MinNumber(F(a), F(b))));
            yield return Case("max.f32 %d, %a, %b;", "f32 f32 f32", (a, b, _) => U(float.MaxNumber(F(a), F(b))));
            yield return Case("max.NaN.f32 %d, %a, %b;", "f32 f32 f32", (a, b, _) => U(MathF.Max(F(a), F(b))));
            yield return Case("copysign.f32 %d, %a, %b;", "f32 f32 f32", (a, b, _) => (a & 0x80000000) | (b & 0x7FFFFFFF));
            yield return Case("mul.ftz.f32 %d, %a, %b;", "f32 f32 f32", (a, b, _) => U(Flush(Flush(F(a)) * Flush(F(b)))));
            yield return Case("add.sat.f32 %d, %a, %b;", "f32 f32 f32", (a, b, _) => U(F(a) + F(b) is var s && s > 0 ? Math.Min(s, 1f) : 0f));
            yield return Case("cvt.sat.f32.f32 %d, %a;", "f32 f32", (a, _, _) => U(F(a) > 0 ? Math.Min(F(a), 1f) : 0f));
            yield return Case("setp.neu.f32 %p, %a, %b; selp.f32 %d, %a, %b, %p;", "f32 f32 f32", (a, b, _) => F(a) == F(b) ? b : a);
            yield return Case("setp.ne.f32 %p, %a, %b; selp.u32 %d, 1, 0, %p;", "u32 f32 f32", (a, b, _) => B(F(a) < F(b) || F(a) > F(b)));
            yield return Case("setp.geu.f32 %p, %a, %b; selp.u32 %d, 1, 0, %p;", "u32 f32 f32", (a, b, _) => B(!(F(a) < F(b))));
            yield return Case("setp.nan.f32 %p, %a, %b; selp.u32 %d, 1, 0, %p;", "u32 f32 f32", (a, b, _) => B(float.IsNaN(F(a)) || float.IsNaN(F(b))));
            yield return Case("testp.subnormal.f32 %p, %a; selp.u32 %d, 1, 0, %p;", "u32 f32", (a, _, _) => B(float.IsSubnormal(F(a))));
            yield return Case("add.f64 %d, %a, %b;", "f64 f64 f64", (a, b, _) => U(D(a) + D(b)));
            yield return Case("fma.rn.f64 %d, %a, %b, %c;", "f64 f64 f64 f64", (a, b, c) => U(Math.FusedMultiplyAdd(D(a), D(b), D(c))));
            yield return Case("div.rn.f64 %d, %a, %b;", "f64 f64 f64", (a, b, _) => U(D(a) / D(b)));
            yield return Case("min.f64 %d, %a, %b;", "f64 f64 f64", (a, b, _) => U(double.MinNumber(D(a), D(b))));
            yield return Case("setp.gtu.f64 %p, %a, %b; selp.f64 %d, %a, %b, %p;", "f64 f64 f64", (a, b, _) => D(a) <= D(b) ? b : a);

            yield return Case("cvt.rzi.s32.f32 %d, %a;", "u32 f32", (a, _, _) => U(SaturateToInt(MathF.Truncate(F(a)))));
            yield return Case("cvt.rni.s32.f32 %d, %a;", "u32 f32", (a, _, _) => U(SaturateToInt(MathF.Round(F(a), MidpointRounding.ToEven))));
            yield return Case("cvt.rmi.s32.f32 %d, %a;", "u32 f32", (a, _, _) => U(SaturateToInt(MathF.Floor(F(a)))));
            yield return Case("cvt.rzi.u32.f32 %d, %a;", "u32 f32", (a, _, _) => float.IsNaN(F(a)) ? 0 : (ulong)Math.Clamp(Math.Truncate((double)F(a)), 0, uint.MaxValue));
            yield return Case("cvt.rzi.s64.f32 %d, %a;", "u64 f32", (a, _, _) => U(ToLong(F(a))));
            yield return Case("cvt.rzi.u64.f64 %d, %a;", "u64 f64", (a, _, _) => double.IsNaN(D(a)) ? 1UL << 63 : D(a) >= 18446744073709551615.0 ? ulong.MaxValue : D(a) <= 0 ? 0 : (ulong)D(a));
            yield return Case("cvt.rni.s32.f64 %d, %a;", "u32 f64", (a, _, _) => double.IsNaN(D(a)) ? 0x80000000 : U((int)Math.Clamp(Math.Round(D(a), MidpointRounding.ToEven), int.MinValue, int.MaxValue)));
            yield return Case("cvt.rpi.f32.f32 %d, %a;", "f32 f32", (a, _, _) => U(MathF.Ceiling(F(a))));
            yield return Case("cvt.rn.f32.s32 %d, %a;", "f32 u32", (a, _, _) => U((float)I(a)));
            yield return Case("cvt.rn.f32.u32 %d, %a;", "f32 u32", (a, _, _) => U((float)(uint)a));
            yield return Case("cvt.rz.f32.u32 %d, %a;", "f32 u32", (a, _, _) => U((float)a is var f && f > (double)a ? MathF.BitDecrement(f) : f));
            yield return Case("cvt.rn.f64.u32 %d, %a;", "f64 u32", (a, _, _) => U((double)(uint)a));
            yield return Case("cvt.f64.f32 %d, %a;", "f64 f32", (a, _, _) => U((double)F(a)));
            yield return Case("cvt.rn.f32.f64 %d, %a;", "f32 f64", (a, _, _) => U((float)D(a)));
            yield return Case("cvt.rm.f32.f64 %d, %a;", "f32 f64", (a, _, _) => U((float)D(a) is var f && f > D(a) ? MathF.BitDecrement(f) : f));
            yield return Case("cvt.s64.s32 %d, %a;", "u64 u32", (a, _, _) => U((long)I(a)));
            yield return Case("cvt.u32.u64 %d, %a;", "u32 u64", (a, _, _) => (uint)a);
            yield return Case("cvt.s32.s8 %d, %a;", "u32 u32", (a, _, _) => U((int)(sbyte)a));
            yield return Case("cvt.u32.u16 %d, %a;", "u32 u32", (a, _, _) => (ushort)a);
            yield return Case("cvt.s64.s16 %d, %a;", "u64 u32", (a, _, _) => U((long)(short)a));
            yield return Case("cvt.sat.u8.s32 %d, %a;", "u32 u32", (a, _, _) => (ulong)Math.Clamp(I(a), 0, 255));
            yield return Case("cvt.sat.s16.s64 %d, %a;", "u32 u64", (a, _, _) => U((int)Math.Clamp(L(a), -32768, 32767)));
            yield return Case("cvt.rn.f16.f32 %h, %a; cvt.u32.u16 %d, %h;", "u32 f32", (a, _, _) => float.IsNaN(F(a)) ? 0x7FFF : U((Half)F(a)));
            yield return Case("cvt.u16.u32 %h, %a; cvt.f32.f16 %d, %h;", "f32 u32", (a, _, _) => U((float)BitConverter.UInt16BitsToHalf((ushort)a)));
            yield return Case("cvt.rn.f16.f64 %h, %a; cvt.u32.u16 %d, %h;", "u32 f64", (a, _, _) => double.IsNaN(D(a)) ? 0x7FFF : U((Half)D(a)));
            yield return Case("cvt.rn.f16x2.f32 %d, %a, %b;", "u32 f32 f32", (a, b, _) => ((float.IsNaN(F(a)) ? 0x7FFF : U((Half)F(a))) << 16) | (float.IsNaN(F(b)) ? 0x7FFF : U((Half)F(b))));
            yield return Case("add.f16x2 %d, %a, %b;", "u32 u32 u32", (a, b, _) => AddHalves(a, b));
            yield return Case("mov.b64 {%t, %d}, %a;", "u32 u64", (a, _, _) => a >> 32);
            yield return Case("mov.b64 %d, {%a, %b};", "u64 u32 u32", (a, b, _) => (b << 32) | a);
            yield return Case("cvt.u16.u32 %h, %a; add.s16 %h, %h, -3; shr.s16 %h, %h, 2; cvt.s32.s16 %d, %h;", "u32 u32", (a, _, _) => U((short)(ushort)(a - 3) >> 2));
            yield return Case("cvt.u16.u32 %h, %a; mul.wide.s16 %d, %h, %h;", "u32 u32", (a, _, _) => U((short)a * (short)a));
        }
    }

    private static ulong AddHalves(ulong a, ulong b)
    {
        static ulong Sum(ulong a, ulong b) => (float)BitConverter.UInt16BitsToHalf((ushort)a) + (float)BitConverter.UInt16BitsToHalf((ushort)b) is var s && float.IsNaN(s) ? 0x7FFF : U((Half)s);
        return (Sum(a >> 16, b >> 16) << 16) | Sum(a, b);
    }

    private static float Flush(float x) => float.IsSubnormal(x) ? MathF.CopySign(0, x) : x;

    private static int SaturateToInt(float x) => float.IsNaN(x) ? 0 : x >= 2147483648f ? int.MaxValue : x <= -2147483648f ? int.MinValue : (int)x;

    private static long ToLong(float x) => float.IsNaN(x) ? long.MinValue : x >= 9.2233720368547758e18f ? long.MaxValue : x <= -9.2233720368547758e18f ? long.MinValue : (long)x;

    // a b + c rounded down or up, with exact arithmetic on integers scaled by a power of two.
    private static float Directed(float a, float b, float c, bool down)
    {
        var nearest = MathF.FusedMultiplyAdd(a, b, c);
        if (!float.IsFinite(a) || !float.IsFinite(b) || !float.IsFinite(c))
        {
            return nearest;
        }

        static BigInteger Scaled(float x, int power)
        {
            var bits = BitConverter.SingleToInt32Bits(x);
            var exponent = (bits >> 23) & 0xFF;
            var mantissa = new BigInteger((bits & 0x7FFFFF) | (exponent != 0 ? 0x800000 : 0));
            var value = mantissa << (Math.Max(exponent, 1) - 150 + power);
            return bits < 0 ? -value : value;
        }

        var exact = (Scaled(a, 150) * Scaled(b, 150)) + (Scaled(c, 150) << 150);
        if (exact.IsZero)
        {
            // Equal signs keep theirs; else an exact zero is -0 downward and +0 upward.
            var product = MathF.CopySign(1, a) * MathF.CopySign(1, b);
            var isSum = a == 0 || b == 0 ? c == 0 && product == MathF.CopySign(1, c) : false;
            return isSum ? MathF.CopySign(0, c) : down ? -0f : 0f;
        }

        var candidate = float.IsInfinity(nearest) ? MathF.CopySign(float.MaxValue, nearest) : nearest;
        var difference = (Scaled(candidate, 150) << 150).CompareTo(exact);
        if (float.IsInfinity(nearest))
        {
            return nearest > 0 == down ? candidate : nearest;
        }

        return down ? difference > 0 ? MathF.BitDecrement(candidate) : candidate : difference < 0 ? MathF.BitIncrement(candidate) : candidate;
    }

    // The two directed roundings differ in sign only where the exact value is zero.
    private static float TowardZero(float a, float b, float c)
        => Directed(a, b, c, down: true) is var floor && floor > 0 ? floor : Directed(a, b, c, down: false) is var ceiling && floor == 0 && ceiling > 0 ? floor : ceiling;

    private static double TowardZeroDouble(double a, double b, double c)
        => DirectedDouble(a, b, c, down: true) is var floor && floor > 0 ? floor : DirectedDouble(a, b, c, down: false) is var ceiling && floor == 0 && ceiling > 0 ? floor : ceiling;

    // The largest double not above a b + c, or the smallest not below, found by stepping from the nearest one.
    private static double DirectedDouble(double a, double b, double c, bool down)
    {
        var nearest = Math.FusedMultiplyAdd(a, b, c);
        if (!double.IsFinite(a) || !double.IsFinite(b) || !double.IsFinite(c))
        {
            return nearest;
        }

        // In units of 2^-1074.
        static BigInteger Whole(double x)
        {
            var magnitude = BitConverter.DoubleToUInt64Bits(Math.Abs(x));
            var (exponent, mantissa) = ((int)(magnitude >> 52), magnitude & ((1UL << 52) - 1));
            var value = exponent == 0 ? mantissa : new BigInteger(mantissa + (1UL << 52)) << (exponent - 1);
            return double.IsNegative(x) ? -value : value;
        }

        var exact = (Whole(a) * Whole(b)) + (Whole(c) << 1074);
        if (exact.IsZero)
        {
            var isNegative = double.IsNegative(a) ^ double.IsNegative(b);
            var keeps = (a == 0 || b == 0) && isNegative == double.IsNegative(c);
            return keeps ? c : down ? -0.0 : 0.0;
        }

        if (double.IsInfinity(nearest))
        {
            return nearest > 0 == down ? Math.CopySign(double.MaxValue, nearest) : nearest;
        }

        var difference = (Whole(nearest) << 1074).CompareTo(exact);
        return down && difference > 0 ? Math.BitDecrement(nearest) : !down && difference < 0 ? Math.BitIncrement(nearest) : nearest;
    }

    // An integer to so many binary digits; the result is exact in double.
    private static double FromInteger(BigInteger value, int digits, char direction)
    {
        var magnitude = BigInteger.Abs(value);
        var shift = Math.Max(0, (int)magnitude.GetBitLength() - digits);
        var (quotient, rest) = BigInteger.DivRem(magnitude, BigInteger.One << shift);
        var away = direction switch
        {
            'z' => false,
            'm' => value.Sign < 0,
            'p' => value.Sign > 0,
            _ => (2 * rest).CompareTo(BigInteger.One << shift) is var order && (order > 0 || (order == 0 && !quotient.IsEven)),
        };
        var rounded = (rest.IsZero || !away ? quotient : quotient + 1) << shift;
        return (double)(value.Sign < 0 ? -rounded : rounded);
    }

    private static ulong[] Edges(string type) => type switch { "u32" => Edges32, "u64" => Edges64, "f32" => EdgesF32, _ => EdgesF64 };

    private static string Register(string type) => type switch { "u32" => ".b32", "u64" => ".b64", "f32" => ".f32", _ => ".f64" };

    // One element a thread, or one a block: then all operands are the warp's scalars.
    private static string Kernel(string name, string text, string[] types, string index)
    {
        var ptx = new System.Text.StringBuilder();
        ptx.Append($".visible .entry {name}(.param .u64 p0, .param .u64 p1, .param .u64 p2, .param .u64 p3) {{\n");
        ptx.Append(".reg .pred %p, %q; .reg .b32 %t, %i; .reg .b16 %h; .reg .b64 %x, %y, %z<4>;\n");
        ptx.Append($".reg {Register(types[0])} %d;\n");
        for (var i = 1; i < types.Length; i++)
        {
            ptx.Append($".reg {Register(types[i])} %{"dabc"[i]};\n");
        }

        ptx.Append($"setp.ne.s32 %q, 0, 0;\nmov.u32 %i, {index};\n");
        for (var i = 1; i < types.Length; i++)
        {
            ptx.Append($"ld.param.u64 %x, [p{i}];\nmad.wide.u32 %y, %i, {(types[i][1..] == "64" ? 8 : 4)}, %x;\nld.global.{types[i]} %{"dabc"[i]}, [%y];\n");
        }

        ptx.Append(text);
        ptx.Append($"\nld.param.u64 %x, [p0];\nmad.wide.u32 %y, %i, 8, %x;\nst.global.{types[0]} [%y], %d;\nret;\n}}\n");
        return ptx.ToString();
    }

    [TestCaseSource(nameof(Cases))]
    public void GivesWhatTheIsaSays(string text, string types, Func<ulong, ulong, ulong, ulong> expected)
    {
        var type = types.Split(' ');
        var columns = Enumerable.Range(0, 3).Select(_ => new List<ulong>()).ToArray();
        foreach (var a in Edges(type[1]))
        {
            foreach (var b in type.Length > 2 ? Edges(type[2]) : [0UL])
            {
                var cs = type.Length > 3 ? Edges(type[3]) : [0UL];
                for (var k = 0; k < Math.Min(3, cs.Length); k++)
                {
                    columns[0].Add(a);
                    columns[1].Add(b);
                    columns[2].Add(cs[(columns[0].Count * 5) % cs.Length]);
                }
            }
        }

        // The scalar run takes one block an element.
        var n = columns[0].Count;
        var module = PtxModule.Parse(".version 7.8\n.target sm_80\n.address_size 64\n" + Kernel("lanes", text, type, "%tid.x") + Kernel("scalars", text, type, "%ctaid.x"));
        var harness = new Harness(module);
        object[] Arguments(HarnessMemory memory, ulong output, int first, int count)
        {
            var arguments = new object[] { output, 0UL, 0UL, 0UL };
            for (var i = 1; i < type.Length; i++)
            {
                var column = columns[i - 1].GetRange(first, count);
                arguments[i] = type[i][1..] == "64" ? memory.Allocate<ulong>(column.ToArray()) : memory.Allocate<uint>(column.Select(v => (uint)v).ToArray());
            }

            return arguments;
        }

        for (var first = 0; first < n; first += 1024)
        {
            var count = Math.Min(1024, n - first);
            var lanes = harness.RunAllWays<ulong>("lanes", 1, count, count, (memory, output) => Arguments(memory, output, first, count));
            Check(lanes, first, "lanes");
        }

        var some = Math.Min(n, 600);
        using (var memory = new HarnessMemory())
        {
            var output = memory.Allocate(some * 8);
            harness.Launch(Way.All[1], memory, "scalars", some, 32, 0, Arguments(memory, output, 0, some));
            Check(HarnessMemory.Read<ulong>(output, some), 0, "scalars");
        }

        void Check(ulong[] results, int first, string how)
        {
            for (var i = 0; i < results.Length; i++)
            {
                var (a, b, c) = (columns[0][first + i], columns[1][first + i], columns[2][first + i]);
                var right = expected(a, b, c);
                var isSame = type[0] switch
                {
                    // A NaN's payload is the host's.
                    "f32" => results[i] == right || (float.IsNaN(F(results[i])) && float.IsNaN(F(right))),
                    "f64" => results[i] == right || (double.IsNaN(D(results[i])) && double.IsNaN(D(right))),
                    _ => results[i] == right,
                };
                Assert.That(isSame, Is.True, () => $"{text} of 0x{a:x}, 0x{b:x}, 0x{c:x} as {how}: 0x{results[i]:x}, not 0x{right:x}");
            }
        }
    }

    [Test]
    public void UnknownInstructionIsRefusedWithItsLine()
    {
        var module = PtxModule.Parse(".version 7.8\n.target sm_80\n.address_size 64\n.visible .entry k() {\n.reg .b32 %r<3>;\nfrobnicate.b32 %r1, %r2;\nret;\n}\n");
        var failure = Assert.Throws<GpuException>(() => new Harness(module).Program("k"))!;
        Assert.That(failure.Result, Is.EqualTo(CudaResult.CUDA_ERROR_NOT_SUPPORTED));
        Assert.That(failure.Message, Does.Contain("PTX line 6: frobnicate.b32 %r1, %r2;"));
    }
}
