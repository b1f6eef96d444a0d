// What a ticket of a McCulloch-Pitts machine is: the twin of the first functions of
// kernels/mcculloch_pitts.py. Compiles as host code too, for the tests.
#pragma once
#include "elementary.cuh"
#include "events.cuh"
#include "philox.cuh"

// (standard exponential, event word) of a ticket.
struct Point {
    double step;
    u64 key;
};

// Of ticket k of a neuron, from `word`, the high half of its level if k = 0.
__device__ __forceinline__ Point ticket_of(u64 seed, u64 window, u32 neuron, u32 k, u32 word) {
    Words words = draw(seed, neuron, window, k, TICKET);
    if (k == 0) words.a = word;
    u64 time = (u64)words.c << 32 | words.d;
    return {exponential(uniform(words.a, words.b)),
            event_word((time >> (64 - MPM_TICK_BITS)) + 1, neuron)};
}

// High half of the level of a neuron's ticket 0: four neurons share a draw.
__device__ __forceinline__ u32 first_word(u64 seed, u64 window, u32 neuron) {
    return word_of(draw(seed, neuron >> 2, window, 0, FIRST), neuron & 3);
}

// Of ticket k of a neuron.
__device__ __forceinline__ Point ticket(u64 seed, u64 window, u32 neuron, u32 k) {
    return ticket_of(seed, window, neuron, k, k ? 0 : first_word(seed, window, neuron));
}

// 2 tau ln(level / D) in weight units, D = 2^exponent.
__device__ __forceinline__ double level_threshold(double level, i64 exponent, double scale) {
    return (ln(level) - (double)exponent * LN2) * scale;
}

// A bound from below on the thresholds of ticket 0, by the high word of its level; levels: BINS of
// `lowest_levels`.
__device__ __forceinline__ i64 lowest_threshold(const double* levels, u32 high, i64 exponent,
                                                double scale) {
    i64 k = (__double_as_longlong((double)high) >> BIN_SHIFT) - BIN_ORIGIN;
    if (k <= 0) return -(i64)LIMIT;
    double theta = (levels[k] - (double)exponent * LN2) * scale;
    double bound = theta - scale * 0x1p-40 - 2.0;
    return (i64)floor(fmax(-LIMIT, fmin(LIMIT, bound)));
}
