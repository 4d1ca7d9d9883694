// The half types: half is IEEE 754's binary16, bfloat16 the upper half of a float. They are for storage. Arithmetic on them is
// float's, by the implicit conversion, which is exact; the way back rounds, and has to be written out. Kernels of half types
// include this header first. Nothing here needs the toolkit's headers, or more than sm_70.
#pragma once

#include "common.cuh"

// 11 significant bits, from 2^-24 (below 2^-14 with fewer bits) to 65504.
struct half {
    unsigned short bits;

    half() = default;

    static __device__ __forceinline__ half of(unsigned short bits) {
        half x;
        x.bits = bits;
        return x;
    }

    // To nearest, ties to even; from 65520 on infinity. A NaN stays one.
    __device__ __forceinline__ explicit half(float x) { asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x)); }
    half(double) = delete;  // by way of float it would be rounded twice

    __device__ __forceinline__ operator float() const {
        float x;
        asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
        return x;
    }
};

// 8 significant bits and float's range.
struct bfloat16 {
    unsigned short bits;

    bfloat16() = default;

    static __device__ __forceinline__ bfloat16 of(unsigned short bits) {
        bfloat16 x;
        x.bits = bits;
        return x;
    }

    // To nearest, ties to even, by adding half of the last place that stays (a little less where ties go down). In a NaN the sum
    // could carry into the sign: it keeps its upper half instead, made quiet. sm_70 has no instruction for this; sm_80's gives the
    // same numbers.
    __device__ __forceinline__ explicit bfloat16(float x) {
        const unsigned all = __float_as_uint(x);
        const unsigned rounded = (all + 0x7fffu + (all >> 16 & 1u)) >> 16;
        bits = static_cast<unsigned short>(x != x ? all >> 16 | 0x40u : rounded);
    }
    bfloat16(double) = delete;  // by way of float it would be rounded twice

    __device__ __forceinline__ operator float() const { return __uint_as_float(static_cast<unsigned>(bits) << 16); }
};

template <>
struct ComputeOf<half> {
    typedef float Type;
};

template <>
struct ComputeOf<bfloat16> {
    typedef float Type;
};

// Four elements in one 8-byte access, as the numbers that are computed with. Two words of 32 bits, taken apart in registers: the
// virtual device loads them for eight lanes at once, where it would fetch words of 16 bits one by one.
template <typename T>
__device__ __forceinline__ Four<float> load_halves(const T* p) {
    const uint2 v = *reinterpret_cast<const uint2*>(p);
    return {T::of(v.x), T::of(v.x >> 16), T::of(v.y), T::of(v.y >> 16)};
}

template <typename T>
__device__ __forceinline__ void store_halves(T* p, Four<float> v) {
    const unsigned x = T(v.x).bits, y = T(v.y).bits, z = T(v.z).bits, w = T(v.w).bits;
    *reinterpret_cast<uint2*>(p) = make_uint2(x | y << 16, z | w << 16);
}

__device__ __forceinline__ Four<float> load4(const half* p) { return load_halves(p); }
__device__ __forceinline__ Four<float> load4(const bfloat16* p) { return load_halves(p); }
__device__ __forceinline__ void store4(half* p, Four<float> v) { store_halves(p, v); }
__device__ __forceinline__ void store4(bfloat16* p, Four<float> v) { store_halves(p, v); }

// Four elements of 16 bits of any kind, which are only moved and so stay together.
template <>
struct Four<unsigned short> {
    uint2 words;
};

__device__ __forceinline__ Four<unsigned short> load4(const unsigned short* p) { return {*reinterpret_cast<const uint2*>(p)}; }
__device__ __forceinline__ void store4(unsigned short* p, Four<unsigned short> v) { *reinterpret_cast<uint2*>(p) = v.words; }
