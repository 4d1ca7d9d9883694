// Layer normalisation: a row in the registers of a warp or a part of one, or in the cache of a block's.
#pragma once

#include "common.cuh"
#include "lanes.cuh"
#include "root.cuh"
#include "row.cuh"

// LANES lanes a row, each holding VECTORS vectors of four: rows of up to 4 * LANES * VECTORS elements, c a multiple of four.
// With less than a warp a row, rows are that long exactly, so that lane and place run on from one row to the next.
// A block takes rows_per_unit times as many neighbouring rows as it has units of LANES lanes. A warp that would reach past
// the last row takes the last whole set of rows instead, so that it stays together and one address leads all its lanes: rows
// are at least the units of a warp, and one may be written twice, with the same bits.
template <typename T, int LANES, int VECTORS>
__device__ __forceinline__ void normalize_rows(
    const T* __restrict__ x, const T* __restrict__ weight, const T* __restrict__ bias, T* __restrict__ y, int rows, int c,
    Compute<T> eps, int rows_per_unit) {
    typedef Compute<T> C;
    constexpr int UNITS_PER_WARP = WARP_SIZE / LANES;
    const int units = blockDim.y * UNITS_PER_WARP;
    const int lane = threadIdx.x % LANES;
    const int place = threadIdx.x * 4;
    const C inverse_count = C(1) / static_cast<C>(c);
    const int last = rows - UNITS_PER_WARP;
    int row = blockIdx.x * units * rows_per_unit + threadIdx.y * UNITS_PER_WARP;
    for (int turn = 0; turn < rows_per_unit && row < rows; ++turn, row += units) {
        const long long start = static_cast<long long>(min(row, last)) * c;
        Four<C> values[VECTORS];
        C sum = 0;
#pragma unroll
        for (int i = 0; i < VECTORS; ++i) {
            const int column = (i * LANES + lane) * 4;
            if (column < c) {
                values[i] = load4(x + start + i * LANES * 4 + place);
                sum += (values[i].x + values[i].y) + (values[i].z + values[i].w);
            }
        }
        const C mean = row_sum<LANES>(sum) * inverse_count;
        C square = 0;
#pragma unroll
        for (int i = 0; i < VECTORS; ++i) {
            const int column = (i * LANES + lane) * 4;
            if (column < c) {
                values[i] = {values[i].x - mean, values[i].y - mean, values[i].z - mean, values[i].w - mean};
                square += (values[i].x * values[i].x + values[i].y * values[i].y) +
                          (values[i].z * values[i].z + values[i].w * values[i].w);
            }
        }
        const C rstd = C(1) / sqrt_of(row_sum<LANES>(square) * inverse_count + eps);
#pragma unroll
        for (int i = 0; i < VECTORS; ++i) {
            const int column = (i * LANES + lane) * 4;
            if (column < c) {
                const Four<C> w = load4(weight + column);
                const Four<C> b = load4(bias + column);
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
    const T* __restrict__ x, const T* __restrict__ weight, const T* __restrict__ bias, T* __restrict__ y, int c, Compute<T> eps) {
    typedef Compute<T> C;
    __shared__ C scratch[WARP_SIZE];
    const long long start = static_cast<long long>(blockIdx.x) * c;
    const int threads = blockDim.x;
    C sum = 0;
    each_of_row(0, c, threadIdx.x, threads, [&](int i, bool counts) {
        const C value = x[start + i];
        sum += counts ? value : C(0);
    });
    const C mean = block_sum(sum, scratch, threads) / static_cast<C>(c);
    C square = 0;
    each_of_row(0, c, threadIdx.x, threads, [&](int i, bool counts) {
        const C value = x[start + i];
        const C deviation = counts ? value - mean : C(0);
        square += deviation * deviation;
    });
    const C rstd = C(1) / sqrt_of(block_sum(square, scratch, threads) / static_cast<C>(c) + eps);
    each_of_row(0, c, threadIdx.x, threads, [&](int i, bool) {
        y[start + i] = T((x[start + i] - mean) * rstd * weight[i] + bias[i]);
    });
}
