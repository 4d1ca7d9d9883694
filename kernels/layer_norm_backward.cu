// Gradients of layer normalisation (kernels/layer_norm.cu). With xhat = (x - mean) rstd and h the incoming gradient times weight,
//   x: rstd (h - mean of h - xhat * mean of h xhat), means over the row;  weight: the sum over rows of gradient * xhat;
//   bias: that of gradient
// (Ba, Kiros and Hinton 2016, arXiv 1607.06450, through the chain rule). One pass: rows find their statistics again, which costs
// no memory traffic, as they are at hand anyway; a thread meets the same columns in all rows of its block, so it adds up its
// share of the sums over rows, and a block leaves one row of them for sum_rows.cu.
#include "activation.cuh"
#include "block_sums.cuh"
#include "blocks.cuh"
#include "common.cuh"
#include "lanes.cuh"
#include "row.cuh"
#include "vector_access.cuh"

namespace {

constexpr int WARPS = 8;

// The other way than row_sum: over the lanes of a warp that hold the same columns of different rows.
template <int LANES, typename T>
__device__ __forceinline__ T column_sum(T value) {
#pragma unroll
    for (int lanes = WARP_SIZE / 2; lanes >= LANES; lanes /= 2) {
        value += __shfl_xor_sync(FULL_WARP, value, lanes);
    }
    return value;
}

// Rows in registers, shared out as in the forward pass: LANES lanes a row, each holding VECTORS vectors of four. A warp that
// would reach past the last row takes the last whole set of rows; of those, rows that another warp has too are not added to
// the sums.
//
// The longest rows keep the deviations and the two sums of their columns in registers, but fetch the gradient again for each use:
// with it, a thread would need more registers than there are (in double), or than let two blocks share a multiprocessor (in float).
template <typename T, int LANES, int VECTORS>
__device__ __forceinline__ void rows_in_registers(
    const T* __restrict__ x, const T* __restrict__ gradient, const T* __restrict__ weight, T* __restrict__ dx,
    T* __restrict__ partials, int rows, int c, T eps, int rows_per_unit) {
    constexpr int UNITS_PER_WARP = WARP_SIZE / LANES;
    constexpr bool KEEPS_GRADIENT = VECTORS < 8;
    __shared__ __align__(16) T columns[2][WARPS][WARP_SIZE * 4];
    const int lane = threadIdx.x % LANES;
    const int unit = threadIdx.x / LANES;
    const int place = threadIdx.x * 4;
    const T inverse_count = T(1) / static_cast<T>(c);
    const int last = rows - UNITS_PER_WARP;
    T weight_sum[VECTORS][4] = {};
    T bias_sum[VECTORS][4] = {};
    int row = blockIdx.x * WARPS * UNITS_PER_WARP * rows_per_unit + threadIdx.y * UNITS_PER_WARP;
    for (int turn = 0; turn < rows_per_unit && row < rows; ++turn, row += WARPS * UNITS_PER_WARP) {
        const int first = min(row, last);
        const bool counts = first + unit >= row;
        const long long start = static_cast<long long>(first) * c;
        T deviation[VECTORS][4];
        T kept[KEEPS_GRADIENT ? VECTORS : 1][4];
        T sum = 0;
#pragma unroll
        for (int i = 0; i < VECTORS; ++i) {
            if ((i * LANES + lane) * 4 < c) {
                load_vector(x + start + i * LANES * 4 + place, deviation[i]);
                if constexpr (KEEPS_GRADIENT) {
                    load_vector(gradient + start + i * LANES * 4 + place, kept[i]);
                }
                sum += (deviation[i][0] + deviation[i][1]) + (deviation[i][2] + deviation[i][3]);
            }
        }
        const auto gradient_of = [&](int i, T (&g)[4]) {
            if constexpr (KEEPS_GRADIENT) {
#pragma unroll
                for (int j = 0; j < 4; ++j) {
                    g[j] = kept[i][j];
                }
            } else {
                load_vector(gradient + start + i * LANES * 4 + place, g);
            }
        };
        const T mean = row_sum<LANES>(sum) * inverse_count;
        T square = 0;
        T h_sum = 0;
        T product = 0;
#pragma unroll
        for (int i = 0; i < VECTORS; ++i) {
            const int column = (i * LANES + lane) * 4;
            if (column < c) {
                T w[4];
                T g[4];
                load_vector(weight + column, w);
                gradient_of(i, g);
#pragma unroll
                for (int j = 0; j < 4; ++j) {
                    const T h = g[j] * w[j];
                    deviation[i][j] -= mean;
                    square += deviation[i][j] * deviation[i][j];
                    h_sum += h;
                    product += h * deviation[i][j];
                }
            }
        }
        const T rstd = T(1) / sqrt_of(row_sum<LANES>(square) * inverse_count + eps);
        const T mean_h = row_sum<LANES>(h_sum) * inverse_count;
        const T mean_product = row_sum<LANES>(product) * rstd * inverse_count;
#pragma unroll
        for (int i = 0; i < VECTORS; ++i) {
            const int column = (i * LANES + lane) * 4;
            if (column < c) {
                T w[4];
                T g[4];
                T result[4];
                load_vector(weight + column, w);
                gradient_of(i, g);
#pragma unroll
                for (int j = 0; j < 4; ++j) {
                    const T normalized = deviation[i][j] * rstd;
                    weight_sum[i][j] += counts ? g[j] * normalized : T(0);
                    bias_sum[i][j] += counts ? g[j] : T(0);
                    result[j] = rstd * (g[j] * w[j] - mean_h - normalized * mean_product);
                }
                if (dx != nullptr) {
                    store_vector(dx + start + i * LANES * 4 + place, result);
                }
            }
        }
    }
    if (partials == nullptr) {
        return;
    }

    // Over the rows of a warp, then over the warps, one by one. Half of the threads take a column of weight each, half one of
    // bias; those past the last column repeat it.
    const int thread = threadIdx.y * WARP_SIZE + threadIdx.x;
    const int which = thread / (WARP_SIZE * 4);
    T* destination = partials + (static_cast<long long>(which) * gridDim.x + blockIdx.x) * c;
#pragma unroll
    for (int i = 0; i < VECTORS; ++i) {
        const int first = i * LANES * 4;
        if (first >= c) {
            break;
        }
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            weight_sum[i][j] = column_sum<LANES>(weight_sum[i][j]);
            bias_sum[i][j] = column_sum<LANES>(bias_sum[i][j]);
        }
        store_vector(&columns[0][threadIdx.y][place], weight_sum[i]);
        store_vector(&columns[1][threadIdx.y][place], bias_sum[i]);
        __syncthreads();
        const int column = min(thread % (WARP_SIZE * 4), min(LANES * 4, c - first) - 1);
        T sum = columns[which][0][column];
        for (int warp = 1; warp < WARPS; ++warp) {
            sum += columns[which][warp][column];
        }
        destination[first + column] = sum;
        __syncthreads();
    }
}

// A block for rows_per_block rows, one after the other, of any length and alignment; the second and third pass over a row find
// it in the cache. The sums over rows stay in the block's own row of the partials, each thread adding to its own columns;
// what threads past the end of a row repeat goes to a place of theirs behind the c columns.
template <typename T>
__device__ __forceinline__ void rows_in_memory(
    const T* __restrict__ x, const T* __restrict__ gradient, const T* __restrict__ weight, T* __restrict__ dx,
    T* __restrict__ partials, int rows, int c, T eps, int rows_per_block) {
    __shared__ T scratch[3 * WARP_SIZE];
    const int thread = threadIdx.x;
    const int threads = blockDim.x;
    const int stride = c + threads;
    T* weight_sums = partials + static_cast<long long>(blockIdx.x) * stride;
    T* bias_sums = weight_sums + static_cast<long long>(gridDim.x) * stride;
    const bool adds = partials != nullptr;
    if (adds) {
        each_of_row(0, c, thread, threads, [&](int i, bool counts) {
            const int slot = counts ? i : c + thread;
            weight_sums[slot] = 0;
            bias_sums[slot] = 0;
        });
    }

    const int end = min(static_cast<int>(blockIdx.x + 1) * rows_per_block, rows);
    for (int row = blockIdx.x * rows_per_block; row < end; ++row) {
        const long long start = static_cast<long long>(row) * c;
        T sum = 0;
        each_of_row(0, c, thread, threads, [&](int i, bool counts) {
            const T value = x[start + i];
            sum += counts ? value : T(0);
        });
        const T mean = block_sum(sum, scratch, threads) / static_cast<T>(c);
        T sums[3] = {};
        each_of_row(0, c, thread, threads, [&](int i, bool counts) {
            const T value = x[start + i];
            const T product = gradient[start + i] * weight[i];
            const T deviation = counts ? value - mean : T(0);
            const T h = counts ? product : T(0);
            sums[0] += deviation * deviation;
            sums[1] += h;
            sums[2] += h * deviation;
        });
        block_sums(sums, scratch, threads);
        const T rstd = T(1) / sqrt_of(sums[0] / static_cast<T>(c) + eps);
        const T mean_h = sums[1] / static_cast<T>(c);
        const T mean_product = sums[2] * rstd / static_cast<T>(c);
        each_of_row(0, c, thread, threads, [&](int i, bool counts) {
            const T g = gradient[start + i];
            const T normalized = (x[start + i] - mean) * rstd;
            if (adds) {
                const int slot = counts ? i : c + thread;
                weight_sums[slot] += g * normalized;
                bias_sums[slot] += g;
            }
            if (dx != nullptr) {
                dx[start + i] = rstd * (g * weight[i] - mean_h - normalized * mean_product);
            }
        });
    }
}

}  // namespace

// x, gradient, dx [rows, c]; weight [c]; dx null for not wanted. partials [2, blocks, c], null for not wanted: each block's
// sums over its rows, of the gradients of weight and then of bias. Reads 8 rows c bytes and writes half as many, and 8 blocks c.
// Block (32, 8); grid: rows over the rows of a block, which is rows_per_unit for every unit of lanes. c is a multiple of 4 and
// pointers are aligned to 16 bytes.

// A part of a warp a row: c = 8, 16, 32 or 64 exactly, so that a warp's rows are one piece of memory; rows are 128 / c at least.
extern "C" __global__ void __launch_bounds__(WARPS * WARP_SIZE) layer_norm_backward_8_f32(
    const float* __restrict__ x, const float* __restrict__ gradient, const float* __restrict__ weight, float* __restrict__ dx,
    float* __restrict__ partials, int rows, float eps, int rows_per_unit) {
    rows_in_registers<float, 2, 1>(x, gradient, weight, dx, partials, rows, 8, eps, rows_per_unit);
}

extern "C" __global__ void __launch_bounds__(WARPS * WARP_SIZE, 5) layer_norm_backward_16_f32(
    const float* __restrict__ x, const float* __restrict__ gradient, const float* __restrict__ weight, float* __restrict__ dx,
    float* __restrict__ partials, int rows, float eps, int rows_per_unit) {
    rows_in_registers<float, 4, 1>(x, gradient, weight, dx, partials, rows, 16, eps, rows_per_unit);
}

extern "C" __global__ void __launch_bounds__(WARPS * WARP_SIZE) layer_norm_backward_32_f32(
    const float* __restrict__ x, const float* __restrict__ gradient, const float* __restrict__ weight, float* __restrict__ dx,
    float* __restrict__ partials, int rows, float eps, int rows_per_unit) {
    rows_in_registers<float, 8, 1>(x, gradient, weight, dx, partials, rows, 32, eps, rows_per_unit);
}

extern "C" __global__ void __launch_bounds__(WARPS * WARP_SIZE) layer_norm_backward_64_f32(
    const float* __restrict__ x, const float* __restrict__ gradient, const float* __restrict__ weight, float* __restrict__ dx,
    float* __restrict__ partials, int rows, float eps, int rows_per_unit) {
    rows_in_registers<float, 16, 1>(x, gradient, weight, dx, partials, rows, 64, eps, rows_per_unit);
}

// A warp a row: c up to 128.
extern "C" __global__ void __launch_bounds__(WARPS * WARP_SIZE, 6) layer_norm_backward_128_f32(
    const float* __restrict__ x, const float* __restrict__ gradient, const float* __restrict__ weight, float* __restrict__ dx,
    float* __restrict__ partials, int rows, int c, float eps, int rows_per_unit) {
    rows_in_registers<float, 32, 1>(x, gradient, weight, dx, partials, rows, c, eps, rows_per_unit);
}

// c up to 256.
extern "C" __global__ void __launch_bounds__(WARPS * WARP_SIZE) layer_norm_backward_256_f32(
    const float* __restrict__ x, const float* __restrict__ gradient, const float* __restrict__ weight, float* __restrict__ dx,
    float* __restrict__ partials, int rows, int c, float eps, int rows_per_unit) {
    rows_in_registers<float, 32, 2>(x, gradient, weight, dx, partials, rows, c, eps, rows_per_unit);
}

// c up to 512.
extern "C" __global__ void __launch_bounds__(WARPS * WARP_SIZE) layer_norm_backward_512_f32(
    const float* __restrict__ x, const float* __restrict__ gradient, const float* __restrict__ weight, float* __restrict__ dx,
    float* __restrict__ partials, int rows, int c, float eps, int rows_per_unit) {
    rows_in_registers<float, 32, 4>(x, gradient, weight, dx, partials, rows, c, eps, rows_per_unit);
}

// c up to 1024.
extern "C" __global__ void __launch_bounds__(WARPS * WARP_SIZE) layer_norm_backward_1024_f32(
    const float* __restrict__ x, const float* __restrict__ gradient, const float* __restrict__ weight, float* __restrict__ dx,
    float* __restrict__ partials, int rows, int c, float eps, int rows_per_unit) {
    rows_in_registers<float, 32, 8>(x, gradient, weight, dx, partials, rows, c, eps, rows_per_unit);
}

// The same in double.
extern "C" __global__ void __launch_bounds__(WARPS * WARP_SIZE) layer_norm_backward_8_f64(
    const double* __restrict__ x, const double* __restrict__ gradient, const double* __restrict__ weight, double* __restrict__ dx,
    double* __restrict__ partials, int rows, double eps, int rows_per_unit) {
    rows_in_registers<double, 2, 1>(x, gradient, weight, dx, partials, rows, 8, eps, rows_per_unit);
}

extern "C" __global__ void __launch_bounds__(WARPS * WARP_SIZE, 3) layer_norm_backward_16_f64(
    const double* __restrict__ x, const double* __restrict__ gradient, const double* __restrict__ weight, double* __restrict__ dx,
    double* __restrict__ partials, int rows, double eps, int rows_per_unit) {
    rows_in_registers<double, 4, 1>(x, gradient, weight, dx, partials, rows, 16, eps, rows_per_unit);
}

extern "C" __global__ void __launch_bounds__(WARPS * WARP_SIZE) layer_norm_backward_32_f64(
    const double* __restrict__ x, const double* __restrict__ gradient, const double* __restrict__ weight, double* __restrict__ dx,
    double* __restrict__ partials, int rows, double eps, int rows_per_unit) {
    rows_in_registers<double, 8, 1>(x, gradient, weight, dx, partials, rows, 32, eps, rows_per_unit);
}

extern "C" __global__ void __launch_bounds__(WARPS * WARP_SIZE) layer_norm_backward_64_f64(
    const double* __restrict__ x, const double* __restrict__ gradient, const double* __restrict__ weight, double* __restrict__ dx,
    double* __restrict__ partials, int rows, double eps, int rows_per_unit) {
    rows_in_registers<double, 16, 1>(x, gradient, weight, dx, partials, rows, 64, eps, rows_per_unit);
}

extern "C" __global__ void __launch_bounds__(WARPS * WARP_SIZE) layer_norm_backward_128_f64(
    const double* __restrict__ x, const double* __restrict__ gradient, const double* __restrict__ weight, double* __restrict__ dx,
    double* __restrict__ partials, int rows, int c, double eps, int rows_per_unit) {
    rows_in_registers<double, 32, 1>(x, gradient, weight, dx, partials, rows, c, eps, rows_per_unit);
}

extern "C" __global__ void __launch_bounds__(WARPS * WARP_SIZE) layer_norm_backward_256_f64(
    const double* __restrict__ x, const double* __restrict__ gradient, const double* __restrict__ weight, double* __restrict__ dx,
    double* __restrict__ partials, int rows, int c, double eps, int rows_per_unit) {
    rows_in_registers<double, 32, 2>(x, gradient, weight, dx, partials, rows, c, eps, rows_per_unit);
}

extern "C" __global__ void __launch_bounds__(WARPS * WARP_SIZE) layer_norm_backward_512_f64(
    const double* __restrict__ x, const double* __restrict__ gradient, const double* __restrict__ weight, double* __restrict__ dx,
    double* __restrict__ partials, int rows, int c, double eps, int rows_per_unit) {
    rows_in_registers<double, 32, 4>(x, gradient, weight, dx, partials, rows, c, eps, rows_per_unit);
}

extern "C" __global__ void __launch_bounds__(WARPS * WARP_SIZE) layer_norm_backward_1024_f64(
    const double* __restrict__ x, const double* __restrict__ gradient, const double* __restrict__ weight, double* __restrict__ dx,
    double* __restrict__ partials, int rows, int c, double eps, int rows_per_unit) {
    rows_in_registers<double, 32, 8>(x, gradient, weight, dx, partials, rows, c, eps, rows_per_unit);
}

// A block for rows_per_block rows, any c and alignment. Grid (rows over rows_per_block); threads: a multiple of 32. partials
// [2, blocks, c + threads], of which the first c columns count.
extern "C" __global__ void __launch_bounds__(MAX_ROW_BLOCK) layer_norm_backward_any_f32(
    const float* __restrict__ x, const float* __restrict__ gradient, const float* __restrict__ weight, float* __restrict__ dx,
    float* __restrict__ partials, int rows, int c, float eps, int rows_per_block) {
    rows_in_memory<float>(x, gradient, weight, dx, partials, rows, c, eps, rows_per_block);
}

extern "C" __global__ void __launch_bounds__(MAX_ROW_BLOCK) layer_norm_backward_any_f64(
    const double* __restrict__ x, const double* __restrict__ gradient, const double* __restrict__ weight, double* __restrict__ dx,
    double* __restrict__ partials, int rows, int c, double eps, int rows_per_block) {
    rows_in_memory<double>(x, gradient, weight, dx, partials, rows, c, eps, rows_per_block);
}
