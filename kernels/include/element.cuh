// Element types: what tensors store, and what kernels compute in. The two differ for the half types (half.cuh) alone.
#pragma once

// The type that a kernel computes in on elements of type T: T itself, but float for half types. Elements become it where they are
// loaded; sums, activations and shared memory hold it; a result is rounded once, where it is stored, by T(value).
template <typename T>
struct ComputeOf {
    typedef T Type;
};

template <typename T>
using Compute = typename ComputeOf<T>::Type;

// Whether a pointer may be accessed a vector at a time: 16 bytes, or the 8 that four elements of two bytes fill. Uniform over a
// grid, so it costs no divergence.
template <typename T>
__device__ __forceinline__ bool is_vector_aligned(const T* p) {
    return (reinterpret_cast<unsigned long long>(p) & (sizeof(T) == 2 ? 7ull : 15ull)) == 0;
}
