// Many chains of a Boltzmann machine that share W, in the sequential scan: a thread block owns CHAINS
// of them and sweeps alone, states in shared memory, z never stored. It has no twin.
//
// For a block of 64 neurons the first WARPS warps make 2 z = 2 W x by tensor cores and draw the
// thresholds: with both, the gaps (screen.cuh). LANES threads a chain take its 64 decisions in turn,
// which need W of the block itself only. While block n is decided, the products of block n + 1 are summed
// over all columns but those of block n, added afterwards. TELLERS warps count and digest the flips
// of block n - 1.
//
// PASS: one pass over a block of a larger network, which is cut into blocks of 64: z of the block's
// start comes from memory, and what is multiplied here are the changes since.
//
// Barriers: 0, all: block n is decided. 1, all but the tellers: the gaps of block n + 1 are there.
#include "chains.cuh"
#include "decide.cuh"

#define WARPS (2 * (CHAINS / (8 * SPAN)) * SPLITS)
#define DECIDERS (CHAINS * LANES / 32)  // a chain has LANES threads
#define THREADS_ALL (32 * (WARPS + DECIDERS + TELLERS))
#define PARTS (32 * TELLERS / CHAINS)  // tellers of a chain
#define GAPS (SPLITS + ENERGIES)       // parts of a gap
#define OWN (SPLITS < 2 * SPAN ? 2 * SPAN / SPLITS : 1)  // pairs of a split's draws
#define AT_ONCE (OWN > 1 ? 2 : 1)
#define AHEAD 2                        // tiles that a warp loads ahead
#define COPIES (WARPS < 8 ? 8 / WARPS : 1)

// What shared memory holds.
struct Shared {
    u8 *states, *operand;  // [CHAINS][stride]; operand: states, or PASS changes, as twice the number
    int* gaps;             // [GAPS][64][GAP_ROW]
    u8* weights;           // [2][PLANES][64][ROW]: of blocks among themselves
    Flips* flips;          // [2][CHAINS]
    int stride;
};

__device__ __forceinline__ Shared shared_of(int size, u8* shared) {
    Shared s;
    s.stride = size % 128 ? size : size + 64;  // chains 64 bytes apart modulo 128: no bank twice
    s.states = shared;
    s.operand = shared + PASS * CHAINS * s.stride;
    s.gaps = (int*)(s.operand + CHAINS * s.stride);
    s.weights = (u8*)(s.gaps + GAPS * BLOCK * GAP_ROW);
    s.flips = (Flips*)(s.weights + 2 * PLANES * BLOCK * ROW);
    return s;
}

// A warp's tile of the products: half of a block's neurons, SPAN times eight chains, every SPLITS-th
// column tile.
struct Role {
    int half, group, split, lane;
    __device__ __forceinline__ int chain(int n, int e) const {
        return 8 * (SPAN * group + n) + 2 * (lane & 3) + e;
    }
    __device__ __forceinline__ int neuron() const { return 32 * half + 4 * (lane >> 2); }
};

typedef int Sums[SPAN][2][4];  // of neuron k and chain (n, e): [n][k >> 1][2 (k & 1) + e]
typedef int Drawn[OWN][4];

template <bool LOW>
__device__ __forceinline__ void multiply_all(Sums& sums, const Rows& rows, const u8* states,
                                             int stride) {
#pragma unroll
    for (int n = 0; n < SPAN; n++) multiply<LOW>(sums[n], rows, states + 8 * n * stride);
}

// Every SPLITS-th of `count` column tiles from `start` on, in a circle of `blocks`.
template <bool LOW>
__device__ __forceinline__ void product(Sums& sums, const u8* tiles, const u8* states, int stride,
                                        int start, int count, int blocks, const Role& role) {
    Rows rows[AHEAD];
    int column = start + role.split, loaded = column;
    const int stop = start + count;
    const int last = max(stop - 1, 0);
#pragma unroll
    for (int a = 0; a < AHEAD; a++, loaded += SPLITS) {
        const int c = min(loaded, last);
        rows[a] = load_rows(tiles + (c < blocks ? c : c - blocks) * TILE, role.lane);
    }
    while (column < stop) {
#pragma unroll
        for (int a = 0; a < AHEAD; a++, column += SPLITS, loaded += SPLITS) {
            if (column >= stop) break;
            const int x = column < blocks ? column : column - blocks;
            multiply_all<LOW>(sums, rows[a], states + BLOCK * x, stride);
            const int c = min(loaded, last);
            rows[a] = load_rows(tiles + (c < blocks ? c : c - blocks) * TILE, role.lane);
        }
    }
}

__device__ __forceinline__ void raise(Sums& sums) {
#pragma unroll
    for (int n = 0; n < SPAN; n++)
#pragma unroll
        for (int k = 0; k < 8; k++) sums[n][k >> 2][k & 3] *= 256;
}

// The gaps at z = 0 of this thread's neurons, of those pairs (n, e) of which the split has every
// SPLITS-th: number SPLITS k + split. Added to `sums`, or, where energies are kept, `drawn` (out).
__device__ __forceinline__ void draw_gaps(Sums& sums, Drawn& drawn, const Given& a, const Shared& s,
                                          const Role& role, int block, int sweep) {
    const int at = BLOCK * block + role.neuron();
    const float4 rests = *(const float4*)(a.rests + at);
#pragma unroll
    for (int k = 0; k < OWN; k += AT_ONCE) {
        int gaps[AT_ONCE][4], chain[AT_ONCE];
        u32 states[AT_ONCE];
        if (SPLITS * k + role.split >= 2 * SPAN) break;
#pragma unroll
        for (int d = 0; d < AT_ONCE; d++) {
            const int item = SPLITS * (k + d) + role.split;
            const int c = role.chain(item >> 1, item & 1);
            states[d] = CLAMPED ? *(const u32*)(s.states + c * s.stride + at) : 0;
            chain[d] = blockIdx.x * CHAINS + c;
        }
        draw_fours<AT_ONCE>(gaps, a, chain, at, a.column0 + at, sweep, rests, states);
#pragma unroll
        for (int d = 0; d < AT_ONCE; d++) {
#pragma unroll
            for (int j = 0; j < 4; j++) {
                if (ENERGIES) drawn[k + d][j] = gaps[d][j];
#pragma unroll
                for (int split = 0; split < min(SPLITS, 2 * SPAN); split++) {
                    const int item = SPLITS * (k + d) + split;
                    if (!ENERGIES && split == role.split)
                        sums[item >> 1][j >> 1][2 * (j & 1) + (item & 1)] += gaps[d][j];
                }
            }
        }
    }
}

// 2 z is more than the sums by twice the bias, or PASS by what came from memory.
__device__ __forceinline__ void add_start(Sums& sums, const Given& a, const Role& role,
                                          int block) {
    const int at = BLOCK * block + role.neuron();
    const int4 bias = *(const int4*)(a.biases + at);
    const int twice[4] = {bias.x, bias.y, bias.z, bias.w};
#pragma unroll
    for (int n = 0; n < SPAN; n++) {
        if (n % SPLITS != role.split) continue;
        const int chain = blockIdx.x * CHAINS + role.chain(n, 0);
#pragma unroll
        for (int k = 0; k < 4; k++) {
            int2 z = make_int2(0, 0);
            if (PASS) z = *(const int2*)(a.responses + (i64)(at + k) * a.chains + chain);
            sums[n][k >> 1][2 * (k & 1)] += twice[k] + 2 * z.x;
            sums[n][k >> 1][2 * (k & 1) + 1] += twice[k] + 2 * z.y;
        }
    }
}

__device__ __forceinline__ void store_gaps(const Sums& sums, int* gaps, const Role& role) {
#pragma unroll
    for (int n = 0; n < SPAN; n++)
#pragma unroll
        for (int k = 0; k < 4; k++)
            *(int2*)(gaps + (role.neuron() + k) * GAP_ROW + role.chain(n, 0)) =
                make_int2(sums[n][k >> 1][2 * (k & 1)], sums[n][k >> 1][2 * (k & 1) + 1]);
}

// Energies: the gaps at z = 0, as drawn.
__device__ __forceinline__ void store_drawn(const Drawn& drawn, int* gaps, const Role& role) {
#pragma unroll
    for (int k = 0; k < OWN; k++) {
        const int item = SPLITS * k + role.split;
        if (item >= 2 * SPAN) break;
        int* to = gaps + role.neuron() * GAP_ROW + role.chain(item >> 1, item & 1);
#pragma unroll
        for (int j = 0; j < 4; j++) to[j * GAP_ROW] = drawn[k][j];
    }
}

__device__ __forceinline__ i64 sum_of_lanes(i64 x) {
#pragma unroll
    for (int k = 1; k < LANES; k <<= 1) x += __shfl_xor_sync(0xFFFFFFFFu, x, k);
    return x;
}

extern "C" __global__ void __launch_bounds__(THREADS_ALL, 1)
sweep_chains(GIVEN_PARAMETERS) {
    const Given a = GIVEN;
    extern __shared__ __align__(16) u8 shared[];
    const Shared s = shared_of(a.size, shared);
    const int blocks = a.size / BLOCK, total = a.sweeps * blocks;
    const int thread = threadIdx.x, warp = thread >> 5, lane = thread & 31;
    const int first_chain = blockIdx.x * CHAINS;

    load_states(a, s.states, s.stride, first_chain);
    if (PASS)
        for (int k = thread; k < CHAINS * s.stride / 16; k += THREADS_ALL)
            ((uint4*)s.operand)[k] = make_uint4(0, 0, 0, 0);
    __syncthreads();

    if (warp < WARPS) {
        const Role role = {warp & 1, (warp >> 1) / SPLITS, (warp >> 1) % SPLITS, lane};
        const u8* operand = s.operand + (8 * SPAN * role.group + (lane >> 2)) * s.stride
                            + 16 * (lane & 3);
        const i64 plane = (i64)a.size * a.size;
        int block = 0, sweep = 0;
        for (int it = -1; it < total; it++) {
            Sums sums = {};
            Drawn drawn;
            Rows late[PLANES];
            const int before = it < 0 ? -1 : block ? block - 1 : blocks - 1;
            const bool more = it + 1 < total, follows = before >= 0 && (!PASS || block > 0);
            // All columns but those of the block before, from those after it on.
            const int start = PASS ? 0 : before + 1;
            const int count = (PASS ? block : blocks) - (int)follows;
            const u8* tiles = a.tiles + (i64)(2 * block + role.half) * blocks * TILE;
            if (more) {
                uint4 diagonal[PLANES][COPIES];
#pragma unroll
                for (int p = 0; p < PLANES; p++) {
#pragma unroll
                    for (int c = 0; c < COPIES; c++)
                        if (thread < 256)
                            diagonal[p][c] = load_once(a.diagonals + ((i64)p * blocks + block) * 4096
                                                       + 16 * (thread + 32 * WARPS * c));
                    if (follows) late[p] = load_rows(tiles + p * plane + (i64)before * TILE, lane);
                }
                product<false>(sums, tiles, operand, s.stride, start, count, blocks, role);
                if (PLANES == 2) {
                    raise(sums);
                    product<true>(sums, tiles + plane, operand, s.stride, start, count, blocks,
                                  role);
                }
                draw_gaps(sums, drawn, a, s, role, block, sweep);
                u8* to = s.weights + ((it + 1) & 1) * PLANES * BLOCK * ROW;
#pragma unroll
                for (int p = 0; p < PLANES; p++)
#pragma unroll
                    for (int c = 0; c < COPIES; c++) {
                        const int k = thread + 32 * WARPS * c;
                        if (thread < 256)
                            *(uint4*)(to + (BLOCK * p + (k >> 2)) * ROW + 16 * (k & 3)) =
                                diagonal[p][c];
                    }
                add_start(sums, a, role, block);
            }
            __syncthreads();
            if (more) {
                if (follows) {
#pragma unroll
                    for (int n = 0; n < SPAN; n++) {
                        if (n % SPLITS != role.split) continue;
                        const u8* x = operand + 8 * n * s.stride + BLOCK * before;
                        if (PLANES == 1) {
                            multiply<false>(sums[n], late[0], x);
                        } else {
                            int high[2][4] = {};
                            multiply<false>(high, late[0], x);
#pragma unroll
                            for (int k = 0; k < 8; k++)
                                sums[n][k >> 2][k & 3] += 256 * high[k >> 2][k & 3];
                            multiply<true>(sums[n], late[PLANES - 1], x);
                        }
                    }
                }
                store_gaps(sums, s.gaps + role.split * BLOCK * GAP_ROW, role);
                if (ENERGIES) store_drawn(drawn, s.gaps + SPLITS * BLOCK * GAP_ROW, role);
                if (++block == blocks) block = 0, sweep++;
            }
            meet_some<32 * (WARPS + DECIDERS)>();  // all but the tellers
        }
    } else if (warp < WARPS + DECIDERS) {
        const int c = (thread - 32 * WARPS) / LANES, q = thread % LANES;
        const int chain = first_chain + c;
        const u64 name = a.names[chain];
        i64 energy = 0;
        int block = 0, sweep = 0;
        for (int it = -1; it < total; it++) {
            if (it >= 0) {
                const Block given = {s.gaps, s.weights + (it & 1) * PLANES * BLOCK * ROW, a.seed,
                                     a.sweep0 + sweep, (u32)(a.column0 + BLOCK * block),
                                     a.rests + BLOCK * block, a.rest + BLOCK * block};
                const double scale = a.scales[heat_at(a, chain, sweep)];
                const int at = c * s.stride + BLOCK * block;
                Flips flips = decide_chain(given, c, q, s.states + at, s.operand + at, name, scale,
                                           heat_of((float)scale).width, energy);
                if (q == 0) s.flips[(it & 1) * CHAINS + c] = flips;
                if (++block == blocks) {
                    if (ENERGIES && a.energies) {
                        const i64 sum = sum_of_lanes(energy);
                        if (q == 0)
                            a.energies[sweep * a.chains + chain] = a.doubled[chain] - (sum >> 1);
                    }
                    block = 0, sweep++;
                }
            }
            __syncthreads();
            meet_some<32 * (WARPS + DECIDERS)>();  // all but the tellers
        }
        if (ENERGIES) {
            const i64 sum = sum_of_lanes(energy);
            if (q == 0) a.doubled[chain] -= sum >> 1;
        }
    } else {
        const int teller = thread - 32 * (WARPS + DECIDERS);
        const int chain = teller / PARTS, part = teller % PARTS;
        Tally tally = tally_of(a, first_chain + chain);
        int block = 0, sweep = 0;
        for (int it = -1; it <= total; it++) {
            if (it >= 1) {
                tell<PARTS, DIGEST>(tally, s.flips[((it - 1) & 1) * CHAINS + chain], part,
                                    (a.sweep0 + sweep) * a.neurons + a.column0 + BLOCK * block,
                                    a.column0 + BLOCK * block);
                if (++block == blocks) block = 0, sweep++;
            }
            if (it < total) __syncthreads();
        }
        keep(a, first_chain + chain, part, tally);
    }
    __syncthreads();
    store_states(a, s.states, s.stride, first_chain);
}
