// Gradients of attention, o = P v with P = softmax(S), S = q k^T * scale + bias. With dO the gradient of o, row by row,
//     dV = P^T dO,   dP = dO v^T,   D = sum_j P_j dP_j,   dS = P (dP - D),   dQ = scale dS k,   dK = scale dS^T q,   dBias = dS
// (Dao 2023, arXiv 2307.08691, section 3.1; there D comes from dO and o, which is the same number). P is computed again.
//
// Short sequences, such as a few frames of every pixel, have kernels of their own: all scores of one head of one sequence stay in
// a block, which reads each operand once and writes each gradient once. Longer ones go through matrix products, and what lies
// between those is softmax_backward and attention_bias_backward below.
// All sums have one order, set by the shapes.
#include "activation.cuh"
#include "blocks.cuh"
#include "common.cuh"
#include "lanes.cuh"
#include "row.cuh"

namespace {

constexpr int ROWS = 8;   // queries, then keys, that a warp serves
constexpr int STEP = 4;   // head dimensions, keys or queries at a time

// Columns `column` .. + 256 bytes of a [rows, head] matrix with `stride` elements from row to row, into shared memory: as they
// are into `tile` and transposed, with a pitch of an odd number of elements, into `columns` (either may be null). A warp a row,
// so that addresses run with the lanes. Rows and columns past the end repeat the last one, so that no lane waits; transposed,
// columns past the end are zero, so that sums over them are those of the columns before.
template <int SIDE, typename T>
__device__ __forceinline__ void stage(
    const T* __restrict__ matrix, T* tile, T* columns, long long stride, int rows, int column, int head) {
    constexpr int CHUNK = 256 / sizeof(T);
    const int lane = threadIdx.x;
    if (column + CHUNK <= head) {
#pragma unroll
        for (int i = 0; i < ROWS; ++i) {
            const int row = i * (SIDE / ROWS) + threadIdx.y;
            const T* source = matrix + min(row, rows - 1) * stride + column + lane;
#pragma unroll
            for (int j = 0; j < CHUNK; j += WARP_SIZE) {
                const T value = source[j];
                if (tile != nullptr) {
                    tile[row * CHUNK + j + lane] = value;
                }
                if (columns != nullptr) {
                    columns[(j + lane) * (SIDE + 1) + row] = value;
                }
            }
        }
    } else {
#pragma unroll 1
        for (int i = 0; i < ROWS; ++i) {
            const int row = i * (SIDE / ROWS) + threadIdx.y;
            const T* source = matrix + min(row, rows - 1) * stride + column;
#pragma unroll
            for (int j = 0; j < CHUNK; j += WARP_SIZE) {
                const int wanted = column + j + lane;
                const T value = source[min(wanted, head - 1) - column];
                if (tile != nullptr) {
                    tile[row * CHUNK + j + lane] = value;
                }
                if (columns != nullptr) {
                    columns[(j + lane) * (SIDE + 1) + row] = wanted < head ? value : T(0);
                }
            }
        }
    }
}

// Rows of a product in registers: a lane is a column (or two), a warp ROWS rows.
template <typename T>
struct Product {
    static constexpr int CHUNK = 256 / sizeof(T);
    static constexpr int COLUMNS = CHUNK / WARP_SIZE;
    T sum[ROWS][COLUMNS] = {};

    __device__ __forceinline__ void add(int row, T weight, const T (&value)[COLUMNS]) {
#pragma unroll
        for (int j = 0; j < COLUMNS; ++j) {
            sum[row][j] = fma_of(weight, value[j], sum[row][j]);
        }
    }

    __device__ __forceinline__ static void load(T (&value)[COLUMNS], const T* row) {
#pragma unroll
        for (int j = 0; j < COLUMNS; ++j) {
            value[j] = row[j * WARP_SIZE + threadIdx.x];
        }
    }

    // The warp's rows of weights [rows, SIDE] times values [SIDE, CHUNK], over `inner` of them rounded up to STEP.
    template <int SIDE>
    __device__ __forceinline__ void rows_times(const T* weights, const T* values, int inner) {
        weights += threadIdx.y * ROWS * SIDE;
        for (int k = 0; k < inner; k += STEP) {
            T value[STEP][COLUMNS];
#pragma unroll
            for (int part = 0; part < STEP; ++part) {
                load(value[part], values + (k + part) * CHUNK);
            }
#pragma unroll
            for (int row = 0; row < ROWS; ++row) {
                const Four<T> four = load4(weights + row * SIDE + k);
                add(row, four.x, value[0]);
                add(row, four.y, value[1]);
                add(row, four.z, value[2]);
                add(row, four.w, value[3]);
            }
        }
    }

    // The warp's rows of the transpose of weights [inner, SIDE] times values [inner, CHUNK], likewise.
    template <int SIDE>
    __device__ __forceinline__ void columns_times(const T* weights, const T* values, int inner) {
        weights += threadIdx.y * ROWS;
        for (int k = 0; k < inner; k += STEP) {
            T value[STEP][COLUMNS];
#pragma unroll
            for (int part = 0; part < STEP; ++part) {
                load(value[part], values + (k + part) * CHUNK);
            }
#pragma unroll
            for (int row = 0; row < ROWS; row += 4) {
#pragma unroll
                for (int part = 0; part < STEP; ++part) {
                    const Four<T> four = load4(weights + (k + part) * SIDE + row);
                    add(row, four.x, value[part]);
                    add(row + 1, four.y, value[part]);
                    add(row + 2, four.z, value[part]);
                    add(row + 3, four.w, value[part]);
                }
            }
        }
    }

    // Lanes of columns past the end hold what the last column's lane holds, and store it too.
    __device__ __forceinline__ void store(T* out, long long stride, int rows, int column, int head, T factor) const {
#pragma unroll
        for (int i = 0; i < ROWS; ++i) {
            const int row = threadIdx.y * ROWS + i;
            if (row < rows) {
                T* to = out + row * stride + column;
#pragma unroll
                for (int j = 0; j < COLUMNS; ++j) {
                    const int first = j * WARP_SIZE;
                    if (column + first + WARP_SIZE <= head) {
                        to[first + threadIdx.x] = sum[i][j] * factor;
                    } else if (column + first < head) {
                        to[min(first + static_cast<int>(threadIdx.x), head - 1 - column)] = sum[i][j] * factor;
                    }
                }
            }
        }
    }
};

// One head of sequences_per_block sequences, one after the other, with up to SIDE queries and keys. Scores are shared out over
// lanes as [queries of the warp][SIDE keys]; keys past the end repeat the last one and get no weight.
template <typename T, int SIDE>
__device__ __forceinline__ void attend_backward(
    const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v, const T* __restrict__ bias,
    const T* __restrict__ gradient, T* __restrict__ dq, T* __restrict__ dk, T* __restrict__ dv, T* __restrict__ dbias,
    int sequences, int sequences_per_block, int query_count, int key_count, int head, int inner, long long q_outer,
    long long q_inner, long long q_token, long long kv_outer, long long kv_inner, long long kv_token, T scale) {
    constexpr int CHUNK = 256 / sizeof(T);
    constexpr int PITCH = SIDE + 1;
    constexpr int QUERIES_AT_ONCE = WARP_SIZE / SIDE;       // that the lanes of a warp hold side by side
    constexpr int QUERIES = ROWS / QUERIES_AT_ONCE;         // and one after the other
    __shared__ __align__(16) T query_tile[SIDE * CHUNK];    // [query][dimension]
    __shared__ __align__(16) T gradient_tile[SIDE * CHUNK];
    __shared__ __align__(16) T key_tile[SIDE * CHUNK];      // [key][dimension]
    __shared__ __align__(16) T key_columns[CHUNK * PITCH];  // [dimension][key]; then dS [query][key]
    __shared__ __align__(16) T value_columns[CHUNK * PITCH];  // [dimension][key]; then P [query][key]
    static_assert(CHUNK * PITCH >= SIDE * SIDE, "the scores fit where keys and values were");

    const int key = threadIdx.x % SIDE;
    const int first_query = threadIdx.y * ROWS + threadIdx.x / SIDE;
    const long long scores_start = static_cast<long long>(blockIdx.y) * query_count * key_count;
    const int first_sequence = blockIdx.x * sequences_per_block;
    const int end_sequence = min(first_sequence + sequences_per_block, sequences);
    const int last_chunk = (head - 1) / CHUNK * CHUNK;

    T bias_gradient[QUERIES] = {};
    for (int sequence = first_sequence; sequence < end_sequence; ++sequence) {
        const int outer = sequence / inner;
        const long long q_start = outer * q_outer + (sequence - outer * inner) * q_inner + blockIdx.y * head;
        const long long kv_start = outer * kv_outer + (sequence - outer * inner) * kv_inner + blockIdx.y * head;

        T score[QUERIES] = {};
        T weight_gradient[QUERIES] = {};
        for (int column = 0; column < head; column += CHUNK) {
            stage<SIDE, T>(q + q_start, query_tile, nullptr, q_token, query_count, column, head);
            stage<SIDE, T>(gradient + q_start, gradient_tile, nullptr, q_token, query_count, column, head);
            stage<SIDE, T>(k + kv_start, key_tile, key_columns, kv_token, key_count, column, head);
            stage<SIDE, T>(v + kv_start, nullptr, value_columns, kv_token, key_count, column, head);
            __syncthreads();
            const int dimensions = min(CHUNK, head - column);
            for (int d = 0; d < dimensions; d += STEP) {
                T keys[STEP];
                T values[STEP];
#pragma unroll
                for (int part = 0; part < STEP; ++part) {
                    keys[part] = key_columns[(d + part) * PITCH + key];
                    values[part] = value_columns[(d + part) * PITCH + key];
                }
#pragma unroll
                for (int i = 0; i < QUERIES; ++i) {
                    const int row = (first_query + i * QUERIES_AT_ONCE) * CHUNK + d;
                    const Four<T> query = load4(query_tile + row);
                    score[i] = fma_of(query.x, keys[0], score[i]);
                    score[i] = fma_of(query.y, keys[1], score[i]);
                    score[i] = fma_of(query.z, keys[2], score[i]);
                    score[i] = fma_of(query.w, keys[3], score[i]);
                    const Four<T> given = load4(gradient_tile + row);
                    weight_gradient[i] = fma_of(given.x, values[0], weight_gradient[i]);
                    weight_gradient[i] = fma_of(given.y, values[1], weight_gradient[i]);
                    weight_gradient[i] = fma_of(given.z, values[2], weight_gradient[i]);
                    weight_gradient[i] = fma_of(given.w, values[3], weight_gradient[i]);
                }
            }
            __syncthreads();
        }

        // Keys and values have been read: their places take the weights and the scores' gradients. Queries past the end get no
        // weights either, so that sums over queries may run on to a multiple of STEP.
#pragma unroll
        for (int i = 0; i < QUERIES; ++i) {
            const int query = first_query + i * QUERIES_AT_ONCE;
            T own = score[i] * scale;
            if (bias != nullptr) {
                own += bias[scores_start + min(query, query_count - 1) * key_count + min(key, key_count - 1)];
            }
            const T top = row_max<SIDE>(own);
            const T exponential = key < key_count ? exp_of(own - top) : T(0);
            const T sum = row_sum<SIDE>(exponential);
            const T weight = query < query_count ? exponential / sum : T(0);
            const T mean = row_sum<SIDE>(weight * weight_gradient[i]);
            const T rough = weight * (weight_gradient[i] - mean);

            // A row of score gradients sums to zero: what rounding left of it is taken out again, as everything before a softmax that
            // all keys share has no gradient, and sums over many rows would show it.
            const T score_gradient = fma_of(-weight, row_sum<SIDE>(rough), rough);
            bias_gradient[i] += score_gradient;
            value_columns[query * SIDE + key] = weight;
            key_columns[query * SIDE + key] = score_gradient;
        }
        __syncthreads();

        for (int column = last_chunk; column >= 0; column -= CHUNK) {
            if (column < last_chunk) {
                __syncthreads();
                stage<SIDE, T>(q + q_start, query_tile, nullptr, q_token, query_count, column, head);
                stage<SIDE, T>(gradient + q_start, gradient_tile, nullptr, q_token, query_count, column, head);
                stage<SIDE, T>(k + kv_start, key_tile, nullptr, kv_token, key_count, column, head);
                __syncthreads();
            }
            if (dv != nullptr && threadIdx.y * ROWS < key_count) {
                Product<T> product;
                product.template columns_times<SIDE>(value_columns, gradient_tile, query_count);
                product.store(dv + kv_start, kv_token, key_count, column, head, T(1));
            }
            if (dk != nullptr && threadIdx.y * ROWS < key_count) {
                Product<T> product;
                product.template columns_times<SIDE>(key_columns, query_tile, query_count);
                product.store(dk + kv_start, kv_token, key_count, column, head, scale);
            }
            if (dq != nullptr && threadIdx.y * ROWS < query_count) {
                Product<T> product;
                product.template rows_times<SIDE>(key_columns, key_tile, key_count);
                product.store(dq + q_start, q_token, query_count, column, head, scale);
            }
        }
        __syncthreads();
    }

    if (dbias != nullptr) {
        T* out = dbias + static_cast<long long>(blockIdx.x) * gridDim.y * query_count * key_count + scores_start;
#pragma unroll
        for (int i = 0; i < QUERIES; ++i) {
            const int query = first_query + i * QUERIES_AT_ONCE;
            if (query < query_count && key < key_count) {
                out[query * key_count + key] = bias_gradient[i];
            }
        }
    }
}

// From scores before scale and bias and from dP to P and dS, a warp a row, in place.
template <typename T>
__device__ __forceinline__ void softmax_backward(
    T* __restrict__ scores, T* __restrict__ gradient, const T* __restrict__ bias, int rows, int columns, int queries,
    int all_queries, int first_query, int heads, T scale) {
    const int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) {
        return;
    }
    scores += static_cast<long long>(row) * columns;
    gradient += static_cast<long long>(row) * columns;
    const int matrix = row / queries;
    const long long bias_row = static_cast<long long>(matrix % heads) * all_queries + first_query + (row - matrix * queries);
    bias = bias == nullptr ? nullptr : bias + bias_row * columns;

    const auto score = [&](int i) { return bias == nullptr ? scores[i] * scale : fma_of(scores[i], scale, bias[i]); };
    T top = score(0);
    each_of_row(0, columns, threadIdx.x, WARP_SIZE, [&](int i, bool) {
        const T own = score(i);
        top = own > top ? own : top;
    });
    top = warp_max(top);
    double sum = 0;
    double product = 0;
    each_of_row(0, columns, threadIdx.x, WARP_SIZE, [&](int i, bool counts) {
        const T weight = counts ? exp_of(score(i) - top) : T(0);
        sum += weight;
        product = fma_of(static_cast<double>(weight), static_cast<double>(gradient[i]), product);
    });
    sum = warp_sum(sum);
    const double exact = warp_sum(product) / sum;
    const T inverse = static_cast<T>(1.0 / sum);

    // In two parts: a row of score gradients sums to zero, and what rounding the mean would leave of it, sums over many rows show.
    const T mean = static_cast<T>(exact);
    const T rest = static_cast<T>(exact - mean);
    each_of_row(0, columns, threadIdx.x, WARP_SIZE, [&](int i, bool counts) {
        const T weight = exp_of(score(i) - top) * inverse;
        const T score_gradient = weight * (gradient[i] - mean - rest);
        // Lanes past the end must not store here: they may have found the last column stored already.
        if (counts) {
            scores[i] = weight;
            gradient[i] = score_gradient;
        }
    });
}

// A thread an element of one head: the sum over the sequences, one by one, on top of what is there if `add` holds.
template <typename T>
__device__ __forceinline__ void bias_backward(
    const T* __restrict__ gradient, T* __restrict__ dbias, int sequences, int heads, int count, long long pitch, int add) {
    const int i = min(static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x), count - 1);
    const T* from = gradient + static_cast<long long>(blockIdx.y) * count + i;
    T* to = dbias + blockIdx.y * pitch + i;
    const bool counts = blockIdx.x * blockDim.x + threadIdx.x < count;
    double sum = add ? *to : T(0);
    for (int sequence = 0; sequence < sequences; ++sequence) {
        sum += *from;
        from += static_cast<long long>(heads) * count;
    }
    if (counts) {
        *to = static_cast<T>(sum);
    }
}

}  // namespace

// q, gradient (dO) and dq: query_count rows of `heads * head` elements for every sequence; k, v, dk and dv: key_count such rows.
// Sequence s lies s / inner * outer + s % inner * inner elements from the start and its rows *_token apart, as in
// kernels/attention.cu; gradients lie as what they are the gradients of, and a null pointer is one that nobody wants.
// bias [heads, query_count, key_count] or null; dbias [gridDim.x, heads, query_count, key_count] or null: the sum over the
// sequences of each block, in order, which a second pass over the blocks completes. Grid (sequences over the blocks, heads).
// Moves q, k, v, gradient, dq, dk and dv once (for heads of more than 256 bytes q, k and gradient twice).
// The number in the name is the most that query_count and key_count may be. This one: 1 warp.
extern "C" __global__ void __launch_bounds__(WARP_SIZE) attention_backward_8_f32(
    const float* __restrict__ q, const float* __restrict__ k, const float* __restrict__ v, const float* __restrict__ bias,
    const float* __restrict__ gradient, float* __restrict__ dq, float* __restrict__ dk, float* __restrict__ dv,
    float* __restrict__ dbias, int sequences, int sequences_per_block, int query_count, int key_count, int head, int inner,
    long long q_outer, long long q_inner, long long q_token, long long kv_outer, long long kv_inner, long long kv_token,
    float scale) {
    attend_backward<float, 8>(
        q, k, v, bias, gradient, dq, dk, dv, dbias, sequences, sequences_per_block, query_count, key_count, head, inner, q_outer,
        q_inner, q_token, kv_outer, kv_inner, kv_token, scale);
}

// 2 warps.
extern "C" __global__ void __launch_bounds__(2 * WARP_SIZE) attention_backward_16_f32(
    const float* __restrict__ q, const float* __restrict__ k, const float* __restrict__ v, const float* __restrict__ bias,
    const float* __restrict__ gradient, float* __restrict__ dq, float* __restrict__ dk, float* __restrict__ dv,
    float* __restrict__ dbias, int sequences, int sequences_per_block, int query_count, int key_count, int head, int inner,
    long long q_outer, long long q_inner, long long q_token, long long kv_outer, long long kv_inner, long long kv_token,
    float scale) {
    attend_backward<float, 16>(
        q, k, v, bias, gradient, dq, dk, dv, dbias, sequences, sequences_per_block, query_count, key_count, head, inner, q_outer,
        q_inner, q_token, kv_outer, kv_inner, kv_token, scale);
}

// 1 warp.
extern "C" __global__ void __launch_bounds__(WARP_SIZE, 8) attention_backward_8_f64(
    const double* __restrict__ q, const double* __restrict__ k, const double* __restrict__ v, const double* __restrict__ bias,
    const double* __restrict__ gradient, double* __restrict__ dq, double* __restrict__ dk, double* __restrict__ dv,
    double* __restrict__ dbias, int sequences, int sequences_per_block, int query_count, int key_count, int head, int inner,
    long long q_outer, long long q_inner, long long q_token, long long kv_outer, long long kv_inner, long long kv_token,
    double scale) {
    attend_backward<double, 8>(
        q, k, v, bias, gradient, dq, dk, dv, dbias, sequences, sequences_per_block, query_count, key_count, head, inner, q_outer,
        q_inner, q_token, kv_outer, kv_inner, kv_token, scale);
}

// 2 warps.
extern "C" __global__ void __launch_bounds__(2 * WARP_SIZE, 6) attention_backward_16_f64(
    const double* __restrict__ q, const double* __restrict__ k, const double* __restrict__ v, const double* __restrict__ bias,
    const double* __restrict__ gradient, double* __restrict__ dq, double* __restrict__ dk, double* __restrict__ dv,
    double* __restrict__ dbias, int sequences, int sequences_per_block, int query_count, int key_count, int head, int inner,
    long long q_outer, long long q_inner, long long q_token, long long kv_outer, long long kv_inner, long long kv_token,
    double scale) {
    attend_backward<double, 16>(
        q, k, v, bias, gradient, dq, dk, dv, dbias, sequences, sequences_per_block, query_count, key_count, head, inner, q_outer,
        q_inner, q_token, kv_outer, kv_inner, kv_token, scale);
}

// scores [.., heads, queries, columns] (q k^T) becomes P = softmax(scores * scale + bias), gradient (dP), of that shape,
// becomes dS = P (dP - sum P dP). bias [heads, all_queries, columns], of which these queries start at first_query, or null.
// Blocks of (32, warps) threads, a warp a row; rows over the warps. Reads and writes 8 bytes an element, later passes in the cache.
extern "C" __global__ void __launch_bounds__(WARP_ROWS_BLOCK) softmax_backward_f32(
    float* __restrict__ scores, float* __restrict__ gradient, const float* __restrict__ bias, int rows, int columns,
    int queries, int all_queries, int first_query, int heads, float scale) {
    softmax_backward<float>(scores, gradient, bias, rows, columns, queries, all_queries, first_query, heads, scale);
}

extern "C" __global__ void __launch_bounds__(WARP_ROWS_BLOCK) softmax_backward_f64(
    double* __restrict__ scores, double* __restrict__ gradient, const double* __restrict__ bias, int rows, int columns,
    int queries, int all_queries, int first_query, int heads, double scale) {
    softmax_backward<double>(scores, gradient, bias, rows, columns, queries, all_queries, first_query, heads, scale);
}

// dbias[head, 0 .. count) = (add ? dbias : 0) + the sum over the sequences of gradient [sequences, heads, count] (dS), in order;
// heads lie `pitch` elements apart in dbias, so that it may be a stretch of queries. Grid (count over the threads, heads).
// Reads 4 sequences heads count bytes.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) attention_bias_backward_f32(
    const float* __restrict__ gradient, float* __restrict__ dbias, int sequences, int heads, int count, long long pitch,
    int add) {
    bias_backward<float>(gradient, dbias, sequences, heads, count, pitch, add);
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) attention_bias_backward_f64(
    const double* __restrict__ gradient, double* __restrict__ dbias, int sequences, int heads, int count, long long pitch,
    int add) {
    bias_backward<double>(gradient, dbias, sequences, heads, count, pitch, add);
}
