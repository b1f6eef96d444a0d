// merge: the events of all ranks, by time, and whether they are those of the last replay.
// Each warp finds the place of its events by counting those before.
#pragma once
#include "replay.cuh"

#define SORTED 6144  // events that fit into a block's shared memory

// Where the exchange left the events of each rank.
enum Source { OWN, GATHERED, PEER };

struct Arrivals {
    u64 header[MOST_RANKS * HEADER];
    i64 start[MOST_RANKS + 1];
};

__device__ __forceinline__ u64 arrived(Source source, i64 rank, i64 word, i64 epoch) {
    if (source == OWN) return C.out[word];
    if (source == GATHERED) return C.gathered[rank * (HEADER + C.out_capacity) + word];
    return get(area_of((int)C.rank, epoch, (int)rank), word, (u32)(epoch + 1));
}

// All ranks' headers into shared memory; by all threads of a block.
__device__ __noinline__ void receive_headers(State* s, Source source, Arrivals& a) {
    for (i64 k = threadIdx.x; k < C.ranks * HEADER; k += THREADS)
        a.header[k] = source == OWN ? header_word(s, (int)k)
                                    : arrived(source, k / HEADER, k % HEADER, s->epoch);
    __syncthreads();
    if (threadIdx.x == 0) {
        i64 start = 0;
        for (i64 p = 0; p < C.ranks; p++) {
            a.start[p] = start;
            start += min((i64)a.header[p * HEADER], C.out_capacity);
        }
        a.start[C.ranks] = start;
    }
    __syncthreads();
}

__device__ inline Headers combined(const Arrivals& a) {
    Headers all = {0, 0, 0, LARGEST_Z, -(i64)LIMIT, 0, 0, NO_EVENT};
    for (i64 p = 0; p < C.ranks; p++) include(all, a.header + p * HEADER);
    return all;
}

__device__ __noinline__ void phase_merge(const State* s, i64 block, i64 blocks, Source source,
                                       const Arrivals& a, u64* sorted) {
    i64 count = min(a.start[C.ranks], C.event_capacity), epoch = s->epoch, last = s->count;
    if (block >= count + last) return;
    auto fetch = [&](i64 k) {
        i64 rank = 0;
        while (k >= a.start[rank + 1]) rank++;
        return arrived(source, rank, HEADER + k - a.start[rank], epoch);
    };
    // Tasks: a place among all for each event that came, and whether it is new; for each event of
    // the last replay, whether it went.
    const u64* before = C.events[s->parity];
    u64* after = C.events[s->parity ^ 1];
    __shared__ Pile found;
    if (threadIdx.x == 0) found.count = 0;
    __syncthreads();
    bool fits = count + last <= SORTED;
    u64* old = sorted + count;
    if (fits) {
        for (i64 k = threadIdx.x; k < count + last; k += THREADS)
            sorted[k] = k < count ? fetch(k) : before[k - count];
        __syncthreads();
    }
    int lane = threadIdx.x & 31;
    for (i64 k = (threadIdx.x >> 5) * blocks + block; k < count + last; k += blocks * WARPS) {
        bool came = k < count;
        u64 event = fits ? sorted[k] : came ? fetch(k) : before[k - count];
        u64 start = event & ~1ull;
        u32 place = 0;
        bool known = false;
        for (i64 q = lane; q < count; q += 32) {
            u64 other = fits ? sorted[q] : fetch(q);
            // Events of one neuron at one tick come from one warp, in their order.
            place += other < start || ((other ^ event) <= 1 && q < k);
            known |= other == event;
        }
        if (came) {
            known = false;
            for (i64 q = lane; q < last; q += 32) known |= (fits ? old[q] : before[q]) == event;
        }
        place = __reduce_add_sync(ALL, place);
        known = __any_sync(ALL, known);
        if (lane) continue;
        if (came) after[place] = event;
        if (known) continue;
        // An event that came after all the old ones may be cut off again: no difference in itself.
        u64 one = came && place >= last ? 1 : 1 | DIFFERENCE;
        u64 change = came ? event : event ^ 1;
        if (found.put(change, (i64)one)) continue;
        u32 to = (u32)atomicAdd((u64*)&gathered(s)->differs, one);
        if (to < MOST_CHANGES) C.changes[to] = change;
    }
    __syncthreads();
    if (threadIdx.x >= 32 || !found.count) return;
    u64 sum = 0;
    for (u32 k = lane; k < found.size(); k += 32) sum += (u64)found.extra[k];
    sum = (u64)warp_sum((i64)sum);
    u32 to = 0;
    if (lane == 0) to = (u32)atomicAdd((u64*)&gathered(s)->differs, sum);
    to = __shfl_sync(ALL, to, 0);
    for (u32 k = lane; k < found.size(); k += 32)
        if (to + k < MOST_CHANGES) C.changes[to + k] = found.item[k];
}
