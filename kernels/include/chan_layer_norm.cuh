// A row of channels of a video, shifted, normalised or both: the bodies of chan_layer_norm.cu and
// chan_layer_norm_half.cu.
#pragma once

#include "common.cuh"
#include "root.cuh"
#include "shifted_row.cuh"

template <typename T>
__device__ __forceinline__ void normalize_row(
    const T* __restrict__ x, const T* __restrict__ g, T* __restrict__ y, int frames, int frame_rows, int kept, int c,
    Compute<T> eps) {
    typedef Compute<T> C;
    __shared__ C scratch[WARP_SIZE];
    const int thread = threadIdx.x;
    const int threads = blockDim.x;
    const ShiftedRow row = delayed_row(blockIdx.x, frames, frame_rows, kept, c);
    C sum = 0;
    row.each(x, thread, threads, [&](int, C value, bool counts) { sum += counts ? value : C(0); });
    const C mean = block_sum(sum, scratch, threads) / static_cast<C>(c);
    C square = 0;
    row.each(x, thread, threads, [&](int, C value, bool counts) {
        const C deviation = counts ? value - mean : C(0);
        square += deviation * deviation;
    });
    const C variance = block_sum(square, scratch, threads) / static_cast<C>(c);
    const C rstd = C(1) / sqrt_of(variance > eps ? variance : eps);
    T* out = y + static_cast<long long>(blockIdx.x) * c;
    row.each(x, thread, threads, [&](int i, C value, bool) { out[i] = T((value - mean) * rstd * g[i]); });
}

template <typename T>
__device__ __forceinline__ void shift_row(
    const T* __restrict__ x, T* __restrict__ y, int rows, int frames, int frame_rows, int kept, int c) {
    const int row_number = blockIdx.x * blockDim.y + threadIdx.y;
    if (row_number >= rows) {
        return;
    }
    const ShiftedRow row = delayed_row(row_number, frames, frame_rows, kept, c);
    T* out = y + static_cast<long long>(row_number) * c;
    row.each(x, threadIdx.x, blockDim.x, [&](int i, T value, bool) { out[i] = value; });
}
