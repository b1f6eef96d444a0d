// What becomes of the flips of a block of 64 neurons of a chain: their number, digest, last time:
// the twin of `unpack` in kernels/record.py.
#pragma once
#include "record.cuh"

// The flips of a block (bit i: neuron i), and its states after them.
struct Flips {
    u64 changed, states;
};

// A chain's events so far, as seen by one of the threads that share its blocks. last: its step.
struct Tally {
    u64 count, total, last;
};

// Where the four low bits of bytes 0 or 2 come: in the four high bits.
__device__ __forceinline__ u32 nibble(u32 twos) { return twos * 0x08102040u >> 28; }

// Of one of so many parts of a block, `part`. steps: before the block's first neuron is visited.
template <int SHARES, bool DIGESTS>
__device__ __forceinline__ void tell(Tally& tally, const Flips& flips, int part, u64 steps,
                                     u64 neuron) {
    const int width = 64 / SHARES, from = part * width;
    if (DIGESTS) {
        const u64 index = tally.count + __popcll(flips.changed & ((1ull << from) - 1));
        u64 word = index * GOLDEN;
        const double start = (double)(i64)(steps + 1);
#pragma unroll
        for (int h = 0; h < (width > 32 ? 2 : 1); h++) {  // by words of 32 bits
            const int at = from + 32 * h;
            u32 mine = (u32)(flips.changed >> at), now = (u32)(flips.states >> at);
            if (width < 32) mine &= (1u << width % 32) - 1;
            const u64 who = 2 * (neuron + at);
            while (mine) {
                const int i = __ffs(mine) - 1;
                mine &= mine - 1;
                const double time = start + (double)(at + i);
                const u64 moment = mix((u64)__double_as_longlong(time) + word);
                tally.total += mix(moment + (who + (2 * i + (now >> i & 1))));
                word += GOLDEN;
            }
        }
    }
    tally.count += __popcll(flips.changed);
    if (flips.changed) tally.last = steps + 64 - __clzll(flips.changed);
}
