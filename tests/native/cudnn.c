/* libcudnn: convolutions by plain loops on channels-last tensors, through descriptors as the cuDNN API reference describes them. Status
   numbers are version 9's. */
#include "elements.h"

typedef int cudnnStatus_t;
enum { SUCCESS = 0, NOT_INITIALIZED = 1001, BAD_PARAM = 2000, NOT_SUPPORTED = 3000, EXECUTION_FAILED = 5000 };
enum { HANDLE = 40, TENSOR, FILTER, CONVOLUTION };
enum { DATA_FLOAT = 0, DATA_DOUBLE = 1, DATA_HALF = 2, DATA_BFLOAT16 = 9 };
enum { FORMAT_NHWC = 1 };
enum { MATH_DEFAULT = 0, MATH_TENSOR_OP = 1, MATH_FMA = 3 };
enum { RANK = 4, VERSION = 90100 };

typedef struct { Object object; void *stream; } Handle;
typedef struct { Object object; int set, type, n, c, h, w; } Shape; /* a tensor, or a filter [k, c, r, s] as n, c, h, w */
typedef struct { Object object; int set, pad[2], stride[2], compute, math; } Convolution;

static int handles;
int standin_cudnn_live(void) { return handles; }

#define NEEDS_CONTEXT do { if (!standin_has_context()) return misuse("%s: the thread has no current context", __func__), NOT_INITIALIZED; } while (0)
#define NEEDS(handle, kind, what) do { if (!is_object((handle), (kind), __func__, (what))) return BAD_PARAM; } while (0)

static cudnnStatus_t make(void **handle, size_t bytes, int kind) { *handle = make_object(bytes, kind); handles++; return SUCCESS; }
static cudnnStatus_t destroy(void *handle) { ((Object *)handle)->alive = 0; handles--; return SUCCESS; }

size_t cudnnGetVersion(void) { return VERSION; }
const char *cudnnGetErrorString(cudnnStatus_t status)
{
    switch (status) {
    case SUCCESS: return "CUDNN_STATUS_SUCCESS";
    case NOT_INITIALIZED: return "CUDNN_STATUS_NOT_INITIALIZED";
    case BAD_PARAM: return "CUDNN_STATUS_BAD_PARAM";
    case NOT_SUPPORTED: return "CUDNN_STATUS_NOT_SUPPORTED";
    case EXECUTION_FAILED: return "CUDNN_STATUS_EXECUTION_FAILED";
    default: return "CUDNN_UNKNOWN_STATUS";
    }
}

cudnnStatus_t cudnnCreate(void **handle) { NEEDS_CONTEXT; return make(handle, sizeof(Handle), HANDLE); }
cudnnStatus_t cudnnDestroy(Handle *handle) { NEEDS_CONTEXT; NEEDS(handle, HANDLE, "the handle"); return destroy(handle); }
cudnnStatus_t cudnnSetStream(Handle *handle, void *stream)
{
    NEEDS_CONTEXT; NEEDS(handle, HANDLE, "the handle");
    if (!standin_is_stream(stream, __func__)) return BAD_PARAM;
    handle->stream = stream;
    return SUCCESS;
}

static int element_of(int type, Element *element)
{
    switch (type) {
    case DATA_FLOAT: *element = F32; return 1;
    case DATA_DOUBLE: *element = F64; return 1;
    case DATA_HALF: *element = F16; return 1;
    case DATA_BFLOAT16: *element = BF16; return 1;
    default: return 0;
    }
}

static cudnnStatus_t set_shape(Shape *shape, int type, int format, int rank, const int *lengths)
{
    Element element;
    if (rank != RANK || !lengths || !element_of(type, &element)) return BAD_PARAM;
    if (format != FORMAT_NHWC) return NOT_SUPPORTED; /* the program's tensors are channels-last */
    for (int i = 0; i < RANK; i++)
        if (lengths[i] < 1) return BAD_PARAM;
    shape->set = 1;
    shape->type = type;
    shape->n = lengths[0];
    shape->c = lengths[1];
    shape->h = lengths[2];
    shape->w = lengths[3];
    return SUCCESS;
}

cudnnStatus_t cudnnCreateTensorDescriptor(void **d) { return make(d, sizeof(Shape), TENSOR); }
cudnnStatus_t cudnnDestroyTensorDescriptor(Shape *d) { NEEDS(d, TENSOR, "the tensor's descriptor"); return destroy(d); }
cudnnStatus_t cudnnSetTensorNdDescriptorEx(Shape *d, int format, int type, int rank, const int *lengths)
{
    NEEDS(d, TENSOR, "the tensor's descriptor");
    return set_shape(d, type, format, rank, lengths);
}
cudnnStatus_t cudnnCreateFilterDescriptor(void **d) { return make(d, sizeof(Shape), FILTER); }
cudnnStatus_t cudnnDestroyFilterDescriptor(Shape *d) { NEEDS(d, FILTER, "the filter's descriptor"); return destroy(d); }
cudnnStatus_t cudnnSetFilterNdDescriptor(Shape *d, int type, int format, int rank, const int *lengths)
{
    NEEDS(d, FILTER, "the filter's descriptor");
    return set_shape(d, type, format, rank, lengths);
}
cudnnStatus_t cudnnCreateConvolutionDescriptor(void **d) { return make(d, sizeof(Convolution), CONVOLUTION); }
cudnnStatus_t cudnnDestroyConvolutionDescriptor(Convolution *d) { NEEDS(d, CONVOLUTION, "the convolution's descriptor"); return destroy(d); }

enum { CROSS_CORRELATION = 1 };

cudnnStatus_t cudnnSetConvolutionNdDescriptor(Convolution *d, int rank, const int *pad, const int *stride, const int *dilation, int mode, int compute)
{
    NEEDS(d, CONVOLUTION, "the convolution's descriptor");
    if (rank != 2 || !pad || !stride || !dilation) return BAD_PARAM;
    for (int i = 0; i < rank; i++) {
        if (pad[i] < 0 || stride[i] < 1) return BAD_PARAM;
        if (dilation[i] != 1) return NOT_SUPPORTED;
        d->pad[i] = pad[i];
        d->stride[i] = stride[i];
    }
    if (mode != CROSS_CORRELATION) return NOT_SUPPORTED;
    d->compute = compute;
    d->set = 1;
    return SUCCESS;
}
cudnnStatus_t cudnnSetConvolutionMathType(Convolution *d, int math)
{
    NEEDS(d, CONVOLUTION, "the convolution's descriptor");
    if (math < 0 || math > 3) return BAD_PARAM;
    d->math = math;
    return SUCCESS;
}

/* Whether x, w and y are one convolution's. */
static cudnnStatus_t check(const char *call, const Shape *x, const Shape *w, const Convolution *d, const Shape *y)
{
    if (!is_object(x, TENSOR, call, "x's descriptor") || !is_object(w, FILTER, call, "w's descriptor")
        || !is_object(d, CONVOLUTION, call, "the convolution's descriptor") || !is_object(y, TENSOR, call, "y's descriptor"))
        return BAD_PARAM;
    if (!x->set || !w->set || !d->set || !y->set) return misuse("%s: a descriptor was never set", call), BAD_PARAM;
    const int height = (x->h + 2 * d->pad[0] - w->h) / d->stride[0] + 1, width = (x->w + 2 * d->pad[1] - w->w) / d->stride[1] + 1;
    if (x->h + 2 * d->pad[0] < w->h || x->w + 2 * d->pad[1] < w->w) return BAD_PARAM;
    if (w->c != x->c || y->c != w->n || y->n != x->n || y->h != height || y->w != width) return BAD_PARAM;
    if (x->type != w->type || x->type != y->type) return NOT_SUPPORTED;
    if (d->compute != (x->type == DATA_DOUBLE ? DATA_DOUBLE : DATA_FLOAT)) return NOT_SUPPORTED;
    return SUCCESS;
}

/* cudnnConvolutionFwdAlgoPerf_t and its two sisters. */
typedef struct { int algorithm, status; float milliseconds; size_t workspace_bytes; int deterministic, math; int reserved[3]; } Performance;
_Static_assert(sizeof(Performance) == 48, "the layout of cudnn.h");

enum { WORKSPACE_HUNGRY = 7, NOT_DETERMINISTIC = 0, PLAIN = 1 };

static size_t workspace_of(int algorithm, const Shape *x) { return algorithm == WORKSPACE_HUNGRY ? (size_t)1 << 40 : algorithm == PLAIN ? 256 + (size_t)x->c * 4 : 0; }

/* The fastest first, as the heuristics of the real one list them: one that wants too much memory, one that is not deterministic, one
   that cannot do it at all, one that can. */
static cudnnStatus_t list(const Shape *x, const Convolution *d, int requested, int *returned, Performance *results)
{
    static const int algorithms[] = { WORKSPACE_HUNGRY, NOT_DETERMINISTIC, 5, PLAIN };
    if (requested < 1 || !returned || !results) return BAD_PARAM;
    *returned = 0;
    for (int i = 0; i < 4 && i < requested; i++) {
        Performance *p = &results[(*returned)++];
        memset(p, 0, sizeof *p);
        p->algorithm = algorithms[i];
        p->status = algorithms[i] == 5 ? NOT_SUPPORTED : SUCCESS;
        p->milliseconds = (float)(i + 1);
        p->workspace_bytes = workspace_of(algorithms[i], x);
        p->deterministic = algorithms[i] != NOT_DETERMINISTIC;
        p->math = d->math == MATH_DEFAULT && x->type == DATA_FLOAT ? MATH_TENSOR_OP : d->math;
    }
    return SUCCESS;
}

cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(Handle *h, Shape *x, Shape *w, Convolution *d, Shape *y, int requested, int *returned, Performance *results)
{
    NEEDS_CONTEXT; NEEDS(h, HANDLE, "the handle");
    const cudnnStatus_t status = check(__func__, x, w, d, y);
    return status ? status : list(x, d, requested, returned, results);
}
cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithm_v7(Handle *h, Shape *w, Shape *dy, Convolution *d, Shape *dx, int requested, int *returned, Performance *results)
{
    NEEDS_CONTEXT; NEEDS(h, HANDLE, "the handle");
    const cudnnStatus_t status = check(__func__, dx, w, d, dy);
    return status ? status : list(dx, d, requested, returned, results);
}
cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithm_v7(Handle *h, Shape *x, Shape *dy, Convolution *d, Shape *dw, int requested, int *returned, Performance *results)
{
    NEEDS_CONTEXT; NEEDS(h, HANDLE, "the handle");
    const cudnnStatus_t status = check(__func__, x, dw, d, dy);
    return status ? status : list(x, d, requested, returned, results);
}

static double *gather(const void *p, Element type, int64_t count, int tf32)
{
    double *dense = malloc(sizeof *dense * (size_t)(count + 1));
    for (int64_t i = 0; i < count; i++) {
        const double value = read_element(p, type, i);
        dense[i] = tf32 ? bits_to_float((float_to_bits((float)value) + 0x1000) & 0xffffe000u) : value;
    }
    return dense;
}

static int64_t count(const Shape *s) { return (int64_t)s->n * s->c * s->h * s->w; }

typedef enum { FORWARD, BACKWARD_DATA, BACKWARD_FILTER } Pass;

/* A convolution whose arguments were found good. */
typedef struct {
    Pass pass;
    Shape x_shape, w_shape, y_shape;
    Convolution convolution;
    const void *x, *w, *y;
    Element type;
    int algorithm;
    void *workspace;
    double alpha, beta;
} Work;

static int convolve(const void *arguments);

/* One of x, w and y is the sum of products of the other two over every pair of an output and a tap of its window. */
static cudnnStatus_t run(const char *call, Pass pass, Handle *h, const void *alpha, const Shape *sx, const void *x, const Shape *sw, const void *w,
                         const Convolution *d, int algorithm, void *workspace, size_t workspace_bytes, const void *beta, const Shape *sy, const void *y)
{
    if (!standin_has_context()) return misuse("%s: the thread has no current context", call), NOT_INITIALIZED;
    if (!is_object(h, HANDLE, call, "the handle")) return NOT_INITIALIZED;
    const cudnnStatus_t status = check(call, sx, sw, d, sy);
    if (status) return status;
    if (!alpha || !beta) return BAD_PARAM;
    if (!h->stream) return misuse("%s: the handle has no stream", call), BAD_PARAM;
    if (!standin_is_stream(h->stream, call)) return EXECUTION_FAILED;
    if (algorithm != WORKSPACE_HUNGRY && algorithm != NOT_DETERMINISTIC && algorithm != PLAIN) return NOT_SUPPORTED;
    if (workspace_bytes < workspace_of(algorithm, sx)) return misuse("%s: algorithm %d needs %zu bytes of workspace, not %zu", call, algorithm, workspace_of(algorithm, sx), workspace_bytes), BAD_PARAM;
    Element type;
    if (!element_of(sx->type, &type)) return NOT_SUPPORTED;
    if ((workspace_bytes && !is_operand(call, "the workspace", workspace, F16, (int64_t)(workspace_bytes / 2)))
        || !is_operand(call, "x", x, type, count(sx)) || !is_operand(call, "w", w, type, count(sw)) || !is_operand(call, "y", y, type, count(sy)))
        return EXECUTION_FAILED;
    const Work work = {
        pass, *sx, *sw, *sy, *d, x, w, y, type, algorithm, workspace_bytes ? workspace : NULL,
        type == F64 ? *(const double *)alpha : *(const float *)alpha, type == F64 ? *(const double *)beta : *(const float *)beta,
    };
    return standin_capture(h->stream, convolve, &work, sizeof work) ? SUCCESS : convolve(&work);
}

static int convolve(const void *arguments)
{
    const Work *work = arguments;
    const Pass pass = work->pass;
    const Shape *sx = &work->x_shape, *sw = &work->w_shape, *sy = &work->y_shape;
    const Convolution *d = &work->convolution;
    const void *x = work->x, *w = work->w, *y = work->y;
    const Element type = work->type;
    if (work->workspace) standin_device->fill((uint64_t)(uintptr_t)work->workspace, 0xff, workspace_of(work->algorithm, sx));
    const int tf32 = type == F32 && d->math != MATH_FMA;
    const Shape *result_shape = pass == FORWARD ? sy : pass == BACKWARD_DATA ? sx : sw;
    void *result = (void *)(pass == FORWARD ? y : pass == BACKWARD_DATA ? x : w);
    double *dense_x = pass == BACKWARD_DATA ? NULL : gather(x, type, count(sx), tf32);
    double *dense_w = pass == BACKWARD_FILTER ? NULL : gather(w, type, count(sw), tf32);
    double *dense_y = pass == FORWARD ? NULL : gather(y, type, count(sy), tf32);
    double *sum = calloc((size_t)count(result_shape) + 1, sizeof *sum);
    const int64_t channels = sx->c;
    for (int64_t n = 0; n < sy->n; n++)
        for (int64_t i = 0; i < sy->h; i++)
            for (int64_t j = 0; j < sy->w; j++) {
                const int64_t pixel_y = ((n * sy->h + i) * sy->w + j) * sy->c;
                for (int64_t r = 0; r < sw->h; r++)
                    for (int64_t s = 0; s < sw->w; s++) {
                        const int64_t row = i * d->stride[0] - d->pad[0] + r, column = j * d->stride[1] - d->pad[1] + s;
                        if (row < 0 || row >= sx->h || column < 0 || column >= sx->w) continue;
                        const int64_t pixel_x = ((n * sx->h + row) * sx->w + column) * channels;
                        for (int64_t k = 0; k < sy->c; k++) {
                            const int64_t tap = ((k * sw->h + r) * sw->w + s) * channels;
                            if (pass == FORWARD) {
                                double total = 0;
                                for (int64_t c = 0; c < channels; c++) total += dense_x[pixel_x + c] * dense_w[tap + c];
                                sum[pixel_y + k] += total;
                            } else if (pass == BACKWARD_DATA) {
                                const double g = dense_y[pixel_y + k];
                                for (int64_t c = 0; c < channels; c++) sum[pixel_x + c] += g * dense_w[tap + c];
                            } else {
                                const double g = dense_y[pixel_y + k];
                                for (int64_t c = 0; c < channels; c++) sum[tap + c] += g * dense_x[pixel_x + c];
                            }
                        }
                    }
            }

    /* An algorithm that is not deterministic shows it: every other call is off in the last bits. */
    static int calls;
    const double wobble = work->algorithm == NOT_DETERMINISTIC && (calls++ & 1) ? 1 + 0x1p-20 : 1;
    for (int64_t i = 0; i < count(result_shape); i++) {
        double value = work->alpha * sum[i] * wobble;
        if (work->beta != 0) value += work->beta * read_element(result, type, i);
        write_element(result, type, i, value);
    }
    free(dense_x);
    free(dense_w);
    free(dense_y);
    free(sum);
    return SUCCESS;
}

cudnnStatus_t cudnnConvolutionForward(Handle *h, const void *alpha, Shape *sx, const void *x, Shape *sw, const void *w, Convolution *d, int algorithm,
                                      void *workspace, size_t workspace_bytes, const void *beta, Shape *sy, void *y)
{
    return run(__func__, FORWARD, h, alpha, sx, x, sw, w, d, algorithm, workspace, workspace_bytes, beta, sy, y);
}
cudnnStatus_t cudnnConvolutionBackwardData(Handle *h, const void *alpha, Shape *sw, const void *w, Shape *sdy, const void *dy, Convolution *d,
                                           int algorithm, void *workspace, size_t workspace_bytes, const void *beta, Shape *sdx, void *dx)
{
    return run(__func__, BACKWARD_DATA, h, alpha, sdx, dx, sw, w, d, algorithm, workspace, workspace_bytes, beta, sdy, dy);
}
cudnnStatus_t cudnnConvolutionBackwardFilter(Handle *h, const void *alpha, Shape *sx, const void *x, Shape *sdy, const void *dy, Convolution *d,
                                             int algorithm, void *workspace, size_t workspace_bytes, const void *beta, Shape *sdw, void *dw)
{
    return run(__func__, BACKWARD_FILTER, h, alpha, sx, x, sdw, dw, d, algorithm, workspace, workspace_bytes, beta, sdy, dy);
}
