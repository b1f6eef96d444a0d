// Philox 4x32-10: a random number is a function of its name. The twin of kernels/philox.py, which
// holds the registry of draws. Compiles as host code too, for the tests.
#pragma once
#include "types.cuh"

enum Purpose {
    TICKET = PURPOSE_TICKET,
    FIRST = PURPOSE_FIRST,
    UPDATE = PURPOSE_UPDATE,
    VISIT = PURPOSE_VISIT,
    WEIGHT = PURPOSE_WEIGHT,
    SWEEP = PURPOSE_SWEEP
};

struct Words {
    u32 a, b, c, d;
};

__device__ __forceinline__ Words philox(u64 seed, u32 c0, u32 c1, u32 c2, u32 c3) {
    u32 k0 = (u32)seed, k1 = (u32)(seed >> 32);
#pragma unroll
    for (int round = 0; round < 10; round++) {
        u64 p0 = (u64)0xD2511F53u * c0, p1 = (u64)0xCD9E8D57u * c2;
        c0 = (u32)(p1 >> 32) ^ c1 ^ k0;
        c1 = (u32)p1;
        c2 = (u32)(p0 >> 32) ^ c3 ^ k1;
        c3 = (u32)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return {c0, c1, c2, c3};
}

// The words of one named draw; `count` is a window, step or sweep.
__device__ __forceinline__ Words draw(u64 seed, u32 neuron, u64 count, u32 ticket, u32 purpose) {
    return philox(seed, neuron, (u32)count, (u32)(count >> 32), ticket << 8 | purpose);
}

__device__ __forceinline__ u32 word_of(Words words, int k) {
    return k == 0 ? words.a : k == 1 ? words.b : k == 2 ? words.c : words.d;
}
