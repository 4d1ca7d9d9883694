// The kernel of finite.cu for half types.
#include "blocks.cuh"
#include "half.cuh"
#include "finite.cuh"

// found |= whether an element of x is infinite or no number; x [n], found [1]. Moves n elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) find_non_finite_f16(const half* __restrict__ x, int* __restrict__ found, int n) {
    find_non_finite(x, found, n);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) find_non_finite_bf16(const bfloat16* __restrict__ x, int* __restrict__ found, int n) {
    find_non_finite(x, found, n);
}
