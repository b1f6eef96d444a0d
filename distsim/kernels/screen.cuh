// The thresholds of a sequential scan of many chains, screened: what the high half of a uniform says
// of a threshold, in single precision, and double precision where that is not enough. The same bits
// as kernels/boltzmann.py; the twin of `rough_logit` in kernels/updates.py. Compiles as host code too,
// for the tests.
//
// A threshold is kept with what it is compared with, as one integer of 32 bits:
//
//     gap = 2 (z - high) + doubt     the neuron takes state 1 iff gap >= 0, if doubt is 0
//
// The threshold is at most `high`; where doubt is 1 it may be as low as high - width, so that an odd
// gap from 1 - 2 width to -1 does not decide: `settle` does.
//
// |z| < 2^29, in weight units. Tests let rough_log2 tell of all 2^32 high halves (LOGIT_ERROR).
#pragma once
#include "events.cuh"
#include "updates.cuh"

#define LN2F 0.69314718f
#define BEYOND 536870912.0   // 2^29, of thresholds: no response is so far from zero
#define KEPT 1073741824      // 2^30: the gap of a clamped neuron, but for its sign and 2 z
#define EDGE 65536u          // high halves so near to either end say too little
#define LOGIT_ERROR 1.52587890625e-5f  // 2^-16: of ln2 rough_log2, and of what is made of it
#define ROUNDING 9.5367431640625e-7f   // 2^-20: of rests, |rest| <= 1
#define HOTTEST 16777216.0f  // 2^24: with larger temperatures double precision decides alone

// A chain's temperature in weight units, for the screen. width < 0: nothing passes it.
struct Heat {
    float slope, error;
    i32 width;
};

__device__ __forceinline__ Heat heat_of(float scale) {
    float error = scale * LOGIT_ERROR + ROUNDING;
    return {scale * LN2F, error, scale <= HOTTEST ? (i32)(2.0f * error) + 1 : -1};
}

// -|log2(u / (1 - u))| of the high half of u; nearer: the distance to the nearer end.
__device__ __forceinline__ float rough_log2(u32 high, u32& nearer) {
    nearer = high ^ (u32)((i32)high >> 31);
    float n = (float)(2u * nearer + 1u);
    return fast_log2(n * fast_reciprocal(8589934592.0f - n));
}

// Where the threshold is: in (high - doubt, high]. rest: |rest| <= 1, or such that no state changes.
struct Span {
    i32 high, doubt;
};

__device__ __forceinline__ Span rough_span(u32 word, float rest, const Heat& heat, u32& nearer) {
    float log = rough_log2(word, nearer);
    float slope = __int_as_float(__float_as_int(heat.slope) ^ (i32)(word & 0x80000000u));
    float theta = __fmaf_rn(slope, log, -rest);
    i32 low = __float2int_ru(theta - heat.error), high = __float2int_ru(theta + heat.error);
    return {high, high - low};
}

// 2 (0 - high) + doubt.
__device__ __forceinline__ i32 gap_at_zero(const Span& span) {
    return min(span.doubt, 1) - 2 * span.high;
}

// The name of a neuron's update, and what its threshold depends on besides.
struct Visit {
    u64 seed, sweep;  // with the replica in its high bits
    u32 neuron;
    double scale, rest;
};

__device__ __forceinline__ u32 half_word(const Visit& visit, u32 half) {
    return word_of(draw(visit.seed, visit.neuron >> 2, visit.sweep, half, SWEEP),
                   visit.neuron & 3);
}

// In double precision, cut to +-2^29. T > 0.
__device__ __noinline__ i32 exact_threshold(Visit visit, u32 high) {
    double u = uniform(high, half_word(visit, 1));
    double value = visit.scale * (ln(u) + exponential(u)) - visit.rest;
    return (i32)ceil(fmin(fmax(value, -BEYOND), BEYOND));
}

// As `gap_at_zero`, of a word of which the span cannot tell.
__device__ __forceinline__ i32 exact_gap(const Visit& visit, u32 high, i32 gap) {
    return visit.scale > 0.0 ? -2 * exact_threshold(visit, high) : gap;
}

// The new state of a neuron in state x whose gap leaves it open.
__device__ __noinline__ bool settle(Visit visit, float rest, i32 gap, bool x) {
    u32 high = half_word(visit, 0), nearer;
    i32 z = rough_span(high, rest, heat_of((float)visit.scale), nearer).high + ((gap - 1) >> 1);
    if (visit.scale > 0.0) return z >= exact_threshold(visit, high);
    bool keeps = x && floor(visit.rest) == visit.rest;  // at T = 0, where z + bias is 0
    return z >= (i32)floor(-visit.rest) + 1 - (i32)keeps;
}

// Whether a gap leaves the state open: the largest of some gaps' keys is at least -width then.
__device__ __forceinline__ u32 open_key(i32 gap) { return (u32)gap >> 1 | (u32)gap << 31; }
__device__ __forceinline__ bool is_open(u32 key, i32 width) { return key >= (u32)-max(width, 1); }
