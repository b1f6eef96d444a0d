// What host and kernels share, the twin of gpu/layout.py: the structs of a chain. Compiles as host
// code too, for the tests.
#pragma once
#include "dense.cuh"

#if Z_BITS == 32
typedef i32 z_t;
#define LARGEST_Z 2147483647ll
#else
typedef i64 z_t;
#define LARGEST_Z 9223372036854775807ll
#endif

// Bits of a neuron's byte in `x`:
//   X_START   its state at the window's start
//   X_ACTIVE  it holds tickets
//   X_END     its state at the window's end
//   X_FIRED   it has events in this window
//   X_BEFORE  its state at the start of the window before

// What the next phase is, and what time is charged to. A phase ends with a control function of this
// device (control.cuh).
enum Stage {
    DRAW = STAGE_DRAW,
    REPLAY = STAGE_REPLAY,
    EXCHANGE = STAGE_EXCHANGE,
    ORDER = STAGE_ORDER,
    TRIM = STAGE_TRIM,
    APPLY = STAGE_APPLY,
    SEARCH = STAGE_SEARCH,
    STEP = STAGE_STEP,
    CLOSE = STAGE_CLOSE
};

// Why the chain stands still until the host acts.
enum Halt {
    SLOTS = HALT_SLOTS,
    TICKETS = HALT_TICKETS,
    EVENTS = HALT_EVENTS,
    LOST_RANK = HALT_LOST_RANK
};

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
    i64 turn, goal, epoch, stamp;
    i64 spent[STAGES];  // nanoseconds by stage
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
    Columns columns;
    i64 neurons, first, size, ranks, rank;
    z_t* z[2];             // [size]: at the window's start, and at its end
    z_t* bound;            // [size]: threshold of the first ticket not drawn
    z_t* marks;            // [size, MARKS]: z of those that fire, on the way; or null
    const double* rest;    // [size]
    u8* x;                 // [size]
    i32* slot_of;          // [size]
    const double* levels;  // [BINS]: ln of the least level of ticket 0, by bin of its high word
    Slot* slots;
    i64 slot_capacity;
    Ticket* tickets;
    i64 ticket_capacity;
    u64* heads;  // [size]: BM: draw << 32 | last visit + 1
    i32* links;  // [most]: BM: the visit before, or -1
    u64* events[2];
    i64 event_capacity;
    u64* out;       // [HEADER + log_capacity]: this rank's header and log
    u64* gathered;  // [ranks, HEADER + log_capacity]
    i64 log_capacity;
    u64* peers[PEERS];  // the ranks' areas [ranks, 2 HEADER + log_capacity] of tagged words
    u64* ring;               // [ring_capacity, 2]: time, event word without its tick
    i64* changes;            // [ring_capacity]: by how much this rank's change 2 E; or null
    i64 ring_capacity, recording;
    State* state;
    Live* live;
    u64 seed;
    double scale;
    i64 patience;  // nanoseconds until a rank is given up for lost
    // how far tickets are drawn above z; how near to its threshold z must start for a ticket to be
    // decided by the events, not by the start
    i64 margin, doubt;
    i64 target, most, per_neuron, sequential;  // of the law
    i64 limit, timed;                          // the run's length in events, or -1; or in time
    double until;
};

static_assert(sizeof(Slot) == SLOT_BYTES && sizeof(Ticket) == TICKET_BYTES, "as in layout.py");
static_assert(sizeof(State) == STATE_BYTES && sizeof(Live) == LIVE_BYTES, "as in layout.py");
static_assert(sizeof(Context) == CONTEXT_BYTES, "as in layout.py");
