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

// log2 of the largest rate of an MPM, of the neuron with the largest s z.
__device__ __forceinline__ double octaves_of(i64 top, double scale) {
    return fmax((double)top / (scale * LN2), NEVER);
}

struct Width {
    i64 exponent, cap;
};

// Of an MPM's next window, whose rule has this exponent: see `width_and_cap`.
__device__ __forceinline__ Width width_and_cap(i64 top, i64 exponent, double scale) {
    i64 highest = (i64)floor((double)START_BITS - octaves_of(top, scale));
    i64 width = min(min(exponent, highest), (i64)WIDEST);
    double cap = (double)(CAP_BITS - width) * LN2 * scale;
    return {width, (i64)floor(fmax(-LIMIT, fmin(LIMIT, cap)))};
}

// How much time there is from high + low to a change, not above 0 where it has come.
__device__ __forceinline__ double left_until(double high, double low, double change) {
    return (change - high) - low;
}

// The first event word that is no more of an MPM's window of width 2^exponent, since conditions
// change at a time in it; NO_EVENT if it ends before.
__device__ __forceinline__ u64 end_word(double high, double low, i64 exponent, double change) {
    double left = left_until(high, low, change);
    double tick = power_of_two(exponent - MPM_TICK_BITS);
    if (power_of_two(exponent) < left || tick == 0.0) return NO_EVENT;
    return event_word((u64)floor(left / tick) + 1, 0);
}

// What the next window follows from.
struct Clock {
    double high, low;
    i64 exponent;  // of the rule's width
};

// Of a window of width 2^exponent that made `count` events, the last at this tick, or 0; cut: by a
// change of conditions.
struct Made {
    i64 exponent, count, tick;
    bool early, cut;
    double change;
};

// The clock after an MPM's window: see `after_window`.
__device__ inline Clock after_window(Clock clock, const Made& made, i64 target) {
    if (made.cut && !made.early) {
        clock.high = made.change;
        clock.low = 0.0;
    } else {
        double passed = power_of_two(made.exponent);
        double tick = power_of_two(made.exponent - MPM_TICK_BITS);
        if (made.early) passed = ((double)made.tick - 0.5) * tick;
        advance(clock.high, clock.low, passed);
    }
    bool capped = made.exponent < clock.exponent, may_grow = !(made.early || capped || made.cut);
    i64 following = follow(made.exponent, made.count, target, may_grow);
    if (!(capped && following == made.exponent)) clock.exponent = following;
    return clock;
}

// The next window, from the largest s z of all ranks.
__device__ inline void open_window(State* s, const Context& c, i64 top) {
#if BOLTZMANN
    s->steps = min(1ll << s->exponent, c.most);
    s->width = s->exponent;
    s->most = s->steps;
    s->cap = (i64)LIMIT;
#else
    if (!s->started) {
        s->exponent = (i64)floor((double)c.per_neuron - octaves_of(top, c.scale));
        s->started = 1;
    }
    Width width = width_and_cap(top, s->exponent, c.scale);
    s->width = width.exponent;
    s->most = c.most;
    s->cap = width.cap;
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
    i64 last = count ? tick_of(events[count - 1]) : 0;
    Made made = {s->width, count, last, s->early != 0, false, 0.0};
    Clock clock = after_window({s->high, s->low, s->exponent}, made, c.target);
    s->high = clock.high;
    s->low = clock.low;
    s->exponent = clock.exponent;
    s->number++;
#endif
}
