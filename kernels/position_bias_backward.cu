// The gradient of kernels/position_bias.cu: every row of the table gets the sum over the pairs of positions that looked it up.
#include "blocks.cuh"

namespace {

// A thread an offset and head. Lanes run along the last axis of offsets, so that for one query they meet neighbouring keys.
// The queries whose key lies inside the grid are walked in ascending order: along the first two axes the loops' bounds say which,
// and along the last a lane adds nothing where its key falls outside.
template <typename T>
__device__ __forceinline__ void sum_pairs(
    const T* __restrict__ gradient, T* __restrict__ dtable, int heads, int n, int d0, int d1, int d2) {
    const int across = 2 * d2 - 1;
    const int wanted = blockIdx.y * blockDim.x + threadIdx.x;
    const int head = blockIdx.z * blockDim.y + threadIdx.y;
    if (head >= heads) {
        return;
    }
    // Threads past the last offset repeat it, with the same bits.
    const int along2 = min(wanted, across - 1);
    const int offset0 = static_cast<int>(blockIdx.x) / (2 * d1 - 1) - (d0 - 1);
    const int offset1 = static_cast<int>(blockIdx.x) % (2 * d1 - 1) - (d1 - 1);
    const int offset2 = along2 - (d2 - 1);
    const T* pairs = gradient + static_cast<long long>(head) * n * n;
    double sum = 0;
    for (int i = max(0, offset0); i < min(d0, d0 + offset0); ++i) {
        for (int j = max(0, offset1); j < min(d1, d1 + offset1); ++j) {
            const int query = (i * d1 + j) * d2;
            const int key = ((i - offset0) * d1 + j - offset1) * d2 - offset2;
            for (int step = 0; step < d2; ++step) {
                const bool inside = step - offset2 >= 0 && step - offset2 < d2;
                const int place = min(max(key + step, 0), n - 1);
                const T value = pairs[static_cast<long long>(query + step) * n + place];
                sum += inside ? value : T(0);
            }
        }
    }
    dtable[(static_cast<long long>(blockIdx.x) * across + along2) * heads + head] = static_cast<T>(sum);
}

}  // namespace

// dtable[offset, head] = the sum of gradient[head, query, key] over the pairs at that offset; gradient [heads, n, n] with
// n = d0 d1 d2, dtable [(2 d0 - 1)(2 d1 - 1)(2 d2 - 1), heads]. Grid (offsets along the first two axes, offsets along the last over
// the threads along x, heads over those along y). Reads 4 heads n^2 bytes.
extern "C" __global__ void __launch_bounds__(POSITION_BLOCK) position_bias_backward_f32(
    const float* __restrict__ gradient, float* __restrict__ dtable, int heads, int n, int d0, int d1, int d2) {
    sum_pairs<float>(gradient, dtable, heads, n, d0, d1, d2);
}

extern "C" __global__ void __launch_bounds__(POSITION_BLOCK) position_bias_backward_f64(
    const double* __restrict__ gradient, double* __restrict__ dtable, int heads, int n, int d0, int d1, int d2) {
    sum_pairs<double>(gradient, dtable, heads, n, d0, d1, d2);
}
