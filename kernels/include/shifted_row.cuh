// A row of channels whose later ones are taken from the same place in a neighbouring frame: the token shift's view of a video.
#pragma once

#include "row.cuh"

// Offsets of a row of c channels in a video [b, frames, frame_rows, c], and of the row that those from `kept` on come from.
struct ShiftedRow {
    long long own;
    long long other;  // negative where there is no such frame: zeros come from there
    int kept;
    int c;

    // Calls action(channel, row, counts) as each_of_row does, first for the kept channels, then for the shifted ones; the
    // element is number `channel` of the row that starts at offset `row`, and there is none where that is negative.
    template <typename F>
    __device__ __forceinline__ void each_place(int thread, int threads, F action) const {
        each_of_row(0, kept, thread, threads, [&](int i, bool counts) { action(i, own, counts); });
        if (other < 0) {
            each_of_row(kept, c, thread, threads, [&](int i, bool counts) { action(i, -1LL, counts); });
        } else {
            each_of_row(kept, c, thread, threads, [&](int i, bool counts) { action(i, other, counts); });
        }
    }

    // The same with the elements of x: calls action(channel, value, counts).
    template <typename T, typename F>
    __device__ __forceinline__ void each(const T* __restrict__ x, int thread, int threads, F action) const {
        each_place(thread, threads, [&](int i, long long row, bool counts) {
            action(i, row < 0 ? T() : (x + row)[i], counts);
        });
    }
};

// Row number `row` with its later channels from the frame before.
__device__ __forceinline__ ShiftedRow delayed_row(long long row, int frames, int frame_rows, int kept, int c) {
    const bool exists = row / frame_rows % frames != 0;
    return {row * c, exists ? (row - frame_rows) * c : -1, kept, c};
}

// Row number `row` with its later channels from the frame after.
__device__ __forceinline__ ShiftedRow advanced_row(long long row, int frames, int frame_rows, int kept, int c) {
    const bool exists = row / frame_rows % frames != frames - 1;
    return {row * c, exists ? (row + frame_rows) * c : -1, kept, c};
}
