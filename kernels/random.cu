// Random numbers from counters: element e of a stream is a function of (seed, purpose, e), computed where it is needed.
// Everything is IEEE arithmetic with its rounding spelled out (no approximate instruction, nothing left to contract), so
// that a GPU and the virtual device give the same bits.
#include "blocks.cuh"
#include "common.cuh"
#include "philox.cuh"

namespace {

// (x >> 9 + 1/2) / 2^23: a number in (0, 1), exact in float.
__device__ __forceinline__ float open_unit(unsigned x) {
    return __fmul_rn(__fadd_rn(static_cast<float>(x >> 9), 0.5f), 0x1p-23f);
}

// Natural logarithm of a normal float in (0, 1): Cephes' logf (S. Moshier), within 1 ulp.
__device__ __forceinline__ float log_unit(float u) {
    // u = 2^exponent (1 + x) with 1 + x in [sqrt(1/2), sqrt(2)): counting from sqrt(1/2)'s bits makes the choice without a branch.
    const int above = static_cast<int>(__float_as_uint(u) - 0x3f3504f3u);
    const int exponent = above >> 23;
    const float x = __fadd_rn(__uint_as_float((above & 0x007fffff) + 0x3f3504f3u), -1.0f);
    float p = 7.0376836292e-2f;
    p = fmaf(p, x, -1.1514610310e-1f);
    p = fmaf(p, x, 1.1676998740e-1f);
    p = fmaf(p, x, -1.2420140846e-1f);
    p = fmaf(p, x, 1.4249322787e-1f);
    p = fmaf(p, x, -1.6668057665e-1f);
    p = fmaf(p, x, 2.0000714765e-1f);
    p = fmaf(p, x, -2.4999993993e-1f);
    p = fmaf(p, x, 3.3333331174e-1f);
    const float square = __fmul_rn(x, x);
    const float e = static_cast<float>(exponent);
    float y = __fmul_rn(__fmul_rn(p, x), square);
    y = fmaf(-2.12194440e-4f, e, y);  // ln 2 in two parts: 0.693359375 - 2.12194440e-4
    y = fmaf(-0.5f, square, y);
    return fmaf(0.693359375f, e, __fadd_rn(x, y));
}

// Cosine and sine of 2 pi x / 2^32. The two top bits after rounding are the quarter turn; what is left is an angle in
// [-pi/4, pi/4), where Cephes' polynomials hold.
__device__ __forceinline__ void cos_sin_turn(unsigned x, float& cosine, float& sine) {
    const unsigned quarter = (x + 0x20000000u) >> 30;
    const int remainder = static_cast<int>(x - (quarter << 30));  // in [-2^29, 2^29)
    const float a = __fmul_rn(static_cast<float>(remainder), 1.4629180792671596e-9f);  // 2 pi / 2^32
    const float z = __fmul_rn(a, a);
    float s = fmaf(fmaf(-1.9515295891e-4f, z, 8.3321608736e-3f), z, -1.6666654611e-1f);
    s = fmaf(__fmul_rn(s, z), a, a);
    float c = fmaf(fmaf(2.443315711809948e-5f, z, -1.388731625493765e-3f), z, 4.166664568298827e-2f);
    c = fmaf(c, __fmul_rn(z, z), fmaf(-0.5f, z, 1.0f));
    const bool swapped = (quarter & 1u) != 0;
    const float u = swapped ? s : c;
    const float v = swapped ? c : s;
    cosine = quarter == 1u || quarter == 2u ? -u : u;
    sine = quarter >= 2u ? -v : v;
}

// Two independent standard normal numbers from two words (Box and Muller 1958).
__device__ __forceinline__ void box_muller(unsigned a, unsigned b, float& x, float& y) {
    const float radius = __fsqrt_rn(__fmul_rn(-2.0f, log_unit(open_unit(a))));
    float cosine, sine;
    cos_sin_turn(b, cosine, sine);
    x = __fmul_rn(radius, cosine);
    y = __fmul_rn(radius, sine);
}

struct Normal {
    __device__ __forceinline__ Four<float> operator()(Philox4 bits) const {
        Four<float> v;
        box_muller(bits.x, bits.y, v.x, v.y);
        box_muller(bits.z, bits.w, v.z, v.w);
        return v;
    }
};

// low + range * k / 2^24 with k in [0, 2^24).
struct Uniform {
    float low, range;
    __device__ __forceinline__ float one(unsigned x) const {
        return fmaf(__fmul_rn(static_cast<float>(x >> 8), 0x1p-24f), range, low);
    }
    __device__ __forceinline__ Four<float> operator()(Philox4 bits) const {
        return {one(bits.x), one(bits.y), one(bits.z), one(bits.w)};
    }
};

// y[i] = element offset + i of the stream. Element e is part e mod 4 of what counter e / 4 gives, so a thread makes the four
// elements of a counter and writes those that lie in y. Double gets the float numbers, widened: a run in double starts from
// the same noise.
template <typename T, typename F>
__device__ __forceinline__ void generate(
    T* __restrict__ y, long long seed, long long purpose, long long offset, int n, F function) {
    const int skipped = static_cast<int>(offset & 3);
    const int quad = blockIdx.x * blockDim.x + threadIdx.x;
    const int first = quad * 4 - skipped;
    if (first >= n) {
        return;
    }
    const Four<float> v = function(philox4x32_10((offset >> 2) + quad, purpose, seed));
    if (skipped == 0 && first <= n - 4 && is_vector_aligned(y)) {
        store4(y + first, {static_cast<T>(v.x), static_cast<T>(v.y), static_cast<T>(v.z), static_cast<T>(v.w)});
        return;
    }
    if (first >= 0) {
        y[first] = static_cast<T>(v.x);
    }
    if (first + 1 >= 0 && first + 1 < n) {
        y[first + 1] = static_cast<T>(v.y);
    }
    if (first + 2 >= 0 && first + 2 < n) {
        y[first + 2] = static_cast<T>(v.z);
    }
    if (first + 3 < n) {
        y[first + 3] = static_cast<T>(v.w);
    }
}

}  // namespace

// y [n]: standard normal numbers, elements offset .. offset + n - 1 of the stream (seed, purpose). Moves n elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) random_normal_f32(
    float* __restrict__ y, long long seed, long long purpose, long long offset, int n) {
    generate(y, seed, purpose, offset, n, Normal{});
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) random_normal_f64(
    double* __restrict__ y, long long seed, long long purpose, long long offset, int n) {
    generate(y, seed, purpose, offset, n, Normal{});
}

// y [n]: numbers low + range * u with u uniform in [0, 1), as above. Moves n elements.
extern "C" __global__ void __launch_bounds__(MAP_BLOCK) random_uniform_f32(
    float* __restrict__ y, float low, float range, long long seed, long long purpose, long long offset, int n) {
    generate(y, seed, purpose, offset, n, Uniform{low, range});
}

extern "C" __global__ void __launch_bounds__(MAP_BLOCK) random_uniform_f64(
    double* __restrict__ y, float low, float range, long long seed, long long purpose, long long offset, int n) {
    generate(y, seed, purpose, offset, n, Uniform{low, range});
}

// y [4n]: the words of counters first .. first + n - 1, for tests against published vectors. Moves 16n bytes.
extern "C" __global__ void __launch_bounds__(WARP_SIZE) random_bits_u32(
    unsigned* __restrict__ y, long long seed, long long purpose, long long first, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) {
        const Philox4 bits = philox4x32_10(first + i, purpose, seed);
        y[4 * i] = bits.x;
        y[4 * i + 1] = bits.y;
        y[4 * i + 2] = bits.z;
        y[4 * i + 3] = bits.w;
    }
}
