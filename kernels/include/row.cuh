// Walking over a row with the threads of a block, so that warps stay together to the end of it.
#pragma once

// Calls action(i, counts) for i = begin + thread, begin + thread + threads, ... below end. In the last, partial step the
// threads past the end get the last index and counts = false: they load what another thread loads and may store it too, to
// the same place and with the same bits, but must not add it to a sum. No lane ever waits for its neighbours.
template <typename F>
__device__ __forceinline__ void each_of_row(int begin, int end, int thread, int threads, F action) {
    const int whole = (end - begin) / threads;
    int i = begin + thread;
    for (int step = 0; step < whole; ++step) {
        action(i, true);
        i += threads;
    }
    if (begin + whole * threads < end) {
        action(min(i, end - 1), i < end);
    }
}
