// The tickets of a chain's window: the twin of kernels/walk_tickets.py and kernels/order.py, for
// many chains. Compiles as host code too, for the tests.
#pragma once
#include "fields.cuh"
#include "levels.cuh"

#define NOBODY 0xFFFFFFFFu
#define FEW (LANES < 8 ? LANES : 8)  // tickets of a neuron that a warp draws at once

// A chain: where it stands, and how far it is to go.
struct Chain {
    i64 replica, number, exponent, started, target, per_neuron, margin, transitions, goal, windows;
    i64 room;  // tickets of the window that found no room for so many, or 0
    double high, low, scale, last, until, change;
    u64 total;
};

// What all chains have.
struct Walks {
    Columns columns;
    i64 neurons, stride;   // neurons of a chain in memory
    u64 seed;
    const double* rest;    // [neurons]
    const double* levels;  // [BINS]
    const u8* held;        // [chains or 1, neurons]: those that are clamped
    i64 held_stride;
    Chain* chains;         // [chains]
    u8* x;                 // [chains, stride], and z: at the start of a window
    z_t* z;
    z_t* bound;            // [chains, stride]
    z_t* bases;            // the same, where they are not in shared memory
    struct WalkTicket* tickets;  // [chains, room], and their order and parts: of windows that are large
    u32* order;
    u32* parts;
    i64 room;
};

struct alignas(Z_BITS == 32 ? 16 : 8) WalkTicket {
    u64 key;              // its event, but for the state
    z_t threshold[2];     // by the neuron's state
};

static_assert(sizeof(Chain) == CHAIN_BYTES && sizeof(Walks) == WALKS_BYTES, "as in gpu/walks.py");

// Room for the tickets of a window, and their order; parts: of order, by part of the window. In the
// block's shared memory,
struct Near {
    typedef u16 Index;
    static constexpr u32 room = ROOM;
    __device__ __forceinline__ static WalkTicket& ticket(u32 t) {
        return ((WalkTicket*)(shared + TICKETS_AT))[t];
    }
    __device__ __forceinline__ static u16& order(u32 k) { return ((u16*)(shared + ORDER_AT))[k]; }
    __device__ __forceinline__ static u16& part(u32 k) { return ((u16*)(shared + PARTS_AT))[k]; }
};

// and in global memory.
struct Far {
    typedef u32 Index;
    WalkTicket* tickets;
    u32 *orders, *parts, room;
    __device__ __forceinline__ WalkTicket& ticket(u32 t) const { return tickets[t]; }
    __device__ __forceinline__ u32& order(u32 k) const { return orders[k]; }
    __device__ __forceinline__ u32& part(u32 k) const { return parts[k]; }
};

// The window that a chain is in.
struct Here {
    u64 seed, window, end;
    i64 exponent;
    double scale;
    z_t cap, margin;
};

// What a block's threads tell each other, and what only some of their work needs: registers are for
// the rest.
struct Common {
    Chain chain;
    Here here;
    const double *rest, *levels;
    z_t *bound, *bases;  // of this chain
    i64 top[CHAIN_WARPS];
    u64 total;
    Weights next;        // events, as `walk_window` has them
    u32 count, more, full;
};
static_assert(sizeof(Common) <= COMMON_BYTES, "as in gpu/walk_shape.py");

// A thread of a block, and its chain. Of a neuron: `bound`, threshold of the first ticket not drawn if
// it is DRAWN, or beyond all if it is HELD.
struct Walker {
    const weight_t* weights;  // from this thread's first neuron on
    int thread, lane;

    __device__ __forceinline__ static Common& common() { return *(Common*)shared; }
    __device__ __forceinline__ static const Here& here() { return common().here; }
    __device__ __forceinline__ static u32& start(u32 k) { return ((u32*)(shared + STARTS_AT))[k]; }
    // What waits to be drawn by this warp.
    __device__ __forceinline__ u64& pile(int k) const {
        return ((u64*)(shared + PARTS_AT))[thread / LANES * WARP_PILE + k];
    }
    __device__ __forceinline__ static Fields* fields() { return (Fields*)(shared + FIELDS_AT); }
    __device__ __forceinline__ static field_t& field(int i) {
        return ((field_t*)(shared + FIELDS_AT))[i];
    }
    __device__ __forceinline__ static u8& flags(int i) { return ((u8*)(shared + FLAGS_AT))[i]; }
    __device__ __forceinline__ static z_t& base(int i) {
        return BASES_SHARED ? ((z_t*)(shared + BASES_AT))[i] : common().bases[i];
    }
    __device__ __forceinline__ static z_t& bound(int i) { return common().bound[i]; }

    __device__ __forceinline__ static z_t z(int i) {
        return (z_t)((wide_t)base(i) + (wide_t)field(i));
    }
    // Of one whose field was lifted out of its span or fell under it.
    __device__ __forceinline__ static z_t crossed_z(int i) {
        wide_t f = (wide_t)field(i);
        if (field(i) < HALF / 2) f += (wide_t)(2 * HALF);
        return (z_t)((wide_t)base(i) + f);
    }
    __device__ __forceinline__ static void set(int i, const Field& made) {
        field(i) = made.field;
        base(i) = made.base;
    }
};

__device__ __forceinline__ z_t to_z(i64 threshold) {
    return (z_t)max(min(threshold, (i64)BEYOND), -(i64)BEYOND);
}

__device__ __forceinline__ u32 part_of(u64 key) {
    return (u32)((key - (1ull << (NEURON_BITS + 1))) >>
                 (NEURON_BITS + 1 + MPM_TICK_BITS - BUCKET_BITS));
}

// Whether a ticket comes before another; of one neuron's at one tick the one of lower level.
template <class Queue>
__device__ __forceinline__ bool earlier(const Queue& queue, u32 t, u32 than) {
    const WalkTicket &a = queue.ticket(t), &b = queue.ticket(than);
    if (a.key != b.key) return a.key < b.key;
    if (a.threshold[0] != b.threshold[0]) return a.threshold[0] < b.threshold[0];
    if (a.threshold[1] != b.threshold[1]) return a.threshold[1] < b.threshold[1];
    return t < than;
}

// Thresholds of a ticket of neuron i that has this level.
struct Thresholds {
    z_t of[2] = {0, 0}, lowest = 0;

    Thresholds() = default;
    __device__ __forceinline__ Thresholds(const Walker& b, int i, double level) {
        double theta = level_threshold(level, b.here().exponent, b.here().scale);
        double rest = b.common().rest[i];
        of[0] = to_z(to_threshold(theta - rest));
        of[1] = to_z(to_threshold(theta + rest));
        lowest = min(of[0], of[1]);
    }
};

// By a warp: put in the lanes' tickets, where they have some to put. count: how many the block has
// put so far; `full` where there is no room.
template <class Queue>
__device__ __forceinline__ i64 put(const Walker& b, const Queue& queue, u32* count, bool some,
                                   u64 key, const Thresholds& thresholds) {
    u32 mask = where(some), place = 0;
    if (!mask) return -1;
    if (b.lane == 0) place = atomicAdd(count, (u32)count_of(mask));
    place = from_lane(place, 0) + (u32)before_lane(mask, b.lane);
    if (!some) return -1;
    if (place >= queue.room) {
        b.common().full = 1;
        return -1;
    }
    queue.ticket(place) = {key, {thresholds.of[0], thresholds.of[1]}};
    return place;
}

// A lane's neuron whose tickets are drawn one after the other.
struct Drawing {
    bool busy;
    int neuron;
    u32 next, word;
    double level;
    z_t need;
};

// By a warp: each lane draws a ticket of its neuron; one that has none takes one from the pile.
template <class Queue>
__device__ __forceinline__ void draw_one(const Walker& b, const Queue& queue, Drawing& d,
                                         int& waiting) {
    u32 idle = where(!d.busy);
    int mine = waiting - 1 - before_lane(idle, b.lane);
    if (!d.busy && mine >= 0) {
        u64 entry = b.pile(mine);
        d = {true, (int)(entry >> 32), 0, (u32)entry, 0.0, 0};
    }
    waiting = max(waiting - count_of(idle), 0);
    meet_lanes();  // the pile may be put on again
    bool takes = false;
    u64 key = 0;
    int i = d.neuron;
    const Here& here = b.here();
    Thresholds thresholds;
    if (d.busy) {
        Point point = ticket_of(here.seed, here.window, (u32)i, d.next, d.word);
        d.level += point.step;
        key = point.key;
        thresholds = Thresholds(b, i, d.level);
        if (d.next == 0) {
            z_t z = b.z(i), sz = b.flags(i) & REFRACTORY ? -z : z;
            // one that fires needs the tickets of its other state too
            z_t highest = thresholds.lowest <= sz && sz < -sz ? -sz : sz;
            d.need = min(here.cap, (z_t)(highest + here.margin));
        }
        takes = thresholds.lowest <= d.need;
        if (!takes) {
            z_t bound = min(thresholds.lowest, (z_t)(here.cap + 1));
            u8 flags = b.flags(i);
            b.bound(i) = bound;
            b.flags(i) = flags | DRAWN;
            b.set(i, Field(b.z(i), flags & REFRACTORY, bound));
            d.busy = false;
        }
        d.next++;
        takes = takes && key < here.end;
    }
    if (put(b, queue, &b.common().count, takes, key, thresholds) >= 0)
        atomicAdd(&b.start(part_of(key)), 1u);
}

// Bounds from below on ticket 0 as `lowest_threshold`, in single precision. Each of its few operations
// errs by 2^-24 of what it has, at most: 2^-20 of all magnitudes covers them.
struct Screen {
    const double* levels;
    float scale, offset;

    __device__ __forceinline__ explicit Screen(const Common& common) {
        const Here& here = common.here;
        levels = common.levels;
        scale = (float)here.scale;
        float shift = (float)here.exponent * (float)LN2;
        offset = -shift * scale - (scale * (32.0f + fabsf(shift)) * 0x1p-20f + 3.0f);
    }
    __device__ __forceinline__ z_t operator()(u32 word) const {
        // the bin of `lowest_thresholds`, or the first if the word is below 2^8
        i32 bin = (float_bits((float)(word >> 8)) >> 18) - (((127 - 8) << 5) - 1);
        if (bin <= 0) return -(z_t)BEYOND;
        float bound = (float)levels[bin] * scale + offset;
        // also where it is not a number
        return bound > -(float)BEYOND ? (z_t)floorf(fminf(bound, (float)BEYOND)) : -(z_t)BEYOND;
    }
};

// The tickets at a window's start: those of the neurons that may fire if no s z rises by more than
// the margin. A neuron that may not has a bound from the high half of its ticket 0's level.
template <class Queue>
__device__ __forceinline__ void draw_window(const Walker& b, const Queue& queue) {
    const Here& here = b.here();
    const Screen screen(b.common());
    Drawing d = {false, 0, 0, 0, 0.0, 0};
    int waiting = 0, group = b.thread, k = 0;
    Words words = {0, 0, 0, 0};
    while (true) {
        bool more = 4 * (group - b.thread) < NEURONS;
        int busy = count_of(where(d.busy));
        if (!more && !waiting && !busy) return;
        if (!more || (waiting && waiting + busy >= LANES)) {
            draw_one(b, queue, d, waiting);
            continue;
        }
        if (k == 0) words = draw(here.seed, (u32)group, here.window, 0, FIRST);
        int i = 4 * group + k;
        bool may = false;
        u32 word = word_of(words, k);
        if (i < NEURONS) {
            u8 flags = b.flags(i) & (REFRACTORY | HELD);
            bool refractory = flags & REFRACTORY;
            z_t z = b.z(i), sz = refractory ? -z : z, bound = (z_t)BEYOND;
            if (flags & HELD) {
                flags |= DRAWN;
            } else {
                bound = min(screen(word), (z_t)(here.cap + 1));
                may = sz + here.margin >= bound;
            }
            b.flags(i) = flags;
            b.set(i, Field(z, refractory, bound));
        }
        u32 found = where(may);
        if (may) b.pile(waiting + before_lane(found, b.lane)) = (u64)i << 32 | word;
        waiting += count_of(found);
        meet_lanes();
        k = (k + 1) % 4;
        if (k == 0) group += BLOCK_THREADS;
    }
}

// Put the tickets in order of time: counted by parts of the window in `starts`, as they were drawn.
template <class Queue>
__device__ __forceinline__ void order_tickets(const Walker& b, const Queue& queue) {
    u32 count = b.common().count, before = 0;
    if (b.thread < LANES) {
        for (int first = 0; first < BUCKETS; first += LANES) {
            u32 own = b.start(first + b.lane), sum = own;
#pragma unroll
            for (int d = 1; d < LANES; d *= 2) {
                u32 other = from_lane(sum, b.lane >= d ? b.lane - d : b.lane);
                if (b.lane >= d) sum += other;
            }
            b.start(first + b.lane) = before + sum - own;
            before += from_lane(sum, LANES - 1);
        }
    }
    meet();
    for (u32 t = b.thread; t < count; t += BLOCK_THREADS)
        queue.part(atomicAdd(&b.start(part_of(queue.ticket(t).key)), 1u)) = (typename Queue::Index)t;
    meet();
    for (u32 t = b.thread; t < count; t += BLOCK_THREADS) {
        u32 part = part_of(queue.ticket(t).key);
        u32 from = part ? b.start(part - 1) : 0, to = b.start(part), place = from;
        for (u32 k = from; k < to; k++) place += earlier(queue, queue.part(k), t);
        queue.order(place) = (typename Queue::Index)t;
    }
    meet();
}

// By a warp: draw the tickets that neuron i, whose s z came to b or is far from it, has reached;
// those after the event `now` are put behind the window's. True if it lifts s z above the cap.
template <class Queue>
__device__ __noinline__ bool deepen(Walker b, Queue queue, int i, z_t z,
                                    u64 now) {
    const Here& here = b.here();
    u8 flags = b.flags(i);
    bool refractory = flags & REFRACTORY;
    z_t sz = refractory ? -z : z, from = -(z_t)BEYOND - 1;
    if (flags & DRAWN) from = b.bound(i);
    bool over = sz >= from && sz > here.cap;
    z_t bound = from;
    meet_lanes();
    if (sz >= from && !over) {
        z_t need = min(here.cap, (z_t)(sz + here.margin));
        double level = 0.0;
        u32 word = first_word(here.seed, here.window, (u32)i), above;
        for (u32 k = 0;; k += FEW) {
            int own_lane = b.lane & (FEW - 1);
            u32 own = k + own_lane;
            Point point = ticket_of(here.seed, here.window, (u32)i, own, word);
            double mine = 0.0;
#pragma unroll
            for (int q = 0; q < FEW; q++) {
                level += from_lane(point.step, q);
                if (own_lane == q) mine = level;
            }
            Thresholds thresholds(b, i, mine);
            above = where(b.lane < FEW && thresholds.lowest > need);
            int under = above ? first_of(above) : FEW;
            bool takes = b.lane < under && thresholds.lowest >= from && point.key >= (now & ~1ull) &&
                         point.key < here.end;
            put(b, queue, &b.common().more, takes, point.key, thresholds);
            bound = from_lane(thresholds.lowest, under < FEW ? under : 0);
            if (above) break;
        }
        bound = min(bound, (z_t)(here.cap + 1));
    }
    if (b.lane == 0) {
        if (!(flags & HELD)) b.bound(i) = bound;
        b.flags(i) = flags | DRAWN;
        b.set(i, Field(z, refractory, bound));
    }
    meet_lanes();
    return over;
}

// By a warp: tickets number `count` to `all` - 1 take their places in the order, from `position` on.
template <class Queue>
__device__ __forceinline__ void insert(const Walker& b, const Queue& queue, int position,
                                       int count, int all) {
    for (int t = count; t < all; t++) {
        int place = t;
        for (bool on = true; on;) {
            int k = place - 1 - b.lane;
            bool later = k >= position && earlier(queue, t, queue.order(k));
            u32 other = later ? queue.order(k) : 0;
            int moved = count_of(where(later));
            meet_lanes();
            if (later) queue.order(k + 1) = (typename Queue::Index)other;
            meet_lanes();
            place -= moved;
            on = moved == LANES;
        }
        if (b.lane == 0) queue.order(place) = (typename Queue::Index)t;
        meet_lanes();
    }
}
