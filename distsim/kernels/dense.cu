// Weights and states on the device: the networks' and set-up's twins of kernels/cpu.py.
#include "elementary.cuh"

#if WEIGHT_BITS == 8
typedef signed char weight_t;
#elif WEIGHT_BITS == 16
typedef short weight_t;
#else
typedef int weight_t;
#endif

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

__device__ __forceinline__ u64 factor(u64 number) {
    u64 h = number * 0x9E3779B97F4A7C15ull;
    h = (h ^ h >> 30) * 0xBF58476D1CE4E5B9ull;
    h = (h ^ h >> 27) * 0x94D049BB133111EBull;
    return (h ^ h >> 31) | 1;
}

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
    __shared__ weight_t tile[32][33];
    i64 j0 = (i64)blockIdx.x * 32, i0 = (i64)blockIdx.y * 32;
    for (int r = threadIdx.y; r < 32; r += 8)
        if (i0 + r < count && j0 + threadIdx.x < neurons)
            tile[r][threadIdx.x] = rows[(i0 + r) * neurons + j0 + threadIdx.x];
    __syncthreads();
    for (int c = threadIdx.y; c < 32; c += 8)
        if (j0 + c < neurons && i0 + threadIdx.x < count)
            weights[(j0 + c) * stride + start + i0 + threadIdx.x] = tile[threadIdx.x][c];
}

// For the tests: ln of each x.
extern "C" __global__ void logarithms(const double* x, double* y, i64 count) {
    i64 k = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (k < count) y[k] = ln(x[k]);
}
