// The normal distribution function, which the exact GELU multiplies by. The float version has no branch: the library's erff
// takes two paths within almost every warp, and half of a GELU's arguments lie on either.
#pragma once

// Phi(x) = (1 + erf(x / sqrt 2)) / 2, to 6e-8 absolute: its rounding is all but the whole error. With t = |x| / sqrt 2, up to
// t = 1: erf(t) = t + t P(t^2), the error of P 1.2e-9; beyond: erfc(t) = 2^R(t), its error 1.1e-9 up to t = 4, past which
// erfc is below 2e-8 and is taken as 0. P and R are minimax fits of degree 6 (Lawson's iteration on 160 Chebyshev nodes,
// weighted for the error of erf), made for this file.
__device__ __forceinline__ float normal_distribution(float x) {
    const float t = fabsf(x) * 0.70710678118654752440f;
    const float s = t * t;
    float p = 7.88948020417377e-05f;
    p = fmaf(p, s, -0.0008020950263308437f);
    p = fmaf(p, s, 0.005189547705143184f);
    p = fmaf(p, s, -0.026854451069540496f);
    p = fmaf(p, s, 0.11283600329930898f);
    p = fmaf(p, s, -0.37612627149320765f);
    p = fmaf(p, s, 0.12837916591562687f);
    const float half_erf = 0.5f * fmaf(t, p, t);
    float r = 0.00026777103976590783f;
    r = fmaf(r, t, -0.0042413855852443455f);
    r = fmaf(r, t, 0.03146011342445727f);
    r = fmaf(r, t, -0.1486549727235698f);
    r = fmaf(r, t, -0.9207610877876592f);
    r = fmaf(r, t, -1.6259773987913242f);
    r = fmaf(r, t, -0.0005097457798030637f);
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(r));
    const float half_erfc = t < 4.0f ? 0.5f * power : 0.0f;
    const float above = t < 1.0f ? 0.5f + half_erf : 1.0f - half_erfc;
    const float below = t < 1.0f ? 0.5f - half_erf : half_erfc;
    // A NaN fails every comparison on the way; this one hands it on.
    return x != x ? x : x < 0.0f ? below : above;
}

__device__ __forceinline__ double normal_distribution(double x) {
    return 0.5 * (1.0 + erf(x * 0.70710678118654752440));
}
