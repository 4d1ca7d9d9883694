// One or four consecutive elements as an array, so that one loop body serves both.
#pragma once

#include "common.cuh"

// v = p[0 .. N); N is 1 or 4, and with 4 the pointer is aligned to 16 bytes.
template <int N, typename T>
__device__ __forceinline__ void load_vector(const T* p, T (&v)[N]) {
    static_assert(N == 1 || N == 4, "vectors are of one element or four");
    if constexpr (N == 4) {
        const Four<T> four = load4(p);
        v[0] = four.x;
        v[1] = four.y;
        v[2] = four.z;
        v[3] = four.w;
    } else {
        v[0] = *p;
    }
}

// p[0 .. N) = v, likewise.
template <int N, typename T>
__device__ __forceinline__ void store_vector(T* p, const T (&v)[N]) {
    static_assert(N == 1 || N == 4, "vectors are of one element or four");
    if constexpr (N == 4) {
        store4(p, {v[0], v[1], v[2], v[3]});
    } else {
        *p = v[0];
    }
}
