/* libcublas and libcublasLt: products by plain loops, with the checks that the cuBLAS documentation describes. Matrices are
   column-major. Prototypes: the cuBLAS library reference, sections cublasGemmStridedBatchedEx and cublasLtMatmul. */
#include "elements.h"

typedef int cublasStatus_t;
enum {
    SUCCESS = 0, NOT_INITIALIZED = 1, ALLOC_FAILED = 3, INVALID_VALUE = 7, ARCH_MISMATCH = 8, MAPPING_ERROR = 11, EXECUTION_FAILED = 13,
    INTERNAL_ERROR = 14, NOT_SUPPORTED = 15, LICENSE_ERROR = 16
};
enum { HANDLE = 20, LT_HANDLE, MATMUL, LAYOUT, PREFERENCE };
enum { R_32F = 0, R_64F = 1, R_16F = 2, R_16BF = 14 };                        /* cudaDataType_t */
enum { COMPUTE_32F = 68, COMPUTE_32F_FAST_TF32 = 77, COMPUTE_64F = 70 };      /* cublasComputeType_t */
enum { VERSION_MAJOR = 12, VERSION_MINOR = 3, VERSION_PATCH = 4 };

typedef struct { Object object; void *stream; void *workspace; size_t workspace_bytes; } Handle;
typedef struct { Object object; } LtHandle;
typedef struct { Object object; int compute, scale, transpose_a, transpose_b, epilogue; void *bias; } Matmul;
typedef struct { Object object; int type; uint64_t rows, columns; int64_t leading_dimension; int batch; int64_t stride; } Layout;
typedef struct { Object object; uint64_t workspace_bytes; uint32_t alignment[4]; } Preference;

static int handles;
int standin_cublas_live(void) { return handles; }

#define NEEDS_CONTEXT do { if (!standin_has_context()) return misuse("%s: the thread has no current context", __func__), NOT_INITIALIZED; } while (0)
#define NEEDS(handle, kind, what) do { if (!is_object((handle), (kind), __func__, (what))) return NOT_INITIALIZED; } while (0)

static cublasStatus_t make(void **handle, size_t bytes, int kind) { *handle = make_object(bytes, kind); handles++; return SUCCESS; }
static cublasStatus_t destroy(void *handle) { ((Object *)handle)->alive = 0; handles--; return SUCCESS; }

cublasStatus_t cublasGetProperty(int property, int *value)
{
    if (property < 0 || property > 2 || !value) return INVALID_VALUE;
    *value = property == 0 ? VERSION_MAJOR : property == 1 ? VERSION_MINOR : VERSION_PATCH;
    return SUCCESS;
}

static const struct { int code; const char *name, *text; } statuses[] = {
    { SUCCESS, "CUBLAS_STATUS_SUCCESS", "success" },
    { NOT_INITIALIZED, "CUBLAS_STATUS_NOT_INITIALIZED", "the library was not initialized" },
    { ALLOC_FAILED, "CUBLAS_STATUS_ALLOC_FAILED", "the resource allocation failed" },
    { INVALID_VALUE, "CUBLAS_STATUS_INVALID_VALUE", "an invalid numerical value was used as an argument" },
    { ARCH_MISMATCH, "CUBLAS_STATUS_ARCH_MISMATCH", "an absent device architectural feature is required" },
    { MAPPING_ERROR, "CUBLAS_STATUS_MAPPING_ERROR", "an access to GPU memory space failed" },
    { EXECUTION_FAILED, "CUBLAS_STATUS_EXECUTION_FAILED", "the GPU program failed to execute" },
    { INTERNAL_ERROR, "CUBLAS_STATUS_INTERNAL_ERROR", "an internal operation failed" },
    { NOT_SUPPORTED, "CUBLAS_STATUS_NOT_SUPPORTED", "the functionality is not supported" },
    { LICENSE_ERROR, "CUBLAS_STATUS_LICENSE_ERROR", "the functionality requires a license" },
};

static int find_status(cublasStatus_t status)
{
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if (statuses[i].code == status) return (int)i;
    return -1;
}

const char *cublasGetStatusName(cublasStatus_t status) { int i = find_status(status); return i < 0 ? "unknown" : statuses[i].name; }
const char *cublasGetStatusString(cublasStatus_t status) { int i = find_status(status); return i < 0 ? "unknown" : statuses[i].text; }

cublasStatus_t cublasCreate_v2(void **handle) { NEEDS_CONTEXT; return make(handle, sizeof(Handle), HANDLE); }
cublasStatus_t cublasDestroy_v2(Handle *handle) { NEEDS_CONTEXT; NEEDS(handle, HANDLE, "the handle"); return destroy(handle); }

/* Takes the workspace away, as the documentation warns. */
cublasStatus_t cublasSetStream_v2(Handle *handle, void *stream)
{
    NEEDS_CONTEXT; NEEDS(handle, HANDLE, "the handle");
    if (!standin_is_stream(stream, __func__)) return INVALID_VALUE;
    handle->stream = stream;
    handle->workspace = NULL;
    handle->workspace_bytes = 0;
    return SUCCESS;
}

cublasStatus_t cublasSetWorkspace_v2(Handle *handle, void *workspace, size_t bytes)
{
    NEEDS_CONTEXT; NEEDS(handle, HANDLE, "the handle");
    if ((uintptr_t)workspace % 256) return INVALID_VALUE;
    if (!handle->stream) misuse("%s: a workspace before a stream is lost when the stream is set", __func__);
    if (bytes && !is_operand(__func__, "the workspace", workspace, F16, (int64_t)(bytes / 2))) return INVALID_VALUE;
    handle->workspace = workspace;
    handle->workspace_bytes = bytes;
    return SUCCESS;
}

cublasStatus_t cublasSetMathMode(Handle *handle, int mode)
{
    NEEDS_CONTEXT; NEEDS(handle, HANDLE, "the handle");
    return mode == 0 || mode == 2 || mode == 3 || mode == 16 ? SUCCESS : INVALID_VALUE;
}

static int element_of(int type, Element *element)
{
    switch (type) {
    case R_32F: *element = F32; return 1;
    case R_64F: *element = F64; return 1;
    case R_16F: *element = F16; return 1;
    case R_16BF: *element = BF16; return 1;
    default: return 0;
    }
}

/* TF32 keeps ten bits of the mantissa. */
static double operand(double value, int compute)
{
    if (compute != COMPUTE_32F_FAST_TF32) return value;
    return bits_to_float((float_to_bits((float)value) + 0x1000) & 0xffffe000u);
}

/* op(matrix) [rows, columns] as rows of doubles. */
static double *gather(const void *matrix, Element type, int transpose, int64_t rows, int64_t columns, int64_t leading_dimension, int compute)
{
    double *dense = malloc(sizeof *dense * (size_t)(rows * columns + 1));
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            dense[i * columns + j] = operand(read_element(matrix, type, transpose ? i * leading_dimension + j : j * leading_dimension + i), compute);
    return dense;
}

static int64_t extent(int64_t rows, int64_t columns, int64_t leading_dimension, int64_t batch, int64_t stride)
{
    return rows && columns && batch ? (batch - 1) * stride + (columns - 1) * leading_dimension + rows : 0;
}

typedef struct {
    int transpose_a, transpose_b, compute, batch;
    int64_t m, n, k, lda, ldb, ldc, stride_a, stride_b, stride_c;
    Element type;
    const void *a, *b, *bias;
    void *c;
    double alpha, beta;
    const char *call;
    void *workspace;
    size_t workspace_bytes;
} Product;

/* What the library scribbles on while it works. */
static void scribble(void *workspace, size_t bytes) { if (bytes) standin_device->fill((uint64_t)(uintptr_t)workspace, 0xff, bytes); }

static int multiply(const void *arguments);

/* C [m, n] = alpha op(A) [m, k] op(B) [k, n] + beta C, and a bias for each row of C. */
static cublasStatus_t compute(void *stream, const Product *p)
{
    const char *call = p->call;
    const int64_t rows_a = p->transpose_a ? p->k : p->m, columns_a = p->transpose_a ? p->m : p->k;
    const int64_t rows_b = p->transpose_b ? p->n : p->k, columns_b = p->transpose_b ? p->k : p->n;
    if (p->m < 0 || p->n < 0 || p->k < 0 || p->batch < 0) return INVALID_VALUE;
    if (p->lda < (rows_a > 1 ? rows_a : 1) || p->ldb < (rows_b > 1 ? rows_b : 1) || p->ldc < (p->m > 1 ? p->m : 1)) return INVALID_VALUE;
    const int64_t extent_c = extent(p->m, p->n, p->ldc, p->batch, p->stride_c);
    if (!extent_c) return SUCCESS;
    /* One after the other, or side by side between the columns of one another. */
    const int apart = p->stride_c >= extent(p->m, p->n, p->ldc, 1, 0), beside = p->stride_c >= p->m && (p->batch - 1) * p->stride_c + p->m <= p->ldc;
    if (p->batch > 1 && !apart && !beside)
        return misuse("%s: the matrices C of the batch overlap (stride %lld)", call, (long long)p->stride_c), INVALID_VALUE;
    if (!is_operand(call, "A", p->a, p->type, extent(rows_a, columns_a, p->lda, p->batch, p->stride_a))
        || !is_operand(call, "B", p->b, p->type, extent(rows_b, columns_b, p->ldb, p->batch, p->stride_b))
        || !is_operand(call, "C", p->c, p->type, extent_c)
        || (p->bias && !is_operand(call, "the bias", p->bias, p->type, p->m)))
        return EXECUTION_FAILED;
    return standin_capture(stream, multiply, p, sizeof *p) ? SUCCESS : multiply(p);
}

static int multiply(const void *arguments)
{
    const Product *p = arguments;
    scribble(p->workspace, p->workspace_bytes);
    double *row = malloc(sizeof *row * (size_t)p->m);
    const int bytes = element_bytes(p->type);
    for (int b = 0; b < p->batch; b++) {
        /* A as [k, m] and B as [n, k], so that the inner loop runs along both. */
        double *a = gather((const char *)p->a + b * p->stride_a * bytes, p->type, !p->transpose_a, p->k, p->m, p->lda, p->compute);
        double *other = gather((const char *)p->b + b * p->stride_b * bytes, p->type, !p->transpose_b, p->n, p->k, p->ldb, p->compute);
        char *c = (char *)p->c + b * p->stride_c * bytes;
        for (int64_t j = 0; j < p->n; j++) {
            for (int64_t i = 0; i < p->m; i++) row[i] = 0;
            for (int64_t k = 0; k < p->k; k++) {
                const double factor = other[j * p->k + k];
                for (int64_t i = 0; i < p->m; i++) row[i] += a[k * p->m + i] * factor;
            }
            for (int64_t i = 0; i < p->m; i++) {
                double value = p->alpha * row[i];
                /* C is not read where beta is 0: it may hold anything. */
                if (p->beta != 0) value += p->beta * read_element(c, p->type, j * p->ldc + i);
                if (p->bias) value += read_element(p->bias, p->type, i);
                write_element(c, p->type, j * p->ldc + i, value);
            }
        }
        free(a);
        free(other);
    }
    free(row);
    return SUCCESS;
}

static int types_fit(int type, int compute) { return type == R_64F ? compute == COMPUTE_64F : compute == COMPUTE_32F || (compute == COMPUTE_32F_FAST_TF32 && type == R_32F); }

cublasStatus_t cublasGemmStridedBatchedEx(
    Handle *handle, int transa, int transb, int m, int n, int k, const void *alpha, const void *a, int type_a, int lda, long long stride_a,
    const void *b, int type_b, int ldb, long long stride_b, const void *beta, void *c, int type_c, int ldc, long long stride_c,
    int batch, int compute_type, int algorithm)
{
    NEEDS_CONTEXT; NEEDS(handle, HANDLE, "the handle");
    Element type;
    if (!handle->stream) misuse("%s: the handle has no stream", __func__);
    else if (!standin_is_stream(handle->stream, __func__)) return EXECUTION_FAILED;
    if (transa < 0 || transa > 2 || transb < 0 || transb > 2 || !alpha || !beta || algorithm < -1) return INVALID_VALUE;
    if (type_a != type_b || type_a != type_c || !element_of(type_a, &type) || !types_fit(type_a, compute_type)) return NOT_SUPPORTED;
    const int is_double = compute_type == COMPUTE_64F;
    const Product p = {
        .transpose_a = transa != 0, .transpose_b = transb != 0, .compute = compute_type, .batch = batch, .m = m, .n = n, .k = k, .lda = lda,
        .call = __func__, .workspace = handle->workspace, .workspace_bytes = handle->workspace_bytes, .ldb = ldb, .ldc = ldc, .stride_a = stride_a, .stride_b = stride_b, .stride_c = stride_c, .type = type, .a = a, .b = b, .c = c,
        .alpha = is_double ? *(const double *)alpha : *(const float *)alpha, .beta = is_double ? *(const double *)beta : *(const float *)beta,
    };
    return compute(handle->stream, &p);
}

/* cuBLASLt. */

cublasStatus_t cublasLtCreate(void **handle) { NEEDS_CONTEXT; return make(handle, sizeof(LtHandle), LT_HANDLE); }
cublasStatus_t cublasLtDestroy(LtHandle *handle) { NEEDS_CONTEXT; NEEDS(handle, LT_HANDLE, "the handle"); return destroy(handle); }

cublasStatus_t cublasLtMatmulDescCreate(void **description, int compute_type, int scale)
{
    make(description, sizeof(Matmul), MATMUL);
    Matmul *d = *description;
    d->compute = compute_type;
    d->scale = scale;
    d->epilogue = 1;
    return SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(Matmul *description) { NEEDS(description, MATMUL, "the description"); return destroy(description); }

/* CUBLASLT_MATMUL_DESC_TRANSA, _TRANSB, _EPILOGUE, _BIAS_POINTER. */
enum { DESC_TRANSA = 3, DESC_TRANSB = 4, DESC_EPILOGUE = 7, DESC_BIAS_POINTER = 8 };

cublasStatus_t cublasLtMatmulDescSetAttribute(Matmul *description, int attribute, const void *value, size_t bytes)
{
    NEEDS(description, MATMUL, "the description");
    void *target = attribute == DESC_TRANSA ? (void *)&description->transpose_a : attribute == DESC_TRANSB ? (void *)&description->transpose_b
        : attribute == DESC_EPILOGUE ? (void *)&description->epilogue : attribute == DESC_BIAS_POINTER ? (void *)&description->bias : NULL;
    if (!target || bytes != (attribute == DESC_BIAS_POINTER ? sizeof(void *) : sizeof(int))) return INVALID_VALUE;
    memcpy(target, value, bytes);
    return SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(void **layout, int type, uint64_t rows, uint64_t columns, int64_t leading_dimension)
{
    make(layout, sizeof(Layout), LAYOUT);
    Layout *l = *layout;
    l->type = type;
    l->rows = rows;
    l->columns = columns;
    l->leading_dimension = leading_dimension;
    l->batch = 1;
    return SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(Layout *layout) { NEEDS(layout, LAYOUT, "the layout"); return destroy(layout); }

enum { LAYOUT_BATCH_COUNT = 5, LAYOUT_STRIDED_BATCH_OFFSET = 6 };

cublasStatus_t cublasLtMatrixLayoutSetAttribute(Layout *layout, int attribute, const void *value, size_t bytes)
{
    NEEDS(layout, LAYOUT, "the layout");
    if (attribute == LAYOUT_BATCH_COUNT && bytes == sizeof layout->batch) memcpy(&layout->batch, value, bytes);
    else if (attribute == LAYOUT_STRIDED_BATCH_OFFSET && bytes == sizeof layout->stride) memcpy(&layout->stride, value, bytes);
    else return INVALID_VALUE;
    return SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(void **preference)
{
    make(preference, sizeof(Preference), PREFERENCE);
    Preference *p = *preference;
    for (int i = 0; i < 4; i++) p->alignment[i] = 256;
    return SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(Preference *p) { NEEDS(p, PREFERENCE, "the preference"); return destroy(p); }

enum { PREF_MAX_WORKSPACE_BYTES = 1, PREF_MIN_ALIGNMENT_A_BYTES = 5 };

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(Preference *p, int attribute, const void *value, size_t bytes)
{
    NEEDS(p, PREFERENCE, "the preference");
    if (attribute == PREF_MAX_WORKSPACE_BYTES && bytes == 8) memcpy(&p->workspace_bytes, value, bytes);
    else if (attribute >= PREF_MIN_ALIGNMENT_A_BYTES && attribute < PREF_MIN_ALIGNMENT_A_BYTES + 4 && bytes == 4)
        memcpy(&p->alignment[attribute - PREF_MIN_ALIGNMENT_A_BYTES], value, bytes);
    else return INVALID_VALUE;
    return SUCCESS;
}

/* cublasLtMatmulAlgo_t, which a program does not look into; and cublasLtMatmulHeuristicResult_t. */
typedef struct { uint64_t magic, workspace_bytes; uint32_t alignment[4]; uint64_t rest[4]; } Algorithm;
typedef struct { Algorithm algorithm; size_t workspace_bytes; int state; float waves; int reserved[4]; } HeuristicResult;
#define ALGORITHM_MAGIC 0x616c676fULL
_Static_assert(sizeof(Algorithm) == 64 && sizeof(HeuristicResult) == 96, "the layout of cublasLt.h");

static int matrices_fit(const Matmul *d, const Layout *a, const Layout *b, const Layout *c)
{
    const uint64_t m = d->transpose_a ? a->columns : a->rows, k = d->transpose_a ? a->rows : a->columns;
    const uint64_t k_of_b = d->transpose_b ? b->columns : b->rows, n = d->transpose_b ? b->rows : b->columns;
    return m == c->rows && n == c->columns && k == k_of_b && a->batch == c->batch && b->batch == c->batch && a->type == b->type && a->type == c->type
        && a->leading_dimension >= (int64_t)a->rows && b->leading_dimension >= (int64_t)b->rows && c->leading_dimension >= (int64_t)c->rows;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(
    LtHandle *handle, Matmul *d, Layout *a, Layout *b, Layout *c, Layout *result, Preference *preference, int requested, HeuristicResult *results, int *returned)
{
    NEEDS_CONTEXT; NEEDS(handle, LT_HANDLE, "the handle"); NEEDS(d, MATMUL, "the description"); NEEDS(a, LAYOUT, "layout A");
    NEEDS(b, LAYOUT, "layout B"); NEEDS(c, LAYOUT, "layout C"); NEEDS(result, LAYOUT, "layout D"); NEEDS(preference, PREFERENCE, "the preference");
    if (requested < 1 || !results || !returned || !matrices_fit(d, a, b, result)) return INVALID_VALUE;
    *returned = 0;
    /* As the real one: no epilogue in double. */
    if (!types_fit(a->type, d->compute) || (a->type == R_64F && d->epilogue != 1)) return NOT_SUPPORTED;
    memset(results, 0, sizeof *results);
    results->algorithm.magic = ALGORITHM_MAGIC;
    results->workspace_bytes = results->algorithm.workspace_bytes = preference->workspace_bytes < 65536 ? preference->workspace_bytes : 65536;
    memcpy(results->algorithm.alignment, preference->alignment, sizeof preference->alignment);
    results->waves = 1;
    *returned = 1;
    return SUCCESS;
}

cublasStatus_t cublasLtMatmul(
    LtHandle *handle, Matmul *d, const void *alpha, const void *a, Layout *layout_a, const void *b, Layout *layout_b, const void *beta,
    const void *c, Layout *layout_c, void *result, Layout *layout_d, const Algorithm *algorithm, void *workspace, size_t workspace_bytes, void *stream)
{
    NEEDS_CONTEXT; NEEDS(handle, LT_HANDLE, "the handle"); NEEDS(d, MATMUL, "the description"); NEEDS(layout_a, LAYOUT, "layout A");
    NEEDS(layout_b, LAYOUT, "layout B"); NEEDS(layout_c, LAYOUT, "layout C"); NEEDS(layout_d, LAYOUT, "layout D");
    Element type;
    if (!standin_is_stream(stream, __func__)) return EXECUTION_FAILED;
    if (!alpha || !beta || !algorithm || !matrices_fit(d, layout_a, layout_b, layout_d)) return INVALID_VALUE;
    if (!element_of(layout_a->type, &type) || !types_fit(layout_a->type, d->compute)) return NOT_SUPPORTED;
    if (algorithm->magic != ALGORITHM_MAGIC) return misuse("%s: the algorithm is none that the heuristics gave", __func__), INVALID_VALUE;
    if (workspace_bytes < algorithm->workspace_bytes) return INVALID_VALUE;
    const void *operands[] = { a, b, c, result };
    for (int i = 0; i < 4; i++)
        if ((uintptr_t)operands[i] % algorithm->alignment[i])
            return misuse("%s: operand %c at %p is less aligned than the heuristics were told (%u)", __func__, "ABCD"[i], operands[i], algorithm->alignment[i]), INVALID_VALUE;
    if (workspace_bytes && ((uintptr_t)workspace % 16 || !is_operand(__func__, "the workspace", workspace, F16, (int64_t)(workspace_bytes / 2)))) return INVALID_VALUE;
    if (c != result) return NOT_SUPPORTED; /* products into another matrix are none of the program's */
    if (d->epilogue != 1 && d->epilogue != 4) return NOT_SUPPORTED;
    if (d->epilogue == 4 && !d->bias) return misuse("%s: an epilogue with bias, and no bias", __func__), INVALID_VALUE;
    const int is_double = d->compute == COMPUTE_64F;
    const Product p = {
        .transpose_a = d->transpose_a, .transpose_b = d->transpose_b, .compute = d->compute, .batch = layout_d->batch,
        .m = (int64_t)layout_d->rows, .n = (int64_t)layout_d->columns, .k = (int64_t)(d->transpose_a ? layout_a->rows : layout_a->columns),
        .lda = layout_a->leading_dimension, .ldb = layout_b->leading_dimension, .ldc = layout_d->leading_dimension,
        .stride_a = layout_a->stride, .stride_b = layout_b->stride, .stride_c = layout_d->stride, .type = type, .a = a, .b = b, .c = result,
        .call = __func__, .workspace = workspace, .workspace_bytes = algorithm->workspace_bytes, .bias = d->epilogue == 4 ? d->bias : NULL,
        .alpha = is_double ? *(const double *)alpha : *(const float *)alpha, .beta = is_double ? *(const double *)beta : *(const float *)beta,
    };
    return compute(stream, &p);
}
