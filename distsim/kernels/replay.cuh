// replay: each active neuron runs through its own tickets, in order of time, against the events of
// the last replay and its own changes. A group of warps a neuron. A twin of cpu.deepen and cpu.replay,
// which decides tickets by bounds on z where this one has a guard.
#pragma once
#include "draw.cuh"

#define FEW 8    // tickets that a warp draws at once
#define GROUPS (THREADS / GROUP)

// 16-byte words {low, tag, high, tag} need no fence: a reader polls until both tags are right.
__device__ __forceinline__ void put(u64* area, i64 word, u64 value, u32 tag) {
    asm volatile("st.volatile.global.v4.u32 [%0], {%1, %2, %3, %2};" ::"l"(area + 2 * word),
                 "r"((u32)value), "r"(tag), "r"((u32)(value >> 32))
                 : "memory");
}

__device__ __forceinline__ u64 get(const u64* area, i64 word, u32 tag) {
    u32 low, first, high, second;
    int spins = 0;
    do {
        asm volatile("ld.volatile.global.v4.u32 {%0, %1, %2, %3}, [%4];"
                     : "=r"(low), "=r"(first), "=r"(high), "=r"(second)
                     : "l"(area + 2 * word)
                     : "memory");
        if (++spins > SPINS) {
            C.live->lost = 1;
            return NO_EVENT;
        }
    } while (first != tag || second != tag);
    return (u64)high << 32 | low;
}

// Send `count` events of a pile to where they go from `place` on; by `threads` threads.
__device__ __forceinline__ void send(const Pile& pile, u32 count, i64 place, int thread,
                                     int threads, bool peers, i64 epoch) {
    int copies = peers ? (int)C.ranks : 1;
    for (u32 k = thread; k < count * copies; k += threads) {
        u64 event = pile.item[k / copies];
        i64 word = place + k / copies;
        if (word >= C.out_capacity) continue;  // the header tells
        if (peers)
            put(area_of(k % copies, epoch, (int)C.rank), HEADER + word, event, (u32)(epoch + 1));
        else C.out[HEADER + word] = event;
    }
}

__device__ __forceinline__ i64 places(const State* s, u32 count) {
    return (i64)atomicAdd((u64*)&gathered(s)->made, (u64)count);
}

// By one warp: an event onto its group's pile; a full pile is sent before.
__device__ __forceinline__ void emit(const State* s, Pile& pile, u64 event, int lane, bool peers) {
    if (pile.count == PILE) {
        i64 place = __shfl_sync(ALL, lane == 0 ? places(s, PILE) : 0, 0);
        send(pile, PILE, place, lane, 32, peers, s->epoch);
        __syncwarp();
        if (lane == 0) pile.count = 0;
    }
    __syncwarp();
    if (lane == 0) pile.item[pile.count++] = event;
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
}

#if BOLTZMANN
// The visits of a slot's neuron, from the last to the first, stored by time.
__device__ __noinline__ void draw_tickets(Slot& slot, const State* s, int lane) {
    i64 i = slot.neuron;
    i32 last = (i32)(C.heads[i] & 0xFFFFFFFFull) - 1;
    i64 count = 0;
    for (i32 k = last; k >= 0; k = C.links[k]) count++;
    i64 offset = reserve(s, count, lane);
    slot.count = offset < 0 ? 0 : (i32)count;
    slot.offset = offset;
    slot.drawn = slot.need;
    if (offset < 0) return;
    i64 visit = 0;
    for (i32 k = last; k >= 0; k = C.links[k], visit++) {
        if ((visit & 31) != lane) continue;
        i64 place = 0;  // links of one neuron are in no order
        for (i32 other = last; other >= 0; other = C.links[other]) place += other < k;
        i64 threshold[2];
        visit_thresholds(s->number + k, i, threshold);
        store_ticket(offset + place, event_word(k + 1, C.first + i), threshold[0], threshold[1]);
    }
    __syncwarp();
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
    slot.count = offset < 0 ? 0 : (i32)count;
    slot.offset = offset;
    slot.drawn = need;
    if (offset < 0) return;
    if (lane == 0) C.bound[i] = bound;
    if (at_once) {
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
}
#endif

#if WEIGHT_BITS == 32
typedef i64 sum_t;
__device__ __forceinline__ i64 warp_total(i64 v, i64) { return warp_sum(v); }
#else
typedef i32 sum_t;
__device__ __forceinline__ i64 warp_total(i32 v, i64 events) {
    return events < 1 << 16 ? (i64)__reduce_add_sync(ALL, v) : warp_sum(v);
}
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
    __device__ __forceinline__ i64 total(sum_t part, i64 events) {
        i64 sum = warp_total(part, events);
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

// The others' changes of one neuron's z: sums of those before a time. A thread holds BATCH of them.
struct Past {
    const u64* events;
    i64 count, next;  // events; next one to load
    bool ordered;     // by time, and times are asked for in order; else they are few
    sum_t before;     // this thread's part of the batches gone by
    u64 event[BATCH];
    sum_t change[BATCH];

    __device__ __forceinline__ void load_events(int thread) {
#pragma unroll
        for (int u = 0; u < BATCH; u++) {
            i64 e = next + GROUP * u + thread;
            event[u] = e < count ? events[e] : NO_EVENT;
        }
        next += GROUP * BATCH;
    }
    __device__ __forceinline__ void load_weights(const weight_t* row, u64 own) {
#pragma unroll
        for (int u = 0; u < BATCH; u++) {
            bool others = event[u] != NO_EVENT && ((event[u] ^ own) & (2 * NEURON_MASK)) != 0;
            sum_t w = others ? (sum_t)row[neuron_of(event[u]) * C.stride] : 0;
            change[u] = event[u] & 1 ? w : -w;
        }
    }
    __device__ __forceinline__ i64 sum(u64 time, const weight_t* row, u64 own, Group& group) {
        while (ordered && next < count && events[next - 1] < time) {
#pragma unroll
            for (int u = 0; u < BATCH; u++) before += change[u];
            load_events(group.thread);
            load_weights(row, own);
        }
        sum_t part = before;
#pragma unroll
        for (int u = 0; u < BATCH; u++) part += event[u] < time ? change[u] : 0;
        return group.total(part, count);
    }
};

// What is the same for all neurons of a replay.
__device__ __forceinline__ Past past_events(const State* s, bool changes, int thread) {
    Past past;
    past.events = changes ? C.changes : C.events[s->parity];
    past.count = changes ? s->changes : s->count;
    past.ordered = !changes;
    past.next = 0;
    past.before = 0;
    past.load_events(thread);
    return past;
}

// How a ticket stands: it fires or not whatever happens, as long as z goes no further than the
// guard from the window's start; or it is for the others' events to say.
enum Standing { IDLE, OPEN, CLEAR };

__device__ __forceinline__ Standing standing(i64 sz, i64 threshold, i64 own, i64 guard, i64 cap) {
    if (sz + guard < threshold) return IDLE;
    return sz - guard >= threshold && guard - sz + own <= cap ? CLEAR : OPEN;
}

__device__ __forceinline__ void replay_slot(i64 a, const State* s, const Past& first,
                                            Group& group, Pile& pile, bool peers) {
    Slot slot = C.slots[a];
    i64 i = slot.neuron;
    u8 byte = C.x[i];
    i64 z = C.z[s->current][i], cap = s->cap, guard = C.guard, own = 0;
    i64 own_weight = C.weights[(C.first + i) * C.stride + i];
    u64 own_word = event_word(0, C.first + i);
    int x = byte & X_START;
    bool guarded = !BOLTZMANN && !slot.exact, fired = false, loaded = false;
    i32 number = (i32)(s->replays & 0x7FFFFFFF);
    bool changes = !first.ordered && slot.summed == ((number - 1) & 0x7FFFFFFF);
    Past past = first;
    if (!first.ordered && !changes) past = past_events(s, false, group.thread);
    i32 summed = number;
    for (i64 t = slot.offset; t < slot.offset + slot.count; t++) {
        u64 key = C.keys[t];
        i64 threshold0 = C.thresholds[2 * t], threshold1 = C.thresholds[2 * t + 1];
        Standing of[2] = {OPEN, OPEN};
        if (guarded) {
            of[0] = standing(z, threshold0, magnitude(own_weight), guard, cap);
            of[1] = standing(-z, threshold1, magnitude(own_weight), guard, cap);
        }
        i64 others = 0;
        if ((of[0] == OPEN || of[1] == OPEN) && past.count + changes) {
            if (changes) others = C.sums[t];
            if (past.count) {
                if (!loaded) past.load_weights(C.weights + i, own_word);
                loaded = true;
                others += past.sum(key, C.weights + i, own_word, group);
            }
            if (group.thread == 0) C.sums[t] = others;
        } else if (group.thread == 0) {
            C.sums[t] = 0;
        }
        Standing now = x ? of[1] : of[0];
        if (now == IDLE) continue;
        i64 sign = 1 - 2 * x, total = z + own + others;
        if (now == OPEN && sign * total < (x ? threshold1 : threshold0)) continue;
        fired = true;
        if (group.thread < 32) emit(s, pile, key | (u64)(1 - x), group.thread, peers);
        own += sign * own_weight;
        x ^= 1;
        if (now == OPEN && -sign * (total + sign * own_weight) > cap) {
            if (group.thread == 0) atomicMin(&gathered(s)->stop, key);
            summed = -1;
            break;
        }
    }
    group.wait();  // all have read the neuron's byte and sums
    if (group.thread == 0) {
        C.x[i] = (u8)((byte & X_START) | X_ACTIVE | x * X_END | (fired ? X_FIRED : 0));
        C.slots[a].summed = summed;
    }
}

// The rest of all groups' events.
__device__ __forceinline__ void send_all(const State* s, Pile* piles, bool peers) {
    __syncthreads();
    if (threadIdx.x == 0) {
        u32 count = 0;
        for (int g = 0; g < GROUPS; g++) count += piles[g].count;
        i64 place = count ? places(s, count) : 0;
        for (int g = 0; g < GROUPS; g++) {
            piles[g].place = place;
            place += piles[g].count;
        }
    }
    __syncthreads();
    Pile& pile = piles[threadIdx.x / GROUP];
    send(pile, pile.count, pile.place, threadIdx.x % GROUP, GROUP, peers, s->epoch);
}

__device__ __noinline__ void phase_replay(const State* s, i64 block, i64 blocks, bool peers) {
    __shared__ i64 sums[GROUPS][2 * GROUP / 32];
    Group group = {(int)threadIdx.x / GROUP, (int)threadIdx.x % GROUP, nullptr, 0};
    __shared__ Pile piles[GROUPS];
    group.sums = sums[group.number];
    if (group.thread == 0) piles[group.number].count = 0;
    group.wait();
    i64 slots = min(s->slots, C.slot_capacity);
    Past first = past_events(s, s->changes >= 0, group.thread);
    for (i64 a = group.number * blocks + block; a < slots; a += blocks * GROUPS) {
        if (C.slots[a].drawn != C.slots[a].need) {  // the same for all: written by one, after all
            group.wait();
            if (group.thread < 32) {
                Slot slot = C.slots[a];
                draw_tickets(slot, s, group.thread);
                slot.summed = -1;
                if (group.thread == 0) C.slots[a] = slot;
            }
            group.wait();
        }
        replay_slot(a, s, first, group, piles[group.number], peers);
    }
    send_all(s, piles, peers);
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
