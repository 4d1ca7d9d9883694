// The kernels of layer_norm.cu for half types: statistics are in float, results are rounded once.
#include "blocks.cuh"
#include "half.cuh"
#include "layer_norm.cuh"

// x, y [rows, c]; weight, bias [c]: y = (x - mean) / sqrt(variance + eps) * weight + bias, the variance biased. Reads and
// writes 2 rows c bytes each. Block (32, 8); grid: rows over the rows of a block, which is rows_per_unit for every unit
// of lanes. c is a multiple of 4 and all pointers are aligned to 8 bytes.

// A part of a warp a row: c = 8, 16, 32 or 64 exactly, so that a warp's rows are one piece of memory; rows are 128 / c at least.
extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) layer_norm_8_f16(
    const half* __restrict__ x, const half* __restrict__ weight, const half* __restrict__ bias, half* __restrict__ y,
    int rows, float eps, int rows_per_unit) {
    normalize_rows<half, 2, 1>(x, weight, bias, y, rows, 8, eps, rows_per_unit);
}

extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) layer_norm_8_bf16(
    const bfloat16* __restrict__ x, const bfloat16* __restrict__ weight, const bfloat16* __restrict__ bias,
    bfloat16* __restrict__ y, int rows, float eps, int rows_per_unit) {
    normalize_rows<bfloat16, 2, 1>(x, weight, bias, y, rows, 8, eps, rows_per_unit);
}

extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) layer_norm_16_f16(
    const half* __restrict__ x, const half* __restrict__ weight, const half* __restrict__ bias, half* __restrict__ y,
    int rows, float eps, int rows_per_unit) {
    normalize_rows<half, 4, 1>(x, weight, bias, y, rows, 16, eps, rows_per_unit);
}

extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) layer_norm_16_bf16(
    const bfloat16* __restrict__ x, const bfloat16* __restrict__ weight, const bfloat16* __restrict__ bias,
    bfloat16* __restrict__ y, int rows, float eps, int rows_per_unit) {
    normalize_rows<bfloat16, 4, 1>(x, weight, bias, y, rows, 16, eps, rows_per_unit);
}

extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) layer_norm_32_f16(
    const half* __restrict__ x, const half* __restrict__ weight, const half* __restrict__ bias, half* __restrict__ y,
    int rows, float eps, int rows_per_unit) {
    normalize_rows<half, 8, 1>(x, weight, bias, y, rows, 32, eps, rows_per_unit);
}

extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) layer_norm_32_bf16(
    const bfloat16* __restrict__ x, const bfloat16* __restrict__ weight, const bfloat16* __restrict__ bias,
    bfloat16* __restrict__ y, int rows, float eps, int rows_per_unit) {
    normalize_rows<bfloat16, 8, 1>(x, weight, bias, y, rows, 32, eps, rows_per_unit);
}

extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) layer_norm_64_f16(
    const half* __restrict__ x, const half* __restrict__ weight, const half* __restrict__ bias, half* __restrict__ y,
    int rows, float eps, int rows_per_unit) {
    normalize_rows<half, 16, 1>(x, weight, bias, y, rows, 64, eps, rows_per_unit);
}

extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) layer_norm_64_bf16(
    const bfloat16* __restrict__ x, const bfloat16* __restrict__ weight, const bfloat16* __restrict__ bias,
    bfloat16* __restrict__ y, int rows, float eps, int rows_per_unit) {
    normalize_rows<bfloat16, 16, 1>(x, weight, bias, y, rows, 64, eps, rows_per_unit);
}

// A warp a row: c up to 128.
extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) layer_norm_128_f16(
    const half* __restrict__ x, const half* __restrict__ weight, const half* __restrict__ bias, half* __restrict__ y,
    int rows, int c, float eps, int rows_per_unit) {
    normalize_rows<half, 32, 1>(x, weight, bias, y, rows, c, eps, rows_per_unit);
}

extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) layer_norm_128_bf16(
    const bfloat16* __restrict__ x, const bfloat16* __restrict__ weight, const bfloat16* __restrict__ bias,
    bfloat16* __restrict__ y, int rows, int c, float eps, int rows_per_unit) {
    normalize_rows<bfloat16, 32, 1>(x, weight, bias, y, rows, c, eps, rows_per_unit);
}

// c up to 256.
extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) layer_norm_256_f16(
    const half* __restrict__ x, const half* __restrict__ weight, const half* __restrict__ bias, half* __restrict__ y,
    int rows, int c, float eps, int rows_per_unit) {
    normalize_rows<half, 32, 2>(x, weight, bias, y, rows, c, eps, rows_per_unit);
}

extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) layer_norm_256_bf16(
    const bfloat16* __restrict__ x, const bfloat16* __restrict__ weight, const bfloat16* __restrict__ bias,
    bfloat16* __restrict__ y, int rows, int c, float eps, int rows_per_unit) {
    normalize_rows<bfloat16, 32, 2>(x, weight, bias, y, rows, c, eps, rows_per_unit);
}

// c up to 512.
extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) layer_norm_512_f16(
    const half* __restrict__ x, const half* __restrict__ weight, const half* __restrict__ bias, half* __restrict__ y,
    int rows, int c, float eps, int rows_per_unit) {
    normalize_rows<half, 32, 4>(x, weight, bias, y, rows, c, eps, rows_per_unit);
}

extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) layer_norm_512_bf16(
    const bfloat16* __restrict__ x, const bfloat16* __restrict__ weight, const bfloat16* __restrict__ bias,
    bfloat16* __restrict__ y, int rows, int c, float eps, int rows_per_unit) {
    normalize_rows<bfloat16, 32, 4>(x, weight, bias, y, rows, c, eps, rows_per_unit);
}

// c up to 1024.
extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) layer_norm_1024_f16(
    const half* __restrict__ x, const half* __restrict__ weight, const half* __restrict__ bias, half* __restrict__ y,
    int rows, int c, float eps, int rows_per_unit) {
    normalize_rows<half, 32, 8>(x, weight, bias, y, rows, c, eps, rows_per_unit);
}

extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) layer_norm_1024_bf16(
    const bfloat16* __restrict__ x, const bfloat16* __restrict__ weight, const bfloat16* __restrict__ bias,
    bfloat16* __restrict__ y, int rows, int c, float eps, int rows_per_unit) {
    normalize_rows<bfloat16, 32, 8>(x, weight, bias, y, rows, c, eps, rows_per_unit);
}

// A block a row, any c and alignment. Grid (rows); threads: a multiple of 32.
extern "C" __global__ void __launch_bounds__(MAX_ROW_BLOCK) layer_norm_any_f16(
    const half* __restrict__ x, const half* __restrict__ weight, const half* __restrict__ bias, half* __restrict__ y,
    int c, float eps) {
    normalize_row<half>(x, weight, bias, y, c, eps);
}

extern "C" __global__ void __launch_bounds__(MAX_ROW_BLOCK) layer_norm_any_bf16(
    const bfloat16* __restrict__ x, const bfloat16* __restrict__ weight, const bfloat16* __restrict__ bias,
    bfloat16* __restrict__ y, int c, float eps) {
    normalize_row<bfloat16>(x, weight, bias, y, c, eps);
}
