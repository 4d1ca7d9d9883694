// Sums of very many terms to one number, in two passes and an order that depends on their count alone: no atomics. Terms are
// added in double, so that what a sum loses is below what its terms have lost.
#pragma once

#include "common.cuh"

#define SUM_THREADS 256

// Terms that one block adds up, 16 for each thread.
#define SUM_CHUNK 4096

// First pass, blocks of 256 threads, one a chunk of 4096 of n terms: partial[block] = the sum of term(i) over the chunk. Thread
// t adds terms t, t + 256, .. of the chunk in order, then block_sum's order holds.
template <typename F>
__device__ __forceinline__ void sum_chunk(double* __restrict__ partial, int n, F term) {
    __shared__ double scratch[WARP_SIZE];
    const int first = blockIdx.x * SUM_CHUNK;
    const int end = n - first < SUM_CHUNK ? n : first + SUM_CHUNK;
    double sum = 0;
    for (int i = first + threadIdx.x; i < end; i += SUM_THREADS) {
        sum += static_cast<double>(term(i));
    }
    sum = block_sum(sum, scratch, SUM_THREADS);
    if (threadIdx.x == 0) {
        partial[blockIdx.x] = sum;
    }
}

// Second pass, one block of 256 threads: y[0] = factor * the sum of the partial sums, rounded once.
template <typename T>
__device__ __forceinline__ void sum_partials(const double* __restrict__ partial, T* __restrict__ y, int count, double factor) {
    __shared__ double scratch[WARP_SIZE];
    double sum = 0;
    for (int i = threadIdx.x; i < count; i += SUM_THREADS) {
        sum += partial[i];
    }
    sum = block_sum(sum, scratch, SUM_THREADS);
    if (threadIdx.x == 0) {
        y[0] = static_cast<T>(factor * sum);
    }
}
