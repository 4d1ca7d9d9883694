// Finds numbers that are none: the check behind the debug mode that names where a NaN or an infinity arose.
#include "blocks.cuh"
#include "common.cuh"

namespace {

// A number minus itself is 0; an infinity or a NaN minus itself is not. Only warps that find
// something write.
template <typename T>
__device__ __forceinline__ void find_non_finite(const T* __restrict__ x, int* __restrict__ found, int n) {
    bool bad = false;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        bad = bad || !(x[i] - x[i] == T(0));
    }
    if (__any_sync(FULL_WARP, bad) && threadIdx.x % WARP_SIZE == 0) {
        atomicOr(found, 1);
    }
}

}  // namespace

// found |= whether an element of x is infinite or no number; x [n], found [1]. Moves n elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) find_non_finite_f32(
    const float* __restrict__ x, int* __restrict__ found, int n) {
    find_non_finite(x, found, n);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) find_non_finite_f64(
    const double* __restrict__ x, int* __restrict__ found, int n) {
    find_non_finite(x, found, n);
}
