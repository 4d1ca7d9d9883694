// The exponential function of every kernel, in float and double.
#pragma once

// exp(x) = 2^n 2^r with n the whole number nearest to x log2(e), read off the low bits of a sum that has no room for a
// fraction. Against the library's expf it does without saturation and directed rounding, at the same accuracy: 1 ulp beside
// ex2's 2. n stays in [-126, 127]; beyond, r grows past 1/2 and 2^r gives the overflow to infinity and the underflow
// to 0 (results below the smallest normal number are flushed). NaN passes through r.
__device__ __forceinline__ float exp_of(float x) {
    const float rounder = 12582912.0f + 127.0f;  // 1.5 * 2^23, and the exponent's bias
    float shifted = fmaf(x, 1.44269504f, rounder);
    shifted = fminf(fmaxf(shifted, rounder - 126.0f), rounder + 127.0f);
    const float n = shifted - rounder;
    const float r = fmaf(x, 1.92596303e-8f, fmaf(x, 1.44269504f, -n));  // log2(e) in two parts
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(r));
    return power * __uint_as_float(__float_as_uint(shifted) << 23);
}

__device__ __forceinline__ double exp_of(double x) {
    return exp(x);
}
