// Moving elements: joining, cutting and permuting axes, folding space and time into channels, resampling. Activations are
// channels-last, so nearly everything is a copy of rows of channels, shared out as rows.cuh says. Each kernel reads what it
// needs once and writes once; the bytes above it are that minimum.
#include "blocks.cuh"
#include "layout.cuh"

// y = [a * a_scale | b] along the last axis; a [rows, ca], b [rows, cb], y [rows, ca + cb]. Moves 2 rows (ca + cb) elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) concat_channels_f32(
    const float* __restrict__ a, float a_scale, const float* __restrict__ b, float* __restrict__ y,
    int rows, int ca, int cb) {
    concat_channels(a, a_scale, b, y, rows, ca, cb);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) concat_channels_f64(
    const double* __restrict__ a, double a_scale, const double* __restrict__ b, double* __restrict__ y,
    int rows, int ca, int cb) {
    concat_channels(a, a_scale, b, y, rows, ca, cb);
}

// y = x[:, start : start + length]; x [rows, channels], y [rows, length]. Moves 2 rows length elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) slice_channels_f32(
    const float* __restrict__ x, float* __restrict__ y, int rows, int channels, int start, int length) {
    slice_channels(x, y, rows, channels, start, length);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) slice_channels_f64(
    const double* __restrict__ x, double* __restrict__ y, int rows, int channels, int start, int length) {
    slice_channels(x, y, rows, channels, start, length);
}

// y[o, j, i, :] = x[o, i, j, :]; x [outer, m, n, inner], y [outer, n, m, inner]. Moves 2 outer m n inner elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) swap_axes_f32(
    const float* __restrict__ x, float* __restrict__ y, int outer, int m, int n, int inner) {
    swap_axes(x, y, outer, m, n, inner);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) swap_axes_f64(
    const double* __restrict__ x, double* __restrict__ y, int outer, int m, int n, int inner) {
    swap_axes(x, y, outer, m, n, inner);
}

// y[k, j, i] = x[k, i, j]; x [k, m, n], y [k, n, m], blocks of (32, 8), one a tile of 32x32. Moves 2 k m n elements.
extern "C" __global__ void __launch_bounds__(WARP_ROWS_BLOCK) transpose_f32(
    const float* __restrict__ x, float* __restrict__ y, int m, int n) {
    transpose(x, y, m, n);
}

extern "C" __global__ void __launch_bounds__(WARP_ROWS_BLOCK) transpose_f64(
    const double* __restrict__ x, double* __restrict__ y, int m, int n) {
    transpose(x, y, m, n);
}

// y = x with its axes in any order; n elements, y's axis lengths (.., d1 .. d5) and x's strides s0 .. s5 along y's axes.
// Moves 2n elements, the reads uncoalesced where x's last axis moved: the orders that matter have kernels of their own.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) permute_f32(
    const float* __restrict__ x, float* __restrict__ y, int n,
    int d1, int d2, int d3, int d4, int d5, int s0, int s1, int s2, int s3, int s4, int s5) {
    permute(x, y, n, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) permute_f64(
    const double* __restrict__ x, double* __restrict__ y, int n,
    int d1, int d2, int d3, int d4, int d5, int s0, int s1, int s2, int s3, int s4, int s5) {
    permute(x, y, n, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5);
}

// y[i, j, :] = x[i / 2, j / 2, :]; x [lines, w, channels], y [2 lines, 2w, channels], the lines of all pictures counted
// through. Moves 5 elements an element of x.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) upsample_nearest_2x_f32(
    const float* __restrict__ x, float* __restrict__ y, int lines, int w, int channels) {
    upsample_nearest_2x(x, y, lines, w, channels);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) upsample_nearest_2x_f64(
    const double* __restrict__ x, double* __restrict__ y, int lines, int w, int channels) {
    upsample_nearest_2x(x, y, lines, w, channels);
}

// y[p, i, j, :] = max over a, b in {0, 1} of x[p, 2i + a, 2j + b, :]; x [pictures, h, w, channels],
// y [pictures, h / 2, w / 2, channels]. Moves 5 elements an element of y.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) max_pool_2x2_f32(
    const float* __restrict__ x, float* __restrict__ y, int pictures, int h, int w, int channels) {
    max_pool_2x2(x, y, pictures, h, w, channels);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) max_pool_2x2_f64(
    const double* __restrict__ x, double* __restrict__ y, int pictures, int h, int w, int channels) {
    max_pool_2x2(x, y, pictures, h, w, channels);
}
