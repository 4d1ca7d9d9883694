// Everyday CUDA that the PTX compiler is held to, one kernel a habit. breadth.ptx is this file through NVRTC 11.8:
// --std=c++17 --gpu-architecture=compute_80 -default-device
extern "C" __device__ int printf(const char*, ...);

// y[16 i ..]: the mathematics library in double precision.
extern "C" __global__ void double_functions(const double* __restrict__ x, double* __restrict__ y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    double v = x[i], p = fabs(v) + 1e-3;
    double* r = y + 16 * i;
    r[0] = sin(v); r[1] = cos(v); r[2] = exp(v * 0.01); r[3] = log(p); r[4] = pow(p, 0.37); r[5] = tanh(v * 0.1);
    r[6] = atan2(v, 3.0); r[7] = cbrt(v); r[8] = sinh(v * 0.01); r[9] = log1p(p); r[10] = expm1(v * 1e-3); r[11] = fmod(v, 7.25);
    r[12] = erf(v * 0.05); r[13] = lgamma(p); r[14] = hypot(v, 5.0); r[15] = asin(v / (p + 1.0));
}

// y[14 i ..]: in single precision, with arguments that need the long reduction.
extern "C" __global__ void float_functions(const float* __restrict__ x, float* __restrict__ y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float v = x[i], p = fabsf(v) + 1e-3f;
    float* r = y + 14 * i;
    r[0] = sinf(v); r[1] = cosf(v); r[2] = expf(v * 1e-4f); r[3] = logf(p); r[4] = powf(p, 0.37f); r[5] = tanhf(v * 1e-3f);
    r[6] = atan2f(v, 3.f); r[7] = cbrtf(v); r[8] = erff(v * 1e-3f); r[9] = log1pf(p); r[10] = fmodf(v, 7.25f);
    r[11] = exp2f(v * 1e-4f); r[12] = rsqrtf(p); r[13] = tanf(v);
}

// y[16 i ..]: division and remainder of all widths and signs.
extern "C" __global__ void divisions(const long long* __restrict__ a, const long long* __restrict__ b, long long* __restrict__ y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    long long p = a[i], q = b[i] | 1;
    long long* r = y + 16 * i;
    signed char c = (signed char)q; unsigned char uc = (unsigned char)q; short s = (short)q; unsigned short us = (unsigned short)q;
    r[0] = (signed char)p / c; r[1] = (signed char)p % c; r[2] = (unsigned char)p / uc; r[3] = (unsigned char)p % uc;
    r[4] = (short)p / s; r[5] = (short)p % s; r[6] = (unsigned short)p / us; r[7] = (unsigned short)p % us;
    r[8] = (int)(p >> 1) / 7; r[9] = (int)(p >> 1) % 1000003; r[10] = (unsigned)p / (unsigned)q; r[11] = (unsigned)p % (unsigned)q;
    r[12] = p / (q | 2); r[13] = p % (q | 2); r[14] = (unsigned long long)p / (unsigned long long)q; r[15] = (unsigned long long)p % 1000000007ull;
}

// A structure as a parameter, read at an index that is not known, and by a function that is not inlined.
struct Options { float scale[4]; int offset; short shift; char flag; double bias; long long stride; };
__constant__ int table[2][8] = {{3, 1, 4, 1, 5, 9, 2, 6}, {2, 7, 1, 8, 2, 8, 1, 8}};
__noinline__ __device__ float weigh(const float* w, int k, Options o) { return w[k & 3] * (o.flag ? 2.f : 0.5f) + o.offset; }
__noinline__ __device__ Options changed(Options o, int k) { o.offset += k; o.scale[k & 3] = -o.scale[k & 3]; o.flag = (char)(k & 1); return o; }
extern "C" __global__ void structures(const int* __restrict__ x, double* __restrict__ y, int n, Options o) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    Options mine = changed(o, x[i]);
    y[i] = weigh(mine.scale, x[i] >> 2, mine) + o.scale[x[i] & 3] + o.bias + (double)(o.stride * i) + (o.shift << 2) + table[x[i] & 1][(x[i] >> 1) & 7];
}

// Sorts its block's elements in shared memory; blockDim.x is a power of two.
extern "C" __global__ void bitonic_sort(const unsigned* __restrict__ x, unsigned* __restrict__ y) {
    __shared__ unsigned s[512];
    unsigned t = threadIdx.x;
    s[t] = x[blockIdx.x * blockDim.x + t];
    for (unsigned k = 2; k <= blockDim.x; k <<= 1)
        for (unsigned j = k >> 1; j > 0; j >>= 1) {
            __syncthreads();
            unsigned other = t ^ j;
            if (other > t) {
                bool up = (t & k) == 0;
                if ((s[t] > s[other]) == up) { unsigned v = s[t]; s[t] = s[other]; s[other] = v; }
            }
        }
    __syncthreads();
    y[blockIdx.x * blockDim.x + t] = s[t];
}

// Inclusive sums over a block: by shuffles within warps, through shared memory across.
extern "C" __global__ void prefix_scan(const int* __restrict__ x, int* __restrict__ y, int n) {
    __shared__ int sums[32];
    int i = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    int v = i < n ? x[i] : 0;
    for (int d = 1; d < 32; d <<= 1) { int u = __shfl_up_sync(~0u, v, d); if (lane >= d) v += u; }
    if (lane == 31) sums[warp] = v;
    __syncthreads();
    if (warp == 0) {
        int s = lane < (blockDim.x >> 5) ? sums[lane] : 0;
        for (int d = 1; d < 32; d <<= 1) { int u = __shfl_up_sync(~0u, s, d); if (lane >= d) s += u; }
        sums[lane] = s;
    }
    __syncthreads();
    if (i < n) y[i] = v + (warp > 0 ? sums[warp - 1] : 0);
}

// Atomics of many kinds on few places, from lanes that have parted.
extern "C" __global__ void atomics(const int* __restrict__ x, unsigned long long* __restrict__ y, int n) {
    __shared__ unsigned bins[8]; __shared__ int least; __shared__ unsigned long long total;
    if (threadIdx.x < 8) bins[threadIdx.x] = 0;
    if (threadIdx.x == 0) { least = 0x7fffffff; total = 0; }
    __syncthreads();
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) {
        int v = x[i];
        atomicAdd(&bins[v & 7], 1u);
        if (v % 3 != 0) atomicMin(&least, v); else atomicAdd(&total, (unsigned long long)v << 20);
        atomicMax(y + 9, (unsigned long long)v * 4294967311ull);
        atomicXor((unsigned*)(y + 10), (unsigned)v);
        atomicOr((unsigned*)(y + 11), 1u << (v & 31));
        atomicAdd((double*)(y + 12), (double)(v & 1023));
        atomicAdd((float*)(y + 13), (float)(v & 15));
        atomicInc((unsigned*)(y + 14), 12u);
        unsigned long long* p = y + 15; unsigned long long seen = *p, old;
        do { old = seen; seen = atomicCAS(p, old, old + (unsigned)(v & 255)); } while (seen != old);
    }
    __syncthreads();
    if (threadIdx.x < 8) atomicAdd(y + threadIdx.x, (unsigned long long)bins[threadIdx.x]);
    if (threadIdx.x == 0) { atomicAdd(y + 8, total); atomicMin((int*)(y + 16), least); }
}

// y[columns, rows] = x[rows, columns] transposed through a tile.
extern "C" __global__ void transpose(const double* __restrict__ x, double* __restrict__ y, int rows, int columns) {
    __shared__ double tile[32][33];
    int c = blockIdx.x * 32 + threadIdx.x;
    for (int j = threadIdx.y; j < 32; j += blockDim.y) { int r = blockIdx.y * 32 + j; if (r < rows && c < columns) tile[j][threadIdx.x] = x[r * columns + c]; }
    __syncthreads();
    int r = blockIdx.y * 32 + threadIdx.x;
    for (int j = threadIdx.y; j < 32; j += blockDim.y) { int k = blockIdx.x * 32 + j; if (r < rows && k < columns) y[k * rows + r] = tile[threadIdx.x][j]; }
}

// Local arrays at unknown indices, loops that some lanes leave, skip and return from, and a switch.
__noinline__ __device__ int collatz(unsigned v) { int k = 0; while (v != 1) { v = v & 1 ? 3 * v + 1 : v >> 1; if (++k == 60) return -k; } return k; }
extern "C" __global__ void wanders(const int* __restrict__ x, int* __restrict__ y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    int stack[12], top = 0, r = 0, v = x[i];
    for (int k = 0; k < 40; k++) {
        int d = (v >> (k & 15)) + k;
        if (d % 5 == 0) continue;
        if (d % 37 == 36) break;
        switch (d % 9) {
            case 0: if (top < 12) stack[top++] = d; break;
            case 1: if (top > 0) r += stack[--top] * 3; break;
            case 2: r ^= d; break;
            case 3: r = (r << 3) | ((unsigned)r >> 29); break;
            case 4: if (r < -100000) { y[i] = r; return; }
            case 5: r -= d * k; break;
            case 6: r += __popc(d) + __clz(d) + __ffs(d) + (int)__brev(d); break;
            case 7: for (int j = 0; j < top; j++) r += stack[j]; break;
            default: r += collatz((d & 1023) + 1);
        }
    }
    while (top > 0) r = r * 31 + stack[--top];
    y[i] = r;
}

// Halves by inline PTX, two a register.
extern "C" __global__ void halves(const unsigned* __restrict__ a, const unsigned* __restrict__ b, unsigned* __restrict__ y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    unsigned p = a[i], q = b[i], s, m, f, c, g;
    asm("add.f16x2 %0, %1, %2;" : "=r"(s) : "r"(p), "r"(q));
    asm("mul.f16x2 %0, %1, %2;" : "=r"(m) : "r"(p), "r"(q));
    asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(f) : "r"(p), "r"(q), "r"(s));
    asm("{ .reg .f16 l, h; .reg .f32 x, y; mov.b32 {l, h}, %1; cvt.f32.f16 x, l; cvt.f32.f16 y, h; mul.f32 x, x, y; cvt.rn.f16.f32 l, x; mov.b32 %0, {l, h}; }" : "=r"(c) : "r"(q));
    asm("{ .reg .pred u; .reg .f16 l, h, k, j; mov.b32 {l, h}, %1; mov.b32 {k, j}, %2; setp.lt.f16 u, l, k; selp.b32 %0, %1, %2, u; }" : "=r"(g) : "r"(p), "r"(q));
    y[5 * i] = s; y[5 * i + 1] = m; y[5 * i + 2] = f; y[5 * i + 3] = c; y[5 * i + 4] = g;
}

// Wide arithmetic: 128-bit products and sums, shifts, rotations, byte permutations, conversions there and back.
extern "C" __global__ void wide(const unsigned long long* __restrict__ a, const unsigned long long* __restrict__ b, unsigned long long* __restrict__ y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    unsigned long long p = a[i], q = b[i];
    unsigned long long* r = y + 8 * i;
    unsigned long long low = p * q, high = __umul64hi(p, q) + (low + p < low);
    r[0] = low + p; r[1] = high; r[2] = (unsigned long long)__mul64hi((long long)p, (long long)q);
    int k = (int)(q & 63);
    r[3] = (p << k) | (p >> ((64 - k) & 63)); r[4] = (unsigned long long)((long long)p >> k);
    r[5] = ((unsigned long long)__byte_perm((unsigned)p, (unsigned)q, (unsigned)(q >> 32)) << 32) | __funnelshift_r((unsigned)p, (unsigned)(p >> 32), k);
    r[6] = (unsigned long long)__popcll(p) | (unsigned long long)__clzll(q) << 8 | (unsigned long long)__ffsll(p) << 16 | (__brevll(q) << 32);
    r[7] = (unsigned long long)(float)p ^ __double_as_longlong((double)(long long)q) ^ (unsigned long long)__float_as_uint((float)(long long)q) ^ (unsigned long long)(long long)(float)(int)q;
}

// Votes and matches among lanes that have parted, and a leader that speaks for them.
extern "C" __global__ void groups(const int* __restrict__ x, int* __restrict__ y) {
    int i = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x & 31, v = x[i] % 5, r;
    if (v != 2) {
        unsigned active = __activemask();
        unsigned same = __match_any_sync(active, v);
        int leader = __ffs(same) - 1;
        int base = 0;
        if (lane == leader) base = atomicAdd(y + gridDim.x * blockDim.x, 0) + __popc(same) * 100;
        base = __shfl_sync(same, base, leader);
        r = base + __popc(same & ((1u << lane) - 1)) + (__all_sync(active, v < 5) ? 10000 : 0);
    } else {
        r = -(int)__reduce_add_sync(__activemask(), (unsigned)lane);
    }
    __syncwarp();
    y[i] = r + (__any_sync(~0u, v == 3) ? 1000000 : 0) + __syncthreads_count(v == 1) * 10000000;
}

extern "C" __global__ void says(int n) {
    int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t < n && (t & 1)) printf("%d|%5.3f|%s|%lld|%c|%08x|%u|%%\n", t, t * 0.25, t & 2 ? "odd" : "ends", -5000000000ll * t, 'a' + t, t * 77u, 4000000000u);
}
