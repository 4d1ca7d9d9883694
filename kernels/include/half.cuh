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

// Four elements in one 8-byte access, as the numbers that are computed with.
__device__ __forceinline__ Four<float> load4(const half* p) {
    const ushort4 v = *reinterpret_cast<const ushort4*>(p);
    return {half::of(v.x), half::of(v.y), half::of(v.z), half::of(v.w)};
}

__device__ __forceinline__ Four<float> load4(const bfloat16* p) {
    const ushort4 v = *reinterpret_cast<const ushort4*>(p);
    return {bfloat16::of(v.x), bfloat16::of(v.y), bfloat16::of(v.z), bfloat16::of(v.w)};
}

__device__ __forceinline__ void store4(half* p, Four<float> v) {
    *reinterpret_cast<ushort4*>(p) = make_ushort4(half(v.x).bits, half(v.y).bits, half(v.z).bits, half(v.w).bits);
}

__device__ __forceinline__ void store4(bfloat16* p, Four<float> v) {
    *reinterpret_cast<ushort4*>(p) = make_ushort4(bfloat16(v.x).bits, bfloat16(v.y).bits, bfloat16(v.z).bits, bfloat16(v.w).bits);
}
