// What a training step of the diffusion model starts from: a latent video with as much noise as its timestep says, and what the
// network shall find in it, its noise or its velocity. The schedule's tables and the timesteps lie in device memory.
#include "blocks.cuh"
#include "latent_video.cuh"

namespace {

template <typename T>
__device__ __forceinline__ void add_noise(
    const T* __restrict__ x, const T* __restrict__ noise, const int* __restrict__ timesteps,
    const T* __restrict__ sqrt_alphas_cumprod, const T* __restrict__ sqrt_one_minus_alphas_cumprod, T* __restrict__ y,
    T* __restrict__ target, int frames, int frame_elements, int step_stride, int steps, int velocity) {
    const Place place = place_of(frames, frame_elements);
    if (place.inFrame >= frame_elements) {
        return;
    }
    if (place.frame == 0) {
        y[place.at] = x[place.at];
        target[place.at] = T(0);
        return;
    }
    const int t = held_step(timesteps[place.video * step_stride], steps);
    const T signal = sqrt_alphas_cumprod[t], spread = sqrt_one_minus_alphas_cumprod[t];
    const T clean = x[place.at], added = noise[place.at];
    y[place.at] = rounded_product(signal, clean) + rounded_product(spread, added);
    target[place.at] = velocity != 0 ? rounded_product(signal, added) - rounded_product(spread, clean) : added;
}

}  // namespace

// The forward process (Ho et al. 2020, equation 4): x, noise, y, target [batch, frames, frame_elements], where an element is a
// channel of a pixel; y = sqrt(abar_t) x + sqrt(1 - abar_t) noise, target = noise or, unless velocity is 0, sqrt(abar_t) noise -
// sqrt(1 - abar_t) x (Salimans and Ho 2022, appendix D). Frame 0, the picture, stays clean: y = x, target = 0. t is timesteps
// [1 or batch] (step_stride 0 or 1) and is held inside the tables [steps]. Moves 4 elements an element. Grid: (frame_elements,
// batch x frames).
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) add_noise_f32(
    const float* __restrict__ x, const float* __restrict__ noise, const int* __restrict__ timesteps,
    const float* __restrict__ sqrt_alphas_cumprod, const float* __restrict__ sqrt_one_minus_alphas_cumprod, float* __restrict__ y,
    float* __restrict__ target, int frames, int frame_elements, int step_stride, int steps, int velocity) {
    add_noise(
        x, noise, timesteps, sqrt_alphas_cumprod, sqrt_one_minus_alphas_cumprod, y, target, frames, frame_elements, step_stride,
        steps, velocity);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) add_noise_f64(
    const double* __restrict__ x, const double* __restrict__ noise, const int* __restrict__ timesteps,
    const double* __restrict__ sqrt_alphas_cumprod, const double* __restrict__ sqrt_one_minus_alphas_cumprod, double* __restrict__ y,
    double* __restrict__ target, int frames, int frame_elements, int step_stride, int steps, int velocity) {
    add_noise(
        x, noise, timesteps, sqrt_alphas_cumprod, sqrt_one_minus_alphas_cumprod, y, target, frames, frame_elements, step_stride,
        steps, velocity);
}
