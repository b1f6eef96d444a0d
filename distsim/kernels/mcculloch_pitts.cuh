// The tickets of a McCulloch-Pitts machine: the twin of kernels/mcculloch_pitts.py.
#pragma once
#include "levels.cuh"
#include "tickets.cuh"

// Bound ticket 0 of every local neuron from below, and give those that may reach it a slot, if the
// window has `wanted` any. By all threads.
__device__ __forceinline__ void screen(const State* s, i64 thread, i64 threads, bool commit,
                                       bool wanted, Pile& found) {
    u64 window = s->number;
    i64 exponent = s->width, cap = s->cap;
    const z_t* z = C.z[s->current];
    i64 offset = C.first & 3;
    for (i64 group = thread; 4 * group < C.size + offset; group += threads) {
        Words words = draw(C.seed, (u32)((C.first >> 2) + group), window, 0, FIRST);
#pragma unroll
        for (int k = 0; k < 4; k++) {
            i64 i = 4 * group + k - offset;
            if (i < 0 || i >= C.size) continue;
            u8 x = starting(C.x[i], commit);
            i64 bound = lowest_threshold(C.levels, word_of(words, k), exponent, C.scale);
            i64 sz = x & X_START ? -(i64)z[i] : (i64)z[i];
            bool active = wanted && sz + C.margin >= bound;
            C.bound[i] = to_bound(bound);
            C.x[i] = active ? x | X_ACTIVE : x;
            // A neuron that fires needs the tickets of its other state too, if it goes on.
            i64 need = min(cap, C.margin + (sz < -sz && -sz <= cap ? -sz : sz));
            if (active && !found.put(i, need)) add_slot(s, i, need);
        }
    }
}

#define FEW 8  // tickets that a warp draws at once

// Tickets k, ..., k + FEW - 1 of a neuron, one a lane; `level` is that of the last one before.
struct Few {
    u64 key;
    i64 threshold0, threshold1, lowest;
};

__device__ __forceinline__ Few draw_few(u64 window, u32 neuron, u32 k, i64 exponent, double rest,
                                        double& level, int lane) {
    Point mine = ticket(C.seed, window, neuron, k + (lane & (FEW - 1)));
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
        Ticket& ticket = C.tickets[offset + t];
        i64 twins = 0;
        while (twins < t && C.tickets[offset + t - twins - 1].key == ticket.key) twins++;
        for (i64 q = slot.offset; q < slot.offset + slot.count; q++)
            if (C.tickets[q].key == ticket.key && twins-- == 0) ticket.fired = C.tickets[q].fired;
    }
}

// The tickets of a slot's neuron up to response `need`, by time.
__device__ __noinline__ void draw_tickets(Slot& slot, const State* s, int lane) {
    i64 i = slot.neuron, exponent = s->width, need = slot.need;
    Neuron known = look_up(s, i);  // the memory takes as long as the drawing
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
        if (lane < count)
            C.tickets[offset + place] = {few.key, {few.threshold0, few.threshold1}, 0, 0};
    } else {
        i64 spare = offset + count;
        level = 0.0;
        for (i64 k = 0; k < count; k += FEW) {
            few = draw_few(window, neuron, (u32)k, exponent, rest, level, lane);
            if (lane < FEW && k + lane < count)
                C.tickets[spare + k + lane] = {few.key, {few.threshold0, few.threshold1}, 0, 0};
        }
        __syncwarp();
        for (i64 k = lane; k < count; k += 32) {
            u64 key = C.tickets[spare + k].key;
            i64 place = 0;
            for (i64 q = 0; q < count; q++) {
                u64 other = C.tickets[spare + q].key;
                place += other < key || (other == key && q < k);
            }
            C.tickets[offset + place] = C.tickets[spare + k];
        }
    }
    __syncwarp();
    if (slot.count && offset >= 0) carry_over(slot, offset, count, lane);
    fill(slot, known, offset, count, lane);
}

// For `race`: the earliest ticket of neuron i after (last, last ticket) that fires at the
// present z.
__device__ __noinline__ u64 earliest_arrival(const State* s, i64 i, int x, i64 sz, u64 last) {
    u32 neuron = (u32)(C.first + i);
    double rest = C.rest[i], level = 0.0;
    u64 best = NO_EVENT;
    i32 fired = C.slot_of[i];  // the ticket that was this neuron's earliest when last asked
    i32 earliest = fired;
    for (u32 k = 0;; k++) {
        Point one = ticket(C.seed, s->number, neuron, k);
        level += one.step;
        double theta = level_threshold(level, s->width, C.scale);
        if (sz < to_threshold(theta - fabs(rest))) break;
        bool fires = sz >= to_threshold(x ? theta + rest : theta - rest);
        bool later = one.key > last || (one.key == last && (i32)k > fired);
        if (fires && later && one.key < (best & ~1ull)) {
            best = one.key | (u64)(1 - x);
            earliest = (i32)k;
        }
    }
    C.slot_of[i] = earliest;
    return best;
}
