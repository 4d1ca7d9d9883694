// Attention, softmax(q k^T * scale + bias) v, without the matrix of scores in memory (attention.cuh says how), and the softmax
// between the two matrix products that very wide heads go through instead.
#include "attention.cuh"
#include "blocks.cuh"

namespace {

// softmax(row + bias) in place, a block a row: for scores that matrix products made.
template <typename T>
__device__ __forceinline__ void softmax_row(T* __restrict__ scores, const T* __restrict__ bias, int columns) {
    __shared__ T scratch[WARP_SIZE];
    const int threads = blockDim.x;
    const int lane = threadIdx.x % WARP_SIZE;
    T* row = scores + static_cast<long long>(blockIdx.x) * columns;
    const T* bias_row = bias + static_cast<long long>(blockIdx.x) * columns;
    T top = minus_infinity(T());
    each_of_row(0, columns, threadIdx.x, threads, [&](int i, bool) {
        const T score = bias == nullptr ? row[i] : row[i] + bias_row[i];
        top = score > top ? score : top;
    });
    top = warp_max(top);
    scratch[threadIdx.x / WARP_SIZE] = top;
    __syncthreads();
    top = warp_max(scratch[min(lane, threads / WARP_SIZE - 1)]);
    __syncthreads();
    T sum = 0;
    each_of_row(0, columns, threadIdx.x, threads, [&](int i, bool counts) {
        const T weight = exp_of((bias == nullptr ? row[i] : row[i] + bias_row[i]) - top);
        sum += counts ? weight : T(0);
    });
    const T inverse = T(1) / block_sum(sum, scratch, threads);
    // Threads past the end must not store here: they may find the last column stored already.
    each_of_row(0, columns, threadIdx.x, threads, [&](int i, bool counts) {
        const T weight = exp_of((bias == nullptr ? row[i] : row[i] + bias_row[i]) - top);
        if (counts) {
            row[i] = weight * inverse;
        }
    });
}

}  // namespace

// q, out: query_count rows of `heads * head` elements for every batch; k, v: key_count such rows. Batch b lies
// b / inner * outer + b % inner * inner elements from the start and its rows *_token apart, so that a sequence may run along
// any axis and k and v may be the halves of wider rows; out is laid out as q is. bias [heads, query_count, key_count] or
// null. Grid (query_tiles * batches, heads), block (32, warps). Moves q, k, v, bias and out once at least: k and v of one head are read again
// for each block of queries, from the cache when they fit. The number in the name is the most that `head` may be.

// 4 warps, 64 queries.
extern "C" __global__ void __launch_bounds__(4 * WARP_SIZE) attention_64_f32(
    const float* __restrict__ q, const float* __restrict__ k, const float* __restrict__ v, const float* __restrict__ bias,
    float* __restrict__ out, int query_count, int key_count, int head, int query_tiles, int inner, long long q_outer,
    long long q_inner, long long q_token, long long kv_outer, long long kv_inner, long long kv_token, float scale) {
    attend<float, 64, 64, 32, 4>(
        q, k, v, bias, out, query_count, key_count, head, query_tiles, inner, q_outer, q_inner, q_token, kv_outer, kv_inner,
        kv_token, scale);
}

// 4 warps, 32 queries: for sequences shorter than that.
extern "C" __global__ void __launch_bounds__(4 * WARP_SIZE, 4) attention_64_short_f32(
    const float* __restrict__ q, const float* __restrict__ k, const float* __restrict__ v, const float* __restrict__ bias,
    float* __restrict__ out, int query_count, int key_count, int head, int query_tiles, int inner, long long q_outer,
    long long q_inner, long long q_token, long long kv_outer, long long kv_inner, long long kv_token, float scale) {
    attend<float, 64, 32, 32, 4>(
        q, k, v, bias, out, query_count, key_count, head, query_tiles, inner, q_outer, q_inner, q_token, kv_outer, kv_inner,
        kv_token, scale);
}

// 4 warps, 64 queries.
extern "C" __global__ void __launch_bounds__(4 * WARP_SIZE, 3) attention_128_f32(
    const float* __restrict__ q, const float* __restrict__ k, const float* __restrict__ v, const float* __restrict__ bias,
    float* __restrict__ out, int query_count, int key_count, int head, int query_tiles, int inner, long long q_outer,
    long long q_inner, long long q_token, long long kv_outer, long long kv_inner, long long kv_token, float scale) {
    attend<float, 128, 64, 32, 4>(
        q, k, v, bias, out, query_count, key_count, head, query_tiles, inner, q_outer, q_inner, q_token, kv_outer, kv_inner,
        kv_token, scale);
}

// 8 warps, 32 queries.
extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) attention_512_f32(
    const float* __restrict__ q, const float* __restrict__ k, const float* __restrict__ v, const float* __restrict__ bias,
    float* __restrict__ out, int query_count, int key_count, int head, int query_tiles, int inner, long long q_outer,
    long long q_inner, long long q_token, long long kv_outer, long long kv_inner, long long kv_token, float scale) {
    attend<float, 512, 32, 64, 8>(
        q, k, v, bias, out, query_count, key_count, head, query_tiles, inner, q_outer, q_inner, q_token, kv_outer, kv_inner,
        kv_token, scale);
}

// Double: 4 warps, 32 queries.
extern "C" __global__ void __launch_bounds__(4 * WARP_SIZE) attention_64_f64(
    const double* __restrict__ q, const double* __restrict__ k, const double* __restrict__ v, const double* __restrict__ bias,
    double* __restrict__ out, int query_count, int key_count, int head, int query_tiles, int inner, long long q_outer,
    long long q_inner, long long q_token, long long kv_outer, long long kv_inner, long long kv_token, double scale) {
    attend<double, 64, 32, 32, 4>(
        q, k, v, bias, out, query_count, key_count, head, query_tiles, inner, q_outer, q_inner, q_token, kv_outer, kv_inner,
        kv_token, scale);
}

extern "C" __global__ void __launch_bounds__(4 * WARP_SIZE) attention_128_f64(
    const double* __restrict__ q, const double* __restrict__ k, const double* __restrict__ v, const double* __restrict__ bias,
    double* __restrict__ out, int query_count, int key_count, int head, int query_tiles, int inner, long long q_outer,
    long long q_inner, long long q_token, long long kv_outer, long long kv_inner, long long kv_token, double scale) {
    attend<double, 128, 32, 32, 4>(
        q, k, v, bias, out, query_count, key_count, head, query_tiles, inner, q_outer, q_inner, q_token, kv_outer, kv_inner,
        kv_token, scale);
}

// 8 warps, 32 queries.
extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) attention_512_f64(
    const double* __restrict__ q, const double* __restrict__ k, const double* __restrict__ v, const double* __restrict__ bias,
    double* __restrict__ out, int query_count, int key_count, int head, int query_tiles, int inner, long long q_outer,
    long long q_inner, long long q_token, long long kv_outer, long long kv_inner, long long kv_token, double scale) {
    attend<double, 512, 32, 32, 8>(
        q, k, v, bias, out, query_count, key_count, head, query_tiles, inner, q_outer, q_inner, q_token, kv_outer, kv_inner,
        kv_token, scale);
}

// scores [rows, columns], in place: softmax over each row of scores + bias; bias [rows, columns], or null. Grid (rows);
// threads: a multiple of 32. Reads and writes 4 bytes an element, later passes in the cache.
extern "C" __global__ void __launch_bounds__(MAX_ROW_BLOCK) softmax_f32(
    float* __restrict__ scores, const float* __restrict__ bias, int columns) {
    softmax_row<float>(scores, bias, columns);
}

extern "C" __global__ void __launch_bounds__(MAX_ROW_BLOCK) softmax_f64(
    double* __restrict__ scores, const double* __restrict__ bias, int columns) {
    softmax_row<double>(scores, bias, columns);
}
