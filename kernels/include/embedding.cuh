// From tokens to one vector of length 1: the bodies of the forward kernels of embedding.cu and embedding_half.cu.
#pragma once

#include "common.cuh"
#include "root.cuh"
#include "row.cuh"

// Warps that share the tokens of a picture.
#define MEAN_TOKENS_WARPS 8

// Lanes run along the channels; warp w adds tokens w, w + 8, .. in order, then warps are added one by one.
template <typename T>
__device__ __forceinline__ void mean_tokens(const T* __restrict__ x, T* __restrict__ y, int tokens, int channels) {
    typedef Compute<T> C;
    __shared__ C partial[MEAN_TOKENS_WARPS][WARP_SIZE];
    const int tiles = (channels + WARP_SIZE - 1) / WARP_SIZE;
    const int picture = blockIdx.x / tiles;
    const int channel = (blockIdx.x - picture * tiles) * WARP_SIZE + threadIdx.x;
    const T* own = x + static_cast<long long>(picture) * tokens * channels;
    C sum = C(0);
    if (channel < channels) {
        for (int token = threadIdx.y; token < tokens; token += MEAN_TOKENS_WARPS) {
            sum += own[static_cast<long long>(token) * channels + channel];
        }
    }
    partial[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y == 0 && channel < channels) {
        for (int warp = 1; warp < MEAN_TOKENS_WARPS; ++warp) {
            sum += partial[warp][threadIdx.x];
        }
        y[static_cast<long long>(picture) * channels + channel] = T(sum / static_cast<C>(tokens));
    }
}

// The Euclidean length of a row, a warp's work; every lane gets it.
template <typename T>
__device__ __forceinline__ Compute<T> row_length(const T* row, int width) {
    typedef Compute<T> C;
    C sum = C(0);
    each_of_row(0, width, threadIdx.x, WARP_SIZE, [&](int i, bool counts) {
        const C value = counts ? C(row[i]) : C(0);
        sum += value * value;
    });
    return sqrt_of(warp_sum(sum));
}

template <typename T>
__device__ __forceinline__ void normalize_rows(const T* __restrict__ x, T* __restrict__ y, int rows, int width, Compute<T> eps) {
    const int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) {
        return;
    }
    const long long start = static_cast<long long>(row) * width;
    const Compute<T> length = row_length(x + start, width);
    const Compute<T> inverse = Compute<T>(1) / (length < eps ? eps : length);
    each_of_row(0, width, threadIdx.x, WARP_SIZE, [&](int i, bool) { y[start + i] = T(x[start + i] * inverse); });
}
