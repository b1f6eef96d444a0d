// How far the screen's logarithm is from the logit, for the tests: over all 2^32 high halves.
// It has no twin.
#include "screen.cuh"

// worst: float64[2] (out), the largest error of ln2 rough_log2 with the least or the largest low half,
// of all high halves that the screen takes; and of those 2^24 away from either end.
extern "C" __global__ void worst_errors(double* worst) {
    const u32 threads = gridDim.x * blockDim.x;
    double all = 0.0, inner = 0.0;
    for (u64 high = blockIdx.x * blockDim.x + threadIdx.x; high < 1ull << 32; high += threads) {
        u32 nearer;
        const float log = rough_log2((u32)high, nearer);
        if (nearer < EDGE) continue;
        const double rough = (high >> 31 ? -1.0 : 1.0) * (double)(log * LN2F);
        double error = 0.0;
        for (int low = 0; low < 2; low++) {
            const double u = uniform((u32)high, low ? ~0u : 0u);
            error = fmax(error, fabs(rough - (ln(u) + exponential(u))));
        }
        all = fmax(all, error);
        if (nearer >= 1u << 24) inner = fmax(inner, error);
    }
    atomicMax((u64*)&worst[0], (u64)__double_as_longlong(all));
    atomicMax((u64*)&worst[1], (u64)__double_as_longlong(inner));
}
