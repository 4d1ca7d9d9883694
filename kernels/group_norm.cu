// Group normalisation of channels-last activations, with scale, shift and SiLU fused into its last pass (Wu and He 2018,
// arXiv 1803.08494). Three launches: partial sums of chunks of positions, statistics and coefficients, application. The first
// and the last walk x in the same way (group_norm_walk.cuh).
#include "activation.cuh"
#include "common.cuh"
#include "group_norm_walk.cuh"
#include "row.cuh"

namespace {

// Sums of (x - shift) and (x - shift)^2 of every group over one chunk of positions. The shift is the group's first element
// in its sample: a value near the mean, so that the variance does not drown in the square of the mean; the sums of one
// thread are in T over few elements, all others in double, so that length does not cost accuracy.
template <typename T, int VECTOR>
__device__ __forceinline__ void sum_chunk(
    const T* __restrict__ x, double* __restrict__ partials, int n, int c, int groups, int tile_channels, int rows_per_step,
    int rows_per_chunk) {
    __shared__ double sums[GROUP_NORM_MAX_THREADS];
    __shared__ double squares[GROUP_NORM_MAX_THREADS];
    const GroupNormWalk walk = group_norm_walk<VECTOR>(n, c, tile_channels, rows_per_step, rows_per_chunk);
    const int channels_per_group = c / groups;
    const T* sample = x + static_cast<long long>(blockIdx.z) * n * c;
    const T* chunk = sample + static_cast<long long>(blockIdx.x) * rows_per_chunk * c;

    T sum[VECTOR] = {};
    T square[VECTOR] = {};
    if (walk.active) {
        const T shift = sample[walk.channel / channels_per_group * channels_per_group];
        walk.each([&](int offset) {
            T value[VECTOR];
            if constexpr (VECTOR == 4) {
                const Four<T> four = load4(chunk + offset);
                value[0] = four.x;
                value[1] = four.y;
                value[2] = four.z;
                value[3] = four.w;
            } else {
                value[0] = chunk[offset];
            }
#pragma unroll
            for (int i = 0; i < VECTOR; ++i) {
                const T deviation = value[i] - shift;
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
    const T* __restrict__ scale_shift, T* __restrict__ coefficients, double* __restrict__ statistics,
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
    T* multiply = coefficients + static_cast<long long>(sample) * 2 * c;
    T* add = multiply + c;
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
        multiply[channel] = static_cast<T>(factor);
        add[channel] = static_cast<T>(offset);
    });
}

template <typename T, bool SILU>
__device__ __forceinline__ T applied(T x, T multiply, T add) {
    const T y = fma_of(x, multiply, add);
    return SILU ? silu(y) : y;
}

// y = x * coefficients[0] + coefficients[1] and SiLU, over one chunk of positions.
template <typename T, int VECTOR, bool SILU>
__device__ __forceinline__ void apply_chunk(
    const T* __restrict__ x, const T* __restrict__ coefficients, T* __restrict__ y, int n, int c, int tile_channels,
    int rows_per_step, int rows_per_chunk) {
    const GroupNormWalk walk = group_norm_walk<VECTOR>(n, c, tile_channels, rows_per_step, rows_per_chunk);
    if (!walk.active) {
        return;
    }
    const long long start = (static_cast<long long>(blockIdx.z) * n + static_cast<long long>(blockIdx.x) * rows_per_chunk) * c;
    const T* from = x + start;
    T* to = y + start;
    const T* multiply = coefficients + static_cast<long long>(blockIdx.z) * 2 * c + walk.channel;
    const T* add = multiply + c;
    if constexpr (VECTOR == 4) {
        const Four<T> a = load4(multiply);
        const Four<T> b = load4(add);
        walk.each([&](int offset) {
            const Four<T> v = load4(from + offset);
            store4(to + offset,
                   {applied<T, SILU>(v.x, a.x, b.x), applied<T, SILU>(v.y, a.y, b.y), applied<T, SILU>(v.z, a.z, b.z),
                    applied<T, SILU>(v.w, a.w, b.w)});
        });
    } else {
        const T a = *multiply;
        const T b = *add;
        walk.each([&](int offset) { to[offset] = applied<T, SILU>(from[offset], a, b); });
    }
}

}  // namespace

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
