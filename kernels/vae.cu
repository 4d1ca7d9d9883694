// Between pictures and latents: the posterior that the encoder describes, and 8-bit pixels from the decoder's.
#include "blocks.cuh"
#include "exponential.cuh"
#include "log_variance.cuh"

// pixels x [2 channels] -> [channels]; noise null gives the mean.
template <typename T>
__device__ __forceinline__ void posterior(
    const T* __restrict__ moments, const T* __restrict__ noise, T* __restrict__ y, int elements, int channels, T scale)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= elements)
    {
        return;
    }
    const int pixel = i / channels, c = i - pixel * channels;
    const T* const own = moments + (long long)pixel * 2 * channels;
    T value = own[c];
    if (noise != nullptr)
    {
        value += exp_of(T(0.5) * held_log_variance(own[channels + c])) * noise[i];
    }
    y[i] = value * scale;
}

// A sample of the encoder's diagonal Gaussian (Kingma and Welling 2014; log-variance clamped to [-30, 20] as in Stable Diffusion):
// moments [pixels, 2 channels] (means, then log-variances), noise, y [pixels, channels]: y = (mean + exp(logvar / 2) noise) scale.
// Moves 4 elements an element. Grid: elements = pixels x channels threads.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) posterior_sample_f32(
    const float* __restrict__ moments, const float* __restrict__ noise, float* __restrict__ y, int elements, int channels, float scale)
{
    posterior<float>(moments, noise, y, elements, channels, scale);
}

// Its mean: moments [pixels, 2 channels] -> y [pixels, channels] = mean x scale. Moves 2 elements an element. Grid: elements =
// pixels x channels threads.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) posterior_mean_f32(
    const float* __restrict__ moments, float* __restrict__ y, int elements, int channels, float scale)
{
    posterior<float>(moments, nullptr, y, elements, channels, scale);
}

// A sample of the encoder's diagonal Gaussian (Kingma and Welling 2014; log-variance clamped to [-30, 20] as in Stable Diffusion):
// moments [pixels, 2 channels] (means, then log-variances), noise, y [pixels, channels]: y = (mean + exp(logvar / 2) noise) scale.
// Moves 4 elements an element. Grid: elements = pixels x channels threads.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) posterior_sample_f64(
    const double* __restrict__ moments, const double* __restrict__ noise, double* __restrict__ y, int elements, int channels, double scale)
{
    posterior<double>(moments, noise, y, elements, channels, scale);
}

// Its mean: moments [pixels, 2 channels] -> y [pixels, channels] = mean x scale. Moves 2 elements an element. Grid: elements =
// pixels x channels threads.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) posterior_mean_f64(
    const double* __restrict__ moments, double* __restrict__ y, int elements, int channels, double scale)
{
    posterior<double>(moments, nullptr, y, elements, channels, scale);
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

// 8-bit pixels: y = round(255 clamp(x, 0, 1)), ties to even, a NaN as 0; y aligned to 4. Moves one element and one byte an element.
// Grid: elements / 4 threads.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) to_rgb8_f32(
    const float* __restrict__ x, unsigned char* __restrict__ y, long long elements)
{
    pack_bytes<float>(x, y, elements);
}

// 8-bit pixels: y = round(255 clamp(x, 0, 1)), ties to even, a NaN as 0; y aligned to 4. Moves one element and one byte an element.
// Grid: elements / 4 threads.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) to_rgb8_f64(
    const double* __restrict__ x, unsigned char* __restrict__ y, long long elements)
{
    pack_bytes<double>(x, y, elements);
}
