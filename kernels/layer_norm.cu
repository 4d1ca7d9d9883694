// Layer normalisation over the last axis (Ba, Kiros and Hinton 2016, arXiv 1607.06450): mean and variance of each row by two
// passes, so that a large mean costs no accuracy. Short rows stay in the registers of a warp or a part of one and are read
// once; others get a block each.
#include "blocks.cuh"
#include "layer_norm.cuh"

// x, y [rows, c]; weight, bias [c]: y = (x - mean) / sqrt(variance + eps) * weight + bias, the variance biased. Reads and
// writes 4 rows c bytes each. Block (32, 8); grid: rows over the rows of a block, which is rows_per_unit for every unit
// of lanes. c is a multiple of 4 and all pointers are aligned to 16 bytes.

// A part of a warp a row: c = 8, 16, 32 or 64 exactly, so that a warp's rows are one piece of memory; rows are 128 / c at least.
extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) layer_norm_8_f32(
    const float* __restrict__ x, const float* __restrict__ weight, const float* __restrict__ bias, float* __restrict__ y,
    int rows, float eps, int rows_per_unit) {
    normalize_rows<float, 2, 1>(x, weight, bias, y, rows, 8, eps, rows_per_unit);
}

extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) layer_norm_16_f32(
    const float* __restrict__ x, const float* __restrict__ weight, const float* __restrict__ bias, float* __restrict__ y,
    int rows, float eps, int rows_per_unit) {
    normalize_rows<float, 4, 1>(x, weight, bias, y, rows, 16, eps, rows_per_unit);
}

extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) layer_norm_32_f32(
    const float* __restrict__ x, const float* __restrict__ weight, const float* __restrict__ bias, float* __restrict__ y,
    int rows, float eps, int rows_per_unit) {
    normalize_rows<float, 8, 1>(x, weight, bias, y, rows, 32, eps, rows_per_unit);
}

extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) layer_norm_64_f32(
    const float* __restrict__ x, const float* __restrict__ weight, const float* __restrict__ bias, float* __restrict__ y,
    int rows, float eps, int rows_per_unit) {
    normalize_rows<float, 16, 1>(x, weight, bias, y, rows, 64, eps, rows_per_unit);
}

// A warp a row: c up to 128.
extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) layer_norm_128_f32(
    const float* __restrict__ x, const float* __restrict__ weight, const float* __restrict__ bias, float* __restrict__ y,
    int rows, int c, float eps, int rows_per_unit) {
    normalize_rows<float, 32, 1>(x, weight, bias, y, rows, c, eps, rows_per_unit);
}

// c up to 256.
extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE, 6) layer_norm_256_f32(
    const float* __restrict__ x, const float* __restrict__ weight, const float* __restrict__ bias, float* __restrict__ y,
    int rows, int c, float eps, int rows_per_unit) {
    normalize_rows<float, 32, 2>(x, weight, bias, y, rows, c, eps, rows_per_unit);
}

// c up to 512.
extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) layer_norm_512_f32(
    const float* __restrict__ x, const float* __restrict__ weight, const float* __restrict__ bias, float* __restrict__ y,
    int rows, int c, float eps, int rows_per_unit) {
    normalize_rows<float, 32, 4>(x, weight, bias, y, rows, c, eps, rows_per_unit);
}

// c up to 1024.
extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) layer_norm_1024_f32(
    const float* __restrict__ x, const float* __restrict__ weight, const float* __restrict__ bias, float* __restrict__ y,
    int rows, int c, float eps, int rows_per_unit) {
    normalize_rows<float, 32, 8>(x, weight, bias, y, rows, c, eps, rows_per_unit);
}

// The same in double.
extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) layer_norm_8_f64(
    const double* __restrict__ x, const double* __restrict__ weight, const double* __restrict__ bias, double* __restrict__ y,
    int rows, double eps, int rows_per_unit) {
    normalize_rows<double, 2, 1>(x, weight, bias, y, rows, 8, eps, rows_per_unit);
}

extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) layer_norm_16_f64(
    const double* __restrict__ x, const double* __restrict__ weight, const double* __restrict__ bias, double* __restrict__ y,
    int rows, double eps, int rows_per_unit) {
    normalize_rows<double, 4, 1>(x, weight, bias, y, rows, 16, eps, rows_per_unit);
}

extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) layer_norm_32_f64(
    const double* __restrict__ x, const double* __restrict__ weight, const double* __restrict__ bias, double* __restrict__ y,
    int rows, double eps, int rows_per_unit) {
    normalize_rows<double, 8, 1>(x, weight, bias, y, rows, 32, eps, rows_per_unit);
}

extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) layer_norm_64_f64(
    const double* __restrict__ x, const double* __restrict__ weight, const double* __restrict__ bias, double* __restrict__ y,
    int rows, double eps, int rows_per_unit) {
    normalize_rows<double, 16, 1>(x, weight, bias, y, rows, 64, eps, rows_per_unit);
}

extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) layer_norm_128_f64(
    const double* __restrict__ x, const double* __restrict__ weight, const double* __restrict__ bias, double* __restrict__ y,
    int rows, int c, double eps, int rows_per_unit) {
    normalize_rows<double, 32, 1>(x, weight, bias, y, rows, c, eps, rows_per_unit);
}

extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) layer_norm_256_f64(
    const double* __restrict__ x, const double* __restrict__ weight, const double* __restrict__ bias, double* __restrict__ y,
    int rows, int c, double eps, int rows_per_unit) {
    normalize_rows<double, 32, 2>(x, weight, bias, y, rows, c, eps, rows_per_unit);
}

extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) layer_norm_512_f64(
    const double* __restrict__ x, const double* __restrict__ weight, const double* __restrict__ bias, double* __restrict__ y,
    int rows, int c, double eps, int rows_per_unit) {
    normalize_rows<double, 32, 4>(x, weight, bias, y, rows, c, eps, rows_per_unit);
}

extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) layer_norm_1024_f64(
    const double* __restrict__ x, const double* __restrict__ weight, const double* __restrict__ bias, double* __restrict__ y,
    int rows, int c, double eps, int rows_per_unit) {
    normalize_rows<double, 32, 8>(x, weight, bias, y, rows, c, eps, rows_per_unit);
}

// A block a row, any c and alignment. Grid (rows); threads: a multiple of 32.
extern "C" __global__ void __launch_bounds__(MAX_ROW_BLOCK) layer_norm_any_f32(
    const float* __restrict__ x, const float* __restrict__ weight, const float* __restrict__ bias, float* __restrict__ y,
    int c, float eps) {
    normalize_row<float>(x, weight, bias, y, c, eps);
}

extern "C" __global__ void __launch_bounds__(MAX_ROW_BLOCK) layer_norm_any_f64(
    const double* __restrict__ x, const double* __restrict__ weight, const double* __restrict__ bias, double* __restrict__ y,
    int c, double eps) {
    normalize_row<double>(x, weight, bias, y, c, eps);
}
