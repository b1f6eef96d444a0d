// The 64 decisions of a block in turn, for many chains.
//
// gaps[p][i][c]: parts of the gap of neuron i of chain c (screen.cuh) at the block's start, to be
// added up; the part number 0 and so many from it on make 2 z, the last the rest, where energies are
// kept. weights: W of the block's neurons among themselves, [plane][64][ROW] bytes; states: bytes,
// twice the state, of chain c at c apart.
#pragma once
#include "flips.cuh"
#include "screen.cuh"
#include "tiles.cuh"

#define ROW 80  // bytes from one row of the block's weights to the next

// What the deciding of a block knows besides.
struct Block {
    const int* gaps;
    const u8* weights;
    u64 seed, sweep;
    u32 neuron;  // its first
    const float* rests;
    const double* rest;
};

__device__ __forceinline__ int part_of(const Block& block, int part, int i, int chain) {
    return block.gaps[(part * BLOCK + i) * GAP_ROW + chain];
}

// The gap, and 2 z where energies are kept.
__device__ __forceinline__ int gap_of(const Block& block, int i, int chain, int& twice) {
    int gap = part_of(block, 0, i, chain);
#pragma unroll
    for (int p = 1; p < SPLITS; p++) gap += part_of(block, p, i, chain);
    twice = gap;
    return ENERGIES ? gap + part_of(block, SPLITS, i, chain) : gap;
}

__device__ __forceinline__ bool settled(const Block& block, u64 name, double scale, int i, int gap,
                                        bool x) {
    Visit visit = {block.seed, block.sweep | name, block.neuron + i, scale, block.rest[i]};
    return settle(visit, block.rests[i], gap, x);
}

// Weights times changes, of one plane or two.
struct Sum {
    int high, low;
    __device__ __forceinline__ int total() const { return PLANES == 1 ? high : 256 * high + low; }
};

__device__ __forceinline__ void add(Sum& sum, const u32* words, u32 changes) {
    sum.high = dot<false>(words[0], changes, sum.high);
    if (PLANES == 2) sum.low = dot<true>(words[1], changes, sum.low);
}

__device__ __forceinline__ u32 word(const uint4& v, int k) {
    return k == 0 ? v.x : k == 1 ? v.y : k == 2 ? v.z : v.w;
}

// A row's weights times the changes of the 4 h neurons before; own: its words number h.
__device__ __forceinline__ int sum_before(const u8* row, int h, const u32* changes, u32* own) {
    Sum sum = {0, 0};
#pragma unroll
    for (int k = 0; k <= h; k += 4) {
        uint4 plane[PLANES];
#pragma unroll
        for (int p = 0; p < PLANES; p++) plane[p] = *(const uint4*)(row + p * BLOCK * ROW + 4 * k);
#pragma unroll
        for (int j = 0; j < 4; j++) {
            if (k + j > h) continue;
            u32 words[2] = {word(plane[0], j), word(plane[PLANES - 1], j)};
            if (k + j < h) add(sum, words, changes[k + j]);
            else own[0] = words[0], own[1] = words[1];
        }
    }
    return sum.total();
}

// The change of one of four neurons, as it tells on those after it.
__device__ __forceinline__ void add_to_rest(int* gaps, const u32 (*own)[2], int q, u32 change) {
#pragma unroll
    for (int p = q + 1; p < 4; p++) {
        Sum sum = {0, 0};
        add(sum, own[p], change);
        gaps[p] += sum.total();
    }
}

// A thread decides for a chain. changes (out): bytes, twice the change of each neuron; may be null.
__device__ __forceinline__ Flips decide_chain(const Block& block, int chain, u8* states, u8* changes,
                                              u64 name, double scale, i32 width, i64& doubled) {
    u32 delta[16];
    u64 changed = 0, after = 0;
#pragma unroll
    for (int h = 0; h < 16; h++) {
        const u32 old = *(const u32*)(states + 4 * h);
        int gap[4], twice[4];
        u32 own[4][2];
#pragma unroll
        for (int q = 0; q < 4; q++) {
            int sum = sum_before(block.weights + (4 * h + q) * ROW, h, delta, own[q]);
            gap[q] = gap_of(block, 4 * h + q, chain, twice[q]) + sum;
            twice[q] += sum;
        }
        // In turn: only what the others of these four add is not known yet.
        u32 d[4], most = 0;
        int at[4] = {gap[0], gap[1], gap[2], gap[3]};
#pragma unroll
        for (int q = 0; q < 4; q++) {
            const u32 two = 2u << 8 * q, is = old & two;
            d[q] = at[q] >= 0 ? two ^ is : is * 127;
            most = max(most, open_key(at[q]));
            add_to_rest(at, own, q, d[q]);
        }
        if (is_open(most, width)) {
#pragma unroll
            for (int q = 0; q < 4; q++) at[q] = gap[q];
#pragma unroll
            for (int q = 0; q < 4; q++) {
                const u32 two = 2u << 8 * q, is = old & two;
                bool x = at[q] >= 0;
                if (is_open(open_key(at[q]), width))
                    x = settled(block, name, scale, 4 * h + q, at[q], is != 0);
                d[q] = x ? two ^ is : is * 127;
                add_to_rest(at, own, q, d[q]);
            }
        }
        delta[h] = d[0] | d[1] | d[2] | d[3];
        const u32 flipped = delta[h] & 0x02020202u, now = old ^ flipped;
        if (ENERGIES) {
#pragma unroll
            for (int q = 0; q < 4; q++) {  // -2 z times the change
                i64 added = twice[q] + at[q] - gap[q];
                if (flipped >> 8 * q & 2) doubled += now >> 8 * q & 2 ? -added : added;
            }
        }
        *(u32*)(states + 4 * h) = now;
        if (changes) *(u32*)(changes + 4 * h) = delta[h];
        changed |= (u64)nibble(flipped) << 4 * h;
        after |= (u64)nibble(now) << 4 * h;
    }
    return {changed, after};
}

__device__ __forceinline__ int weight_of(const u8* row, int i) {
    if (PLANES == 1) return (signed char)row[i];
    return 256 * (signed char)row[i] + row[BLOCK * ROW + i];
}

// 32 neurons from `from` on: a warp goes from flip to flip, a neuron a lane. Adds what they change to
// the gaps of the lane's neuron of these (first), and of the 32 after them (second). Returns the new
// states, a bit each.
template <bool BOTH>
__device__ __forceinline__ u32 decide_half(const Block& block, int from, u32 before, int& first,
                                           int& second, u64 name, double scale, i32 width, int lane,
                                           int rest_of_gap, i64& doubled) {
    const bool x = before >> lane & 1;
    const u8* column = block.weights + from * ROW + from + lane;
    u32 after = before;
    int next = 0;
    while (true) {
        bool y = first >= 0;
        if (is_open(open_key(first), width) && lane >= next)
            y = settled(block, name, scale, from + lane, first, x);
        u32 flips = __ballot_sync(0xFFFFFFFFu, y != x && lane >= next);
        if (!flips) return after;
        int j = __ffs(flips) - 1;
        int sign = before >> j & 1 ? -2 : 2;
        if (ENERGIES && lane == j) doubled -= (i64)(sign / 2) * (first - rest_of_gap);
        first += sign * weight_of(column + j * ROW, 0);
        if (BOTH) second += sign * weight_of(column + j * ROW, 32);
        after ^= 1u << j;
        next = j + 1;
    }
}

// A warp decides for a chain.
__device__ __forceinline__ Flips decide_by_warp(const Block& block, int chain, u8* states,
                                                u8* changes, u64 name, double scale, i32 width,
                                                int lane, i64& doubled) {
    int twice[2];
    int low = gap_of(block, lane, chain, twice[0]), high = gap_of(block, lane + 32, chain, twice[1]);
    const int rest[2] = {low - twice[0], high - twice[1]};
    const u32 old[2] = {__ballot_sync(0xFFFFFFFFu, states[lane]),
                        __ballot_sync(0xFFFFFFFFu, states[lane + 32])};
    u32 now[2];
    now[0] = decide_half<true>(block, 0, old[0], low, high, name, scale, width, lane, rest[0],
                               doubled);
    now[1] = decide_half<false>(block, 32, old[1], high, low, name, scale, width, lane, rest[1],
                                doubled);
#pragma unroll
    for (int k = 0; k < 2; k++) {
        int is = old[k] >> lane & 1, x = now[k] >> lane & 1;
        states[lane + 32 * k] = 2 * x;
        if (changes) changes[lane + 32 * k] = (u8)(2 * (x - is));
    }
    return {(u64)(now[1] ^ old[1]) << 32 | (now[0] ^ old[0]), (u64)now[1] << 32 | now[0]};
}
