// Gaussian weights, each a function of its name: the twin of kernels/gaussian.py. Compiles as host
// code too, for the tests.
#pragma once
#include "elementary.cuh"
#include "philox.cuh"

// Weight W[i, j] of the Gaussian network; of a symmetric one f(min, max), without diagonal.
__device__ __forceinline__ double gaussian_weight(u64 seed, u32 i, u32 j, double scale,
                                                  bool symmetric) {
    if (symmetric) {
        if (i == j) return 0.0;
        if (i > j) {
            u32 k = i;
            i = j;
            j = k;
        }
    }
    Words words = draw(seed, i >> 2, j, 0, WEIGHT);
    Pair pair = i & 2 ? normal_pair(words.c, words.d) : normal_pair(words.a, words.b);
    return scale * (i & 1 ? pair.second : pair.first);
}
