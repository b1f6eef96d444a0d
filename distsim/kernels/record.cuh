// Events as a user sees them, their times and their digest: the twin of kernels/record.py. Compiles
// as host code too, for the tests.
#pragma once
#include "events.cuh"

// Time of an event in a window that starts at high + low, in the order of operations of
// `event_times`; tick: model time or steps of a tick.
__device__ __forceinline__ double time_of(u64 event, double high, double low, double tick,
                                          double offset) {
    return high + (low + ((double)tick_of(event) + offset) * tick);
}

// The finaliser of splitmix64.
__device__ __forceinline__ u64 mix(u64 h) {
    h = (h ^ h >> 30) * MIX_FIRST;
    h = (h ^ h >> 27) * MIX_SECOND;
    return h ^ h >> 31;
}

// What event `index` of a run adds to its digest; time: its bits; who: its neuron and state.
__device__ __forceinline__ u64 event_digest(u64 time, u64 index, u64 who) {
    return mix(mix(time + index * GOLDEN) + who);
}
