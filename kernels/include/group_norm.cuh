// The three passes of group normalisation: sums of chunks, statistics and coefficients, application.
#pragma once

#include "activation.cuh"
#include "common.cuh"
#include "group_norm_walk.cuh"
#include "row.cuh"

// Sums of (x - shift) and (x - shift)^2 of every group over one chunk of positions. The shift is the group's first element
// in its sample: a value near the mean, so that the variance does not drown in the square of the mean; the sums of one
// thread are in float over few elements (double for double), all others in double, so that length does not cost accuracy.
template <typename T, int VECTOR>
__device__ __forceinline__ void sum_chunk(
    const T* __restrict__ x, double* __restrict__ partials, int n, int c, int groups, int tile_channels, int rows_per_step,
    int rows_per_chunk) {
    typedef Compute<T> C;
    __shared__ double sums[GROUP_NORM_MAX_THREADS];
    __shared__ double squares[GROUP_NORM_MAX_THREADS];
    const GroupNormWalk walk = group_norm_walk<VECTOR>(n, c, tile_channels, rows_per_step, rows_per_chunk);
    const int channels_per_group = c / groups;
    const T* sample = x + static_cast<long long>(blockIdx.z) * n * c;
    const T* chunk = sample + static_cast<long long>(blockIdx.x) * rows_per_chunk * c;

    C sum[VECTOR] = {};
    C square[VECTOR] = {};
    if (walk.active) {
        const C shift = sample[walk.channel / channels_per_group * channels_per_group];
        walk.each([&](int offset) {
            C value[VECTOR];
            if constexpr (VECTOR == 4) {
                const Four<C> four = load4(chunk + offset);
                value[0] = four.x;
                value[1] = four.y;
                value[2] = four.z;
                value[3] = four.w;
            } else {
                value[0] = chunk[offset];
            }
#pragma unroll
            for (int i = 0; i < VECTOR; ++i) {
                const C deviation = value[i] - shift;
                sum[i] += deviation;
                square[i] = fma_of(deviation, deviation, square[i]);
            }
        });
    }
    double thread_sum = sum[0];
    double thread_square = square[0];
#pragma unroll
    for (int i = 1; i < VECTOR; ++i) {
        thread_sum += sum[i];
        thread_square += square[i];
    }
    sums[walk.thread] = thread_sum;
    squares[walk.thread] = thread_square;
    __syncthreads();

    // A lane a group: its threads are `across` neighbours in each of the step's rows. Lanes past the last group repeat it.
    const int lanes_per_row = tile_channels / VECTOR;
    const int across = channels_per_group / VECTOR;
    const int first_group = blockIdx.y * tile_channels / channels_per_group;
    const int groups_here = min(tile_channels / channels_per_group, groups - first_group);
    for (int first = threadIdx.y * WARP_SIZE; first < groups_here; first += blockDim.y * WARP_SIZE) {
        const int group = min(first + static_cast<int>(threadIdx.x), groups_here - 1);
        double group_sum = 0;
        double group_square = 0;
        for (int row = 0; row < rows_per_step; ++row) {
            const int source = row * lanes_per_row + group * across;
            for (int i = 0; i < across; ++i) {
                group_sum += sums[source + i];
                group_square += squares[source + i];
            }
        }
        const long long row = static_cast<long long>(blockIdx.z) * groups + first_group + group;
        double* destination = partials + (row * gridDim.x + blockIdx.x) * 2;
        destination[0] = group_sum;
        destination[1] = group_square;
    }
}

// Statistics of one group from its chunks, in their order, and from them what the last pass multiplies and adds to each
// channel: y = x * coefficients[0] + coefficients[1]. One warp a group of a sample.
template <typename T>
__device__ __forceinline__ void finish_statistics(
    const T* __restrict__ x, const double* __restrict__ partials, const T* __restrict__ weight, const T* __restrict__ bias,
    const T* __restrict__ scale_shift, Compute<T>* __restrict__ coefficients, double* __restrict__ statistics,
    int n, int c, int groups, int chunks, double eps) {
    const int lane = threadIdx.x;
    const int group = blockIdx.x;
    const int sample = blockIdx.y;
    const int channels_per_group = c / groups;
    const long long row = static_cast<long long>(sample) * groups + group;
    double sum = 0;
    double square = 0;
    each_of_row(0, chunks, lane, WARP_SIZE, [&](int chunk, bool counts) {
        const double chunk_sum = partials[(row * chunks + chunk) * 2];
        const double chunk_square = partials[(row * chunks + chunk) * 2 + 1];
        sum += counts ? chunk_sum : 0.0;
        square += counts ? chunk_square : 0.0;
    });
    sum = warp_sum(sum);
    square = warp_sum(square);

    const double count = static_cast<double>(n) * channels_per_group;
    const double shift = x[static_cast<long long>(sample) * n * c + group * channels_per_group];
    const double from_shift = sum / count;
    const double mean = shift + from_shift;
    const double variance = square / count - from_shift * from_shift;
    const double rstd = 1.0 / sqrt((variance > 0 ? variance : 0.0) + eps);
    if (statistics != nullptr) {
        statistics[row * 2] = mean;
        statistics[row * 2 + 1] = rstd;
    }
    Compute<T>* multiply = coefficients + static_cast<long long>(sample) * 2 * c;
    Compute<T>* add = multiply + c;
    each_of_row(0, channels_per_group, lane, WARP_SIZE, [&](int i, bool) {
        const int channel = group * channels_per_group + i;
        double factor = rstd * weight[channel];
        double offset = bias[channel] - mean * factor;
        if (scale_shift != nullptr) {
            const T* own = scale_shift + static_cast<long long>(sample) * 2 * c;
            const double scale = 1.0 + own[channel];
            factor *= scale;
            offset = offset * scale + own[c + channel];
        }
        multiply[channel] = static_cast<Compute<T>>(factor);
        add[channel] = static_cast<Compute<T>>(offset);
    });
}

template <bool SILU, typename C>
__device__ __forceinline__ C applied(C x, C multiply, C add) {
    const C y = fma_of(x, multiply, add);
    return SILU ? silu(y) : y;
}

// y = x * coefficients[0] + coefficients[1] and SiLU, over one chunk of positions.
template <typename T, int VECTOR, bool SILU>
__device__ __forceinline__ void apply_chunk(
    const T* __restrict__ x, const Compute<T>* __restrict__ coefficients, T* __restrict__ y, int n, int c, int tile_channels,
    int rows_per_step, int rows_per_chunk) {
    typedef Compute<T> C;
    const GroupNormWalk walk = group_norm_walk<VECTOR>(n, c, tile_channels, rows_per_step, rows_per_chunk);
    if (!walk.active) {
        return;
    }
    const long long start = (static_cast<long long>(blockIdx.z) * n + static_cast<long long>(blockIdx.x) * rows_per_chunk) * c;
    const T* from = x + start;
    T* to = y + start;
    const C* multiply = coefficients + static_cast<long long>(blockIdx.z) * 2 * c + walk.channel;
    const C* add = multiply + c;
    if constexpr (VECTOR == 4) {
        const Four<C> a = load4(multiply);
        const Four<C> b = load4(add);
        walk.each([&](int offset) {
            const Four<C> v = load4(from + offset);
            store4(to + offset,
                   {applied<SILU>(v.x, a.x, b.x), applied<SILU>(v.y, a.y, b.y), applied<SILU>(v.z, a.z, b.z),
                    applied<SILU>(v.w, a.w, b.w)});
        });
    } else {
        const C a = *multiply;
        const C b = *add;
        walk.each([&](int offset) { to[offset] = T(applied<SILU>(C(from[offset]), a, b)); });
    }
}
