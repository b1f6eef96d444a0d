// order, the twin of kernels/order.py: the events of all ranks, by time, from those that were in
// order before and the logs since. Each warp finds the place of an event by counting those before.
#pragma once
#include "exchange.cuh"

__device__ __noinline__ void phase_order(const State* s, i64 block, i64 blocks, Source source,
                                         const Told& a, u64* shared) {
    i64 old = s->total, gone = old + new_events(a, UNORDERED), count = old + length(a, UNORDERED);
    if (block >= gone) return;
    const u64* before = C.events[s->parity];
    u64* after = C.events[s->parity ^ 1];
    // Events of the old order and those that came count one each, those that went (from `gone` on)
    // take one away.
    auto fetch = [&](i64 k) {
        return k < old ? before[k] : listed(s, a, source, UNORDERED, k - old);
    };
    bool fits = count <= SHARED_WORDS;
    if (fits) {
        for (i64 k = threadIdx.x; k < count; k += THREADS) shared[k] = fetch(k);
        __syncthreads();
    }
    int lane = threadIdx.x & 31;
    for (i64 k = (threadIdx.x >> 5) * blocks + block; k < gone; k += blocks * WARPS) {
        u64 event = fits ? shared[k] : fetch(k), start = event & ~1ull;
        // Its place, how often it is there, and where it came last; and of the event that differs
        // from it by the state alone.
        i32 place = 0, present[2] = {0, 0};
        u32 last[2] = {0, 0};
        for (i64 q = lane; q < count; q += 32) {
            u64 other = fits ? shared[q] : fetch(q);
            i32 one = q < gone ? 1 : -1;
            if (other < start) place += one;
            if ((other ^ event) <= 1) {
                int differs = (int)(other ^ event);
                present[differs] += one;
                if (q < gone) last[differs] = (u32)q + 1;
            }
        }
        last[0] = __reduce_max_sync(ALL, last[0]);
        if (last[0] != (u32)k + 1) continue;
        last[1] = __reduce_max_sync(ALL, last[1]);
        place = __reduce_add_sync(ALL, place);
        present[0] = __reduce_add_sync(ALL, present[0]);
        present[1] = __reduce_add_sync(ALL, present[1]);
        // Events of one neuron at one tick alternate, and came in their order.
        bool first = present[0] == present[1] ? last[0] < last[1] : present[0] > present[1];
        for (i32 m = lane; m < present[0]; m += 32) after[place + 2 * m + (first ? 0 : 1)] = event;
    }
}
