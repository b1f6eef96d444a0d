// A rank's weights on the device, filled and gone through once: the twin of kernels/dense.py.
#include "dense.cuh"
#include "elementary.cuh"
#include "record.cuh"

// z[n] += W x for the global states x: u8[neurons]; z as 64 bits. grid: (n / threads, parts of W)
extern "C" __global__ void multiply(const weight_t* weights, const u8* x, u64* z, i64 neurons,
                                    i64 n, i64 stride) {
    i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    i64 from = neurons * blockIdx.y / gridDim.y, to = neurons * (blockIdx.y + 1) / gridDim.y;
    i64 sum = 0;
#pragma unroll 8
    for (i64 j = from; j < to; j++)
        if (x[j]) sum += weights[j * stride + i];
    atomicAdd(z + i, (u64)sum);
}

// absolute[n] += sums of |weights[j, i]| over j; squares[n] += sums of squares.
extern "C" __global__ void magnitudes(const weight_t* weights, u64* absolute, double* squares,
                                      i64 neurons, i64 n, i64 stride) {
    i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    i64 from = neurons * blockIdx.y / gridDim.y, to = neurons * (blockIdx.y + 1) / gridDim.y;
    i64 sum = 0;
    double square = 0.0;
#pragma unroll 8
    for (i64 j = from; j < to; j++) {
        i64 w = weights[j * stride + i];
        sum += w < 0 ? -w : w;
        square += (double)w * (double)w;
    }
    atomicAdd(absolute + i, (u64)sum);
    atomicAdd(squares + i, square);
}

// The k-th of a sequence of odd numbers without a pattern.
__device__ __forceinline__ u64 factor(u64 k) { return mix(k * GOLDEN) | 1; }

// total += sum over i, j of W_ij a_i b_j, of the neurons from `first` on.
extern "C" __global__ void weights_digest(const weight_t* weights, u64* total, i64 first,
                                          i64 neurons, i64 n, i64 stride) {
    i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    i64 from = neurons * blockIdx.y / gridDim.y, to = neurons * (blockIdx.y + 1) / gridDim.y;
    u64 sum = 0;
    for (i64 j = from; j < to; j++) sum += (u64)(i64)weights[j * stride + i] * factor(2 * j + 2);
    atomicAdd(total, sum * factor(2 * (first + i) + 1));
}

// A tile of rows[rows, neurons], read row by row, into its place in the columns.
extern "C" __global__ void store_rows(const weight_t* rows, weight_t* weights, i64 count,
                                      i64 neurons, i64 start, i64 stride) {
    __shared__ weight_t tile[STORE_TILE][STORE_TILE + 1];
    i64 j0 = (i64)blockIdx.x * STORE_TILE, i0 = (i64)blockIdx.y * STORE_TILE;
    for (int r = threadIdx.y; r < STORE_TILE; r += STORE_LINES)
        if (i0 + r < count && j0 + threadIdx.x < neurons)
            tile[r][threadIdx.x] = rows[(i0 + r) * neurons + j0 + threadIdx.x];
    __syncthreads();
    for (int c = threadIdx.y; c < STORE_TILE; c += STORE_LINES)
        if (j0 + c < neurons && i0 + threadIdx.x < count)
            weights[(j0 + c) * stride + start + i0 + threadIdx.x] = tile[threadIdx.x][c];
}

// For the tests: ln of each x.
extern "C" __global__ void logarithms(const double* x, double* y, i64 count) {
    i64 k = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (k < count) y[k] = ln(x[k]);
}
