// The kernels of attention.cu for half types: scores, weights and sums are in float, results are rounded once.
#include "half.cuh"
#include "attention.cuh"

// q, out: query_count rows of `heads * head` elements for every batch; k, v: key_count such rows. Batch b lies
// b / inner * outer + b % inner * inner elements from the start and its rows *_token apart, so that a sequence may run along
// any axis and k and v may be the halves of wider rows; out is laid out as q is. bias [heads, query_count, key_count] or
// null. Grid (query_tiles * batches, heads), block (32, warps). Moves q, k, v, bias and out once at least: k and v of one head
// are read again for each block of queries, from the cache when they fit. The number in the name is the most that `head` may be.

// 4 warps, 64 queries.
extern "C" __global__ void __launch_bounds__(4 * WARP_SIZE) attention_64_f16(
    const half* __restrict__ q, const half* __restrict__ k, const half* __restrict__ v, const half* __restrict__ bias,
    half* __restrict__ out, int query_count, int key_count, int head, int query_tiles, int inner, long long q_outer,
    long long q_inner, long long q_token, long long kv_outer, long long kv_inner, long long kv_token, float scale) {
    attend<half, 64, 64, 32, 4>(
        q, k, v, bias, out, query_count, key_count, head, query_tiles, inner, q_outer, q_inner, q_token, kv_outer, kv_inner,
        kv_token, scale);
}

extern "C" __global__ void __launch_bounds__(4 * WARP_SIZE) attention_64_bf16(
    const bfloat16* __restrict__ q, const bfloat16* __restrict__ k, const bfloat16* __restrict__ v,
    const bfloat16* __restrict__ bias, bfloat16* __restrict__ out, int query_count, int key_count, int head, int query_tiles,
    int inner, long long q_outer, long long q_inner, long long q_token, long long kv_outer, long long kv_inner,
    long long kv_token, float scale) {
    attend<bfloat16, 64, 64, 32, 4>(
        q, k, v, bias, out, query_count, key_count, head, query_tiles, inner, q_outer, q_inner, q_token, kv_outer, kv_inner,
        kv_token, scale);
}

// 4 warps, 32 queries: for sequences shorter than that.
extern "C" __global__ void __launch_bounds__(4 * WARP_SIZE, 3) attention_64_short_f16(
    const half* __restrict__ q, const half* __restrict__ k, const half* __restrict__ v, const half* __restrict__ bias,
    half* __restrict__ out, int query_count, int key_count, int head, int query_tiles, int inner, long long q_outer,
    long long q_inner, long long q_token, long long kv_outer, long long kv_inner, long long kv_token, float scale) {
    attend<half, 64, 32, 32, 4>(
        q, k, v, bias, out, query_count, key_count, head, query_tiles, inner, q_outer, q_inner, q_token, kv_outer, kv_inner,
        kv_token, scale);
}

extern "C" __global__ void __launch_bounds__(4 * WARP_SIZE, 3) attention_64_short_bf16(
    const bfloat16* __restrict__ q, const bfloat16* __restrict__ k, const bfloat16* __restrict__ v,
    const bfloat16* __restrict__ bias, bfloat16* __restrict__ out, int query_count, int key_count, int head, int query_tiles,
    int inner, long long q_outer, long long q_inner, long long q_token, long long kv_outer, long long kv_inner,
    long long kv_token, float scale) {
    attend<bfloat16, 64, 32, 32, 4>(
        q, k, v, bias, out, query_count, key_count, head, query_tiles, inner, q_outer, q_inner, q_token, kv_outer, kv_inner,
        kv_token, scale);
}

// 4 warps, 64 queries.
extern "C" __global__ void __launch_bounds__(4 * WARP_SIZE, 3) attention_128_f16(
    const half* __restrict__ q, const half* __restrict__ k, const half* __restrict__ v, const half* __restrict__ bias,
    half* __restrict__ out, int query_count, int key_count, int head, int query_tiles, int inner, long long q_outer,
    long long q_inner, long long q_token, long long kv_outer, long long kv_inner, long long kv_token, float scale) {
    attend<half, 128, 64, 32, 4>(
        q, k, v, bias, out, query_count, key_count, head, query_tiles, inner, q_outer, q_inner, q_token, kv_outer, kv_inner,
        kv_token, scale);
}

extern "C" __global__ void __launch_bounds__(4 * WARP_SIZE, 3) attention_128_bf16(
    const bfloat16* __restrict__ q, const bfloat16* __restrict__ k, const bfloat16* __restrict__ v,
    const bfloat16* __restrict__ bias, bfloat16* __restrict__ out, int query_count, int key_count, int head, int query_tiles,
    int inner, long long q_outer, long long q_inner, long long q_token, long long kv_outer, long long kv_inner,
    long long kv_token, float scale) {
    attend<bfloat16, 128, 64, 32, 4>(
        q, k, v, bias, out, query_count, key_count, head, query_tiles, inner, q_outer, q_inner, q_token, kv_outer, kv_inner,
        kv_token, scale);
}

// 8 warps, 32 queries.
extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) attention_512_f16(
    const half* __restrict__ q, const half* __restrict__ k, const half* __restrict__ v, const half* __restrict__ bias,
    half* __restrict__ out, int query_count, int key_count, int head, int query_tiles, int inner, long long q_outer,
    long long q_inner, long long q_token, long long kv_outer, long long kv_inner, long long kv_token, float scale) {
    attend<half, 512, 32, 64, 8>(
        q, k, v, bias, out, query_count, key_count, head, query_tiles, inner, q_outer, q_inner, q_token, kv_outer, kv_inner,
        kv_token, scale);
}

extern "C" __global__ void __launch_bounds__(8 * WARP_SIZE) attention_512_bf16(
    const bfloat16* __restrict__ q, const bfloat16* __restrict__ k, const bfloat16* __restrict__ v,
    const bfloat16* __restrict__ bias, bfloat16* __restrict__ out, int query_count, int key_count, int head, int query_tiles,
    int inner, long long q_outer, long long q_inner, long long q_token, long long kv_outer, long long kv_inner,
    long long kv_token, float scale) {
    attend<bfloat16, 512, 32, 64, 8>(
        q, k, v, bias, out, query_count, key_count, head, query_tiles, inner, q_outer, q_inner, q_token, kv_outer, kv_inner,
        kv_token, scale);
}
