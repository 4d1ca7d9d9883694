// Channel layer normalisation with a clamped variance, and the token shift that comes before it in the feed-forward of the
// space-time U-Net: the later half of the channels is delayed by one frame. Both in one pass, or the shift alone.
#include "blocks.cuh"
#include "common.cuh"
#include "root.cuh"
#include "shifted_row.cuh"

namespace {

template <typename T>
__device__ __forceinline__ void normalize_row(
    const T* __restrict__ x, const T* __restrict__ g, T* __restrict__ y, int frames, int frame_rows, int kept, int c, T eps) {
    __shared__ T scratch[WARP_SIZE];
    const int thread = threadIdx.x;
    const int threads = blockDim.x;
    const ShiftedRow row = delayed_row(blockIdx.x, frames, frame_rows, kept, c);
    T sum = 0;
    row.each(x, thread, threads, [&](int, T value, bool counts) { sum += counts ? value : T(0); });
    const T mean = block_sum(sum, scratch, threads) / static_cast<T>(c);
    T square = 0;
    row.each(x, thread, threads, [&](int, T value, bool counts) {
        const T deviation = counts ? value - mean : T(0);
        square += deviation * deviation;
    });
    const T variance = block_sum(square, scratch, threads) / static_cast<T>(c);
    const T rstd = T(1) / sqrt_of(variance > eps ? variance : eps);
    T* out = y + static_cast<long long>(blockIdx.x) * c;
    row.each(x, thread, threads, [&](int i, T value, bool) { out[i] = (value - mean) * rstd * g[i]; });
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

}  // namespace

// x, y [b, frames, frame_rows, c]; g [c]: y = (v - mean) / sqrt(max(variance, eps)) * g over each row of channels, the
// variance biased and clamped, not added to; v is x with its channels from `kept` on delayed by one frame, zero in the
// first. kept = c shifts nothing. Grid (b * frames * frame_rows); threads: a multiple of 32. Reads and writes 4 bytes an
// element each; the second and third pass find the row in the cache.
extern "C" __global__ void __launch_bounds__(MAX_ROW_BLOCK) chan_layer_norm_f32(
    const float* __restrict__ x, const float* __restrict__ g, float* __restrict__ y, int frames, int frame_rows, int kept,
    int c, float eps) {
    normalize_row<float>(x, g, y, frames, frame_rows, kept, c, eps);
}

extern "C" __global__ void __launch_bounds__(MAX_ROW_BLOCK) chan_layer_norm_f64(
    const double* __restrict__ x, const double* __restrict__ g, double* __restrict__ y, int frames, int frame_rows, int kept,
    int c, double eps) {
    normalize_row<double>(x, g, y, frames, frame_rows, kept, c, eps);
}

// The shift alone: y = v above, for rows = b * frames * frame_rows. A warp a row: block (32, n).
extern "C" __global__ void __launch_bounds__(WARP_ROWS_BLOCK) token_shift_f32(
    const float* __restrict__ x, float* __restrict__ y, int rows, int frames, int frame_rows, int kept, int c) {
    shift_row<float>(x, y, rows, frames, frame_rows, kept, c);
}

extern "C" __global__ void __launch_bounds__(WARP_ROWS_BLOCK) token_shift_f64(
    const double* __restrict__ x, double* __restrict__ y, int rows, int frames, int frame_rows, int kept, int c) {
    shift_row<double>(x, y, rows, frames, frame_rows, kept, c);
}
