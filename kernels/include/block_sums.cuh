// Several sums over a block at the price of one: they share the barriers.
#pragma once

#include "common.cuh"

// Sums of N values over a block of `threads` threads (a multiple of 32, at most 1024) through `scratch`, 32 N elements of shared
// memory; every thread gets them. Order and use are those of block_sum.
template <int N, typename T>
__device__ __forceinline__ void block_sums(T (&values)[N], T* scratch, int threads) {
    const int warp = threadIdx.x / WARP_SIZE;
#pragma unroll
    for (int i = 0; i < N; ++i) {
        values[i] = warp_sum(values[i]);
        scratch[i * WARP_SIZE + warp] = values[i];
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < N; ++i) {
        values[i] = scratch[i * WARP_SIZE];
        for (int other = 1; other < threads / WARP_SIZE; ++other) {
            values[i] += scratch[i * WARP_SIZE + other];
        }
    }
    __syncthreads();
}
