// Snake, y = x + sin^2(a x) / a with a number a for every channel (Ziyin, Hartwig and Ueda 2020, arXiv 2006.08195, equation 3),
// and its gradients. Activations are [rows, channels].

// y of one element.
template <typename T>
__device__ T snake_of(T x, T a)
{
    const T s = sin(a * x);
    return x + s * s / a;
}

template <typename T>
__device__ void snake(const T* x, const T* a, T* y, int rows, int channels)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < rows * channels) y[i] = snake_of(x[i], a[i % channels]);
}

// dy/dx = 1 + 2 sin(a x) cos(a x) = 1 + sin(2 a x).
template <typename T>
__device__ void snake_backward_x(const T* x, const T* a, const T* gradient, T* dx, int rows, int channels)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < rows * channels) dx[i] = gradient[i] * (1 + sin(2 * a[i % channels] * x[i]));
}

// dy/da = x sin(2 a x) / a - sin^2(a x) / a^2, summed over the rows. One thread a channel adds them in order, so that the sum has
// the same bits each time: float atomics would not.
template <typename T>
__device__ void snake_backward_a(const T* x, const T* a, const T* gradient, T* da, int rows, int channels)
{
    const int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= channels) return;
    T sum = 0;
    for (int r = 0; r < rows; r++)
    {
        const T xi = x[r * channels + c];
        const T s = sin(a[c] * xi);
        sum += gradient[r * channels + c] * (xi * sin(2 * a[c] * xi) - s * s / a[c]) / a[c];
    }
    da[c] = sum;
}

extern "C" __global__ void snake_f32(const float* __restrict__ x, const float* __restrict__ a, float* __restrict__ y, int rows, int channels)
{
    snake(x, a, y, rows, channels);
}

extern "C" __global__ void snake_f64(const double* __restrict__ x, const double* __restrict__ a, double* __restrict__ y, int rows, int channels)
{
    snake(x, a, y, rows, channels);
}

extern "C" __global__ void snake_backward_x_f32(
    const float* __restrict__ x, const float* __restrict__ a, const float* __restrict__ gradient, float* __restrict__ dx, int rows, int channels)
{
    snake_backward_x(x, a, gradient, dx, rows, channels);
}

extern "C" __global__ void snake_backward_x_f64(
    const double* __restrict__ x, const double* __restrict__ a, const double* __restrict__ gradient, double* __restrict__ dx, int rows, int channels)
{
    snake_backward_x(x, a, gradient, dx, rows, channels);
}

extern "C" __global__ void snake_backward_a_f32(
    const float* __restrict__ x, const float* __restrict__ a, const float* __restrict__ gradient, float* __restrict__ da, int rows, int channels)
{
    snake_backward_a(x, a, gradient, da, rows, channels);
}

extern "C" __global__ void snake_backward_a_f64(
    const double* __restrict__ x, const double* __restrict__ a, const double* __restrict__ gradient, double* __restrict__ da, int rows, int channels)
{
    snake_backward_a(x, a, gradient, da, rows, channels);
}
