// The heart of our matrix products and convolutions: one block computes a BM x BN tile of C, BK steps of k at a time, from
// two tiles of shared memory while the next two are on their way in registers. Every element's sum runs over k in ascending
// order with one fused multiply-add a step, whatever the tile's size: all variants give the same bits.
#pragma once
#include "common.cuh"
#include "epilogue.cuh"

// Accesses a vector of elements: 16 bytes of what is computed with, which half types store in 8.
template <typename T>
struct Vector
{
    static __device__ __forceinline__ void load(Compute<T> (&to)[4], const T* from)
    {
        const Four<Compute<T>> v = load4(from);
        to[0] = v.x;
        to[1] = v.y;
        to[2] = v.z;
        to[3] = v.w;
    }
    static __device__ __forceinline__ void store(T* to, const Compute<T> (&from)[4])
    {
        store4(to, {from[0], from[1], from[2], from[3]});
    }
};

template <>
struct Vector<double>
{
    static __device__ __forceinline__ void load(double (&to)[2], const double* from)
    {
        const double2 v = *reinterpret_cast<const double2*>(from);
        to[0] = v.x;
        to[1] = v.y;
    }
    static __device__ __forceinline__ void store(double* to, const double (&from)[2])
    {
        *reinterpret_cast<double2*>(to) = make_double2(from[0], from[1]);
    }
};

__device__ __forceinline__ int smaller(int a, int b) { return a < b ? a : b; }

// The shape of a block's work: a tile of ROWS x COLS of C, a thread computing THREAD_ROWS x THREAD_COLS of it. A thread's
// rows come in groups of V (one vector) that lie ROW_THREADS * V apart, and its columns likewise: then a warp reads shared
// memory in whole vectors without bank conflicts and writes C in whole lines. T is what the operands store; tiles and sums hold
// what is computed with.
template <typename T, int ROWS_, int COLS_, int DEPTH_, int THREAD_ROWS_, int THREAD_COLS_>
struct TileShape
{
    typedef T Element;
    typedef Compute<T> Number;
    static const int V = 16 / sizeof(Number);
    static const int ROWS = ROWS_, COLS = COLS_, DEPTH = DEPTH_, THREAD_ROWS = THREAD_ROWS_, THREAD_COLS = THREAD_COLS_;
    static const int ROW_THREADS = ROWS / THREAD_ROWS, COL_THREADS = COLS / THREAD_COLS;
    static const int THREADS = ROW_THREADS * COL_THREADS;
    // One vector of padding keeps vectors aligned and lets fragments of neighbouring k start in different banks.
    static const int ROW_PITCH = ROWS + V, COL_PITCH = COLS + V;
    // Pairs of steps of k that are unrolled. The largest tile has two blocks of 256 threads a multiprocessor, and so 128 registers
    // a thread, half of them sums: with more operands under way than a pair's, it would spill.
    static const int UNROLL = ROWS * COLS > 64 * 64 ? 1 : DEPTH / 2;
    static_assert(DEPTH % V == 0 && THREAD_ROWS % V == 0 && THREAD_COLS % V == 0, "whole vectors only");
};

// Tiles by element type: for large results, for small ones, for few columns (a decoder's last layer has three). The host's
// launches know these numbers: Ops.TiledLaunch in src/Tensor/Ops.Gemm.cs.
template <typename T>
struct Tiles
{
    typedef TileShape<T, 128, 128, 8, 8, 8> Large;
    typedef TileShape<T, 64, 64, 8, 8, 8> Small;
    typedef TileShape<T, 128, 16, 8, 8, 4> Narrow;
};

template <>
struct Tiles<double>
{
    typedef TileShape<double, 64, 64, 8, 4, 4> Large;
    typedef TileShape<double, 32, 32, 8, 4, 4> Small;
    typedef TileShape<double, 64, 16, 8, 4, 4> Narrow;
};

// Double-buffered tiles of both operands, k-major, so that a thread's fragment is a run of vectors.
template <typename S>
struct SharedTiles
{
    alignas(16) typename S::Number a[2][S::DEPTH][S::ROW_PITCH];
    alignas(16) typename S::Number b[2][S::DEPTH][S::COL_PITCH];
};

// Fetches an operand stored [lines, k] (k contiguous): A as it is, B transposed, convolution weights. Lines beyond the last
// repeat the last one (their results are never stored); k beyond the end is zero, without a branch. Lanes take neighbouring
// lines, so that what they put into shared memory lies side by side: no bank conflicts, and one vector on the virtual device.
template <typename T, int LINES, int PITCH, int DEPTH, int THREADS>
struct FetchAlongK
{
    typedef Compute<T> Number;
    static const int V = 16 / sizeof(Number), PER_LINE = DEPTH / V;
    static const unsigned TOTAL = LINES * PER_LINE, COUNT = (TOTAL + THREADS - 1) / THREADS;
    Number stage[COUNT][V];
    const T* line[COUNT];
    bool vectors;

    __device__ __forceinline__ void start(const T* base, long long pitch, int first, int lines)
    {
        vectors = is_vector_aligned(base) && pitch % V == 0;
#pragma unroll
        for (int i = 0; i < COUNT; ++i)
        {
            const unsigned index = threadIdx.x + i * THREADS;
            line[i] = base + (long long)smaller(first + (int)(index % LINES), lines - 1) * pitch + index / LINES * V;
        }
    }

    // Takes k0 .. k0 + DEPTH - 1 of a run whose element 0 lies `offset` elements into the line and which ends before `end`.
    __device__ __forceinline__ void fetch(long long offset, int k0, int end)
    {
        const bool whole = vectors && k0 + DEPTH <= end;
        if (whole)
        {
#pragma unroll
            for (int i = 0; i < COUNT; ++i)
            {
                if (TOTAL % THREADS == 0 || threadIdx.x + i * THREADS < TOTAL)
                {
                    Vector<T>::load(stage[i], line[i] + offset + k0);
                }
            }
            return;
        }
#pragma unroll
        for (int i = 0; i < COUNT; ++i)
        {
            const unsigned index = threadIdx.x + i * THREADS;
            if (TOTAL % THREADS == 0 || index < TOTAL)
            {
                const int own = (int)(index / LINES * V);
#pragma unroll
                for (int e = 0; e < V; ++e)
                {
                    const int k = k0 + own + e;
                    const Number value = (line[i] + offset)[smaller(k, end - 1) - own];
                    stage[i][e] = k < end ? value : Number(0);
                }
            }
        }
    }

    __device__ __forceinline__ void put(Number (*tile)[PITCH]) const
    {
#pragma unroll
        for (int i = 0; i < COUNT; ++i)
        {
            const unsigned index = threadIdx.x + i * THREADS;
            if (TOTAL % THREADS != 0 && index >= TOTAL)
            {
                break;
            }
#pragma unroll
            for (int e = 0; e < V; ++e)
            {
                tile[index / LINES * V + e][index % LINES] = stage[i][e];
            }
        }
    }
};

// Fetches an operand stored [k, lines] (lines contiguous): A transposed, B as it is.
template <typename T, int LINES, int PITCH, int DEPTH, int THREADS>
struct FetchAcrossK
{
    typedef Compute<T> Number;
    static const int V = 16 / sizeof(Number), PER_K = LINES / V;
    static const unsigned TOTAL = DEPTH * PER_K, COUNT = (TOTAL + THREADS - 1) / THREADS;
    Number stage[COUNT][V];
    const T* base;
    long long pitch;
    int first, lines;
    bool vectors;

    __device__ __forceinline__ void start(const T* operand, long long operandPitch, int firstLine, int lineCount)
    {
        base = operand;
        pitch = operandPitch;
        first = firstLine;
        lines = lineCount;
        vectors = is_vector_aligned(operand) && operandPitch % V == 0 && firstLine + LINES <= lineCount;
    }

    __device__ __forceinline__ void fetch(long long, int k0, int end)
    {
#pragma unroll
        for (int i = 0; i < COUNT; ++i)
        {
            const unsigned index = threadIdx.x + i * THREADS;
            if (TOTAL % THREADS != 0 && index >= TOTAL)
            {
                break;
            }
            const int k = k0 + (int)(index / PER_K), own = first + (int)(index % PER_K * V);
            const T* const row = base + (long long)smaller(k, end - 1) * pitch;
            if (vectors)
            {
                Vector<T>::load(stage[i], row + own);
            }
            else
            {
#pragma unroll
                for (int e = 0; e < V; ++e)
                {
                    stage[i][e] = row[smaller(own + e, lines - 1)];
                }
            }
#pragma unroll
            for (int e = 0; e < V; ++e)
            {
                stage[i][e] = k < end ? stage[i][e] : Number(0);
            }
        }
    }

    __device__ __forceinline__ void put(Number (*tile)[PITCH]) const
    {
#pragma unroll
        for (int i = 0; i < COUNT; ++i)
        {
            const unsigned index = threadIdx.x + i * THREADS;
            if (TOTAL % THREADS != 0 && index >= TOTAL)
            {
                break;
            }
            Vector<Number>::store(&tile[index / PER_K][index % PER_K * V], stage[i]);
        }
    }
};

// A thread's share of the tile.
template <typename S>
struct Accumulator
{
    typedef typename S::Element T;
    typedef typename S::Number Number;
    Number sum[S::THREAD_ROWS][S::THREAD_COLS];

    __device__ __forceinline__ void clear()
    {
#pragma unroll
        for (int i = 0; i < S::THREAD_ROWS; ++i)
        {
#pragma unroll
            for (int j = 0; j < S::THREAD_COLS; ++j)
            {
                sum[i][j] = Number(0);
            }
        }
    }

    // sum += A B over one tile of shared memory.
    __device__ __forceinline__ void multiply(const Number (*a)[S::ROW_PITCH], const Number (*b)[S::COL_PITCH])
    {
        const unsigned row = threadIdx.x / S::COL_THREADS * S::V, col = threadIdx.x % S::COL_THREADS * S::V;
#pragma unroll S::UNROLL
        for (int k0 = 0; k0 < S::DEPTH; k0 += 2)
        {
            // Two steps of k at a time, and each sum takes both before the next: that halves how often a sum is fetched and put
            // back where registers are memory (on the virtual device), and costs a GPU nothing.
            Number left[2][S::THREAD_ROWS / S::V][S::V], right[2][S::THREAD_COLS / S::V][S::V];
#pragma unroll
            for (int k = 0; k < 2; ++k)
            {
#pragma unroll
                for (int g = 0; g < S::THREAD_ROWS / S::V; ++g)
                {
                    Vector<Number>::load(left[k][g], &a[k0 + k][g * S::ROW_THREADS * S::V + row]);
                }
#pragma unroll
                for (int g = 0; g < S::THREAD_COLS / S::V; ++g)
                {
                    Vector<Number>::load(right[k][g], &b[k0 + k][g * S::COL_THREADS * S::V + col]);
                }
            }
#pragma unroll
            for (int i = 0; i < S::THREAD_ROWS; ++i)
            {
#pragma unroll
                for (int j = 0; j < S::THREAD_COLS; ++j)
                {
#pragma unroll
                    for (int k = 0; k < 2; ++k)
                    {
                        sum[i][j] = fused_multiply_add(left[k][i / S::V][i % S::V], right[k][j / S::V][j % S::V], sum[i][j]);
                    }
                }
            }
        }
    }

    // C = epilogue(alpha * sum + bias + beta * residual) for the tile whose first element is (firstRow, firstCol). bias [cols]
    // and residual (C's shape and pitch, another matrix than C) may be null. The loop over rows stays a loop, so that the
    // activations appear once in the code and not once an element.
    __device__ __forceinline__ void finish(
        T* c, const T* bias, const T* residual, long long pitch, int firstRow, int firstCol, int rows, int cols, Number alpha,
        Number beta, int epilogue) const
    {
        const int row = firstRow + (int)(threadIdx.x / S::COL_THREADS * S::V);
        const int col = firstCol + (int)(threadIdx.x % S::COL_THREADS * S::V);
        const bool vectors = is_vector_aligned(c) && is_vector_aligned(residual) && pitch % S::V == 0;
        Number added[S::THREAD_COLS];
#pragma unroll
        for (int j = 0; j < S::THREAD_COLS; ++j)
        {
            const int n = col + j / S::V * S::COL_THREADS * S::V + j % S::V;
            added[j] = bias == nullptr ? Number(0) : Number(bias[smaller(n, cols - 1)]);
        }
#pragma unroll 1
        for (int g = 0; g < S::THREAD_ROWS; ++g)
        {
            const int m = row + g / S::V * S::ROW_THREADS * S::V + g % S::V;
            Number value[S::THREAD_COLS / S::V][S::V];
#pragma unroll
            for (int j = 0; j < S::THREAD_COLS; ++j)
            {
                Number chosen = sum[0][j];
#pragma unroll
                for (int i = 1; i < S::THREAD_ROWS; ++i)
                {
                    chosen = i == g ? sum[i][j] : chosen;
                }
                value[j / S::V][j % S::V] = fused_multiply_add(alpha, chosen, added[j]);
            }
            if (m >= rows)
            {
                continue;
            }
#pragma unroll
            for (int h = 0; h < S::THREAD_COLS / S::V; ++h)
            {
                const int n = col + h * S::COL_THREADS * S::V;
                const long long at = (long long)m * pitch + n;
                const bool whole = vectors && n + S::V <= cols;
                if (residual != nullptr)
                {
                    if (whole)
                    {
                        Number held[S::V];
                        Vector<T>::load(held, residual + at);
#pragma unroll
                        for (int e = 0; e < S::V; ++e)
                        {
                            value[h][e] = fused_multiply_add(beta, held[e], value[h][e]);
                        }
                    }
                    else
                    {
#pragma unroll
                        for (int e = 0; e < S::V; ++e)
                        {
                            if (n + e < cols)
                            {
                                value[h][e] = fused_multiply_add(beta, residual[at + e], value[h][e]);
                            }
                        }
                    }
                }
                if (epilogue != EPILOGUE_NONE)
                {
#pragma unroll
                    for (int e = 0; e < S::V; ++e)
                    {
                        value[h][e] = apply_epilogue(epilogue, value[h][e]);
                    }
                }
                if (whole)
                {
                    Vector<T>::store(c + at, value[h]);
                }
                else
                {
#pragma unroll
                    for (int e = 0; e < S::V; ++e)
                    {
                        if (n + e < cols)
                        {
                            c[at + e] = T(value[h][e]);
                        }
                    }
                }
            }
        }
    }
};

// The tile that block `index` computes. Blocks that run together should share operands: they walk bands of eight rows of
// tiles, down the band first, so that both a slice of A and a slice of B stay in the L2 cache.
__device__ __forceinline__ void tile_of(int index, int rowTiles, int colTiles, int& row, int& col)
{
    const int BAND = 8;
    const int band = index / (BAND * colTiles), inside = index - band * (BAND * colTiles);
    const int height = smaller(BAND, rowTiles - band * BAND);
    col = inside / height;
    row = band * BAND + inside - col * height;
}
