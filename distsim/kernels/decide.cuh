// The 64 decisions of a block in turn, for many chains. It has no twin.
//
// gaps[p][i][c]: parts of the gap of neuron i of chain c (screen.cuh) at the block's start, to be
// added up; where energies are kept, the last is the gap at z = 0, the others 2 z. weights: W of the
// block's neurons among themselves, [plane][64][ROW] bytes; states: bytes, twice the state, of chain c
// at c apart.
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

// Twice the change, as a byte, of a neuron that comes into state x; is: twice its state, as a byte.
__device__ __forceinline__ u32 change_of(bool x, u32 is, u32 two) { return x ? two ^ is : is * 127; }

// -2 times the change of 2 E by neuron q of four; twice: its 2 z; changes: twice theirs, as bytes.
__device__ __forceinline__ i64 energy_of(int twice, u32 changes, int q) {
    return (i64)(signed char)(changes >> 8 * q) * twice;
}

// The states of a chain after these changes, and its flips.
__device__ __forceinline__ Flips store_changes(const u32* delta, u8* states, u8* changes) {
    Flips flips = {0, 0};
#pragma unroll
    for (int k = 0; k < 4; k++) {
        uint4 old = *(const uint4*)(states + 16 * k);
        u32 now[4];
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const int h = 4 * k + j;
            const u32 flipped = delta[h] & 0x02020202u;
            now[j] = word(old, j) ^ flipped;
            flips.changed |= (u64)nibble(flipped) << 4 * h;
            flips.states |= (u64)nibble(now[j]) << 4 * h;
        }
        *(uint4*)(states + 16 * k) = make_uint4(now[0], now[1], now[2], now[3]);
        if (PASS)
            *(uint4*)(changes + 16 * k) =
                make_uint4(delta[4 * k], delta[4 * k + 1], delta[4 * k + 2], delta[4 * k + 3]);
    }
    return flips;
}

// A chain whose gaps leave some state open, by one thread.
__device__ __noinline__ Flips decide_again(Block block, int chain, u8* states, u8* changes, u64 name,
                                           double scale, i32 width, i64* energy) {
    u32 delta[16];
#pragma unroll 1
    for (int h = 0; h < 16; h++) {
        const u32 old = *(const u32*)(states + 4 * h);
        delta[h] = 0;
#pragma unroll 1
        for (int q = 0; q < 4; q++) {
            const u8* row = block.weights + (4 * h + q) * ROW;
            Sum sum = {0, 0};
#pragma unroll 4
            for (int k = 0; k <= h; k++) {
                u32 words[2] = {*(const u32*)(row + 4 * k),
                                *(const u32*)(row + (PLANES - 1) * BLOCK * ROW + 4 * k)};
                add(sum, words, delta[k]);
            }
            int twice;
            const int gap = gap_of(block, 4 * h + q, chain, twice) + sum.total();
            const u32 two = 2u << 8 * q, is = old & two;
            bool x = gap >= 0;
            if (is_open(open_key(gap), width))
                x = settled(block, name, scale, 4 * h + q, gap, is != 0);
            delta[h] |= change_of(x, is, two);
            if (ENERGIES) *energy += energy_of(twice + sum.total(), delta[h], q);
        }
    }
    return store_changes(delta, states, changes);
}

// LANES threads decide for a chain, this one being number q of them; the first tells of the flips.
// energy: -2 times what this thread knows of the change of 2 E. changes: bytes (out), if PASS.
__device__ __forceinline__ Flips decide_chain(const Block& block, int chain, int q, u8* states,
                                              u8* changes, u64 name, double scale, i32 width,
                                              i64& energy) {
    u32 delta[16], most = 0;
    const i64 before = energy;
#pragma unroll
    for (int h = 0; h < 16; h++) {
        const u8* rows = block.weights + 4 * h * ROW;
        const u32 old = *(const u32*)(states + 4 * h);
        int at[4], twice[4];
        u32 own[4][2];
        if (LANES == 1) {
#pragma unroll
            for (int p = 0; p < 4; p++) {
                const int sum = sum_before(rows + p * ROW, h, delta, own[p]);
                at[p] = gap_of(block, 4 * h + p, chain, twice[p]) + sum;
                twice[p] += sum - at[p];
            }
        } else {  // a row each, then all four in each thread
            u32 none[2];
            const int sum = sum_before(rows + q * ROW, h, delta, none);
            const int gap = gap_of(block, 4 * h + q, chain, twice[0]) + sum;
            twice[0] += sum - gap;
#pragma unroll
            for (int p = 0; p < 4; p++) {
                at[p] = __shfl_sync(0xFFFFFFFFu, gap, p, 4);
#pragma unroll
                for (int plane = 0; plane < PLANES; plane++)
                    own[p][plane] = *(const u32*)(rows + (p + plane * BLOCK) * ROW + 4 * h);
            }
        }
        // In turn: only what the others of these four add is not known yet.
        delta[h] = 0;
#pragma unroll
        for (int p = 0; p < 4; p++) {
            const u32 two = 2u << 8 * p;
            const u32 d = change_of(at[p] >= 0, old & two, two);
            most = max(most, open_key(at[p]));
            add_to_rest(at, own, p, d);
            delta[h] |= d;
        }
        if (ENERGIES) {  // 2 z is the gap but for what was drawn
            if (LANES == 1) {
#pragma unroll
                for (int p = 0; p < 4; p++) energy += energy_of(twice[p] + at[p], delta[h], p);
            } else {
                const int mine = q == 0 ? at[0] : q == 1 ? at[1] : q == 2 ? at[2] : at[3];
                energy += energy_of(twice[0] + mine, delta[h], q);
            }
        }
    }
    Flips flips = {0, 0};
    if (is_open(most, width)) {
        energy = before;
        if (q == 0) flips = decide_again(block, chain, states, changes, name, scale, width, &energy);
    } else if (q == 0) {
        flips = store_changes(delta, states, changes);
    }
    return flips;
}
