// Backward kernels that are wrong on purpose, each in one way, and right where the lie is 0: what a gradient check must catch.

// The numbers of LiarTests.Lie.
enum Lie
{
    Honest,
    Sign,
    MissingFactor,
    OffByOne,
    DroppedReduction,
    Transposed,
    StaleBuffer,
    MissingBarrier,
    Tail,
    LargeIndex,
    OnePercent,
    OnePercentInSingle,
    OutOfBounds,
};

// y[r, c] = x[r, c] w[c].
template <typename T>
__device__ void row_scale(const T* x, const T* w, T* y, int rows, int columns)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < rows * columns) y[i] = x[i] * w[i % columns];
}

// dx[r, c] = g[r, c] w[c].
template <typename T>
__device__ void row_scale_dx(const T* w, const T* g, T* dx, int rows, int columns, int lie)
{
    const int n = rows * columns;
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    T share = g[i] * w[(lie == OffByOne ? i + 1 : i) % columns];
    if (lie == Sign) share = -share;
    if (lie == MissingFactor) share = g[i];
    if (lie == Tail && i >= n / 4 * 4) share = 0; // as a kernel that writes four at a time
    if (lie == LargeIndex && i == 1337) share = g[i];
    if (lie == OnePercent || (lie == OnePercentInSingle && sizeof(T) == 4)) share *= T(1.01);
    dx[lie == OutOfBounds ? i + n : i] = share;
}

// dw[c] = sum over r of g[r, c] x[r, c]: a block a column, 64 threads, whose sums the last thread adds in order.
template <typename T>
__device__ void row_scale_dw(const T* x, const T* g, T* dw, int rows, int columns, int lie)
{
    __shared__ T sums[64];
    const int c = blockIdx.x;
    T sum = 0;
    for (int r = threadIdx.x; r < (lie == DroppedReduction ? 1 : rows); r += 64) sum += g[r * columns + c] * x[r * columns + c];
    sums[threadIdx.x] = sum;
    if (lie != MissingBarrier) __syncthreads();
    if (threadIdx.x == 63)
    {
        T total = lie == StaleBuffer ? dw[c] : T(0);
        for (int t = 0; t < 64; t++) total += sums[t];
        dw[c] = total;
    }
}

// y[r, c] = sum over k of x[r, k] w[k, c], w of n x n; its dx[r, k] = sum over c of g[r, c] w[k, c], so w's transpose is meant.
template <typename T>
__device__ void product(const T* x, const T* w, T* y, int rows, int n, bool transpose)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= rows * n) return;
    T sum = 0;
    for (int k = 0; k < n; k++) sum += x[i / n * n + k] * (transpose ? w[i % n * n + k] : w[k * n + i % n]);
    y[i] = sum;
}

extern "C" __global__ void row_scale_f32(const float* __restrict__ x, const float* __restrict__ w, float* __restrict__ y, int rows, int columns)
{
    row_scale(x, w, y, rows, columns);
}

extern "C" __global__ void row_scale_f64(const double* __restrict__ x, const double* __restrict__ w, double* __restrict__ y, int rows, int columns)
{
    row_scale(x, w, y, rows, columns);
}

extern "C" __global__ void row_scale_dx_f32(
    const float* __restrict__ w, const float* __restrict__ g, float* __restrict__ dx, int rows, int columns, int lie)
{
    row_scale_dx(w, g, dx, rows, columns, lie);
}

extern "C" __global__ void row_scale_dx_f64(
    const double* __restrict__ w, const double* __restrict__ g, double* __restrict__ dx, int rows, int columns, int lie)
{
    row_scale_dx(w, g, dx, rows, columns, lie);
}

extern "C" __global__ void row_scale_dw_f32(
    const float* __restrict__ x, const float* __restrict__ g, float* __restrict__ dw, int rows, int columns, int lie)
{
    row_scale_dw(x, g, dw, rows, columns, lie);
}

extern "C" __global__ void row_scale_dw_f64(
    const double* __restrict__ x, const double* __restrict__ g, double* __restrict__ dw, int rows, int columns, int lie)
{
    row_scale_dw(x, g, dw, rows, columns, lie);
}

extern "C" __global__ void product_f32(
    const float* __restrict__ x, const float* __restrict__ w, float* __restrict__ y, int rows, int n, int transpose)
{
    product(x, w, y, rows, n, transpose != 0);
}

extern "C" __global__ void product_f64(
    const double* __restrict__ x, const double* __restrict__ w, double* __restrict__ y, int rows, int n, int transpose)
{
    product(x, w, y, rows, n, transpose != 0);
}
