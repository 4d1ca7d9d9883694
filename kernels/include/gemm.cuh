// A tile of a matrix product, and a few rows of one: the bodies of gemm.cu and gemm_half.cu.
#pragma once

#include "tile_product.cuh"

// Picks how an operand is fetched: along k where k is contiguous in it.
template <typename S, bool ALONG_K, int LINES, int PITCH>
struct FetchOf;

template <typename S, int LINES, int PITCH>
struct FetchOf<S, true, LINES, PITCH>
{
    typedef FetchAlongK<typename S::Element, LINES, PITCH, S::DEPTH, S::THREADS> Type;
};

template <typename S, int LINES, int PITCH>
struct FetchOf<S, false, LINES, PITCH>
{
    typedef FetchAcrossK<typename S::Element, LINES, PITCH, S::DEPTH, S::THREADS> Type;
};

template <typename S, bool TRANSPOSE_A, bool TRANSPOSE_B>
__device__ __forceinline__ void multiply_tile(
    const typename S::Element* __restrict__ a, const typename S::Element* __restrict__ b,
    const typename S::Element* __restrict__ bias, const typename S::Element* __restrict__ residual,
    typename S::Element* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, long long strideA,
    long long strideB, long long strideC, typename S::Number alpha, typename S::Number beta, int epilogue)
{
    __shared__ SharedTiles<S> tiles;
    int tileRow, tileCol;
    tile_of(blockIdx.x, (m + S::ROWS - 1) / S::ROWS, (n + S::COLS - 1) / S::COLS, tileRow, tileCol);
    const int firstRow = tileRow * S::ROWS, firstCol = tileCol * S::COLS;
    const long long batch = blockIdx.z;

    typename FetchOf<S, !TRANSPOSE_A, S::ROWS, S::ROW_PITCH>::Type fetchA;
    typename FetchOf<S, TRANSPOSE_B, S::COLS, S::COL_PITCH>::Type fetchB;
    fetchA.start(a + batch * strideA, lda, firstRow, m);
    fetchB.start(b + batch * strideB, ldb, firstCol, n);
    Accumulator<S> accumulator;
    accumulator.clear();

    fetchA.fetch(0, 0, k);
    fetchB.fetch(0, 0, k);
    fetchA.put(tiles.a[0]);
    fetchB.put(tiles.b[0]);
    __syncthreads();
    for (int next = S::DEPTH, current = 0;; next += S::DEPTH)
    {
        const bool more = next < k;
        if (more)
        {
            fetchA.fetch(0, next, k);
            fetchB.fetch(0, next, k);
        }
        accumulator.multiply(tiles.a[current], tiles.b[current]);
        if (!more)
        {
            break;
        }
        current ^= 1;
        fetchA.put(tiles.a[current]);
        fetchB.put(tiles.b[current]);
        __syncthreads();
    }

    const typename S::Element* const added = residual == nullptr ? nullptr : residual + batch * strideC;
    accumulator.finish(c + batch * strideC, bias, added, ldc, firstRow, firstCol, m, n, alpha, beta, epilogue);
}

// A few rows times transposed weights reads every weight once, whatever a tile looks like: a warp takes one column of C and up
// to four rows, its lanes run along k in vectors, and a butterfly adds the 32 partial sums. The order depends on k alone.
template <typename T>
__device__ __forceinline__ void multiply_rows(
    const T* __restrict__ a, const T* __restrict__ b, const T* __restrict__ bias, const T* __restrict__ residual,
    T* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, Compute<T> alpha, Compute<T> beta,
    int epilogue)
{
    typedef Compute<T> Number;
    const int V = 16 / sizeof(Number), ROWS = 4;
    const int lane = (int)(threadIdx.x % 32), column = (int)(blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32);
    const int firstRow = (int)blockIdx.y * ROWS;
    if (column >= n)
    {
        return;
    }
    const T* const weights = b + (long long)column * ldb;
    const T* rows[ROWS];
    Number sum[ROWS];
#pragma unroll
    for (int i = 0; i < ROWS; ++i)
    {
        rows[i] = a + (long long)smaller(firstRow + i, m - 1) * lda;
        sum[i] = Number(0);
    }
    int k0 = 0;
    if (is_vector_aligned(a) && is_vector_aligned(b) && lda % V == 0 && ldb % V == 0)
    {
        for (; k0 + 32 * V <= k; k0 += 32 * V)
        {
            Number w[V];
            Vector<T>::load(w, weights + k0 + lane * V);
#pragma unroll
            for (int i = 0; i < ROWS; ++i)
            {
                Number x[V];
                Vector<T>::load(x, rows[i] + k0 + lane * V);
#pragma unroll
                for (int e = 0; e < V; ++e)
                {
                    sum[i] = fused_multiply_add(x[e], w[e], sum[i]);
                }
            }
        }
    }
    else
    {
        // The same elements a lane as above, one at a time, so that alignment changes no bit.
        for (; k0 + 32 * V <= k; k0 += 32 * V)
        {
#pragma unroll
            for (int i = 0; i < ROWS; ++i)
            {
#pragma unroll
                for (int e = 0; e < V; ++e)
                {
                    sum[i] = fused_multiply_add(rows[i][k0 + lane * V + e], weights[k0 + lane * V + e], sum[i]);
                }
            }
        }
    }
    for (; k0 < k; k0 += 32)
    {
        const int at = smaller(k0 + lane, k - 1);
        const Number w = k0 + lane < k ? Number(weights[at]) : Number(0);
#pragma unroll
        for (int i = 0; i < ROWS; ++i)
        {
            sum[i] = fused_multiply_add(rows[i][at], w, sum[i]);
        }
    }
    Number own = Number(0);
#pragma unroll
    for (int i = 0; i < ROWS; ++i)
    {
#pragma unroll
        for (int step = 16; step > 0; step >>= 1)
        {
            sum[i] += __shfl_xor_sync(0xffffffffu, sum[i], step);
        }
        own = lane == i ? sum[i] : own;
    }
    const int row = firstRow + lane;
    if (lane < ROWS && row < m)
    {
        Number value = fused_multiply_add(alpha, own, bias == nullptr ? Number(0) : Number(bias[column]));
        if (residual != nullptr)
        {
            value = fused_multiply_add(beta, residual[(long long)row * ldc + column], value);
        }
        c[(long long)row * ldc + column] = T(apply_epilogue(epilogue, value));
    }
}
