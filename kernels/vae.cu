// Between pictures and latents: the posterior that the encoder describes, and 8-bit pixels from the decoder's.
#include "blocks.cuh"
#include "vae.cuh"

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
