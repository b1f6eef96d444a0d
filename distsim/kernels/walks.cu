// Many chains of one McCulloch-Pitts machine that share W, a block each: the twin of kernels/walk.py
// and kernels/walk_window.py, with the same streams. Compiles as host code too, for the tests.
//
// All that a chain needs is in its block's shared memory, but for W. At the start of each window x
// and z are written to global memory: a window that finds no room for its tickets, or would pass the
// chain's goal, is given up, and the chain stands there.
#include "record.cuh"
#include "walks.cuh"
#include "window.cuh"

#define NOBODY 0xFFFFFFFFu  // no event

// This thread's part of the column of neuron j.
__device__ __forceinline__ void load_column(const Walker& b, u32 j, Weights (&w)[PASSES]) {
    const weight_t* from = b.weights + (u64)j * COLUMN_STRIDE;  // `weights`: from this thread's on
#pragma unroll
    for (int pass = 0; pass < PASSES; pass++) {
        int first = pass * BLOCK_THREADS * UNIT;
        bool all = first + BLOCK_THREADS * UNIT <= NEURONS;
        if (!all) w[pass] = {0, 0};
        if (all || first + b.thread * UNIT < NEURONS) w[pass] = fetch((const Weights*)(from + first));
    }
}

// Look into the neurons of this thread's that came to b, or are far from it, with all of the warp;
// and into `turned`, which took its other state. True if some s z is above the cap.
template <class Queue>
__device__ __noinline__ bool look_into(Walker b, Queue queue, int turned, u64 now) {
    Fields* all = b.fields();
    bool over = false;
    for (int pass = 0; pass < PASSES; pass++) {
        int unit = pass * BLOCK_THREADS + b.thread;
        Fields fields = all[unit];
        u32 found = mend(fields);
        all[unit] = fields;
        if (turned / UNIT == unit) found |= 1u << turned % UNIT;
        for (u32 some; (some = where(found != 0));) {
            int owner = first_of(some);
            int i = unit * UNIT + first_of(found | 1u << 31);
            z_t z = 0;
            if (b.lane == owner) {
                z = b.crossed_z(i);
                found &= found - 1;
            }
            over |= deepen(b, queue, from_lane(i, owner), from_lane(z, owner), now);
        }
    }
    return over;
}

struct Walked {
    int events;
    bool early;
};

// Walk through the window whose tickets are in order. Its events, as twice a ticket's index plus
// the new state, are at the beginning of the order. One warp looks at the tickets, all push.
template <class Queue>
__device__ __forceinline__ Walked walk_window(const Walker& b, const Queue& queue, int most) {
    Common& common = b.common();
    Fields* all = b.fields();
    const bool looks = CHAIN_WARPS == 1 || b.thread < LANES;
    int position = 0, events = 0, count = (int)common.count, t = 0;
    u32 ahead = NOBODY;
    Weights next[PASSES];
    WalkTicket ticket;
    auto take = [&]() {  // the next tickets, one a lane
        t = position + b.lane < count ? queue.order(position + b.lane) : 0;
        ticket = queue.ticket(t);
    };
    if (looks) take();
    while (true) {
        // the neurons, and new states, of the next event, and of the one after it if that changes
        // nothing
        u32 event = NOBODY, following = NOBODY;
        bool reached = false;
        Weights w[PASSES];
        auto fetch_columns = [&]() {
            if (event >> 1 != ahead >> 1) load_column(b, event >> 1, next);
#pragma unroll
            for (int pass = 0; pass < PASSES; pass++) w[pass] = next[pass];
            ahead = following;
            if (ahead != NOBODY) load_column(b, ahead >> 1, next);
        };
        if (looks) {
            while (position < count) {
                int i = (int)neuron_of(ticket.key);
                u8 flags = b.flags(i);
                bool refractory = flags & REFRACTORY;
                z_t base = b.base(i), z = (z_t)((wide_t)base + (wide_t)b.field(i));
                z_t threshold = refractory ? ticket.threshold[1] : ticket.threshold[0];
                bool fires = (refractory ? -z : z) >= threshold;
                u32 those = where(position + b.lane < count && fires);
                if (!those) {
                    position += LANES;
                    take();
                    continue;
                }
                u32 name = (u32)i << 1 | (u32)!refractory, others = those & (those - 1);
                int who = first_of(those);
                event = from_lane(name, who);
                if (others) following = from_lane(name, first_of(others));
                if (CHAIN_WARPS == 1) fetch_columns();
                if (b.lane == who) {
                    const Field turned = flipped(base, z, refractory);
                    reached = turned.reached;
                    b.flags(i) = flags ^ REFRACTORY;
                    b.set(i, turned);
                    queue.order(events) = (typename Queue::Index)(2 * t + !refractory);
                }
                position += who + 1;
                take();
                break;
            }
            if (CHAIN_WARPS > 1 && b.lane == 0) common.next = {event, following};
        }
        meet();
        if (CHAIN_WARPS > 1) {
            Weights told = common.next;
            event = told.a;
            following = told.b;
        }
        if (event == NOBODY) return {events, false};
        if (CHAIN_WARPS > 1) fetch_columns();
        events++;
        Push push(event & 1);
        lanes_t tops = reached ? 0 : TOPS;
#pragma unroll
        for (int pass = 0; pass < PASSES; pass++) {
            Fields& there = all[pass * BLOCK_THREADS + b.thread];
            Fields fields = there;
            tops &= push(fields, w[pass]);
            there = fields;
        }
        if (meet_any(tops != TOPS)) {
            u64 now = queue.ticket(queue.order(events - 1) >> 1).key;
            bool over = meet_any(look_into(b, queue, (int)(event >> 1), now));
            int more = (int)common.more;
            if (common.full || over) return {events, over};
            if (more > count) {
                if (looks) insert(b, queue, position, count, more);
                count = more;
                if (looks) take();
            }
        }
        if (events == most) return {events, true};
    }
}

// All neurons from the start of a window in global memory.
__device__ __forceinline__ void load_chain(const Walker& b, const Given* given) {
    const Given& w = *given;
    i64 chain = this_block();
    for (int i = b.thread; i < SPAN; i += BLOCK_THREADS) b.field(i) = (field_t)(HALF + HALF / 2);
    meet();
    for (int i = b.thread; i < NEURONS; i += BLOCK_THREADS) {
        u8 flags = w.x[chain * w.stride + i];
        if (w.held[chain * w.held_stride + i]) flags |= HELD;
        b.flags(i) = flags;
        b.set(i, Field(w.z[chain * w.stride + i], flags & REFRACTORY, (z_t)BEYOND));
    }
    meet();
}

// The other way. Returns the largest s z of this thread's neurons that are not clamped.
__device__ __forceinline__ i64 store_chain(const Walker& b, const Given* given) {
    const Given& w = *given;
    i64 chain = this_block(), top = -(i64)LIMIT;
    for (int i = b.thread; i < NEURONS; i += BLOCK_THREADS) {
        u8 flags = b.flags(i);
        z_t z = b.z(i);
        w.x[chain * w.stride + i] = flags & REFRACTORY;
        w.z[chain * w.stride + i] = z;
        if (!(flags & HELD)) top = max(top, (i64)(flags & REFRACTORY ? -z : z));
    }
    return top;
}

// The next window: its width and cap, from the largest s z; x and z go to global memory.
__device__ __forceinline__ void open_here(Walker& b, const Given* given) {
    i64 top = largest_of_lanes(store_chain(b, given));
    Common& common = b.common();
    Chain& chain = common.chain;
    if (b.lane == 0) common.top[b.thread / LANES] = top;
    meet();
    for (int k = 0; k < CHAIN_WARPS; k++) top = max(top, common.top[k]);
    i64 rule = chain.exponent;
    if (!chain.started) rule = (i64)floor((double)chain.per_neuron - octaves_of(top, chain.scale));
    Width width = width_and_cap(top, rule, chain.scale);
    Here here = common.here;
    here.window = (u64)chain.number | (u64)chain.replica << REPLICA_SHIFT;
    here.end = end_word(chain.high, chain.low, width.exponent, chain.change);
    here.exponent = width.exponent;
    here.scale = chain.scale;
    here.cap = (z_t)max(min(width.cap, BEYOND - 1), -BEYOND);
    here.margin = (z_t)min(chain.margin, BEYOND);
    meet();
    if (b.thread == 0) {
        common.here = here;
        chain.exponent = rule;
        chain.started = 1;
    }
}

// Close a window: its events go into the digest, and the clock goes to its end. False if it would
// pass the chain's goal or time, and is given up.
template <class Queue>
__device__ __forceinline__ bool close_window(const Walker& b, const Queue& queue,
                                             Walked walked) {
    Common& common = b.common();
    Chain& chain = common.chain;
    const Here& here = b.here();
    double tick = power_of_two(here.exponent - MPM_TICK_BITS), last = chain.last;
    auto event = [&](int e) {
        u32 word = (u32)queue.order(e);
        return queue.ticket(word >> 1).key | (u64)(word & 1);
    };
    auto time = [&](u64 word) { return time_of(word, chain.high, chain.low, tick, -0.5); };
    i64 last_tick = 0;
    if (walked.events) {
        u64 word = event(walked.events - 1);
        last_tick = tick_of(word);
        last = time(word);
        if (last > chain.until || chain.transitions + walked.events > chain.goal) return false;
    }
    u64 total = 0;
    for (int e = b.thread; e < walked.events; e += BLOCK_THREADS) {
        u64 word = event(e), bits = (u64)__double_as_longlong(time(word));
        total += event_digest(bits, (u64)chain.transitions + e, word & (2 * NEURON_MASK + 1));
    }
    total = sum_of_lanes(total);
    if (b.lane == 0) atomicAdd(&common.total, total);
    meet();
    if (b.thread == 0) {
        bool cut = here.end != NO_EVENT;
        Made made = {here.exponent, walked.events, last_tick, walked.early, cut, chain.change};
        Clock clock = after_window({chain.high, chain.low, chain.exponent}, made, chain.target);
        chain.high = clock.high;
        chain.low = clock.low;
        chain.exponent = clock.exponent;
        chain.number++;
        chain.windows--;
        chain.transitions += walked.events;
        chain.last = last;
        chain.total += common.total;
        common.total = 0;
    }
    meet();
    return true;
}

enum Outcome { CLOSED, GIVEN_UP, NO_ROOM };

template <class Queue>
__device__ __forceinline__ Outcome through(const Walker& b, const Queue& queue) {
    Common& common = b.common();
    for (int k = b.thread; k < BUCKETS; k += BLOCK_THREADS) b.start(k) = 0;
    if (b.thread == 0) common.count = common.full = 0;
    meet();
    draw_window(b, queue);
    meet();
    if (common.full) return NO_ROOM;
    if (b.thread == 0) common.more = common.count;
    order_tickets(b, queue);
    Walked walked = walk_window(b, queue, (int)(4 * common.chain.target));
    meet();
    if (common.full) return NO_ROOM;
    return close_window(b, queue, walked) ? CLOSED : GIVEN_UP;
}

// A window for whose tickets there is no room in shared memory.
__device__ __noinline__ Outcome through_far(Walker b, Far far) { return through(b, far); }

// grid: a block a chain
extern "C" __global__ void __launch_bounds__(BLOCK_THREADS, CHAINS_AT_ONCE)
walk_chains(const Given* given) {
    Walker b;
    i64 number = this_block();
    b.thread = this_thread();
    b.weights = given->columns.weights + b.thread * UNIT;
    b.lane = b.thread % LANES;
    i64 first = number * given->room;
    Far far = {given->tickets + first, given->order + first, given->parts + first, (u32)given->room};
    Common& common = b.common();
    Chain& chain = common.chain;
    u64* words = (u64*)(given->chains + number);
    for (int k = b.thread; k < (int)(sizeof(Chain) / 8); k += BLOCK_THREADS)
        ((u64*)&chain)[k] = words[k];
    if (b.thread == 0) {
        common.total = 0;
        common.here.seed = given->seed;
        common.rest = given->rest;
        common.levels = given->levels;
        common.bound = given->bound + number * given->stride;
        common.bases = given->bases + number * given->stride;
    }
    meet();
    load_chain(b, given);
    bool in_global = false, stored = false;
    while (chain.windows > 0 && chain.transitions < chain.goal && chain.high < chain.until &&
           left_until(chain.high, chain.low, chain.change) > 0.0) {
        open_here(b, given);
        stored = true;
        Outcome outcome = NO_ROOM;
        if (!in_global) outcome = through(b, Near());
        if (outcome == NO_ROOM) {
            meet();
            load_chain(b, given);
            outcome = through_far(b, far);
            in_global = outcome == CLOSED && common.more > ROOM / 2;
        }
        if (outcome != CLOSED) {
            if (outcome == NO_ROOM && b.thread == 0) chain.room = 2 * given->room;
            break;
        }
        stored = false;
    }
    meet();
    if (!stored) store_chain(b, given);
    for (int k = b.thread; k < (int)(sizeof(Chain) / 8); k += BLOCK_THREADS)
        words[k] = ((u64*)&chain)[k];
}

// z of all chains, from their states. grid: a block a chain
extern "C" __global__ void begin_chains(const Given* given, const i64* bias) {
    i64 chain = this_block() * given->stride;
    const u8* x = given->x + chain;
    for (i64 i = this_thread(); i < NEURONS; i += LANES == 1 ? 1 : STARTERS) {
        i64 sum = bias[i];
#pragma unroll 8
        for (i64 j = 0; j < NEURONS; j++)
            if (x[j]) sum += weight(given->columns, i, j);
        given->z[chain + i] = (z_t)sum;
    }
}
