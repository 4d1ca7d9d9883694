// The kernel of geglu.cu for half types: computed in float, rounded once.
#include "blocks.cuh"
#include "half.cuh"
#include "geglu.cuh"

// x [rows, 2c], the values, then the gates; y [rows, c] = value * gelu(gate). Block (m, n) with m threads a row, whole warps in
// all. Reads 4 rows c bytes and writes 2 rows c.
extern "C" __global__ void __launch_bounds__(MAX_GEGLU_BLOCK, 1) geglu_f16(const half* __restrict__ x, half* __restrict__ y, int rows, int c) {
    gate_rows<half>(x, y, rows, c);
}

extern "C" __global__ void __launch_bounds__(MAX_GEGLU_BLOCK, 1) geglu_bf16(const bfloat16* __restrict__ x, bfloat16* __restrict__ y, int rows, int c) {
    gate_rows<bfloat16>(x, y, rows, c);
}
