// Gathers a table of biases by relative offset into a bias for every pair of positions: what attention adds to its scores.
#include "blocks.cuh"

namespace {

// One thread a pair. A position is row-major in d0 x d1 x d2; the offset of a pair, query minus key, is d - 1 too small to
// be negative along each axis, and is row-major in (2 d0 - 1) x (2 d1 - 1) x (2 d2 - 1).
template <typename T>
__device__ __forceinline__ void gather(
    const T* __restrict__ table, T* __restrict__ bias, int heads, int n, int d0, int d1, int d2) {
    // Threads past the last key repeat it, with the same bits.
    const int key = min(static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x), n - 1);
    const int query = blockIdx.x;
    const int along0 = query / (d1 * d2) - key / (d1 * d2) + d0 - 1;
    const int along1 = query / d2 % d1 - key / d2 % d1 + d1 - 1;
    const int along2 = query % d2 - key % d2 + d2 - 1;
    const T* row = table + static_cast<long long>((along0 * (2 * d1 - 1) + along1) * (2 * d2 - 1) + along2) * heads;
    T* pair = bias + static_cast<long long>(query) * n + key;
    for (int head = 0; head < heads; ++head) {
        pair[static_cast<long long>(head) * n * n] = row[head];
    }
}

}  // namespace

// table [(2 d0 - 1)(2 d1 - 1)(2 d2 - 1), heads]; bias [heads, n, n] with n = d0 d1 d2, query before key. Grid (n, n over the
// threads). Writes 4 heads n^2 bytes.
extern "C" __global__ void __launch_bounds__(POSITION_BLOCK) position_bias_f32(
    const float* __restrict__ table, float* __restrict__ bias, int heads, int n, int d0, int d1, int d2) {
    gather<float>(table, bias, heads, n, d0, d1, d2);
}

extern "C" __global__ void __launch_bounds__(POSITION_BLOCK) position_bias_f64(
    const double* __restrict__ table, double* __restrict__ bias, int heads, int n, int d0, int d1, int d2) {
    gather<double>(table, bias, heads, n, d0, d1, d2);
}

// Elements are only moved: 16 bits of any kind, which serves both half types.
extern "C" __global__ void __launch_bounds__(POSITION_BLOCK) position_bias_u16(
    const unsigned short* __restrict__ table, unsigned short* __restrict__ bias, int heads, int n, int d0, int d1, int d2) {
    gather<unsigned short>(table, bias, heads, n, d0, d1, d2);
}
