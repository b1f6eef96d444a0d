// What happens between two phases: one thread decides what comes next. It has no twin: on a CPU
// engines/relax.py and chains/cpu.py are the order of things.
//
// Each block works with a copy of the state in shared memory, read when a kernel begins. After each
// phase all blocks meet, read what they found, and decide alike; after an exchange with peers each
// decides from the headers. At a kernel's end one of them writes the state back.
#pragma once
#include "chain.cuh"
#include "record.cuh"
#include "window.cuh"

#define STATE_WORDS (int)(sizeof(State) / 8)
#define FINDING_WORDS (int)(sizeof(Findings) / 8)
#define LASTING_WORDS 2  // of Live: digest, last

__device__ __forceinline__ Findings* findings(const State* s) {
    return C.live->findings + s->turn % 3;
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

// By at least one warp.
__device__ __forceinline__ void read_findings(State* s) {
    int k = threadIdx.x;
    if (k < FINDING_WORDS) {
        ((u64*)&s->made)[k] = __ldcg((const u64*)findings(s) + k);
    } else if (k < FINDING_WORDS + LASTING_WORDS) {
        ((u64*)&s->made)[k] = __ldcg((const u64*)C.live + k - FINDING_WORDS);
    }
}

__device__ __forceinline__ void clear(Findings* g) {
    *g = {0, 0, LARGEST_Z, -(i64)LIMIT, NO_EVENT, NO_EVENT, 0, 0, 0};
}

// What was found belongs to the window now.
__device__ __forceinline__ void take_over(State* s) {
    s->now += s->made;
    s->slots += s->new_slots;
    s->tickets += s->new_tickets;
    s->overflow |= s->new_overflow | (s->slots > C.slot_capacity ? SLOTS : 0) |
                   (came(s->now) + went(s->now) > C.log_capacity ? EVENTS : 0);
    s->made = 0;
    s->new_slots = s->new_tickets = s->new_overflow = 0;
}

// All blocks have decided: the next phase finds anew.
__device__ __forceinline__ void next_turn(State* s) {
    s->turn++;
    if (blockIdx.x == 0) clear(C.live->findings + (s->turn + 1) % 3);
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
__device__ inline void charge(State* s, i64 stage) {
    i64 now = nanoseconds();
    s->spent[stage] += now - s->stamp;
    s->stamp = now;
}

__device__ __forceinline__ void begin_replays(State* s) {
    s->stage = REPLAY;
    s->deeper = 0;
    s->stop = s->earliest = NO_EVENT;
    s->cross = LARGEST_Z;
    s->top = -(i64)LIMIT;
}

// No events are known.
__device__ inline void begin_window(State* s) {
    s->early = s->last_pass = s->cut = 0;
    s->count = s->total = 0;
    s->now = s->before = s->ordered = 0;
    s->heard = 0;
    s->tag = (s->tag + 2) | 1;  // never that of memory not written yet
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
        close_clock(s, C, events, count);
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
    if (over) return;
    open_window(s, C, top);
    begin_window(s);
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

// What a rank tells the others before its log. Once read by take_over nothing in it changes.
enum Heading { NOW, STOP, FLAGS, CHANGED, TOP, ROOM, BEFORE, ORDERED };

__device__ inline u64 header_word(const State* s, int k) {
    switch (k) {
        case NOW: return s->now;
        case STOP: return s->stop;
        case FLAGS: return s->overflow | s->deeper << 8 | min(s->cross, 0x7FFFFFFFll) << 32;
        case CHANGED: return s->earliest;
        case TOP: return s->top;
        case ROOM: return s->slots | s->tickets << 32;
        case BEFORE: return s->before;
        default: return s->ordered;
    }
}

// What all ranks told, in one.
struct Headers {
    i64 total, longest, overflow, deeper, cross, top, slots, tickets;
    u64 stop, earliest;
};

__device__ inline Headers nothing_told() {
    return {0, 0, 0, 0, LARGEST_Z, -(i64)LIMIT, 0, 0, NO_EVENT, NO_EVENT};
}

__device__ inline void include(Headers& all, const u64* word) {
    i64 more = came(word[NOW]), fewer = went(word[NOW]), flags = (i64)word[FLAGS];
    all.total += more - fewer;
    all.longest = max(all.longest, more + fewer);
    all.stop = min(all.stop, word[STOP]);
    all.overflow |= flags & 255;
    all.deeper |= flags >> 8 & 1;
    all.cross = min(all.cross, flags >> 32);
    all.earliest = min(all.earliest, word[CHANGED]);
    all.top = max(all.top, (i64)word[TOP]);
    all.slots = max(all.slots, (i64)(word[ROOM] & 0xFFFFFFFFull));
    all.tickets = max(all.tickets, (i64)(word[ROOM] >> 32));
}

// Too small a buffer on any rank: all stand still until the hosts have enlarged it.
__device__ inline bool overflows(State* s, const Headers& all) {
    i64 flags = all.overflow | (all.total > C.event_capacity ? EVENTS : 0);
    if (!flags) return false;
    s->need_slots = all.slots;
    s->need_tickets = all.tickets;
    s->need_events = max(all.longest, (all.total + C.ranks - 1) / C.ranks);
    s->halted |= flags;
    return true;
}

// The next replay takes up what the logs tell by now.
__device__ inline void replay_again(State* s) {
    begin_replays(s);
    s->before = s->now;
}

// After `replay` on all ranks: once more, unless no event changed that counts.
__device__ inline void control_replay(State* s, const Headers& all) {
    if (overflows(s, all)) return;
    s->replays++;
    s->ending = all.stop;
    if (all.earliest >> 1 > all.stop >> 1 || all.earliest == NO_EVENT) s->stage = ORDER;
    else replay_again(s);
}

// After `order`: the events that count.
__device__ inline void control_order(State* s, const Headers& all) {
    s->parity ^= 1;
    s->total = all.total;
    s->ordered = s->now;
    i64 count = s->total;
    if (s->ending != NO_EVENT) {  // the first event after it is in [from, to]
        const u64* events = C.events[s->parity];
        i64 from = 0, to = count;
        while (from < to) {
            i64 middle = (from + to) / 2;
            if (events[middle] >> 1 > s->ending >> 1) to = middle;
            else from = middle + 1;
        }
        count = from;
    }
    s->count = min(count, s->most);
    s->early = !BOLTZMANN && (s->ending != NO_EVENT || s->count == s->most);
    // Neurons that fired after the end have to forget it.
    s->stage = s->total > s->count ? TRIM : APPLY;
}

// After `apply` on all ranks: replay with deeper tickets, cut at the crossing of the cap, or close.
__device__ inline void control_exchange(State* s, const Headers& all) {
    if (overflows(s, all)) return;
    if (all.deeper && !s->last_pass) {
        replay_again(s);
        return;
    }
    if (all.cross < s->count && !s->last_pass) {
        s->early = 1;
        if (all.cross + 1 < s->count) {
            s->count = all.cross + 1;
            s->last_pass = 1;
            s->stage = TRIM;
            return;
        }
    }
    close_window(s, all.top);
    if (s->stage == DRAW) s->current ^= 1;
}

__device__ inline void control_trim(State* s) {
    begin_replays(s);
    s->stage = APPLY;
}

// After `apply` on this rank.
__device__ inline void control_apply(State* s) {
    s->applies++;
    if (C.ranks > 1) {
        s->stage = EXCHANGE;
        return;
    }
    u64 words[HEADER];
    Headers all = nothing_told();
    for (int k = 0; k < HEADER; k++) words[k] = header_word(s, k);
    include(all, words);
    control_exchange(s, all);
}
