// Gradients of group normalisation and of the scale, shift and SiLU fused with it (kernels/group_norm.cu).
//
// With xhat = (x - mean) rstd, f = weight (1 + scale), y = xhat f + bias (1 + scale) + shift, and g the gradient at y (what
// comes in, times SiLU's derivative at y if it is applied), let A and B be the sums of g and of g xhat over the positions
// of a sample, a channel each. Then the gradients are
//   shift: A;  scale: weight B + bias A;  bias: the sum over samples of (1 + scale) A;  weight: that of (1 + scale) B
//   x: rstd (f g - m1 - xhat m2), with m1 and m2 the sums over a group's channels of f A and f B, by its number of elements
// (Wu and He 2018, arXiv 1803.08494, through the chain rule as for batch normalisation: Ioffe and Szegedy 2015, arXiv 1502.03167,
// section 3). Two passes over x and the incoming gradient, the first for A and B; xhat, y and g are computed in each and never
// stored.
//
// Deviations are taken from the mean as T holds it, which is exact for values near it; what the mean has beyond that enters
// the coefficients, in double. So a large mean costs no accuracy.
#include "activation_slope.cuh"
#include "blocks.cuh"
#include "common.cuh"
#include "group_norm_walk.cuh"
#include "row.cuh"
#include "vector_access.cuh"

namespace {

// Blocks that take several rows a step, and so add up over threads, have no more threads than this.
constexpr int MAX_ADDING_THREADS = 512;

// Threads of the vec4 entries, at most: four channels a thread, in double, need more than the 64 registers of a block of 1024.
constexpr int MAX_VECTOR_THREADS = 512;

// Warps a block of the second launch.
constexpr int FINISHING_WARPS = 8;

// Mean and rstd of a group, as the forward pass left them, and the part of the mean that T does not hold.
struct Statistics {
    double rstd;
    double rest;
};

template <typename T>
__device__ __forceinline__ Statistics statistics_of(const double* __restrict__ statistics, long long group) {
    const double mean = statistics[group * 2];
    return {statistics[group * 2 + 1], mean - static_cast<double>(static_cast<T>(mean))};
}

// What the forward pass does to a channel of a sample: y = (x - mean as T) * multiply + add.
struct Affine {
    double multiply;
    double add;
};

template <typename T>
__device__ __forceinline__ Affine affine_of(
    Statistics of_group, const T* __restrict__ weight, const T* __restrict__ bias, const T* __restrict__ scale_shift, int c,
    long long sample, int channel) {
    double factor = weight[channel];
    double offset = bias[channel];
    if (scale_shift != nullptr) {
        const T* own = scale_shift + sample * 2 * c;
        const double scale = 1.0 + own[channel];
        factor *= scale;
        offset = offset * scale + own[c + channel];
    }
    factor *= of_group.rstd;
    return {factor, offset - of_group.rest * factor};
}

// Sums of g and g (x - mean as T) of every channel over one chunk of positions. A thread adds few elements in T, everything
// after that is in double.
template <typename T, int VECTOR, bool SILU>
__device__ __forceinline__ void sum_chunk(
    const T* __restrict__ x, const T* __restrict__ gradient, const T* __restrict__ weight, const T* __restrict__ bias,
    const T* __restrict__ scale_shift, const double* __restrict__ statistics, double* __restrict__ partials, int n, int c,
    int groups, int tile_channels, int rows_per_step, int rows_per_chunk) {
    __shared__ __align__(16) T sums[MAX_ADDING_THREADS * VECTOR];
    __shared__ __align__(16) T products[MAX_ADDING_THREADS * VECTOR];
    const GroupNormWalk walk = group_norm_walk<VECTOR>(n, c, tile_channels, rows_per_step, rows_per_chunk);
    const long long sample = blockIdx.z;
    const long long start = (sample * n + static_cast<long long>(blockIdx.x) * rows_per_chunk) * c;
    const T* values = x + start;
    const T* gradients = gradient + start;

    T sum[VECTOR] = {};
    T product[VECTOR] = {};
    if (walk.active) {
        const long long group = sample * groups + walk.channel / (c / groups);
        const T centre = static_cast<T>(statistics[group * 2]);
        T multiply[VECTOR];
        T add[VECTOR];
        if constexpr (SILU) {
            const Statistics of_group = statistics_of<T>(statistics, group);
#pragma unroll
            for (int i = 0; i < VECTOR; ++i) {
                const Affine affine = affine_of(of_group, weight, bias, scale_shift, c, sample, walk.channel + i);
                multiply[i] = static_cast<T>(affine.multiply);
                add[i] = static_cast<T>(affine.add);
            }
        }
        walk.each([&](int offset) {
            T value[VECTOR];
            T g[VECTOR];
            load_vector(values + offset, value);
            load_vector(gradients + offset, g);
#pragma unroll
            for (int i = 0; i < VECTOR; ++i) {
                const T deviation = value[i] - centre;
                if constexpr (SILU) {
                    g[i] *= silu_slope(fma_of(deviation, multiply[i], add[i]));
                }
                sum[i] += g[i];
                product[i] = fma_of(g[i], deviation, product[i]);
            }
        });
    }

    double* destination = partials + (sample * gridDim.x + blockIdx.x) * 2 * c;
    if (rows_per_step == 1) {
        if (walk.active) {
#pragma unroll
            for (int i = 0; i < VECTOR; ++i) {
                destination[walk.channel + i] = sum[i];
                destination[c + walk.channel + i] = product[i];
            }
        }
        return;
    }

    // A thread a channel, over the rows of the step. Threads past the last channel repeat it.
    store_vector(sums + walk.thread * VECTOR, sum);
    store_vector(products + walk.thread * VECTOR, product);
    __syncthreads();
    for (int first = threadIdx.y * WARP_SIZE; first < c; first += blockDim.y * WARP_SIZE) {
        const int channel = min(first + static_cast<int>(threadIdx.x), c - 1);
        double channel_sum = 0;
        double channel_product = 0;
        for (int row = 0; row < rows_per_step; ++row) {
            channel_sum += sums[row * c + channel];
            channel_product += products[row * c + channel];
        }
        destination[channel] = channel_sum;
        destination[c + channel] = channel_product;
    }
}

// A and B of the channels of one group of a sample, from its chunks in their order; from them the gradients of scale and
// shift, and what the last pass needs: dx = g * coefficients[0] + (x - mean as T) * coefficients[2] + coefficients[3] +
// coefficients[4], where coefficients[1] is what is added in y.
//
// The gradient of x sums to zero over a group, and so does every bias before the norm by its own. A constant rounded to T, or one
// that belongs to coefficients before their rounding, would make that sum grow with the number of elements: the constant is
// found from the rounded coefficients, and comes in two parts.
template <typename T>
__device__ __forceinline__ void finish_sums(
    const double* __restrict__ partials, const T* __restrict__ weight, const T* __restrict__ bias,
    const T* __restrict__ scale_shift, const double* __restrict__ statistics, double* __restrict__ totals,
    T* __restrict__ scale_shift_gradient, T* __restrict__ coefficients, int n, int c, int groups, int chunks) {
    __shared__ double sums[FINISHING_WARPS][WARP_SIZE];
    __shared__ double products[FINISHING_WARPS][WARP_SIZE];
    const int lane = threadIdx.x;
    const int warp = threadIdx.y;
    const long long sample = blockIdx.y;
    const int channels_per_group = c / groups;
    const int first_channel = blockIdx.x * channels_per_group;
    const Statistics of_group = statistics_of<T>(statistics, sample * groups + blockIdx.x);

    // A lane a channel; those past the last one repeat it and count for nothing. A warp takes every eighth chunk.
    double group_sum = 0;
    double group_product = 0;
    for (int first = 0; first < channels_per_group; first += WARP_SIZE) {
        const bool counts = first + lane < channels_per_group;
        const int channel = first_channel + min(first + lane, channels_per_group - 1);
        double sum = 0;
        double product = 0;
        for (int chunk = warp; chunk < chunks; chunk += FINISHING_WARPS) {
            const double* source = partials + (sample * chunks + chunk) * 2 * c + channel;
            sum += source[0];
            product += source[c];
        }
        sums[warp][lane] = sum;
        products[warp][lane] = product;
        __syncthreads();
        sum = sums[0][lane];
        product = products[0][lane];
        for (int other = 1; other < FINISHING_WARPS; ++other) {
            sum += sums[other][lane];
            product += products[other][lane];
        }
        __syncthreads();

        product = of_group.rstd * (product - of_group.rest * sum);
        double factor = weight[channel];
        if (warp == 0) {
            totals[sample * 2 * c + channel] = sum;
            totals[sample * 2 * c + c + channel] = product;
            if (scale_shift_gradient != nullptr) {
                T* destination = scale_shift_gradient + sample * 2 * c;
                destination[channel] = static_cast<T>(factor * product + bias[channel] * sum);
                destination[c + channel] = static_cast<T>(sum);
            }
        }
        if (scale_shift != nullptr) {
            factor *= 1.0 + scale_shift[sample * 2 * c + channel];
        }
        group_sum += counts ? static_cast<double>(static_cast<T>(factor * of_group.rstd)) * sum : 0.0;
        group_product += counts ? factor * product : 0.0;
    }
    if (coefficients == nullptr) {
        return;
    }

    const double count = static_cast<double>(n) * channels_per_group;
    const double mean_sum = warp_sum(group_sum) / count;
    const double mean_product = warp_sum(group_product) / count;
    const T by_deviation = static_cast<T>(-of_group.rstd * of_group.rstd * mean_product);
    const double constant = -mean_sum - of_group.rest * by_deviation;
    const T rounded = static_cast<T>(constant);
    T* own = coefficients + sample * 5 * c;
    each_of_row(0, channels_per_group, warp * WARP_SIZE + lane, FINISHING_WARPS * WARP_SIZE, [&](int i, bool) {
        const int channel = first_channel + i;
        const Affine affine = affine_of(of_group, weight, bias, scale_shift, c, sample, channel);
        own[channel] = static_cast<T>(affine.multiply);
        own[c + channel] = static_cast<T>(affine.add);
        own[2 * c + channel] = by_deviation;
        own[3 * c + channel] = rounded;
        own[4 * c + channel] = static_cast<T>(constant - rounded);
    });
}

// The gradients of weight and bias: over samples, in their order. A thread a channel.
template <typename T>
__device__ __forceinline__ void sum_samples(
    const double* __restrict__ totals, const T* __restrict__ scale_shift, T* __restrict__ weight_gradient,
    T* __restrict__ bias_gradient, int b, int c) {
    const int channel = blockIdx.x * blockDim.x + threadIdx.x;
    if (channel >= c) {
        return;
    }
    double sum = 0;
    double product = 0;
    for (int sample = 0; sample < b; ++sample) {
        const long long start = static_cast<long long>(sample) * 2 * c + channel;
        const double scale = scale_shift == nullptr ? 1.0 : 1.0 + scale_shift[start];
        sum += scale * totals[start];
        product += scale * totals[start + c];
    }
    if (weight_gradient != nullptr) {
        weight_gradient[channel] = static_cast<T>(product);
    }
    if (bias_gradient != nullptr) {
        bias_gradient[channel] = static_cast<T>(sum);
    }
}

// The gradient of x over one chunk of positions.
template <typename T, int VECTOR, bool SILU>
__device__ __forceinline__ void apply_chunk(
    const T* __restrict__ x, const T* __restrict__ gradient, const double* __restrict__ statistics,
    const T* __restrict__ coefficients, T* __restrict__ dx, int n, int c, int groups, int tile_channels, int rows_per_step,
    int rows_per_chunk) {
    const GroupNormWalk walk = group_norm_walk<VECTOR>(n, c, tile_channels, rows_per_step, rows_per_chunk);
    if (!walk.active) {
        return;
    }
    const long long sample = blockIdx.z;
    const long long start = (sample * n + static_cast<long long>(blockIdx.x) * rows_per_chunk) * c;
    const T* values = x + start;
    const T* gradients = gradient + start;
    T* destination = dx + start;
    const T centre = static_cast<T>(statistics[(sample * groups + walk.channel / (c / groups)) * 2]);
    const T* own = coefficients + sample * 5 * c + walk.channel;
    T multiply[VECTOR];
    T add[VECTOR];
    T by_deviation[VECTOR];
    T constant[VECTOR];
    T rest[VECTOR];
    load_vector(own, multiply);
    load_vector(own + c, add);
    load_vector(own + 2 * c, by_deviation);
    load_vector(own + 3 * c, constant);
    load_vector(own + 4 * c, rest);
    walk.each([&](int offset) {
        T value[VECTOR];
        T g[VECTOR];
        load_vector(values + offset, value);
        load_vector(gradients + offset, g);
#pragma unroll
        for (int i = 0; i < VECTOR; ++i) {
            const T deviation = value[i] - centre;
            if constexpr (SILU) {
                g[i] *= silu_slope(fma_of(deviation, multiply[i], add[i]));
            }
            g[i] = fma_of(g[i], multiply[i], fma_of(deviation, by_deviation[i], rest[i])) + constant[i];
        }
        store_vector(destination + offset, g);
    });
}

}  // namespace

// Partial sums. x, gradient [b, n, c]; weight, bias [c]; scale_shift [b, 2c], null for none; statistics [b, groups, 2] of double,
// mean and rstd; partials [b, chunks, 2, c] of double. Grid (chunks, tiles, b), block (32, warps), at most 512 threads where
// rows_per_step is above 1. Reads 8 b n c bytes.
// The vec4 entries need c / groups to be a multiple of 4 and x and gradient aligned to 16 bytes, and take blocks of 512 threads at
// most; the others take anything. In the silu entries gradient is that of the result of SiLU.
extern "C" __global__ void __launch_bounds__(MAX_VECTOR_THREADS) group_norm_backward_sums_vec4_f32(
    const float* __restrict__ x, const float* __restrict__ gradient, const float* __restrict__ weight, const float* __restrict__ bias,
    const float* __restrict__ scale_shift, const double* __restrict__ statistics, double* __restrict__ partials, int n, int c,
    int groups, int tile_channels, int rows_per_step, int rows_per_chunk) {
    sum_chunk<float, 4, false>(
        x, gradient, weight, bias, scale_shift, statistics, partials, n, c, groups, tile_channels, rows_per_step,
        rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS) group_norm_backward_sums_f32(
    const float* __restrict__ x, const float* __restrict__ gradient, const float* __restrict__ weight, const float* __restrict__ bias,
    const float* __restrict__ scale_shift, const double* __restrict__ statistics, double* __restrict__ partials, int n, int c,
    int groups, int tile_channels, int rows_per_step, int rows_per_chunk) {
    sum_chunk<float, 1, false>(
        x, gradient, weight, bias, scale_shift, statistics, partials, n, c, groups, tile_channels, rows_per_step,
        rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(MAX_VECTOR_THREADS) group_norm_backward_sums_silu_vec4_f32(
    const float* __restrict__ x, const float* __restrict__ gradient, const float* __restrict__ weight, const float* __restrict__ bias,
    const float* __restrict__ scale_shift, const double* __restrict__ statistics, double* __restrict__ partials, int n, int c,
    int groups, int tile_channels, int rows_per_step, int rows_per_chunk) {
    sum_chunk<float, 4, true>(
        x, gradient, weight, bias, scale_shift, statistics, partials, n, c, groups, tile_channels, rows_per_step,
        rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS) group_norm_backward_sums_silu_f32(
    const float* __restrict__ x, const float* __restrict__ gradient, const float* __restrict__ weight, const float* __restrict__ bias,
    const float* __restrict__ scale_shift, const double* __restrict__ statistics, double* __restrict__ partials, int n, int c,
    int groups, int tile_channels, int rows_per_step, int rows_per_chunk) {
    sum_chunk<float, 1, true>(
        x, gradient, weight, bias, scale_shift, statistics, partials, n, c, groups, tile_channels, rows_per_step,
        rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(MAX_VECTOR_THREADS) group_norm_backward_sums_vec4_f64(
    const double* __restrict__ x, const double* __restrict__ gradient, const double* __restrict__ weight, const double* __restrict__ bias,
    const double* __restrict__ scale_shift, const double* __restrict__ statistics, double* __restrict__ partials, int n, int c,
    int groups, int tile_channels, int rows_per_step, int rows_per_chunk) {
    sum_chunk<double, 4, false>(
        x, gradient, weight, bias, scale_shift, statistics, partials, n, c, groups, tile_channels, rows_per_step,
        rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS) group_norm_backward_sums_f64(
    const double* __restrict__ x, const double* __restrict__ gradient, const double* __restrict__ weight, const double* __restrict__ bias,
    const double* __restrict__ scale_shift, const double* __restrict__ statistics, double* __restrict__ partials, int n, int c,
    int groups, int tile_channels, int rows_per_step, int rows_per_chunk) {
    sum_chunk<double, 1, false>(
        x, gradient, weight, bias, scale_shift, statistics, partials, n, c, groups, tile_channels, rows_per_step,
        rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(MAX_VECTOR_THREADS) group_norm_backward_sums_silu_vec4_f64(
    const double* __restrict__ x, const double* __restrict__ gradient, const double* __restrict__ weight, const double* __restrict__ bias,
    const double* __restrict__ scale_shift, const double* __restrict__ statistics, double* __restrict__ partials, int n, int c,
    int groups, int tile_channels, int rows_per_step, int rows_per_chunk) {
    sum_chunk<double, 4, true>(
        x, gradient, weight, bias, scale_shift, statistics, partials, n, c, groups, tile_channels, rows_per_step,
        rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS) group_norm_backward_sums_silu_f64(
    const double* __restrict__ x, const double* __restrict__ gradient, const double* __restrict__ weight, const double* __restrict__ bias,
    const double* __restrict__ scale_shift, const double* __restrict__ statistics, double* __restrict__ partials, int n, int c,
    int groups, int tile_channels, int rows_per_step, int rows_per_chunk) {
    sum_chunk<double, 1, true>(
        x, gradient, weight, bias, scale_shift, statistics, partials, n, c, groups, tile_channels, rows_per_step,
        rows_per_chunk);
}

// A and B into totals [b, 2, c] of double, gradients of scale and shift into scale_shift_gradient [b, 2c] (null for not wanted),
// and coefficients [b, 5, c] of the last pass (null for not wanted): rstd f, what is added in y, -rstd^2 m2, and -rstd m1 in two
// parts; the second and the last put right by what the mean has beyond T. Grid (groups, b), block (32, 8). Reads 16 b chunks c
// bytes, and small change.
extern "C" __global__ void __launch_bounds__(FINISHING_WARPS * WARP_SIZE) group_norm_backward_coefficients_f32(
    const double* __restrict__ partials, const float* __restrict__ weight, const float* __restrict__ bias,
    const float* __restrict__ scale_shift, const double* __restrict__ statistics, double* __restrict__ totals,
    float* __restrict__ scale_shift_gradient, float* __restrict__ coefficients, int n, int c, int groups, int chunks) {
    finish_sums<float>(
        partials, weight, bias, scale_shift, statistics, totals, scale_shift_gradient, coefficients, n, c, groups, chunks);
}

extern "C" __global__ void __launch_bounds__(FINISHING_WARPS * WARP_SIZE) group_norm_backward_coefficients_f64(
    const double* __restrict__ partials, const double* __restrict__ weight, const double* __restrict__ bias,
    const double* __restrict__ scale_shift, const double* __restrict__ statistics, double* __restrict__ totals,
    double* __restrict__ scale_shift_gradient, double* __restrict__ coefficients, int n, int c, int groups, int chunks) {
    finish_sums<double>(
        partials, weight, bias, scale_shift, statistics, totals, scale_shift_gradient, coefficients, n, c, groups, chunks);
}

// Gradients of weight and bias [c], each null for not wanted, from totals [b, 2, c]. Grid (c over 256), 256 threads. Reads
// 16 b c bytes.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) group_norm_backward_parameters_f32(
    const double* __restrict__ totals, const float* __restrict__ scale_shift, float* __restrict__ weight_gradient,
    float* __restrict__ bias_gradient, int b, int c) {
    sum_samples<float>(totals, scale_shift, weight_gradient, bias_gradient, b, c);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) group_norm_backward_parameters_f64(
    const double* __restrict__ totals, const double* __restrict__ scale_shift, double* __restrict__ weight_gradient,
    double* __restrict__ bias_gradient, int b, int c) {
    sum_samples<double>(totals, scale_shift, weight_gradient, bias_gradient, b, c);
}

// The gradient of x: dx [b, n, c] = rstd (f g - m1 - xhat m2). Grid (chunks, tiles, b), block (32, warps). Reads 8 b n c bytes
// and writes half as many. Alignment as above, and coefficients and dx too.
extern "C" __global__ void __launch_bounds__(MAX_VECTOR_THREADS) group_norm_backward_apply_vec4_f32(
    const float* __restrict__ x, const float* __restrict__ gradient, const double* __restrict__ statistics,
    const float* __restrict__ coefficients, float* __restrict__ dx, int n, int c, int groups, int tile_channels,
    int rows_per_step, int rows_per_chunk) {
    apply_chunk<float, 4, false>(
        x, gradient, statistics, coefficients, dx, n, c, groups, tile_channels, rows_per_step, rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS) group_norm_backward_apply_f32(
    const float* __restrict__ x, const float* __restrict__ gradient, const double* __restrict__ statistics,
    const float* __restrict__ coefficients, float* __restrict__ dx, int n, int c, int groups, int tile_channels,
    int rows_per_step, int rows_per_chunk) {
    apply_chunk<float, 1, false>(
        x, gradient, statistics, coefficients, dx, n, c, groups, tile_channels, rows_per_step, rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(MAX_VECTOR_THREADS) group_norm_backward_apply_silu_vec4_f32(
    const float* __restrict__ x, const float* __restrict__ gradient, const double* __restrict__ statistics,
    const float* __restrict__ coefficients, float* __restrict__ dx, int n, int c, int groups, int tile_channels,
    int rows_per_step, int rows_per_chunk) {
    apply_chunk<float, 4, true>(
        x, gradient, statistics, coefficients, dx, n, c, groups, tile_channels, rows_per_step, rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS) group_norm_backward_apply_silu_f32(
    const float* __restrict__ x, const float* __restrict__ gradient, const double* __restrict__ statistics,
    const float* __restrict__ coefficients, float* __restrict__ dx, int n, int c, int groups, int tile_channels,
    int rows_per_step, int rows_per_chunk) {
    apply_chunk<float, 1, true>(
        x, gradient, statistics, coefficients, dx, n, c, groups, tile_channels, rows_per_step, rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(MAX_VECTOR_THREADS, 1) group_norm_backward_apply_vec4_f64(
    const double* __restrict__ x, const double* __restrict__ gradient, const double* __restrict__ statistics,
    const double* __restrict__ coefficients, double* __restrict__ dx, int n, int c, int groups, int tile_channels,
    int rows_per_step, int rows_per_chunk) {
    apply_chunk<double, 4, false>(
        x, gradient, statistics, coefficients, dx, n, c, groups, tile_channels, rows_per_step, rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS) group_norm_backward_apply_f64(
    const double* __restrict__ x, const double* __restrict__ gradient, const double* __restrict__ statistics,
    const double* __restrict__ coefficients, double* __restrict__ dx, int n, int c, int groups, int tile_channels,
    int rows_per_step, int rows_per_chunk) {
    apply_chunk<double, 1, false>(
        x, gradient, statistics, coefficients, dx, n, c, groups, tile_channels, rows_per_step, rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(MAX_VECTOR_THREADS) group_norm_backward_apply_silu_vec4_f64(
    const double* __restrict__ x, const double* __restrict__ gradient, const double* __restrict__ statistics,
    const double* __restrict__ coefficients, double* __restrict__ dx, int n, int c, int groups, int tile_channels,
    int rows_per_step, int rows_per_chunk) {
    apply_chunk<double, 4, true>(
        x, gradient, statistics, coefficients, dx, n, c, groups, tile_channels, rows_per_step, rows_per_chunk);
}

extern "C" __global__ void __launch_bounds__(GROUP_NORM_MAX_THREADS) group_norm_backward_apply_silu_f64(
    const double* __restrict__ x, const double* __restrict__ gradient, const double* __restrict__ statistics,
    const double* __restrict__ coefficients, double* __restrict__ dx, int n, int c, int groups, int tile_channels,
    int rows_per_step, int rows_per_chunk) {
    apply_chunk<double, 1, true>(
        x, gradient, statistics, coefficients, dx, n, c, groups, tile_channels, rows_per_step, rows_per_chunk);
}
