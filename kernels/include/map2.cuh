// A function of two tensors, element by element.
#pragma once

#include "common.cuh"

// y[i] = function(a[i], b[i]), in memory that does not overlap. A thread takes four neighbouring elements in one vector access where
// the tensors are aligned to it and the four exist; the rest goes one by one.
template <typename T, typename F>
__device__ __forceinline__ void map2(
    const T* __restrict__ a, const T* __restrict__ b, T* __restrict__ y, int n, F function) {
    const int first = (blockIdx.x * blockDim.x + threadIdx.x) * 4;
    if (first <= n - 4 && is_vector_aligned(a) && is_vector_aligned(b) && is_vector_aligned(y)) {
        const Four<Compute<T>> u = load4(a + first);
        const Four<Compute<T>> v = load4(b + first);
        store4(y + first, {function(u.x, v.x), function(u.y, v.y), function(u.z, v.z), function(u.w, v.w)});
        return;
    }
    for (int i = first; i < n && i < first + 4; ++i) {
        y[i] = T(function(a[i], b[i]));
    }
}
