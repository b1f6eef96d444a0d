// The window rule and the clock, the twin of kernels/window.py and of `open` and `close` in
// laws/mcculloch_pitts.py and laws/boltzmann.py, operation by operation. Compiles as host code too,
// for the tests.
#pragma once
#include "events.cuh"
#include "layout.cuh"

// 2^exponent, for exponents up to WIDEST; 0 at and under -WIDEST.
__device__ __forceinline__ double power_of_two(i64 exponent) {
    return exponent > -WIDEST ? __longlong_as_double((exponent + 1023) << 52) : 0.0;
}

// Binary exponent of the next width, after a window of width 2^exponent with so many events.
__device__ __forceinline__ i64 follow(i64 exponent, i64 events, i64 target, bool may_grow) {
    if (2 * events > 3 * target) return exponent - 1;
    if (5 * events < 3 * target && may_grow) return exponent + 1;
    return exponent;
}

// high + low + passed as a double-double.
__device__ __forceinline__ void advance(double& high, double& low, double passed) {
    double total = high + passed;
    double part = total - high;
    low += (high - (total - part)) + (passed - part);
    high = total + low;
    low -= high - total;
}

// The next window, from the largest s z of all ranks.
__device__ inline void open_window(State* s, const Context& c, i64 top) {
#if BOLTZMANN
    s->steps = min(1ll << s->exponent, c.most);
    s->width = s->exponent;
    s->most = s->steps;
    s->cap = (i64)LIMIT;
#else
    double octaves = (double)top / (c.scale * LN2);
    if (!s->started) {
        s->exponent = (i64)floor((double)c.per_neuron - octaves);
        s->started = 1;
    }
    i64 exponent = min(min(s->exponent, (i64)floor((double)START_BITS - octaves)), (i64)WIDEST);
    double cap = (double)(CAP_BITS - exponent) * LN2 * c.scale;
    s->width = exponent;
    s->most = c.most;
    s->cap = (i64)floor(fmax(-LIMIT, fmin(LIMIT, cap)));
#endif
}

// What `time_of` takes besides an event of the window.
struct Times {
    double high, low, tick, offset;
};

__device__ __forceinline__ Times window_times(const State* s) {
#if BOLTZMANN
    return {(double)s->number, 0.0, 1.0, 0.0};
#else
    return {s->high, s->low, power_of_two(s->width - MPM_TICK_BITS), -0.5};
#endif
}

// Move the clock to the window's end, whose events are all `count` of `events`.
__device__ inline void close_clock(State* s, const Context& c, const u64* events, i64 count) {
    Times times = window_times(s);
    s->record_high = times.high;
    s->record_low = times.low;
    s->record_tick = times.tick;
    s->record_offset = times.offset;
#if BOLTZMANN
    bool may_grow = (1ll << s->exponent) < c.most;
    s->number += s->steps;
    s->exponent = max(0ll, follow(s->exponent, count, c.target, may_grow));
    s->high = (double)s->number;
#else
    double passed = power_of_two(s->width);
    if (s->early) passed = ((count ? (double)tick_of(events[count - 1]) : 0.0) - 0.5) * times.tick;
    advance(s->high, s->low, passed);
    bool capped = s->width < s->exponent;
    i64 following = follow(s->width, count, c.target, !(s->early || capped));
    if (!(capped && following == s->width)) s->exponent = following;
    s->number++;
#endif
}
