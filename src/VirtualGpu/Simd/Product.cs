// One matrix product: cut into blocks that fit the caches, shared out over threads, finished with bias, residual and
// activation while the results are still near.
//
// The order of every sum is fixed by K alone: k is cut into blocks of BlockK; within a block a sum is one chain of fused
// multiply-adds from 0 in ascending k; the blocks' sums are added in ascending order. How rows and columns are cut, the vector
// width and the threads do not enter, so neither do they change a bit.
using System.Runtime.CompilerServices;
using FashionFlow.Gpu;

namespace FashionFlow.VirtualGpu.Simd;

/// <summary>
/// C = epilogue(alpha * op(A) op(B) + bias + beta * C + residual) for a batch, on vectors of one width and element type.
/// </summary>
internal sealed unsafe class Product<TSimd, TVector, T>
    where TSimd : struct, ISimd<TVector, T>
    where T : unmanaged
{
    /// <summary>Elements of k whose products form one chain.</summary>
    public const int BlockK = 384;

    private const int TileRows = MicroKernels<TSimd, TVector, T>.Rows;
    private const int MostTiles = 16;
    private const int PanelBytes = 768 * 1024;
    private const long SharedBytes = 16 << 20;

    // Below this many operations, waking other threads costs more than they help.
    private const double SmallWork = 1e6;

    [ThreadStatic]
    private static ScratchBuffer? _scratch;

    private readonly ScratchBuffer _shared;
    private int _tilesPerTask;
    private int _columnsPerTask;
    private int _tiles;
    private int _rowTasks;
    private int _groupColumn;
    private int _groupColumns;
    private int _columnTasks;
    private int _item;
    private T* _packed;

    /// <summary>A product whose shared scratch memory is <paramref name="shared"/>.</summary>
    public Product(ScratchBuffer shared) => _shared = shared;

    /// <summary>Rows of C.</summary>
    public required int M { get; init; }

    /// <summary>Columns of C.</summary>
    public required int N { get; init; }

    /// <summary>Length of the sums.</summary>
    public required int K { get; init; }

    /// <summary>The rows of op(A) of the batch's first product.</summary>
    public required RowSource<T> Rows { get; init; }

    /// <summary>Stored B of the first product.</summary>
    public required T* B { get; init; }

    /// <summary>Elements from one stored row of B to the next.</summary>
    public required long StrideB { get; init; }

    /// <summary>Whether B is stored as [N, K].</summary>
    public required bool TransposeB { get; init; }

    /// <summary>Where each group of B's stored rows starts, from <see cref="B"/> on; null if all follow each other. Not with <see cref="TransposeB"/>.</summary>
    public long* GroupsB { get; init; }

    /// <summary>Rows of such a group.</summary>
    public int GroupRowsB { get; init; }

    /// <summary>C of the first product.</summary>
    public required T* C { get; init; }

    /// <summary>Elements from one row of C to the next.</summary>
    public required long StrideC { get; init; }

    /// <summary>Products in the batch.</summary>
    public int Batch { get; init; } = 1;

    /// <summary>Elements from one A of the batch to the next.</summary>
    public long BatchStrideA { get; init; }

    /// <summary>Elements from one B of the batch to the next.</summary>
    public long BatchStrideB { get; init; }

    /// <summary>Elements from one C of the batch to the next.</summary>
    public long BatchStrideC { get; init; }

    /// <summary>Factor of the product.</summary>
    public double Alpha { get; init; } = 1;

    /// <summary>Factor of what C held; 0 does not read it.</summary>
    public double Beta { get; init; }

    /// <summary>N values added to every row, or null.</summary>
    public T* Bias { get; init; }

    /// <summary>Values of C's layout to add, or null.</summary>
    public T* Residual { get; init; }

    /// <summary>Applied last.</summary>
    public Epilogue Epilogue { get; init; }

    private static int PanelWidth => TSimd.PanelVectors * TSimd.Width;

    // Columns whose packed block of B stays in the second-level cache.
    private static int MostColumns => PanelBytes / (BlockK * sizeof(T)) / PanelWidth * PanelWidth;

    // Raw sums go straight into C unless C's old contents are still needed or a last vector would reach beyond a row.
    private bool SumsInC => Beta == 0 && N % TSimd.Width == 0 && Residual != C;

    // With nothing but bias and residual to add, the microkernel does it before it first stores.
    private bool FinishedInKernel => SumsInC && Alpha == 1 && Epilogue == Epilogue.None;

    /// <summary>Computes the product.</summary>
    public void Execute(WorkerPool workers)
    {
        if (M == 0 || N == 0)
        {
            return;
        }

        _tiles = Rows.TileCount(M);
        var itemWork = 2.0 * M * N * Math.Max(K, 1);
        if (Batch > 1 && (itemWork < 20 * SmallWork || Batch >= 4 * workers.Threads))
        {
            // Many products: each is one thread's.
            _columnsPerTask = Math.Min(Pad(N), MostColumns);
            var tasks = itemWork * Batch < SmallWork ? 1 : Math.Min(Batch, 8 * workers.Threads);
            workers.Run(tasks, task =>
            {
                var end = (int)((task + 1L) * Batch / tasks);
                for (var item = (int)((long)task * Batch / tasks); item < end; item++)
                {
                    RunAlone(item);
                }
            });
            return;
        }

        for (_item = 0; _item < Batch; _item++)
        {
            RunTogether(workers, itemWork);
        }
    }

    private static int Pad(int columns) => (columns + TSimd.Width - 1) / TSimd.Width * TSimd.Width;

    private static int DivideUp(int a, int b) => (a + b - 1) / b;

    // One product on this thread: packs a block of B, then uses it for all rows.
    private void RunAlone(int item)
    {
        for (var column = 0; column < N; column += _columnsPerTask)
        {
            Compute(item, 0, _tiles, column, Math.Min(_columnsPerTask, N - column), null);
        }
    }

    // One product on all threads.
    private void RunTogether(WorkerPool workers, double work)
    {
        var threads = work < SmallWork ? 1 : workers.Threads;
        if (threads == 1 || _tiles <= MostTiles / 2 || (_tiles <= MostTiles && N >= 2 * threads * PanelWidth))
        {
            // Few rows: threads share the columns, and each packs its own part of B.
            _columnsPerTask = threads == 1
                ? Math.Min(Pad(N), MostColumns)
                : Math.Clamp(DivideUp(DivideUp(N, 2 * threads), PanelWidth) * PanelWidth, PanelWidth, MostColumns);
            var tasks = DivideUp(N, _columnsPerTask);
            void Columns(int task) => Compute(_item, 0, _tiles, task * _columnsPerTask, Math.Min(_columnsPerTask, N - (task * _columnsPerTask)), null);
            if (threads == 1)
            {
                for (var task = 0; task < tasks; task++)
                {
                    Columns(task);
                }
            }
            else
            {
                workers.Run(tasks, Columns);
            }

            return;
        }

        // Many rows: B is packed once, together, and then read by all. A wide B is taken in groups of columns; of a B too tall
        // even for that each task packs what it is at.
        _columnsPerTask = Math.Min(Pad(N), MostColumns);
        _tilesPerTask = Math.Clamp(DivideUp(_tiles, 4 * threads), 2, MostTiles);
        _rowTasks = DivideUp(_tiles, _tilesPerTask);
        if ((long)_columnsPerTask * K * sizeof(T) > SharedBytes)
        {
            _packed = null;
            _groupColumn = 0;
            _groupColumns = N;
            workers.Run(DivideUp(N, _columnsPerTask) * _rowTasks, ComputeTask);
            return;
        }

        var groupColumns = (int)Math.Min(N, Math.Max(1, SharedBytes / ((long)_columnsPerTask * Math.Max(K, 1) * sizeof(T))) * _columnsPerTask);
        _packed = (T*)_shared.Reserve((long)Pad(groupColumns) * Math.Max(K, 1) * sizeof(T));
        for (_groupColumn = 0; _groupColumn < N; _groupColumn += groupColumns)
        {
            _groupColumns = Math.Min(groupColumns, N - _groupColumn);
            _columnTasks = DivideUp(_groupColumns, _columnsPerTask);
            workers.Run(_columnTasks * DivideUp(K, BlockK), PackTask);
            workers.Run(_columnTasks * _rowTasks, ComputeTask);
        }
    }

    // Within the shared buffer: the group's parts of columns after each other, within a part k-block after k-block.
    private void PackTask(int task)
    {
        var part = task % _columnTasks;
        var k0 = task / _columnTasks * BlockK;
        var column = part * _columnsPerTask;
        var columns = Math.Min(_columnsPerTask, _groupColumns - column);
        var kc = Math.Min(BlockK, K - k0);
        var destination = _packed + ((long)column * K) + ((long)Pad(columns) * k0);
        Pack(_item, k0, kc, _groupColumn + column, columns, destination);
    }

    // B's panels over [k0, k0 + kc) and some columns.
    private void Pack(int item, int k0, int kc, int column, int columns, T* destination)
        => Packing.Panels(
            B + (item * BatchStrideB), StrideB, TransposeB, GroupsB, GroupRowsB, k0, kc, column, columns, PanelWidth, TSimd.Width, destination);

    private void ComputeTask(int task)
    {
        var part = task / _rowTasks;
        var tile = task % _rowTasks * _tilesPerTask;
        var column = part * _columnsPerTask;
        var columns = Math.Min(_columnsPerTask, _groupColumns - column);
        var packed = _packed == null ? null : _packed + ((long)column * K);
        Compute(_item, tile, Math.Min(_tilesPerTask, _tiles - tile), _groupColumn + column, columns, packed);
    }

    // Tiles [first, first + tiles) of C[.., column .. column + columns] of one product. `packed` holds B's panels over all of k;
    // null packs here.
    private void Compute(int item, int first, int tiles, int column, int columns, T* packed)
    {
        var source = Rows;
        source.Source += item * BatchStrideA;
        var c = C + (item * BatchStrideC) + column;
        var padded = Pad(columns);
        var tilesAtOnce = Math.Min(tiles, MostTiles);
        var kcMost = Math.Min(BlockK, Math.Max(K, 1));
        var sumsInC = SumsInC;
        var finishedInKernel = FinishedInKernel;

        // Without shared panels all of k is packed here if it is used again for further rows, else one block at a time.
        var packedK = packed != null ? 0 : tiles > MostTiles ? Math.Max(K, 1) : kcMost;
        var mostPieces = source.MaxPieces(kcMost);
        var panelBytes = Lines((long)packedK * padded * sizeof(T));
        var sumBytes = sumsInC ? 0 : Lines((long)tilesAtOnce * TileRows * padded * sizeof(T));
        var rowBytes = Lines(source.ScratchElements(tilesAtOnce, kcMost) * sizeof(T));
        var lengthBytes = Lines(mostPieces * sizeof(int));
        var scratch = (byte*)(_scratch ??= new ScratchBuffer()).Reserve(
            panelBytes + sumBytes + rowBytes + lengthBytes + ((long)mostPieces * TileRows * sizeof(nint)));
        var panels = (T*)scratch;
        var sums = (T*)(scratch + panelBytes);
        var rowScratch = (T*)(scratch + panelBytes + sumBytes);
        var lengths = (int*)(scratch + panelBytes + sumBytes + rowBytes);
        var pointers = (nint*)(scratch + panelBytes + sumBytes + rowBytes + lengthBytes);

        if (packed == null && packedK == K)
        {
            for (var k0 = 0; k0 < K; k0 += BlockK)
            {
                Pack(item, k0, Math.Min(BlockK, K - k0), column, columns, panels + ((long)padded * k0));
            }

            packed = panels;
        }

        for (var t0 = 0; t0 < tiles; t0 += MostTiles)
        {
            var count = Math.Min(MostTiles, tiles - t0);
            var blockRow = source.TileAt(first + t0, M).Row;
            var afterTile = source.TileAt(first + t0 + count - 1, M);
            var blockRows = (int)(afterTile.Row + afterTile.Rows - blockRow);
            for (var k0 = 0; k0 < K || k0 == 0; k0 += BlockK)
            {
                var kc = Math.Min(BlockK, K - k0);
                var block = panels;
                if (packed != null)
                {
                    block = packed + ((long)padded * k0);
                }
                else
                {
                    Pack(item, k0, kc, column, columns, block);
                }

                source.PrepareBlock(blockRow, blockRows, k0, kc, rowScratch);
                var last = k0 + kc == K;
                Tile<T> work;
                work.Pointers = pointers;
                work.Lengths = lengths;
                work.Step = source.Step;
                work.Accumulate = k0 > 0;
                work.Bias = null;
                work.Residual = null;
                for (var t = 0; t < count; t++)
                {
                    var tile = source.TileAt(first + t0 + t, M);
                    work.Pieces = source.PrepareTile(tile, blockRow, k0, kc, pointers, lengths, rowScratch);
                    var d = sumsInC ? c + (tile.Output * StrideC) : sums + ((long)t * TileRows * padded);
                    work.Stride = sumsInC ? tile.OutputStep * StrideC : padded;
                    for (var panel = 0; panel < padded; panel += PanelWidth)
                    {
                        work.Panel = block + ((long)panel * kc);
                        work.D = d + panel;
                        if (last && finishedInKernel)
                        {
                            work.Bias = Bias == null ? null : Bias + column + panel;
                            work.Residual = Residual == null ? null : Residual + (work.D - C);
                        }

                        MicroKernels<TSimd, TVector, T>.Invoke(tile.Rows, Math.Min(TSimd.PanelVectors, (padded - panel) / TSimd.Width), &work);
                    }

                    for (var r = 0; last && !finishedInKernel && r < tile.Rows; r++)
                    {
                        var at = (tile.Output + (r * tile.OutputStep)) * StrideC;
                        var residual = Residual == null ? null : Residual + (item * BatchStrideC) + column + at;
                        FinishRow(Alpha, Beta, Epilogue, columns, d + (r * work.Stride), Bias == null ? null : Bias + column, residual, c + at);
                    }
                }
            }
        }
    }

    // Whole cache lines.
    private static long Lines(long bytes) => (bytes + 63) / 64 * 64;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FinishRow(double alphaFactor, double betaFactor, Epilogue epilogue, int columns, T* sums, T* bias, T* residual, T* c)
    {
        var alpha = TSimd.Constant(alphaFactor);
        var beta = TSimd.Constant(betaFactor);
        var edge = stackalloc T[3 * 16];
        for (var j = 0; j < columns; j += TSimd.Width)
        {
            var value = TSimd.Multiply(TSimd.Load(sums + j), alpha);
            var rest = columns - j;
            var whole = rest >= TSimd.Width;
            T* biasAt = bias + j, residualAt = residual + j, cAt = c + j;
            if (!whole)
            {
                // The last vector of the row reaches beyond it: its operands are brought to a place where that does no harm.
                var bytes = (uint)(rest * sizeof(T));
                if (bias != null)
                {
                    Unsafe.CopyBlockUnaligned(edge, biasAt, bytes);
                    biasAt = edge;
                }

                if (residual != null)
                {
                    Unsafe.CopyBlockUnaligned(edge + 16, residualAt, bytes);
                    residualAt = edge + 16;
                }

                if (betaFactor != 0)
                {
                    Unsafe.CopyBlockUnaligned(edge + 32, cAt, bytes);
                }

                cAt = edge + 32;
            }

            if (bias != null)
            {
                value = TSimd.Add(value, TSimd.Load(biasAt));
            }

            if (betaFactor != 0)
            {
                value = TSimd.MultiplyAdd(beta, TSimd.Load(cAt), value);
            }

            if (residual != null)
            {
                value = TSimd.Add(value, TSimd.Load(residualAt));
            }

            if (epilogue != Epilogue.None)
            {
                value = VectorMath.Activate<TSimd, TVector, T>(epilogue, value);
            }

            TSimd.Store(value, cAt);
            if (!whole)
            {
                Unsafe.CopyBlockUnaligned(c + j, edge + 32, (uint)(rest * sizeof(T)));
            }
        }
    }
}
