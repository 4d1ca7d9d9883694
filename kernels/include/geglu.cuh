// GEGLU's body: value * gelu(gate), row by row.
#pragma once

#include "activation.cuh"
#include "common.cuh"
#include "row.cuh"

// A row of threads, blockDim.x wide, takes a row; in a last, partial step the threads past the end repeat the last vector.
template <typename T>
__device__ __forceinline__ void gate_rows(const T* __restrict__ x, T* __restrict__ y, int rows, int c) {
    const int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) {
        return;
    }
    const T* value = x + static_cast<long long>(row) * 2 * c;
    const T* gate = value + c;
    T* out = y + static_cast<long long>(row) * c;
    if (c % 4 == 0 && is_vector_aligned(x) && is_vector_aligned(y)) {
        each_of_row(0, c / 4, threadIdx.x, blockDim.x, [&](int i, bool) {
            const Four<Compute<T>> v = load4(value + i * 4);
            const Four<Compute<T>> g = load4(gate + i * 4);
            store4(out + i * 4, {v.x * gelu(g.x), v.y * gelu(g.y), v.z * gelu(g.z), v.w * gelu(g.w)});
        });
    } else {
        each_of_row(0, c, threadIdx.x, blockDim.x, [&](int i, bool) { out[i] = T(value[i] * gelu(Compute<T>(gate[i]))); });
    }
}
