// Dense weights, column by column, the twin of kernels/dense.py: how the kernels of a chain reach
// them.
#pragma once
#include "types.cuh"

#if WEIGHT_BITS == 8
typedef signed char weight_t;
#elif WEIGHT_BITS == 16
typedef short weight_t;
#else
typedef int weight_t;
#endif

// weights: [neurons, stride]; zeros follow the n weights of a column.
struct Columns {
    const weight_t* weights;
    i64 stride;
};

// The weights onto all local neurons from neuron j.
__device__ __forceinline__ const weight_t* column(const Columns& columns, i64 j) {
    return columns.weights + j * columns.stride;
}

// The weight onto local neuron i from neuron j.
__device__ __forceinline__ i64 weight(const Columns& columns, i64 i, i64 j) {
    return column(columns, j)[i];
}
