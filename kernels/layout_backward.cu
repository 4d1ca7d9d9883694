// Gradients of the operators that move elements, where they are not such an operator themselves: cutting apart what was joined,
// zeros around what was cut out, sums over what was repeated. Rows of channels, shared out as rows.cuh says; each kernel reads
// what it needs once and writes once.
#include "blocks.cuh"
#include "rows.cuh"

namespace {

// da[row] = gradient[row, : ca] * a_scale, db[row] = the rest of it; either may be null.
template <typename T>
__device__ __forceinline__ void concat_channels_backward(
    const T* __restrict__ gradient, T a_scale, T* __restrict__ da, T* __restrict__ db, int rows, int ca, int cb) {
    RowTile tile;
    if (!row_tile(rows, ca + cb, tile)) {
        return;
    }
    const T* from = gradient + tile.row * (ca + cb);
    const bool vectors = ca % 4 == 0 && cb % 4 == 0 && is_vector_aligned(gradient) && is_vector_aligned(da) && is_vector_aligned(db);
    if (da != nullptr) {
        T* to = da + tile.row * ca;
        const RowTile left = {tile.row, tile.first, min(tile.end, ca)};
        for_columns(
            left, vectors,
            [=](int column) {
                const Four<T> v = load4(from + column);
                store4(to + column, {v.x * a_scale, v.y * a_scale, v.z * a_scale, v.w * a_scale});
            },
            [=](int column) { to[column] = from[column] * a_scale; });
    }
    if (db != nullptr) {
        T* to = db + tile.row * cb - ca;
        const RowTile right = {tile.row, max(tile.first, ca), tile.end};
        for_columns(
            right, vectors,
            [=](int column) { store4(to + column, load4(from + column)); },
            [=](int column) { to[column] = from[column]; });
    }
}

// y[row] = zeros, x[row] * scale, zeros.
template <typename T>
__device__ __forceinline__ void pad_channels(
    const T* __restrict__ x, T scale, T* __restrict__ y, int rows, int channels, int start, int length) {
    RowTile tile;
    if (!row_tile(rows, channels, tile)) {
        return;
    }
    const T* from = x + tile.row * length - start;
    T* to = y + tile.row * channels;
    const int end = start + length;
    const bool vectors =
        channels % 4 == 0 && start % 4 == 0 && length % 4 == 0 && is_vector_aligned(x) && is_vector_aligned(y);
    for_columns(
        tile, vectors,
        [=](int column) {
            Four<T> v = {T(0), T(0), T(0), T(0)};
            if (column >= start && column < end) {
                v = load4(from + column);
                v = {v.x * scale, v.y * scale, v.z * scale, v.w * scale};
            }
            store4(to + column, v);
        },
        [=](int column) { to[column] = column >= start && column < end ? from[column] * scale : T(0); });
}

// Rows are the pixels of dx: each is the sum of the four that were made of it, line by line.
template <typename T>
__device__ __forceinline__ void upsample_nearest_2x_backward(
    const T* __restrict__ gradient, T* __restrict__ dx, int lines, int w, int channels) {
    RowTile tile;
    if (!row_tile(lines * w, channels, tile)) {
        return;
    }
    T* to = dx + tile.row * channels;
    // As in upsample_nearest_2x: pixel j of line i was written from line 2i, pixel 2j on.
    const T* top = gradient + 2 * (tile.row + tile.row / w * w) * channels;
    const T* bottom = top + 2 * w * channels;
    for_columns(
        tile, channels % 4 == 0 && is_vector_aligned(gradient) && is_vector_aligned(dx),
        [=](int column) {
            const Four<T> a = load4(top + column);
            const Four<T> b = load4(top + column + channels);
            const Four<T> c = load4(bottom + column);
            const Four<T> d = load4(bottom + column + channels);
            store4(to + column, {(a.x + b.x) + (c.x + d.x), (a.y + b.y) + (c.y + d.y),
                                 (a.z + b.z) + (c.z + d.z), (a.w + b.w) + (c.w + d.w)});
        },
        [=](int column) {
            to[column] = (top[column] + top[column + channels]) + (bottom[column] + bottom[column + channels]);
        });
}

// Which of a window's four, in the order (a b; c d), a maximum is taken from: the first of the largest, the last of those that
// are no number. PyTorch's CPU kernel walks a window in this way.
template <typename T>
__device__ __forceinline__ int place_of_largest(T a, T b, T c, T d) {
    T largest = a;
    int place = 0;
    if (b > largest || b != b) {
        largest = b;
        place = 1;
    }
    if (c > largest || c != c) {
        largest = c;
        place = 2;
    }
    return d > largest || d != d ? 3 : place;
}

// Rows are the pixels of the gradient; each owns the four of its window in dx.
template <typename T>
__device__ __forceinline__ void max_pool_2x2_backward(
    const T* __restrict__ x, const T* __restrict__ gradient, T* __restrict__ dx, int pictures, int h, int w, int channels) {
    const int out_h = h / 2;
    const int out_w = w / 2;
    RowTile tile;
    if (!row_tile(pictures * out_h * out_w, channels, tile)) {
        return;
    }
    const int line = tile.row / out_w;
    const int picture = line / out_h;
    const int top = picture * h + 2 * (line - picture * out_h);
    const int left = 2 * (tile.row - line * out_w);
    const int first = (top * w + left) * channels;
    const int below = w * channels;
    const T* from = x + first;
    const T* incoming = gradient + tile.row * channels;
    T* to = dx + first;
    for_columns(
        tile, channels % 4 == 0 && is_vector_aligned(x) && is_vector_aligned(gradient) && is_vector_aligned(dx),
        [=](int column) {
            const Four<T> a = load4(from + column);
            const Four<T> b = load4(from + column + channels);
            const Four<T> c = load4(from + column + below);
            const Four<T> d = load4(from + column + below + channels);
            const Four<T> v = load4(incoming + column);
            const Four<int> at = {place_of_largest(a.x, b.x, c.x, d.x), place_of_largest(a.y, b.y, c.y, d.y),
                                  place_of_largest(a.z, b.z, c.z, d.z), place_of_largest(a.w, b.w, c.w, d.w)};
            const auto share = [&](int place) -> Four<T> {
                return {at.x == place ? v.x : T(0), at.y == place ? v.y : T(0), at.z == place ? v.z : T(0),
                        at.w == place ? v.w : T(0)};
            };
            store4(to + column, share(0));
            store4(to + column + channels, share(1));
            store4(to + column + below, share(2));
            store4(to + column + below + channels, share(3));
        },
        [=](int column) {
            const int place = place_of_largest(
                from[column], from[column + channels], from[column + below], from[column + below + channels]);
            const T v = incoming[column];
            to[column] = place == 0 ? v : T(0);
            to[column + channels] = place == 1 ? v : T(0);
            to[column + below] = place == 2 ? v : T(0);
            to[column + below + channels] = place == 3 ? v : T(0);
        });
}

}  // namespace

// The inverse of concat_channels: gradient [rows, ca + cb] to da [rows, ca] = its first part * a_scale and db [rows, cb] = the
// rest; da or db may be null. Moves 2 rows (ca + cb) elements, or 2 rows ca, or 2 rows cb.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) concat_channels_backward_f32(
    const float* __restrict__ gradient, float a_scale, float* __restrict__ da, float* __restrict__ db, int rows, int ca, int cb) {
    concat_channels_backward(gradient, a_scale, da, db, rows, ca, cb);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) concat_channels_backward_f64(
    const double* __restrict__ gradient, double a_scale, double* __restrict__ da, double* __restrict__ db, int rows, int ca, int cb) {
    concat_channels_backward(gradient, a_scale, da, db, rows, ca, cb);
}

// y[:, start : start + length] = x * scale, 0 elsewhere; x [rows, length], y [rows, channels]. Moves rows (length + channels)
// elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) pad_channels_f32(
    const float* __restrict__ x, float scale, float* __restrict__ y, int rows, int channels, int start, int length) {
    pad_channels(x, scale, y, rows, channels, start, length);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) pad_channels_f64(
    const double* __restrict__ x, double scale, double* __restrict__ y, int rows, int channels, int start, int length) {
    pad_channels(x, scale, y, rows, channels, start, length);
}

// dx[i, j, :] = the sum of gradient[2i + a, 2j + b, :] over a, b in {0, 1}; gradient [2 lines, 2w, channels], dx [lines, w,
// channels], the lines of all pictures counted through. Moves 5 elements an element of dx.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) upsample_nearest_2x_backward_f32(
    const float* __restrict__ gradient, float* __restrict__ dx, int lines, int w, int channels) {
    upsample_nearest_2x_backward(gradient, dx, lines, w, channels);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) upsample_nearest_2x_backward_f64(
    const double* __restrict__ gradient, double* __restrict__ dx, int lines, int w, int channels) {
    upsample_nearest_2x_backward(gradient, dx, lines, w, channels);
}

// dx[p, 2i + a, 2j + b, :] = gradient[p, i, j, :] where x's maximum over the window was taken from (a, b), else 0; an odd last
// line or column of dx is not written. x, dx [pictures, h, w, channels], gradient [pictures, h / 2, w / 2, channels]. Moves 9
// elements an element of the gradient.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) max_pool_2x2_backward_f32(
    const float* __restrict__ x, const float* __restrict__ gradient, float* __restrict__ dx,
    int pictures, int h, int w, int channels) {
    max_pool_2x2_backward(x, gradient, dx, pictures, h, w, channels);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) max_pool_2x2_backward_f64(
    const double* __restrict__ x, const double* __restrict__ gradient, double* __restrict__ dx,
    int pictures, int h, int w, int channels) {
    max_pool_2x2_backward(x, gradient, dx, pictures, h, w, channels);
}
