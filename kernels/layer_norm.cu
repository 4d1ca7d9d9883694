// Layer normalisation over the last axis (Ba, Kiros and Hinton 2016, arXiv 1607.06450): mean and variance of each row by two
// passes, so that a large mean costs no accuracy. Short rows stay in the registers of a warp or a part of one and are read
// once; others get a block each.
#include "blocks.cuh"
#include "common.cuh"
#include "lanes.cuh"
#include "root.cuh"
#include "row.cuh"

namespace {

// LANES lanes a row, each holding VECTORS vectors of four: rows of up to 4 * LANES * VECTORS elements, c a multiple of four.
// With less than a warp a row, rows are that long exactly, so that lane and place run on from one row to the next.
// A block takes rows_per_unit times as many neighbouring rows as it has units of LANES lanes. A warp that would reach past
// the last row takes the last whole set of rows instead, so that it stays together and one address leads all its lanes: rows
// are at least the units of a warp, and one may be written twice, with the same bits.
template <typename T, int LANES, int VECTORS>
__device__ __forceinline__ void normalize_rows(
    const T* __restrict__ x, const T* __restrict__ weight, const T* __restrict__ bias, T* __restrict__ y, int rows, int c,
    T eps, int rows_per_unit) {
    constexpr int UNITS_PER_WARP = WARP_SIZE / LANES;
    const int units = blockDim.y * UNITS_PER_WARP;
    const int lane = threadIdx.x % LANES;
    const int place = threadIdx.x * 4;
    const T inverse_count = T(1) / static_cast<T>(c);
    const int last = rows - UNITS_PER_WARP;
    int row = blockIdx.x * units * rows_per_unit + threadIdx.y * UNITS_PER_WARP;
    for (int turn = 0; turn < rows_per_unit && row < rows; ++turn, row += units) {
        const long long start = static_cast<long long>(min(row, last)) * c;
        Four<T> values[VECTORS];
        T sum = 0;
#pragma unroll
        for (int i = 0; i < VECTORS; ++i) {
            const int column = (i * LANES + lane) * 4;
            if (column < c) {
                values[i] = load4(x + start + i * LANES * 4 + place);
                sum += (values[i].x + values[i].y) + (values[i].z + values[i].w);
            }
        }
        const T mean = row_sum<LANES>(sum) * inverse_count;
        T square = 0;
#pragma unroll
        for (int i = 0; i < VECTORS; ++i) {
            const int column = (i * LANES + lane) * 4;
            if (column < c) {
                values[i] = {values[i].x - mean, values[i].y - mean, values[i].z - mean, values[i].w - mean};
                square += (values[i].x * values[i].x + values[i].y * values[i].y) +
                          (values[i].z * values[i].z + values[i].w * values[i].w);
            }
        }
        const T rstd = T(1) / sqrt_of(row_sum<LANES>(square) * inverse_count + eps);
#pragma unroll
        for (int i = 0; i < VECTORS; ++i) {
            const int column = (i * LANES + lane) * 4;
            if (column < c) {
                const Four<T> w = load4(weight + column);
                const Four<T> b = load4(bias + column);
                store4(y + start + i * LANES * 4 + place,
                       {values[i].x * rstd * w.x + b.x, values[i].y * rstd * w.y + b.y, values[i].z * rstd * w.z + b.z,
                        values[i].w * rstd * w.w + b.w});
            }
        }
    }
}

// A block a row, of any length and alignment; the second and third pass find the row in the cache.
template <typename T>
__device__ __forceinline__ void normalize_row(
    const T* __restrict__ x, const T* __restrict__ weight, const T* __restrict__ bias, T* __restrict__ y, int c, T eps) {
    __shared__ T scratch[WARP_SIZE];
    const long long start = static_cast<long long>(blockIdx.x) * c;
    const int threads = blockDim.x;
    T sum = 0;
    each_of_row(0, c, threadIdx.x, threads, [&](int i, bool counts) {
        const T value = x[start + i];
        sum += counts ? value : T(0);
    });
    const T mean = block_sum(sum, scratch, threads) / static_cast<T>(c);
    T square = 0;
    each_of_row(0, c, threadIdx.x, threads, [&](int i, bool counts) {
        const T value = x[start + i];
        const T deviation = counts ? value - mean : T(0);
        square += deviation * deviation;
    });
    const T rstd = T(1) / sqrt_of(block_sum(square, scratch, threads) / static_cast<T>(c) + eps);
    each_of_row(0, c, threadIdx.x, threads, [&](int i, bool) {
        y[start + i] = (x[start + i] - mean) * rstd * weight[i] + bias[i];
    });
}

}  // namespace

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
