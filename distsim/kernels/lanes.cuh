// What the threads of a block do together that walks one chain: CHAIN_WARPS warps. It has no twin;
// as host code, for the tests, a block is one thread and a warp one lane.
#pragma once
#include "types.cuh"

typedef unsigned short u16;

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
#define LANES 32
#define WHOLE 0xFFFFFFFFu
#define BLOCK_THREADS (CHAIN_WARPS * LANES)

__device__ __forceinline__ int this_thread() { return (int)threadIdx.x; }
__device__ __forceinline__ i64 this_block() { return (i64)blockIdx.x; }
__device__ __forceinline__ u32 where(bool p) { return __ballot_sync(WHOLE, p); }
template <class T>
__device__ __forceinline__ T from_lane(T value, int lane) {
    return __shfl_sync(WHOLE, value, lane);
}
template <class T>
__device__ __forceinline__ T across(T value, int distance) {
    return __shfl_xor_sync(WHOLE, value, distance);
}
// What the block's threads wrote before, all see after.
__device__ __forceinline__ void meet() {
    if (CHAIN_WARPS == 1) __syncwarp();
    else __syncthreads();
}
__device__ __forceinline__ void meet_lanes() { __syncwarp(); }
// `meet`, and whether p holds for some thread of the block.
__device__ __forceinline__ bool meet_any(bool p) {
    if (CHAIN_WARPS > 1) return __syncthreads_or(p);
    bool some = __any_sync(WHOLE, p);
    __syncwarp();
    return some;
}
__device__ __forceinline__ int first_of(u32 mask) { return __ffs(mask) - 1; }
__device__ __forceinline__ int count_of(u32 mask) { return __popc(mask); }
template <class T>
__device__ __forceinline__ T fetch(const T* place) {
    static_assert(sizeof(T) == 8, "one load");
    uint2 v = __ldg((const uint2*)place);
    return {v.x, v.y};
}
// Two bytes of v, the low ones or the high ones, as halves of a word.
__device__ __forceinline__ u32 halves(u32 v, bool high) {
    return __byte_perm(v, 0, high ? 0x4342 : 0x4140);
}
__device__ __forceinline__ i32 float_bits(float x) { return __float_as_int(x); }
#else
#define LANES 1
#define BLOCK_THREADS 1
#define __global__
#define __noinline__
#define __launch_bounds__(...)
static i64 block_number = 0;
inline int this_thread() { return 0; }
inline i64 this_block() { return block_number; }
inline u32 where(bool p) { return p; }
template <class T> inline T from_lane(T value, int) { return value; }
template <class T> inline T across(T value, int) { return value; }
inline void meet() {}
inline void meet_lanes() {}
inline bool meet_any(bool p) { return p; }
inline int first_of(u32 mask) { return __builtin_ffs((int)mask) - 1; }
inline int count_of(u32 mask) { return __builtin_popcount(mask); }
template <class T> inline T fetch(const T* place) { return *place; }
inline u32 halves(u32 v, bool high) {
    if (high) v >>= 16;
    return (v & 0xFF) | (v & 0xFF00) << 8;
}
inline i32 float_bits(float x) {
    i32 bits;
    std::memcpy(&bits, &x, 4);
    return bits;
}
inline u32 atomicAdd(u32* place, u32 more) {
    u32 before = *place;
    *place += more;
    return before;
}
inline u64 atomicAdd(u64* place, u64 more) {
    u64 before = *place;
    *place += more;
    return before;
}
#endif

__device__ __forceinline__ i64 largest_of_lanes(i64 v) {
#pragma unroll
    for (int d = LANES / 2; d; d >>= 1) v = max(v, across(v, d));
    return v;
}
__device__ __forceinline__ u64 sum_of_lanes(u64 v) {
#pragma unroll
    for (int d = LANES / 2; d; d >>= 1) v += across(v, d);
    return v;
}
// Of a mask's lanes, how many come before this one.
__device__ __forceinline__ int before_lane(u32 mask, int lane) {
    return count_of(mask & ((1u << lane) - 1));
}
