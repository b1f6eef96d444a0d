// By how much each event changes the energy, the twin of kernels/energy.py, where `C.changes` wants
// it. `race` knows z at each event. `relax` looks for it when a window is recorded: from z at the
// beginning of the event's stretch, which `apply` marks, and the stretch's events before it. Those
// of the whole window would be eight times as many weights at random places: on an H100 windows of
// 1,000 events take 24% longer so, and 3% with marks.
#pragma once
#include "control.cuh"

#define SUMMED 8  // events whose weights a lane loads at once: a stretch of 256 for its warp

// The change of 2 E by an event of a neuron with this z and W_ii.
__device__ __forceinline__ i64 doubled_by(i64 total, i64 diagonal, u64 event) {
    return -2 * sign_of(event) * total - diagonal;
}

__device__ __forceinline__ i64* change_of(const State* s, i64 k) {
    return C.changes + ((s->ring_head + k) & (C.ring_capacity - 1));
}

// In `C.marks`, where those of a tile that begins at event `from` are.
__device__ __forceinline__ i64 marks_of(i64 i, i64 from) {
    return i * MARKS + from / TILE * TEAM_WARPS;
}

// The stretch, counted over tiles, of the k-th of so many events, among those that are marked; and
// where a stretch begins. As `phase_apply` cuts them.
__device__ __forceinline__ i64 stretch_of(i64 k, i64 count) {
    i64 tile = k / TILE, size = min((i64)TILE, count - tile * TILE);
    i64 part = ((k - tile * TILE + 1) * TEAM_WARPS - 1) / size;
    return min(tile * TEAM_WARPS + part, (i64)MARKS - 1);
}
__device__ __forceinline__ i64 stretch_start(i64 stretch, i64 count) {
    i64 tile = stretch / TEAM_WARPS, size = min((i64)TILE, count - tile * TILE);
    return tile * TILE + size * (stretch % TEAM_WARPS) / TEAM_WARPS;
}

// By one warp, a lane's part: what events from .. to - 1 change of z of local neuron i.
__device__ __forceinline__ i64 moved(const u64* events, i64 from, i64 to, i64 i, int lane) {
    i64 total = 0;
    for (; from < to; from += 32 * SUMMED) {
        u64 event[SUMMED];
        i64 change[SUMMED];
#pragma unroll
        for (int u = 0; u < SUMMED; u++) {
            i64 k = from + 32 * u + lane;
            event[u] = k < to ? events[k] : NO_EVENT;
        }
#pragma unroll
        for (int u = 0; u < SUMMED; u++) {
            bool one = from + 32 * u + lane < to;
            change[u] = one ? weight(C.columns, i, neuron_of(event[u])) : 0;
        }
#pragma unroll
        for (int u = 0; u < SUMMED; u++) total += sign_of(event[u]) * change[u];
    }
    return total;
}

// For `relax`: of this rank's events that are recorded now. Those of other ranks stay what they
// were: none looks at them here. By warps of all blocks but the last, which records; from the last
// warp on, since a draw takes the first, and these seldom are many.
__device__ __noinline__ void find_changes(const State* s, i64 block, i64 blocks) {
    const u64* events = C.events[s->parity];
    i64 count = s->recorded, takers = max(blocks - 1, 1ll);
    int lane = threadIdx.x & 31, warp = WARPS - 1 - (threadIdx.x >> 5);
    if (block >= takers) return;
    for (i64 k = warp * takers + block; k < count; k += takers * WARPS) {
        u64 event = events[k];
        i64 i = neuron_of(event) - C.first;
        if (i < 0 || i >= C.size) continue;
        i64 stretch = stretch_of(k, count);
        i64 mark = C.marks[i * MARKS + stretch], diagonal = weight(C.columns, i, C.first + i);
        i64 change = warp_sum(moved(events, stretch_start(stretch, count), k, i, lane));
        if (lane == 0) *change_of(s, k) = doubled_by(mark + change, diagonal, event);
    }
}

// For `race`, which needs no other order of its events: there it keeps the change of each.
__device__ __forceinline__ u64* kept_change(const State* s, i64 k) {
    return C.events[s->parity ^ 1] + k;
}

// For `race`, by one block: of the events that are recorded now.
__device__ __noinline__ void take_changes(const State* s) {
    for (i64 k = threadIdx.x; k < s->recorded; k += THREADS)
        *change_of(s, k) = (i64)*kept_change(s, k);
}
