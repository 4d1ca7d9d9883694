// The gradient of sampling the encoder's posterior, with respect to its mean and log-variance (the reparameterization trick of
// Kingma and Welling 2014, section 2.4).
#include "blocks.cuh"
#include "exponential.cuh"
#include "log_variance.cuh"

namespace {

// A thread takes one mean and the log-variance that belongs to it.
template <typename T>
__device__ __forceinline__ void posterior_sample_backward(
    const T* __restrict__ moments, const T* __restrict__ noise, const T* __restrict__ gradient, T* __restrict__ dmoments,
    int elements, int channels, T scale) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= elements) {
        return;
    }
    const int pixel = i / channels;
    const int mean = i + pixel * channels;
    const T log_variance = moments[mean + channels];
    const T passed = gradient[i] * scale;
    dmoments[mean] = passed;
    dmoments[mean + channels] = passes_log_variance(log_variance) ? passed * noise[i] * (T(0.5) * exp_of(T(0.5) * log_variance)) : T(0);
}

}  // namespace

// moments, dmoments [pixels, 2 channels] (means, then log-variances), noise, gradient [pixels, channels]: dmean = scale gradient;
// dlogvar = scale gradient noise exp(logvar / 2) / 2 where logvar is in [-30, 20], else 0. Reads 3 elements an element of the
// gradient and writes 2. Grid: elements = pixels x channels threads.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) posterior_sample_backward_f32(
    const float* __restrict__ moments, const float* __restrict__ noise, const float* __restrict__ gradient,
    float* __restrict__ dmoments, int elements, int channels, float scale) {
    posterior_sample_backward(moments, noise, gradient, dmoments, elements, channels, scale);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) posterior_sample_backward_f64(
    const double* __restrict__ moments, const double* __restrict__ noise, const double* __restrict__ gradient,
    double* __restrict__ dmoments, int elements, int channels, double scale) {
    posterior_sample_backward(moments, noise, gradient, dmoments, elements, channels, scale);
}
