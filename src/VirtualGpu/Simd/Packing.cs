// Copies parts of matrices into the orders that the microkernels read: transposition and column panels.
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace FashionFlow.VirtualGpu.Simd;

/// <summary>Rearranging copies. They move bits and compute nothing.</summary>
internal static unsafe class Packing
{
    /// <summary>destination[j, i] = source[i, j] for i below <paramref name="rows"/> and j below <paramref name="columns"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Transpose<T>(T* source, long sourceStride, T* destination, long destinationStride, int rows, int columns)
        where T : unmanaged
    {
        var block = typeof(T) == typeof(float) ? 8 : 4;
        var wholeRows = Avx.IsSupported ? rows / block * block : 0;
        var wholeColumns = Avx.IsSupported ? columns / block * block : 0;
        for (var i = 0; i < wholeRows; i += block)
        {
            for (var j = 0; j < wholeColumns; j += block)
            {
                var from = source + (i * sourceStride) + j;
                var to = destination + (j * destinationStride) + i;
                if (typeof(T) == typeof(float))
                {
                    Transpose8x8((float*)from, sourceStride, (float*)to, destinationStride);
                }
                else
                {
                    Transpose4x4((double*)from, sourceStride, (double*)to, destinationStride);
                }
            }
        }

        for (var i = 0; i < rows; i++)
        {
            for (var j = i < wholeRows ? wholeColumns : 0; j < columns; j++)
            {
                destination[(j * destinationStride) + i] = source[(i * sourceStride) + j];
            }
        }
    }

    /// <summary>
    /// Packs op(B)[k0 .. k0 + kc, column .. column + columns] into panels of <paramref name="panelWidth"/> columns: panel after
    /// panel, within it k after k. The last panel is as wide as whole vectors need, filled up with zeros.
    /// </summary>
    /// <param name="b">op(B)[0, 0].</param>
    /// <param name="stride">Elements from one stored row to the next.</param>
    /// <param name="transposed">Whether the stored rows are op(B)'s columns.</param>
    /// <param name="groups">Where each group of stored rows starts, from <paramref name="b"/> on; null if all follow each other. Not if transposed.</param>
    /// <param name="groupRows">Rows of a group.</param>
    /// <param name="k0">First k.</param>
    /// <param name="kc">Count of k.</param>
    /// <param name="column">First column.</param>
    /// <param name="columns">Count of columns.</param>
    /// <param name="panelWidth">Columns of a full panel.</param>
    /// <param name="vectorWidth">Elements of a vector.</param>
    /// <param name="destination">Where the panels go.</param>
    public static void Panels<T>(
        T* b,
        long stride,
        bool transposed,
        long* groups,
        int groupRows,
        int k0,
        int kc,
        int column,
        int columns,
        int panelWidth,
        int vectorWidth,
        T* destination)
        where T : unmanaged
    {
        for (var first = 0; first < columns; first += panelWidth)
        {
            var used = Math.Min(panelWidth, columns - first);
            var width = (used + vectorWidth - 1) / vectorWidth * vectorWidth;
            var panel = destination + ((long)first * kc);
            if (transposed)
            {
                Transpose(b + ((long)(column + first) * stride) + k0, stride, panel, width, used, kc);
            }
            else
            {
                var from = b + column + first;
                for (var k = 0; k < kc; k++)
                {
                    var row = k0 + k;
                    var at = groups == null ? row * stride : groups[row / groupRows] + (row % groupRows * stride);
                    Unsafe.CopyBlockUnaligned(panel + (k * (long)width), from + at, (uint)(used * sizeof(T)));
                }
            }

            if (used < width)
            {
                for (var k = 0; k < kc; k++)
                {
                    new Span<T>(panel + (k * (long)width) + used, width - used).Clear();
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Transpose8x8(float* from, long fromStride, float* to, long toStride)
    {
        var r0 = Vector256.Load(from);
        var r1 = Vector256.Load(from + fromStride);
        var r2 = Vector256.Load(from + (2 * fromStride));
        var r3 = Vector256.Load(from + (3 * fromStride));
        from += 4 * fromStride;
        var r4 = Vector256.Load(from);
        var r5 = Vector256.Load(from + fromStride);
        var r6 = Vector256.Load(from + (2 * fromStride));
        var r7 = Vector256.Load(from + (3 * fromStride));

        var t0 = Avx.UnpackLow(r0, r1);
        var t1 = Avx.UnpackHigh(r0, r1);
        var t2 = Avx.UnpackLow(r2, r3);
        var t3 = Avx.UnpackHigh(r2, r3);
        var t4 = Avx.UnpackLow(r4, r5);
        var t5 = Avx.UnpackHigh(r4, r5);
        var t6 = Avx.UnpackLow(r6, r7);
        var t7 = Avx.UnpackHigh(r6, r7);

        r0 = Avx.Shuffle(t0, t2, 0x44);
        r1 = Avx.Shuffle(t0, t2, 0xEE);
        r2 = Avx.Shuffle(t1, t3, 0x44);
        r3 = Avx.Shuffle(t1, t3, 0xEE);
        r4 = Avx.Shuffle(t4, t6, 0x44);
        r5 = Avx.Shuffle(t4, t6, 0xEE);
        r6 = Avx.Shuffle(t5, t7, 0x44);
        r7 = Avx.Shuffle(t5, t7, 0xEE);

        Vector256.Store(Avx.Permute2x128(r0, r4, 0x20), to);
        Vector256.Store(Avx.Permute2x128(r1, r5, 0x20), to + toStride);
        Vector256.Store(Avx.Permute2x128(r2, r6, 0x20), to + (2 * toStride));
        Vector256.Store(Avx.Permute2x128(r3, r7, 0x20), to + (3 * toStride));
        to += 4 * toStride;
        Vector256.Store(Avx.Permute2x128(r0, r4, 0x31), to);
        Vector256.Store(Avx.Permute2x128(r1, r5, 0x31), to + toStride);
        Vector256.Store(Avx.Permute2x128(r2, r6, 0x31), to + (2 * toStride));
        Vector256.Store(Avx.Permute2x128(r3, r7, 0x31), to + (3 * toStride));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Transpose4x4(double* from, long fromStride, double* to, long toStride)
    {
        var r0 = Vector256.Load(from);
        var r1 = Vector256.Load(from + fromStride);
        var r2 = Vector256.Load(from + (2 * fromStride));
        var r3 = Vector256.Load(from + (3 * fromStride));
        var t0 = Avx.UnpackLow(r0, r1);
        var t1 = Avx.UnpackHigh(r0, r1);
        var t2 = Avx.UnpackLow(r2, r3);
        var t3 = Avx.UnpackHigh(r2, r3);
        Vector256.Store(Avx.Permute2x128(t0, t2, 0x20), to);
        Vector256.Store(Avx.Permute2x128(t1, t3, 0x20), to + toStride);
        Vector256.Store(Avx.Permute2x128(t0, t2, 0x31), to + (2 * toStride));
        Vector256.Store(Avx.Permute2x128(t1, t3, 0x31), to + (3 * toStride));
    }
}
