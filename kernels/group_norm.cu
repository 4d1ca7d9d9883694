// Group normalisation of channels-last activations, with scale, shift and SiLU fused into its last pass (Wu and He 2018,
// arXiv 1803.08494). Three launches: partial sums of chunks of positions, statistics and coefficients, application. The first
// and the last walk x in the same way (group_norm_walk.cuh).
#include "group_norm.cuh"

// Partial sums. x [b, n, c]; partials [b, groups, chunks, 2] of double. Grid (chunks, tiles, b), block (32, warps).
// Reads 4 b n c bytes.
// The vec4 entries need c / groups to be a multiple of 4 and x aligned to 16 bytes; the others take anything.
extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS) group_norm_sums_vec4_f32(
    const float* __restrict__ x, double* __restrict__ partials, int n, int c, int groups, int tile_channels, int rows_per_step,
    int rows_per_chunk) {
    sum_chunk<float, 4>(x, partials, n, c, groups, tile_channels, rows_per_step, rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS) group_norm_sums_f32(
    const float* __restrict__ x, double* __restrict__ partials, int n, int c, int groups, int tile_channels, int rows_per_step,
    int rows_per_chunk) {
    sum_chunk<float, 1>(x, partials, n, c, groups, tile_channels, rows_per_step, rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS) group_norm_sums_vec4_f64(
    const double* __restrict__ x, double* __restrict__ partials, int n, int c, int groups, int tile_channels, int rows_per_step,
    int rows_per_chunk) {
    sum_chunk<double, 4>(x, partials, n, c, groups, tile_channels, rows_per_step, rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS) group_norm_sums_f64(
    const double* __restrict__ x, double* __restrict__ partials, int n, int c, int groups, int tile_channels, int rows_per_step,
    int rows_per_chunk) {
    sum_chunk<double, 1>(x, partials, n, c, groups, tile_channels, rows_per_step, rows_per_chunk);
}

// Statistics and coefficients. coefficients [b, 2, c]: what multiplies, then what is added:
//   rstd * weight * (1 + scale)  and  (bias - mean * rstd * weight) * (1 + scale) + shift
// with rstd = 1 / sqrt(variance + eps), the variance over n and the group's channels, biased, and scale_shift [b, 2c] (null
// for none). statistics [b, groups, 2] of double (null for not wanted), mean and rstd, are what a backward pass needs. Grid
// (groups, b), 32 threads. Reads 16 b groups chunks bytes, and small change.
extern "C" __global__ void __launch_bounds__(WARP_SIZE) group_norm_coefficients_f32(
    const float* __restrict__ x, const double* __restrict__ partials, const float* __restrict__ weight,
    const float* __restrict__ bias, const float* __restrict__ scale_shift, float* __restrict__ coefficients,
    double* __restrict__ statistics, int n, int c, int groups, int chunks, double eps) {
    finish_statistics<float>(x, partials, weight, bias, scale_shift, coefficients, statistics, n, c, groups, chunks, eps);
}

extern "C" __global__ void __launch_bounds__(WARP_SIZE) group_norm_coefficients_f64(
    const double* __restrict__ x, const double* __restrict__ partials, const double* __restrict__ weight,
    const double* __restrict__ bias, const double* __restrict__ scale_shift, double* __restrict__ coefficients,
    double* __restrict__ statistics, int n, int c, int groups, int chunks, double eps) {
    finish_statistics<double>(x, partials, weight, bias, scale_shift, coefficients, statistics, n, c, groups, chunks, eps);
}

// Application: y = x * coefficients[0] + coefficients[1], then x * sigmoid(x) in the silu entries. x, y [b, n, c];
// coefficients [b, 2, c]. Grid (chunks, tiles, b), block (32, warps). Reads and writes 4 b n c bytes each. Alignment as above,
// and y too.
extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS) group_norm_apply_vec4_f32(
    const float* __restrict__ x, const float* __restrict__ coefficients, float* __restrict__ y, int n, int c,
    int tile_channels, int rows_per_step, int rows_per_chunk) {
    apply_chunk<float, 4, false>(x, coefficients, y, n, c, tile_channels, rows_per_step, rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS) group_norm_apply_f32(
    const float* __restrict__ x, const float* __restrict__ coefficients, float* __restrict__ y, int n, int c,
    int tile_channels, int rows_per_step, int rows_per_chunk) {
    apply_chunk<float, 1, false>(x, coefficients, y, n, c, tile_channels, rows_per_step, rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS) group_norm_apply_silu_vec4_f32(
    const float* __restrict__ x, const float* __restrict__ coefficients, float* __restrict__ y, int n, int c,
    int tile_channels, int rows_per_step, int rows_per_chunk) {
    apply_chunk<float, 4, true>(x, coefficients, y, n, c, tile_channels, rows_per_step, rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS) group_norm_apply_silu_f32(
    const float* __restrict__ x, const float* __restrict__ coefficients, float* __restrict__ y, int n, int c,
    int tile_channels, int rows_per_step, int rows_per_chunk) {
    apply_chunk<float, 1, true>(x, coefficients, y, n, c, tile_channels, rows_per_step, rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS) group_norm_apply_vec4_f64(
    const double* __restrict__ x, const double* __restrict__ coefficients, double* __restrict__ y, int n, int c,
    int tile_channels, int rows_per_step, int rows_per_chunk) {
    apply_chunk<double, 4, false>(x, coefficients, y, n, c, tile_channels, rows_per_step, rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS) group_norm_apply_f64(
    const double* __restrict__ x, const double* __restrict__ coefficients, double* __restrict__ y, int n, int c,
    int tile_channels, int rows_per_step, int rows_per_chunk) {
    apply_chunk<double, 1, false>(x, coefficients, y, n, c, tile_channels, rows_per_step, rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS) group_norm_apply_silu_vec4_f64(
    const double* __restrict__ x, const double* __restrict__ coefficients, double* __restrict__ y, int n, int c,
    int tile_channels, int rows_per_step, int rows_per_chunk) {
    apply_chunk<double, 4, true>(x, coefficients, y, n, c, tile_channels, rows_per_step, rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS, 1) group_norm_apply_silu_f64(
    const double* __restrict__ x, const double* __restrict__ coefficients, double* __restrict__ y, int n, int c,
    int tile_channels, int rows_per_step, int rows_per_chunk) {
    apply_chunk<double, 1, true>(x, coefficients, y, n, c, tile_channels, rows_per_step, rows_per_chunk);
}
