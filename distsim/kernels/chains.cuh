// What kernels of many chains are given, and what they do alike: states, draws, tallies.
// It has no twin.
//
// Chains are padded to a multiple of CHAINS and neurons to one of 64; those that are none have a rest
// so low that they stay at 0.
#pragma once
#include "flips.cuh"
#include "screen.cuh"
#include "tiles.cuh"

struct Given {
    const u8* tiles;      // [PLANES][size / 32][size / 64] TILEs: tiles.cuh
    const u8* diagonals;  // [PLANES][size / 64][64][64]: W of blocks among themselves
    const i32* biases;    // [size]: twice the bias' integer part
    const float* rests;   // [size]
    const double* rest;   // [size]
    u8* states;           // [chains][width]
    const u64* names;     // [chains]: the replica in the high 16 bits
    const u8* clamps;     // [chains][width / 4]: which of four neurons stay as they are
    const float* heats;   // [sweeps][chains] or so: T in weight units, by pitch_of_sweep, _chain
    const double* scales; // the same
    const i32* responses; // PASS: [size][chains], W x of the block's start
    u64* counts;          // [chains]: flips
    u64* totals;          // [chains]: the events' part of the digest
    u64* last;            // [chains]: the step of the last flip, counted from 1
    i64* doubled;         // [chains]: the change of 2 E
    i64* energies;        // [sweeps][chains]: the same at each sweep's end, or null
    u64 seed, sweep0;
    i64 neurons, width, pitch_of_sweep, pitch_of_chain, chains;
    int size, sweeps, column0;
};

#define GIVEN_PARAMETERS                                                                          \
    const u8 *tiles, const u8 *diagonals, const i32 *biases, const float *rests,                  \
        const double *rest, u8 *states, const u64 *names, const u8 *clamps, const float *heats,   \
        const double *scales, const i32 *responses, u64 *counts, u64 *totals, u64 *last,          \
        i64 *doubled, i64 *energies, u64 seed, u64 sweep0, i64 neurons, i64 width,                \
        i64 pitch_of_sweep, i64 pitch_of_chain, i64 chains, int size, int sweeps, int column0
#define GIVEN                                                                                     \
    {tiles, diagonals, biases, rests, rest, states, names, clamps, heats, scales, responses,      \
     counts, totals, last, doubled, energies, seed, sweep0, neurons, width, pitch_of_sweep,       \
     pitch_of_chain, chains, size, sweeps, column0}

__device__ __forceinline__ i64 heat_at(const Given& a, int chain, int sweep) {
    return sweep * a.pitch_of_sweep + chain * a.pitch_of_chain;
}

// The gaps of four neurons of which some words say too little; visit: that of the first, but for its
// rest, which is the first of these.
__device__ __noinline__ int4 repaired(int4 gaps, Words words, float4 rests, Visit visit,
                                      const double* rest) {
    const u32 high[4] = {words.a, words.b, words.c, words.d};
    const float rough[4] = {rests.x, rests.y, rests.z, rests.w};
    int gap[4] = {gaps.x, gaps.y, gaps.z, gaps.w};
    const Heat heat = heat_of((float)visit.scale);
#pragma unroll
    for (int k = 0; k < 4; k++, visit.neuron++) {
        u32 nearer;
        Span span = rough_span(high[k], rough[k], heat, nearer);
        visit.rest = rest[k];
        if (nearer < EDGE || span.doubt > heat.width) gap[k] = exact_gap(visit, high[k], gap[k]);
    }
    return make_int4(gap[0], gap[1], gap[2], gap[3]);
}

// The gaps at z = 0 of four neurons, the first being this one, at place `at`, in these states (bytes),
// of COUNT chains at a time.
template <int COUNT>
__device__ __forceinline__ void draw_fours(int (*gaps)[4], const Given& a, const int* chain, int at,
                                           u32 neuron, int sweep, const float4& rests,
                                           const u32* states) {
    const float rest[4] = {rests.x, rests.y, rests.z, rests.w};
    Words words[COUNT];
    bool bad[COUNT], any = false;
#pragma unroll
    for (int d = 0; d < COUNT; d++)
        words[d] = draw(a.seed, neuron >> 2, (a.sweep0 + sweep) | a.names[chain[d]], 0, SWEEP);
#pragma unroll
    for (int d = 0; d < COUNT; d++) {
        const Heat heat = heat_of(a.heats[heat_at(a, chain[d], sweep)]);
        const u32 high[4] = {words[d].a, words[d].b, words[d].c, words[d].d};
        u32 nearest = ~0u;
        i32 widest = 0;
#pragma unroll
        for (int k = 0; k < 4; k++) {
            u32 nearer;
            Span span = rough_span(high[k], rest[k], heat, nearer);
            nearest = min(nearest, nearer);
            widest = max(widest, span.doubt);
            gaps[d][k] = gap_at_zero(span);
        }
        bad[d] = nearest < EDGE || widest > heat.width;
        any |= bad[d];
    }
    if (any) {
#pragma unroll
        for (int d = 0; d < COUNT; d++) {
            if (!bad[d]) continue;
            Visit visit = {a.seed, (a.sweep0 + sweep) | a.names[chain[d]], neuron,
                           a.scales[heat_at(a, chain[d], sweep)], 0.0};
            int4 all = make_int4(gaps[d][0], gaps[d][1], gaps[d][2], gaps[d][3]);
            all = repaired(all, words[d], rests, visit, a.rest + at);
            gaps[d][0] = all.x, gaps[d][1] = all.y, gaps[d][2] = all.z, gaps[d][3] = all.w;
        }
    }
    if (CLAMPED) {
#pragma unroll
        for (int d = 0; d < COUNT; d++) {
            const u32 kept = a.clamps[((i64)chain[d] * a.width + a.column0 + at) >> 2];
#pragma unroll
            for (int k = 0; k < 4; k++)
                if (kept >> k & 1) gaps[d][k] = states[d] >> 8 * k & 2 ? KEPT : -KEPT;
        }
    }
}

// Shared memory holds twice the states.
__device__ __forceinline__ void load_states(const Given& a, u8* shared, int stride, int first) {
    const int words = a.size / 16;
    for (int k = threadIdx.x; k < CHAINS * words; k += blockDim.x) {
        const int c = k / words, w = k % words;
        uint4 v = *(const uint4*)(a.states + (i64)(first + c) * a.width + a.column0 + 16 * w);
        *(uint4*)(shared + c * stride + 16 * w) = make_uint4(v.x << 1, v.y << 1, v.z << 1, v.w << 1);
    }
}

__device__ __forceinline__ void store_states(const Given& a, const u8* shared, int stride,
                                             int first) {
    const int words = a.size / 16;
    for (int k = threadIdx.x; k < CHAINS * words; k += blockDim.x) {
        const int c = k / words, w = k % words;
        uint4 v = *(const uint4*)(shared + c * stride + 16 * w);
        *(uint4*)(a.states + (i64)(first + c) * a.width + a.column0 + 16 * w) =
            make_uint4(v.x >> 1, v.y >> 1, v.z >> 1, v.w >> 1);
    }
}

__device__ __forceinline__ Tally tally_of(const Given& a, int chain) {
    return {a.counts[chain], 0, a.last[chain]};
}

__device__ __forceinline__ void keep(const Given& a, int chain, int part, const Tally& tally) {
    if (DIGEST) atomicAdd(&a.totals[chain], tally.total);
    if (part == 0) {
        a.counts[chain] = tally.count;
        a.last[chain] = tally.last;
    }
}
