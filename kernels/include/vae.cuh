// Between pictures and latents: the bodies of vae.cu and vae_half.cu.
#pragma once

#include "element.cuh"
#include "exponential.cuh"
#include "log_variance.cuh"

// pixels x [2 channels] -> [channels]; noise null gives the mean.
template <typename T>
__device__ __forceinline__ void posterior(
    const T* __restrict__ moments, const T* __restrict__ noise, T* __restrict__ y, int elements, int channels, Compute<T> scale)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= elements)
    {
        return;
    }
    const int pixel = i / channels, c = i - pixel * channels;
    const T* const own = moments + (long long)pixel * 2 * channels;
    typedef Compute<T> C;
    C value = own[c];
    if (noise != nullptr)
    {
        value += exp_of(C(0.5) * held_log_variance(C(own[channels + c]))) * noise[i];
    }
    y[i] = T(value * scale);
}

// Clamps to [0, 1] (a NaN becomes 0), scales to 255 and rounds to the nearest, ties to even.
__device__ __forceinline__ unsigned to_byte(float x) { return (unsigned)__float2int_rn(fminf(fmaxf(x, 0.0f), 1.0f) * 255.0f); }
__device__ __forceinline__ unsigned to_byte(double x) { return (unsigned)__double2int_rn(fmin(fmax(x, 0.0), 1.0) * 255.0); }

// Four elements a thread, written as one word; y is an allocation of its own and so aligned.
template <typename T>
__device__ __forceinline__ void pack_bytes(const T* __restrict__ x, unsigned char* __restrict__ y, long long elements)
{
    const long long first = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * 4;
    if (first + 4 <= elements)
    {
        unsigned word = 0;
#pragma unroll
        for (int e = 0; e < 4; ++e)
        {
            word |= to_byte(x[first + e]) << (8 * e);
        }
        *reinterpret_cast<unsigned*>(y + first) = word;
        return;
    }
    for (long long i = first; i < elements; ++i)
    {
        y[i] = (unsigned char)to_byte(x[i]);
    }
}
