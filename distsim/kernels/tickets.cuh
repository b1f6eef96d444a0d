// The slots and tickets of a window, and the room that they take: the twin of kernels/tickets.py.
#pragma once
#include "control.cuh"

#define UNDRAWN (-9223372036854775807ll)

// The byte of a neuron at the start of a window.
__device__ __forceinline__ u8 starting(u8 x, bool commit) {
    u8 state = commit ? (x & X_END) / X_END : x & X_START;
    return state | state * X_END | (x & X_START) * X_BEFORE;
}

__device__ __forceinline__ void set_slot(i64 a, i64 i, i64 need) {
    if (a >= C.slot_capacity) return;  // control sees the count
    C.slots[a] = {need, UNDRAWN, 0, 0, 0, (i32)i, 0, 0, 0, 0};
    C.slot_of[i] = (i32)a;
}

__device__ __forceinline__ void add_slot(const State* s, i64 i, i64 need) {
    set_slot(s->slots + (i64)atomicAdd((u64*)&findings(s)->slots, 1ull), i, need);
}

// Slots for all that the block's threads have put on a pile.
__device__ __forceinline__ void add_slots(const State* s, Pile& pile) {
    __syncthreads();
    if (threadIdx.x == 0 && pile.size())
        pile.place = s->slots + (i64)atomicAdd((u64*)&findings(s)->slots, (u64)pile.size());
    __syncthreads();
    for (u32 k = threadIdx.x; k < pile.size(); k += THREADS)
        set_slot(pile.place + k, (i64)pile.item[k], pile.extra[k]);
}

// Room for the tickets of a slot; -1 if there is none.
__device__ __forceinline__ i64 reserve(const State* s, i64 count, int lane) {
    i64 offset = 0;
    if (lane == 0) {
        offset = s->tickets + (i64)atomicAdd((u64*)&findings(s)->tickets, (u64)count);
        if (offset + count > C.ticket_capacity) {
            atomicOr((u64*)&findings(s)->overflow, (u64)TICKETS);
            offset = -1;
        }
    }
    return __shfl_sync(ALL, offset, 0);
}

// What a slot is to know of its neuron.
struct Neuron {
    i64 z, own_weight;
    int state;
};

__device__ __forceinline__ Neuron look_up(const State* s, i64 i) {
    return {C.z[s->current][i], weight(C.columns, i, C.first + i), C.x[i] & X_START};
}

// By one warp: a slot's new tickets and what it knows; the sums of its tickets are to be made.
__device__ __forceinline__ void fill(Slot& slot, const Neuron& neuron, i64 offset, i64 count,
                                     int lane) {
    __syncwarp();
    if (lane) return;
    slot.z = neuron.z;
    slot.own_weight = neuron.own_weight;
    slot.state = neuron.state;
    slot.offset = offset;
    slot.count = offset < 0 ? 0 : (i32)count;
    slot.drawn = slot.need;
    slot.summed = 0;
}
