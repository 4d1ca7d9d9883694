/* Elements of device memory as plain loops see them: read to double, written with one rounding. */
#ifndef ELEMENTS_H
#define ELEMENTS_H

#include "standin.h"

typedef enum { F32, F64, F16, BF16 } Element;

static inline int element_bytes(Element type) { return type == F64 ? 8 : type == F32 ? 4 : 2; }

static inline float bits_to_float(uint32_t bits) { float f; memcpy(&f, &bits, 4); return f; }
static inline uint32_t float_to_bits(float f) { uint32_t bits; memcpy(&bits, &f, 4); return bits; }

static inline float half_to_float(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 1023;
    if (exponent == 31) return bits_to_float(sign | 0x7f800000u | mantissa << 13);
    if (exponent == 0) return (sign ? -1.0f : 1.0f) * (float)mantissa * 0x1p-24f;
    return bits_to_float(sign | (exponent + 112) << 23 | mantissa << 13);
}

/* To nearest, ties to even: IEEE 754 binary16. */
static inline uint16_t float_to_half(float f)
{
    const uint32_t bits = float_to_bits(f), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00);
    if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* 65520 and above */
    if (magnitude < 0x38800000) {                                   /* below 2^-14: subnormal, in steps of 2^-24 */
        const float scaled = bits_to_float(magnitude) * 0x1p24f;
        uint32_t steps = (uint32_t)scaled;
        const float rest = scaled - (float)steps;
        steps += rest > 0.5f || (rest == 0.5f && (steps & 1));
        return (uint16_t)(sign | steps);
    }
    const uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
    return (uint16_t)(sign | ((rounded >> 13) - (112u << 10)));
}

static inline uint16_t float_to_bfloat(float f)
{
    const uint32_t bits = float_to_bits(f);
    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 64);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static inline double read_element(const void *p, Element type, int64_t i)
{
    switch (type) {
    case F32: return ((const float *)p)[i];
    case F64: return ((const double *)p)[i];
    case F16: return half_to_float(((const uint16_t *)p)[i]);
    default: return bits_to_float((uint32_t)((const uint16_t *)p)[i] << 16);
    }
}

static inline void write_element(void *p, Element type, int64_t i, double value)
{
    switch (type) {
    case F32: ((float *)p)[i] = (float)value; break;
    case F64: ((double *)p)[i] = value; break;
    case F16: ((uint16_t *)p)[i] = float_to_half((float)value); break;
    default: ((uint16_t *)p)[i] = float_to_bfloat((float)value); break;
    }
}

/* Whether elements [0, count) from an address lie inside one allocation and on their own alignment; reports what does not. */
static inline int is_operand(const char *call, const char *what, const void *p, Element type, int64_t count)
{
    if (count <= 0) return 1;
    if (!p) return misuse("%s: %s is null", call, what), 0;
    if ((uintptr_t)p % element_bytes(type)) return misuse("%s: %s at %p is not aligned to its elements", call, what, p), 0;
    if (!standin_device->contains((uint64_t)(uintptr_t)p, (uint64_t)count * element_bytes(type)))
        return misuse("%s: %s at %p, %lld elements long, is not inside one allocation", call, what, p, (long long)count), 0;
    return 1;
}

/* The libraries find the driver's stand-in in the process, as NVIDIA's find the driver. */
int standin_is_stream(const void *stream, const char *call);
int standin_has_context(void);
int standin_capture(void *stream, int (*run)(const void *arguments), const void *arguments, size_t bytes);

#endif
