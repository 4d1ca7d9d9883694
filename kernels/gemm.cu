// Matrix products: C = epilogue(alpha op(A) op(B) + bias + beta R), all row-major, a batch along the grid's z. The entries differ
// in what is transposed (n or t for A, then B) and in the tile a block computes; they give the same bits, since every sum runs
// over k in ascending order. Our own way beside the vendor's library: it serves where there is none, and checks it.
#include "gemm.cuh"

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
