// Losses: what a network's results are reduced to, and the gradients that its backward pass starts from. A loss is one number,
// the factor times a sum whose first pass leaves a partial sum in double for every block (ordered_sum.cuh). Gradients take the
// loss's own gradient from device memory.
#include "blocks.cuh"
#include "exponential.cuh"
#include "log_variance.cuh"
#include "ordered_sum.cuh"
#include "row.cuh"

namespace {

template <typename T>
__device__ __forceinline__ void squared_error_sums(
    const T* __restrict__ a, const T* __restrict__ b, double* __restrict__ partial, int n) {
    sum_chunk(partial, n, [=](int i) {
        const T difference = a[i] - b[i];
        return difference * difference;
    });
}

// da = 2 factor gradient (a - b); a thread takes four neighbouring elements, in one vector access where it can.
template <typename T>
__device__ __forceinline__ void squared_error_backward(
    const T* __restrict__ a, const T* __restrict__ b, const T* __restrict__ gradient, T* __restrict__ da, int n, T factor) {
    const T scale = T(2) * factor * gradient[0];
    const int first = (blockIdx.x * blockDim.x + threadIdx.x) * 4;
    if (first <= n - 4 && is_vector_aligned(a) && is_vector_aligned(b) && is_vector_aligned(da)) {
        const Four<T> u = load4(a + first);
        const Four<T> v = load4(b + first);
        store4(da + first, {scale * (u.x - v.x), scale * (u.y - v.y), scale * (u.z - v.z), scale * (u.w - v.w)});
        return;
    }
    for (int i = first; i < n && i < first + 4; ++i) {
        da[i] = scale * (a[i] - b[i]);
    }
}

// The place of element i's mean among the moments; its log-variance lies `channels` further on.
__device__ __forceinline__ int place_of_mean(int i, int channels) {
    return i + i / channels * channels;
}

template <typename T>
__device__ __forceinline__ void kl_divergence_sums(
    const T* __restrict__ moments, double* __restrict__ partial, int elements, int channels) {
    sum_chunk(partial, elements, [=](int i) {
        const int at = place_of_mean(i, channels);
        const T mean = moments[at];
        const T log_variance = held_log_variance(moments[at + channels]);
        return T(0.5) * (mean * mean + exp_of(log_variance) - T(1) - log_variance);
    });
}

template <typename T>
__device__ __forceinline__ void kl_divergence_backward(
    const T* __restrict__ moments, const T* __restrict__ gradient, T* __restrict__ dmoments, int elements, int channels, T factor) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= elements) {
        return;
    }
    const T scale = factor * gradient[0];
    const int at = place_of_mean(i, channels);
    const T log_variance = moments[at + channels];
    dmoments[at] = scale * moments[at];
    dmoments[at + channels] =
        passes_log_variance(log_variance) ? scale * (T(0.5) * (exp_of(log_variance) - T(1))) : T(0);
}

__device__ __forceinline__ float not_a_number(float) { return __int_as_float(0x7fffffff); }
__device__ __forceinline__ double not_a_number(double) { return __longlong_as_double(0x7fffffffffffffffll); }

// The largest of a row's logits, and the sum of exp(logit - largest). A warp takes a row; every lane gets both.
template <typename T>
__device__ __forceinline__ void row_softmax(const T* row, int classes, T& largest, T& sum) {
    T lane_largest = row[min(static_cast<int>(threadIdx.x), classes - 1)];
    each_of_row(0, classes, threadIdx.x, WARP_SIZE, [&](int i, bool) {
        const T logit = row[i];
        lane_largest = logit > lane_largest ? logit : lane_largest;
    });
    largest = warp_max(lane_largest);
    T lane_sum = T(0);
    each_of_row(0, classes, threadIdx.x, WARP_SIZE, [&](int i, bool counts) {
        const T power = exp_of(row[i] - largest);
        lane_sum += counts ? power : T(0);
    });
    sum = warp_sum(lane_sum);
}

template <typename T>
__device__ __forceinline__ void cross_entropy_rows(
    const T* __restrict__ logits, const int* __restrict__ targets, double* __restrict__ partial, int rows, int classes) {
    const int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) {
        return;
    }
    const T* own = logits + static_cast<long long>(row) * classes;
    T largest, sum;
    row_softmax(own, classes, largest, sum);
    if (threadIdx.x == 0) {
        const int target = targets[row];
        partial[row] = target >= 0 && target < classes
            ? (static_cast<double>(largest) - static_cast<double>(own[target])) + log(static_cast<double>(sum))
            : not_a_number(0.0);
    }
}

template <typename T>
__device__ __forceinline__ void cross_entropy_backward(
    const T* __restrict__ logits, const int* __restrict__ targets, const T* __restrict__ gradient, T* __restrict__ dlogits,
    int rows, int classes, T factor) {
    const int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) {
        return;
    }
    const long long start = static_cast<long long>(row) * classes;
    T largest, sum;
    row_softmax(logits + start, classes, largest, sum);
    const int target = targets[row];
    const T scale = target >= 0 && target < classes ? factor * gradient[0] : not_a_number(T(0));
    const T inverse = T(1) / sum;
    each_of_row(0, classes, threadIdx.x, WARP_SIZE, [&](int i, bool) {
        const T probability = exp_of(logits[start + i] - largest) * inverse;
        dlogits[start + i] = scale * (i == target ? probability - T(1) : probability);
    });
}

template <typename T>
__device__ __forceinline__ void repeat_scalar(const T* __restrict__ x, T* __restrict__ y, int n, T factor) {
    const T value = factor * x[0];
    const int first = (blockIdx.x * blockDim.x + threadIdx.x) * 4;
    if (first <= n - 4 && is_vector_aligned(y)) {
        store4(y + first, {value, value, value, value});
        return;
    }
    for (int i = first; i < n && i < first + 4; ++i) {
        y[i] = value;
    }
}

}  // namespace

// partial[c] = the sum of chunk c of x [n], 4096 elements a chunk, a block of 256 threads each. Reads n elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) element_sums_f32(
    const float* __restrict__ x, double* __restrict__ partial, int n) {
    sum_chunk(partial, n, [=](int i) { return x[i]; });
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) element_sums_f64(
    const double* __restrict__ x, double* __restrict__ partial, int n) {
    sum_chunk(partial, n, [=](int i) { return x[i]; });
}

// partial[c] = the sum of (a - b)^2 over chunk c; a, b [n], chunks and blocks as in element_sums. Reads 2n elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) squared_error_sums_f32(
    const float* __restrict__ a, const float* __restrict__ b, double* __restrict__ partial, int n) {
    squared_error_sums(a, b, partial, n);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) squared_error_sums_f64(
    const double* __restrict__ a, const double* __restrict__ b, double* __restrict__ partial, int n) {
    squared_error_sums(a, b, partial, n);
}

// partial[c] = the sum over chunk c of KL(N(mean, var) || N(0, 1)) = (mean^2 + exp(logvar) - 1 - logvar) / 2 (Kingma and Welling
// 2014, appendix B), logvar clamped to [-30, 20]; moments [pixels, 2 channels] (means, then log-variances), elements = pixels x
// channels terms, chunks and blocks as in element_sums. Reads 2 elements a term.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) kl_divergence_sums_f32(
    const float* __restrict__ moments, double* __restrict__ partial, int elements, int channels) {
    kl_divergence_sums(moments, partial, elements, channels);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) kl_divergence_sums_f64(
    const double* __restrict__ moments, double* __restrict__ partial, int elements, int channels) {
    kl_divergence_sums(moments, partial, elements, channels);
}

// partial[row] = log(sum of exp(logits[row, :])) - logits[row, targets[row]], the row's cross-entropy; not a number where the
// target is no class. logits [rows, classes], targets, partial [rows]. A warp a row: block (32, n). Reads rows classes elements;
// the second pass finds the row in the cache.
extern "C" __global__ void __launch_bounds__(WARP_ROWS_BLOCK) cross_entropy_rows_f32(
    const float* __restrict__ logits, const int* __restrict__ targets, double* __restrict__ partial, int rows, int classes) {
    cross_entropy_rows(logits, targets, partial, rows, classes);
}

extern "C" __global__ void __launch_bounds__(WARP_ROWS_BLOCK) cross_entropy_rows_f64(
    const double* __restrict__ logits, const int* __restrict__ targets, double* __restrict__ partial, int rows, int classes) {
    cross_entropy_rows(logits, targets, partial, rows, classes);
}

// y[0] = factor * the sum of partial [count], the second pass of every loss; one block of 256 threads. Reads count doubles.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) sum_partials_f32(
    const double* __restrict__ partial, float* __restrict__ y, int count, double factor) {
    sum_partials(partial, y, count, factor);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) sum_partials_f64(
    const double* __restrict__ partial, double* __restrict__ y, int count, double factor) {
    sum_partials(partial, y, count, factor);
}

// y = factor * x[0] everywhere: the gradient of a sum. x [1], y [n]. Writes n elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) repeat_scalar_f32(
    const float* __restrict__ x, float* __restrict__ y, int n, float factor) {
    repeat_scalar(x, y, n, factor);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) repeat_scalar_f64(
    const double* __restrict__ x, double* __restrict__ y, int n, double factor) {
    repeat_scalar(x, y, n, factor);
}

// da = 2 factor gradient[0] (a - b); a, b, da [n], gradient [1]. Moves 3n elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) squared_error_backward_f32(
    const float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ gradient, float* __restrict__ da, int n,
    float factor) {
    squared_error_backward(a, b, gradient, da, n, factor);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) squared_error_backward_f64(
    const double* __restrict__ a, const double* __restrict__ b, const double* __restrict__ gradient, double* __restrict__ da, int n,
    double factor) {
    squared_error_backward(a, b, gradient, da, n, factor);
}

// dmean = factor gradient[0] mean; dlogvar = factor gradient[0] (exp(logvar) - 1) / 2 where logvar is in [-30, 20], else 0.
// moments, dmoments [pixels, 2 channels], gradient [1]. Moves 4 elements a term. Grid: elements = pixels x channels threads.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) kl_divergence_backward_f32(
    const float* __restrict__ moments, const float* __restrict__ gradient, float* __restrict__ dmoments, int elements, int channels,
    float factor) {
    kl_divergence_backward(moments, gradient, dmoments, elements, channels, factor);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) kl_divergence_backward_f64(
    const double* __restrict__ moments, const double* __restrict__ gradient, double* __restrict__ dmoments, int elements,
    int channels, double factor) {
    kl_divergence_backward(moments, gradient, dmoments, elements, channels, factor);
}

// dlogits[row, i] = factor gradient[0] (softmax(logits[row, :])[i] - [i = targets[row]]), the softmax computed again; not numbers
// where the target is no class. logits, dlogits [rows, classes], targets [rows], gradient [1]. A warp a row: block (32, n). Moves
// 2 rows classes elements; later passes find the row in the cache.
extern "C" __global__ void __launch_bounds__(WARP_ROWS_BLOCK) cross_entropy_backward_f32(
    const float* __restrict__ logits, const int* __restrict__ targets, const float* __restrict__ gradient,
    float* __restrict__ dlogits, int rows, int classes, float factor) {
    cross_entropy_backward(logits, targets, gradient, dlogits, rows, classes, factor);
}

extern "C" __global__ void __launch_bounds__(WARP_ROWS_BLOCK) cross_entropy_backward_f64(
    const double* __restrict__ logits, const int* __restrict__ targets, const double* __restrict__ gradient,
    double* __restrict__ dlogits, int rows, int classes, double factor) {
    cross_entropy_backward(logits, targets, gradient, dlogits, rows, classes, factor);
}
