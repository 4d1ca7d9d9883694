// The Philox4x32-10 counter-based generator (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", 2011).
#pragma once

struct Philox4 {
    unsigned x, y, z, w;
};

// The four words of a 128-bit counter (low half, high half) under a 64-bit key.
__device__ __forceinline__ Philox4 philox4x32_10(long long counter_low, long long counter_high, long long key) {
    Philox4 c = {
        static_cast<unsigned>(counter_low), static_cast<unsigned>(counter_low >> 32),
        static_cast<unsigned>(counter_high), static_cast<unsigned>(counter_high >> 32)};
    unsigned k0 = static_cast<unsigned>(key);
    unsigned k1 = static_cast<unsigned>(key >> 32);
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        const unsigned high0 = __umulhi(0xD2511F53u, c.x);
        const unsigned low0 = 0xD2511F53u * c.x;
        const unsigned high1 = __umulhi(0xCD9E8D57u, c.z);
        const unsigned low1 = 0xCD9E8D57u * c.z;
        c = {high1 ^ c.y ^ k0, low1, high0 ^ c.w ^ k1, low0};
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return c;
}
