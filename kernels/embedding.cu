// From a picture's tokens to one vector of length 1, which is what a contrastive loss compares; and the gradients of both steps.
#include "activation.cuh"
#include "blocks.cuh"
#include "row.cuh"
#include "rows.cuh"

// Warps that share the tokens of a picture.
#define MEAN_TOKENS_WARPS 8

namespace {

// Lanes run along the channels; warp w adds tokens w, w + 8, .. in order, then warps are added one by one.
template <typename T>
__device__ __forceinline__ void mean_tokens(const T* __restrict__ x, T* __restrict__ y, int tokens, int channels) {
    __shared__ T partial[MEAN_TOKENS_WARPS][WARP_SIZE];
    const int tiles = (channels + WARP_SIZE - 1) / WARP_SIZE;
    const int picture = blockIdx.x / tiles;
    const int channel = (blockIdx.x - picture * tiles) * WARP_SIZE + threadIdx.x;
    const T* own = x + static_cast<long long>(picture) * tokens * channels;
    T sum = T(0);
    if (channel < channels) {
        for (int token = threadIdx.y; token < tokens; token += MEAN_TOKENS_WARPS) {
            sum += own[static_cast<long long>(token) * channels + channel];
        }
    }
    partial[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y == 0 && channel < channels) {
        for (int warp = 1; warp < MEAN_TOKENS_WARPS; ++warp) {
            sum += partial[warp][threadIdx.x];
        }
        y[static_cast<long long>(picture) * channels + channel] = sum / static_cast<T>(tokens);
    }
}

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
        tile, channels % 4 == 0 && is_aligned16(gradient) && is_aligned16(dx),
        [=](int column) {
            const Four<T> v = load4(from + column);
            store4(to + column, {v.x * share, v.y * share, v.z * share, v.w * share});
        },
        [=](int column) { to[column] = from[column] * share; });
}

// The Euclidean length of a row, a warp's work; every lane gets it.
template <typename T>
__device__ __forceinline__ T row_length(const T* row, int width) {
    T sum = T(0);
    each_of_row(0, width, threadIdx.x, WARP_SIZE, [&](int i, bool counts) {
        const T value = counts ? row[i] : T(0);
        sum += value * value;
    });
    return sqrt_of(warp_sum(sum));
}

template <typename T>
__device__ __forceinline__ void normalize_rows(const T* __restrict__ x, T* __restrict__ y, int rows, int width, T eps) {
    const int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) {
        return;
    }
    const long long start = static_cast<long long>(row) * width;
    const T length = row_length(x + start, width);
    const T inverse = T(1) / (length < eps ? eps : length);
    each_of_row(0, width, threadIdx.x, WARP_SIZE, [&](int i, bool) { y[start + i] = x[start + i] * inverse; });
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
