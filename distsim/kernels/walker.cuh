// A block that walks a chain: what it is given, the twin of gpu/walk_shape.py, and what it has in
// shared memory. Compiles as host code too, for the tests.
#pragma once
#include "fields.cuh"

// A chain: where it stands, and how far it is to go.
struct Chain {
    i64 replica, number, exponent, started, target, per_neuron, margin, transitions, goal, windows;
    i64 room;  // tickets of the window that found no room for so many, or 0
    double high, low, scale, last, until, change;
    u64 total;
};

// What all chains have.
struct Given {
    Columns columns;
    i64 stride;            // from one chain's neurons to the next one's
    u64 seed;
    const double* rest;    // [neurons]
    const double* levels;  // [BINS]
    const u8* held;        // [chains or 1, neurons]: those that are clamped
    i64 held_stride;
    Chain* chains;         // [chains]
    u8* x;                 // [chains, stride]: at the start of a window, as z is
    z_t* z;                // [chains, stride]
    z_t* bound;            // [chains, stride]
    z_t* bases;            // the same, where they are not in shared memory
    struct WalkTicket* tickets;  // [chains, room], as what is next: of windows that are large
    u32* order;
    u32* parts;
    i64 room;
};

// A ticket that is drawn: it fires, as those of tickets.cuh do, by its neuron's state.
struct alignas(Z_BITS == 32 ? 16 : 8) WalkTicket {
    u64 key;           // its event, but for the state
    z_t threshold[2];  // by the neuron's state
};

static_assert(sizeof(Chain) == CHAIN_BYTES, "as in gpu/walk_shape.py");
static_assert(sizeof(Given) == GIVEN_BYTES, "as in gpu/walk_shape.py");

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

// A thread of a block, and its chain. bound, of a neuron: the threshold of its first ticket not drawn
// if it is DRAWN, or beyond all if it is HELD.
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
