// Which part of [b, n, c] a block of the group normalisation kernels works on.
//
// A step of a block covers whole rows of channels, so it is contiguous in memory and thread t takes the vector at t * VECTOR;
// the next step lies rows_per_step * c further on, so a thread meets the same channels all the way and keeps its group (or its
// coefficients) in registers. Rows longer than a block are cut into tiles of whole groups, one row a step. How work is cut,
// and with it the order of every sum, depends on shapes alone.
#pragma once

#include "common.cuh"

#define GROUP_NORM_MAX_THREADS 1024

// A launch has a grid of (chunks, tiles, b) and blocks of (32, warps).
struct GroupNormWalk {
    int thread;      // in the block, along its warps
    int first;       // offset of this thread's first element from the first row of the chunk
    int end;         // offsets from here on belong to the next chunk
    int step;        // from one element of this thread to its next
    int full_steps;  // steps in which every thread has a row
    int channel;     // of the first element of the vector
    bool active;     // whether this thread has channels at all

    // Calls action(offset) for every vector of this thread. The trip count is one for all threads; what is left of the
    // chunk after the last full step is less than one step.
    template <typename F>
    __device__ __forceinline__ void each(F action) const {
        int offset = first;
#pragma unroll 4
        for (int i = 0; i < full_steps; ++i) {
            action(offset);
            offset += step;
        }
        if (offset < end) {
            action(offset);
        }
    }
};

template <int VECTOR>
__device__ __forceinline__ GroupNormWalk group_norm_walk(int n, int c, int tile_channels, int rows_per_step, int rows_per_chunk) {
    const int lanes_per_row = tile_channels / VECTOR;
    const int thread = threadIdx.y * WARP_SIZE + threadIdx.x;
    const int tile = blockIdx.y * tile_channels;
    const int rows = min(rows_per_chunk, n - static_cast<int>(blockIdx.x) * rows_per_chunk);
    GroupNormWalk walk;
    walk.thread = thread;
    walk.first = tile + thread * VECTOR;
    walk.end = rows * c;
    walk.step = rows_per_step * c;
    walk.full_steps = rows / rows_per_step;
    walk.channel = tile + thread % lanes_per_row * VECTOR;
    walk.active = thread < rows_per_step * lanes_per_row && walk.channel < c;
    return walk;
}
