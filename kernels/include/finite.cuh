// The search for infinities and NaNs.
#pragma once

#include "common.cuh"

// A number minus itself is 0; an infinity or a NaN minus itself is not. Only warps that find something write.
template <typename T>
__device__ __forceinline__ void find_non_finite(const T* __restrict__ x, int* __restrict__ found, int n) {
    bool bad = false;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        const Compute<T> value = x[i];
        bad = bad || !(value - value == Compute<T>(0));
    }
    if (__any_sync(FULL_WARP, bad) && threadIdx.x % WARP_SIZE == 0) {
        atomicOr(found, 1);
    }
}
