// The random numbers of a BM's updates: the twin of kernels/updates.py, without its screen, since
// thresholds are kept here. Compiles as host code too, for the tests.
#pragma once
#include "elementary.cuh"
#include "philox.cuh"

// logit(u) of the update of a neuron that a step (from 0) visits, of so many in all.
__device__ __forceinline__ double update_logit(u64 seed, u64 step, u32 neuron, u64 neurons,
                                               bool sequential) {
    u32 high, low;
    if (sequential) {
        u64 sweep = step / neurons;
        high = word_of(draw(seed, neuron >> 2, sweep, 0, SWEEP), neuron & 3);
        low = word_of(draw(seed, neuron >> 2, sweep, 1, SWEEP), neuron & 3);
    } else {
        Words words = draw(seed, neuron, step, 0, UPDATE);
        high = words.a;
        low = words.b;
    }
    double u = uniform(high, low);
    return ln(u) + exponential(u);
}
