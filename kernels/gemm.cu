// Matrix products: C = epilogue(alpha op(A) op(B) + bias + beta R), all row-major, a batch along the grid's z. The entries differ
// in what is transposed (n or t for A, then B) and in the tile a block computes; they give the same bits, since every sum runs
// over k in ascending order. Our own way beside the vendor's library: it serves where there is none, and checks it.
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
    long long strideB, long long strideC, typename S::Element alpha, typename S::Element beta, int epilogue)
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

// Large products: a [m, k], b [k, n], c and residual [m, n], bias [n] or null, residual (another matrix than c) or null; rows
// lda, ldb and ldc elements apart, matrices of the batch strideA, strideB and strideC. Moves at least (mk + kn + mn) elements.
// Grid: (tiles, 1, batch), Tiles<float>::Large of C a block.
extern "C" __global__ void __launch_bounds__(Tiles<float>::Large::THREADS, 2) gemm_nn_f32(
    const float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ bias, const float* __restrict__ residual,
    float* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, long long strideA, long long strideB,
    long long strideC, float alpha, float beta, int epilogue)
{
    multiply_tile<Tiles<float>::Large, false, false>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

// Large products: a [m, k], b [k, n], c and residual [m, n], bias [n] or null, residual (another matrix than c) or null; rows
// lda, ldb and ldc elements apart, matrices of the batch strideA, strideB and strideC. Moves at least (mk + kn + mn) elements.
// Grid: (tiles, 1, batch), Tiles<double>::Large of C a block.
extern "C" __global__ void __launch_bounds__(Tiles<double>::Large::THREADS, 2) gemm_nn_f64(
    const double* __restrict__ a, const double* __restrict__ b, const double* __restrict__ bias, const double* __restrict__ residual,
    double* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, long long strideA, long long strideB,
    long long strideC, double alpha, double beta, int epilogue)
{
    multiply_tile<Tiles<double>::Large, false, false>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

// Large products: a [m, k], b [n, k] (weights of a linear layer), c and residual [m, n], bias [n] or null, residual (another
// matrix than c) or null; rows lda, ldb and ldc elements apart, matrices of the batch strideA, strideB and strideC. Moves at
// least (mk + kn + mn) elements. Grid: (tiles, 1, batch), Tiles<float>::Large of C a block.
extern "C" __global__ void __launch_bounds__(Tiles<float>::Large::THREADS, 2) gemm_nt_f32(
    const float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ bias, const float* __restrict__ residual,
    float* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, long long strideA, long long strideB,
    long long strideC, float alpha, float beta, int epilogue)
{
    multiply_tile<Tiles<float>::Large, false, true>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

// Large products: a [m, k], b [n, k] (weights of a linear layer), c and residual [m, n], bias [n] or null, residual (another
// matrix than c) or null; rows lda, ldb and ldc elements apart, matrices of the batch strideA, strideB and strideC. Moves at
// least (mk + kn + mn) elements. Grid: (tiles, 1, batch), Tiles<double>::Large of C a block.
extern "C" __global__ void __launch_bounds__(Tiles<double>::Large::THREADS, 2) gemm_nt_f64(
    const double* __restrict__ a, const double* __restrict__ b, const double* __restrict__ bias, const double* __restrict__ residual,
    double* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, long long strideA, long long strideB,
    long long strideC, double alpha, double beta, int epilogue)
{
    multiply_tile<Tiles<double>::Large, false, true>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

// Large products: a [k, m], b [k, n], c and residual [m, n], bias [n] or null, residual (another matrix than c) or null; rows
// lda, ldb and ldc elements apart, matrices of the batch strideA, strideB and strideC. Moves at least (mk + kn + mn) elements.
// Grid: (tiles, 1, batch), Tiles<float>::Large of C a block.
extern "C" __global__ void __launch_bounds__(Tiles<float>::Large::THREADS, 2) gemm_tn_f32(
    const float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ bias, const float* __restrict__ residual,
    float* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, long long strideA, long long strideB,
    long long strideC, float alpha, float beta, int epilogue)
{
    multiply_tile<Tiles<float>::Large, true, false>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

// Large products: a [k, m], b [k, n], c and residual [m, n], bias [n] or null, residual (another matrix than c) or null; rows
// lda, ldb and ldc elements apart, matrices of the batch strideA, strideB and strideC. Moves at least (mk + kn + mn) elements.
// Grid: (tiles, 1, batch), Tiles<double>::Large of C a block.
extern "C" __global__ void __launch_bounds__(Tiles<double>::Large::THREADS, 2) gemm_tn_f64(
    const double* __restrict__ a, const double* __restrict__ b, const double* __restrict__ bias, const double* __restrict__ residual,
    double* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, long long strideA, long long strideB,
    long long strideC, double alpha, double beta, int epilogue)
{
    multiply_tile<Tiles<double>::Large, true, false>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

// Large products: a [k, m], b [n, k], c and residual [m, n], bias [n] or null, residual (another matrix than c) or null; rows
// lda, ldb and ldc elements apart, matrices of the batch strideA, strideB and strideC. Moves at least (mk + kn + mn) elements.
// Grid: (tiles, 1, batch), Tiles<float>::Large of C a block.
extern "C" __global__ void __launch_bounds__(Tiles<float>::Large::THREADS, 2) gemm_tt_f32(
    const float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ bias, const float* __restrict__ residual,
    float* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, long long strideA, long long strideB,
    long long strideC, float alpha, float beta, int epilogue)
{
    multiply_tile<Tiles<float>::Large, true, true>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

// Large products: a [k, m], b [n, k], c and residual [m, n], bias [n] or null, residual (another matrix than c) or null; rows
// lda, ldb and ldc elements apart, matrices of the batch strideA, strideB and strideC. Moves at least (mk + kn + mn) elements.
// Grid: (tiles, 1, batch), Tiles<double>::Large of C a block.
extern "C" __global__ void __launch_bounds__(Tiles<double>::Large::THREADS, 2) gemm_tt_f64(
    const double* __restrict__ a, const double* __restrict__ b, const double* __restrict__ bias, const double* __restrict__ residual,
    double* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, long long strideA, long long strideB,
    long long strideC, double alpha, double beta, int epilogue)
{
    multiply_tile<Tiles<double>::Large, true, true>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

// Small products: a [m, k], b [k, n], c and residual [m, n], bias [n] or null, residual (another matrix than c) or null; rows
// lda, ldb and ldc elements apart, matrices of the batch strideA, strideB and strideC. Moves at least (mk + kn + mn) elements.
// Grid: (tiles, 1, batch), Tiles<float>::Small of C a block.
extern "C" __global__ void __launch_bounds__(Tiles<float>::Small::THREADS) gemm_nn_small_f32(
    const float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ bias, const float* __restrict__ residual,
    float* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, long long strideA, long long strideB,
    long long strideC, float alpha, float beta, int epilogue)
{
    multiply_tile<Tiles<float>::Small, false, false>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

// Small products: a [m, k], b [k, n], c and residual [m, n], bias [n] or null, residual (another matrix than c) or null; rows
// lda, ldb and ldc elements apart, matrices of the batch strideA, strideB and strideC. Moves at least (mk + kn + mn) elements.
// Grid: (tiles, 1, batch), Tiles<double>::Small of C a block.
extern "C" __global__ void __launch_bounds__(Tiles<double>::Small::THREADS) gemm_nn_small_f64(
    const double* __restrict__ a, const double* __restrict__ b, const double* __restrict__ bias, const double* __restrict__ residual,
    double* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, long long strideA, long long strideB,
    long long strideC, double alpha, double beta, int epilogue)
{
    multiply_tile<Tiles<double>::Small, false, false>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

// Small products: a [m, k], b [n, k] (weights of a linear layer), c and residual [m, n], bias [n] or null, residual (another
// matrix than c) or null; rows lda, ldb and ldc elements apart, matrices of the batch strideA, strideB and strideC. Moves at
// least (mk + kn + mn) elements. Grid: (tiles, 1, batch), Tiles<float>::Small of C a block.
extern "C" __global__ void __launch_bounds__(Tiles<float>::Small::THREADS) gemm_nt_small_f32(
    const float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ bias, const float* __restrict__ residual,
    float* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, long long strideA, long long strideB,
    long long strideC, float alpha, float beta, int epilogue)
{
    multiply_tile<Tiles<float>::Small, false, true>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

// Small products: a [m, k], b [n, k] (weights of a linear layer), c and residual [m, n], bias [n] or null, residual (another
// matrix than c) or null; rows lda, ldb and ldc elements apart, matrices of the batch strideA, strideB and strideC. Moves at
// least (mk + kn + mn) elements. Grid: (tiles, 1, batch), Tiles<double>::Small of C a block.
extern "C" __global__ void __launch_bounds__(Tiles<double>::Small::THREADS) gemm_nt_small_f64(
    const double* __restrict__ a, const double* __restrict__ b, const double* __restrict__ bias, const double* __restrict__ residual,
    double* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, long long strideA, long long strideB,
    long long strideC, double alpha, double beta, int epilogue)
{
    multiply_tile<Tiles<double>::Small, false, true>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

// Small products: a [k, m], b [k, n], c and residual [m, n], bias [n] or null, residual (another matrix than c) or null; rows
// lda, ldb and ldc elements apart, matrices of the batch strideA, strideB and strideC. Moves at least (mk + kn + mn) elements.
// Grid: (tiles, 1, batch), Tiles<float>::Small of C a block.
extern "C" __global__ void __launch_bounds__(Tiles<float>::Small::THREADS) gemm_tn_small_f32(
    const float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ bias, const float* __restrict__ residual,
    float* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, long long strideA, long long strideB,
    long long strideC, float alpha, float beta, int epilogue)
{
    multiply_tile<Tiles<float>::Small, true, false>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

// Small products: a [k, m], b [k, n], c and residual [m, n], bias [n] or null, residual (another matrix than c) or null; rows
// lda, ldb and ldc elements apart, matrices of the batch strideA, strideB and strideC. Moves at least (mk + kn + mn) elements.
// Grid: (tiles, 1, batch), Tiles<double>::Small of C a block.
extern "C" __global__ void __launch_bounds__(Tiles<double>::Small::THREADS) gemm_tn_small_f64(
    const double* __restrict__ a, const double* __restrict__ b, const double* __restrict__ bias, const double* __restrict__ residual,
    double* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, long long strideA, long long strideB,
    long long strideC, double alpha, double beta, int epilogue)
{
    multiply_tile<Tiles<double>::Small, true, false>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

// Small products: a [k, m], b [n, k], c and residual [m, n], bias [n] or null, residual (another matrix than c) or null; rows
// lda, ldb and ldc elements apart, matrices of the batch strideA, strideB and strideC. Moves at least (mk + kn + mn) elements.
// Grid: (tiles, 1, batch), Tiles<float>::Small of C a block.
extern "C" __global__ void __launch_bounds__(Tiles<float>::Small::THREADS) gemm_tt_small_f32(
    const float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ bias, const float* __restrict__ residual,
    float* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, long long strideA, long long strideB,
    long long strideC, float alpha, float beta, int epilogue)
{
    multiply_tile<Tiles<float>::Small, true, true>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

// Small products: a [k, m], b [n, k], c and residual [m, n], bias [n] or null, residual (another matrix than c) or null; rows
// lda, ldb and ldc elements apart, matrices of the batch strideA, strideB and strideC. Moves at least (mk + kn + mn) elements.
// Grid: (tiles, 1, batch), Tiles<double>::Small of C a block.
extern "C" __global__ void __launch_bounds__(Tiles<double>::Small::THREADS) gemm_tt_small_f64(
    const double* __restrict__ a, const double* __restrict__ b, const double* __restrict__ bias, const double* __restrict__ residual,
    double* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, long long strideA, long long strideB,
    long long strideC, double alpha, double beta, int epilogue)
{
    multiply_tile<Tiles<double>::Small, true, true>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

// Few columns: a [m, k], b [k, n], c and residual [m, n], bias [n] or null, residual (another matrix than c) or null; rows lda,
// ldb and ldc elements apart, matrices of the batch strideA, strideB and strideC. Moves at least (mk + kn + mn) elements. Grid:
// (tiles, 1, batch), Tiles<float>::Narrow of C a block.
extern "C" __global__ void __launch_bounds__(Tiles<float>::Narrow::THREADS) gemm_nn_narrow_f32(
    const float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ bias, const float* __restrict__ residual,
    float* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, long long strideA, long long strideB,
    long long strideC, float alpha, float beta, int epilogue)
{
    multiply_tile<Tiles<float>::Narrow, false, false>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

// Few columns: a [m, k], b [k, n], c and residual [m, n], bias [n] or null, residual (another matrix than c) or null; rows lda,
// ldb and ldc elements apart, matrices of the batch strideA, strideB and strideC. Moves at least (mk + kn + mn) elements. Grid:
// (tiles, 1, batch), Tiles<double>::Narrow of C a block.
extern "C" __global__ void __launch_bounds__(Tiles<double>::Narrow::THREADS) gemm_nn_narrow_f64(
    const double* __restrict__ a, const double* __restrict__ b, const double* __restrict__ bias, const double* __restrict__ residual,
    double* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, long long strideA, long long strideB,
    long long strideC, double alpha, double beta, int epilogue)
{
    multiply_tile<Tiles<double>::Narrow, false, false>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

// Few columns: a [m, k], b [n, k] (weights of a linear layer), c and residual [m, n], bias [n] or null, residual (another
// matrix than c) or null; rows lda, ldb and ldc elements apart, matrices of the batch strideA, strideB and strideC. Moves at
// least (mk + kn + mn) elements. Grid: (tiles, 1, batch), Tiles<float>::Narrow of C a block.
extern "C" __global__ void __launch_bounds__(Tiles<float>::Narrow::THREADS) gemm_nt_narrow_f32(
    const float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ bias, const float* __restrict__ residual,
    float* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, long long strideA, long long strideB,
    long long strideC, float alpha, float beta, int epilogue)
{
    multiply_tile<Tiles<float>::Narrow, false, true>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

// Few columns: a [m, k], b [n, k] (weights of a linear layer), c and residual [m, n], bias [n] or null, residual (another
// matrix than c) or null; rows lda, ldb and ldc elements apart, matrices of the batch strideA, strideB and strideC. Moves at
// least (mk + kn + mn) elements. Grid: (tiles, 1, batch), Tiles<double>::Narrow of C a block.
extern "C" __global__ void __launch_bounds__(Tiles<double>::Narrow::THREADS) gemm_nt_narrow_f64(
    const double* __restrict__ a, const double* __restrict__ b, const double* __restrict__ bias, const double* __restrict__ residual,
    double* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, long long strideA, long long strideB,
    long long strideC, double alpha, double beta, int epilogue)
{
    multiply_tile<Tiles<double>::Narrow, false, true>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

// A few rows times transposed weights reads every weight once, whatever a tile looks like: a warp takes one column of C and up
// to four rows, its lanes run along k in vectors, and a butterfly adds the 32 partial sums. The order depends on k alone.
template <typename T>
__device__ __forceinline__ void multiply_rows(
    const T* __restrict__ a, const T* __restrict__ b, const T* __restrict__ bias, const T* __restrict__ residual,
    T* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, T alpha, T beta, int epilogue)
{
    const int V = 16 / sizeof(T), ROWS = 4;
    const int lane = (int)(threadIdx.x % 32), column = (int)(blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32);
    const int firstRow = (int)blockIdx.y * ROWS;
    if (column >= n)
    {
        return;
    }
    const T* const weights = b + (long long)column * ldb;
    const T* rows[ROWS];
    T sum[ROWS];
#pragma unroll
    for (int i = 0; i < ROWS; ++i)
    {
        rows[i] = a + (long long)smaller(firstRow + i, m - 1) * lda;
        sum[i] = T(0);
    }
    int k0 = 0;
    if (aligned16(a) && aligned16(b) && lda % V == 0 && ldb % V == 0)
    {
        for (; k0 + 32 * V <= k; k0 += 32 * V)
        {
            T w[V];
            Vector<T>::load(w, weights + k0 + lane * V);
#pragma unroll
            for (int i = 0; i < ROWS; ++i)
            {
                T x[V];
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
        const T w = k0 + lane < k ? weights[at] : T(0);
#pragma unroll
        for (int i = 0; i < ROWS; ++i)
        {
            sum[i] = fused_multiply_add(rows[i][at], w, sum[i]);
        }
    }
    T own = T(0);
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
        T value = fused_multiply_add(alpha, own, bias == nullptr ? T(0) : bias[column]);
        if (residual != nullptr)
        {
            value = fused_multiply_add(beta, residual[(long long)row * ldc + column], value);
        }
        c[(long long)row * ldc + column] = apply_epilogue(epilogue, value);
    }
}

// Few rows: a [m, k], b [n, k], c and residual [m, n], bias [n] or null, residual (another matrix than c) or null; rows lda, ldb
// and ldc elements apart. Reads the weights once for every four rows. Grid: (n / 4, m / 4), 128 threads.
extern "C" __global__ void __launch_bounds__(128) gemm_nt_rows_f32(
    const float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ bias, const float* __restrict__ residual,
    float* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, float alpha, float beta, int epilogue)
{
    multiply_rows<float>(a, b, bias, residual, c, m, n, k, lda, ldb, ldc, alpha, beta, epilogue);
}

// Few rows: a [m, k], b [n, k], c and residual [m, n], bias [n] or null, residual (another matrix than c) or null; rows lda, ldb
// and ldc elements apart. Reads the weights once for every four rows. Grid: (n / 4, m / 4), 128 threads.
extern "C" __global__ void __launch_bounds__(128) gemm_nt_rows_f64(
    const double* __restrict__ a, const double* __restrict__ b, const double* __restrict__ bias, const double* __restrict__ residual,
    double* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, double alpha, double beta, int epilogue)
{
    multiply_rows<double>(a, b, bias, residual, c, m, n, k, lda, ldb, ldc, alpha, beta, epilogue);
}
