// draw: commit the last window's states, record its events, and find the neurons that may fire in
// the next one. A twin of cpu.screen, cpu.visits, cpu.event_times and digest.py.
#pragma once
#include "control.cuh"

__device__ __forceinline__ u64 mix(u64 h) {
    h = (h ^ h >> 30) * 0xBF58476D1CE4E5B9ull;
    h = (h ^ h >> 27) * 0x94D049BB133111EBull;
    return h ^ h >> 31;
}

// (standard exponential, event word) of ticket k of a neuron.
struct Point {
    double step;
    u64 key;
};

__device__ __forceinline__ Point ticket(u64 window, u32 neuron, u32 k) {
    Words words = draw(C.seed, neuron, window, k, TICKET);
    if (k == 0) words.a = word_of(draw(C.seed, neuron >> 2, window, 0, FIRST), neuron & 3);
    u64 time = (u64)words.c << 32 | words.d;
    return {exponential(uniform(words.a, words.b)),
            event_word((time >> (64 - MPM_TICK_BITS)) + 1, neuron)};
}

// The neuron that a step (from 0) visits.
__device__ __forceinline__ i64 visited(u64 step) {
    if (C.sequential) return step % (u64)C.neurons;
    Words words = draw(C.seed, 0, step, 0, VISIT);
    u64 n = C.neurons;
    return (i64)(((u64)words.a * n + ((u64)words.b * n >> 32)) >> 32);
}

// The thresholds of a visit, for state 0 and 1.
__device__ __forceinline__ void visit_thresholds(u64 step, i64 i, i64* threshold) {
    double rest = C.rest[i];
    if (C.scale > 0.0) {
        Words words = draw(C.seed, (u32)(C.first + i), step, 0, UPDATE);
        double u = uniform(words.a, words.b);
        threshold[0] = to_threshold(C.scale * (ln(u) + exponential(u)) - rest);
        threshold[1] = 1 - threshold[0];
    } else {
        threshold[0] = (i64)floor(-rest) + 1;
        threshold[1] = (i64)floor(rest) + 1;
    }
}

// A bound from below on the thresholds of ticket 0, by the high word of its level.
__device__ __forceinline__ i64 lowest_threshold(u32 high, i64 exponent) {
    i64 k = (__double_as_longlong((double)high) >> BIN_SHIFT) - BIN_ORIGIN;
    if (k <= 0) return -(i64)LIMIT;
    double theta = (C.levels[k] - (double)exponent * LN2) * C.scale;
    double bound = theta - C.scale * 0x1p-40 - 2.0;
    return (i64)floor(fmax(-LIMIT, fmin(LIMIT, bound)));
}

// One block: the digest of the last window's events; the events themselves where asked for.
__device__ inline void record_events(const State* s) {
    const u64* events = C.events[s->parity];
    double high = s->record_high, low = s->record_low, tick = s->record_tick;
    double offset = s->record_offset;
    i64 count = s->recorded, position = s->transitions;
    i64 place = s->ring_head;
    u64 total = 0;
    for (i64 k = threadIdx.x; k < count; k += THREADS) {
        u64 event = events[k];
        u64 time = (u64)__double_as_longlong(time_of(event, high, low, tick, offset));
        u64 who = event & (2 * NEURON_MASK + 1);
        total += mix(mix(time + (u64)(position + k) * 0x9E3779B97F4A7C15ull) + who);
        if (C.recording) {
            u64* entry = C.ring + 2 * ((place + k) & (C.ring_capacity - 1));
            entry[0] = time;
            entry[1] = who;
        }
        if (k == count - 1) C.live->last = __longlong_as_double((i64)time);
    }
    total = (u64)warp_sum((i64)total);
    if ((threadIdx.x & 31) == 0) atomicAdd(&C.live->digest, total);
}

__device__ __forceinline__ void set_slot(i64 a, i64 i, i64 need) {
    if (a >= C.slot_capacity) return;  // control sees the count
    C.slots[a] = {need, UNDRAWN, 0, 0, 0, (i32)i, 0, 0, 0, 0};
    C.slot_of[i] = (i32)a;
}

__device__ __forceinline__ void add_slot(const State* s, i64 i, i64 need) {
    set_slot(s->slots + (i64)atomicAdd((u64*)&findings(s)->slots, 1ull), i, need);
}

// Slots for all that the block's threads have put on a pile.
__device__ __forceinline__ void add_slots(const State* s, Pile& pile) {
    __syncthreads();
    if (threadIdx.x == 0 && pile.size())
        pile.place = s->slots + (i64)atomicAdd((u64*)&findings(s)->slots, (u64)pile.size());
    __syncthreads();
    for (u32 k = threadIdx.x; k < pile.size(); k += THREADS)
        set_slot(pile.place + k, (i64)pile.item[k], pile.extra[k]);
}

// The byte of a neuron at the start of a window.
__device__ __forceinline__ u8 starting(u8 x, bool commit) {
    u8 state = commit ? (x & X_END) / X_END : x & X_START;
    return state | state * X_END | (x & X_START) * X_BEFORE;
}

// `in_place`: for `race`, whose states are always those at the end.
__device__ __noinline__ void phase_draw(const State* s, i64 block, i64 blocks, bool in_place) {
    __shared__ Pile found;
    if (threadIdx.x == 0) found.count = 0;
    __syncthreads();
    bool commit = s->commit;
    if (s->record && block == blocks - 1) record_events(s);
    // Warps of all blocks in turn: a small network keeps all of them at work.
    i64 thread = ((threadIdx.x >> 5) * blocks + block) * 32 + (threadIdx.x & 31);
    i64 threads = blocks * THREADS;
    bool over = s->finishing;
    if (over && in_place) return;
#if BOLTZMANN
    for (i64 i = thread; i < C.size; i += threads) C.x[i] = starting(C.x[i], commit);
    if (over || in_place) return;
    u64 now = (u64)(s->draws + 1) << 32;  // an older head ends no chain
    for (i64 k = thread; k < s->steps; k += threads) {
        i64 i = visited(s->number + k) - C.first;
        if (i < 0 || i >= C.size) continue;
        u64 before = atomicExch(&C.heads[i], now | (u64)(k + 1));
        bool known = before >> 32 == now >> 32;
        C.links[k] = known ? (i32)(before & 0xFFFFFFFFull) - 1 : -1;
        if (!known && !found.put(i)) add_slot(s, i, 0);
    }
#else
    u64 window = s->number;
    i64 exponent = s->width, cap = s->cap;
    const z_t* z = C.z[s->current];
    i64 offset = C.first & 3;
    for (i64 group = thread; 4 * group < C.size + offset; group += threads) {
        Words words = draw(C.seed, (u32)((C.first >> 2) + group), window, 0, FIRST);
#pragma unroll
        for (int k = 0; k < 4; k++) {
            i64 i = 4 * group + k - offset;
            if (i < 0 || i >= C.size) continue;
            u8 x = starting(C.x[i], commit);
            i64 bound = lowest_threshold(word_of(words, k), exponent);
            i64 sz = x & X_START ? -(i64)z[i] : (i64)z[i];
            bool active = !over && !in_place && sz + C.margin >= bound;
            C.bound[i] = to_bound(bound);
            C.x[i] = active ? x | X_ACTIVE : x;
            // A neuron that fires needs the tickets of its other state too, if it goes on.
            i64 need = min(cap, C.margin + (sz < -sz && -sz <= cap ? -sz : sz));
            if (active && !found.put(i, need)) add_slot(s, i, need);
        }
    }
#endif
    add_slots(s, found);
}
