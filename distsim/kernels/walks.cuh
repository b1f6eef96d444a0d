// The tickets of a chain's window: the twin of kernels/walk_tickets.py, and of `by_time` in
// kernels/order.py. Compiles as host code too, for the tests.
#pragma once
#include "levels.cuh"
#include "walker.cuh"

#define FEW (LANES < 8 ? LANES : 8)  // tickets of a neuron that a warp draws at once

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
