// Gradients of what kernels/elementwise.cu computes, and the sum in place by which gradients gather. All are bound by memory:
// the bytes above each kernel are the least it must move, and one pass moves no more.
#include "activation_slope.cuh"
#include "blocks.cuh"
#include "common.cuh"
#include "map2.cuh"

namespace {

template <typename T>
struct SiluGradient {
    __device__ __forceinline__ T operator()(T x, T gradient) const { return gradient * silu_slope(x); }
};

template <typename T>
struct GeluGradient {
    __device__ __forceinline__ T operator()(T x, T gradient) const { return gradient * gelu_slope(x); }
};

template <typename T>
struct QuickGeluGradient {
    __device__ __forceinline__ T operator()(T x, T gradient) const { return gradient * quick_gelu_slope(x); }
};

// The gradient passes where x is inside the bounds or on them, as in PyTorch; none passes a NaN.
template <typename T>
struct ClampGradient {
    T low, high;
    __device__ __forceinline__ T operator()(T x, T gradient) const { return x >= low && x <= high ? gradient : T(0); }
};

template <typename T>
__device__ __forceinline__ void accumulate(T* __restrict__ y, const T* __restrict__ x, int n) {
    const int first = (blockIdx.x * blockDim.x + threadIdx.x) * 4;
    if (first <= n - 4 && is_vector_aligned(x) && is_vector_aligned(y)) {
        const Four<T> u = load4(y + first);
        const Four<T> v = load4(x + first);
        store4(y + first, {u.x + v.x, u.y + v.y, u.z + v.z, u.w + v.w});
        return;
    }
    for (int i = first; i < n && i < first + 4; ++i) {
        y[i] += x[i];
    }
}

}  // namespace

// y += x; x, y [n]. Moves 3n elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) accumulate_f32(float* __restrict__ y, const float* __restrict__ x, int n) {
    accumulate(y, x, n);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) accumulate_f64(
    double* __restrict__ y, const double* __restrict__ x, int n) {
    accumulate(y, x, n);
}

// dx = gradient * d(silu)/dx; x, gradient, dx [n]. Moves 3n elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) silu_backward_f32(
    const float* __restrict__ x, const float* __restrict__ gradient, float* __restrict__ dx, int n) {
    map2(x, gradient, dx, n, SiluGradient<float>{});
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) silu_backward_f64(
    const double* __restrict__ x, const double* __restrict__ gradient, double* __restrict__ dx, int n) {
    map2(x, gradient, dx, n, SiluGradient<double>{});
}

// dx = gradient * d(gelu)/dx; x, gradient, dx [n]. Moves 3n elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) gelu_backward_f32(
    const float* __restrict__ x, const float* __restrict__ gradient, float* __restrict__ dx, int n) {
    map2(x, gradient, dx, n, GeluGradient<float>{});
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK, 3) gelu_backward_f64(
    const double* __restrict__ x, const double* __restrict__ gradient, double* __restrict__ dx, int n) {
    map2(x, gradient, dx, n, GeluGradient<double>{});
}

// dx = gradient * d(quick gelu)/dx; x, gradient, dx [n]. Moves 3n elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) quick_gelu_backward_f32(
    const float* __restrict__ x, const float* __restrict__ gradient, float* __restrict__ dx, int n) {
    map2(x, gradient, dx, n, QuickGeluGradient<float>{});
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) quick_gelu_backward_f64(
    const double* __restrict__ x, const double* __restrict__ gradient, double* __restrict__ dx, int n) {
    map2(x, gradient, dx, n, QuickGeluGradient<double>{});
}

// dx = gradient where low <= x <= high, else 0; x, gradient, dx [n]. Moves 3n elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) clamp_backward_f32(
    const float* __restrict__ x, const float* __restrict__ gradient, float low, float high, float* __restrict__ dx, int n) {
    map2(x, gradient, dx, n, ClampGradient<float>{low, high});
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) clamp_backward_f64(
    const double* __restrict__ x, const double* __restrict__ gradient, double low, double high, double* __restrict__ dx, int n) {
    map2(x, gradient, dx, n, ClampGradient<double>{low, high});
}
