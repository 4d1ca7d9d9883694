// Finds numbers that are none: the check behind the debug mode that names where a NaN or an infinity arose.
#include "blocks.cuh"
#include "finite.cuh"

// found |= whether an element of x is infinite or no number; x [n], found [1]. Moves n elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) find_non_finite_f32(
    const float* __restrict__ x, int* __restrict__ found, int n) {
    find_non_finite(x, found, n);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) find_non_finite_f64(
    const double* __restrict__ x, int* __restrict__ found, int n) {
    find_non_finite(x, found, n);
}
