// Channel layer normalisation with a clamped variance, and the token shift that comes before it in the feed-forward of the
// space-time U-Net: the later half of the channels is delayed by one frame. Both in one pass, or the shift alone.
#include "blocks.cuh"
#include "chan_layer_norm.cuh"

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
