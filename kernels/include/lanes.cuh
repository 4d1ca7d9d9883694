// Reductions over a part of a warp: rows that are shorter than a warp's lanes share one.
#pragma once

#include "common.cuh"

// Sum over the LANES (a power of two) neighbouring lanes that share a row, in a fixed tree; each of them gets it.
template <int LANES, typename T>
__device__ __forceinline__ T row_sum(T value) {
#pragma unroll
    for (int lanes = LANES / 2; lanes > 0; lanes /= 2) {
        value += __shfl_xor_sync(FULL_WARP, value, lanes);
    }
    return value;
}

// The largest value likewise.
template <int LANES, typename T>
__device__ __forceinline__ T row_max(T value) {
#pragma unroll
    for (int lanes = LANES / 2; lanes > 0; lanes /= 2) {
        const T other = __shfl_xor_sync(FULL_WARP, value, lanes);
        value = value > other ? value : other;
    }
    return value;
}
