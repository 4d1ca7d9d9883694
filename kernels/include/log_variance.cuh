// The range that a posterior's log-variance is held in, as in Stable Diffusion: [-30, 20].
#pragma once

// Clamped; a NaN stays one.
template <typename T>
__device__ __forceinline__ T held_log_variance(T x) {
    return x < T(-30) ? T(-30) : x > T(20) ? T(20) : x;
}

// Whether a gradient passes the clamp: inside the bounds or on them, as in PyTorch.
template <typename T>
__device__ __forceinline__ bool passes_log_variance(T x) {
    return x >= T(-30) && x <= T(20);
}
