// Element by element: sums, scaling, activations, conversion. All are bound by memory: the bytes above each kernel are the
// least it must move, and one pass moves no more.
#include "activation.cuh"
#include "blocks.cuh"
#include "common.cuh"
#include "map2.cuh"
#include "rows.cuh"

namespace {

// y[i] = function(x[i]). A thread takes four neighbouring elements in one vector access where the tensors are aligned to it
// and the four exist; the rest goes one by one.
template <typename T, typename F>
__device__ __forceinline__ void map1(const T* __restrict__ x, T* __restrict__ y, int n, F function) {
    const int first = (blockIdx.x * blockDim.x + threadIdx.x) * 4;
    if (first <= n - 4 && is_aligned16(x) && is_aligned16(y)) {
        const Four<T> v = load4(x + first);
        store4(y + first, {function(v.x), function(v.y), function(v.z), function(v.w)});
        return;
    }
    for (int i = first; i < n && i < first + 4; ++i) {
        y[i] = function(x[i]);
    }
}

template <typename T>
struct Sum {
    __device__ __forceinline__ T operator()(T a, T b) const { return a + b; }
};

template <typename T>
struct Product {
    T factor;
    __device__ __forceinline__ T operator()(T x) const { return factor * x; }
};

template <typename T>
struct ScaledSum {
    T factor;
    __device__ __forceinline__ T operator()(T a, T b) const { return fma_of(factor, b, a); }
};

template <typename T>
struct SiluOf {
    __device__ __forceinline__ T operator()(T x) const { return silu(x); }
};

template <typename T>
struct GeluOf {
    __device__ __forceinline__ T operator()(T x) const { return gelu(x); }
};

template <typename T>
struct QuickGeluOf {
    __device__ __forceinline__ T operator()(T x) const { return quick_gelu(x); }
};

// Comparisons in this order let a NaN through, as torch.clamp does.
template <typename T>
struct Clamped {
    T low, high;
    __device__ __forceinline__ T operator()(T x) const { return x < low ? low : x > high ? high : x; }
};

template <typename T>
__device__ __forceinline__ void add_broadcast_row(
    const T* __restrict__ x, const T* __restrict__ row, T* __restrict__ y, int rows, int columns) {
    RowTile tile;
    if (!row_tile(rows, columns, tile)) {
        return;
    }
    const T* x_row = x + tile.row * columns;
    T* y_row = y + tile.row * columns;
    for_columns(
        tile, columns % 4 == 0 && is_aligned16(x) && is_aligned16(row) && is_aligned16(y),
        [=](int column) {
            const Four<T> u = load4(x_row + column);
            const Four<T> v = load4(row + column);
            store4(y_row + column, {u.x + v.x, u.y + v.y, u.z + v.z, u.w + v.w});
        },
        [=](int column) { y_row[column] = x_row[column] + row[column]; });
}

template <typename T>
__device__ __forceinline__ void fill(T* __restrict__ y, T value, int n) {
    const int first = (blockIdx.x * blockDim.x + threadIdx.x) * 4;
    if (first <= n - 4 && is_aligned16(y)) {
        store4(y + first, {value, value, value, value});
        return;
    }
    for (int i = first; i < n && i < first + 4; ++i) {
        y[i] = value;
    }
}

template <typename To, typename From>
__device__ __forceinline__ void cast(const From* __restrict__ x, To* __restrict__ y, int n) {
    const int first = (blockIdx.x * blockDim.x + threadIdx.x) * 4;
    if (first <= n - 4 && is_aligned16(x) && is_aligned16(y)) {
        const Four<From> v = load4(x + first);
        store4(y + first, {static_cast<To>(v.x), static_cast<To>(v.y), static_cast<To>(v.z), static_cast<To>(v.w)});
        return;
    }
    for (int i = first; i < n && i < first + 4; ++i) {
        y[i] = static_cast<To>(x[i]);
    }
}

}  // namespace

// y = a + b; a, b, y [n]. Moves 3n elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) add_f32(
    const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ y, int n) {
    map2(a, b, y, n, Sum<float>{});
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) add_f64(
    const double* __restrict__ a, const double* __restrict__ b, double* __restrict__ y, int n) {
    map2(a, b, y, n, Sum<double>{});
}

// y = factor * x; x, y [n]. Moves 2n elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) scale_f32(
    const float* __restrict__ x, float factor, float* __restrict__ y, int n) {
    map1(x, y, n, Product<float>{factor});
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) scale_f64(
    const double* __restrict__ x, double factor, double* __restrict__ y, int n) {
    map1(x, y, n, Product<double>{factor});
}

// y = a + factor * b with one rounding; a, b, y [n]. Moves 3n elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) add_scaled_f32(
    const float* __restrict__ a, const float* __restrict__ b, float factor, float* __restrict__ y, int n) {
    map2(a, b, y, n, ScaledSum<float>{factor});
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) add_scaled_f64(
    const double* __restrict__ a, const double* __restrict__ b, double factor, double* __restrict__ y, int n) {
    map2(a, b, y, n, ScaledSum<double>{factor});
}

// y[r, :] = x[r, :] + row; x, y [rows, columns], row [columns]. Moves 2 rows columns elements; the row stays in cache.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) add_broadcast_row_f32(
    const float* __restrict__ x, const float* __restrict__ row, float* __restrict__ y, int rows, int columns) {
    add_broadcast_row(x, row, y, rows, columns);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) add_broadcast_row_f64(
    const double* __restrict__ x, const double* __restrict__ row, double* __restrict__ y, int rows, int columns) {
    add_broadcast_row(x, row, y, rows, columns);
}

// y = x * sigmoid(x); x, y [n]. Moves 2n elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) silu_f32(const float* __restrict__ x, float* __restrict__ y, int n) {
    map1(x, y, n, SiluOf<float>{});
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) silu_f64(const double* __restrict__ x, double* __restrict__ y, int n) {
    map1(x, y, n, SiluOf<double>{});
}

// y = x * Phi(x), by erf; x, y [n]. Moves 2n elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) gelu_f32(const float* __restrict__ x, float* __restrict__ y, int n) {
    map1(x, y, n, GeluOf<float>{});
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) gelu_f64(const double* __restrict__ x, double* __restrict__ y, int n) {
    map1(x, y, n, GeluOf<double>{});
}

// y = x * sigmoid(1.702 x); x, y [n]. Moves 2n elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) quick_gelu_f32(const float* __restrict__ x, float* __restrict__ y, int n) {
    map1(x, y, n, QuickGeluOf<float>{});
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) quick_gelu_f64(
    const double* __restrict__ x, double* __restrict__ y, int n) {
    map1(x, y, n, QuickGeluOf<double>{});
}

// y = min(max(x, low), high), NaN staying NaN; x, y [n]. Moves 2n elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) clamp_f32(
    const float* __restrict__ x, float low, float high, float* __restrict__ y, int n) {
    map1(x, y, n, Clamped<float>{low, high});
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) clamp_f64(
    const double* __restrict__ x, double low, double high, double* __restrict__ y, int n) {
    map1(x, y, n, Clamped<double>{low, high});
}

// y = value; y [n]. Moves n elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) fill_f32(float* __restrict__ y, float value, int n) {
    fill(y, value, n);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) fill_f64(double* __restrict__ y, double value, int n) {
    fill(y, value, n);
}

// y = x rounded to float, to nearest even; x, y [n]. Moves 12n bytes.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) cast_f64_to_f32(
    const double* __restrict__ x, float* __restrict__ y, int n) {
    cast(x, y, n);
}

// y = x as double, exactly; x, y [n]. Moves 12n bytes.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) cast_f32_to_f64(
    const float* __restrict__ x, double* __restrict__ y, int n) {
    cast(x, y, n);
}
