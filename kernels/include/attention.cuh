// Attention without the matrix of scores in memory, the body of attention.cu and attention_half.cu: blocks of queries walk over
// tiles of keys and keep a running maximum and sum (Milakov and Gimelshein 2018, arXiv 1805.02867; Dao et al. 2022, arXiv
// 2205.14135).
//
// A block serves QUERIES queries of one head. For each tile of KEYS keys it
//   1. forms the scores: a lane is a query (or two), a warp a few keys. Queries lie transposed in shared memory, so that lanes
//      read neighbours, and a key's elements are the same for all lanes, so that they are broadcast;
//   2. turns them into weights: a thread is a query and a slice of the keys, so that nothing crosses lanes;
//   3. adds weights times values to the output in registers: a lane is a column (or more), a warp a few queries, whose
//      weights are broadcast in turn.
// Head dimensions are walked in chunks of 64 and padded with zeros to one. All sums have one order, set by the shapes.
#pragma once

#include "activation.cuh"
#include "common.cuh"
#include "row.cuh"

constexpr int CHUNK = 64;          // head dimensions in shared memory at a time
constexpr int UNROLL = 8;          // of them, at a time
constexpr int KEY_UNROLL = 4;      // keys at a time in step 3

__device__ __forceinline__ float minus_infinity(float) { return __int_as_float(0xff800000); }
__device__ __forceinline__ double minus_infinity(double) { return __longlong_as_double(0xfff0000000000000ll); }

// Rows `first` .. of a [rows, head] matrix with `stride` elements from row to row, columns `column` .. + CHUNK, into shared
// memory, as what is computed with; what lies outside is zero. A warp a row, so that addresses run with the lanes. TRANSPOSED
// with a pitch of an odd number of elements, which keeps the lanes' stores in different banks.
template <int ROWS, int WARPS, bool TRANSPOSED, bool REPEAT, typename T>
__device__ __forceinline__ void stage(
    const T* __restrict__ matrix, Compute<T>* tile, long long stride, int first, int rows, int column, int head) {
    const int lane = threadIdx.x;
    const int warp = threadIdx.y;
    if (column + CHUNK <= head) {
#pragma unroll 8
        for (int i = 0; i < ROWS / WARPS; ++i) {
            // Rows past the end read the last one, so that no branch is needed.
            const int row = i * WARPS + warp;
            const T* source = matrix + min(first + row, rows - 1) * stride + column + lane;
#pragma unroll
            for (int j = 0; j < CHUNK; j += WARP_SIZE) {
                const Compute<T> value = source[j];
                tile[TRANSPOSED ? (j + lane) * (ROWS + 1) + row : row * CHUNK + j + lane] =
                    first + row < rows ? value : Compute<T>(0);
            }
        }
    } else {
        // Columns past the end read the last one; in values, they keep it, so that the lanes of those columns come to the
        // same output and may store it.
#pragma unroll 1
        for (int i = 0; i < ROWS / WARPS; ++i) {
            const int row = i * WARPS + warp;
            const T* source = matrix + min(first + row, rows - 1) * stride + column;
#pragma unroll
            for (int j = 0; j < CHUNK; j += WARP_SIZE) {
                const int wanted = column + j + lane;
                const Compute<T> value = source[min(wanted, head - 1) - column];
                const bool inside = first + row < rows && (REPEAT || wanted < head);
                tile[TRANSPOSED ? (j + lane) * (ROWS + 1) + row : row * CHUNK + j + lane] = inside ? value : Compute<T>(0);
            }
        }
    }
}

template <typename T, int HEAD, int QUERIES, int KEYS, int WARPS>
__device__ __forceinline__ void attend(
    const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v, const T* __restrict__ bias,
    T* __restrict__ out, int query_count, int key_count, int head, int query_tiles, int inner, long long q_outer,
    long long q_inner, long long q_token, long long kv_outer, long long kv_inner, long long kv_token, Compute<T> scale) {
    typedef Compute<T> C;
    constexpr int CHUNKS = HEAD / CHUNK;
    constexpr int THREADS = WARPS * WARP_SIZE;
    constexpr int PITCH = QUERIES + 1;
    constexpr int QUERIES_PER_LANE = QUERIES / WARP_SIZE;
    constexpr int KEYS_PER_WARP = KEYS / WARPS;
    constexpr int SLICES = THREADS / QUERIES;
    constexpr int KEYS_PER_SLICE = KEYS / SLICES;
    constexpr int QUERIES_PER_WARP = QUERIES / WARPS;
    constexpr int COLUMNS = CHUNK / WARP_SIZE;
    __shared__ C query_tile[CHUNK * PITCH];                  // [dimension][query]
    __shared__ __align__(16) C tile[KEYS * CHUNK];           // keys, then values: [key][dimension]
    __shared__ __align__(16) C weights[KEYS * QUERIES];      // scores, then weights: [key][query]
    __shared__ C partial[SLICES * QUERIES];
    __shared__ C factor[QUERIES];

    const int lane = threadIdx.x;
    const int warp = threadIdx.y;
    const int slice_query = warp % QUERIES_PER_LANE * WARP_SIZE + lane;
    const int slice = warp / QUERIES_PER_LANE;
    const int first_query = blockIdx.x % query_tiles * QUERIES;
    const int batch = blockIdx.x / query_tiles;
    const int head_start = blockIdx.y * head;
    const long long q_start = batch / inner * q_outer + batch % inner * q_inner + head_start;
    const long long kv_start = batch / inner * kv_outer + batch % inner * kv_inner + head_start;
    q += q_start;
    k += kv_start;
    v += kv_start;
    out += q_start;
    const long long bias_row_number =
        static_cast<long long>(blockIdx.y) * query_count + min(first_query + slice_query, query_count - 1);
    const T* bias_row = bias + bias_row_number * key_count;

    C output[QUERIES_PER_WARP][CHUNKS * COLUMNS] = {};
    C highest = minus_infinity(C());
    C sum = 0;

    for (int first_key = 0; first_key < key_count; first_key += KEYS) {
        const int keys_here = min(KEYS, key_count - first_key);

        C scores[KEYS_PER_WARP][QUERIES_PER_LANE] = {};
        for (int chunk = 0; chunk < CHUNKS && chunk * CHUNK < head; ++chunk) {
            if (CHUNKS > 1 || first_key == 0) {
                stage<QUERIES, WARPS, true, false>(q, query_tile, q_token, first_query, query_count, chunk * CHUNK, head);
            }
            stage<KEYS, WARPS, false, false>(k, tile, kv_token, first_key, key_count, chunk * CHUNK, head);
            __syncthreads();
            if (warp * KEYS_PER_WARP < keys_here) {
                const int dimensions = min(CHUNK, head - chunk * CHUNK);
                for (int d = 0; d < dimensions; d += UNROLL) {
#pragma unroll
                    for (int part = 0; part < UNROLL; part += 4) {
                        C query[4][QUERIES_PER_LANE];
#pragma unroll
                        for (int i = 0; i < 4; ++i) {
#pragma unroll
                            for (int j = 0; j < QUERIES_PER_LANE; ++j) {
                                query[i][j] = query_tile[(d + part + i) * PITCH + j * WARP_SIZE + lane];
                            }
                        }
#pragma unroll
                        for (int key = 0; key < KEYS_PER_WARP; ++key) {
                            const Four<C> four = load4(tile + (warp * KEYS_PER_WARP + key) * CHUNK + d + part);
#pragma unroll
                            for (int j = 0; j < QUERIES_PER_LANE; ++j) {
                                scores[key][j] = fma_of(four.x, query[0][j], scores[key][j]);
                                scores[key][j] = fma_of(four.y, query[1][j], scores[key][j]);
                                scores[key][j] = fma_of(four.z, query[2][j], scores[key][j]);
                                scores[key][j] = fma_of(four.w, query[3][j], scores[key][j]);
                            }
                        }
                    }
                }
            }
            if (chunk + 1 < CHUNKS && (chunk + 1) * CHUNK < head) {
                __syncthreads();
            }
        }
#pragma unroll
        for (int key = 0; key < KEYS_PER_WARP; ++key) {
#pragma unroll
            for (int j = 0; j < QUERIES_PER_LANE; ++j) {
                weights[(warp * KEYS_PER_WARP + key) * QUERIES + j * WARP_SIZE + lane] = scores[key][j] * scale;
            }
        }
        __syncthreads();

        // The keys have been read: their place takes the values while the weights are made.
        stage<KEYS, WARPS, false, true>(v, tile, kv_token, first_key, key_count, 0, head);

        C own[KEYS_PER_SLICE];
        C top = minus_infinity(C());
#pragma unroll
        for (int i = 0; i < KEYS_PER_SLICE; ++i) {
            own[i] = weights[(slice * KEYS_PER_SLICE + i) * QUERIES + slice_query];
        }
        if (bias != nullptr) {
#pragma unroll
            for (int i = 0; i < KEYS_PER_SLICE; ++i) {
                own[i] += bias_row[min(first_key + slice * KEYS_PER_SLICE + i, key_count - 1)];
            }
        }
#pragma unroll
        for (int i = 0; i < KEYS_PER_SLICE; ++i) {
            own[i] = slice * KEYS_PER_SLICE + i < keys_here ? own[i] : minus_infinity(C());
            top = own[i] > top ? own[i] : top;
        }
        partial[slice * QUERIES + slice_query] = top;
        __syncthreads();
        C new_highest = highest;
#pragma unroll
        for (int i = 0; i < SLICES; ++i) {
            const C other = partial[i * QUERIES + slice_query];
            new_highest = other > new_highest ? other : new_highest;
        }
        const C shrink = exp_of(highest - new_highest);
        C slice_sum = 0;
#pragma unroll
        for (int i = 0; i < KEYS_PER_SLICE; ++i) {
            const C weight = exp_of(own[i] - new_highest);
            weights[(slice * KEYS_PER_SLICE + i) * QUERIES + slice_query] = weight;
            slice_sum += weight;
        }
        sum = fma_of(sum, shrink, slice_sum);
        highest = new_highest;
        if (slice == 0) {
            factor[slice_query] = shrink;
        }
        __syncthreads();

        const bool wanted = first_query + warp * QUERIES_PER_WARP < query_count;
        if (wanted) {
#pragma unroll
            for (int i = 0; i < QUERIES_PER_WARP; ++i) {
                const C shrink_row = factor[warp * QUERIES_PER_WARP + i];
#pragma unroll
                for (int j = 0; j < CHUNKS * COLUMNS; ++j) {
                    output[i][j] *= shrink_row;
                }
            }
        }
#pragma unroll
        for (int chunk = 0; chunk < CHUNKS; ++chunk) {
            if (chunk > 0) {
                if (chunk * CHUNK >= head) {
                    break;
                }
                __syncthreads();
                stage<KEYS, WARPS, false, true>(v, tile, kv_token, first_key, key_count, chunk * CHUNK, head);
                __syncthreads();
            }
            if (wanted) {
                for (int key = 0; key < keys_here; key += KEY_UNROLL) {
#pragma unroll
                    for (int part = 0; part < KEY_UNROLL; ++part) {
                        C value[COLUMNS];
#pragma unroll
                        for (int j = 0; j < COLUMNS; ++j) {
                            value[j] = tile[(key + part) * CHUNK + j * WARP_SIZE + lane];
                        }
#pragma unroll
                        for (int i = 0; i < QUERIES_PER_WARP; i += 4) {
                            const Four<C> four = load4(weights + (key + part) * QUERIES + warp * QUERIES_PER_WARP + i);
#pragma unroll
                            for (int j = 0; j < COLUMNS; ++j) {
                                C* column = &output[i][chunk * COLUMNS + j];
                                constexpr int ROW = CHUNKS * COLUMNS;
                                column[0] = fma_of(four.x, value[j], column[0]);
                                column[ROW] = fma_of(four.y, value[j], column[ROW]);
                                column[2 * ROW] = fma_of(four.z, value[j], column[2 * ROW]);
                                column[3 * ROW] = fma_of(four.w, value[j], column[3 * ROW]);
                            }
                        }
                    }
                }
            }
        }
        __syncthreads();
    }

    partial[slice * QUERIES + slice_query] = sum;
    __syncthreads();
    if (slice == 0) {
        C total = partial[slice_query];
#pragma unroll
        for (int i = 1; i < SLICES; ++i) {
            total += partial[i * QUERIES + slice_query];
        }
        factor[slice_query] = C(1) / total;
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < QUERIES_PER_WARP; ++i) {
        const int query = first_query + warp * QUERIES_PER_WARP + i;
        if (query < query_count) {
            const C inverse = factor[warp * QUERIES_PER_WARP + i];
            T* row = out + query * q_token;
#pragma unroll
            for (int j = 0; j < CHUNKS * COLUMNS; ++j) {
                if ((j + 1) * WARP_SIZE <= head) {
                    row[j * WARP_SIZE + lane] = T(output[i][j] * inverse);
                } else if (j * WARP_SIZE < head) {
                    row[min(j * WARP_SIZE + lane, head - 1)] = T(output[i][j] * inverse);
                }
            }
        }
    }
}
