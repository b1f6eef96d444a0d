// What all kernels of a chain know: its constants, and what threads do together. It has no twin.
//
// Compiled for one width of weights (WEIGHT_BITS), of z (Z_BITS) and one model (BOLTZMANN), for
// GROUP threads a neuron in `replay`, and in `apply` for loads of COLUMN_BYTES a thread, of APART
// columns at once while it adds as many. All other numbers in capitals that stand in no `#define`
// come from Python (gpu/constants.py). Symbols are those of kernels/events.py.
#pragma once
#include "elementary.cuh"
#include "events.cuh"
#include "layout.cuh"
#include "philox.cuh"

#define WARPS (THREADS / 32)
#define ALL 0xFFFFFFFFu

// In `apply` a block has TEAMS: one loads while another checks. Each of a team's warps takes a
// stretch of the events of a tile: stretches of 256, whose sums of int8 fit 16 bits.
#define TEAM (THREADS / TEAMS)
#define TEAM_WARPS (TEAM / 32)
#define TILE 2048                           // events
#define MARKED (MARKS / TEAM_WARPS * TILE)  // events before whose stretches z is marked

extern "C" {
__constant__ Context C;
}

__device__ __forceinline__ i64 magnitude(i64 v) { return v < 0 ? -v : v; }
__device__ __forceinline__ z_t to_bound(i64 threshold) {
    return (z_t)max(min(threshold, LARGEST_Z), -LARGEST_Z);
}

// How many events a log tells to have come, and to have gone, up to a mark.
__device__ __forceinline__ i64 came(u64 mark) { return (i64)(mark & 0xFFFFFFFFull); }
__device__ __forceinline__ i64 went(u64 mark) { return (i64)(mark >> 32); }

__device__ __forceinline__ i64 nanoseconds() {
    i64 now;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
    return now;
}

// For one who polls: true when it has taken too long. The first reading of the clock is `since`.
__device__ __forceinline__ bool lost(u32& polls, i64& since) {
    if (++polls & 0xFFFF) return false;
    i64 now = nanoseconds();
    if (polls == 0x10000) since = now;
    if (now - since <= C.patience) return false;
    C.live->lost = 1;
    return true;
}

// What a block's threads find, to be put into a list in global memory at once: one atomic a block,
// since atomics of all blocks on one word take turns. By index, so that what one thread puts in
// order stays in order.
#define PILE 64
struct Pile {
    u64 item[PILE];
    i64 extra[PILE];
    u32 count;
    i64 place;

    // False if there is no room: empty it first, or do without.
    __device__ __forceinline__ bool put(u64 value, i64 more = 0) {
        u32 k = atomicAdd(&count, 1u);
        if (k >= PILE) return false;
        item[k] = value;
        extra[k] = more;
        return true;
    }
    __device__ __forceinline__ u32 size() const { return min(count, (u32)PILE); }
};

__device__ __forceinline__ i64 warp_max(i64 v) {
#pragma unroll
    for (int d = 16; d; d >>= 1) v = max(v, __shfl_xor_sync(ALL, v, d));
    return v;
}
__device__ __forceinline__ i64 warp_sum(i64 v) {
#pragma unroll
    for (int d = 16; d; d >>= 1) v += __shfl_xor_sync(ALL, v, d);
    return v;
}
__device__ __forceinline__ u64 warp_min(u64 v) {
#pragma unroll
    for (int d = 16; d; d >>= 1) v = min(v, __shfl_xor_sync(ALL, v, d));
    return v;
}
