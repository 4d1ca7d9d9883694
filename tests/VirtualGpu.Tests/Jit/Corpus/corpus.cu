// Kernels that the PTX compiler is tested on. corpus.ptx is this file through NVRTC 11.8:
// --std=c++17 --gpu-architecture=compute_70 -default-device
extern "C" __device__ int printf(const char*, ...);
extern "C" __device__ void __assertfail(const char*, const char*, unsigned, const char*, unsigned long);
extern __shared__ float dynamicShared[];
__device__ int blocksDone;
__constant__ float weights[5] = {1.f, 4.f, 6.f, 4.f, 1.f};

// Threads part in several ways, some leave early, and all meet again.
extern "C" __global__ void divergence(const int* __restrict__ x, int* __restrict__ y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    int v = x[i], r = 0;
    if (v % 3 == 0) { for (int k = 0; k < (v & 15); k++) r += k * v; }
    else if (v % 3 == 1) { r = -v; if (v & 1) r ^= 0x55; }
    else { int k = v & 31; while (k != 1 && k != 0) { k = (k & 1) ? (3 * k + 1) & 63 : k >> 1; r++; if (r > 40) break; } }
    y[i] = r;
}

extern "C" __global__ void block_sum(const float* __restrict__ x, float* __restrict__ y, int n) {
    __shared__ float partial[32];
    float sum = 0.f;
    for (int i = threadIdx.x; i < n; i += blockDim.x) sum += x[blockIdx.x * (long long)n + i];
    for (int o = 16; o > 0; o >>= 1) sum += __shfl_down_sync(0xffffffffu, sum, o);
    if ((threadIdx.x & 31) == 0) partial[threadIdx.x >> 5] = sum;
    __syncthreads();
    if (threadIdx.x < 32) {
        sum = threadIdx.x < (blockDim.x + 31) / 32 ? partial[threadIdx.x] : 0.f;
        for (int o = 16; o > 0; o >>= 1) sum += __shfl_xor_sync(0xffffffffu, sum, o);
        if (threadIdx.x == 0) y[blockIdx.x] = sum;
    }
}

// c[m, n] = a[m, k] b[k, n] through 16 x 16 tiles; all sizes may be odd.
extern "C" __global__ void tiled_product(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ c, int m, int n, int k) {
    __shared__ float ta[16][17], tb[16][17];
    int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
    float sum = 0.f;
    for (int t = 0; t < k; t += 16) {
        ta[threadIdx.y][threadIdx.x] = row < m && t + threadIdx.x < k ? a[row * k + t + threadIdx.x] : 0.f;
        tb[threadIdx.y][threadIdx.x] = column < n && t + threadIdx.y < k ? b[(t + threadIdx.y) * n + column] : 0.f;
        __syncthreads();
        for (int j = 0; j < 16; j++) sum += ta[threadIdx.y][j] * tb[j][threadIdx.x];
        __syncthreads();
    }
    if (row < m && column < n) c[row * n + column] = sum;
}

extern "C" __global__ void dynamic_reverse(const float* __restrict__ x, float* __restrict__ y) {
    dynamicShared[threadIdx.x] = x[blockIdx.x * blockDim.x + threadIdx.x];
    __syncthreads();
    y[blockIdx.x * blockDim.x + threadIdx.x] = dynamicShared[blockDim.x - 1 - threadIdx.x];
}

extern "C" __global__ void histogram(const unsigned* __restrict__ x, unsigned* __restrict__ bins, int n) {
    __shared__ unsigned local[16];
    if (threadIdx.x < 16) local[threadIdx.x] = 0;
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) atomicAdd(&local[x[i] & 15], 1u);
    __syncthreads();
    if (threadIdx.x < 16) atomicAdd(&bins[threadIdx.x], local[threadIdx.x]);
}

__device__ __noinline__ double polynomial(double x, const double* c, int n) { double s = 0; for (int i = 0; i < n; i++) s = s * x + c[i]; return s; }

// A device function, a local array with an index at run time, slow paths of the double-precision library.
extern "C" __global__ void doubles(const double* __restrict__ x, double* __restrict__ y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    double c[6];
    for (int k = 0; k < 6; k++) c[k] = 1.0 / (k + 1 + (i & 3));
    double v = x[i];
    c[i % 6] += 1.0;
    y[4 * i] = polynomial(v * 1e-3, c, 6);
    y[4 * i + 1] = sin(v);
    y[4 * i + 2] = pow(fabs(v), 0.7);
    y[4 * i + 3] = exp(-fabs(v) * 1e-2) + log(fabs(v) + 1.0) + sqrt(fabs(v)) + erf(v * 1e-2);
}

extern "C" __global__ void floats(const float* __restrict__ x, float* __restrict__ y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float v = x[i];
    float* o = y + 8 * i;
    o[0] = expf(v); o[1] = logf(fabsf(v)); o[2] = sinf(v); o[3] = cosf(v * 100.f); o[4] = tanhf(v); o[5] = erff(v); o[6] = rsqrtf(fabsf(v)); o[7] = powf(fabsf(v), 1.3f);
}

extern "C" __global__ void vectors(const float4* __restrict__ x, const float2* __restrict__ s, float4* __restrict__ y, unsigned char* __restrict__ bytes, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float4 v = x[i]; float2 t = s[i];
    y[i] = make_float4(v.x * t.x + t.y, v.y * t.x + t.y, v.z * t.x + t.y, v.w * t.x + t.y);
    bytes[i] = (unsigned char)(v.x * 10.f) + bytes[n + i];
}

extern "C" __global__ void votes(const int* __restrict__ x, unsigned* __restrict__ y) {
    int i = blockIdx.x * blockDim.x + threadIdx.x, v = x[i];
    unsigned b = __ballot_sync(0xffffffffu, v & 1);
    unsigned m = __match_any_sync(0xffffffffu, v & 3);
    int all = __all_sync(0xffffffffu, v > -1000), any = __any_sync(0xffffffffu, v == 7);
    unsigned part = 0;
    if (v & 2) part = __activemask() ^ __ballot_sync(__activemask(), v & 4);
    int up = __shfl_up_sync(0xffffffffu, v, 3, 16), to = __shfl_sync(0xffffffffu, v, v & 7, 8);
    y[i] = b ^ (m * 3u) ^ (all << 4) ^ (any << 5) ^ part ^ (up * 7) ^ (to * 13) ^ __popc(b) ^ __clz(v) ^ __brev(v) ^ __ffs(v) ^ __byte_perm(v, b, 0x5410);
}

// A lock that lanes of one warp contend for, and blocks too.
extern "C" __global__ void spin_lock(int* lock, int* counter) {
    bool done = false;
    while (!done) {
        if (atomicCAS(lock, 0, 1) == 0) { *(volatile int*)counter = *(volatile int*)counter + 1; __threadfence(); atomicExch(lock, 0); done = true; }
    }
}

// Every block waits for the one before it; with descending order of start all must be resident.
extern "C" __global__ void block_chain(volatile int* flags, int* y, int n) {
    int b = n - 1 - blockIdx.x;
    if (threadIdx.x == 0) { if (b > 0) while (flags[b - 1] == 0) { } __threadfence(); }
    __syncthreads();
    y[b * blockDim.x + threadIdx.x] = b == 0 ? threadIdx.x : y[(b - 1) * blockDim.x + threadIdx.x] + 1;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) flags[b] = 1;
}

// Warps hand a value on through shared memory while the others of their block wait.
extern "C" __global__ void warp_chain(int* y) {
    __shared__ volatile int turn;
    if (threadIdx.x == 0) turn = 0;
    __syncthreads();
    int w = threadIdx.x >> 5, last = (blockDim.x >> 5) - 1 - w;
    while (turn != last) { }
    y[blockIdx.x * blockDim.x + threadIdx.x] = last * 100 + (threadIdx.x & 31);
    __syncwarp();
    if ((threadIdx.x & 31) == 0) turn = last + 1;
}

extern "C" __global__ void three_d(int* __restrict__ y, int stride) {
    int t = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    int b = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    y[b * stride + t] = threadIdx.x * 1000000 + threadIdx.y * 10000 + threadIdx.z * 100 + b;
}

// 32-bit index arithmetic that wraps around.
extern "C" __global__ void wrap(const unsigned* __restrict__ x, unsigned* __restrict__ y, unsigned start, int n) {
    unsigned i = start + threadIdx.x;
    long long wide = (long long)(int)(0x7ffffff0 + (int)threadIdx.x + n);
    y[threadIdx.x] = x[(i * 4u) >> 2 & 63u] + (unsigned)(wide >> 32) + (unsigned)(((unsigned long long)i * 5ull) >> 30);
}

extern "C" __global__ void integers(const int* __restrict__ a, const int* __restrict__ b, long long* __restrict__ y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    int p = a[i], q = b[i] | 1;
    long long w = (long long)p * q + i, v = w ^ ((long long)q << 33);
    y[6 * i] = p / q; y[6 * i + 1] = (unsigned)p % (unsigned)q; y[6 * i + 2] = w / q; y[6 * i + 3] = __mulhi(p, q) + (long long)__umulhi(p, q);
    y[6 * i + 4] = __mul64hi(w, v) ^ (v >> (p & 63)) ^ ((unsigned long long)v >> (q & 63)); y[6 * i + 5] = __popcll(v) + __clzll(w) + (short)p * (short)q + (signed char)p + llabs(v % q);
}

// Five taps from constant memory; the borders by clamping.
extern "C" __global__ void blur(const float* __restrict__ x, float* __restrict__ y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float s = 0.f;
    for (int k = -2; k <= 2; k++) { int j = min(max(i + k, 0), n - 1); s += weights[k + 2] * x[j]; }
    y[i] = s / 16.f;
}

// Barriers inside a branch that whole warps take, and one in a loop.
extern "C" __global__ void barriers(int* __restrict__ y) {
    __shared__ int s[256];
    s[threadIdx.x] = threadIdx.x;
    for (int o = 1; o < blockDim.x; o <<= 1) {
        __syncthreads();
        int v = threadIdx.x >= o ? s[threadIdx.x - o] : 0;
        __syncthreads();
        s[threadIdx.x] += v;
    }
    int odd = __syncthreads_count(s[threadIdx.x] & 1), all = __syncthreads_and(s[threadIdx.x] >= 0), any = __syncthreads_or(threadIdx.x == 77);
    if (threadIdx.x >= 64) { asm volatile("barrier.sync 3, 192;"); }
    y[blockIdx.x * blockDim.x + threadIdx.x] = s[threadIdx.x] + odd * 1000 + all * 7 + any * 11;
}

extern "C" __global__ void shouts(int n) { if (threadIdx.x < n) printf("thread %d of %s: %5.2f %x\n", (int)threadIdx.x, "corpus", threadIdx.x * 1.5, 255u); }
extern "C" __global__ void asserts(const int* x) { if (x[threadIdx.x] == 3) __assertfail("x != 3", "corpus.cu", 99, "asserts", 1); }
extern "C" __global__ void traps(int n) { if (threadIdx.x == n) __trap(); }
extern "C" __global__ void strays(float* y, int offset) { y[threadIdx.x + (threadIdx.x == 5 ? offset : 0)] = 1.f; }
extern "C" __global__ void misaligns(char* y, int offset) { *(int*)(y + threadIdx.x * 4 + (threadIdx.x == 9 ? offset : 0)) = 1; }
extern "C" __global__ void shared_strays(float* y, int offset) { __shared__ float s[64]; s[threadIdx.x + offset] = 1.f; __syncthreads(); y[threadIdx.x] = s[63 - threadIdx.x]; }
extern "C" __global__ void never_meets(int* y) { if (threadIdx.x < 32) __syncthreads(); else while (((volatile int*)y)[0] == 12345) { } if (threadIdx.x >= 32) asm volatile("barrier.sync 1;"); }
