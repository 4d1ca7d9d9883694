// The kernels of chan_layer_norm.cu for half types: statistics are in float, results are rounded once.
#include "blocks.cuh"
#include "half.cuh"
#include "chan_layer_norm.cuh"

// x, y [b, frames, frame_rows, c]; g [c]: y = (v - mean) / sqrt(max(variance, eps)) * g over each row of channels, the
// variance biased and clamped, not added to; v is x with its channels from `kept` on delayed by one frame, zero in the
// first. kept = c shifts nothing. Grid (b * frames * frame_rows); threads: a multiple of 32. Reads and writes 2 bytes an
// element each; the second and third pass find the row in the cache.
extern "C" __global__ void __launch_bounds__(MAX_ROW_BLOCK) chan_layer_norm_f16(
    const half* __restrict__ x, const half* __restrict__ g, half* __restrict__ y, int frames, int frame_rows, int kept,
    int c, float eps) {
    normalize_row<half>(x, g, y, frames, frame_rows, kept, c, eps);
}

extern "C" __global__ void __launch_bounds__(MAX_ROW_BLOCK) chan_layer_norm_bf16(
    const bfloat16* __restrict__ x, const bfloat16* __restrict__ g, bfloat16* __restrict__ y, int frames, int frame_rows, int kept,
    int c, float eps) {
    normalize_row<bfloat16>(x, g, y, frames, frame_rows, kept, c, eps);
}

// The shift alone, of 16 bits of any kind: y = v above, for rows = b * frames * frame_rows. A warp a row: block (32, n).
extern "C" __global__ void __launch_bounds__(WARP_ROWS_BLOCK) token_shift_u16(
    const unsigned short* __restrict__ x, unsigned short* __restrict__ y, int rows, int frames, int frame_rows, int kept, int c) {
    shift_row<unsigned short>(x, y, rows, frames, frame_rows, kept, c);
}
