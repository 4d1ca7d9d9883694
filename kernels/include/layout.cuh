// Moving elements: the bodies of layout.cu and layout_half.cu. Nearly everything is a copy of rows of channels, shared out as
// rows.cuh says.
#pragma once

#include "rows.cuh"

// y[row] = a[row] * a_scale followed by b[row].
template <typename T>
__device__ __forceinline__ void concat_channels(
    const T* __restrict__ a, Compute<T> a_scale, const T* __restrict__ b, T* __restrict__ y, int rows, int ca, int cb) {
    RowTile tile;
    if (!row_tile(rows, ca + cb, tile)) {
        return;
    }
    const T* a_row = a + tile.row * ca;
    const T* b_row = b + tile.row * cb - ca;
    T* y_row = y + tile.row * (ca + cb);
    const bool vectors = ca % 4 == 0 && cb % 4 == 0 && is_vector_aligned(a) && is_vector_aligned(b) && is_vector_aligned(y);
    const RowTile left = {tile.row, tile.first, min(tile.end, ca)};
    const RowTile right = {tile.row, max(tile.first, ca), tile.end};
    for_columns(
        left, vectors,
        [=](int column) {
            const Four<Compute<T>> v = load4(a_row + column);
            store4(y_row + column, {v.x * a_scale, v.y * a_scale, v.z * a_scale, v.w * a_scale});
        },
        [=](int column) { y_row[column] = T(a_row[column] * a_scale); });
    for_columns(
        right, vectors,
        [=](int column) { store4(y_row + column, load4(b_row + column)); },
        [=](int column) { y_row[column] = b_row[column]; });
}

// Copies the tile's columns from one row to another.
template <typename T>
__device__ __forceinline__ void copy_row(const RowTile& tile, bool vectors, const T* from, T* to) {
    for_columns(
        tile, vectors,
        [=](int column) { store4(to + column, load4(from + column)); },
        [=](int column) { to[column] = from[column]; });
}

template <typename T>
__device__ __forceinline__ void slice_channels(
    const T* __restrict__ x, T* __restrict__ y, int rows, int channels, int start, int length) {
    RowTile tile;
    if (!row_tile(rows, length, tile)) {
        return;
    }
    const bool vectors =
        channels % 4 == 0 && start % 4 == 0 && length % 4 == 0 && is_vector_aligned(x) && is_vector_aligned(y);
    copy_row(tile, vectors, x + tile.row * channels + start, y + tile.row * length);
}

// Rows are counted in the order of y, [outer, n, m], so that writes run through memory.
template <typename T>
__device__ __forceinline__ void swap_axes(
    const T* __restrict__ x, T* __restrict__ y, int outer, int m, int n, int inner) {
    RowTile tile;
    if (!row_tile(outer * n * m, inner, tile)) {
        return;
    }
    const int o = tile.row / (n * m);
    const int in_outer = tile.row - o * (n * m);
    const int j = in_outer / m;
    const int i = in_outer - j * m;
    const bool vectors = inner % 4 == 0 && is_vector_aligned(x) && is_vector_aligned(y);
    copy_row(tile, vectors, x + ((o * m + i) * n + j) * inner, y + tile.row * inner);
}

#define TRANSPOSE_TILE 32
#define TRANSPOSE_ROWS 8

// A 32x32 tile goes through shared memory, so that both the reads (along n) and the writes (along m) are coalesced. The
// extra column keeps the column-wise reads of the tile on 32 different banks.
template <typename T>
__device__ __forceinline__ void transpose(const T* __restrict__ x, T* __restrict__ y, int m, int n) {
    __shared__ T tile[TRANSPOSE_TILE][TRANSPOSE_TILE + 1];
    const int tiles_m = (m + TRANSPOSE_TILE - 1) / TRANSPOSE_TILE;
    const int tiles_n = (n + TRANSPOSE_TILE - 1) / TRANSPOSE_TILE;
    const int matrix = blockIdx.x / (tiles_m * tiles_n);
    const int in_matrix = blockIdx.x - matrix * (tiles_m * tiles_n);
    const int tile_m = in_matrix / tiles_n;
    const int i0 = tile_m * TRANSPOSE_TILE;
    const int j0 = (in_matrix - tile_m * tiles_n) * TRANSPOSE_TILE;
    const T* from = x + matrix * m * n;
    T* to = y + matrix * m * n;

    for (int row = threadIdx.y; row < TRANSPOSE_TILE; row += TRANSPOSE_ROWS) {
        if (i0 + row < m && j0 + static_cast<int>(threadIdx.x) < n) {
            tile[row][threadIdx.x] = from[(i0 + row) * n + j0 + threadIdx.x];
        }
    }
    __syncthreads();
    for (int row = threadIdx.y; row < TRANSPOSE_TILE; row += TRANSPOSE_ROWS) {
        if (j0 + row < n && i0 + static_cast<int>(threadIdx.x) < m) {
            to[(j0 + row) * m + i0 + threadIdx.x] = tile[threadIdx.x][row];
        }
    }
}

// Element e of y, split into coordinates of y's axes (lengths d0..d5, outermost first), lies in x at the coordinates' sum
// weighted with x's strides of those axes. Unused axes have length 1.
template <typename T>
__device__ __forceinline__ void permute(
    const T* __restrict__ x, T* __restrict__ y, int n,
    int d1, int d2, int d3, int d4, int d5, int s0, int s1, int s2, int s3, int s4, int s5) {
    const int e = blockIdx.x * blockDim.x + threadIdx.x;
    if (e >= n) {
        return;
    }
    int rest = e / d5;
    int from = (e - rest * d5) * s5;
    int next = rest / d4;
    from += (rest - next * d4) * s4;
    rest = next / d3;
    from += (next - rest * d3) * s3;
    next = rest / d2;
    from += (rest - next * d2) * s2;
    rest = next / d1;
    from += (next - rest * d1) * s1 + rest * s0;
    y[e] = x[from];
}

// Rows are the pixels of x: each is read once and written four times.
template <typename T>
__device__ __forceinline__ void upsample_nearest_2x(
    const T* __restrict__ x, T* __restrict__ y, int lines, int w, int channels) {
    RowTile tile;
    if (!row_tile(lines * w, channels, tile)) {
        return;
    }
    const T* from = x + tile.row * channels;
    // Pixel j of line i goes to line 2i, pixel 2j: 4 i w + 2 j = 2 (i w + j) + 2 i w.
    T* top = y + 2 * (tile.row + tile.row / w * w) * channels;
    T* bottom = top + 2 * w * channels;
    for_columns(
        tile, channels % 4 == 0 && is_vector_aligned(x) && is_vector_aligned(y),
        [=](int column) {
            const Four<T> v = load4(from + column);
            store4(top + column, v);
            store4(top + column + channels, v);
            store4(bottom + column, v);
            store4(bottom + column + channels, v);
        },
        [=](int column) {
            const T v = from[column];
            top[column] = v;
            top[column + channels] = v;
            bottom[column] = v;
            bottom[column + channels] = v;
        });
}

// The larger of two numbers, a NaN winning, as torch has it.
template <typename C>
__device__ __forceinline__ C larger(C a, C b) {
    return a > b || a != a ? a : b;
}

template <typename T>
__device__ __forceinline__ void max_pool_2x2(
    const T* __restrict__ x, T* __restrict__ y, int pictures, int h, int w, int channels) {
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
    const T* top_row = x + (top * w + left) * channels;
    const T* bottom_row = top_row + w * channels;
    T* y_row = y + tile.row * channels;
    const auto largest = [=](int column) {
        typedef Compute<T> C;
        return larger(
            larger(C(top_row[column]), C(top_row[column + channels])),
            larger(C(bottom_row[column]), C(bottom_row[column + channels])));
    };
    for_columns(
        tile, channels % 4 == 0 && is_vector_aligned(x) && is_vector_aligned(y),
        [=](int column) {
            const Four<Compute<T>> a = load4(top_row + column);
            const Four<Compute<T>> b = load4(top_row + column + channels);
            const Four<Compute<T>> c = load4(bottom_row + column);
            const Four<Compute<T>> d = load4(bottom_row + column + channels);
            store4(y_row + column, {larger(larger(a.x, b.x), larger(c.x, d.x)), larger(larger(a.y, b.y), larger(c.y, d.y)),
                                    larger(larger(a.z, b.z), larger(c.z, d.z)), larger(larger(a.w, b.w), larger(c.w, d.w))});
        },
        [=](int column) { y_row[column] = T(largest(column)); });
}
