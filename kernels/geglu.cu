// GEGLU (Shazeer 2020, arXiv 2002.05202): value * gelu(gate), with the exact GELU by erf.
#include "blocks.cuh"
#include "geglu.cuh"

// x [rows, 2c], the values, then the gates; y [rows, c] = value * gelu(gate). Block (m, n) with m threads a row, whole warps in
// all. Reads 8 rows c bytes and writes 4 rows c.
extern "C" __global__ void __launch_bounds__(MAX_GEGLU_BLOCK) geglu_f32(
    const float* __restrict__ x, float* __restrict__ y, int rows, int c) {
    gate_rows<float>(x, y, rows, c);
}

extern "C" __global__ void __launch_bounds__(MAX_GEGLU_BLOCK, 1) geglu_f64(
    const double* __restrict__ x, double* __restrict__ y, int rows, int c) {
    gate_rows<double>(x, y, rows, c);
}
