// The kernels of group_norm.cu for half types: sums are in float and double as there, coefficients in float, results are rounded
// once.
#include "blocks.cuh"
#include "half.cuh"
#include "group_norm.cuh"

// Partial sums. x [b, n, c]; partials [b, groups, chunks, 2] of double. Grid (chunks, tiles, b), block (32, warps).
// Reads 2 b n c bytes.
// The vec4 entries need c / groups to be a multiple of 4 and x aligned to 8 bytes; the others take anything.
extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS) group_norm_sums_vec4_f16(
    const half* __restrict__ x, double* __restrict__ partials, int n, int c, int groups, int tile_channels, int rows_per_step,
    int rows_per_chunk) {
    sum_chunk<half, 4>(x, partials, n, c, groups, tile_channels, rows_per_step, rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS) group_norm_sums_vec4_bf16(
    const bfloat16* __restrict__ x, double* __restrict__ partials, int n, int c, int groups, int tile_channels, int rows_per_step,
    int rows_per_chunk) {
    sum_chunk<bfloat16, 4>(x, partials, n, c, groups, tile_channels, rows_per_step, rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS) group_norm_sums_f16(
    const half* __restrict__ x, double* __restrict__ partials, int n, int c, int groups, int tile_channels, int rows_per_step,
    int rows_per_chunk) {
    sum_chunk<half, 1>(x, partials, n, c, groups, tile_channels, rows_per_step, rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS) group_norm_sums_bf16(
    const bfloat16* __restrict__ x, double* __restrict__ partials, int n, int c, int groups, int tile_channels, int rows_per_step,
    int rows_per_chunk) {
    sum_chunk<bfloat16, 1>(x, partials, n, c, groups, tile_channels, rows_per_step, rows_per_chunk);
}

// Statistics and coefficients. coefficients [b, 2, c] of float: what multiplies, then what is added:
//   rstd * weight * (1 + scale)  and  (bias - mean * rstd * weight) * (1 + scale) + shift
// with rstd = 1 / sqrt(variance + eps), the variance over n and the group's channels, biased, and scale_shift [b, 2c] (null
// for none). statistics [b, groups, 2] of double (null for not wanted), mean and rstd, are what a backward pass needs. Grid
// (groups, b), 32 threads. Bytes: 16 b groups chunks, and small change.
extern "C" __global__ void __launch_bounds__(WARP_SIZE) group_norm_coefficients_f16(
    const half* __restrict__ x, const double* __restrict__ partials, const half* __restrict__ weight,
    const half* __restrict__ bias, const half* __restrict__ scale_shift, float* __restrict__ coefficients,
    double* __restrict__ statistics, int n, int c, int groups, int chunks, double eps) {
    finish_statistics<half>(x, partials, weight, bias, scale_shift, coefficients, statistics, n, c, groups, chunks, eps);
}

extern "C" __global__ void __launch_bounds__(WARP_SIZE) group_norm_coefficients_bf16(
    const bfloat16* __restrict__ x, const double* __restrict__ partials, const bfloat16* __restrict__ weight,
    const bfloat16* __restrict__ bias, const bfloat16* __restrict__ scale_shift, float* __restrict__ coefficients,
    double* __restrict__ statistics, int n, int c, int groups, int chunks, double eps) {
    finish_statistics<bfloat16>(x, partials, weight, bias, scale_shift, coefficients, statistics, n, c, groups, chunks, eps);
}

// Application: y = x * coefficients[0] + coefficients[1], then x * sigmoid(x) in the silu entries. x, y [b, n, c];
// coefficients [b, 2, c] of float. Grid (chunks, tiles, b), block (32, warps). Reads and writes 2 b n c bytes each. Alignment as
// above, and y too.
extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS) group_norm_apply_vec4_f16(
    const half* __restrict__ x, const float* __restrict__ coefficients, half* __restrict__ y, int n, int c,
    int tile_channels, int rows_per_step, int rows_per_chunk) {
    apply_chunk<half, 4, false>(x, coefficients, y, n, c, tile_channels, rows_per_step, rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS) group_norm_apply_vec4_bf16(
    const bfloat16* __restrict__ x, const float* __restrict__ coefficients, bfloat16* __restrict__ y, int n, int c,
    int tile_channels, int rows_per_step, int rows_per_chunk) {
    apply_chunk<bfloat16, 4, false>(x, coefficients, y, n, c, tile_channels, rows_per_step, rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS) group_norm_apply_f16(
    const half* __restrict__ x, const float* __restrict__ coefficients, half* __restrict__ y, int n, int c,
    int tile_channels, int rows_per_step, int rows_per_chunk) {
    apply_chunk<half, 1, false>(x, coefficients, y, n, c, tile_channels, rows_per_step, rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS) group_norm_apply_bf16(
    const bfloat16* __restrict__ x, const float* __restrict__ coefficients, bfloat16* __restrict__ y, int n, int c,
    int tile_channels, int rows_per_step, int rows_per_chunk) {
    apply_chunk<bfloat16, 1, false>(x, coefficients, y, n, c, tile_channels, rows_per_step, rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS, 1) group_norm_apply_silu_vec4_f16(
    const half* __restrict__ x, const float* __restrict__ coefficients, half* __restrict__ y, int n, int c,
    int tile_channels, int rows_per_step, int rows_per_chunk) {
    apply_chunk<half, 4, true>(x, coefficients, y, n, c, tile_channels, rows_per_step, rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS, 1) group_norm_apply_silu_vec4_bf16(
    const bfloat16* __restrict__ x, const float* __restrict__ coefficients, bfloat16* __restrict__ y, int n, int c,
    int tile_channels, int rows_per_step, int rows_per_chunk) {
    apply_chunk<bfloat16, 4, true>(x, coefficients, y, n, c, tile_channels, rows_per_step, rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS) group_norm_apply_silu_f16(
    const half* __restrict__ x, const float* __restrict__ coefficients, half* __restrict__ y, int n, int c,
    int tile_channels, int rows_per_step, int rows_per_chunk) {
    apply_chunk<half, 1, true>(x, coefficients, y, n, c, tile_channels, rows_per_step, rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS) group_norm_apply_silu_bf16(
    const bfloat16* __restrict__ x, const float* __restrict__ coefficients, bfloat16* __restrict__ y, int n, int c,
    int tile_channels, int rows_per_step, int rows_per_chunk) {
    apply_chunk<bfloat16, 1, true>(x, coefficients, y, n, c, tile_channels, rows_per_step, rows_per_chunk);
}
