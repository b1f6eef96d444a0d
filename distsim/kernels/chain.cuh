// What all kernels of a chain know: its constants, its state on the device, and the events.
// Compiled for one width of weights (WEIGHT_BITS), of z (Z_BITS) and one model (BOLTZMANN), for
// GROUP threads a neuron in `replay`, and in `apply` for loads of COLUMN_BYTES a thread, of APART
// columns at once while it adds as many.
// Symbols are those of kernels/cpu.py.
#pragma once
#include "elementary.cuh"

#if WEIGHT_BITS == 8
typedef signed char weight_t;
#elif WEIGHT_BITS == 16
typedef short weight_t;
#else
typedef int weight_t;
#endif
#if Z_BITS == 32
typedef i32 z_t;
#define LARGEST_Z 2147483647ll
#else
typedef i64 z_t;
#define LARGEST_Z 9223372036854775807ll
#endif

#define THREADS 512
#define WARPS 16
#define HEADER 8  // words before a rank's log in an exchange
#define NO_EVENT (~0ull)
#define NEURON_BITS 22
#define NEURON_MASK 0x3FFFFFll
#ifndef MPM_TICK_BITS
#define MPM_TICK_BITS 40
#endif
#define BIN_SHIFT 47
#define BIN_ORIGIN ((1023ll << 5) - 1)
#define ALL 0xFFFFFFFFu
#define CHUNK 8       // tickets of a slot that are looked at together
#define BATCH 16      // events whose weights a thread of a group loads at once
#ifndef SHARED_WORDS
#define SHARED_WORDS 8192  // of a block's shared memory, for events
#endif
#define UNDRAWN (-9223372036854775807ll)
#define PEERS 8       // most ranks of a peer exchange
#define MOST_RANKS 64  // of any exchange of `relax`

// Bits of a neuron's byte in `x`.
#define X_START 1   // its state at the window's start
#define X_ACTIVE 2  // it holds tickets
#define X_END 4     // its state at the window's end
#define X_FIRED 8   // it has events in this window
#define X_BEFORE 16  // its state at the start of the window before

// What the next phase is. One phase ends with a control function of this device (control.cuh).
enum Stage { DRAW, REPLAY, AGREE, ORDER, TRIM, APPLY, SEARCH, STEP, CLOSE };

// Why the chain stands still until the host acts.
enum Halt { SLOTS = 1, TICKETS = 2, EVENTS = 4, AT_REST = 8, LOST_RANK = 16 };

// A neuron that holds tickets: those reachable up to response `need` are to be drawn, those up to
// `drawn` are, tickets [offset, offset + count) by time.
struct Slot {
    i64 need, drawn, offset;
    i64 z, own_weight;  // z at the window's start
    i32 neuron, count, state;
    i32 exact;   // no ticket may be decided by the window's start alone
    i32 summed;  // the replay, counted from 1, that first made the sums of its tickets; 0: none
};

struct Ticket {
    u64 key;           // its event, but for the state
    i64 threshold[2];  // by the neuron's state
    i64 sum;           // if it is open: the others' changes of z before it
    i64 fired;         // 2 | the new state, if the last replay changed it here; or 0
};

static_assert(sizeof(Slot) == 64 && sizeof(Ticket) == 40, "as in cuda.py");

struct State {
    i64 stage, halted, finished;
    // the window
    i64 number, exponent, started, width, steps, most, cap;
    double high, low;  // model time at its start
    i64 count, total;  // events of the window, and all that were found, its end not heeded
    i64 parity;        // they are in events[parity], by time
    i64 current;       // z at its start is z[current]
    i64 early, last_pass, cut, commit, record, finishing;
    // marks in this rank's log: its end, and up to where the sums of tickets and the order know it
    u64 now, before, ordered;
    i64 heard, tag;  // whether all ranks' logs were exchanged; of the log's words in peer memory
    u64 ending;      // the event at which the window ends early, or NO_EVENT
    // what was found in the last phase (of `Live`)
    u64 made;
    i64 deeper, cross, top;
    u64 stop, earliest;
    i64 new_slots, new_tickets, new_overflow;
    u64 digest;
    double last;
    i64 slots, tickets, overflow;  // of the window, up to the phase before
    u64 best;                      // of `race`
    // events to be recorded
    i64 recorded;
    double record_high, record_low, record_tick, record_offset;
    // where the last window began: a run that ends inside goes on from there
    i64 left_number, left_exponent, left_windows, left_replays, left_applies, left_transitions;
    u64 left_digest;
    double left_high, left_low, left_last;
    // the run so far
    i64 windows, replays, applies, transitions, draws;
    i64 ring_head, ring_tail;
    i64 need_slots, need_tickets, need_events;
    double octaves;
    i64 turn, goal, epoch, stamp;
    i64 spent[9];  // nanoseconds by stage
};

// What blocks add up in a phase, by atomics. made: to the log; deeper: tickets are to be drawn; the
// first event that lifts some s z above the cap: cross, by its index (from `apply`), stop, by its
// word (from `replay`); top: the largest s z; earliest: the first change of an event.
struct Findings {
    u64 made;
    i64 deeper, cross, top;
    u64 stop, earliest;
    i64 slots, tickets, overflow;
};

// What changes while a kernel works; the rest of the state each block decides for itself. Phase t
// finds in findings[t % 3], and in it the next is cleared: none reads that one any more.
struct Live {
    u64 digest;
    double last;
    i64 met, finishers, lost;
    Findings findings[3];
};

struct Context {
    const weight_t* weights;  // [neurons, stride], column by column
    i64 stride, neurons, first, size, ranks, rank;
    z_t* z[2];             // [size]: at the window's start, and at its end
    z_t* bound;            // [size]: threshold of the first ticket not drawn
    const double* rest;    // [size]
    u8* x;                 // [size]
    i32* slot_of;          // [size]
    const double* levels;  // [BINS]: ln of the least level of ticket 0, by bin of its high word
    Slot* slots;
    i64 slot_capacity;
    Ticket* tickets;
    i64 ticket_capacity;
    u64* heads;  // [size]: BM: draw << 32 | last visit + 1
    i32* links;  // [steps]: BM: the visit before, or -1
    u64* events[2];
    i64 event_capacity;
    u64* out;       // [HEADER + log_capacity]: this rank's header and log
    u64* gathered;  // [ranks, HEADER + log_capacity]
    i64 log_capacity;
    u64* peers[PEERS];  // the ranks' areas [ranks, 2 HEADER + log_capacity] of tagged words
    u64* ring;               // [ring_capacity, 2]: time, event word without its tick
    i64 ring_capacity, recording;
    State* state;
    Live* live;
    u64 seed;
    double scale;
    i64 patience;  // nanoseconds until a rank is given up for lost
    i64 margin, guard, target, sequential, per_neuron, cap_bits, start_bits, limit, timed;
    double until;
};

extern "C" {
__constant__ Context C;
}

__device__ __forceinline__ i64 neuron_of(u64 event) { return (event >> 1) & NEURON_MASK; }
__device__ __forceinline__ i64 tick_of(u64 event) { return (i64)(event >> (NEURON_BITS + 1)); }
__device__ __forceinline__ u64 event_word(u64 tick, u64 neuron) {
    return tick << (NEURON_BITS + 1) | neuron << 1;
}
__device__ __forceinline__ i64 sign_of(u64 event) { return 2 * (i64)(event & 1) - 1; }
__device__ __forceinline__ i64 magnitude(i64 v) { return v < 0 ? -v : v; }
__device__ __forceinline__ z_t to_bound(i64 threshold) {
    return (z_t)max(min(threshold, LARGEST_Z), -LARGEST_Z);
}

// Time of an event, in the order of operations of cpu.event_times.
__device__ __forceinline__ double time_of(u64 event, double high, double low, double tick,
                                          double offset) {
    return high + (low + ((double)tick_of(event) + offset) * tick);
}

// How many events a log tells to have come, and to have gone, up to a mark.
__device__ __forceinline__ i64 came(u64 mark) { return (i64)(mark & 0xFFFFFFFFull); }
__device__ __forceinline__ i64 went(u64 mark) { return (i64)(mark >> 32); }

__device__ __forceinline__ i64 nanoseconds() {
    i64 now;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
    return now;
}

// For one who polls: true when it has taken too long. The first reading of the clock is `since`.
__device__ __forceinline__ bool lost(u32& polls, i64& since) {
    if (++polls & 0xFFFF) return false;
    i64 now = nanoseconds();
    if (polls == 0x10000) since = now;
    if (now - since <= C.patience) return false;
    C.live->lost = 1;
    return true;
}

__device__ __forceinline__ double power_of_two(i64 exponent) {  // 0 at and under 2^-1000
    return exponent > -1000 ? __longlong_as_double((exponent + 1023) << 52) : 0.0;
}

// What a block's threads find, to be put into a list in global memory at once: one atomic a block,
// since atomics of all blocks on one word take turns. By index, so that what one thread puts in
// order stays in order.
#define PILE 64
struct Pile {
    u64 item[PILE];
    i64 extra[PILE];
    u32 count;
    i64 place;

    // False if there is no room: empty it first, or do without.
    __device__ __forceinline__ bool put(u64 value, i64 more = 0) {
        u32 k = atomicAdd(&count, 1u);
        if (k >= PILE) return false;
        item[k] = value;
        extra[k] = more;
        return true;
    }
    __device__ __forceinline__ u32 size() const { return min(count, (u32)PILE); }
};

__device__ __forceinline__ i64 warp_max(i64 v) {
#pragma unroll
    for (int d = 16; d; d >>= 1) v = max(v, __shfl_xor_sync(ALL, v, d));
    return v;
}
__device__ __forceinline__ i64 warp_sum(i64 v) {
#pragma unroll
    for (int d = 16; d; d >>= 1) v += __shfl_xor_sync(ALL, v, d);
    return v;
}
__device__ __forceinline__ u64 warp_min(u64 v) {
#pragma unroll
    for (int d = 16; d; d >>= 1) v = min(v, __shfl_xor_sync(ALL, v, d));
    return v;
}
