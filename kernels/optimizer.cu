// A training step after the backward pass: the gradients' norm, AdamW, and the moving average of weights. Each is one launch
// for all parameters, and what a step leaves to the next (step counter, clip factor, whether the step counts) stays on the
// device, so that steps can be queued, or captured in a graph, without a look from the host.
#include "activation.cuh"
#include "blocks.cuh"
#include "tensor_list.cuh"

// Places in the control block, an array of doubles. The host writes the learning rate; adamw_prepare writes all else.
#define CONTROL_LEARNING_RATE 0
#define CONTROL_STEP 1      // steps that counted, this one included
#define CONTROL_SKIPPED 2   // steps that did not, since a gradient was not finite
#define CONTROL_NORM 3      // of all gradients
#define CONTROL_CLIP 4      // what gradients are multiplied by; 0 where the step does not count
#define CONTROL_COUNTS 5    // 1 where the step counts, else 0
#define CONTROL_DECAY 6     // 1 - lr wd
#define CONTROL_STEP_SIZE 7 // lr / (1 - beta1^t)
#define CONTROL_ROOT 8      // sqrt(1 - beta2^t)

namespace {

// Sum of squares of elements [4096 b, 4096 b + 4096) of x, in double, for block b: each thread its elements in order, then
// block_sum's tree. Whether access is by vectors makes no difference to the order.
template <typename T>
__device__ __forceinline__ void sum_of_squares(const T* __restrict__ x, double* __restrict__ partial, int n) {
    __shared__ double scratch[WARP_SIZE];
    const int start = blockIdx.x * LIST_CHUNK;
    const T* chunk = x + start;
    double sum = 0;
    const auto add = [&](T value) { sum = fma(static_cast<double>(value), static_cast<double>(value), sum); };
    for_share(
        min(n - start, LIST_CHUNK), is_vector_aligned(x),
        [&](int i) {
            const Four<T> v = load4(chunk + i);
            add(v.x);
            add(v.y);
            add(v.z);
            add(v.w);
        },
        [&](int i) { add(chunk[i]); });
    sum = block_sum(sum, scratch, LIST_THREADS);
    if (threadIdx.x == 0) {
        partial[blockIdx.x] = sum;
    }
}

// base^exponent for a whole exponent >= 0 by repeated squaring: the same bits wherever a run was taken up again.
__device__ __forceinline__ double whole_power(double base, long long exponent) {
    double result = 1;
    for (; exponent > 0; exponent >>= 1) {
        if (exponent & 1) {
            result *= base;
        }
        base *= base;
    }
    return result;
}

// One element's step (Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2, in the order of PyTorch's AdamW).
template <typename T>
struct AdamWStep {
    T clip, decay, step_size, root, beta2, rest1, rest2, epsilon;

    __device__ __forceinline__ AdamWStep(const double* __restrict__ control, double beta1, double beta2, double epsilon)
        : clip(static_cast<T>(control[CONTROL_CLIP])),
          decay(static_cast<T>(control[CONTROL_DECAY])),
          step_size(static_cast<T>(control[CONTROL_STEP_SIZE])),
          root(static_cast<T>(control[CONTROL_ROOT])),
          beta2(static_cast<T>(beta2)),
          rest1(static_cast<T>(1 - beta1)),
          rest2(static_cast<T>(1 - beta2)),
          epsilon(static_cast<T>(epsilon)) {}

    __device__ __forceinline__ void operator()(T& value, T gradient, T& average, T& square) const {
        gradient *= clip;
        average = fma_of(rest1, gradient - average, average);
        square = fma_of(rest2 * gradient, gradient, beta2 * square);
        const T quotient = average / (sqrt_of(square) / root + epsilon);
        value = fma_of(-step_size, quotient, value * decay);
    }
};

template <typename T>
__device__ __forceinline__ void adamw(
    const long long* __restrict__ table, const int* __restrict__ tensor_of_block, const T* __restrict__ gradients,
    T* __restrict__ averages, T* __restrict__ squares, const double* __restrict__ control, double beta1, double beta2,
    double epsilon) {
    if (control[CONTROL_COUNTS] == 0) {
        return;
    }
    const ListShare<T> share = list_share<T>(table, tensor_of_block);
    const AdamWStep<T> step(control, beta1, beta2, epsilon);
    const T* g = gradients + share.flat;
    T* m = averages + share.flat;
    T* v = squares + share.flat;
    T* p = share.values;
    for_share(
        share.count, is_vector_aligned(p) && is_vector_aligned(g) && is_vector_aligned(m) && is_vector_aligned(v),
        [&](int i) {
            const Four<T> gradient = load4(g + i);
            Four<T> value = load4(p + i);
            Four<T> average = load4(m + i);
            Four<T> square = load4(v + i);
            step(value.x, gradient.x, average.x, square.x);
            step(value.y, gradient.y, average.y, square.y);
            step(value.z, gradient.z, average.z, square.z);
            step(value.w, gradient.w, average.w, square.w);
            store4(p + i, value);
            store4(m + i, average);
            store4(v + i, square);
        },
        [&](int i) { step(p[i], g[i], m[i], v[i]); });
}

// The average moves by a share of its distance from the value, so that an average that has arrived stays.
template <typename T>
__device__ __forceinline__ void moving_average(
    const long long* __restrict__ table, const int* __restrict__ tensor_of_block, T* __restrict__ averages,
    const double* __restrict__ control, T rest, int warm_up) {
    if (control[CONTROL_COUNTS] == 0) {
        return;
    }
    const ListShare<T> share = list_share<T>(table, tensor_of_block);
    // 1 - min(decay, (1 + t) / (10 + t)).
    const T early = T(9) / (T(10) + static_cast<T>(control[CONTROL_STEP]));
    const T weight = warm_up != 0 && early > rest ? early : rest;
    const auto move = [&](T average, T value) { return fma_of(weight, value - average, average); };
    const T* p = share.values;
    T* a = averages + share.flat;
    for_share(
        share.count, is_vector_aligned(p) && is_vector_aligned(a),
        [&](int i) {
            const Four<T> value = load4(p + i);
            const Four<T> average = load4(a + i);
            store4(
                a + i, {move(average.x, value.x), move(average.y, value.y), move(average.z, value.z),
                        move(average.w, value.w)});
        },
        [&](int i) { a[i] = move(a[i], p[i]); });
}

template <typename T>
__device__ __forceinline__ void exchange(
    const long long* __restrict__ table, const int* __restrict__ tensor_of_block, T* __restrict__ flat) {
    const ListShare<T> share = list_share<T>(table, tensor_of_block);
    T* p = share.values;
    T* q = flat + share.flat;
    for_share(
        share.count, is_vector_aligned(p) && is_vector_aligned(q),
        [&](int i) {
            const Four<T> value = load4(p + i);
            store4(p + i, load4(q + i));
            store4(q + i, value);
        },
        [&](int i) {
            const T value = p[i];
            p[i] = q[i];
            q[i] = value;
        });
}

}  // namespace

// partial[b] = the sum of squares of elements [4096 b, 4096 b + 4096) of x, in double; x [n], partial [ceil(n / 4096)]. Blocks
// of 256 threads, one a partial. The first pass of the norm of all gradients (Pascanu et al. 2013, arXiv 1211.5063).
// Moves n elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) sum_of_squares_f32(
    const float* __restrict__ x, double* __restrict__ partial, int n) {
    sum_of_squares(x, partial, n);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) sum_of_squares_f64(
    const double* __restrict__ x, double* __restrict__ partial, int n) {
    sum_of_squares(x, partial, n);
}

// The second pass, and what follows from it: one block of 256 threads. partial [n]; control [9], see above. The norm is the
// root of the partials' sum, each thread's in order and then block_sum's tree; the clip factor min(1, max_norm / (norm +
// 1e-6)), as torch.nn.utils.clip_grad_norm_ has it. Where the norm is not finite the step does not count: nothing but norm,
// clip factor, the flag and the count of such steps is written. Moves 8n bytes.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) adamw_prepare_f64(
    const double* __restrict__ partial, double* __restrict__ control, double max_norm, double beta1, double beta2,
    double weight_decay, int n) {
    __shared__ double scratch[WARP_SIZE];
    double sum = 0;
    for (int i = threadIdx.x; i < n; i += LIST_THREADS) {
        sum += partial[i];
    }
    const double norm = sqrt(block_sum(sum, scratch, LIST_THREADS));
    if (threadIdx.x != 0) {
        return;
    }
    control[CONTROL_NORM] = norm;
    if (!(norm <= 1.7976931348623157e308)) {  // infinite or NaN
        control[CONTROL_CLIP] = 0;
        control[CONTROL_COUNTS] = 0;
        control[CONTROL_SKIPPED] += 1;
        return;
    }
    const double factor = max_norm / (norm + 1e-6);
    const double step = control[CONTROL_STEP] + 1;
    const double rate = control[CONTROL_LEARNING_RATE];
    control[CONTROL_STEP] = step;
    control[CONTROL_CLIP] = factor < 1 ? factor : 1;
    control[CONTROL_COUNTS] = 1;
    control[CONTROL_DECAY] = 1 - rate * weight_decay;
    control[CONTROL_STEP_SIZE] = rate / (1 - whole_power(beta1, static_cast<long long>(step)));
    control[CONTROL_ROOT] = sqrt(1 - whole_power(beta2, static_cast<long long>(step)));
}

// AdamW for all tensors of a list, in place: with g = clip * gradient,
//   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;
//   p = (1 - lr wd) p - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)
// (Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2). table, tensor_of_block: see tensor_list.cuh; gradients,
// averages (m) and squares (v) flat; control as adamw_prepare left it. A step that does not count writes nothing. Blocks of
// 256 threads, one for each 4096 elements of a tensor. Moves 7 elements for each element of a parameter.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) adamw_f32(
    const long long* __restrict__ table, const int* __restrict__ tensor_of_block, const float* __restrict__ gradients,
    float* __restrict__ averages, float* __restrict__ squares, const double* __restrict__ control, double beta1,
    double beta2, double epsilon) {
    adamw(table, tensor_of_block, gradients, averages, squares, control, beta1, beta2, epsilon);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) adamw_f64(
    const long long* __restrict__ table, const int* __restrict__ tensor_of_block, const double* __restrict__ gradients,
    double* __restrict__ averages, double* __restrict__ squares, const double* __restrict__ control, double beta1,
    double beta2, double epsilon) {
    adamw(table, tensor_of_block, gradients, averages, squares, control, beta1, beta2, epsilon);
}

// averages = d averages + (1 - d) values for all tensors of a list; rest = 1 - decay, and d = decay or, with warm_up,
// min(decay, (1 + t) / (10 + t)) at step t (as in TensorFlow's ExponentialMovingAverage). table, tensor_of_block: see
// tensor_list.cuh; averages flat; control as adamw_prepare left it: the average stays where the step does not count. Blocks of
// 256 threads, one for each 4096 elements of a tensor. Moves 3 elements for each element of a parameter.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) moving_average_f32(
    const long long* __restrict__ table, const int* __restrict__ tensor_of_block, float* __restrict__ averages,
    const double* __restrict__ control, float rest, int warm_up) {
    moving_average(table, tensor_of_block, averages, control, rest, warm_up);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) moving_average_f64(
    const long long* __restrict__ table, const int* __restrict__ tensor_of_block, double* __restrict__ averages,
    const double* __restrict__ control, double rest, int warm_up) {
    moving_average(table, tensor_of_block, averages, control, rest, warm_up);
}

// Exchanges the elements of all tensors of a list with those in a flat buffer: moving averages take the weights' place, and
// give it back. table, tensor_of_block: see tensor_list.cuh. Blocks of 256 threads, one for each 4096 elements of a tensor.
// Moves 4 elements for each element of a parameter.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) exchange_f32(
    const long long* __restrict__ table, const int* __restrict__ tensor_of_block, float* __restrict__ flat) {
    exchange(table, tensor_of_block, flat);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) exchange_f64(
    const long long* __restrict__ table, const int* __restrict__ tensor_of_block, double* __restrict__ flat) {
    exchange(table, tensor_of_block, flat);
}
