// Activation functions in float and double, as PyTorch defines them.
#pragma once

#include "exponential.cuh"
#include "normal_distribution.cuh"
#include "root.cuh"

__device__ __forceinline__ float fma_of(float a, float b, float c) { return fmaf(a, b, c); }
__device__ __forceinline__ double fma_of(double a, double b, double c) { return fma(a, b, c); }

// 1 / (1 + exp(-x)). For very negative x, exp overflows to infinity and the quotient is the right limit, 0.
template <typename T>
__device__ __forceinline__ T sigmoid(T x) {
    return T(1) / (T(1) + exp_of(-x));
}

// x * sigmoid(x) (Hendrycks and Gimpel 2016, arXiv 1606.08415; "swish").
template <typename T>
__device__ __forceinline__ T silu(T x) {
    return x / (T(1) + exp_of(-x));
}

// x * Phi(x) with Phi the normal distribution function: the exact form, not the tanh approximation.
template <typename T>
__device__ __forceinline__ T gelu(T x) {
    return x * normal_distribution(x);
}

// x * sigmoid(1.702 x), CLIP's GELU.
template <typename T>
__device__ __forceinline__ T quick_gelu(T x) {
    return x / (T(1) + exp_of(T(-1.702) * x));
}
