// replay, the twin of kernels/replay.py: each active neuron runs through its own tickets, in order
// of time, against the events of the last replay and its own changes, and tells how its events
// changed. A group of warps a neuron. The twin decides tickets by bounds on z, this one by how far
// they are from z at the window's start.
#pragma once
#include "draw.cuh"
#include "exchange.cuh"

#define CHUNK 8   // tickets of a slot that are looked at together
#define BATCH 16  // events whose weights a thread of a group loads at once
#define GROUPS (THREADS / GROUP)

// What a group adds to the log: events that came [0], events that went [1].
struct Outbox {
    u64 item[2][PILE];
    u32 count[2];
    u64 place;     // as a mark
    u64 earliest;
};

__device__ __forceinline__ u64 log_places(const State* s, u64 counts) {
    return s->now + atomicAdd(&findings(s)->made, counts);
}

// By `threads` threads: one side of an outbox into the log, from its place on.
__device__ __forceinline__ void send(const State* s, const Outbox& box, int side, u64 place,
                                     int thread, int threads, bool peers) {
    for (u32 k = thread; k < box.count[side]; k += threads) {
        i64 at = side ? C.log_capacity - 1 - went(place) - k : came(place) + k;
        tell(s, at, box.item[side][k], peers);
    }
}

// By one warp: an event that came or went into its group's outbox; a full side is sent before.
__device__ __forceinline__ void emit(const State* s, Outbox& box, int side, u64 event, int lane,
                                     bool peers) {
    if (box.count[side] == PILE) {
        u64 place = 0;
        if (lane == 0) place = log_places(s, (u64)PILE << 32 * side);
        send(s, box, side, __shfl_sync(ALL, place, 0), lane, 32, peers);
        __syncwarp();
        if (lane == 0) box.count[side] = 0;
    }
    __syncwarp();
    if (lane == 0) {
        box.item[side][box.count[side]++] = event;
        box.earliest = min(box.earliest, event);
    }
    __syncwarp();
}

#if WEIGHT_BITS == 32
typedef i64 sum_t;
__device__ __forceinline__ i64 warp_total(i64 v) { return warp_sum(v); }
#else  // of GROUP * BATCH weights of 16 bits
typedef i32 sum_t;
__device__ __forceinline__ i64 warp_total(i32 v) { return __reduce_add_sync(ALL, v); }
#endif

// The threads that share a neuron, and where their warps' sums meet.
struct Group {
    int number, thread;
    i64* sums;  // shared: [2, warps]
    int flip;

    __device__ __forceinline__ void wait() const {
#if GROUP == 32
        __syncwarp();
#else
        asm volatile("bar.sync %0, %1;" ::"r"(1 + number), "n"(GROUP) : "memory");
#endif
    }
    __device__ __forceinline__ i64 total(sum_t part) {
        i64 sum = warp_total(part);
        i64* place = sums + flip * (GROUP / 32);
        if ((thread & 31) == 0) place[thread >> 5] = sum;
        wait();
        flip ^= 1;  // a slow warp may still read here while a fast one writes there
        sum = 0;
#pragma unroll
        for (int w = 0; w < GROUP / 32; w++) sum += place[w];
        return sum;
    }
};

// How a ticket stands: it fires or not whatever happens, as long as z goes no further than C.doubt
// from where it started; or it is for the others' events to say.
enum Standing { IDLE, OPEN, CLEAR };

struct Standings {  // in either state of the neuron
    Standing armed, refractory;
    __device__ __forceinline__ bool open() const { return armed == OPEN || refractory == OPEN; }
};

__device__ __forceinline__ Standing standing(i64 sz, i64 threshold, i64 own, i64 cap) {
    if (sz + C.doubt < threshold) return IDLE;
    return sz - C.doubt >= threshold && C.doubt - sz + own <= cap ? CLEAR : OPEN;
}

__device__ __forceinline__ Standings standings(const State* s, const Slot& slot, const Ticket& t) {
    if (BOLTZMANN || slot.exact) return {OPEN, OPEN};
    i64 own = magnitude(slot.own_weight), cap = s->cap;
    return {standing(slot.z, t.threshold[0], own, cap),
            standing(-slot.z, t.threshold[1], own, cap)};
}

// A slot that a group works on, and a chunk of its tickets, in shared memory.
struct Work {
    Slot slot;
    Ticket ticket[CHUNK];

    template <typename T>
    static __device__ __forceinline__ void copy(T* to, const T* from, int count, Group& group) {
        group.wait();
        for (int k = group.thread; k < count * (int)(sizeof(T) / 8); k += GROUP)
            ((u64*)to)[k] = ((const u64*)from)[k];
        group.wait();
    }
};

template <int SIZE>
struct Batch {
    static const int size = SIZE;
};

// Add to the sums of open tickets what the others' events before them change; false if none is
// open.
__device__ __forceinline__ bool add_events(const State* s, Work& work, int tickets,
                                           const u64* events, i64 count, Group& group) {
    int last = tickets - 1;  // the last open one: what comes later needs no sum
    while (last >= 0 && !standings(s, work.slot, work.ticket[last]).open()) last--;
    if (last < 0 || !count) return false;
    u64 end = work.ticket[last].key, own = event_word(0, C.first + work.slot.neuron);
    const weight_t* row = C.columns.weights + work.slot.neuron;
    auto add = [&](auto batch, i64 from) {  // that many events a thread
        sum_t change[batch.size];
#pragma unroll
        for (int u = 0; u < batch.size; u++) {
            i64 k = from + GROUP * u + group.thread;
            u64 event = k < count ? events[k] : NO_EVENT;
            bool others = event < end && ((event ^ own) & (2 * NEURON_MASK)) != 0;
            sum_t w = others ? (sum_t)row[neuron_of(event) * C.columns.stride] : 0;
            change[u] = event & 1 ? w : -w;
        }
        for (int t = 0; t <= last; t++) {
            Ticket& ticket = work.ticket[t];
            if (!standings(s, work.slot, ticket).open()) continue;
            sum_t part = 0;
#pragma unroll
            for (int u = 0; u < batch.size; u++) {
                i64 k = from + GROUP * u + group.thread;
                part += k < count && events[k] < ticket.key ? change[u] : 0;
            }
            i64 sum = group.total(part);
            if (group.thread == 0) ticket.sum += sum;
        }
    };
    if (count <= GROUP) {
        add(Batch<1>(), 0);
    } else {
        for (i64 from = 0; from < count; from += GROUP * BATCH) add(Batch<BATCH>(), from);
    }
    group.wait();
    return true;
}

// Where a neuron stands on its way through a window.
struct Course {
    int x;
    i64 own;  // what its own events have changed
    bool fired, stopped;
};

// Run through tickets, and tell how the neuron's events changed; false if they did not.
__device__ __forceinline__ bool run(const State* s, Work& work, int tickets, Course& at,
                                    Group& group, Outbox& box, bool peers) {
    i64 own_weight = work.slot.own_weight;
    bool changed = false;
    for (int t = 0; t < tickets; t++) {
        Ticket& ticket = work.ticket[t];
        Standings of = standings(s, work.slot, ticket);
        bool open = (at.x ? of.refractory : of.armed) == OPEN;
        bool clear = (at.x ? of.refractory : of.armed) == CLEAR;
        i64 sign = 1 - 2 * at.x, total = work.slot.z + at.own + ticket.sum;
        int before = (int)ticket.fired, now = 0;
        if (!at.stopped && (open ? sign * total >= ticket.threshold[at.x] : clear)) {
            now = 2 | (1 - at.x);
            at.fired = true;
            at.own += sign * own_weight;
            at.x ^= 1;
            if (open && -sign * (total + sign * own_weight) > s->cap) {
                if (group.thread == 0) atomicMin(&findings(s)->stop, ticket.key);
                at.stopped = true;
            }
        }
        if (now == before) continue;
        changed = true;
        if (group.thread < 32) {
            if (before) emit(s, box, 1, ticket.key | (u64)(before & 1), group.thread, peers);
            if (now) emit(s, box, 0, ticket.key | (u64)(now & 1), group.thread, peers);
        }
        group.wait();  // all have read what was before
        if (group.thread == 0) ticket.fired = now;
    }
    return changed;
}

// The rest of all groups' events into the log; to peers the header too.
__device__ __forceinline__ void send_all(State* s, Outbox* boxes, bool peers) {
    Outbox& box = boxes[threadIdx.x / GROUP];
    bool any = __syncthreads_or(threadIdx.x % GROUP == 0 && box.count[0] + box.count[1] > 0);
    if (any && threadIdx.x == 0) {
        u64 counts = 0, earliest = NO_EVENT;
        for (int g = 0; g < GROUPS; g++) {
            boxes[g].place = counts;
            counts += boxes[g].count[0] | (u64)boxes[g].count[1] << 32;
            earliest = min(earliest, boxes[g].earliest);
        }
        atomicMin(&findings(s)->earliest, earliest);
        u64 place = log_places(s, counts);
        for (int g = 0; g < GROUPS; g++) boxes[g].place += place;
    }
    if (peers && last_block()) put_header(s);  // before the words, which need no fence
    if (!any) return;
    __syncthreads();
    for (int side = 0; side < 2; side++)
        send(s, box, side, box.place, threadIdx.x % GROUP, GROUP, peers);
}

// `again`: the block's groups have replayed just before, and nothing has changed but the logs.
__device__ __noinline__ void phase_replay(State* s, i64 block, i64 blocks, Source source,
                                          const Told& a, u64* shared, bool again) {
    __shared__ i64 sums[GROUPS][2 * GROUP / 32];
    __shared__ Outbox boxes[GROUPS];
    __shared__ Work works[GROUPS];
    Group group = {(int)threadIdx.x / GROUP, (int)threadIdx.x % GROUP, nullptr, 0};
    group.sums = sums[group.number];
    Outbox& box = boxes[group.number];
    Work& work = works[group.number];
    Slot& slot = work.slot;
    if (group.thread == 0) box.count[0] = box.count[1] = 0, box.earliest = NO_EVENT;
    i64 slots = min(s->slots, C.slot_capacity), changes = s->heard ? length(a, LATEST) : 0;
    bool peers = source == PEER;
    i32 number = (i32)(s->replays & 0x3FFFFFFF) + 1;  // of this replay
    again = again && slots <= blocks * GROUPS;
    for (i64 from = 0; from == 0 || from < changes; from += SHARED_WORDS) {
        i64 tile = min(changes - from, (i64)SHARED_WORDS);
        bool final = from + tile == changes;
        __syncthreads();
        for (i64 k = threadIdx.x; k < tile; k += THREADS) {
            u64 event = listed(s, a, source, LATEST, from + k);
            shared[k] = from + k < new_events(a, LATEST) ? event : event ^ 1;  // it went: back
        }
        __syncthreads();
        for (i64 n = group.number * blocks + block; n < slots; n += blocks * GROUPS) {
            if (!again) Work::copy(&slot, C.slots + n, 1, group);
            if (slot.drawn != slot.need) {
                group.wait();  // all have read that
                if (group.thread < 32) draw_tickets(slot, s, group.thread);
                group.wait();
            }
            bool fresh = !slot.summed, summed = slot.summed == number;
            Course at = {slot.state, 0, false, false};
            for (int t = 0; t < slot.count; t += CHUNK) {
                Ticket* home = C.tickets + slot.offset + t;
                int tickets = min(CHUNK, slot.count - t);
                if (!again || slot.count > CHUNK) Work::copy(work.ticket, home, tickets, group);
                bool changed = fresh;
                if (fresh) {
                    if (group.thread < tickets) work.ticket[group.thread].sum = 0;
                    group.wait();
                    add_events(s, work, tickets, C.events[s->parity], s->total, group);
                } else if (!summed) {
                    changed = add_events(s, work, tickets, shared, tile, group);
                }
                if (final) changed |= run(s, work, tickets, at, group, box, peers);
                if (changed) Work::copy(home, work.ticket, tickets, group);
            }
            if (fresh) {
                group.wait();
                if (group.thread == 0) slot.summed = number;
                Work::copy(C.slots + n, &slot, 1, group);
            }
            if (final && group.thread == 0)
                C.x[slot.neuron] = (u8)(slot.state | X_ACTIVE | at.x * X_END |
                                        (at.fired ? X_FIRED : 0));
        }
    }
    send_all(s, boxes, peers);
}

// trim: the states at the window's end from the events that were kept. One block.
__device__ __noinline__ void phase_trim(const State* s) {
    i64 slots = min(s->slots, C.slot_capacity);
    for (i64 a = threadIdx.x; a < slots; a += THREADS) {
        i64 i = C.slots[a].neuron;
        int x = C.x[i] & X_START;
        C.x[i] = (u8)(x | X_ACTIVE | x * X_END);
    }
    __syncthreads();
    const u64* events = C.events[s->parity];
    for (i64 k = threadIdx.x; k < s->count; k += THREADS) {
        i64 i = neuron_of(events[k]) - C.first;
        if (i < 0 || i >= C.size) continue;
        u32* word = (u32*)(C.x + (i & ~3ll));
        int shift = 8 * (int)(i & 3);
        atomicXor(word, (u32)X_END << shift);
        atomicOr(word, (u32)X_FIRED << shift);
    }
}
