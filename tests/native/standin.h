/* What the stand-in libraries share. They take the place of NVIDIA's on a machine without a GPU: the program calls them through its
   real bindings; they check what they are given as strictly as the documentation allows, and have the work done. The driver hands
   it to the device behind the table (the virtual GPU); the others compute by plain loops on that device's memory, which is the
   host's. What the real library would answer with an error gets that error; what it would not notice, and a program must not do
   (a freed handle, an operand that leaves its allocation), is reported as misuse, which fails the test that did it. */
#ifndef STANDIN_H
#define STANDIN_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The device. Functions return a CUresult: 0 is success. Addresses and sizes are in bytes; objects are numbers above 0. */
typedef struct {
    int (*name)(char *text, int bytes);
    int (*total_memory)(uint64_t *bytes);
    int (*attribute)(int *value, int attribute);
    int (*memory_info)(uint64_t *free_bytes, uint64_t *total_bytes);
    int (*allocate)(uint64_t *address, uint64_t bytes);
    int (*release)(uint64_t address);
    int (*contains)(uint64_t address, uint64_t bytes);
    int (*copy_to_device)(uint64_t destination, const void *source, uint64_t bytes);
    int (*copy_to_host)(void *destination, uint64_t source, uint64_t bytes);
    int (*copy)(uint64_t destination, uint64_t source, uint64_t bytes);
    int (*fill)(uint64_t destination, int value, uint64_t bytes);
    int (*load_module)(uint64_t *module, const void *image, char *log, uint64_t log_bytes);
    int (*unload_module)(uint64_t module);
    int (*function)(uint64_t *function, uint64_t module, const char *name);
    int (*variable)(uint64_t *address, uint64_t *bytes, uint64_t module, const char *name);
    int (*function_attribute)(int *value, uint64_t function, int attribute);
    int (*set_dynamic_shared_memory)(uint64_t function, int bytes);
    int (*occupancy)(int *blocks, uint64_t function, int threads, uint64_t shared_memory);
    int (*launch)(uint64_t function, const unsigned *grid, const unsigned *block, unsigned shared_memory, const void *parameters, uint64_t bytes);
    void (*misuse)(const char *what);
} Device;

extern const Device *standin_device;

/* Says what was done that must not be done. */
static inline void misuse(const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (standin_device)
        standin_device->misuse(text);
    else
        fprintf(stderr, "stand-in: %s\n", text);
}

/* Objects behind handles. A handle that was let go stays readable, so that its use is seen and not undefined. */
typedef struct {
    uint32_t magic;
    int kind;
    int alive;
} Object;

#define OBJECT_MAGIC 0x5354414eu /* "STAN" */

static inline void *make_object(size_t bytes, int kind)
{
    Object *o = calloc(1, bytes);
    o->magic = OBJECT_MAGIC;
    o->kind = kind;
    o->alive = 1;
    return o;
}

/* Whether a handle is a living object of a kind; says what it is otherwise. `call` and `what` are for the message. */
static inline int is_object(const void *handle, int kind, const char *call, const char *what)
{
    const Object *o = handle;
    if (!o)
        return misuse("%s: %s is null", call, what), 0;
    if (o->magic != OBJECT_MAGIC || o->kind != kind)
        return misuse("%s: %s is not one", call, what), 0;
    if (!o->alive)
        return misuse("%s: %s was destroyed", call, what), 0;
    return 1;
}

#endif
