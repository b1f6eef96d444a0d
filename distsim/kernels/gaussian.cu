// The twin of `fill_gaussian` in kernels/gaussian.py: weights, made where they are kept.
#include "dense.cuh"
#include "gaussian.cuh"

// The rank's shard of the Gaussian network, weights[neurons, stride] (out), n of stride used.
// A thread makes the weights of four neurons that share a draw, from one neuron.
extern "C" __global__ void fill_gaussian(u64 seed, i64 first, double scale, double unit,
                                         int symmetric, weight_t* weights, i64 neurons, i64 n,
                                         i64 stride) {
    i64 from = first >> 2, groups = ((first + n + 3) >> 2) - from;
    i64 total = groups * neurons, threads = (i64)gridDim.x * blockDim.x;
    for (i64 t = (i64)blockIdx.x * blockDim.x + threadIdx.x; t < total; t += threads) {
        i64 j = t / groups, group = from + t % groups;
        double weight[4];
        if (symmetric) {
#pragma unroll
            for (int k = 0; k < 4; k++)
                weight[k] = gaussian_weight(seed, (u32)(4 * group + k), (u32)j, scale, true);
        } else {
            Words words = draw(seed, (u32)group, j, 0, WEIGHT);
            Pair low = normal_pair(words.a, words.b), high = normal_pair(words.c, words.d);
            weight[0] = scale * low.first;
            weight[1] = scale * low.second;
            weight[2] = scale * high.first;
            weight[3] = scale * high.second;
        }
        weight_t* column = weights + j * stride;
        i64 i = 4 * group - first;
#if WEIGHT_BITS == 8
        if (i >= 0 && i + 3 < n && (i & 3) == 0) {  // stride is a multiple of 16
            u32 packed = 0;
#pragma unroll
            for (int k = 0; k < 4; k++)
                packed |= ((u32)(int)rint(weight[k] / unit) & 255u) << (8 * k);
            *(u32*)(column + i) = packed;
            continue;
        }
#endif
#pragma unroll
        for (int k = 0; k < 4; k++)
            if (i + k >= 0 && i + k < n) column[i + k] = (weight_t)rint(weight[k] / unit);
    }
}
