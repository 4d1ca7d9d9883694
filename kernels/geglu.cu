// GEGLU (Shazeer 2020, arXiv 2002.05202): value * gelu(gate), with the exact GELU by erf.
#include "activation.cuh"
#include "blocks.cuh"
#include "common.cuh"
#include "row.cuh"

namespace {

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
    if (c % 4 == 0 && is_aligned16(x) && is_aligned16(y)) {
        each_of_row(0, c / 4, threadIdx.x, blockDim.x, [&](int i, bool) {
            const Four<T> v = load4(value + i * 4);
            const Four<T> g = load4(gate + i * 4);
            store4(out + i * 4, {v.x * gelu(g.x), v.y * gelu(g.y), v.z * gelu(g.z), v.w * gelu(g.w)});
        });
    } else {
        each_of_row(0, c, threadIdx.x, blockDim.x, [&](int i, bool) { out[i] = value[i] * gelu(gate[i]); });
    }
}

}  // namespace

// x [rows, 2c], the values, then the gates; y [rows, c] = value * gelu(gate). Block (m, n) with m threads a row, whole warps in
// all. Reads 8 rows c bytes and writes 4 rows c.
extern "C" __global__ void __launch_bounds__(MAX_GEGLU_BLOCK) geglu_f32(
    const float* __restrict__ x, float* __restrict__ y, int rows, int c) {
    gate_rows<float>(x, y, rows, c);
}

extern "C" __global__ void __launch_bounds__(MAX_GEGLU_BLOCK, 1) geglu_f64(
    const double* __restrict__ x, double* __restrict__ y, int rows, int c) {
    gate_rows<double>(x, y, rows, c);
}
