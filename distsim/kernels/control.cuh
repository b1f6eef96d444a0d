// What happens between two phases: one thread decides what comes next. The window rule and the
// clock are those of mcculloch_pitts.py, boltzmann.py and window.py, operation by operation.
//
// Each block works with a copy of the state in shared memory, read when a kernel begins. After each
// phase all blocks meet, read what was gathered, and decide alike; at a kernel's end one of them
// writes the state back.
#pragma once
#include "chain.cuh"

#define STATE_WORDS (int)(sizeof(State) / 8)
#define GATHERED_WORDS (int)(sizeof(Gathered) / 8)
#define LASTING_WORDS 2  // of Live: digest, last

__device__ __forceinline__ Gathered* gathered(const State* s) {
    return C.live->gathered + s->turn % 3;
}

__device__ __forceinline__ void read_state(State* copy) {
    if (threadIdx.x < STATE_WORDS)
        ((u64*)copy)[threadIdx.x] = __ldcg((const u64*)C.state + threadIdx.x);
    __syncthreads();
}

__device__ __forceinline__ void write_state(const State* copy) {
    __syncthreads();
    if (threadIdx.x < STATE_WORDS)
        __stcg((u64*)C.state + threadIdx.x, ((const u64*)copy)[threadIdx.x]);
}

__device__ __forceinline__ void read_gathered(State* s) {
    int k = threadIdx.x;
    if (k < GATHERED_WORDS) {
        ((u64*)&s->made)[k] = __ldcg((const u64*)gathered(s) + k);
    } else if (k < GATHERED_WORDS + LASTING_WORDS) {
        ((u64*)&s->made)[k] = __ldcg((const u64*)C.live + k - GATHERED_WORDS);
    }
    __syncthreads();
}

__device__ __forceinline__ void clear(Gathered* g) {
    *g = {0, 0, 0, LARGEST_Z, -(i64)LIMIT, NO_EVENT, 0, 0, 0};
}

// What was gathered belongs to the window now.
__device__ __forceinline__ void take_over(State* s) {
    s->slots += s->new_slots;
    s->tickets += s->new_tickets;
    s->overflow |= s->new_overflow | (s->slots > C.slot_capacity ? SLOTS : 0);
    s->new_slots = s->new_tickets = s->new_overflow = 0;
}

// True on the block that is the last to come here: it sees what all blocks have done.
__device__ inline bool last_block() {
    __shared__ bool last;
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        last = atomicAdd((u64*)&C.live->finishers, 1ull) == gridDim.x - 1;
        if (last) C.live->finishers = 0;
        __threadfence();
    }
    __syncthreads();
    return last;
}

// Not done, not halted, and room for the events of the last window where the host takes them.
__device__ __forceinline__ bool at_work(const State* s) {
    if (s->finished || s->halted) return false;
    bool records = s->stage == DRAW && s->record;
    return !records || s->ring_head + s->recorded - s->ring_tail <= C.ring_capacity;
}

// Charge the time since the last phase to a stage.
__device__ inline void stamp(State* s, i64 stage) {
    i64 now;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
    s->spent[stage] += now - s->stamp;
    s->stamp = now;
}

__device__ __forceinline__ void begin_replays(State* s) {
    s->stage = REPLAY;
    s->made = 0;
    s->differs = 0;
    s->deeper = 0;
    s->stop = NO_EVENT;
    s->cross = LARGEST_Z;
    s->top = -(i64)LIMIT;
}

__device__ inline i64 follow(i64 exponent, i64 events, bool may_grow) {
    if (2 * events > 3 * C.target) return exponent - 1;
    if (5 * events < 3 * C.target && may_grow) return exponent + 1;
    return exponent;
}

// The next window, from the largest s z of all ranks.
__device__ inline void open_window(State* s, i64 top) {
#if BOLTZMANN
    s->steps = min(1ll << s->exponent, C.neurons);
    s->width = s->exponent;
    s->most = s->steps;
    s->cap = (i64)LIMIT;
#else
    double octaves = (double)top / (C.scale * LN2);
    if (!s->started) {
        s->exponent = (i64)floor((double)C.per_neuron - octaves);
        s->started = 1;
    }
    i64 exponent = min(s->exponent, (i64)floor((double)C.start_bits - octaves));
    if (exponent > 1000) {
        s->halted |= AT_REST;
        s->octaves = octaves;
    }
    double cap = (double)(C.cap_bits - exponent) * LN2 * C.scale;
    s->width = exponent;
    s->most = 4 * C.target;
    s->cap = (i64)floor(fmax(-LIMIT, fmin(LIMIT, cap)));
#endif
    s->early = s->last_pass = s->cut = 0;
    s->count = 0;
    s->changes = -1;
}

// Move the clock to the window's end, whose events are all `count` events of events[parity].
__device__ inline void close_clock(State* s, const u64* events, i64 count) {
#if BOLTZMANN
    s->record_high = (double)s->number;
    s->record_low = 0.0;
    s->record_tick = 1.0;
    s->record_offset = 0.0;
    bool may_grow = (1ll << s->exponent) < C.neurons;
    s->number += s->steps;
    s->exponent = max(0ll, follow(s->exponent, count, may_grow));
    s->high = (double)s->number;
#else
    double high = s->high, low = s->low, tick = power_of_two(s->width - MPM_TICK_BITS);
    s->record_high = high;
    s->record_low = low;
    s->record_tick = tick;
    s->record_offset = -0.5;
    double passed = power_of_two(s->width);
    if (s->early) passed = ((count ? (double)tick_of(events[count - 1]) : 0.0) - 0.5) * tick;
    double total = high + passed;
    double part = total - high;
    low += (high - (total - part)) + (passed - part);
    s->high = total + low;
    s->low = low - (s->high - total);
    bool capped = s->width < s->exponent;
    i64 following = follow(s->width, count, !(s->early || capped));
    if (!(capped && following == s->width)) s->exponent = following;
    s->number++;
#endif
}

__device__ inline void leave(State* s) {
    s->left_number = s->number;
    s->left_exponent = s->exponent;
    s->left_high = s->high;
    s->left_low = s->low;
    s->left_windows = s->windows;
    s->left_replays = s->replays;
    s->left_applies = s->applies;
    s->left_transitions = s->transitions;
    s->left_last = s->last;
    s->left_digest = s->digest;
}

// How many of the window's events belong to the run.
__device__ inline i64 kept_events(State* s, const u64* events, i64 count) {
    i64 kept = count;
    if (C.timed && count) {
        double high = s->record_high, low = s->record_low, tick = s->record_tick;
        double offset = s->record_offset;
        if (time_of(events[count - 1], high, low, tick, offset) > C.until) {
            i64 from = 0, to = count - 1;  // the first event after the end is in [from, to]
            while (from < to) {
                i64 middle = (from + to) / 2;
                if (time_of(events[middle], high, low, tick, offset) > C.until) to = middle;
                else from = middle + 1;
            }
            kept = from;
        }
    }
    if (C.limit >= 0) kept = min(kept, C.limit - s->transitions);
    return kept;
}

// The events of a window are known, z at its end too: record them and open the next one; or, if
// the run ends inside, first take back the events after its end.
__device__ inline void close_window(State* s, i64 top) {
    const u64* events = C.events[s->parity];
    if (!s->cut) {
        i64 count = s->count;
        leave(s);
        close_clock(s, events, count);
        i64 kept = kept_events(s, events, count);
        if (kept < count) {
            s->count = kept;
            s->cut = s->last_pass = 1;
            s->stage = TRIM;
            return;
        }
    }
    i64 count = s->count;
    s->recorded = count;
    s->windows++;
    i64 done = s->transitions + count;
    bool over = C.limit >= 0 ? done == C.limit : C.timed && s->high >= C.until;
    s->finishing = over;
    s->slots = s->tickets = 0;
    s->commit = s->record = 1;
    s->stage = DRAW;
    if (!over) open_window(s, top);
}

// After `draw`: the window's events are recorded and its states committed.
__device__ inline void control_draw(State* s, i64 next) {
    if (s->record) {
        i64 count = s->recorded;
        s->transitions += count;
        s->ring_head += count;
    }
    s->record = s->commit = 0;
    s->draws++;
    if (s->finishing) {
        s->finished = 1;
        return;
    }
    begin_replays(s);
    s->stage = next;
}

// What a rank tells the others before its events.
__device__ inline u64 header_word(State* s, int k) {
    switch (k) {
        case 0: return s->made;
        case 1: return s->stop;
        case 2:
            return s->overflow | s->new_overflow | (s->made > C.out_capacity ? EVENTS : 0) |
                   s->deeper << 8;
        case 3: return s->cross;
        case 4: return s->top;
        case 5: return s->slots + s->new_slots;
        default: return s->tickets + s->new_tickets;
    }
}

// What all ranks told, in one.
struct Headers {
    i64 made, largest, flags, cross, top, slots, tickets;
    u64 stop;
};

__device__ inline void include(Headers& all, const u64* word) {
    all.made += (i64)word[0];
    all.largest = max(all.largest, (i64)word[0]);
    all.stop = min(all.stop, word[1]);
    all.flags |= (i64)word[2];
    all.cross = min(all.cross, (i64)word[3]);
    all.top = max(all.top, (i64)word[4]);
    all.slots = max(all.slots, (i64)word[5]);
    all.tickets = max(all.tickets, (i64)word[6]);
}

// Too small a buffer on any rank: all stand still until the hosts have enlarged it.
__device__ inline bool overflows(State* s, const Headers& all) {
    i64 flags = all.flags & 255;
    if (all.made > C.event_capacity) flags |= EVENTS;
    if (!flags) return false;
    s->need_slots = all.slots;
    s->need_tickets = all.tickets;
    s->need_events = max(all.largest, (all.made + C.ranks - 1) / C.ranks);
    s->halted |= flags;
    return true;
}

// After `merge`: events[parity ^ 1] holds what all ranks found, by time.
__device__ inline void control_merge(State* s, const Headers& all) {
    if (overflows(s, all)) return;
    i64 count = all.made;
    const u64* events = C.events[s->parity ^ 1];
    if (all.stop != NO_EVENT) {  // the first event after `stop` is in [from, to]
        i64 from = 0, to = count;
        while (from < to) {
            i64 middle = (from + to) / 2;
            if (events[middle] >> 1 > all.stop >> 1) to = middle;
            else from = middle + 1;
        }
        count = from;
    }
    count = min(count, s->most);
    bool settled = count == s->count && s->differs < (i64)DIFFERENCE;
    i64 changes = s->differs % (i64)DIFFERENCE;
    s->changes = count == all.made && changes <= MOST_CHANGES ? changes : -1;
    s->early = !BOLTZMANN && (all.stop != NO_EVENT || count == s->most);
    s->count = count;
    s->parity ^= 1;
    s->replays++;
    begin_replays(s);
    // Neurons that fired after the end have to forget it.
    if (settled) s->stage = all.made > count ? TRIM : APPLY;
}

// After `apply` on all ranks: replay with deeper tickets, cut at the crossing of the cap, or close.
__device__ inline void control_agree(State* s, const Headers& all) {
    if (overflows(s, all)) return;
    if (all.flags >> 8 && !s->last_pass) {
        begin_replays(s);
    } else if (all.cross < s->count && !s->last_pass) {
        s->count = all.cross + 1;
        s->early = s->last_pass = 1;
        s->stage = TRIM;
    } else {
        close_window(s, all.top);
        if (s->stage == DRAW) s->current ^= 1;
    }
}

__device__ inline void control_trim(State* s) {
    begin_replays(s);
    s->stage = APPLY;
}

// After `apply` on this rank.
__device__ inline void control_apply(State* s) {
    s->applies++;
    if (C.ranks > 1) {
        s->stage = AGREE;
        return;
    }
    u64 words[HEADER];
    Headers all = {0, 0, 0, LARGEST_Z, -(i64)LIMIT, 0, 0, NO_EVENT};
    for (int k = 0; k < 7; k++) words[k] = header_word(s, k);
    include(all, words);
    control_agree(s, all);
}
