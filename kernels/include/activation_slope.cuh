// Derivatives of the activation functions, in float and double.
#pragma once

#include "activation.cuh"

// d/dx of x s(a x) with s the sigmoid: s (1 + a x (1 - s)).
template <typename T>
__device__ __forceinline__ T sigmoid_product_slope(T x, T a) {
    const T s = sigmoid(a * x);
    return s * (T(1) + a * x * (T(1) - s));
}

template <typename T>
__device__ __forceinline__ T silu_slope(T x) {
    return sigmoid_product_slope(x, T(1));
}

template <typename T>
__device__ __forceinline__ T quick_gelu_slope(T x) {
    return sigmoid_product_slope(x, T(1.702));
}

// d/dx of x Phi(x): Phi(x) + x phi(x), phi the density of the normal distribution. Phi(x) is given, since who needs the GELU too
// has it already.
template <typename T>
__device__ __forceinline__ T gelu_slope(T x, T distribution) {
    const T density = T(0.3989422804014327) * exp_of(T(-0.5) * x * x);
    return distribution + x * density;
}

template <typename T>
__device__ __forceinline__ T gelu_slope(T x) {
    return gelu_slope(x, normal_distribution(x));
}
