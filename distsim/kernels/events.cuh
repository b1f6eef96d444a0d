// Events, packed into words, and thresholds in weight units: the twin of kernels/events.py.
// Compiles as host code too, for the tests.
#pragma once
#include "types.cuh"

#define NO_EVENT (~0ull)
#define NEURON_MASK ((1ll << NEURON_BITS) - 1)

__device__ __forceinline__ i64 neuron_of(u64 event) { return (event >> 1) & NEURON_MASK; }
__device__ __forceinline__ i64 tick_of(u64 event) { return (i64)(event >> (NEURON_BITS + 1)); }
__device__ __forceinline__ u64 event_word(u64 tick, u64 neuron) {
    return tick << (NEURON_BITS + 1) | neuron << 1;
}
__device__ __forceinline__ i64 sign_of(u64 event) { return 2 * (i64)(event & 1) - 1; }

// Smallest integer at or above a real threshold, cut to +-2^62.
__device__ __forceinline__ i64 to_threshold(double value) {
    if (value > LIMIT) return (i64)LIMIT;
    if (value < -LIMIT) return (i64)-LIMIT;
    return (i64)ceil(value);
}
