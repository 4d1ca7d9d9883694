// The kernels of vae.cu for half types: computed in float, rounded once.
#include "blocks.cuh"
#include "half.cuh"
#include "vae.cuh"

// A sample of the encoder's diagonal Gaussian (Kingma and Welling 2014; log-variance clamped to [-30, 20] as in Stable Diffusion):
// moments [pixels, 2 channels] (means, then log-variances), noise, y [pixels, channels]: y = (mean + exp(logvar / 2) noise) scale.
// Moves 4 elements an element. Grid: elements = pixels x channels threads.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) posterior_sample_f16(
    const half* __restrict__ moments, const half* __restrict__ noise, half* __restrict__ y, int elements, int channels, float scale)
{
    posterior<half>(moments, noise, y, elements, channels, scale);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) posterior_sample_bf16(
    const bfloat16* __restrict__ moments, const bfloat16* __restrict__ noise, bfloat16* __restrict__ y, int elements,
    int channels, float scale)
{
    posterior<bfloat16>(moments, noise, y, elements, channels, scale);
}

// Its mean: moments [pixels, 2 channels] -> y [pixels, channels] = mean x scale. Moves 2 elements an element. Grid: elements =
// pixels x channels threads.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) posterior_mean_f16(
    const half* __restrict__ moments, half* __restrict__ y, int elements, int channels, float scale)
{
    posterior<half>(moments, nullptr, y, elements, channels, scale);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) posterior_mean_bf16(
    const bfloat16* __restrict__ moments, bfloat16* __restrict__ y, int elements, int channels, float scale)
{
    posterior<bfloat16>(moments, nullptr, y, elements, channels, scale);
}

// 8-bit pixels: y = round(255 clamp(x, 0, 1)), ties to even, a NaN as 0; y aligned to 4. Moves one element and one byte an element.
// Grid: elements / 4 threads.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) to_rgb8_f16(const half* __restrict__ x, unsigned char* __restrict__ y, long long elements)
{
    pack_bytes<half>(x, y, elements);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) to_rgb8_bf16(const bfloat16* __restrict__ x, unsigned char* __restrict__ y, long long elements)
{
    pack_bytes<bfloat16>(x, y, elements);
}
