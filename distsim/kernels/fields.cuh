// How far each neuron of a chain is from the lowest ticket not drawn: the twin of y = z - c in
// kernels/walk_tickets.py. Compiles as host code too, for the tests.
//
//     z = base + field,   field = 2 S - slack (armed) or S - 1 + slack (refractory),   slack = b - s z
//
// S is half the span of a field, which has twice the bits of a weight; b is a bound from below on
// that ticket's threshold. A column is added to all fields, whatever the states. The highest bit
// of a field is 1 as long as 1 <= slack <= S: where it is 0, z has come to b, or so far from it
// that the field is to be made anew. So b may be less than it could be: nothing depends on it but
// when this is looked into. A field of 16 bits that is lifted out of its span carries one into its
// neighbour above, which `mend` takes back.
#pragma once
#include "lanes.cuh"
#include "layout.cuh"

#define FIELD_BITS (2 * WEIGHT_BITS)
#define HALF (1ull << (FIELD_BITS - 1))   // S
#define FARTHEST (HALF / 4 * 3)           // slack of a field that is made
#define UNIT (64 / WEIGHT_BITS)           // neurons that a thread takes at once: 8 bytes of a column

#define WARP_PILE (2 * LANES)        // neurons that wait until a warp has something to draw for all
#define BUCKETS (1 << BUCKET_BITS)   // parts of a window

#if Z_BITS == 32
typedef u32 wide_t;
#define BEYOND (1ll << 30)  // all linear responses
#else
typedef u64 wide_t;
#define BEYOND (1ll << 62)
#endif

static_assert(Z_BITS == 64 || WEIGHT_BITS < 32, "z of weights of 32 bits may take 64");

#define REFRACTORY 1  // flags of a neuron: its state,
#define DRAWN 2       // that tickets are drawn, those under its `bound`,
#define HELD 4        // that it is clamped

// Where things lie in a block's shared memory. What waits to be drawn is gone when the parts of the
// tickets' order are made.
#define WHOLE_BYTES(bytes) (((bytes) + 15) / 16 * 16)
#define SPAN (PASSES * BLOCK_THREADS * UNIT)  // neurons that have fields, for loops without an end
#define PADDED ((NEURONS + UNIT - 1) / UNIT * UNIT)
#define PARTS_BYTES (2 * ROOM > CHAIN_WARPS * WARP_PILE * 8 ? 2 * ROOM : CHAIN_WARPS * WARP_PILE * 8)
#define STARTS_AT COMMON_BYTES
#define FIELDS_AT (STARTS_AT + 4 * BUCKETS)
#define FLAGS_AT (FIELDS_AT + PASSES * CHAIN_WARPS * LANES * 16)
#define BASES_AT (FLAGS_AT + WHOLE_BYTES(PADDED))
#define TICKETS_AT (BASES_AT + BASES_SHARED * WHOLE_BYTES(PADDED * Z_BITS / 8))
#define ORDER_AT (TICKETS_AT + ROOM * (8 + Z_BITS / 4))
#define PARTS_AT (ORDER_AT + WHOLE_BYTES(2 * ROOM))
#define ALL_BYTES (PARTS_AT + WHOLE_BYTES(PARTS_BYTES))
static_assert(LANES == 1 || ALL_BYTES == SHARED_BYTES, "as in gpu/walk_shape.py");

#if LANES == 1
alignas(16) static char shared[ALL_BYTES];
#else
extern __shared__ __align__(16) char shared[];
#endif

struct alignas(8) Weights {
    u32 a, b;
};

#if WEIGHT_BITS == 8
typedef u16 field_t;
typedef u32 lanes_t;
#define TOPS 0x80008000u
#elif WEIGHT_BITS == 16
typedef u32 field_t;
typedef u32 lanes_t;
#define TOPS 0x80000000u
#else
typedef u64 field_t;
typedef u64 lanes_t;
#define TOPS 0x8000000000000000ull
#endif

struct alignas(16) Fields {
    lanes_t v[16 / sizeof(lanes_t)];
};

// Adds UNIT weights, or takes them away. Its result has a 0 among TOPS where a field has to be
// looked into.
struct Push {
    u32 turn, offset;

    __device__ __forceinline__ explicit Push(bool up) {
#if WEIGHT_BITS == 8
        turn = up ? 0x80808080u : 0x7F7F7F7Fu;  // bytes: w + 128, or 127 - w
        offset = (up ? 128 : 127) * 0x10001u;
#else
        turn = up ? 0 : 0xFFFFFFFFu;
        offset = 0;
#endif
    }
    __device__ __forceinline__ lanes_t operator()(Fields& fields, Weights w) const {
        lanes_t* v = fields.v;
#if WEIGHT_BITS == 8
        u32 a = w.a ^ turn, b = w.b ^ turn;
        v[0] = v[0] + halves(a, false) - offset;
        v[1] = v[1] + halves(a, true) - offset;
        v[2] = v[2] + halves(b, false) - offset;
        v[3] = v[3] + halves(b, true) - offset;
        return v[0] & v[1] & v[2] & v[3];
#elif WEIGHT_BITS == 16
        v[0] += ((u32)((i32)(w.a << 16) >> 16) ^ turn) - turn;
        v[1] += ((u32)((i32)w.a >> 16) ^ turn) - turn;
        v[2] += ((u32)((i32)(w.b << 16) >> 16) ^ turn) - turn;
        v[3] += ((u32)((i32)w.b >> 16) ^ turn) - turn;
        return v[0] & v[1] & v[2] & v[3];
#else
        u64 all = (u64)(i64)(i32)turn;
        v[0] += ((u64)(i64)(i32)w.a ^ all) - all;
        v[1] += ((u64)(i64)(i32)w.b ^ all) - all;
        return v[0] & v[1];
#endif
    }
};

// Take back what fields that were lifted out of their span carried. Returns a bit for each of the
// UNIT neurons that has to be looked into.
__device__ __forceinline__ u32 mend(Fields& fields) {
    u32 found = 0;
#if WEIGHT_BITS == 8
#pragma unroll
    for (int k = 0; k < 4; k++) {
        u32& v = fields.v[k];
        if (!(v & 0xC000u)) v -= 0x10000u;
        if (!(v & 0x8000u)) found |= 1u << 2 * k;
        if (!(v & 0x80000000u)) found |= 2u << 2 * k;
    }
#else
#pragma unroll
    for (int k = 0; k < UNIT; k++)
        if (!(fields.v[k] & TOPS)) found |= 1u << k;
#endif
    return found;
}

// The base and the field of a neuron with this z, whose lowest ticket not drawn has this threshold.
struct Field {
    z_t base;
    field_t field;
    bool reached;  // s z has come to it

    __device__ __forceinline__ Field(z_t z, bool refractory, z_t threshold) {
        z_t slack = threshold - (refractory ? -z : z);
        reached = slack < 1;
        wide_t near = reached ? 1 : slack > (z_t)FARTHEST ? (wide_t)FARTHEST : (wide_t)slack;
        wide_t f = refractory ? (wide_t)(HALF - 1) + near : (wide_t)(2 * HALF) - near;
        field = (field_t)f;
        base = (z_t)((wide_t)z - f);
    }
};

// Of a neuron that takes its other state, `refractory` before; its b stays.
__device__ __forceinline__ Field flipped(z_t base, z_t z, bool refractory) {
    wide_t down = (wide_t)base;
    wide_t b = refractory ? (wide_t)1 - (wide_t)HALF - down : (wide_t)(2 * HALF) + down;
    return Field(z, !refractory, (z_t)b);
}
