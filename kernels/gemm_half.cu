// The kernels of gemm.cu for half types: operands become float on their way into a tile, sums are in float, and what bias, residual
// and activation make of them is rounded once.
#include "half.cuh"
#include "gemm.cuh"

// Large products: a [m, k], b [k, n], c and residual [m, n], bias [n] or null, residual (another matrix than c) or null; rows
// lda, ldb and ldc elements apart, matrices of the batch strideA, strideB and strideC. Moves at least (mk + kn + mn) elements.
// Grid: (tiles, 1, batch), Tiles<half>::Large of C a block.
extern "C" __global__ void __launch_bounds__(Tiles<half>::Large::THREADS, 2) gemm_nn_f16(
    const half* __restrict__ a, const half* __restrict__ b, const half* __restrict__ bias, const half* __restrict__ residual,
    half* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, long long strideA, long long strideB,
    long long strideC, float alpha, float beta, int epilogue)
{
    multiply_tile<Tiles<half>::Large, false, false>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

extern "C" __global__ void __launch_bounds__(Tiles<bfloat16>::Large::THREADS, 2) gemm_nn_bf16(
    const bfloat16* __restrict__ a, const bfloat16* __restrict__ b, const bfloat16* __restrict__ bias,
    const bfloat16* __restrict__ residual, bfloat16* __restrict__ c, int m, int n, int k, long long lda, long long ldb,
    long long ldc, long long strideA, long long strideB, long long strideC, float alpha, float beta, int epilogue)
{
    multiply_tile<Tiles<bfloat16>::Large, false, false>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

// Large products: a [m, k], b [n, k] (weights of a linear layer), c and residual [m, n], bias [n] or null, residual (another
// matrix than c) or null; rows lda, ldb and ldc elements apart, matrices of the batch strideA, strideB and strideC. Moves at
// least (mk + kn + mn) elements. Grid: (tiles, 1, batch), Tiles<half>::Large of C a block.
extern "C" __global__ void __launch_bounds__(Tiles<half>::Large::THREADS, 2) gemm_nt_f16(
    const half* __restrict__ a, const half* __restrict__ b, const half* __restrict__ bias, const half* __restrict__ residual,
    half* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, long long strideA, long long strideB,
    long long strideC, float alpha, float beta, int epilogue)
{
    multiply_tile<Tiles<half>::Large, false, true>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

extern "C" __global__ void __launch_bounds__(Tiles<bfloat16>::Large::THREADS, 2) gemm_nt_bf16(
    const bfloat16* __restrict__ a, const bfloat16* __restrict__ b, const bfloat16* __restrict__ bias,
    const bfloat16* __restrict__ residual, bfloat16* __restrict__ c, int m, int n, int k, long long lda, long long ldb,
    long long ldc, long long strideA, long long strideB, long long strideC, float alpha, float beta, int epilogue)
{
    multiply_tile<Tiles<bfloat16>::Large, false, true>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

// Large products: a [k, m], b [k, n], c and residual [m, n], bias [n] or null, residual (another matrix than c) or null; rows
// lda, ldb and ldc elements apart, matrices of the batch strideA, strideB and strideC. Moves at least (mk + kn + mn) elements.
// Grid: (tiles, 1, batch), Tiles<half>::Large of C a block.
extern "C" __global__ void __launch_bounds__(Tiles<half>::Large::THREADS, 2) gemm_tn_f16(
    const half* __restrict__ a, const half* __restrict__ b, const half* __restrict__ bias, const half* __restrict__ residual,
    half* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, long long strideA, long long strideB,
    long long strideC, float alpha, float beta, int epilogue)
{
    multiply_tile<Tiles<half>::Large, true, false>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

extern "C" __global__ void __launch_bounds__(Tiles<bfloat16>::Large::THREADS, 2) gemm_tn_bf16(
    const bfloat16* __restrict__ a, const bfloat16* __restrict__ b, const bfloat16* __restrict__ bias,
    const bfloat16* __restrict__ residual, bfloat16* __restrict__ c, int m, int n, int k, long long lda, long long ldb,
    long long ldc, long long strideA, long long strideB, long long strideC, float alpha, float beta, int epilogue)
{
    multiply_tile<Tiles<bfloat16>::Large, true, false>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

// Large products: a [k, m], b [n, k], c and residual [m, n], bias [n] or null, residual (another matrix than c) or null; rows
// lda, ldb and ldc elements apart, matrices of the batch strideA, strideB and strideC. Moves at least (mk + kn + mn) elements.
// Grid: (tiles, 1, batch), Tiles<half>::Large of C a block.
extern "C" __global__ void __launch_bounds__(Tiles<half>::Large::THREADS, 2) gemm_tt_f16(
    const half* __restrict__ a, const half* __restrict__ b, const half* __restrict__ bias, const half* __restrict__ residual,
    half* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, long long strideA, long long strideB,
    long long strideC, float alpha, float beta, int epilogue)
{
    multiply_tile<Tiles<half>::Large, true, true>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

extern "C" __global__ void __launch_bounds__(Tiles<bfloat16>::Large::THREADS, 2) gemm_tt_bf16(
    const bfloat16* __restrict__ a, const bfloat16* __restrict__ b, const bfloat16* __restrict__ bias,
    const bfloat16* __restrict__ residual, bfloat16* __restrict__ c, int m, int n, int k, long long lda, long long ldb,
    long long ldc, long long strideA, long long strideB, long long strideC, float alpha, float beta, int epilogue)
{
    multiply_tile<Tiles<bfloat16>::Large, true, true>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

// Small products: a [m, k], b [k, n], c and residual [m, n], bias [n] or null, residual (another matrix than c) or null; rows
// lda, ldb and ldc elements apart, matrices of the batch strideA, strideB and strideC. Moves at least (mk + kn + mn) elements.
// Grid: (tiles, 1, batch), Tiles<half>::Small of C a block.
extern "C" __global__ void __launch_bounds__(Tiles<half>::Small::THREADS) gemm_nn_small_f16(
    const half* __restrict__ a, const half* __restrict__ b, const half* __restrict__ bias, const half* __restrict__ residual,
    half* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, long long strideA, long long strideB,
    long long strideC, float alpha, float beta, int epilogue)
{
    multiply_tile<Tiles<half>::Small, false, false>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

extern "C" __global__ void __launch_bounds__(Tiles<bfloat16>::Small::THREADS) gemm_nn_small_bf16(
    const bfloat16* __restrict__ a, const bfloat16* __restrict__ b, const bfloat16* __restrict__ bias,
    const bfloat16* __restrict__ residual, bfloat16* __restrict__ c, int m, int n, int k, long long lda, long long ldb,
    long long ldc, long long strideA, long long strideB, long long strideC, float alpha, float beta, int epilogue)
{
    multiply_tile<Tiles<bfloat16>::Small, false, false>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

// Small products: a [m, k], b [n, k] (weights of a linear layer), c and residual [m, n], bias [n] or null, residual (another
// matrix than c) or null; rows lda, ldb and ldc elements apart, matrices of the batch strideA, strideB and strideC. Moves at
// least (mk + kn + mn) elements. Grid: (tiles, 1, batch), Tiles<half>::Small of C a block.
extern "C" __global__ void __launch_bounds__(Tiles<half>::Small::THREADS) gemm_nt_small_f16(
    const half* __restrict__ a, const half* __restrict__ b, const half* __restrict__ bias, const half* __restrict__ residual,
    half* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, long long strideA, long long strideB,
    long long strideC, float alpha, float beta, int epilogue)
{
    multiply_tile<Tiles<half>::Small, false, true>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

extern "C" __global__ void __launch_bounds__(Tiles<bfloat16>::Small::THREADS) gemm_nt_small_bf16(
    const bfloat16* __restrict__ a, const bfloat16* __restrict__ b, const bfloat16* __restrict__ bias,
    const bfloat16* __restrict__ residual, bfloat16* __restrict__ c, int m, int n, int k, long long lda, long long ldb,
    long long ldc, long long strideA, long long strideB, long long strideC, float alpha, float beta, int epilogue)
{
    multiply_tile<Tiles<bfloat16>::Small, false, true>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

// Small products: a [k, m], b [k, n], c and residual [m, n], bias [n] or null, residual (another matrix than c) or null; rows
// lda, ldb and ldc elements apart, matrices of the batch strideA, strideB and strideC. Moves at least (mk + kn + mn) elements.
// Grid: (tiles, 1, batch), Tiles<half>::Small of C a block.
extern "C" __global__ void __launch_bounds__(Tiles<half>::Small::THREADS) gemm_tn_small_f16(
    const half* __restrict__ a, const half* __restrict__ b, const half* __restrict__ bias, const half* __restrict__ residual,
    half* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, long long strideA, long long strideB,
    long long strideC, float alpha, float beta, int epilogue)
{
    multiply_tile<Tiles<half>::Small, true, false>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

extern "C" __global__ void __launch_bounds__(Tiles<bfloat16>::Small::THREADS) gemm_tn_small_bf16(
    const bfloat16* __restrict__ a, const bfloat16* __restrict__ b, const bfloat16* __restrict__ bias,
    const bfloat16* __restrict__ residual, bfloat16* __restrict__ c, int m, int n, int k, long long lda, long long ldb,
    long long ldc, long long strideA, long long strideB, long long strideC, float alpha, float beta, int epilogue)
{
    multiply_tile<Tiles<bfloat16>::Small, true, false>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

// Small products: a [k, m], b [n, k], c and residual [m, n], bias [n] or null, residual (another matrix than c) or null; rows
// lda, ldb and ldc elements apart, matrices of the batch strideA, strideB and strideC. Moves at least (mk + kn + mn) elements.
// Grid: (tiles, 1, batch), Tiles<half>::Small of C a block.
extern "C" __global__ void __launch_bounds__(Tiles<half>::Small::THREADS) gemm_tt_small_f16(
    const half* __restrict__ a, const half* __restrict__ b, const half* __restrict__ bias, const half* __restrict__ residual,
    half* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, long long strideA, long long strideB,
    long long strideC, float alpha, float beta, int epilogue)
{
    multiply_tile<Tiles<half>::Small, true, true>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

extern "C" __global__ void __launch_bounds__(Tiles<bfloat16>::Small::THREADS) gemm_tt_small_bf16(
    const bfloat16* __restrict__ a, const bfloat16* __restrict__ b, const bfloat16* __restrict__ bias,
    const bfloat16* __restrict__ residual, bfloat16* __restrict__ c, int m, int n, int k, long long lda, long long ldb,
    long long ldc, long long strideA, long long strideB, long long strideC, float alpha, float beta, int epilogue)
{
    multiply_tile<Tiles<bfloat16>::Small, true, true>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

// Few columns: a [m, k], b [k, n], c and residual [m, n], bias [n] or null, residual (another matrix than c) or null; rows lda,
// ldb and ldc elements apart, matrices of the batch strideA, strideB and strideC. Moves at least (mk + kn + mn) elements. Grid:
// (tiles, 1, batch), Tiles<half>::Narrow of C a block.
extern "C" __global__ void __launch_bounds__(Tiles<half>::Narrow::THREADS) gemm_nn_narrow_f16(
    const half* __restrict__ a, const half* __restrict__ b, const half* __restrict__ bias, const half* __restrict__ residual,
    half* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, long long strideA, long long strideB,
    long long strideC, float alpha, float beta, int epilogue)
{
    multiply_tile<Tiles<half>::Narrow, false, false>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

extern "C" __global__ void __launch_bounds__(Tiles<bfloat16>::Narrow::THREADS) gemm_nn_narrow_bf16(
    const bfloat16* __restrict__ a, const bfloat16* __restrict__ b, const bfloat16* __restrict__ bias,
    const bfloat16* __restrict__ residual, bfloat16* __restrict__ c, int m, int n, int k, long long lda, long long ldb,
    long long ldc, long long strideA, long long strideB, long long strideC, float alpha, float beta, int epilogue)
{
    multiply_tile<Tiles<bfloat16>::Narrow, false, false>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

// Few columns: a [m, k], b [n, k] (weights of a linear layer), c and residual [m, n], bias [n] or null, residual (another
// matrix than c) or null; rows lda, ldb and ldc elements apart, matrices of the batch strideA, strideB and strideC. Moves at
// least (mk + kn + mn) elements. Grid: (tiles, 1, batch), Tiles<half>::Narrow of C a block.
extern "C" __global__ void __launch_bounds__(Tiles<half>::Narrow::THREADS) gemm_nt_narrow_f16(
    const half* __restrict__ a, const half* __restrict__ b, const half* __restrict__ bias, const half* __restrict__ residual,
    half* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, long long strideA, long long strideB,
    long long strideC, float alpha, float beta, int epilogue)
{
    multiply_tile<Tiles<half>::Narrow, false, true>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

extern "C" __global__ void __launch_bounds__(Tiles<bfloat16>::Narrow::THREADS) gemm_nt_narrow_bf16(
    const bfloat16* __restrict__ a, const bfloat16* __restrict__ b, const bfloat16* __restrict__ bias,
    const bfloat16* __restrict__ residual, bfloat16* __restrict__ c, int m, int n, int k, long long lda, long long ldb,
    long long ldc, long long strideA, long long strideB, long long strideC, float alpha, float beta, int epilogue)
{
    multiply_tile<Tiles<bfloat16>::Narrow, false, true>(
        a, b, bias, residual, c, m, n, k, lda, ldb, ldc, strideA, strideB, strideC, alpha, beta, epilogue);
}

// Few rows: a [m, k], b [n, k], c and residual [m, n], bias [n] or null, residual (another matrix than c) or null; rows lda, ldb
// and ldc elements apart. Reads the weights once for every four rows. Grid: (n / 4, m / 4), 128 threads.
extern "C" __global__ void __launch_bounds__(128, 8) gemm_nt_rows_f16(
    const half* __restrict__ a, const half* __restrict__ b, const half* __restrict__ bias, const half* __restrict__ residual,
    half* __restrict__ c, int m, int n, int k, long long lda, long long ldb, long long ldc, float alpha, float beta, int epilogue)
{
    multiply_rows<half>(a, b, bias, residual, c, m, n, k, lda, ldb, ldc, alpha, beta, epilogue);
}

extern "C" __global__ void __launch_bounds__(128, 8) gemm_nt_rows_bf16(
    const bfloat16* __restrict__ a, const bfloat16* __restrict__ b, const bfloat16* __restrict__ bias,
    const bfloat16* __restrict__ residual, bfloat16* __restrict__ c, int m, int n, int k, long long lda, long long ldb,
    long long ldc, float alpha, float beta, int epilogue)
{
    multiply_rows<bfloat16>(a, b, bias, residual, c, m, n, k, lda, ldb, ldc, alpha, beta, epilogue);
}
