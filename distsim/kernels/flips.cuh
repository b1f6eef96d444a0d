// What becomes of the flips of a block of 64 neurons of a chain: their number, digest, last time.
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
    if (DIGESTS) {
        const int width = 64 / SHARES, from = part * width;
        u64 index = tally.count + __popcll(flips.changed & ((1ull << from) - 1));
        u64 mine = flips.changed >> from;
        if (SHARES > 1) mine &= (1ull << width % 64) - 1;
        while (mine) {
            int i = from + __ffsll(mine) - 1;
            mine &= mine - 1;
            u64 who = 2 * (neuron + i) | (flips.states >> i & 1);
            u64 time = (u64)__double_as_longlong((double)(i64)(steps + i + 1));
            tally.total += event_digest(time, index++, who);
        }
    }
    tally.count += __popcll(flips.changed);
    if (flips.changed) tally.last = steps + 64 - __clzll(flips.changed);
}
