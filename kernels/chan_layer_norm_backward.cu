// Gradients of channel layer normalisation and of the token shift (kernels/chan_layer_norm.cu). With v the shifted row, xhat =
// (v - mean) rstd and h the incoming gradient times g,
//   v: rstd (h - mean of h - xhat * mean of h xhat), means over the row;  g: the sum over rows of gradient * xhat
// where the variance is eps at least, on which it passes as PyTorch's clamp does. Below that rstd is a constant, and the last
// term is not there. The shift's gradient goes back to the frame that a channel came from. One pass, in which rows find their
// statistics again; sums over rows are partials of a block, for sum_rows.cu.
#include "activation.cuh"
#include "block_sums.cuh"
#include "blocks.cuh"
#include "common.cuh"
#include "shifted_row.cuh"

namespace {

// A block takes rows_per_block rows, one after the other; the second and third pass over a row find it in the cache. The sums
// over rows stay in the block's own row of the partials, each thread adding to its own columns; what threads past the end of
// a row repeat goes to a place of theirs behind the c columns.
template <typename T>
__device__ __forceinline__ void normalize_rows_backward(
    const T* __restrict__ x, const T* __restrict__ gradient, const T* __restrict__ g, T* __restrict__ dx,
    T* __restrict__ partials, int rows, int frames, int frame_rows, int kept, int c, T eps, int rows_per_block) {
    __shared__ T scratch[3 * WARP_SIZE];
    const int thread = threadIdx.x;
    const int threads = blockDim.x;
    T* sums_of_g = partials + static_cast<long long>(blockIdx.x) * (c + threads);
    const bool adds = partials != nullptr;
    const int first = blockIdx.x * rows_per_block;
    if (adds) {
        delayed_row(first, frames, frame_rows, kept, c).each_place(thread, threads, [&](int i, long long, bool counts) {
            sums_of_g[counts ? i : c + thread] = 0;
        });
    }

    const int end = min(first + rows_per_block, rows);
    for (int number = first; number < end; ++number) {
        const ShiftedRow row = delayed_row(number, frames, frame_rows, kept, c);
        const T* incoming = gradient + row.own;
        T sum = 0;
        row.each(x, thread, threads, [&](int, T value, bool counts) { sum += counts ? value : T(0); });
        const T mean = block_sum(sum, scratch, threads) / static_cast<T>(c);
        T sums[3] = {};
        row.each(x, thread, threads, [&](int i, T value, bool counts) {
            const T product = incoming[i] * g[i];
            const T deviation = counts ? value - mean : T(0);
            const T h = counts ? product : T(0);
            sums[0] += deviation * deviation;
            sums[1] += h;
            sums[2] += h * deviation;
        });
        block_sums(sums, scratch, threads);
        const T variance = sums[0] / static_cast<T>(c);
        const bool clamped = variance < eps;
        const T rstd = T(1) / sqrt_of(clamped ? eps : variance);
        const T mean_h = sums[1] / static_cast<T>(c);
        const T mean_product = clamped ? T(0) : sums[2] * rstd / static_cast<T>(c);
        row.each_place(thread, threads, [&](int i, long long source, bool counts) {
            const T value = source < 0 ? T(0) : (x + source)[i];
            const T normalized = (value - mean) * rstd;
            if (adds) {
                sums_of_g[counts ? i : c + thread] += incoming[i] * normalized;
            }
            if (dx != nullptr && source >= 0) {
                (dx + source)[i] = rstd * (incoming[i] * g[i] - mean_h - normalized * mean_product);
            }
        });
        // Nothing came from the later channels of the last frame.
        if (dx != nullptr && number / frame_rows % frames == frames - 1) {
            each_of_row(kept, c, thread, threads, [&](int i, bool) { (dx + row.own)[i] = 0; });
        }
    }
}

template <typename T>
__device__ __forceinline__ void shift_row_back(
    const T* __restrict__ gradient, T* __restrict__ dx, int rows, int frames, int frame_rows, int kept, int c) {
    const int number = blockIdx.x * blockDim.y + threadIdx.y;
    if (number >= rows) {
        return;
    }
    const ShiftedRow row = advanced_row(number, frames, frame_rows, kept, c);
    row.each(gradient, threadIdx.x, blockDim.x, [&](int i, T value, bool) { (dx + row.own)[i] = value; });
}

}  // namespace

// x, gradient, dx [b, frames, frame_rows, c], dx null for not wanted; g [c]; rows = b * frames * frame_rows; kept = c shifts
// nothing. partials [blocks, c + threads], null for not wanted: each block's sums over its rows of the gradient of g, in the first c
// columns. Grid (rows over rows_per_block); threads: a multiple of 32. Reads 8 bytes an element and writes 4, and 4 blocks c
// beside.
extern "C" __global__ void __launch_bounds__(MAX_ROW_BLOCK) chan_layer_norm_backward_f32(
    const float* __restrict__ x, const float* __restrict__ gradient, const float* __restrict__ g, float* __restrict__ dx,
    float* __restrict__ partials, int rows, int frames, int frame_rows, int kept, int c, float eps, int rows_per_block) {
    normalize_rows_backward<float>(
        x, gradient, g, dx, partials, rows, frames, frame_rows, kept, c, eps, rows_per_block);
}

extern "C" __global__ void __launch_bounds__(MAX_ROW_BLOCK, 2) chan_layer_norm_backward_f64(
    const double* __restrict__ x, const double* __restrict__ gradient, const double* __restrict__ g, double* __restrict__ dx,
    double* __restrict__ partials, int rows, int frames, int frame_rows, int kept, int c, double eps, int rows_per_block) {
    normalize_rows_backward<double>(
        x, gradient, g, dx, partials, rows, frames, frame_rows, kept, c, eps, rows_per_block);
}

// The gradient of the shift alone: dx = the incoming gradient with its channels from `kept` on taken from the frame after, zero in
// the last. A warp a row: block (32, n). Reads and writes 4 bytes an element each.
extern "C" __global__ void __launch_bounds__(WARP_ROWS_BLOCK) token_shift_backward_f32(
    const float* __restrict__ gradient, float* __restrict__ dx, int rows, int frames, int frame_rows, int kept, int c) {
    shift_row_back<float>(gradient, dx, rows, frames, frame_rows, kept, c);
}

extern "C" __global__ void __launch_bounds__(WARP_ROWS_BLOCK) token_shift_backward_f64(
    const double* __restrict__ gradient, double* __restrict__ dx, int rows, int frames, int frame_rows, int kept, int c) {
    shift_row_back<double>(gradient, dx, rows, frames, frame_rows, kept, c);
}
