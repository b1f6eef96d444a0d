// Integers by their bits, and what lets a C++ compiler take the arithmetic as host code, for the
// tests. It has no twin.
#pragma once

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int i32;
typedef long long i64;

#if !defined(__CUDACC__) && !defined(__CUDACC_RTC__)
#include <algorithm>
#include <cmath>
#include <cstring>
#define __device__
#define __forceinline__ inline
#define __noinline__
inline i64 __double_as_longlong(double x) { i64 y; std::memcpy(&y, &x, 8); return y; }
inline double __longlong_as_double(i64 x) { double y; std::memcpy(&y, &x, 8); return y; }
inline i32 __float_as_int(float x) { i32 y; std::memcpy(&y, &x, 4); return y; }
inline float __int_as_float(i32 x) { float y; std::memcpy(&y, &x, 4); return y; }
inline float __fmaf_rn(float x, float y, float z) { return std::fmaf(x, y, z); }
inline i32 __float2int_ru(float x) { return (i32)std::ceil(x); }
inline float fast_log2(float x) { return std::log2(x); }
inline float fast_reciprocal(float x) { return 1.0f / x; }
using std::ceil;
using std::floor;
using std::fmax;
using std::fmin;
using std::max;
using std::min;
using std::rint;
using std::sqrt;
#else
// Two instructions; |error| of the logarithm: see LOGIT_ERROR.
__device__ __forceinline__ float fast_log2(float x) {
    float y;
    asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
__device__ __forceinline__ float fast_reciprocal(float x) {
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
#endif
