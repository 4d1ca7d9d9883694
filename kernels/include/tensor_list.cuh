// Many tensors in one launch: a table says where each tensor lies, a map says which block works on which. Beside the tensors
// go flat buffers (gradients, moments), in which every tensor has a place of its own.
#pragma once

#include "common.cuh"

// A block of 256 threads takes a chunk of 4096 elements of one tensor: 16 elements a thread, in four steps of four neighbours.
#define LIST_THREADS 256
#define LIST_CHUNK 4096

// A block's share: `count` elements from `values` on, which have places `flat`, `flat + 1`, .. in flat buffers.
template <typename T>
struct ListShare {
    T* values;
    int flat;
    int count;
};

// The calling block's share. Row t of the table is four numbers: the address of tensor t, its place in flat buffers, its
// number of elements, and its first block. A block's tensor is tensor_of_block[block].
template <typename T>
__device__ __forceinline__ ListShare<T> list_share(
    const long long* __restrict__ table, const int* __restrict__ tensor_of_block) {
    const long long* row = table + 4 * tensor_of_block[blockIdx.x];
    const int first = (static_cast<int>(blockIdx.x) - static_cast<int>(row[3])) * LIST_CHUNK;
    return {
        reinterpret_cast<T*>(row[0]) + first, static_cast<int>(row[1]) + first,
        min(static_cast<int>(row[2]) - first, LIST_CHUNK)};
}

// Calls each4(i) for the first of four neighbouring elements where `vectors` holds and all four are there, each1(i) for every
// other element, with i counted from the share's first element.
template <typename F4, typename F1>
__device__ __forceinline__ void for_share(int count, bool vectors, F4 each4, F1 each1) {
#pragma unroll
    for (int step = 0; step < LIST_CHUNK / (4 * LIST_THREADS); ++step) {
        const int first = (step * LIST_THREADS + static_cast<int>(threadIdx.x)) * 4;
        if (vectors && first <= count - 4) {
            each4(first);
        } else {
#pragma unroll 1
            for (int i = first; i < count && i < first + 4; ++i) {
                each1(i);
            }
        }
    }
}
