/* A driver whose device is host memory: it checks what the binding passes (current context, live handles, launch parameters)
   and counts what is alive. It has one device and one kernel, fill_f32(float* x, float value, int n). */
#include <stdlib.h>
#include <string.h>

typedef int CUresult;
typedef unsigned long long CUdeviceptr;
enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, INVALID_DEVICE = 101, INVALID_CONTEXT = 201,
       INVALID_PTX = 218, INVALID_HANDLE = 400, NOT_FOUND = 500 };

typedef struct Object { int kind; struct Object *self; } Object; /* kind: 1 context, 2 stream, 3 event, 4 module */

static int initialized, retained, live[5], allocations;
static Object context = { 1, &context };
static __thread Object *current;
static float variable[3];

#define NEEDS_CONTEXT do { if (!current || !retained) return INVALID_CONTEXT; } while (0)
#define NEEDS(object, k) do { Object *o_ = (object); if (!o_ || o_->self != o_ || o_->kind != (k)) return INVALID_HANDLE; } while (0)

static Object *make(int kind) { Object *o = malloc(sizeof *o); o->kind = kind; o->self = o; live[kind]++; return o; }
static CUresult destroy(Object *o, int kind) { NEEDS_CONTEXT; NEEDS(o, kind); live[kind]--; o->self = 0; return OK; }

/* What is alive: contexts, streams, events, modules and allocations as decimal digits. */
int fakeLive(void) { return retained * 10000 + live[2] * 1000 + live[3] * 100 + live[4] * 10 + allocations; }

CUresult cuInit(unsigned flags) { initialized = flags == 0; return flags ? INVALID_VALUE : OK; }
CUresult cuDriverGetVersion(int *v) { *v = 12020; return OK; }
CUresult cuGetErrorName(CUresult e, const char **s)
{
    *s = e == NOT_FOUND ? "CUDA_ERROR_NOT_FOUND" : e == 803 ? "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH" : "CUDA_ERROR_OTHER";
    return OK;
}
CUresult cuGetErrorString(CUresult e, const char **s) { *s = e == NOT_FOUND ? "named symbol not found" : "other"; return OK; }
CUresult cuDeviceGetCount(int *n) { if (!initialized) return NOT_INITIALIZED; *n = 1; return OK; }
CUresult cuDeviceGet(int *d, int ordinal) { if (ordinal) return INVALID_DEVICE; *d = 7; return OK; }
CUresult cuDeviceGetName(char *s, int n, int d) { if (d != 7) return INVALID_DEVICE; strncpy(s, "Fake GPU", n); return OK; }
CUresult cuDeviceTotalMem_v2(size_t *n, int d) { if (d != 7) return INVALID_DEVICE; *n = 5000000000u; return OK; }
CUresult cuDeviceGetAttribute(int *v, int attribute, int d)
{
    if (d != 7) return INVALID_DEVICE;
    *v = attribute == 10 ? 32 : attribute == 75 ? 8 : attribute == 76 ? 6 : 1000 + attribute;
    return OK;
}
CUresult cuDevicePrimaryCtxRetain(Object **c, int d) { if (d != 7) return INVALID_DEVICE; retained++; *c = &context; return OK; }
CUresult cuDevicePrimaryCtxRelease_v2(int d) { if (d != 7 || !retained) return INVALID_CONTEXT; retained--; return OK; }
CUresult cuCtxSetCurrent(Object *c) { if (c) NEEDS(c, 1); current = c; return OK; }
CUresult cuCtxSynchronize(void) { NEEDS_CONTEXT; return OK; }
CUresult cuMemGetInfo_v2(size_t *f, size_t *t) { NEEDS_CONTEXT; *f = 4000000000u; *t = 5000000000u; return OK; }
CUresult cuMemAlloc_v2(CUdeviceptr *p, size_t n)
{
    NEEDS_CONTEXT;
    if (n > 4000000000u) return OUT_OF_MEMORY;
    *p = (CUdeviceptr)aligned_alloc(256, (n + 255) / 256 * 256);
    allocations++;
    return OK;
}
CUresult cuMemFree_v2(CUdeviceptr p) { NEEDS_CONTEXT; free((void *)p); allocations--; return OK; }
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr d, const void *s, size_t n, Object *q) { NEEDS_CONTEXT; NEEDS(q, 2); memcpy((void *)d, s, n); return OK; }
CUresult cuMemcpyDtoHAsync_v2(void *d, CUdeviceptr s, size_t n, Object *q) { NEEDS_CONTEXT; NEEDS(q, 2); memcpy(d, (void *)s, n); return OK; }
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr d, CUdeviceptr s, size_t n, Object *q) { NEEDS_CONTEXT; NEEDS(q, 2); memcpy((void *)d, (void *)s, n); return OK; }
CUresult cuMemsetD8Async(CUdeviceptr d, unsigned char v, size_t n, Object *q) { NEEDS_CONTEXT; NEEDS(q, 2); memset((void *)d, v, n); return OK; }

CUresult cuModuleLoadDataEx(Object **m, const void *image, unsigned n, int *options, void **values)
{
    NEEDS_CONTEXT;
    if (strcmp(image, "good ptx") == 0) { *m = make(4); return OK; }
    for (unsigned i = 0; i + 1 < n; i++)
        if (options[i] == 5 && options[i + 1] == 6 && (size_t)values[i + 1] > 20) strcpy(values[i], "line 3: bad opcode\n");
    return INVALID_PTX;
}
CUresult cuModuleUnload(Object *m) { return destroy(m, 4); }
CUresult cuModuleGetFunction(void **f, Object *m, const char *name)
{
    NEEDS_CONTEXT;
    NEEDS(m, 4);
    if (strcmp(name, "fill_f32")) return NOT_FOUND;
    *f = (void *)0x1234;
    return OK;
}
CUresult cuModuleGetGlobal_v2(CUdeviceptr *p, size_t *n, Object *m, const char *name)
{
    NEEDS_CONTEXT;
    NEEDS(m, 4);
    if (strcmp(name, "table")) return NOT_FOUND;
    *p = (CUdeviceptr)variable;
    *n = sizeof variable;
    return OK;
}
static int dynamic = 49152;
CUresult cuFuncGetAttribute(int *v, int attribute, void *f)
{
    NEEDS_CONTEXT;
    if (f != (void *)0x1234) return INVALID_HANDLE;
    *v = attribute == 8 ? dynamic : 100 + attribute;
    return OK;
}
CUresult cuFuncSetAttribute(void *f, int attribute, int v)
{
    NEEDS_CONTEXT;
    if (f != (void *)0x1234 || attribute != 8) return INVALID_VALUE;
    dynamic = v;
    return OK;
}
CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *n, void *f, int threads, size_t shared)
{
    NEEDS_CONTEXT;
    if (f != (void *)0x1234) return INVALID_HANDLE;
    *n = (int)(2048 / threads - shared / 1024);
    return OK;
}
CUresult cuLaunchKernel(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                        Object *q, void **parameters, void **extra)
{
    NEEDS_CONTEXT;
    NEEDS(q, 2);
    if (f != (void *)0x1234 || parameters || !extra) return INVALID_HANDLE;
    if (extra[0] != (void *)1 || extra[2] != (void *)2 || extra[4] || *(size_t *)extra[3] != 16) return INVALID_VALUE;
    if (gx != 2 || gy != 3 || gz != 4 || bx != 32 || by != 5 || bz != 6 || shared != 64) return INVALID_VALUE;
    float *x = *(float **)extra[1], value = ((float *)extra[1])[2];
    int n = ((int *)extra[1])[3];
    for (int i = 0; i < n; i++) x[i] = value;
    return OK;
}
CUresult cuStreamCreate(Object **q, unsigned flags) { NEEDS_CONTEXT; if (flags != 1) return INVALID_VALUE; *q = make(2); return OK; }
CUresult cuStreamDestroy_v2(Object *q) { return destroy(q, 2); }
CUresult cuStreamSynchronize(Object *q) { NEEDS_CONTEXT; NEEDS(q, 2); return OK; }
CUresult cuStreamWaitEvent(Object *q, Object *e, unsigned flags) { NEEDS_CONTEXT; NEEDS(q, 2); NEEDS(e, 3); return flags ? INVALID_VALUE : OK; }
CUresult cuEventCreate(Object **e, unsigned flags) { NEEDS_CONTEXT; if (flags) return INVALID_VALUE; *e = make(3); return OK; }
CUresult cuEventDestroy_v2(Object *e) { return destroy(e, 3); }
CUresult cuEventRecord(Object *e, Object *q) { NEEDS_CONTEXT; NEEDS(e, 3); NEEDS(q, 2); return OK; }
CUresult cuEventSynchronize(Object *e) { NEEDS_CONTEXT; NEEDS(e, 3); return OK; }
CUresult cuEventElapsedTime(float *ms, Object *start, Object *end)
{
    NEEDS_CONTEXT;
    NEEDS(start, 3);
    NEEDS(end, 3);
    *ms = start == end ? 0 : 1.5f;
    return OK;
}
