// Where the rows of a product's first matrix come from: a stored matrix, the windows of a convolution, or the transpose of either.
// A row is handed to the microkernel as pieces of contiguous memory, so that a convolution needs no im2col matrix, and what
// lies wholly in the padding is left out.
using System.Runtime.CompilerServices;

namespace FashionFlow.VirtualGpu.Simd;

/// <summary>How a <see cref="RowSource{T}"/> finds its rows.</summary>
internal enum RowKind
{
    /// <summary>Row m is contiguous at <c>source + m * stride</c>.</summary>
    Stored,

    /// <summary>Element k of row m is at <c>source + k * stride + m</c>; blocks are transposed into scratch memory.</summary>
    Transposed,

    /// <summary>
    /// A convolution, its rows in the order of the output. A piece is a row of a window; windows that reach beyond the left or
    /// right border are gathered.
    /// </summary>
    WindowRows,

    /// <summary>
    /// A convolution of several small pictures: a tile's rows are the windows at one place of different pictures, so that all
    /// of them reach equally far into the padding and it costs nothing.
    /// </summary>
    WindowPictures,

    /// <summary>A convolution whose windows have short rows: all are gathered into scratch memory.</summary>
    WindowGather,

    /// <summary>
    /// The transpose of a convolution's windows, for the gradient of its weights: a row is one channel under one kernel position,
    /// k runs over the output's pixels. A tile's rows are neighbouring channels under one position, so that they are read across
    /// where they lie, and all reach equally far into the padding.
    /// </summary>
    WindowChannels,
}

/// <summary>The geometry of a convolution's windows, in the names of <see cref="FashionFlow.Gpu.ConvolutionDescription"/>.</summary>
internal readonly record struct WindowGeometry(
    int Pictures, int H, int W, int Channels, int KernelH, int KernelW, int StrideH, int StrideW, int PadTop, int PadLeft, int OutH, int OutW)
{
    /// <summary>Elements of a window's row, which are contiguous in x.</summary>
    public int Segment => KernelW * Channels;

    /// <summary>The part of all windows' elements that lies in the padding.</summary>
    public double PaddedPart
    {
        get
        {
            long inH = 0, inW = 0;
            for (var h = 0; h < OutH; h++)
            {
                var top = (h * StrideH) - PadTop;
                inH += Math.Max(0, Math.Min(KernelH, H - top) - Math.Max(0, -top));
            }

            for (var w = 0; w < OutW; w++)
            {
                var left = (w * StrideW) - PadLeft;
                inW += Math.Max(0, Math.Min(KernelW, W - left) - Math.Max(0, -left));
            }

            return 1 - ((double)inH * inW / ((double)OutH * OutW * KernelH * KernelW));
        }
    }
}

/// <summary>A few rows that go through the microkernel together, and where their results go.</summary>
/// <param name="Row">The first row.</param>
/// <param name="Rows">How many.</param>
/// <param name="Output">The row of C of the first.</param>
/// <param name="OutputStep">Rows of C from one to the next.</param>
internal readonly record struct RowTile(long Row, int Rows, long Output, long OutputStep);

/// <summary>The rows of op(A), [M, K].</summary>
internal unsafe struct RowSource<T>
    where T : unmanaged
{
    /// <summary>Rows of a tile, and addresses a piece.</summary>
    public const int TileRows = 6;

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

    /// <summary>Zeros for pieces that lie in the padding, as many as a segment is long (<see cref="RowKind.WindowRows"/>).</summary>
    public T* Zeros;

    /// <summary>Elements that <see cref="Zeros"/> must hold.</summary>
    public readonly int ZeroElements => Kind == RowKind.WindowRows ? Windows.Segment : 0;

    /// <summary>Elements from one k of a row to the next, as <see cref="Tile{T}.Step"/> needs it: 1 unless rows are read across.</summary>
    public readonly long Step => Kind == RowKind.WindowChannels ? (long)Windows.StrideW * Windows.Channels : 1;

    // Tiles that the pictures at one place are dealt out to, as evenly as goes, or the channels under one kernel position.
    private readonly int TilesAPlace => ((Kind == RowKind.WindowPictures ? Windows.Pictures : Windows.Channels) + TileRows - 1) / TileRows;

    /// <summary>Tiles that <paramref name="rows"/> rows make.</summary>
    public readonly int TileCount(int rows) => Kind switch
    {
        RowKind.WindowPictures => Windows.OutH * Windows.OutW * TilesAPlace,
        RowKind.WindowChannels => Windows.KernelH * Windows.KernelW * TilesAPlace,
        _ => (rows + TileRows - 1) / TileRows,
    };

    /// <summary>A tile of <paramref name="rows"/> rows.</summary>
    public readonly RowTile TileAt(int tile, int rows)
    {
        if (Kind is not (RowKind.WindowPictures or RowKind.WindowChannels))
        {
            var row = (long)tile * TileRows;
            return new RowTile(row, (int)Math.Min(TileRows, rows - row), row, 1);
        }

        var tiles = TilesAPlace;
        var place = tile / tiles;
        var part = tile - (place * tiles);
        var atPlace = Kind == RowKind.WindowPictures ? Windows.Pictures : Windows.Channels;
        var first = (int)((long)part * atPlace / tiles);
        var count = (int)((part + 1L) * atPlace / tiles) - first;
        var from = ((long)place * atPlace) + first;
        var places = (long)Windows.OutH * Windows.OutW;
        return Kind == RowKind.WindowPictures ? new RowTile(from, count, (first * places) + place, places) : new RowTile(from, count, from, 1);
    }

    /// <summary>Most pieces that <paramref name="kc"/> elements of k can have, left out ones counted.</summary>
    public readonly int MaxPieces(int kc) => Kind switch
    {
        RowKind.WindowRows => (kc / Windows.Segment) + 2,
        RowKind.WindowPictures => 3 * ((kc / Windows.Segment) + 2),
        RowKind.WindowChannels => 3 * ((kc / Windows.OutW) + 2),
        _ => 1,
    };

    /// <summary>Elements of scratch memory that a block of <paramref name="tiles"/> tiles needs.</summary>
    public readonly long ScratchElements(int tiles, int kc) => Kind switch
    {
        RowKind.Transposed or RowKind.WindowGather => (long)tiles * TileRows * kc,
        RowKind.WindowRows => (long)TileRows * kc,
        _ => 0,
    };

    /// <summary>Brings rows [row, row + rows) over [k0, k0 + kc) into scratch memory where their kind needs it.</summary>
    public readonly void PrepareBlock(long row, int rows, int k0, int kc, T* scratch)
    {
        if (Kind == RowKind.Transposed)
        {
            Packing.Transpose(Source + (k0 * Stride) + row, Stride, scratch, kc, kc, rows);
        }
        else if (Kind == RowKind.WindowGather)
        {
            var place = new Place(Windows, row);
            for (var r = 0; r < rows; r++, place.MoveOn(Windows))
            {
                Gather(place, k0, kc, scratch + ((long)r * kc));
            }
        }
    }

    /// <summary>
    /// Finds a tile's rows over [k0, k0 + kc): for each piece its length and its rows' addresses, <see cref="TileRows"/> a piece. A
    /// negative length leaves out as many elements of k, for which all rows hold 0.
    /// </summary>
    /// <param name="tile">The tile.</param>
    /// <param name="blockRow">The first row of the block that was prepared.</param>
    /// <param name="k0">First k.</param>
    /// <param name="kc">Count of k.</param>
    /// <param name="pointers">Receives the addresses.</param>
    /// <param name="lengths">Receives the lengths.</param>
    /// <param name="scratch">The block's scratch memory.</param>
    /// <returns>The number of pieces.</returns>
    public readonly int PrepareTile(in RowTile tile, long blockRow, int k0, int kc, nint* pointers, int* lengths, T* scratch)
    {
        switch (Kind)
        {
            case RowKind.Stored:
                return OnePiece(Source + (tile.Row * Stride) + k0, Stride, tile.Rows, kc, pointers, lengths);
            case RowKind.Transposed:
            case RowKind.WindowGather:
                return OnePiece(scratch + ((tile.Row - blockRow) * kc), kc, tile.Rows, kc, pointers, lengths);
            case RowKind.WindowRows:
                return FindRows(tile, k0, kc, pointers, lengths, scratch);
            case RowKind.WindowChannels:
                return FindChannels(tile, k0, kc, pointers, lengths);
            default:
                return FindPictures(tile, k0, kc, pointers, lengths);
        }
    }

    private static int OnePiece(T* first, long stride, int rows, int kc, nint* pointers, int* lengths)
    {
        lengths[0] = kc;
        for (var r = 0; r < rows; r++)
        {
            pointers[r] = (nint)(first + (r * stride));
        }

        return 1;
    }

    // k runs through the segments, the rows of a window, in the order of the weights. A block may start and end inside one.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private readonly int FindRows(in RowTile tile, int k0, int kc, nint* pointers, int* lengths, T* scratch)
    {
        var g = Windows;
        var segment = g.Segment;
        var rowStride = (long)g.W * g.Channels;
        var place = new Place(g, tile.Row);
        int highest = int.MinValue, lowest = int.MaxValue;
        var tops = stackalloc int[TileRows];
        var starts = stackalloc T*[TileRows];
        for (var r = 0; r < tile.Rows; r++, place.MoveOn(g))
        {
            var top = (place.H * g.StrideH) - g.PadTop;
            var left = (place.W * g.StrideW) - g.PadLeft;
            tops[r] = top;
            highest = Math.Max(highest, top);
            lowest = Math.Min(lowest, top);
            starts[r] = null;
            if (left >= 0 && left + g.KernelW <= g.W)
            {
                starts[r] = Source + (((place.Picture * g.H) + top) * rowStride) + ((long)left * g.Channels);
            }
            else
            {
                Gather(place, k0, kc, scratch + ((long)r * kc));
            }
        }

        var pieces = 0;
        for (var k = k0; k < k0 + kc; pieces++, pointers += TileRows)
        {
            var kh = k / segment;
            var offset = k - (kh * segment);
            var length = Math.Min(segment - offset, k0 + kc - k);
            var outside = highest + kh < 0 || lowest + kh >= g.H;
            lengths[pieces] = outside ? -length : length;
            for (var r = 0; r < tile.Rows && !outside; r++)
            {
                pointers[r] = (nint)(starts[r] == null ? scratch + ((long)r * kc) + (k - k0)
                    : (uint)(tops[r] + kh) < (uint)g.H ? starts[r] + (kh * rowStride) + offset
                    : Zeros + offset);
            }

            k += length;
        }

        return pieces;
    }

    // All rows lie at one place, so that the padding cuts the same off each.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private readonly int FindPictures(in RowTile tile, int k0, int kc, nint* pointers, int* lengths)
    {
        var g = Windows;
        var segment = g.Segment;
        var at = (int)(tile.Row / g.Pictures);
        var picture = tile.Row - ((long)at * g.Pictures);
        var top = (at / g.OutW * g.StrideH) - g.PadTop;
        var left = (at % g.OutW * g.StrideW) - g.PadLeft;
        var inside = Math.Max(0, -left) * g.Channels;
        var outside = Math.Max(inside, Math.Min(g.KernelW, g.W - left) * g.Channels);
        var pictureStride = (long)g.H * g.W * g.Channels;
        var pieces = 0;
        for (var k = k0; k < k0 + kc;)
        {
            var kh = k / segment;
            var from = k - (kh * segment);
            var to = Math.Min(segment, from + (k0 + kc - k));
            k += to - from;
            if ((uint)(top + kh) >= (uint)g.H)
            {
                lengths[pieces++] = from - to;
                pointers += TileRows;
                continue;
            }

            var first = Math.Clamp(inside, from, to);
            var last = Math.Clamp(outside, from, to);
            if (first > from)
            {
                lengths[pieces++] = from - first;
                pointers += TileRows;
            }

            if (last > first)
            {
                lengths[pieces++] = last - first;
                var start = Source + (picture * pictureStride) + ((((long)(top + kh) * g.W) + left) * g.Channels) + first;
                for (var r = 0; r < tile.Rows; r++)
                {
                    pointers[r] = (nint)(start + (r * pictureStride));
                }

                pointers += TileRows;
            }

            if (to > last)
            {
                lengths[pieces++] = last - to;
                pointers += TileRows;
            }
        }

        return pieces;
    }

    // k runs through the output's rows; of each, the columns whose window has this kernel position inside the picture are taken.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private readonly int FindChannels(in RowTile tile, int k0, int kc, nint* pointers, int* lengths)
    {
        var g = Windows;
        var position = (int)(tile.Row / g.Channels);
        var kh = position / g.KernelW;
        var top = kh - g.PadTop;
        var left = position - (kh * g.KernelW) - g.PadLeft;
        var inside = Math.Min(left < 0 ? (g.StrideW - 1 - left) / g.StrideW : 0, g.OutW);
        var outside = left < g.W ? Math.Clamp(((g.W - 1 - left) / g.StrideW) + 1, inside, g.OutW) : inside;
        var origin = Source + (((long)left * g.Channels) + (tile.Row - ((long)position * g.Channels)));
        var step = Step;
        var line = k0 / g.OutW;
        var from = k0 - (line * g.OutW);
        var pieces = -1;
        var next = (T*)null;
        for (var rest = kc; rest > 0; line++, from = 0)
        {
            var to = Math.Min(g.OutW, from + rest);
            rest -= to - from;
            var picture = line / g.OutH;
            var h = ((line - (picture * g.OutH)) * g.StrideH) + top;
            var first = (uint)h < (uint)g.H ? Math.Clamp(inside, from, to) : to;
            var last = (uint)h < (uint)g.H ? Math.Clamp(outside, first, to) : to;
            LeaveOut(first - from);
            if (last > first)
            {
                // Where nothing is left out between them, the rows of a picture may follow each other without a gap.
                var start = origin + ((((long)picture * g.H) + h) * g.W * g.Channels) + (first * step);
                if (pieces >= 0 && lengths[pieces] > 0 && start == next)
                {
                    lengths[pieces] += last - first;
                }
                else
                {
                    lengths[++pieces] = last - first;
                    pointers[pieces * TileRows] = (nint)start;
                }

                next = start + ((last - first) * step);
            }

            LeaveOut(to - last);
        }

        return pieces + 1;

        void LeaveOut(int count)
        {
            if (count > 0 && pieces >= 0 && lengths[pieces] < 0)
            {
                lengths[pieces] -= count;
            }
            else if (count > 0)
            {
                lengths[++pieces] = -count;
            }
        }
    }

    private readonly void Gather(in Place place, int k0, int kc, T* to)
    {
        var g = Windows;
        var segment = g.Segment;
        var top = (place.H * g.StrideH) - g.PadTop;
        var left = ((place.W * g.StrideW) - g.PadLeft) * g.Channels;
        var origin = Source + (place.Picture * g.H * g.W * g.Channels);
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
    }

    // The picture, row and column of an output.
    private struct Place
    {
        public long Picture;
        public int H;
        public int W;

        public Place(in WindowGeometry g, long row)
        {
            Picture = row / ((long)g.OutH * g.OutW);
            var inPicture = (int)(row - (Picture * g.OutH * g.OutW));
            H = inPicture / g.OutW;
            W = inPicture - (H * g.OutW);
        }

        public void MoveOn(in WindowGeometry g)
        {
            if (++W == g.OutW)
            {
                W = 0;
                if (++H == g.OutH)
                {
                    H = 0;
                    Picture++;
                }
            }
        }
    }
}
