// The tickets of a Boltzmann machine: the twin of kernels/boltzmann.py.
#pragma once
#include "tickets.cuh"
#include "updates.cuh"

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
        double logit =
            update_logit(C.seed, step, (u32)(C.first + i), C.neurons, C.sequential);
        threshold[0] = to_threshold(C.scale * logit - rest);
        threshold[1] = 1 - threshold[0];
    } else {
        threshold[0] = (i64)floor(-rest) + 1;
        threshold[1] = (i64)floor(rest) + 1;
    }
}

// Chain the window's visits to each local neuron, and give each of these a slot. By all threads.
__device__ __forceinline__ void find_visits(const State* s, i64 thread, i64 threads, Pile& found) {
    u64 now = (u64)(s->draws + 1) << 32;  // an older head ends no chain
    for (i64 k = thread; k < s->steps; k += threads) {
        i64 i = visited(s->number + k) - C.first;
        if (i < 0 || i >= C.size) continue;
        u64 before = atomicExch(&C.heads[i], now | (u64)(k + 1));
        bool known = before >> 32 == now >> 32;
        C.links[k] = known ? (i32)(before & 0xFFFFFFFFull) - 1 : -1;
        if (!known && !found.put(i)) add_slot(s, i, 0);
    }
}

// The visits of a slot's neuron, from the last to the first, stored by time.
__device__ __noinline__ void draw_tickets(Slot& slot, const State* s, int lane) {
    i64 i = slot.neuron;
    Neuron known = look_up(s, i);
    i32 last = (i32)(C.heads[i] & 0xFFFFFFFFull) - 1;
    i64 count = 0;
    for (i32 k = last; k >= 0; k = C.links[k]) count++;
    i64 offset = reserve(s, count, lane), visit = 0;
    for (i32 k = offset < 0 ? -1 : last; k >= 0; k = C.links[k], visit++) {
        if ((visit & 31) != lane) continue;
        i64 place = 0;  // links of one neuron are in no order
        for (i32 other = last; other >= 0; other = C.links[other]) place += other < k;
        i64 threshold[2];
        visit_thresholds(s->number + k, i, threshold);
        u64 key = event_word(k + 1, C.first + i);
        C.tickets[offset + place] = {key, {threshold[0], threshold[1]}, 0, 0};
    }
    fill(slot, known, offset, count, lane);
}

// For `race`: this thread's earliest visit after event `last` that changes a state at the present
// z.
__device__ __forceinline__ u64 earliest_visit(const State* s, u64 last, i64 thread, i64 threads) {
    u64 best = NO_EVENT;
    const z_t* z = C.z[s->current];
    for (i64 k = max(tick_of(last) - 1, 0ll) + thread; k < s->steps; k += threads) {
        i64 i = visited(s->number + k) - C.first;
        if (i < 0 || i >= C.size) continue;
        u64 key = event_word(k + 1, C.first + i);
        if (key <= last) continue;
        i64 threshold[2];
        visit_thresholds(s->number + k, i, threshold);
        int x = C.x[i] & X_START;
        if ((x ? -(i64)z[i] : (i64)z[i]) >= threshold[x]) return key | (u64)(1 - x);
    }
    return best;
}
