// The window rule and the clock: the twin of kernels/window.py, and of `open` and `close` of
// laws/mcculloch_pitts.py and laws/boltzmann.py, operation by operation. Compiles as host code too,
// for the tests.
#pragma once
#include "events.cuh"
#include "layout.cuh"

__device__ __forceinline__ double power_of_two(i64 exponent) {
    return exponent > -WIDEST ? __longlong_as_double((exponent + 1023) << 52) : 0.0;
}

__device__ __forceinline__ i64 follow(i64 exponent, i64 events, i64 target,
                                        bool may_grow) {
    if (2 * events > 3 * target) return exponent - 1;
    if (5 * events < 3 * target && may_grow) return exponent + 1;
    return exponent;
}

// The next window, from the largest s z of all ranks.
__device__ inline void open_window(State* s, const Context& c, i64 top) {
#if BOLTZMANN
    s->steps = min(1ll << s->exponent, c.neurons);
    s->width = s->exponent;
    s->most = s->steps;
    s->cap = (i64)LIMIT;
#else
    double octaves = (double)top / (c.scale * LN2);
    if (!s->started) {
        s->exponent = (i64)floor((double)c.per_neuron - octaves);
        s->started = 1;
    }
    i64 exponent = min(s->exponent, (i64)floor((double)c.start_bits - octaves));
    s->octaves = octaves;
    double cap = (double)(c.cap_bits - exponent) * LN2 * c.scale;
    s->width = exponent;
    s->most = 4 * c.target;
    s->cap = (i64)floor(fmax(-LIMIT, fmin(LIMIT, cap)));
#endif
}

// Move the clock to the window's end, whose events are all `count` events of events[parity].
__device__ inline void close_clock(State* s, const Context& c, const u64* events,
                                   i64 count) {
#if BOLTZMANN
    s->record_high = (double)s->number;
    s->record_low = 0.0;
    s->record_tick = 1.0;
    s->record_offset = 0.0;
    bool may_grow = (1ll << s->exponent) < c.neurons;
    s->number += s->steps;
    s->exponent = max(0ll, follow(s->exponent, count, c.target, may_grow));
    s->high = (double)s->number;
#else
    double high = s->high, low = s->low, tick = power_of_two(s->width - MPM_TICK_BITS);
    s->record_high = high;
    s->record_low = low;
    s->record_tick = tick;
    s->record_offset = -0.5;
    double passed = power_of_two(s->width);
    if (s->early) passed = ((count ? (double)tick_of(events[count - 1]) : 0.0) - 0.5) * tick;
    double total = high + passed;
    double part = total - high;
    low += (high - (total - part)) + (passed - part);
    s->high = total + low;
    s->low = low - (s->high - total);
    bool capped = s->width < s->exponent;
    i64 following = follow(s->width, count, c.target, !(s->early || capped));
    if (!(capped && following == s->width)) s->exponent = following;
    s->number++;
#endif
}
