// The forward kernels of embedding.cu for half types: sums are in float, results are rounded once.
#include "blocks.cuh"
#include "half.cuh"
#include "embedding.cuh"

// y[b, c] = the mean of x[b, :, c]; x [pictures, tokens, channels], y [pictures, channels]. Blocks of (32, 8) threads, one for
// every 32 channels of a picture. Reads pictures tokens channels elements.
extern "C" __global__ void __launch_bounds__(WARP_ROWS_BLOCK) mean_tokens_f16(const half* __restrict__ x, half* __restrict__ y, int tokens, int channels) {
    mean_tokens(x, y, tokens, channels);
}

extern "C" __global__ void __launch_bounds__(WARP_ROWS_BLOCK) mean_tokens_bf16(const bfloat16* __restrict__ x, bfloat16* __restrict__ y, int tokens, int channels) {
    mean_tokens(x, y, tokens, channels);
}

// y = x / max(|x|, eps) row by row, |x| the Euclidean length; x, y [rows, width]. A warp a row: block (32, n). Moves 2 rows width
// elements; the second pass finds the row in the cache.
extern "C" __global__ void __launch_bounds__(WARP_ROWS_BLOCK) normalize_rows_f16(const half* __restrict__ x, half* __restrict__ y, int rows, int width, float eps) {
    normalize_rows(x, y, rows, width, eps);
}

extern "C" __global__ void __launch_bounds__(WARP_ROWS_BLOCK) normalize_rows_bf16(
    const bfloat16* __restrict__ x, bfloat16* __restrict__ y, int rows, int width, float eps) {
    normalize_rows(x, y, rows, width, eps);
}
