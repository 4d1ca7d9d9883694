// Sums over the rows of a matrix: the gradient of whatever was repeated for every row (biases, gains, broadcast rows).
// The order of a sum depends on the matrix's shape alone: never an atomic. Sums are in double: a bias before a norm has a gradient
// of zero, and what is left of it is the rounding of the sum.
#include "blocks.cuh"
#include "common.cuh"

// Rows that one block sums, 32 for each of its 8 warps. A taller matrix takes another pass over the blocks' results.
#define SUM_ROWS_WARPS 8
#define SUM_ROWS_CHUNK 256

namespace {

// y[chunk, column] = the sum of x[row, column] over the chunk's rows. Warp w takes rows w, w + 8, .. in order; then warps are
// added one by one. Lanes run along the columns, so accesses are coalesced.
template <typename From, typename To>
__device__ __forceinline__ void sum_rows(const From* __restrict__ x, To* __restrict__ y, int rows, int columns) {
    __shared__ double partial[SUM_ROWS_WARPS][WARP_SIZE];
    const int column = blockIdx.x * WARP_SIZE + threadIdx.x;
    const int first = blockIdx.y * SUM_ROWS_CHUNK;
    const int end = min(first + SUM_ROWS_CHUNK, rows);
    double sum = 0;
    if (column < columns) {
        for (int row = first + threadIdx.y; row < end; row += SUM_ROWS_WARPS) {
            sum += x[static_cast<long long>(row) * columns + column];
        }
    }
    partial[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y == 0 && column < columns) {
        for (int warp = 1; warp < SUM_ROWS_WARPS; ++warp) {
            sum += partial[warp][threadIdx.x];
        }
        y[static_cast<long long>(blockIdx.y) * columns + column] = static_cast<To>(sum);
    }
}

}  // namespace

// y[c, :] = the sum of rows [256 c, 256 c + 256) of x; x [rows, columns], y [ceil(rows / 256), columns]. Blocks of (32, 8)
// threads over (columns, chunks). Moves rows * columns elements. The first pass over a tall matrix of float leaves double, the
// last one makes float of it.
extern "C" __global__ void __launch_bounds__(WARP_ROWS_BLOCK) sum_rows_f32(
    const float* __restrict__ x, float* __restrict__ y, int rows, int columns) {
    sum_rows(x, y, rows, columns);
}

extern "C" __global__ void __launch_bounds__(WARP_ROWS_BLOCK) sum_rows_f32_to_f64(
    const float* __restrict__ x, double* __restrict__ y, int rows, int columns) {
    sum_rows(x, y, rows, columns);
}

extern "C" __global__ void __launch_bounds__(WARP_ROWS_BLOCK) sum_rows_f64_to_f32(
    const double* __restrict__ x, float* __restrict__ y, int rows, int columns) {
    sum_rows(x, y, rows, columns);
}

extern "C" __global__ void __launch_bounds__(WARP_ROWS_BLOCK) sum_rows_f64(
    const double* __restrict__ x, double* __restrict__ y, int rows, int columns) {
    sum_rows(x, y, rows, columns);
}
