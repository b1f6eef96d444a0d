// apply, the twin of kernels/apply.py: add the events' columns to z, with the extremes on the way.
// A neuron that may have reached a ticket not drawn draws deeper, as by `reached` in
// kernels/mcculloch_pitts.py.
//
// A team of warps takes a chunk of neurons, each of its warps a stretch of the events; sums and
// extremes of the stretches meet in shared memory. This is where the memory is read: all weights of
// the events' columns, once.
#pragma once
#include "draw.cuh"

#if WEIGHT_BITS == 8
typedef short part_t;
#define SLACK APART  // that the highest sum may lack: `Device.slack` in gpu/launcher.py
#elif WEIGHT_BITS == 16
typedef i32 part_t;
#define SLACK 0
#else
typedef i64 part_t;
#define SLACK 0
#endif

// BYTES of a column, weights of as many neurons as fit.
template <int BYTES>
struct Raw;
template <>
struct Raw<4> {
    u32 word[1];
    __device__ __forceinline__ void load(const void* from) {
        asm("ld.global.nc.L1::no_allocate.u32 %0, [%1];" : "=r"(word[0]) : "l"(from));
    }
    __device__ __forceinline__ void clear() { word[0] = 0; }
};
template <>
struct Raw<8> {
    u32 word[2];
    __device__ __forceinline__ void load(const void* from) {
        asm("ld.global.nc.L1::no_allocate.v2.u32 {%0, %1}, [%2];"
            : "=r"(word[0]), "=r"(word[1])
            : "l"(from));
    }
    __device__ __forceinline__ void clear() { word[0] = word[1] = 0; }
};
template <>
struct Raw<16> {
    u32 word[4];
    __device__ __forceinline__ void load(const void* from) {
        asm("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
            : "=r"(word[0]), "=r"(word[1]), "=r"(word[2]), "=r"(word[3])
            : "l"(from));
    }
    __device__ __forceinline__ void clear() { word[0] = word[1] = word[2] = word[3] = 0; }
};

// Sum and extremes of one stretch, for V neurons of a lane.
#if WEIGHT_BITS == 8
__device__ __forceinline__ u32 add_halves(u32 a, u32 b) {
    u32 c;
    asm("add.s16x2 %0, %1, %2;" : "=r"(c) : "r"(a), "r"(b));
    return c;
}

template <int BYTES, bool EXTREMES>
struct Stretch {  // two neurons a word
    static const int PAIRS = BYTES / 2;
    u32 sum[PAIRS], high[PAIRS], low[PAIRS];

    __device__ __forceinline__ void clear() {
#pragma unroll
        for (int p = 0; p < PAIRS; p++) sum[p] = high[p] = low[p] = 0;
    }
    // falls: ~0 where the column counts negative, else 0. Then w -> ~w: what lacks, one a column,
    // is to be added by `correct`. Until then the sum is low, by no more than SLACK.
    __device__ __forceinline__ void add(const Raw<BYTES>& raw, u32 falls) {
#pragma unroll
        for (int p = 0; p < PAIRS; p++) {
            u32 bytes = raw.word[p >> 1] ^ falls, w;
            if (p & 1) asm("prmt.b32 %0, %1, 0, 0xB3A2;" : "=r"(w) : "r"(bytes));
            else asm("prmt.b32 %0, %1, 0, 0x9180;" : "=r"(w) : "r"(bytes));
            if (EXTREMES) {
                high[p] = __viaddmax_s16x2(sum[p], w, high[p]);
                low[p] = __viaddmin_s16x2(sum[p], w, low[p]);
            }
            sum[p] = add_halves(sum[p], w);
        }
    }
    __device__ __forceinline__ void correct(u32 lacking) {
#pragma unroll
        for (int p = 0; p < PAIRS; p++) sum[p] = add_halves(sum[p], lacking * 0x00010001u);
    }
    __device__ __forceinline__ void store(part_t* part, int lane) const {  // part: [3, 32 V]
        const int SPAN = 32 * BYTES;
        u32* word = (u32*)part;
#pragma unroll
        for (int p = 0; p < PAIRS; p++) {
            word[lane * PAIRS + p] = sum[p];
            if (EXTREMES) {
                word[SPAN / 2 + lane * PAIRS + p] = high[p];
                word[SPAN + lane * PAIRS + p] = low[p];
            }
        }
    }
};
#else
template <int BYTES, bool EXTREMES>
struct Stretch {
    static const int V = 8 * BYTES / WEIGHT_BITS;
    part_t sum[V], high[V], low[V];

    __device__ __forceinline__ void clear() {
#pragma unroll
        for (int v = 0; v < V; v++) sum[v] = high[v] = low[v] = 0;
    }
    __device__ __forceinline__ void add(const Raw<BYTES>& raw, u32 falls) {
#pragma unroll
        for (int v = 0; v < V; v++) {
#if WEIGHT_BITS == 16
            i32 w = (short)(raw.word[v >> 1] >> (16 * (v & 1)));
#else
            i32 w = (i32)raw.word[v];
#endif
            sum[v] += (w ^ (i32)falls) - (i32)falls;
            if (EXTREMES) {
                high[v] = max(high[v], sum[v]);
                low[v] = min(low[v], sum[v]);
            }
        }
    }
    __device__ __forceinline__ void correct(u32) {}
    __device__ __forceinline__ void store(part_t* part, int lane) const {
        const int SPAN = 32 * V;
#pragma unroll
        for (int v = 0; v < V; v++) {
            part[lane * V + v] = sum[v];
            if (EXTREMES) {
                part[SPAN + lane * V + v] = high[v];
                part[2 * SPAN + lane * V + v] = low[v];
            }
        }
    }
};
#endif

// The first event after which s z of a neuron is above the cap, exactly.
__device__ __noinline__ void find_crossing(const State* s, i64 i, int x) {
    const u64* events = C.events[s->parity];
    i64 total = C.z[s->current][i], count = s->count, cap = s->cap;
    for (i64 k = 0; k < count; k++) {
        u64 event = events[k];
        i64 j = neuron_of(event);
        total += sign_of(event) * weight(C.columns, i, j);
        if (j == C.first + i) x ^= 1;
        if ((x ? -total : total) > cap) {
            atomicMin(&findings(s)->cross, k);
            return;
        }
    }
}

// A neuron's z over the window: high, low, and `total` at its end.
__device__ __forceinline__ void check_neuron(const State* s, i64 i, u8 byte, z_t bound, z_t start,
                                             z_t high, z_t low) {
    i64 cap = s->cap, up = high, down = -(i64)low;
    i64 reach = byte & X_FIRED ? max(up, down) : byte & X_START ? down : up;
    if (reach > cap) find_crossing(s, i, byte & X_START);
    reach = min(reach, cap);
    bool deeper = reach >= (i64)bound;
    if (byte & X_ACTIVE) {
        bool far = up - (i64)start > C.doubt || down + (i64)start > C.doubt;
        if (deeper || far) {
            Slot* slot = C.slots + C.slot_of[i];
            if (deeper) slot->need = reach;
            if (far && !slot->exact) {
                slot->exact = 1;
                slot->summed = 0;
                deeper = true;
            }
        }
    } else if (deeper) {
        C.x[i] = byte | X_ACTIVE;
        add_slot(s, i, reach);
    }
    if (deeper) findings(s)->deeper = 1;
}

template <int BYTES, bool EXTREMES>
__device__ __forceinline__ void phase_apply(const State* s, i64 block, i64 blocks, char* shared) {
    const int V = 8 * BYTES / WEIGHT_BITS, SPAN = 32 * V, EACH = (SPAN + TEAM - 1) / TEAM;
    static_assert(TEAMS * (TILE * sizeof(u32) + TEAM_WARPS * 3 * SPAN * sizeof(part_t)) <= SHARED,
                  "columns and stretches of a block");
    int team = threadIdx.x / TEAM, thread = threadIdx.x % TEAM;
    int lane = threadIdx.x & 31, warp = thread >> 5;
    u32* columns = (u32*)shared + team * TILE;  // [TILE]: neuron << 1 | falls
    part_t* parts = (part_t*)(shared + TEAMS * TILE * sizeof(u32)) +
                    team * TEAM_WARPS * 3 * SPAN;  // [TEAM_WARPS, 3, SPAN]
    const u64* events = C.events[s->parity];
    const z_t* z = C.z[s->current];
    z_t* end = C.z[s->current ^ 1];
    i64 count = s->count, top = -(i64)LIMIT;
    bool check = !BOLTZMANN && !s->last_pass;
    auto wait = [&] { asm volatile("bar.sync %0, %1;" ::"r"(1 + team), "n"(TEAM) : "memory"); };
    auto load_columns = [&](i64 from, int tile) {
        for (int k = thread; k < tile; k += TEAM) {
            u64 event = events[from + k];
            columns[k] = (u32)neuron_of(event) << 1 | (u32)(~event & 1);
        }
        wait();
    };
    i64 chunks = (C.columns.stride + SPAN - 1) / SPAN, first = team * blocks + block;
    if (first >= chunks) return;
    for (i64 chunk = first; chunk < chunks; chunk += TEAMS * blocks) {
        z_t start[EACH], total[EACH], high[EACH], low[EACH], bound[EACH];  // of a thread's neurons
        u8 byte[EACH];
        bool mine[EACH];
#pragma unroll
        for (int n = 0; n < EACH; n++) {
            i64 i = chunk * SPAN + n * TEAM + thread;
            mine[n] = n * TEAM + thread < SPAN && i < C.size;
            start[n] = total[n] = high[n] = low[n] = mine[n] ? z[i] : 0;
            bound[n] = mine[n] ? C.bound[i] : 0;
            byte[n] = mine[n] ? C.x[i] : 0;
        }
        if (count <= TILE && chunk == first) load_columns(0, (int)count);
        i64 place = chunk * SPAN + lane * V;
        bool inside = place < C.columns.stride;
        const weight_t* row = C.columns.weights + place;
        for (i64 from = 0; from < max(count, 1ll); from += TILE) {
            int tile = (int)min((i64)TILE, count - from);
            if (count > TILE) load_columns(from, tile);
            int k0 = tile * warp / TEAM_WARPS, k1 = tile * (warp + 1) / TEAM_WARPS;
            Stretch<BYTES, EXTREMES> stretch;
            stretch.clear();
            // Predicated: a remainder loop would be latency.
            auto fetch = [&](Raw<BYTES>* raw, int k) {
#pragma unroll
                for (int u = 0; u < APART; u++) {
                    raw[u].clear();
                    if (k + u >= k1 || !inside) continue;
                    raw[u].load(row + (i64)(columns[k + u] >> 1) * C.columns.stride);
                }
            };
            auto add = [&](const Raw<BYTES>* raw, int k) {
                u32 lacking = 0;
#pragma unroll
                for (int u = 0; u < APART; u++) {
                    u32 falls = k + u < k1 ? columns[k + u] & 1 : 0;
                    stretch.add(raw[u], 0u - falls);
                    lacking += falls;
                }
                stretch.correct(lacking);
            };
            Raw<BYTES> even[APART], odd[APART];
            fetch(even, k0);
            for (int k = k0; k < k1; k += 2 * APART) {
                fetch(odd, k + APART);
                add(even, k);
                fetch(even, k + 2 * APART);
                add(odd, k + APART);
            }
            stretch.store(parts + warp * 3 * SPAN, lane);
            wait();
#pragma unroll
            for (int n = 0; n < EACH; n++) {
                if (!mine[n]) continue;
                bool fired = C.marks && byte[n] & X_FIRED && from < MARKED;
                i64 i = chunk * SPAN + n * TEAM + thread;
                z_t* marks = C.marks + (fired ? marks_of(i, from) : 0);
#pragma unroll
                for (int w = 0; w < TEAM_WARPS; w++) {
                    const part_t* part = parts + w * 3 * SPAN + n * TEAM + thread;
                    if (fired) marks[w] = total[n];
                    if (EXTREMES) {
                        high[n] = max(high[n], total[n] + (z_t)(part[SPAN] + SLACK));
                        low[n] = min(low[n], total[n] + (z_t)part[2 * SPAN]);
                    }
                    total[n] += (z_t)part[0];
                }
            }
            wait();
        }
#pragma unroll
        for (int n = 0; n < EACH; n++) {
            if (!mine[n]) continue;
            i64 i = chunk * SPAN + n * TEAM + thread;
            end[i] = total[n];
            if (!EXTREMES) continue;
            if (check) check_neuron(s, i, byte[n], bound[n], start[n], high[n], low[n]);
            top = max(top, byte[n] & X_END ? -(i64)total[n] : (i64)total[n]);
        }
    }
    if (EXTREMES) {
        i64* tops = (i64*)parts;
        top = warp_max(top);
        if (lane == 0) tops[warp] = top;
        wait();
        if (warp == 0) {
            top = warp_max(tops[lane & (TEAM_WARPS - 1)]);
            if (lane == 0 && top > -(i64)LIMIT) atomicMax(&findings(s)->top, top);
        }
    }
}
