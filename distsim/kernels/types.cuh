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
inline i64 __double_as_longlong(double x) { i64 y; std::memcpy(&y, &x, 8); return y; }
inline double __longlong_as_double(i64 x) { double y; std::memcpy(&y, &x, 8); return y; }
using std::ceil;
using std::floor;
using std::fmax;
using std::fmin;
using std::max;
using std::min;
using std::rint;
using std::sqrt;
#endif
