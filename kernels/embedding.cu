// From a picture's tokens to one vector of length 1, which is what a contrastive loss compares; and the gradients of both steps.
#include "blocks.cuh"
#include "embedding.cuh"
#include "rows.cuh"

namespace {

// Rows are the tokens of all pictures.
template <typename T>
__device__ __forceinline__ void mean_tokens_backward(
    const T* __restrict__ gradient, T* __restrict__ dx, int rows, int tokens, int channels) {
    RowTile tile;
    if (!row_tile(rows, channels, tile)) {
        return;
    }
    const T* from = gradient + tile.row / tokens * channels;
    T* to = dx + tile.row * channels;
    const T share = T(1) / static_cast<T>(tokens);
    for_columns(
        tile, channels % 4 == 0 && is_vector_aligned(gradient) && is_vector_aligned(dx),
        [=](int column) {
            const Four<T> v = load4(from + column);
            store4(to + column, {v.x * share, v.y * share, v.z * share, v.w * share});
        },
        [=](int column) { to[column] = from[column] * share; });
}

template <typename T>
__device__ __forceinline__ void normalize_rows_backward(
    const T* __restrict__ x, const T* __restrict__ gradient, T* __restrict__ dx, int rows, int width, T eps) {
    const int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) {
        return;
    }
    const long long start = static_cast<long long>(row) * width;
    const T length = row_length(x + start, width);
    const T inverse = T(1) / (length < eps ? eps : length);
    T along = T(0);
    each_of_row(0, width, threadIdx.x, WARP_SIZE, [&](int i, bool counts) {
        const T product = x[start + i] * inverse * gradient[start + i];
        along += counts ? product : T(0);
    });
    along = warp_sum(along);
    if (length < eps) {
        along = T(0);  // the row was divided by a constant
    }
    each_of_row(0, width, threadIdx.x, WARP_SIZE, [&](int i, bool) {
        dx[start + i] = (gradient[start + i] - x[start + i] * inverse * along) * inverse;
    });
}

}  // namespace

// y[b, c] = the mean of x[b, :, c]; x [pictures, tokens, channels], y [pictures, channels]. Blocks of (32, 8) threads, one for
// every 32 channels of a picture. Reads pictures tokens channels elements.
extern "C" __global__ void __launch_bounds__(WARP_ROWS_BLOCK) mean_tokens_f32(
    const float* __restrict__ x, float* __restrict__ y, int tokens, int channels) {
    mean_tokens(x, y, tokens, channels);
}

extern "C" __global__ void __launch_bounds__(WARP_ROWS_BLOCK) mean_tokens_f64(
    const double* __restrict__ x, double* __restrict__ y, int tokens, int channels) {
    mean_tokens(x, y, tokens, channels);
}

// dx[b, t, c] = gradient[b, c] / tokens; gradient [pictures, channels], dx [rows = pictures tokens, channels]. Writes rows channels
// elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) mean_tokens_backward_f32(
    const float* __restrict__ gradient, float* __restrict__ dx, int rows, int tokens, int channels) {
    mean_tokens_backward(gradient, dx, rows, tokens, channels);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) mean_tokens_backward_f64(
    const double* __restrict__ gradient, double* __restrict__ dx, int rows, int tokens, int channels) {
    mean_tokens_backward(gradient, dx, rows, tokens, channels);
}

// y = x / max(|x|, eps) row by row, |x| the Euclidean length; x, y [rows, width]. A warp a row: block (32, n). Moves 2 rows width
// elements; the second pass finds the row in the cache.
extern "C" __global__ void __launch_bounds__(WARP_ROWS_BLOCK) normalize_rows_f32(
    const float* __restrict__ x, float* __restrict__ y, int rows, int width, float eps) {
    normalize_rows(x, y, rows, width, eps);
}

extern "C" __global__ void __launch_bounds__(WARP_ROWS_BLOCK) normalize_rows_f64(
    const double* __restrict__ x, double* __restrict__ y, int rows, int width, double eps) {
    normalize_rows(x, y, rows, width, eps);
}

// dx = (gradient - y (y . gradient)) / |x| with y = x / |x|, row by row; gradient / eps where |x| < eps. x, gradient, dx [rows,
// width]. A warp a row: block (32, n). Moves 3 rows width elements; later passes find the row in the cache.
extern "C" __global__ void __launch_bounds__(WARP_ROWS_BLOCK) normalize_rows_backward_f32(
    const float* __restrict__ x, const float* __restrict__ gradient, float* __restrict__ dx, int rows, int width, float eps) {
    normalize_rows_backward(x, gradient, dx, rows, width, eps);
}

extern "C" __global__ void __launch_bounds__(WARP_ROWS_BLOCK) normalize_rows_backward_f64(
    const double* __restrict__ x, const double* __restrict__ gradient, double* __restrict__ dx, int rows, int width, double eps) {
    normalize_rows_backward(x, gradient, dx, rows, width, eps);
}
