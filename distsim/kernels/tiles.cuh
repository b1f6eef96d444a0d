// Products of W with the states of many chains, on tensor cores: tiles of 32 neurons by chains.
// It has no twin.
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
#include "tensor.cuh"

#define BLOCK 64    // neurons that are decided together
#define TILE 2048   // bytes: 32 rows of 64 columns

// A thread's part of a tile, 16 columns of four rows: of (m, k) at 2 m + k.
struct Rows {
    uint4 part[4];
};

__device__ __forceinline__ Rows load_rows(const u8* tile, int lane) {
    Rows rows;
#pragma unroll
    for (int r = 0; r < 4; r++) rows.part[r] = load_once(tile + r * 512 + lane * 16);
    return rows;
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
