// Elementary functions from correctly rounded operations only: the twin of kernels/elementary.py,
// operation by operation. To be compiled without contraction (-fmad=false, -ffp-contract=off).
// Compiles as host code too, for the tests.
#pragma once
#include "types.cuh"

// Natural logarithm of a positive normal double.
__device__ __forceinline__ double ln(double x) {
    i64 bits = __double_as_longlong(x);
    i64 k = (bits - 0x3FE6A09E00000000ll) >> 52;
    double f = __longlong_as_double(bits - (i64)((u64)k << 52)) - 1.0;
    double s = f / (2.0 + f);
    double z = s * s;
    double w = z * z;
    double t1 = w * (3.999999999940941908e-01
                     + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
    double t2 = z * (6.666666666666735130e-01
                     + w * (2.857142874366239149e-01
                            + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)));
    double half = 0.5 * f * f;
    double e = (double)k;
    return e * 6.93147180369123816490e-01
           - ((half - (s * (half + (t1 + t2)) + e * 1.90821492927058770002e-10)) - f);
}

// ((64-bit word >> 12) + 1/2) / 2^52 of two 32-bit words.
__device__ __forceinline__ double uniform(u32 high, u32 low) {
    u64 word = (u64)high << 32 | low;
    return ((double)(word >> 12) + 0.5) * 2.220446049250313e-16;
}

// -ln(1 - v) for v in (0, 1).
__device__ __forceinline__ double exponential(double v) {
    double y = 1.0 - v;
    if (y == 1.0) return v;
    return -ln(y) * (v / (1.0 - y));
}

struct Pair {
    double first, second;
};

// Two standard normal deviates of two 32-bit words.
__device__ __forceinline__ Pair normal_pair(u32 a, u32 b) {
    double radius = sqrt(-2.0 * ln(((double)a + 0.5) * 2.3283064365386963e-10));
    i64 quadrant = ((i64)b + (1 << 29)) >> 30;
    double x = (double)((i64)b - (quadrant << 30)) * 1.4629180792671596e-09;
    double z = x * x;
    double sine = x + x * z * (-1.66666666666666324348e-01
        + z * (8.33333333332248946124e-03
        + z * (-1.98412698298579493134e-04
        + z * (2.75573137070700676789e-06
        + z * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10)))));
    double cosine = 1.0 - 0.5 * z + z * z * (4.16666666666666019037e-02
        + z * (-1.38888888888741095749e-03
        + z * (2.48015872894767294178e-05
        + z * (-2.75573143513906633035e-07
        + z * (2.08757232129817482790e-09 + z * -1.13596475577881948265e-11)))));
    if (quadrant & 1) {
        double other = sine;
        sine = cosine;
        cosine = other;
    }
    if ((quadrant + 1) & 2) cosine = -cosine;
    if (quadrant & 2) sine = -sine;
    return {radius * cosine, radius * sine};
}
