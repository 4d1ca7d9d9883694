// Element by element: sums, scaling, activations, conversion. All are bound by memory: the bytes above each kernel are the
// least it must move, and one pass moves no more.
#include "blocks.cuh"
#include "elementwise.cuh"

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
