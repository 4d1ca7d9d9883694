// The kernels of elementwise.cu for half types: each result is computed in float and rounded once.
#include "blocks.cuh"
#include "half.cuh"
#include "elementwise.cuh"

// y = a + b; a, b, y [n]. Moves 3n elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) add_f16(const half* __restrict__ a, const half* __restrict__ b, half* __restrict__ y, int n) {
    map2(a, b, y, n, Sum<float>{});
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) add_bf16(
    const bfloat16* __restrict__ a, const bfloat16* __restrict__ b, bfloat16* __restrict__ y, int n) {
    map2(a, b, y, n, Sum<float>{});
}

// y = factor * x; x, y [n]. Moves 2n elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) scale_f16(const half* __restrict__ x, float factor, half* __restrict__ y, int n) {
    map1(x, y, n, Product<float>{factor});
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) scale_bf16(const bfloat16* __restrict__ x, float factor, bfloat16* __restrict__ y, int n) {
    map1(x, y, n, Product<float>{factor});
}

// y = a + factor * b with one rounding; a, b, y [n]. Moves 3n elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) add_scaled_f16(
    const half* __restrict__ a, const half* __restrict__ b, float factor, half* __restrict__ y, int n) {
    map2(a, b, y, n, ScaledSum<float>{factor});
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) add_scaled_bf16(
    const bfloat16* __restrict__ a, const bfloat16* __restrict__ b, float factor, bfloat16* __restrict__ y, int n) {
    map2(a, b, y, n, ScaledSum<float>{factor});
}

// y[r, :] = x[r, :] + row; x, y [rows, columns], row [columns]. Moves 2 rows columns elements; the row stays in cache.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) add_broadcast_row_f16(
    const half* __restrict__ x, const half* __restrict__ row, half* __restrict__ y, int rows, int columns) {
    add_broadcast_row(x, row, y, rows, columns);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) add_broadcast_row_bf16(
    const bfloat16* __restrict__ x, const bfloat16* __restrict__ row, bfloat16* __restrict__ y, int rows, int columns) {
    add_broadcast_row(x, row, y, rows, columns);
}

// y = x * sigmoid(x); x, y [n]. Moves 2n elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) silu_f16(const half* __restrict__ x, half* __restrict__ y, int n) {
    map1(x, y, n, SiluOf<float>{});
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) silu_bf16(const bfloat16* __restrict__ x, bfloat16* __restrict__ y, int n) {
    map1(x, y, n, SiluOf<float>{});
}

// y = x * Phi(x), by erf; x, y [n]. Moves 2n elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) gelu_f16(const half* __restrict__ x, half* __restrict__ y, int n) {
    map1(x, y, n, GeluOf<float>{});
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) gelu_bf16(const bfloat16* __restrict__ x, bfloat16* __restrict__ y, int n) {
    map1(x, y, n, GeluOf<float>{});
}

// y = x * sigmoid(1.702 x); x, y [n]. Moves 2n elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) quick_gelu_f16(const half* __restrict__ x, half* __restrict__ y, int n) {
    map1(x, y, n, QuickGeluOf<float>{});
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) quick_gelu_bf16(const bfloat16* __restrict__ x, bfloat16* __restrict__ y, int n) {
    map1(x, y, n, QuickGeluOf<float>{});
}

// y = min(max(x, low), high), NaN staying NaN; x, y [n]. Moves 2n elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) clamp_f16(const half* __restrict__ x, float low, float high, half* __restrict__ y, int n) {
    map1(x, y, n, Clamped<float>{low, high});
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) clamp_bf16(const bfloat16* __restrict__ x, float low, float high, bfloat16* __restrict__ y, int n) {
    map1(x, y, n, Clamped<float>{low, high});
}

// y = value; y [n]. Moves n elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) fill_f16(half* __restrict__ y, float value, int n) {
    fill(y, value, n);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) fill_bf16(bfloat16* __restrict__ y, float value, int n) {
    fill(y, value, n);
}

// y = x rounded to half, to nearest even, from 65520 on to infinity; x, y [n]. Moves 6n bytes.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) cast_f32_to_f16(const float* __restrict__ x, half* __restrict__ y, int n) {
    cast(x, y, n);
}

// y = x rounded to bfloat16, to nearest even; x, y [n]. Moves 6n bytes.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) cast_f32_to_bf16(const float* __restrict__ x, bfloat16* __restrict__ y, int n) {
    cast(x, y, n);
}

// y = x as float, exactly; x, y [n]. Moves 6n bytes.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) cast_f16_to_f32(const half* __restrict__ x, float* __restrict__ y, int n) {
    cast(x, y, n);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) cast_bf16_to_f32(const bfloat16* __restrict__ x, float* __restrict__ y, int n) {
    cast(x, y, n);
}
