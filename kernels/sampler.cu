// The sampler's arithmetic: timestep embedding, one step of DDPM, DDIM or a solver of the reverse equation, frame 0 put back. The
// schedule's tables and the timestep lie in device memory, so that one captured sequence of launches serves every step.
#include "blocks.cuh"
#include "latent_video.cuh"
#include "root.cuh"

__device__ __forceinline__ float sine(float x) { return sinf(x); }
__device__ __forceinline__ double sine(double x) { return sin(x); }

__device__ __forceinline__ float cosine(float x) { return cosf(x); }
__device__ __forceinline__ double cosine(double x) { return cos(x); }

// exp(x) for x in [-87, 0]. In float this is the polynomial of SLEEF (expf, 1.0 ULP; Shibata and Petrogalli 2020) that PyTorch's
// vectorised exp runs, step by step: at t = 999 a frequency that differs in its last bit moves the sine by 6e-5.
__device__ __forceinline__ float frequency_exponential(float x)
{
    const float q = rintf(__fmul_rn(x, 1.442695040888963407f));
    const float s = __fmaf_rn(q, -1.428606765330187045e-06f, __fmaf_rn(q, -0.693145751953125f, x));
    float u = 0.000198527617612853646278381f;
    u = __fmaf_rn(u, s, 0.00139304355252534151077271f);
    u = __fmaf_rn(u, s, 0.00833336077630519866943359f);
    u = __fmaf_rn(u, s, 0.0416664853692054748535156f);
    u = __fmaf_rn(u, s, 0.166666671633720397949219f);
    u = __fmaf_rn(u, s, 0.5f);
    return __fmul_rn(__fadd_rn(__fmaf_rn(__fmul_rn(s, s), u, s), 1.0f), __int_as_float(((int)q + 127) << 23));
}
__device__ __forceinline__ double frequency_exponential(double x) { return exp(x); }

// exp(-log(10000) / (half - 1) * k), the argument rounded to T as the reference's is.
template <typename T>
__device__ __forceinline__ T frequency(int k, int half)
{
    return frequency_exponential(rounded_product(T(k), T(-(9.210340371976184 / (double)(half - 1)))));
}

template <typename T>
__device__ __forceinline__ void embed(const T* __restrict__ timestep, T* __restrict__ y, int batch, int half)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= batch * half)
    {
        return;
    }
    const int b = i / half, k = i - b * half;
    const T angle = rounded_product(timestep[b], frequency<T>(k, half));
    T* const row = y + (long long)b * 2 * half;
    row[k] = sine(angle);
    row[half + k] = cosine(angle);
}

// Sinusoidal embedding (Vaswani et al. 2017, in the order of Ho et al. 2020): timestep [batch] -> y [batch, 2 half], sines then
// cosines of t exp(-log(10000) k / (half - 1)); half > 1. Writes 2 batch half elements. Grid: batch x half threads.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) timestep_embedding_f32(
    const float* __restrict__ timestep, float* __restrict__ y, int batch, int half)
{
    embed<float>(timestep, y, batch, half);
}

// Sinusoidal embedding (Vaswani et al. 2017, in the order of Ho et al. 2020): timestep [batch] -> y [batch, 2 half], sines then
// cosines of t exp(-log(10000) k / (half - 1)); half > 1. Writes 2 batch half elements. Grid: batch x half threads.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) timestep_embedding_f64(
    const double* __restrict__ timestep, double* __restrict__ y, int batch, int half)
{
    embed<double>(timestep, y, batch, half);
}

// The step of a video's element: `index` [1 or batch] (indexStride 0 or 1), or `value` [batch], a whole number, when index is null.
template <typename T>
__device__ __forceinline__ int step_of(const int* index, const T* value, int stride, int video)
{
    return index != nullptr ? index[(long long)video * stride] : (int)value[(long long)video * stride];
}

// Whether a step has nothing to compute here: beyond the frame, or in frame 0, which becomes the picture if there is one.
template <typename T>
__device__ __forceinline__ bool is_settled(const Place& place, int frameElements, const T* __restrict__ picture, T* __restrict__ y)
{
    if (place.inFrame >= frameElements)
    {
        return true;
    }
    if (picture == nullptr || place.frame != 0)
    {
        return false;
    }
    y[place.at] = picture[place.inPicture];
    return true;
}

template <typename T>
__device__ __forceinline__ void ddpm(
    const T* __restrict__ x, const T* __restrict__ eps, const T* __restrict__ noise, const T* __restrict__ picture,
    const int* __restrict__ stepIndex, const T* __restrict__ stepValue, const T* __restrict__ betas,
    const T* __restrict__ sqrtRecipAlphas, const T* __restrict__ sqrtOneMinusAlphasCumprod,
    const T* __restrict__ posteriorVariance, T* __restrict__ y, int frames, int frameElements, int stepStride, int steps)
{
    const Place place = place_of(frames, frameElements);
    if (is_settled(place, frameElements, picture, y))
    {
        return;
    }
    const int t = held_step(step_of(stepIndex, stepValue, stepStride, place.video), steps);
    const T drift = rounded_product(betas[t], eps[place.at]) / sqrtOneMinusAlphasCumprod[t];
    T value = rounded_product(sqrtRecipAlphas[t], x[place.at] - drift);
    if (t > 0)
    {
        value += rounded_product(sqrt_of(posteriorVariance[t]), noise[place.at]);
    }
    y[place.at] = value;
}

// One ancestral step (Ho et al. 2020, algorithm 2): x, eps, noise, y [batch, frames, frameElements], where an element is a channel
// of a pixel; y = sqrt(1/alpha_t) (x - beta_t eps / sqrt(1 - abar_t)), plus sqrt(posterior variance_t) noise for t > 0. Frame 0
// becomes picture [batch, frameElements] unless that is null. t is stepIndex [1 or batch] (stepStride 0 or 1), or stepValue
// [batch] where stepIndex is null, and is held inside the tables [steps]. Moves 4 elements an element. Grid: (frameElements,
// batch x frames).
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) ddpm_step_f32(
    const float* __restrict__ x, const float* __restrict__ eps, const float* __restrict__ noise, const float* __restrict__ picture,
    const int* __restrict__ stepIndex, const float* __restrict__ stepValue, const float* __restrict__ betas,
    const float* __restrict__ sqrtRecipAlphas, const float* __restrict__ sqrtOneMinusAlphasCumprod,
    const float* __restrict__ posteriorVariance, float* __restrict__ y, int frames, int frameElements, int stepStride, int steps)
{
    ddpm<float>(
        x, eps, noise, picture, stepIndex, stepValue, betas, sqrtRecipAlphas, sqrtOneMinusAlphasCumprod, posteriorVariance, y, frames,
        frameElements, stepStride, steps);
}

// One ancestral step (Ho et al. 2020, algorithm 2): x, eps, noise, y [batch, frames, frameElements], where an element is a channel
// of a pixel; y = sqrt(1/alpha_t) (x - beta_t eps / sqrt(1 - abar_t)), plus sqrt(posterior variance_t) noise for t > 0. Frame 0
// becomes picture [batch, frameElements] unless that is null. t is stepIndex [1 or batch] (stepStride 0 or 1), or stepValue
// [batch] where stepIndex is null, and is held inside the tables [steps]. Moves 4 elements an element. Grid: (frameElements,
// batch x frames).
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) ddpm_step_f64(
    const double* __restrict__ x, const double* __restrict__ eps, const double* __restrict__ noise, const double* __restrict__ picture,
    const int* __restrict__ stepIndex, const double* __restrict__ stepValue, const double* __restrict__ betas,
    const double* __restrict__ sqrtRecipAlphas, const double* __restrict__ sqrtOneMinusAlphasCumprod,
    const double* __restrict__ posteriorVariance, double* __restrict__ y, int frames, int frameElements, int stepStride, int steps)
{
    ddpm<double>(
        x, eps, noise, picture, stepIndex, stepValue, betas, sqrtRecipAlphas, sqrtOneMinusAlphasCumprod, posteriorVariance, y, frames,
        frameElements, stepStride, steps);
}

template <typename T>
__device__ __forceinline__ void ddim(
    const T* __restrict__ x, const T* __restrict__ eps, const T* __restrict__ noise, const T* __restrict__ picture,
    const int* __restrict__ stepIndex, const T* __restrict__ stepValue, const int* __restrict__ previousIndex,
    const T* __restrict__ previousValue, const T* __restrict__ alphasCumprod, T* __restrict__ y, int frames, int frameElements,
    int stepStride, int steps, T eta)
{
    const Place place = place_of(frames, frameElements);
    if (is_settled(place, frameElements, picture, y))
    {
        return;
    }
    const int t = held_step(step_of(stepIndex, stepValue, stepStride, place.video), steps);
    int previous = step_of(previousIndex, previousValue, stepStride, place.video);
    previous = previous >= steps ? steps - 1 : previous;
    const T current = alphasCumprod[t], next = previous < 0 ? T(1) : alphasCumprod[previous];
    // With r = abar_t (1 - abar_p) / ((1 - abar_t) abar_p), sigma^2 = eta^2 (1 - abar_p) (1 - r) and 1 - abar_p - sigma^2 =
    // (1 - abar_p) (1 - eta^2 + eta^2 r): in this form nothing cancels for small t, where both abar are almost 1.
    const T ratio = (T(1) - next) / (T(1) - current);
    const T sigma = eta * sqrt_of(ratio * ((next - current) / next));
    const T kept = T(1) - eta * eta + eta * eta * (ratio * (current / next));
    const T remaining = (T(1) - next) * kept;
    const T predicted = eps[place.at];
    const T clean = (x[place.at] - sqrt_of(T(1) - current) * predicted) / sqrt_of(current);
    T value = sqrt_of(next) * clean + sqrt_of(remaining > T(0) ? remaining : T(0)) * predicted;
    if (noise != nullptr)
    {
        value += sigma * noise[place.at];
    }
    y[place.at] = value;
}

// One step of Song et al. 2021 (equation 12) from t to an earlier step: x0 = (x - sqrt(1 - abar_t) eps) / sqrt(abar_t); y = sqrt(abar_p)
// x0 + sqrt(1 - abar_p - sigma^2) eps + sigma noise, sigma = eta sqrt((1 - abar_p) / (1 - abar_t)) sqrt(1 - abar_t / abar_p). A
// previous step below 0 is the clean end (abar_p = 1). noise may be null (eta 0). Shapes, frame 0 and steps as in ddpm_step; the
// previous step is given as the step is. Moves 3 or 4 elements an element. Grid: (frameElements, batch x frames).
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) ddim_step_f32(
    const float* __restrict__ x, const float* __restrict__ eps, const float* __restrict__ noise, const float* __restrict__ picture,
    const int* __restrict__ stepIndex, const float* __restrict__ stepValue, const int* __restrict__ previousIndex,
    const float* __restrict__ previousValue, const float* __restrict__ alphasCumprod, float* __restrict__ y, int frames, int frameElements,
    int stepStride, int steps, float eta)
{
    ddim<float>(
        x, eps, noise, picture, stepIndex, stepValue, previousIndex, previousValue, alphasCumprod, y, frames, frameElements,
        stepStride, steps, eta);
}

// One step of Song et al. 2021 (equation 12) from t to an earlier step: x0 = (x - sqrt(1 - abar_t) eps) / sqrt(abar_t); y = sqrt(abar_p)
// x0 + sqrt(1 - abar_p - sigma^2) eps + sigma noise, sigma = eta sqrt((1 - abar_p) / (1 - abar_t)) sqrt(1 - abar_t / abar_p). A
// previous step below 0 is the clean end (abar_p = 1). noise may be null (eta 0). Shapes, frame 0 and steps as in ddpm_step; the
// previous step is given as the step is. Moves 3 or 4 elements an element. Grid: (frameElements, batch x frames).
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) ddim_step_f64(
    const double* __restrict__ x, const double* __restrict__ eps, const double* __restrict__ noise, const double* __restrict__ picture,
    const int* __restrict__ stepIndex, const double* __restrict__ stepValue, const int* __restrict__ previousIndex,
    const double* __restrict__ previousValue, const double* __restrict__ alphasCumprod, double* __restrict__ y, int frames, int frameElements,
    int stepStride, int steps, double eta)
{
    ddim<double>(
        x, eps, noise, picture, stepIndex, stepValue, previousIndex, previousValue, alphasCumprod, y, frames, frameElements,
        stepStride, steps, eta);
}

template <typename T>
__device__ __forceinline__ void reparametrize(
    const T* __restrict__ x, const T* __restrict__ prediction, const int* __restrict__ stepIndex, const T* __restrict__ coefficients,
    T* __restrict__ y, int frames, int frameElements, int stepStride, int steps, int columns)
{
    const Place place = place_of(frames, frameElements);
    if (place.inFrame >= frameElements)
    {
        return;
    }
    const T* const row = coefficients + columns * held_step(stepIndex[(long long)place.video * stepStride], steps);
    y[place.at] = rounded_product(row[0], x[place.at]) + rounded_product(row[1], prediction[place.at]);
}

template <typename T>
__device__ __forceinline__ void multistep(
    const T* __restrict__ x, const T* __restrict__ clean, const T* __restrict__ before, const T* __restrict__ picture,
    const int* __restrict__ stepIndex, const T* __restrict__ coefficients, T* __restrict__ y, int frames, int frameElements,
    int stepStride, int steps)
{
    const Place place = place_of(frames, frameElements);
    if (is_settled(place, frameElements, picture, y))
    {
        return;
    }
    const T* const row = coefficients + 5 * held_step(stepIndex[(long long)place.video * stepStride], steps);
    T value = rounded_product(row[2], x[place.at]) + rounded_product(row[3], clean[place.at]);
    if (before != nullptr)
    {
        value += rounded_product(row[4], before[place.at]);
    }
    y[place.at] = value;
}

// What the network predicts, as another quantity of the same step: y = a x + b prediction with a, b the first two of the step's
// coefficients [steps, columns]. 1 / sqrt(abar) and -sqrt(1 / abar - 1) make the clean video of the noise; sqrt(1 - abar) and
// sqrt(abar) the noise of the velocity. Shapes and steps as in ddpm_step. Moves 3 elements an element. Grid: (frameElements, batch x
// frames).
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) reparametrize_f32(
    const float* __restrict__ x, const float* __restrict__ prediction, const int* __restrict__ stepIndex,
    const float* __restrict__ coefficients, float* __restrict__ y, int frames, int frameElements, int stepStride, int steps, int columns)
{
    reparametrize<float>(x, prediction, stepIndex, coefficients, y, frames, frameElements, stepStride, steps, columns);
}

// What the network predicts, as another quantity of the same step: y = a x + b prediction with a, b the first two of the step's
// coefficients [steps, columns]. 1 / sqrt(abar) and -sqrt(1 / abar - 1) make the clean video of the noise; sqrt(1 - abar) and
// sqrt(abar) the noise of the velocity. Shapes and steps as in ddpm_step. Moves 3 elements an element. Grid: (frameElements, batch x
// frames).
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) reparametrize_f64(
    const double* __restrict__ x, const double* __restrict__ prediction, const int* __restrict__ stepIndex,
    const double* __restrict__ coefficients, double* __restrict__ y, int frames, int frameElements, int stepStride, int steps, int columns)
{
    reparametrize<double>(x, prediction, stepIndex, coefficients, y, frames, frameElements, stepStride, steps, columns);
}

// A step of a solver that remembers one step: y = c x + d clean + e before, with c, d, e the last three of the step's five coefficients
// [steps, 5]; clean is what reparametrize made of the noise, before what it made at the step before or null, where e counts as 0.
// Shapes, frame 0 and steps as in ddpm_step. Moves 3 or 4 elements an element. Grid: (frameElements, batch x frames).
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) multistep_f32(
    const float* __restrict__ x, const float* __restrict__ clean, const float* __restrict__ before, const float* __restrict__ picture,
    const int* __restrict__ stepIndex, const float* __restrict__ coefficients, float* __restrict__ y, int frames, int frameElements,
    int stepStride, int steps)
{
    multistep<float>(x, clean, before, picture, stepIndex, coefficients, y, frames, frameElements, stepStride, steps);
}

// A step of a solver that remembers one step: y = c x + d clean + e before, with c, d, e the last three of the step's five coefficients
// [steps, 5]; clean is what reparametrize made of the noise, before what it made at the step before or null, where e counts as 0.
// Shapes, frame 0 and steps as in ddpm_step. Moves 3 or 4 elements an element. Grid: (frameElements, batch x frames).
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) multistep_f64(
    const double* __restrict__ x, const double* __restrict__ clean, const double* __restrict__ before, const double* __restrict__ picture,
    const int* __restrict__ stepIndex, const double* __restrict__ coefficients, double* __restrict__ y, int frames, int frameElements,
    int stepStride, int steps)
{
    multistep<double>(x, clean, before, picture, stepIndex, coefficients, y, frames, frameElements, stepStride, steps);
}

template <typename T>
__device__ __forceinline__ void put_first_frame(const T* __restrict__ picture, T* __restrict__ x, int frames, int frameElements)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < frameElements)
    {
        x[(long long)blockIdx.y * frames * frameElements + i] = picture[(long long)blockIdx.y * frameElements + i];
    }
}

// Overwrites frame 0 of x [batch, frames, frameElements] with picture [batch, frameElements], in place: before the first step.
// Moves 2 batch frameElements elements. Grid: (frameElements, batch).
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) first_frame_f32(
    const float* __restrict__ picture, float* __restrict__ x, int frames, int frameElements)
{
    put_first_frame<float>(picture, x, frames, frameElements);
}

// Overwrites frame 0 of x [batch, frames, frameElements] with picture [batch, frameElements], in place: before the first step.
// Moves 2 batch frameElements elements. Grid: (frameElements, batch).
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) first_frame_f64(
    const double* __restrict__ picture, double* __restrict__ x, int frames, int frameElements)
{
    put_first_frame<double>(picture, x, frames, frameElements);
}
