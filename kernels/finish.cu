// What is left to do to a product or convolution that a vendor's library has stored bare: bias, residual and activation, in one
// pass and in place. Libraries fuse some of it for some types; this serves the rest, with the activations' exact formulas.
#include "blocks.cuh"
#include "common.cuh"
#include "epilogue.cuh"
#include "rows.cuh"

namespace {

// Bias, residual and activation of one element, in the order of epilogue.cuh. A null pointer adds nothing.
template <typename T>
__device__ __forceinline__ T finished(T value, const T* bias, const T* residual, int column, int epilogue) {
    if (bias != nullptr) {
        value += bias[column];
    }
    if (residual != nullptr) {
        value += residual[column];
    }
    return apply_epilogue(epilogue, value);
}

// The rows of one matrix of the batch are spread over blockIdx.x as row_tile has it, the matrices over blockIdx.y.
template <typename T>
__device__ __forceinline__ void finish_rows(
    T* __restrict__ c, const T* __restrict__ bias, const T* __restrict__ residual, int rows, int columns, long long stride,
    long long batch_stride, int epilogue) {
    RowTile tile;
    if (!row_tile(rows, columns, tile)) {
        return;
    }
    const long long start = blockIdx.y * batch_stride + tile.row * stride;
    T* row = c + start;
    const T* added = residual == nullptr ? nullptr : residual + start;
    const bool vectors = columns % 4 == 0 && stride % 4 == 0 && batch_stride % 4 == 0 && is_vector_aligned(c) && is_vector_aligned(bias)
        && is_vector_aligned(residual);
    for_columns(
        tile, vectors,
        [=](int column) {
            Four<T> v = load4(row + column);
            if (bias != nullptr) {
                const Four<T> b = load4(bias + column);
                v = {v.x + b.x, v.y + b.y, v.z + b.z, v.w + b.w};
            }
            if (added != nullptr) {
                const Four<T> r = load4(added + column);
                v = {v.x + r.x, v.y + r.y, v.z + r.z, v.w + r.w};
            }
            store4(
                row + column,
                {apply_epilogue(epilogue, v.x), apply_epilogue(epilogue, v.y), apply_epilogue(epilogue, v.z), apply_epilogue(epilogue, v.w)});
        },
        [=](int column) { row[column] = finished(row[column], bias, added, column, epilogue); });
}

}  // namespace

// c[b, r, :] = epilogue(c[b, r, :] + bias + residual[b, r, :]); c and residual [batch, rows, columns], their rows `stride` and
// their matrices `batch_stride` elements apart, bias [columns]; bias and residual may be null; the epilogue by its number in
// epilogue.cuh. Moves 2 rows columns elements a matrix, 3 with a residual.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) finish_rows_f32(
    float* __restrict__ c, const float* __restrict__ bias, const float* __restrict__ residual, int rows, int columns,
    long long stride, long long batch_stride, int epilogue) {
    finish_rows(c, bias, residual, rows, columns, stride, batch_stride, epilogue);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) finish_rows_f64(
    double* __restrict__ c, const double* __restrict__ bias, const double* __restrict__ residual, int rows, int columns,
    long long stride, long long batch_stride, int epilogue) {
    finish_rows(c, bias, residual, rows, columns, stride, batch_stride, epilogue);
}
