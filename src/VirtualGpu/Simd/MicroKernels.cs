// The innermost loop of products and convolutions: up to six rows times up to four vectors of columns, held in registers
// while k runs. The rows are read where they lie, along k or across it, through pointers; the columns come from a packed panel.
using System.Runtime.CompilerServices;

namespace FashionFlow.VirtualGpu.Simd;

/// <summary>A number known when code is compiled.</summary>
internal interface ICount
{
    /// <summary>The number.</summary>
    static abstract int Value { get; }
}

internal readonly struct One : ICount
{
    public static int Value => 1;
}

internal readonly struct Two : ICount
{
    public static int Value => 2;
}

internal readonly struct Three : ICount
{
    public static int Value => 3;
}

internal readonly struct Four : ICount
{
    public static int Value => 4;
}

internal readonly struct Five : ICount
{
    public static int Value => 5;
}

internal readonly struct Six : ICount
{
    public static int Value => 6;
}

/// <summary>How k runs through the rows in memory.</summary>
internal interface IWalk
{
    /// <summary>Whether each row is contiguous in k and has an address of its own; else the rows lie side by side.</summary>
    static abstract bool Along { get; }
}

internal readonly struct AlongRows : IWalk
{
    public static bool Along => true;
}

internal readonly struct AcrossRows : IWalk
{
    public static bool Along => false;
}

/// <summary>What a microkernel computes: sum, plus what d holds if asked, plus bias and residual if there are any, into d.</summary>
internal unsafe struct Tile<T>
    where T : unmanaged
{
    /// <summary>For each piece of the block, <c>Rows</c> addresses, of which as many as the kernel has rows are read; across rows, the first.</summary>
    public nint* Pointers;

    /// <summary>Elements from one k to the next. 1: each row has its address; more: all lie side by side from the first's on.</summary>
    public long Step;

    /// <summary>Elements of k in each piece; negative where they are left out.</summary>
    public int* Lengths;

    /// <summary>Pieces of the block.</summary>
    public int Pieces;

    /// <summary>Whether to add to what d holds.</summary>
    public bool Accumulate;

    /// <summary>The packed columns: for each k, as many vectors as the kernel has.</summary>
    public T* Panel;

    /// <summary>Where the tile's first row goes.</summary>
    public T* D;

    /// <summary>Elements from one row of d, and of the residual, to the next.</summary>
    public long Stride;

    /// <summary>A value a column, or null.</summary>
    public T* Bias;

    /// <summary>Of d's layout, or null.</summary>
    public T* Residual;
}

/// <summary>The microkernels of one element type and vector width, by rows and vectors of columns.</summary>
internal static unsafe class MicroKernels<TSimd, TVector, T>
    where TSimd : struct, ISimd<TVector, T>
    where T : unmanaged
{
    /// <summary>Rows of a full tile.</summary>
    public const int Rows = RowSource<T>.TileRows;

    private const int MostVectors = 4;

    // [rows - 1, vectors - 1]
    private static readonly delegate*<Tile<T>*, void>[] Along =
    [
        &Run<One, One, AlongRows>, &Run<One, Two, AlongRows>, &Run<One, Three, AlongRows>, &Run<One, Four, AlongRows>,
        &Run<Two, One, AlongRows>, &Run<Two, Two, AlongRows>, &Run<Two, Three, AlongRows>, &Run<Two, Four, AlongRows>,
        &Run<Three, One, AlongRows>, &Run<Three, Two, AlongRows>, &Run<Three, Three, AlongRows>, &Run<Three, Four, AlongRows>,
        &Run<Four, One, AlongRows>, &Run<Four, Two, AlongRows>, &Run<Four, Three, AlongRows>, &Run<Four, Four, AlongRows>,
        &Run<Five, One, AlongRows>, &Run<Five, Two, AlongRows>, &Run<Five, Three, AlongRows>, &Run<Five, Four, AlongRows>,
        &Run<Six, One, AlongRows>, &Run<Six, Two, AlongRows>, &Run<Six, Three, AlongRows>, &Run<Six, Four, AlongRows>,
    ];

    private static readonly delegate*<Tile<T>*, void>[] Across =
    [
        &Run<One, One, AcrossRows>, &Run<One, Two, AcrossRows>, &Run<One, Three, AcrossRows>, &Run<One, Four, AcrossRows>,
        &Run<Two, One, AcrossRows>, &Run<Two, Two, AcrossRows>, &Run<Two, Three, AcrossRows>, &Run<Two, Four, AcrossRows>,
        &Run<Three, One, AcrossRows>, &Run<Three, Two, AcrossRows>, &Run<Three, Three, AcrossRows>, &Run<Three, Four, AcrossRows>,
        &Run<Four, One, AcrossRows>, &Run<Four, Two, AcrossRows>, &Run<Four, Three, AcrossRows>, &Run<Four, Four, AcrossRows>,
        &Run<Five, One, AcrossRows>, &Run<Five, Two, AcrossRows>, &Run<Five, Three, AcrossRows>, &Run<Five, Four, AcrossRows>,
        &Run<Six, One, AcrossRows>, &Run<Six, Two, AcrossRows>, &Run<Six, Three, AcrossRows>, &Run<Six, Four, AcrossRows>,
    ];

    /// <summary>
    /// Computes a tile over one block of k. A sum is one chain of fused multiply-adds in ascending k from 0.
    /// </summary>
    /// <param name="rows">Rows, 1 to 6.</param>
    /// <param name="vectors">Vectors of columns, 1 to <see cref="ISimd{TVector, T}.PanelVectors"/>.</param>
    /// <param name="tile">What to compute.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Invoke(int rows, int vectors, Tile<T>* tile)
        => (tile->Step == 1 ? Along : Across)[((rows - 1) * MostVectors) + vectors - 1](tile);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Run<TRows, TColumns, TWalk>(Tile<T>* tile)
        where TRows : struct, ICount
        where TColumns : struct, ICount
        where TWalk : struct, IWalk
    {
        var pointers = tile->Pointers;
        var lengths = tile->Lengths;
        var panel = tile->Panel;
        var step = tile->Step;
        TVector c00 = TSimd.Zero, c01 = TSimd.Zero, c02 = TSimd.Zero, c03 = TSimd.Zero;
        TVector c10 = TSimd.Zero, c11 = TSimd.Zero, c12 = TSimd.Zero, c13 = TSimd.Zero;
        TVector c20 = TSimd.Zero, c21 = TSimd.Zero, c22 = TSimd.Zero, c23 = TSimd.Zero;
        TVector c30 = TSimd.Zero, c31 = TSimd.Zero, c32 = TSimd.Zero, c33 = TSimd.Zero;
        TVector c40 = TSimd.Zero, c41 = TSimd.Zero, c42 = TSimd.Zero, c43 = TSimd.Zero;
        TVector c50 = TSimd.Zero, c51 = TSimd.Zero, c52 = TSimd.Zero, c53 = TSimd.Zero;
        for (var piece = tile->Pieces; piece > 0; piece--)
        {
            T* a0 = (T*)pointers[0], a1 = (T*)pointers[1], a2 = (T*)pointers[2], a3 = (T*)pointers[3], a4 = (T*)pointers[4], a5 = (T*)pointers[5];
            pointers += Rows;
            long length = *lengths++;
            if (length < 0)
            {
                panel -= length * (TColumns.Value * TSimd.Width);
                continue;
            }

            for (long k = 0; k < length; k++)
            {
                var b0 = TSimd.Load(panel);
                var b1 = TColumns.Value > 1 ? TSimd.Load(panel + TSimd.Width) : b0;
                var b2 = TColumns.Value > 2 ? TSimd.Load(panel + (2 * TSimd.Width)) : b0;
                var b3 = TColumns.Value > 3 ? TSimd.Load(panel + (3 * TSimd.Width)) : b0;
                panel += TColumns.Value * TSimd.Width;

                var x0 = TSimd.Broadcast(TWalk.Along ? a0[k] : a0[0]);
                c00 = TSimd.MultiplyAdd(x0, b0, c00);
                c01 = TColumns.Value > 1 ? TSimd.MultiplyAdd(x0, b1, c01) : c01;
                c02 = TColumns.Value > 2 ? TSimd.MultiplyAdd(x0, b2, c02) : c02;
                c03 = TColumns.Value > 3 ? TSimd.MultiplyAdd(x0, b3, c03) : c03;

                if (TRows.Value > 1)
                {
                    var x1 = TSimd.Broadcast(TWalk.Along ? a1[k] : a0[1]);
                    c10 = TSimd.MultiplyAdd(x1, b0, c10);
                    c11 = TColumns.Value > 1 ? TSimd.MultiplyAdd(x1, b1, c11) : c11;
                    c12 = TColumns.Value > 2 ? TSimd.MultiplyAdd(x1, b2, c12) : c12;
                    c13 = TColumns.Value > 3 ? TSimd.MultiplyAdd(x1, b3, c13) : c13;
                }

                if (TRows.Value > 2)
                {
                    var x2 = TSimd.Broadcast(TWalk.Along ? a2[k] : a0[2]);
                    c20 = TSimd.MultiplyAdd(x2, b0, c20);
                    c21 = TColumns.Value > 1 ? TSimd.MultiplyAdd(x2, b1, c21) : c21;
                    c22 = TColumns.Value > 2 ? TSimd.MultiplyAdd(x2, b2, c22) : c22;
                    c23 = TColumns.Value > 3 ? TSimd.MultiplyAdd(x2, b3, c23) : c23;
                }

                if (TRows.Value > 3)
                {
                    var x3 = TSimd.Broadcast(TWalk.Along ? a3[k] : a0[3]);
                    c30 = TSimd.MultiplyAdd(x3, b0, c30);
                    c31 = TColumns.Value > 1 ? TSimd.MultiplyAdd(x3, b1, c31) : c31;
                    c32 = TColumns.Value > 2 ? TSimd.MultiplyAdd(x3, b2, c32) : c32;
                    c33 = TColumns.Value > 3 ? TSimd.MultiplyAdd(x3, b3, c33) : c33;
                }

                if (TRows.Value > 4)
                {
                    var x4 = TSimd.Broadcast(TWalk.Along ? a4[k] : a0[4]);
                    c40 = TSimd.MultiplyAdd(x4, b0, c40);
                    c41 = TColumns.Value > 1 ? TSimd.MultiplyAdd(x4, b1, c41) : c41;
                    c42 = TColumns.Value > 2 ? TSimd.MultiplyAdd(x4, b2, c42) : c42;
                    c43 = TColumns.Value > 3 ? TSimd.MultiplyAdd(x4, b3, c43) : c43;
                }

                if (TRows.Value > 5)
                {
                    var x5 = TSimd.Broadcast(TWalk.Along ? a5[k] : a0[5]);
                    c50 = TSimd.MultiplyAdd(x5, b0, c50);
                    c51 = TColumns.Value > 1 ? TSimd.MultiplyAdd(x5, b1, c51) : c51;
                    c52 = TColumns.Value > 2 ? TSimd.MultiplyAdd(x5, b2, c52) : c52;
                    c53 = TColumns.Value > 3 ? TSimd.MultiplyAdd(x5, b3, c53) : c53;
                }

                if (!TWalk.Along)
                {
                    a0 += step;
                }
            }
        }

        var stride = tile->Stride;
        if (tile->Accumulate)
        {
            var before = tile->D;
            Add<TColumns>(before, ref c00, ref c01, ref c02, ref c03);

            if (TRows.Value > 1)
            {
                Add<TColumns>(before + stride, ref c10, ref c11, ref c12, ref c13);
            }

            if (TRows.Value > 2)
            {
                Add<TColumns>(before + (2 * stride), ref c20, ref c21, ref c22, ref c23);
            }

            if (TRows.Value > 3)
            {
                Add<TColumns>(before + (3 * stride), ref c30, ref c31, ref c32, ref c33);
            }

            if (TRows.Value > 4)
            {
                Add<TColumns>(before + (4 * stride), ref c40, ref c41, ref c42, ref c43);
            }

            if (TRows.Value > 5)
            {
                Add<TColumns>(before + (5 * stride), ref c50, ref c51, ref c52, ref c53);
            }
        }

        if (tile->Bias != null)
        {
            var bias = tile->Bias;
            Add<TColumns>(bias, ref c00, ref c01, ref c02, ref c03);

            if (TRows.Value > 1)
            {
                Add<TColumns>(bias, ref c10, ref c11, ref c12, ref c13);
            }

            if (TRows.Value > 2)
            {
                Add<TColumns>(bias, ref c20, ref c21, ref c22, ref c23);
            }

            if (TRows.Value > 3)
            {
                Add<TColumns>(bias, ref c30, ref c31, ref c32, ref c33);
            }

            if (TRows.Value > 4)
            {
                Add<TColumns>(bias, ref c40, ref c41, ref c42, ref c43);
            }

            if (TRows.Value > 5)
            {
                Add<TColumns>(bias, ref c50, ref c51, ref c52, ref c53);
            }
        }

        if (tile->Residual != null)
        {
            var residual = tile->Residual;
            Add<TColumns>(residual, ref c00, ref c01, ref c02, ref c03);

            if (TRows.Value > 1)
            {
                Add<TColumns>(residual + stride, ref c10, ref c11, ref c12, ref c13);
            }

            if (TRows.Value > 2)
            {
                Add<TColumns>(residual + (2 * stride), ref c20, ref c21, ref c22, ref c23);
            }

            if (TRows.Value > 3)
            {
                Add<TColumns>(residual + (3 * stride), ref c30, ref c31, ref c32, ref c33);
            }

            if (TRows.Value > 4)
            {
                Add<TColumns>(residual + (4 * stride), ref c40, ref c41, ref c42, ref c43);
            }

            if (TRows.Value > 5)
            {
                Add<TColumns>(residual + (5 * stride), ref c50, ref c51, ref c52, ref c53);
            }
        }

        var d = tile->D;
        Store<TColumns>(d, c00, c01, c02, c03);

        if (TRows.Value > 1)
        {
            Store<TColumns>(d + stride, c10, c11, c12, c13);
        }

        if (TRows.Value > 2)
        {
            Store<TColumns>(d + (2 * stride), c20, c21, c22, c23);
        }

        if (TRows.Value > 3)
        {
            Store<TColumns>(d + (3 * stride), c30, c31, c32, c33);
        }

        if (TRows.Value > 4)
        {
            Store<TColumns>(d + (4 * stride), c40, c41, c42, c43);
        }

        if (TRows.Value > 5)
        {
            Store<TColumns>(d + (5 * stride), c50, c51, c52, c53);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add<TColumns>(T* from, ref TVector c0, ref TVector c1, ref TVector c2, ref TVector c3)
        where TColumns : struct, ICount
    {
        c0 = TSimd.Add(TSimd.Load(from), c0);
        if (TColumns.Value > 1)
        {
            c1 = TSimd.Add(TSimd.Load(from + TSimd.Width), c1);
        }

        if (TColumns.Value > 2)
        {
            c2 = TSimd.Add(TSimd.Load(from + (2 * TSimd.Width)), c2);
        }

        if (TColumns.Value > 3)
        {
            c3 = TSimd.Add(TSimd.Load(from + (3 * TSimd.Width)), c3);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store<TColumns>(T* to, TVector c0, TVector c1, TVector c2, TVector c3)
        where TColumns : struct, ICount
    {
        TSimd.Store(c0, to);
        if (TColumns.Value > 1)
        {
            TSimd.Store(c1, to + TSimd.Width);
        }

        if (TColumns.Value > 2)
        {
            TSimd.Store(c2, to + (2 * TSimd.Width));
        }

        if (TColumns.Value > 3)
        {
            TSimd.Store(c3, to + (3 * TSimd.Width));
        }
    }
}
