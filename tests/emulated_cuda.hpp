// A block of a CUDA kernel on one core, for the tests: its threads are fibers that take turns at
// barriers and wherever a warp works together. Included before a kernel that is compiled by g++.
#pragma once
#include <sys/mman.h>
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#define EMULATED 1
#define __global__
#define __shared__
#define __align__(n) __attribute__((aligned(n)))
#define __launch_bounds__(...)

struct uint4 { unsigned x, y, z, w; };
struct int4 { int x, y, z, w; };
struct int2 { int x, y; };
struct float4 { float x, y, z, w; };
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline int2 make_int2(int x, int y) { return {x, y}; }

struct Index { unsigned x; };
inline Index threadIdx, blockIdx, blockDim;
inline unsigned char shared[256 << 10] __attribute__((aligned(16)));

namespace emulated {
const int most = 1024, stack = 256 << 10;
struct Barrier { int arrived, turn; };
inline Barrier barriers[2 + most / 32];  // two of a block, and one of each warp
inline ucontext_t host, fibers[most];
inline bool done[most];
inline unsigned slots[most / 32][32][8];
inline void (*body)();

inline void meet(int which, int count) {
    Barrier& barrier = barriers[which];
    const int turn = barrier.turn;
    const unsigned self = threadIdx.x;
    if (++barrier.arrived == count) barrier.arrived = 0, barrier.turn++;
    while (barrier.turn == turn) {
        swapcontext(&fibers[self], &host);
        threadIdx.x = self;
    }
}

inline void meet_warp() { meet(2 + threadIdx.x / 32, 32); }

// What all lanes of the warp give, [lane][word]; to be left by `meet_warp`.
inline unsigned (*exchange(const unsigned* words, int count))[8] {
    unsigned(*slot)[8] = slots[threadIdx.x / 32];
    memcpy(slot[threadIdx.x % 32], words, 4 * count);
    meet_warp();
    return slot;
}

inline void entry() {
    body();
    done[threadIdx.x] = true;
    while (true) swapcontext(&fibers[threadIdx.x], &host);
}

inline void run(int blocks, int threads, void (*kernel)()) {
    static char* stacks = (char*)mmap(0, (size_t)most * stack, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    body = kernel;
    blockDim.x = threads;
    for (int block = 0; block < blocks; block++) {
        blockIdx.x = block;
        memset(barriers, 0, sizeof barriers);
        memset(shared, 0xA5, sizeof shared);  // nothing is to be had from what was there
        for (int t = 0; t < threads; t++) {
            done[t] = false;
            getcontext(&fibers[t]);
            fibers[t].uc_stack.ss_sp = stacks + (size_t)t * stack;
            fibers[t].uc_stack.ss_size = stack;
            fibers[t].uc_link = 0;
            makecontext(&fibers[t], entry, 0);
        }
        for (int left = threads; left;) {
            for (int t = 0; t < threads; t++) {
                if (done[t]) continue;
                threadIdx.x = t;
                swapcontext(&host, &fibers[t]);
                left -= done[t];
            }
        }
    }
}
}  // namespace emulated

inline void __syncthreads() { emulated::meet(0, blockDim.x); }
template <int COUNT>
inline void meet_some() { emulated::meet(1, COUNT); }

template <typename T>
inline T shuffle(T value, int from) {
    unsigned words[2] = {};
    memcpy(words, &value, sizeof value);
    T found;
    memcpy(&found, emulated::exchange(words, 2)[from], sizeof found);
    emulated::meet_warp();
    return found;
}
template <typename T>
inline T __shfl_sync(unsigned, T value, int from, int width = 32) {
    return shuffle(value, (int)(threadIdx.x % 32) / width * width + from);
}
template <typename T>
inline T __shfl_xor_sync(unsigned, T value, int mask) {
    return shuffle(value, (int)(threadIdx.x % 32) ^ mask);
}

template <typename T>
inline void atomicAdd(T* to, T value) { *to += value; }
template <typename T>
inline void atomicMax(T* to, T value) { if (*to < value) *to = value; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(unsigned x) { return __builtin_ffs(x); }
inline int __clzll(unsigned long long x) { return __builtin_clzll(x); }

inline uint4 load_once(const unsigned char* from) { return *(const uint4*)from; }

inline int byte_of(unsigned word, int k, bool low) {
    return low ? (int)(word >> 8 * k & 255) : (int)(signed char)(word >> 8 * k);
}

template <bool LOW>
inline void mma(int* c, unsigned a0, unsigned a1, unsigned a2, unsigned a3, unsigned b0, unsigned b1) {
    const unsigned words[6] = {a0, a1, a2, a3, b0, b1};
    unsigned(*all)[8] = emulated::exchange(words, 6);
    const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    for (int e = 0; e < 4; e++) {
        const int row = g + e / 2 * 8, column = 2 * t + e % 2;
        for (int k = 0; k < 32; k++) {
            const int from = k % 16 / 4, half = k / 16;
            c[e] += byte_of(all[row % 8 * 4 + from][2 * half + row / 8], k % 4, LOW)
                    * byte_of(all[column * 4 + from][4 + half], k % 4, false);
        }
    }
    emulated::meet_warp();
}

template <bool LOW>
inline int dot(unsigned weights, unsigned changes, int sum) {
    for (int k = 0; k < 4; k++) sum += byte_of(weights, k, LOW) * byte_of(changes, k, false);
    return sum;
}
