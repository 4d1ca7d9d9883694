// Where the rows of a product's first matrix come from: a stored matrix, its transpose, or the windows of a convolution.
// A row is handed to the microkernel as pieces of contiguous memory, so that a convolution needs no im2col matrix.
using System.Runtime.CompilerServices;

namespace FashionFlow.VirtualGpu.Simd;

/// <summary>How a <see cref="RowSource{T}"/> finds its rows.</summary>
internal enum RowKind
{
    /// <summary>Row m is contiguous at <c>source + m * stride</c>.</summary>
    Stored,

    /// <summary>Element k of row m is at <c>source + k * stride + m</c>; blocks are transposed into scratch memory.</summary>
    Transposed,

    /// <summary>A convolution none of whose windows reaches beyond the left or right border: a piece is a row of the window.</summary>
    WindowRows,

    /// <summary>A convolution with enough channels: a piece is one tap's channels.</summary>
    WindowTaps,

    /// <summary>A convolution with few channels: blocks are gathered into scratch memory.</summary>
    WindowGather,
}

/// <summary>The geometry of a convolution's windows, in the names of <see cref="FashionFlow.Gpu.ConvolutionDescription"/>.</summary>
internal readonly record struct WindowGeometry(
    int H, int W, int Channels, int KernelH, int KernelW, int StrideH, int StrideW, int PadTop, int PadLeft, int OutH, int OutW);

/// <summary>The rows of op(A), [M, K].</summary>
internal unsafe struct RowSource<T>
    where T : unmanaged
{
    /// <summary>Shorter pieces than this cost more than gathering them.</summary>
    public const int ShortestPiece = 16;

    /// <summary>How rows are found.</summary>
    public RowKind Kind;

    /// <summary>The first element.</summary>
    public T* Source;

    /// <summary>Elements from one stored row to the next (<see cref="RowKind.Stored"/>, <see cref="RowKind.Transposed"/>).</summary>
    public long Stride;

    /// <summary>The windows of a convolution.</summary>
    public WindowGeometry Windows;

    /// <summary>Zeros for pieces that lie in the padding, as many as a piece is long.</summary>
    public T* Zeros;

    /// <summary>Most pieces that a block of <paramref name="kc"/> elements of k can have.</summary>
    public readonly int MaxPieces(int kc) => Kind switch
    {
        RowKind.WindowRows => (kc / (Windows.KernelW * Windows.Channels)) + 2,
        RowKind.WindowTaps => (kc / Windows.Channels) + 2,
        _ => 1,
    };

    /// <summary>Elements of scratch memory that <see cref="Prepare"/> needs.</summary>
    public readonly long ScratchElements(int rows, int kc) => Kind is RowKind.Transposed or RowKind.WindowGather ? (long)rows * kc : 0;

    /// <summary>Elements that <see cref="Zeros"/> must hold.</summary>
    public readonly int ZeroElements => Kind switch
    {
        RowKind.WindowRows => Windows.KernelW * Windows.Channels,
        RowKind.WindowTaps => Windows.Channels,
        _ => 0,
    };

    /// <summary>
    /// Finds rows [row, row + rows) over [k0, k0 + kc): writes the length of each piece, and for each group of
    /// <paramref name="group"/> rows, for each piece, the rows' addresses. Missing rows of the last group repeat its last row.
    /// </summary>
    /// <returns>The number of pieces.</returns>
    public readonly int Prepare(long row, int rows, int k0, int kc, int group, nint* pointers, int* lengths, T* scratch)
    {
        switch (Kind)
        {
            case RowKind.Stored:
                lengths[0] = kc;
                WritePointers(Source + (row * Stride) + k0, Stride, rows, group, pointers);
                return 1;
            case RowKind.Transposed:
                lengths[0] = kc;
                Packing.Transpose(Source + (k0 * Stride) + row, Stride, scratch, kc, kc, rows);
                WritePointers(scratch, kc, rows, group, pointers);
                return 1;
            case RowKind.WindowGather:
                lengths[0] = kc;
                Gather(row, rows, k0, kc, scratch);
                WritePointers(scratch, kc, rows, group, pointers);
                return 1;
            case RowKind.WindowRows:
                return FindWindows(row, rows, k0, kc, group, pointers, lengths, Windows.KernelW * Windows.Channels, 1);
            default:
                return FindWindows(row, rows, k0, kc, group, pointers, lengths, Windows.Channels, Windows.KernelW);
        }
    }

    private static void WritePointers(T* first, long stride, int rows, int group, nint* pointers)
    {
        var padded = (rows + group - 1) / group * group;
        for (var r = 0; r < padded; r++)
        {
            pointers[r] = (nint)(first + (Math.Min(r, rows - 1) * stride));
        }
    }

    // A segment is `length` contiguous elements of x at a window's row kh and, if taps > 1, column kw; k runs through the
    // segments in the order of the weights. A block of k may start and end inside a segment.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private readonly int FindWindows(long row, int rows, int k0, int kc, int group, nint* pointers, int* lengths, int length, int taps)
    {
        var g = Windows;
        var pieces = 0;
        for (var k = k0; k < k0 + kc; pieces++)
        {
            lengths[pieces] = Math.Min(k0 + kc, ((k / length) + 1) * length) - k;
            k += lengths[pieces];
        }

        var picture = row / ((long)g.OutH * g.OutW);
        var inPicture = (int)(row - (picture * g.OutH * g.OutW));
        var oh = inPicture / g.OutW;
        var ow = inPicture - (oh * g.OutW);
        var padded = (rows + group - 1) / group * group;
        var firstSegment = k0 / length;
        var firstOffset = k0 - (firstSegment * length);
        for (var r = 0; r < padded; r++)
        {
            var target = pointers + ((long)(r / group) * group * pieces) + (r % group);
            var top = (oh * g.StrideH) - g.PadTop;
            var left = (ow * g.StrideW) - g.PadLeft;
            var origin = Source + (picture * g.H * g.W * g.Channels);
            var kh = firstSegment / taps;
            var kw = firstSegment - (kh * taps);
            var offset = firstOffset;
            for (var piece = 0; piece < pieces; piece++)
            {
                var h = top + kh;
                var w = left + kw;
                target[piece * group] = (uint)h < (uint)g.H && (uint)w < (uint)g.W
                    ? (nint)(origin + ((((long)h * g.W) + w) * g.Channels) + offset)
                    : (nint)(Zeros + offset);
                offset = 0;
                if (++kw == taps)
                {
                    kw = 0;
                    kh++;
                }
            }

            // Missing rows of the last group repeat its last row.
            if (r < rows - 1 && ++ow == g.OutW)
            {
                ow = 0;
                if (++oh == g.OutH)
                {
                    oh = 0;
                    picture++;
                }
            }
        }

        return pieces;
    }

    private readonly void Gather(long row, int rows, int k0, int kc, T* scratch)
    {
        var g = Windows;
        var segment = g.KernelW * g.Channels;
        var picture = row / ((long)g.OutH * g.OutW);
        var inPicture = (int)(row - (picture * g.OutH * g.OutW));
        var oh = inPicture / g.OutW;
        var ow = inPicture - (oh * g.OutW);
        for (var r = 0; r < rows; r++)
        {
            var top = (oh * g.StrideH) - g.PadTop;
            var left = ((ow * g.StrideW) - g.PadLeft) * g.Channels;
            var origin = Source + (picture * g.H * g.W * g.Channels);
            var to = scratch + ((long)r * kc);
            for (var k = k0; k < k0 + kc;)
            {
                var kh = k / segment;
                var start = k - (kh * segment);
                var count = Math.Min(segment - start, k0 + kc - k);
                var h = top + kh;
                if ((uint)h >= (uint)g.H)
                {
                    new Span<T>(to, count).Clear();
                }
                else
                {
                    // Of the elements [from, from + count) of this picture row, those outside it are padding.
                    var from = left + start;
                    var before = Math.Clamp(-from, 0, count);
                    var inside = Math.Clamp((g.W * g.Channels) - (from + before), 0, count - before);
                    new Span<T>(to, before).Clear();
                    new ReadOnlySpan<T>(origin + ((long)h * g.W * g.Channels) + from + before, inside).CopyTo(new Span<T>(to + before, inside));
                    new Span<T>(to + before + inside, count - before - inside).Clear();
                }

                to += count;
                k += count;
            }

            if (++ow == g.OutW)
            {
                ow = 0;
                if (++oh == g.OutH)
                {
                    oh = 0;
                    picture++;
                }
            }
        }
    }
}
