// replay: each active neuron runs through its own tickets, in order of time, against the events of
// the last replay and its own changes, and tells how its events changed. A group of warps a neuron.
// A twin of cpu.deepen and cpu.replay, which decides tickets by bounds on z where this one has a
// guard.
#pragma once
#include "draw.cuh"
#include "exchange.cuh"

#define FEW 8    // tickets that a warp draws at once
#define GROUPS (THREADS / GROUP)

// What a group adds to the log: events that came [0], events that went [1].
struct Outbox {
    u64 item[2][PILE];
    u32 count[2];
    u64 place;     // as a mark
    u64 earliest;
};

__device__ __forceinline__ u64 log_places(const State* s, u64 counts) {
    return s->now + atomicAdd(&gathered(s)->made, counts);
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

// Room for the tickets of a slot; -1 if there is none.
__device__ __forceinline__ i64 reserve(const State* s, i64 count, int lane) {
    i64 offset = 0;
    if (lane == 0) {
        offset = s->tickets + (i64)atomicAdd((u64*)&gathered(s)->tickets, (u64)count);
        if (offset + count > C.ticket_capacity) {
            atomicOr((u64*)&gathered(s)->overflow, (u64)TICKETS);
            offset = -1;
        }
    }
    return __shfl_sync(ALL, offset, 0);
}

__device__ __forceinline__ void store_ticket(i64 place, u64 key, i64 threshold0, i64 threshold1) {
    C.keys[place] = key;
    C.thresholds[2 * place] = threshold0;
    C.thresholds[2 * place + 1] = threshold1;
    C.sums[place] = 0;
    C.fired[place] = 0;
}

// A slot's new tickets, and what it knows of its neuron; the sums of its tickets are to be made.
__device__ __forceinline__ void fill(Slot& slot, const State* s, i64 offset, i64 count, int lane) {
    __syncwarp();
    if (lane) return;
    i64 i = slot.neuron;
    slot.z = C.z[s->current][i];
    slot.own_weight = C.weights[(C.first + i) * C.stride + i];
    slot.state = C.x[i] & X_START;
    slot.offset = offset;
    slot.count = offset < 0 ? 0 : (i32)count;
    slot.drawn = slot.need;
    slot.summed = 0;
}

#if BOLTZMANN
// The visits of a slot's neuron, from the last to the first, stored by time.
__device__ __noinline__ void draw_tickets(Slot& slot, const State* s, int lane) {
    i64 i = slot.neuron;
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
        store_ticket(offset + place, event_word(k + 1, C.first + i), threshold[0], threshold[1]);
    }
    fill(slot, s, offset, count, lane);
}
#else
// Tickets k, ..., k + FEW - 1 of a neuron, one a lane; `level` is that of the last one before.
struct Few {
    u64 key;
    i64 threshold0, threshold1, lowest;
};

__device__ __forceinline__ Few draw_few(u64 window, u32 neuron, u32 k, i64 exponent, double rest,
                                        double& level, int lane) {
    Ticket mine = ticket(window, neuron, k + (lane & (FEW - 1)));
    double own = 0.0;
#pragma unroll
    for (int q = 0; q < FEW; q++) {
        level += __shfl_sync(ALL, mine.step, q);
        if ((lane & (FEW - 1)) == q) own = level;
    }
    double theta = level_threshold(own, exponent, C.scale);
    return {mine.key, to_threshold(theta - rest), to_threshold(theta + rest),
            to_threshold(theta - fabs(rest))};
}

// What the last replay did at a slot's first tickets, for the deeper ones at `offset`, by one warp.
// Tickets of one key are in the order in which they were drawn.
__device__ __forceinline__ void carry_over(const Slot& slot, i64 offset, i64 count, int lane) {
    for (i64 t = lane; t < count; t += 32) {
        u64 key = C.keys[offset + t];
        i64 twins = 0;
        while (twins < t && C.keys[offset + t - twins - 1] == key) twins++;
        for (i64 q = slot.offset; q < slot.offset + slot.count; q++)
            if (C.keys[q] == key && twins-- == 0) C.fired[offset + t] = C.fired[q];
    }
}

// The tickets of a slot's neuron up to response `need`, by time.
__device__ __noinline__ void draw_tickets(Slot& slot, const State* s, int lane) {
    i64 i = slot.neuron, exponent = s->width, need = slot.need;
    u32 neuron = (u32)(C.first + i);
    u64 window = s->number;
    double rest = C.rest[i], level = 0.0;
    Few few;
    i64 count = 0;
    int under;
    do {
        few = draw_few(window, neuron, (u32)count, exponent, rest, level, lane);
        u32 above = __ballot_sync(ALL, few.lowest > need) & ((1u << FEW) - 1);
        under = above ? __ffs(above) - 1 : FEW;
        count += under;
    } while (under == FEW);
    z_t bound = to_bound(__shfl_sync(ALL, few.lowest, under));
    bool at_once = count < FEW;
    i64 offset = reserve(s, at_once ? count : 2 * count, lane);
    if (lane == 0) C.bound[i] = bound;
    if (offset < 0) {
        // no room: the window will be done once more
    } else if (at_once) {
        int place = 0;
        for (int q = 0; q < (int)count; q++) {
            u64 key = __shfl_sync(ALL, few.key, q);
            place += key < few.key || (key == few.key && q < lane);
        }
        if (lane < count) store_ticket(offset + place, few.key, few.threshold0, few.threshold1);
    } else {
        i64 spare = offset + count;
        level = 0.0;
        for (i64 k = 0; k < count; k += FEW) {
            few = draw_few(window, neuron, (u32)k, exponent, rest, level, lane);
            if (lane < FEW && k + lane < count)
                store_ticket(spare + k + lane, few.key, few.threshold0, few.threshold1);
        }
        __syncwarp();
        for (i64 k = lane; k < count; k += 32) {
            u64 key = C.keys[spare + k];
            i64 place = 0;
            for (i64 q = 0; q < count; q++) {
                u64 other = C.keys[spare + q];
                place += other < key || (other == key && q < k);
            }
            i64 from = 2 * (spare + k);
            store_ticket(offset + place, key, C.thresholds[from], C.thresholds[from + 1]);
        }
    }
    __syncwarp();
    if (slot.count && offset >= 0) carry_over(slot, offset, count, lane);
    fill(slot, s, offset, count, lane);
}
#endif

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

// How a ticket stands: it fires or not whatever happens, as long as z goes no further than the
// guard from the window's start; or it is for the others' events to say.
enum Standing { IDLE, OPEN, CLEAR };

struct Standings {  // in either state of the neuron
    Standing armed, refractory;
    __device__ __forceinline__ bool open() const { return armed == OPEN || refractory == OPEN; }
};

__device__ __forceinline__ Standing standing(i64 sz, i64 threshold, i64 own, i64 cap) {
    if (sz + C.guard < threshold) return IDLE;
    return sz - C.guard >= threshold && C.guard - sz + own <= cap ? CLEAR : OPEN;
}

__device__ __forceinline__ Standings standings(const State* s, const Slot& slot, i64 t) {
    if (BOLTZMANN || slot.exact) return {OPEN, OPEN};
    i64 own = magnitude(slot.own_weight), cap = s->cap;
    return {standing(slot.z, C.thresholds[2 * t], own, cap),
            standing(-slot.z, C.thresholds[2 * t + 1], own, cap)};
}

// Add to the sums of a slot's open tickets what the others' events before them change.
__device__ __forceinline__ void add_events(const State* s, const Slot& slot, const u64* events,
                                           i64 count, Group& group) {
    if (!count) return;
    i64 last = slot.offset + slot.count - 1;  // the last open ticket: what comes later is idle
    while (last >= slot.offset && !standings(s, slot, last).open()) last--;
    if (last < slot.offset) return;
    u64 end = C.keys[last], own = event_word(0, C.first + slot.neuron);
    const weight_t* row = C.weights + slot.neuron;
    for (i64 from = 0; from < count; from += GROUP * BATCH) {
        sum_t change[BATCH];
#pragma unroll
        for (int u = 0; u < BATCH; u++) {
            i64 k = from + GROUP * u + group.thread;
            u64 event = k < count ? events[k] : NO_EVENT;
            bool others = event < end && ((event ^ own) & (2 * NEURON_MASK)) != 0;
            sum_t w = others ? (sum_t)row[neuron_of(event) * C.stride] : 0;
            change[u] = event & 1 ? w : -w;
        }
        for (i64 t = slot.offset; t <= last; t++) {
            if (!standings(s, slot, t).open()) continue;
            u64 key = C.keys[t];
            sum_t part = 0;
#pragma unroll
            for (int u = 0; u < BATCH; u++) {
                i64 k = from + GROUP * u + group.thread;
                part += k < count && events[k] < key ? change[u] : 0;
            }
            i64 sum = group.total(part);
            if (group.thread == 0) C.sums[t] += sum;
        }
    }
}

// Run through a slot's tickets, and tell how its events changed.
__device__ __forceinline__ void run(const State* s, const Slot& slot, Group& group, Outbox& box,
                                    bool peers) {
    int x = slot.state;
    i64 own = 0;
    bool fired = false, stopped = false;
    group.wait();  // the sums are there
    for (i64 t = slot.offset; t < slot.offset + slot.count; t++) {
        u64 key = C.keys[t];
        int before = C.fired[t], now = 0;
        Standings of = standings(s, slot, t);
        Standing here = x ? of.refractory : of.armed;
        i64 sign = 1 - 2 * x, total = slot.z + own + C.sums[t];
        bool open = here == OPEN;
        if (!stopped && (open ? sign * total >= C.thresholds[2 * t + x] : here == CLEAR)) {
            now = 2 | (1 - x);
            fired = true;
            own += sign * slot.own_weight;
            x ^= 1;
            if (open && -sign * (total + sign * slot.own_weight) > s->cap) {
                if (group.thread == 0) atomicMin(&gathered(s)->stop, key);
                stopped = true;
            }
        }
        if (now == before) continue;
        if (group.thread < 32) {
            if (before) emit(s, box, 1, key | (u64)(before & 1), group.thread, peers);
            if (now) emit(s, box, 0, key | (u64)(now & 1), group.thread, peers);
        }
        group.wait();  // all have read what was before
        if (group.thread == 0) C.fired[t] = (u8)now;
    }
    if (group.thread == 0)
        C.x[slot.neuron] =
            (u8)(slot.state | X_ACTIVE | x * X_END | (fired ? X_FIRED : 0));
}

// The rest of all groups' events into the log; to peers the header too.
__device__ __forceinline__ void send_all(State* s, Outbox* boxes, bool peers) {
    __syncthreads();
    if (threadIdx.x == 0) {
        u64 counts = 0, earliest = NO_EVENT;
        for (int g = 0; g < GROUPS; g++) {
            boxes[g].place = counts;
            counts += boxes[g].count[0] | (u64)boxes[g].count[1] << 32;
            earliest = min(earliest, boxes[g].earliest);
        }
        if (counts) {
            atomicMin(&gathered(s)->earliest, earliest);
            u64 place = log_places(s, counts);
            for (int g = 0; g < GROUPS; g++) boxes[g].place += place;
        }
    }
    if (peers && last_block()) put_header(s);  // before the words, which need no fence
    __syncthreads();
    Outbox& box = boxes[threadIdx.x / GROUP];
    for (int side = 0; side < 2; side++)
        send(s, box, side, box.place, threadIdx.x % GROUP, GROUP, peers);
}

__device__ __noinline__ void phase_replay(State* s, i64 block, i64 blocks, Source source,
                                          Arrivals& a, u64* shared) {
    __shared__ i64 sums[GROUPS][2 * GROUP / 32];
    __shared__ Outbox boxes[GROUPS];
    Group group = {(int)threadIdx.x / GROUP, (int)threadIdx.x % GROUP, nullptr, 0};
    group.sums = sums[group.number];
    Outbox& box = boxes[group.number];
    __shared__ Slot slots_here[GROUPS];
    Slot& slot = slots_here[group.number];
    u64* words = (u64*)&slot;
    auto home = [](i64 n) { return (u64*)(C.slots + n); };
    if (group.thread == 0) box.count[0] = box.count[1] = 0, box.earliest = NO_EVENT;
    i64 slots = min(s->slots, C.slot_capacity), changes = 0;
    if (s->heard) {
        make_list(a, BEFORE);
        changes = a.start[2 * C.ranks];
    }
    bool peers = source == PEER;
    i32 number = (i32)(s->replays & 0x3FFFFFFF) + 1;  // of this replay
    for (i64 from = 0; from == 0 || from < changes; from += SHARED_WORDS) {
        i64 tile = min(changes - from, (i64)SHARED_WORDS);
        __syncthreads();
        for (i64 k = threadIdx.x; k < tile; k += THREADS) {
            u64 event = listed(s, a, source, BEFORE, from + k);
            shared[k] = from + k < a.start[C.ranks] ? event : event ^ 1;  // it went: the other way
        }
        __syncthreads();
        for (i64 n = group.number * blocks + block; n < slots; n += blocks * GROUPS) {
            group.wait();  // none works on the one before
            if (group.thread < SLOT_WORDS) words[group.thread] = home(n)[group.thread];
            group.wait();
            if (slot.drawn != slot.need) {
                if (group.thread < 32) draw_tickets(slot, s, group.thread);
                group.wait();
            }
            if (!slot.summed) {
                if (group.thread == 0)
                    for (i64 t = slot.offset; t < slot.offset + slot.count; t++) C.sums[t] = 0;
                add_events(s, slot, C.events[s->parity], s->total, group);
                group.wait();
                if (group.thread == 0) slot.summed = number;
                group.wait();
                if (group.thread < SLOT_WORDS) home(n)[group.thread] = words[group.thread];
            } else if (slot.summed != number) {
                add_events(s, slot, shared, tile, group);
            }
            if (from + tile == changes) run(s, slot, group, box, peers);
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
