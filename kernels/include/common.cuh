// What every kernel needs: vector access, and reductions in a fixed order. No toolkit headers.
#pragma once

#include "element.cuh"

#define WARP_SIZE 32
#define FULL_WARP 0xffffffffu

// Four consecutive elements; one 16-byte access for float, two for double.
template <typename T>
struct Four {
    T x, y, z, w;
};

__device__ __forceinline__ Four<float> load4(const float* p) {
    const float4 v = *reinterpret_cast<const float4*>(p);
    return {v.x, v.y, v.z, v.w};
}

__device__ __forceinline__ Four<double> load4(const double* p) {
    const double2 a = reinterpret_cast<const double2*>(p)[0];
    const double2 b = reinterpret_cast<const double2*>(p)[1];
    return {a.x, a.y, b.x, b.y};
}

__device__ __forceinline__ void store4(float* p, Four<float> v) {
    *reinterpret_cast<float4*>(p) = make_float4(v.x, v.y, v.z, v.w);
}

__device__ __forceinline__ void store4(double* p, Four<double> v) {
    reinterpret_cast<double2*>(p)[0] = make_double2(v.x, v.y);
    reinterpret_cast<double2*>(p)[1] = make_double2(v.z, v.w);
}

// Sum over a warp in a fixed tree (16, 8, 4, 2, 1); every lane gets it. All 32 lanes must take part.
template <typename T>
__device__ __forceinline__ T warp_sum(T value) {
#pragma unroll
    for (int lanes = WARP_SIZE / 2; lanes > 0; lanes /= 2) {
        value += __shfl_xor_sync(FULL_WARP, value, lanes);
    }
    return value;
}

// Largest value over a warp; every lane gets it. All 32 lanes must take part.
template <typename T>
__device__ __forceinline__ T warp_max(T value) {
#pragma unroll
    for (int lanes = WARP_SIZE / 2; lanes > 0; lanes /= 2) {
        const T other = __shfl_xor_sync(FULL_WARP, value, lanes);
        value = value > other ? value : other;
    }
    return value;
}

// Sum over a block of `threads` threads (a multiple of 32, at most 1024) through `scratch`, 32 elements of shared memory;
// every thread gets it. The order is fixed: lanes in warp_sum's tree, then warps one by one. Contains two barriers,
// so the whole block must call it; the scratch may be used again after it.
template <typename T>
__device__ __forceinline__ T block_sum(T value, T* scratch, int threads) {
    const int warp = threadIdx.x / WARP_SIZE;
    value = warp_sum(value);
    scratch[warp] = value;
    __syncthreads();
    value = scratch[0];
    for (int other = 1; other < threads / WARP_SIZE; ++other) {
        value += scratch[other];
    }
    __syncthreads();
    return value;
}
