// Half types in the libraries: for the time of a call, operands stand in scratch memory as floats; the result is rounded after it.
// A product of half types so has the bits of the product of the same numbers in float, rounded once, and all its promises.
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using FashionFlow.Gpu;
using FashionFlow.VirtualGpu.Jit;

namespace FashionFlow.VirtualGpu.Simd;

/// <summary>The floats that stand for the operands of one call. Used under the device's execution lock.</summary>
internal unsafe struct HalfOperands
{
    // What one task converts: enough to be worth waking a thread for.
    private const int TaskElements = 1 << 16;
    private readonly SimdLibrary _library;
    private readonly DType _type;
    private float* _free;

    /// <summary>Makes room for operands of so many elements each.</summary>
    public HalfOperands(SimdLibrary library, DType type, params ReadOnlySpan<long> elements)
    {
        long floats = 0;
        foreach (var count in elements)
        {
            floats += Padded(count);
        }

        (_library, _type) = (library, type);
        _free = (float*)library.Widened.Reserve(floats * sizeof(float));
    }

    /// <summary>Room for an operand, of undefined contents.</summary>
    public DevicePointer<byte> Take(long elements)
    {
        var own = _free;
        _free += Padded(elements);
        return new DevicePointer<byte>((ulong)own);
    }

    /// <summary>An operand as floats; null for null.</summary>
    public DevicePointer<byte> Widen(DevicePointer<byte> operand, long elements)
    {
        if (operand.IsNull)
        {
            return operand;
        }

        var floats = Take(elements);
        WidenRows(operand, 0, floats, 0, 1, elements);
        return floats;
    }

    /// <summary>Rows that lie <paramref name="stride"/> elements apart as floats, so many apart.</summary>
    public readonly void WidenRows(DevicePointer<byte> from, long stride, DevicePointer<byte> to, long toStride, long rows, long columns)
    {
        var type = _type;
        var source = (ushort*)from.Address;
        var floats = (float*)to.Address;
        // Rows without gaps are one.
        if (stride == columns && toStride == columns)
        {
            (rows, columns) = (1, rows * columns);
        }

        InPieces(rows, columns, (row, first, count) => Widen(type, source + (row * stride) + first, floats + (row * toStride) + first, count));
    }

    /// <summary>Rows of floats rounded to nearest, ties to even, into rows that lie <paramref name="stride"/> elements apart.</summary>
    public readonly void NarrowRows(DevicePointer<byte> from, long fromStride, DevicePointer<byte> to, long stride, long rows, long columns)
    {
        var type = _type;
        var floats = (float*)from.Address;
        var result = (ushort*)to.Address;
        // Rows without gaps are one.
        if (fromStride == columns && stride == columns)
        {
            (rows, columns) = (1, rows * columns);
        }

        InPieces(rows, columns, (row, first, count) => Narrow(type, floats + (row * fromStride) + first, result + (row * stride) + first, count));
    }

    private static long Padded(long elements) => (elements + 15) / 16 * 16;

    // Calls piece(row, first, count) until every column of every row has been in one: a piece is a part of a long row, and a task
    // has several short ones.
    private readonly void InPieces(long rows, long columns, Action<long, long, int> piece)
    {
        if (rows == 0 || columns == 0)
        {
            return;
        }

        var piecesInRow = (columns + TaskElements - 1) / TaskElements;
        var pieces = rows * piecesInRow;
        var piecesInTask = Math.Max(1, TaskElements / columns);
        _library.Device.Workers.Run(checked((int)((pieces + piecesInTask - 1) / piecesInTask)), task =>
        {
            var end = Math.Min(pieces, (task + 1) * piecesInTask);
            for (var i = task * piecesInTask; i < end; i++)
            {
                var first = i % piecesInRow * TaskElements;
                piece(i / piecesInRow, first, (int)Math.Min(TaskElements, columns - first));
            }
        });
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Widen(DType type, ushort* from, float* to, int count)
    {
        var whole = count / 8 * 8;
        for (var i = 0; i < whole; i += 8)
        {
            Vector256.Store(Widened(type, from + i), to + i);
        }

        if (whole < count)
        {
            // The last elements go through a vector's room, since more may not be read or written.
            var words = stackalloc ushort[8];
            var floats = stackalloc float[8];
            Unsafe.CopyBlockUnaligned(words, from + whole, (uint)(count - whole) * sizeof(ushort));
            Vector256.Store(Widened(type, words), floats);
            Unsafe.CopyBlockUnaligned(to + whole, floats, (uint)(count - whole) * sizeof(float));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Narrow(DType type, float* from, ushort* to, int count)
    {
        var whole = count / 8 * 8;
        for (var i = 0; i < whole; i += 8)
        {
            Vector128.Store(Narrowed(type, from + i), to + i);
        }

        if (whole < count)
        {
            var floats = stackalloc float[8];
            var words = stackalloc ushort[8];
            Unsafe.CopyBlockUnaligned(floats, from + whole, (uint)(count - whole) * sizeof(float));
            Vector128.Store(Narrowed(type, floats), words);
            Unsafe.CopyBlockUnaligned(to + whole, words, (uint)(count - whole) * sizeof(ushort));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Widened(DType type, ushort* from)
    {
        var (low, high) = Vector128.Widen(Vector128.Load(from));
        var bits = Vector256.Create(low, high).AsInt32();
        return type == DType.Float16 ? LaneMath.HalfToSingle(bits) : LaneMath.BrainToSingle(bits);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<ushort> Narrowed(DType type, float* from)
    {
        var floats = Vector256.Load(from);
        var bits = (type == DType.Float16 ? LaneMath.HalfFromSingle(floats) : LaneMath.BrainFromSingle(floats)).AsUInt32();
        return Vector128.Narrow(bits.GetLower(), bits.GetUpper());
    }
}
