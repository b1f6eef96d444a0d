// Instructions that C++ has no words for. Tests that emulate a block have their own (EMULATED).
// It has no twin.
#pragma once
#include "types.cuh"

#ifndef EMULATED
__device__ __forceinline__ uint4 load_once(const u8* from) {
    uint4 v;
    asm volatile("ld.global.nc.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(from));
    return v;
}

// c += a b: 16 rows by 32 columns of bytes a (unsigned: LOW), 32 by 8 bytes b (signed).
template <bool LOW>
__device__ __forceinline__ void mma(int* c, u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
    if (LOW)
        asm volatile(
            "mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},"
            "{%0,%1,%2,%3};"
            : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
            : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
    else
        asm volatile(
            "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},"
            "{%0,%1,%2,%3};"
            : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
            : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// sum += the four products of the bytes of weights and of changes (signed).
template <bool LOW>
__device__ __forceinline__ int dot(u32 weights, u32 changes, int sum) {
    if (LOW)
        asm("dp4a.u32.s32 %0, %1, %2, %0;" : "+r"(sum) : "r"(weights), "r"(changes));
    else
        asm("dp4a.s32.s32 %0, %1, %2, %0;" : "+r"(sum) : "r"(weights), "r"(changes));
    return sum;
}

// A barrier of so many threads of the block, besides that of all.
template <int COUNT>
__device__ __forceinline__ void meet_some() {
    asm volatile("bar.sync 1, %0;" ::"n"(COUNT) : "memory");
}
#endif
