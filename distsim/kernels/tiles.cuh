// Products of W with the states of many chains, on tensor cores: tiles of 32 neurons by chains.
//
// W comes as planes of bytes: one of int8, or the high (int8) and the low bytes (uint8) of int16.
// A plane is tiles of 32 rows by 64 columns, in the order in which a warp loads them,
//
//     [row tile][column tile][m][k][lane = 4 g + t][half][j][column & 3]
//
// rows 4 g + 2 m + j of a tile, columns 16 t + 8 k + 4 half + (column & 3), so that a load brings the
// four registers of a product, and what a thread gets sums of are four neurons one after the other.
// States are bytes, twice the state, [chain][neuron]: then sums are 2 z.
#pragma once
#include "types.cuh"

#define BLOCK 64    // neurons that are decided together
#define TILE 2048   // bytes: 32 rows of 64 columns

// A thread's part of a tile, 16 columns of four rows: of (m, k) at 2 m + k.
struct Rows {
    uint4 part[4];
};

__device__ __forceinline__ uint4 load_once(const u8* from) {
    uint4 v;
    asm volatile("ld.global.nc.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(from));
    return v;
}

__device__ __forceinline__ Rows load_rows(const u8* tile, int lane) {
    Rows rows;
#pragma unroll
    for (int r = 0; r < 4; r++) rows.part[r] = load_once(tile + r * 512 + lane * 16);
    return rows;
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

// sums: of neurons 4 g + k of the tile, g = lane >> 2, and chains 2 t + e of eight, t = lane & 3,
// in [k >> 1][2 (k & 1) + e]. states: those of chain g, from column 16 t of the tile on.
template <bool LOW>
__device__ __forceinline__ void multiply(int sums[2][4], const Rows& rows, const u8* states) {
    uint4 x = *(const uint4*)states;
#pragma unroll
    for (int m = 0; m < 2; m++) {
        const uint4 &a = rows.part[2 * m], &b = rows.part[2 * m + 1];
        mma<LOW>(sums[m], a.x, a.y, a.z, a.w, x.x, x.y);
        mma<LOW>(sums[m], b.x, b.y, b.z, b.w, x.z, x.w);
    }
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
