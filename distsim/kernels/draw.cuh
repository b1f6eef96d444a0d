// draw: commit the last window's states, record its events, and find the neurons that may fire in
// the next one. It has no twin: on a CPU the law draws, the chain commits, the recorder records.
#pragma once
#include "energy.cuh"
#if BOLTZMANN
#include "boltzmann.cuh"
#else
#include "mcculloch_pitts.cuh"
#endif

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
        total += event_digest(time, (u64)(position + k), who);
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

// `in_place`: for `race`, whose states are always those at the end.
__device__ __noinline__ void phase_draw(const State* s, i64 block, i64 blocks, bool in_place) {
    __shared__ Pile found;
    if (threadIdx.x == 0) found.count = 0;
    __syncthreads();
    bool commit = s->commit;
    if (s->record && block == blocks - 1) record_events(s);
    if (s->record && C.changes) {
        if (!in_place) find_changes(s, block, blocks);
        else if (block == blocks - 1) take_changes(s);
    }
    // Warps of all blocks in turn: a small network keeps all of them at work.
    i64 thread = ((threadIdx.x >> 5) * blocks + block) * 32 + (threadIdx.x & 31);
    i64 threads = blocks * THREADS;
    bool over = s->finishing;
    if (over && in_place) return;
#if BOLTZMANN
    for (i64 i = thread; i < C.size; i += threads) C.x[i] = starting(C.x[i], commit);
    if (over || in_place) return;
    find_visits(s, thread, threads, found);
#else
    screen(s, thread, threads, commit, !over && !in_place, found);
#endif
    add_slots(s, found);
}
