/* libcuda: keeps contexts, streams, events and modules as the driver does, and hands all work to the device of the table. Everything
   is done when a call returns, which a program cannot tell from a fast GPU. Prototypes: the CUDA Driver API reference. */
#include "standin.h"

typedef int CUresult;
typedef uint64_t CUdeviceptr;
enum {
    SUCCESS = 0, INVALID_VALUE = 1, NOT_INITIALIZED = 3, INVALID_DEVICE = 101, INVALID_CONTEXT = 201, INVALID_HANDLE = 400
};
enum { CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALIDATED = 901, CAPTURE_UNMATCHED = 903 };
enum { CONTEXT = 1, STREAM, EVENT, MODULE, FUNCTION, GRAPH, GRAPH_EXEC };

/* Work that was noted: what does it, and a copy of its arguments. */
typedef struct Node { int (*run)(const void *arguments); void *arguments; size_t bytes; struct Node *next; } Node;
typedef struct { Object object; Node *first, *last; size_t count; } Graph;

typedef struct { Object object; } Context;
typedef struct { Object object; Graph *capture; int invalidated; } Stream;
typedef struct { Object object; int recorded; double time; } Event;
typedef struct Function Function;
typedef struct { Object object; uint64_t number; Function *functions; } Module;
struct Function { Object object; Module *module; uint64_t number; Function *next; };

const Device *standin_device;
static int initialized, retained, live;
static Context *primary;
static __thread Context *current;
static __thread Stream *capturing; /* what this thread began to capture */

/* Called once, before the program's first call. */
void standin_connect(const Device *device) { standin_device = device; }

/* Objects and allocations that are alive, the primary context counted once. */
static int allocations;
int standin_live(void) { return live + allocations + (retained > 0); }

#define NEEDS_DRIVER do { if (!initialized || !standin_device) return NOT_INITIALIZED; } while (0)
#define NEEDS_CONTEXT do { NEEDS_DRIVER; if (!current) return misuse("%s: the thread has no current context", __func__), INVALID_CONTEXT; \
    if (!current->object.alive) return misuse("%s: the current context was released", __func__), INVALID_CONTEXT; } while (0)
#define NEEDS(handle, kind, what) do { if (!is_object((handle), (kind), __func__, (what))) return INVALID_HANDLE; } while (0)

/* What a thread that captures must not do ends its capture. */
#define NOT_IN_CAPTURE do { if (capturing) { capturing->invalidated = 1; return CAPTURE_UNSUPPORTED; } } while (0)

/* Notes work where a stream captures; 0 where it does not, and the work is to be done now. */
int standin_capture(void *handle, int (*run)(const void *), const void *arguments, size_t bytes)
{
    Stream *stream = handle;
    if (!stream->capture) return 0;
    Node *node = calloc(1, sizeof *node);
    node->run = run;
    node->bytes = bytes;
    node->arguments = malloc(bytes);
    memcpy(node->arguments, arguments, bytes);
    Graph *graph = stream->capture;
    if (graph->last) graph->last->next = node; else graph->first = node;
    graph->last = node;
    graph->count++;
    return 1;
}

static CUresult destroy(void *handle) { ((Object *)handle)->alive = 0; live--; return SUCCESS; }

CUresult cuInit(unsigned flags) { if (flags) return INVALID_VALUE; initialized = 1; return SUCCESS; }
CUresult cuDriverGetVersion(int *version) { *version = 12020; return SUCCESS; }

static const struct { int code; const char *name, *text; } errors[] = {
    { 0, "CUDA_SUCCESS", "no error" },
    { 1, "CUDA_ERROR_INVALID_VALUE", "invalid argument" },
    { 2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory" },
    { 3, "CUDA_ERROR_NOT_INITIALIZED", "initialization error" },
    { 101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal" },
    { 200, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid" },
    { 201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context" },
    { 209, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device" },
    { 218, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed" },
    { 400, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle" },
    { 500, "CUDA_ERROR_NOT_FOUND", "named symbol not found" },
    { 600, "CUDA_ERROR_NOT_READY", "device not ready" },
    { 700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered" },
    { 701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch" },
    { 716, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address" },
    { 719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure" },
    { 900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing" },
    { 901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture" },
    { 903, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "the capture was not initiated in this stream" },
    { 801, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported" },
    { 999, "CUDA_ERROR_UNKNOWN", "unknown error" },
};

CUresult cuGetErrorName(CUresult error, const char **name)
{
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].code == error) return *name = errors[i].name, SUCCESS;
    return *name = NULL, INVALID_VALUE;
}

CUresult cuGetErrorString(CUresult error, const char **text)
{
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].code == error) return *text = errors[i].text, SUCCESS;
    return *text = NULL, INVALID_VALUE;
}

CUresult cuDeviceGetCount(int *count) { NEEDS_DRIVER; *count = 1; return SUCCESS; }
CUresult cuDeviceGet(int *device, int ordinal) { NEEDS_DRIVER; if (ordinal) return INVALID_DEVICE; *device = 0; return SUCCESS; }
CUresult cuDeviceGetName(char *name, int bytes, int device) { NEEDS_DRIVER; return device ? INVALID_DEVICE : standin_device->name(name, bytes); }
CUresult cuDeviceTotalMem_v2(size_t *bytes, int device) { NEEDS_DRIVER; return device ? INVALID_DEVICE : standin_device->total_memory(bytes); }
CUresult cuDeviceGetAttribute(int *value, int attribute, int device)
{
    NEEDS_DRIVER;
    return device ? INVALID_DEVICE : standin_device->attribute(value, attribute);
}

CUresult cuDevicePrimaryCtxRetain(Context **context, int device)
{
    NEEDS_DRIVER;
    if (device) return INVALID_DEVICE;
    if (!retained++) primary = make_object(sizeof *primary, CONTEXT);
    *context = primary;
    return SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease_v2(int device)
{
    NEEDS_DRIVER;
    if (device) return INVALID_DEVICE;
    if (!retained) return misuse("%s: the primary context was released more often than retained", __func__), INVALID_CONTEXT;
    if (!--retained) primary->object.alive = 0;
    return SUCCESS;
}

CUresult cuCtxSetCurrent(Context *context) { NEEDS_DRIVER; if (context) NEEDS(context, CONTEXT, "the context"); current = context; return SUCCESS; }
CUresult cuCtxGetCurrent(Context **context) { NEEDS_DRIVER; *context = current; return SUCCESS; }
CUresult cuCtxSynchronize(void) { NEEDS_CONTEXT; NOT_IN_CAPTURE; return SUCCESS; }

CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total_bytes) { NEEDS_CONTEXT; return standin_device->memory_info(free_bytes, total_bytes); }
CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes)
{
    NEEDS_CONTEXT; NOT_IN_CAPTURE;
    if (!bytes) return INVALID_VALUE;
    CUresult result = standin_device->allocate(address, bytes);
    allocations += result == SUCCESS;
    return result;
}
CUresult cuMemFree_v2(CUdeviceptr address)
{
    NEEDS_CONTEXT; NOT_IN_CAPTURE;
    CUresult result = standin_device->release(address);
    if (result != SUCCESS) misuse("%s: %#llx is no allocation", __func__, (unsigned long long)address);
    allocations -= result == SUCCESS;
    return result;
}
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr destination, const void *source, size_t bytes, Stream *stream)
{
    NEEDS_CONTEXT; NEEDS(stream, STREAM, "the stream");
    if (stream->capture) return misuse("%s: a graph would read host memory that may be gone", __func__), stream->invalidated = 1, CAPTURE_UNSUPPORTED;
    return standin_device->copy_to_device(destination, source, bytes);
}
CUresult cuMemcpyDtoHAsync_v2(void *destination, CUdeviceptr source, size_t bytes, Stream *stream)
{
    NEEDS_CONTEXT; NEEDS(stream, STREAM, "the stream");
    if (stream->capture) return misuse("%s: a graph would write host memory that may be gone", __func__), stream->invalidated = 1, CAPTURE_UNSUPPORTED;
    return standin_device->copy_to_host(destination, source, bytes);
}
typedef struct { uint64_t destination, source, bytes; int value; } Move;
static int run_copy(const void *arguments) { const Move *m = arguments; return standin_device->copy(m->destination, m->source, m->bytes); }
static int run_fill(const void *arguments) { const Move *m = arguments; return standin_device->fill(m->destination, m->value, m->bytes); }
static CUresult queue(Stream *stream, int (*run)(const void *), const void *arguments, size_t bytes)
{
    return standin_capture(stream, run, arguments, bytes) ? SUCCESS : run(arguments);
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr destination, CUdeviceptr source, size_t bytes, Stream *stream)
{
    NEEDS_CONTEXT; NEEDS(stream, STREAM, "the stream");
    const Move move = { destination, source, bytes, 0 };
    return queue(stream, run_copy, &move, sizeof move);
}
CUresult cuMemsetD8Async(CUdeviceptr destination, unsigned char value, size_t count, Stream *stream)
{
    NEEDS_CONTEXT; NEEDS(stream, STREAM, "the stream");
    const Move move = { destination, 0, count, value };
    return queue(stream, run_fill, &move, sizeof move);
}

/* Of CUjit_option: where errors are to be written, and how much room there is. */
enum { JIT_ERROR_LOG_BUFFER = 5, JIT_ERROR_LOG_BUFFER_SIZE_BYTES = 6 };

CUresult cuModuleLoadDataEx(Module **module, const void *image, unsigned count, int *options, void **values)
{
    NEEDS_CONTEXT; NOT_IN_CAPTURE;
    char *log = NULL;
    uint64_t log_bytes = 0;
    for (unsigned i = 0; i < count; i++) {
        if (options[i] == JIT_ERROR_LOG_BUFFER) log = values[i];
        if (options[i] == JIT_ERROR_LOG_BUFFER_SIZE_BYTES) log_bytes = (uintptr_t)values[i];
    }
    uint64_t number;
    CUresult result = standin_device->load_module(&number, image, log, log ? log_bytes : 0);
    if (result != SUCCESS) return result;
    *module = make_object(sizeof **module, MODULE);
    (*module)->number = number;
    live++;
    return SUCCESS;
}
CUresult cuModuleUnload(Module *module)
{
    NEEDS_CONTEXT; NOT_IN_CAPTURE; NEEDS(module, MODULE, "the module");
    for (Function *f = module->functions; f; f = f->next) f->object.alive = 0;
    standin_device->unload_module(module->number);
    return destroy(module);
}
CUresult cuModuleGetFunction(Function **function, Module *module, const char *name)
{
    NEEDS_CONTEXT; NEEDS(module, MODULE, "the module");
    uint64_t number;
    CUresult result = standin_device->function(&number, module->number, name);
    if (result != SUCCESS) return result;
    *function = make_object(sizeof **function, FUNCTION);
    (*function)->module = module;
    (*function)->number = number;
    (*function)->next = module->functions;
    module->functions = *function;
    return SUCCESS;
}
CUresult cuModuleGetGlobal_v2(CUdeviceptr *address, size_t *bytes, Module *module, const char *name)
{
    NEEDS_CONTEXT; NEEDS(module, MODULE, "the module");
    return standin_device->variable(address, bytes, module->number, name);
}

enum { ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8 };

CUresult cuFuncGetAttribute(int *value, int attribute, Function *function)
{
    NEEDS_CONTEXT; NEEDS(function, FUNCTION, "the function");
    return standin_device->function_attribute(value, function->number, attribute);
}
CUresult cuFuncSetAttribute(Function *function, int attribute, int value)
{
    NEEDS_CONTEXT; NEEDS(function, FUNCTION, "the function");
    return attribute == ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES ? standin_device->set_dynamic_shared_memory(function->number, value) : INVALID_VALUE;
}
CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, Function *function, int threads, size_t shared_memory)
{
    NEEDS_CONTEXT; NEEDS(function, FUNCTION, "the function");
    return standin_device->occupancy(blocks, function->number, threads, shared_memory);
}

/* CU_LAUNCH_PARAM_BUFFER_POINTER, _SIZE and _END. */
enum { PARAM_END = 0, PARAM_BUFFER_POINTER = 1, PARAM_BUFFER_SIZE = 2 };

/* 4,096 bytes are the most that a kernel takes. */
typedef struct { Function *function; unsigned grid[3], block[3], shared_memory; uint64_t bytes; unsigned char parameters[4096]; } Launch;
static int run_launch(const void *arguments)
{
    const Launch *l = arguments;
    if (!is_object(l->function, FUNCTION, "cuGraphLaunch", "the function")) return INVALID_HANDLE;
    return standin_device->launch(l->function->number, l->grid, l->block, l->shared_memory, l->bytes ? l->parameters : NULL, l->bytes);
}

CUresult cuLaunchKernel(Function *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,
                        unsigned block_z, unsigned shared_memory, Stream *stream, void **parameters, void **extra)
{
    NEEDS_CONTEXT; NEEDS(function, FUNCTION, "the function"); NEEDS(stream, STREAM, "the stream");
    const void *buffer = NULL;
    uint64_t bytes = 0;
    if (parameters) return misuse("%s: parameters one by one are none of the program's ways", __func__), INVALID_VALUE;
    for (; extra && (uintptr_t)extra[0] != PARAM_END; extra += 2) {
        if ((uintptr_t)extra[0] == PARAM_BUFFER_POINTER) buffer = extra[1];
        else if ((uintptr_t)extra[0] == PARAM_BUFFER_SIZE) bytes = *(size_t *)extra[1];
        else return misuse("%s: extra names %p", __func__, extra[0]), INVALID_VALUE;
    }
    if (bytes > sizeof ((Launch *)0)->parameters) return INVALID_VALUE;
    Launch launch = { function, { grid_x, grid_y, grid_z }, { block_x, block_y, block_z }, shared_memory, bytes, { 0 } };
    if (bytes) memcpy(launch.parameters, buffer, bytes);
    return queue(stream, run_launch, &launch, sizeof launch);
}

enum { STREAM_NON_BLOCKING = 1 };

CUresult cuStreamCreate(Stream **stream, unsigned flags)
{
    NEEDS_CONTEXT;
    if (flags & ~STREAM_NON_BLOCKING) return INVALID_VALUE;
    *stream = make_object(sizeof **stream, STREAM);
    live++;
    return SUCCESS;
}
CUresult cuStreamDestroy_v2(Stream *stream) { NEEDS_CONTEXT; NEEDS(stream, STREAM, "the stream"); return destroy(stream); }
CUresult cuStreamSynchronize(Stream *stream) { NEEDS_CONTEXT; NOT_IN_CAPTURE; NEEDS(stream, STREAM, "the stream"); return SUCCESS; }
CUresult cuStreamWaitEvent(Stream *stream, Event *event, unsigned flags)
{
    NEEDS_CONTEXT; NEEDS(stream, STREAM, "the stream"); NEEDS(event, EVENT, "the event");
    return flags ? INVALID_VALUE : SUCCESS;
}

/* Graphs. */

static void free_nodes(Graph *graph)
{
    for (Node *node = graph->first, *next; node; node = next) {
        next = node->next;
        free(node->arguments);
        free(node);
    }
    graph->first = graph->last = NULL;
}

enum { CAPTURE_MODE_THREAD_LOCAL = 1 };

CUresult cuStreamBeginCapture_v2(Stream *stream, int mode)
{
    NEEDS_CONTEXT; NEEDS(stream, STREAM, "the stream");
    if (mode != CAPTURE_MODE_THREAD_LOCAL || stream->capture || capturing) return INVALID_VALUE;
    stream->capture = make_object(sizeof *stream->capture, GRAPH);
    stream->invalidated = 0;
    live++;
    capturing = stream;
    return SUCCESS;
}
CUresult cuStreamEndCapture(Stream *stream, Graph **graph)
{
    NEEDS_CONTEXT; NEEDS(stream, STREAM, "the stream");
    if (!stream->capture || capturing != stream) return CAPTURE_UNMATCHED;
    *graph = stream->capture;
    stream->capture = NULL;
    capturing = NULL;
    if (!stream->invalidated) return SUCCESS;
    free_nodes(*graph);
    destroy(*graph);
    *graph = NULL;
    return CAPTURE_INVALIDATED;
}
CUresult cuGraphGetNodes(Graph *graph, void **nodes, size_t *count)
{
    NEEDS_CONTEXT; NEEDS(graph, GRAPH, "the graph");
    if (nodes) return INVALID_VALUE; /* the program asks for their number alone */
    *count = graph->count;
    return SUCCESS;
}
CUresult cuGraphInstantiateWithFlags(Graph **executable, Graph *graph, unsigned long long flags)
{
    NEEDS_CONTEXT; NEEDS(graph, GRAPH, "the graph");
    if (flags) return INVALID_VALUE;
    Stream collector = { .capture = make_object(sizeof **executable, GRAPH_EXEC) };
    for (const Node *node = graph->first; node; node = node->next) standin_capture(&collector, node->run, node->arguments, node->bytes);
    *executable = collector.capture;
    live++;
    return SUCCESS;
}
CUresult cuGraphDestroy(Graph *graph) { NEEDS_CONTEXT; NEEDS(graph, GRAPH, "the graph"); free_nodes(graph); return destroy(graph); }
CUresult cuGraphExecDestroy(Graph *executable) { NEEDS_CONTEXT; NEEDS(executable, GRAPH_EXEC, "the graph"); free_nodes(executable); return destroy(executable); }
CUresult cuGraphLaunch(Graph *executable, Stream *stream)
{
    NEEDS_CONTEXT; NEEDS(executable, GRAPH_EXEC, "the graph"); NEEDS(stream, STREAM, "the stream");
    if (stream->capture) return CAPTURE_UNSUPPORTED; /* graphs in graphs are none of the program's */
    for (const Node *node = executable->first; node; node = node->next) {
        const CUresult result = node->run(node->arguments);
        if (result != SUCCESS) return result;
    }
    return SUCCESS;
}

/* A clock that only ticks: times differ and grow, and no test can come to depend on the machine's speed. */
static double ticks;

CUresult cuEventCreate(Event **event, unsigned flags)
{
    NEEDS_CONTEXT;
    if (flags & ~7u) return INVALID_VALUE;
    *event = make_object(sizeof **event, EVENT);
    live++;
    return SUCCESS;
}
CUresult cuEventDestroy_v2(Event *event) { NEEDS_CONTEXT; NEEDS(event, EVENT, "the event"); return destroy(event); }
CUresult cuEventRecord(Event *event, Stream *stream)
{
    NEEDS_CONTEXT; NEEDS(event, EVENT, "the event"); NEEDS(stream, STREAM, "the stream");
    event->recorded = 1;
    event->time = ++ticks;
    return SUCCESS;
}
CUresult cuEventSynchronize(Event *event) { NEEDS_CONTEXT; NOT_IN_CAPTURE; NEEDS(event, EVENT, "the event"); return SUCCESS; }
CUresult cuEventElapsedTime(float *milliseconds, Event *start, Event *end)
{
    NEEDS_CONTEXT; NEEDS(start, EVENT, "the first event"); NEEDS(end, EVENT, "the second event");
    if (!start->recorded || !end->recorded) return misuse("%s: an event was never recorded", __func__), INVALID_HANDLE;
    *milliseconds = (float)(end->time - start->time);
    return SUCCESS;
}

/* Of other libraries' stand-ins: whether a stream is one of this driver's, and the current context's. */
int standin_is_stream(const void *stream, const char *call) { return is_object(stream, STREAM, call, "the stream"); }
int standin_has_context(void) { return current && current->object.alive; }
