// Many chains of a Boltzmann machine whose neurons come in layers without weights inside: a thread
// block owns CHAINS of them and sweeps alone, as in resident.cu, but decides a layer at once.
// It is the twin of kernels/layers.py.
//
// Each layer begins at a multiple of 64 places, its first neuron at a place equal to its number
// modulo 4. WARPS warps take tiles of 32 neurons by 8 SPAN chains: 2 z by tensor cores over those
// columns that are not zero, thresholds, states; besides, they count and digest the flips of the layer
// before, blocks of 64 of some chains at a time.
//
// A barrier ends each layer.
#include "chains.cuh"

#define SHARES (CHAINS < 32 ? 32 / CHAINS : 1)  // threads that tell of a chain's block
#define BATCHES (CHAINS < 32 ? 1 : CHAINS / 32)
#define GROUPS (CHAINS / (8 * SPAN))  // WARPS is a multiple of it

// Places [first, first + size) from neuron `neuron` on, in the block of places of the first; whose
// columns are the tiles columns[from .. until).
struct Layer {
    int place, size, neuron, from, until;
};

typedef int Sums[SPAN][2][4];  // as in resident.cu

template <bool LOW>
__device__ __forceinline__ void product(Sums& sums, const u8* tiles, const u8* states, int stride,
                                        const int* columns, int count, int lane) {
    int ahead = columns[0];
    Rows rows = load_rows(tiles + ahead * TILE, lane);
    for (int k = 0; k < count; k++) {
        const int column = ahead;
        ahead = columns[min(k + 1, count - 1)];
        const Rows next = load_rows(tiles + ahead * TILE, lane);
#pragma unroll
        for (int n = 0; n < SPAN; n++)
            multiply<LOW>(sums[n], rows, states + 8 * n * stride + BLOCK * column);
        rows = next;
    }
}

// The new states (bytes) of four neurons in these states, and by how much 2 E changes.
__device__ __forceinline__ u32 new_states(const Given& a, const int* twice, const int* gaps, u32 old,
                                          int chain, int at, u32 neuron, int sweep, i64& doubled) {
    u32 x = 0, most = 0;
    int at_z[4];
#pragma unroll
    for (int k = 0; k < 4; k++) {
        at_z[k] = twice[k] + gaps[k];
        most = max(most, open_key(at_z[k]));
        if (at_z[k] >= 0) x |= 2u << 8 * k;
    }
    const i64 from = heat_at(a, chain, sweep);
    const i32 width = heat_of(a.heats[from]).width;
    if (is_open(most, width)) {
#pragma unroll
        for (int k = 0; k < 4; k++) {
            if (!is_open(open_key(at_z[k]), width)) continue;
            Visit visit = {a.seed, (a.sweep0 + sweep) | a.names[chain], neuron + k,
                           a.scales[from], a.rest[at + k]};
            if (settle(visit, a.rests[at + k], at_z[k], old >> 8 * k & 2)) x |= 2u << 8 * k;
        }
    }
    if (ENERGIES) {
        const u32 flipped = x ^ old;
#pragma unroll
        for (int k = 0; k < 4; k++)
            if (flipped >> 8 * k & 2) doubled += x >> 8 * k & 2 ? -(i64)twice[k] : (i64)twice[k];
    }
    return x;
}

// The flips of a block of 64: a byte for four neurons, the changed ones low, the states high.
__device__ __forceinline__ u64 gather(uint4 v, int shift) {
    const u32 word[4] = {v.x, v.y, v.z, v.w};
    u64 found = 0;
#pragma unroll
    for (int k = 0; k < 4; k++) {
        u32 w = word[k] >> shift & 0x0F0F0F0Fu;
        w = (w | w >> 4) & 0x00FF00FFu;
        found |= (u64)((w | w >> 8) & 0xFFFFu) << 16 * k;
    }
    return found;
}

// How many flips there are in one.
__device__ __forceinline__ int count_in(uint4 v) {
    const u32 low = 0x0F0F0F0Fu;
    return __popc(v.x & low) + __popc(v.y & low) + __popc(v.z & low) + __popc(v.w & low);
}

// What a thread block knows of its chains' events, in shared memory: [CHAINS], counts twice, before
// and after a layer.
struct Tallies {
    u64 counts[2][CHAINS], totals[CHAINS], last[CHAINS];
};

// A thread tells of block number `block` of a layer, of a chain.
__device__ __forceinline__ void tell_block(Tallies& tallies, int parity, const Given& a,
                                           const Layer& layer, const u8* flips, int block, int chain,
                                           int share, u64 sweep) {
    Tally tally = {tallies.counts[parity][chain], 0, 0};
    const u8* mine = flips + layer.place / 4;
    for (int b = 0; b < block; b++) tally.count += count_in(*(const uint4*)(mine + 16 * b));
    const uint4 v = *(const uint4*)(mine + 16 * block);
    const u64 neuron = layer.neuron + BLOCK * block;
    tell<SHARES, DIGEST>(tally, {gather(v, 0), gather(v, 4)}, share, sweep * a.neurons + neuron,
                         neuron);
    if (DIGEST) atomicAdd(&tallies.totals[chain], tally.total);
    if (share) return;
    atomicMax(&tallies.last[chain], tally.last);
    if (BLOCK * (block + 1) >= layer.size) tallies.counts[parity ^ 1][chain] = tally.count;
}

// The changes of 2 E of the chains of a warp's tiles, added up and begun anew.
__device__ __forceinline__ void add_energies(i64 (*energy)[2], i64* changes, int group, int lane) {
#pragma unroll
    for (int n = 0; n < SPAN; n++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
            i64 sum = energy[n][e];
#pragma unroll
            for (int k = 4; k < 32; k <<= 1) sum += __shfl_xor_sync(0xFFFFFFFFu, sum, k);
            const int c = 8 * (SPAN * group + n) + 2 * (lane & 3) + e;
            if (lane < 4) atomicAdd((u64*)&changes[c], (u64)sum);
            energy[n][e] = 0;
        }
}

extern "C" __global__ void __launch_bounds__(32 * WARPS, 1)
sweep_layers(GIVEN_PARAMETERS, const Layer* layers, const int* columns, int count) {
    const Given a = GIVEN;
    extern __shared__ __align__(16) u8 shared[];
    const int stride = a.size % 128 ? a.size : a.size + 64, row = a.size / 4 + 16;
    u8* const twos = shared;                    // [CHAINS][stride], twice the states
    u8* const flips = shared + CHAINS * stride;  // [CHAINS][row]: see `gather`
    i64* const changes = (i64*)(flips + CHAINS * row);  // [CHAINS] of 2 E
    Tallies& tallies = *(Tallies*)(changes + CHAINS);
    const int thread = threadIdx.x, warp = thread >> 5, lane = thread & 31;
    const int g = lane >> 2, t = lane & 3;
    const int first_chain = blockIdx.x * CHAINS;

    load_states(a, twos, stride, first_chain);
    for (int k = thread; k < CHAINS * row / 16; k += 32 * WARPS)
        ((uint4*)flips)[k] = make_uint4(0, 0, 0, 0);
    for (int c = thread; c < CHAINS; c += 32 * WARPS) {
        changes[c] = 0;
        tallies.counts[0][c] = tallies.counts[1][c] = a.counts[first_chain + c];
        tallies.totals[c] = 0;
        tallies.last[c] = a.last[first_chain + c];
    }
    __syncthreads();

    i64 energy[SPAN][2] = {};  // the change of 2 E by this thread's neurons, in this sweep
    const int total = a.sweeps * count;
    int l = 0, sweep = 0, before = count - 1;
    for (int it = 0; it <= total; it++) {
        const Layer layer = layers[l];
        // Tiles first, then blocks of the layer before.
        const Layer told = layers[before];
        const int tiles_here = it < total ? (layer.size + 31) / 32 * GROUPS : 0;
        const int units = tiles_here + (it ? (told.size + BLOCK - 1) / BLOCK * BATCHES : 0);
        for (int u = warp; u < units; u += WARPS) {
            if (u >= tiles_here) {
                const int unit = u - tiles_here;
                const int c = unit % BATCHES * 32 + lane / SHARES;
                tell_block(tallies, it & 1, a, told, flips + c * row, unit / BATCHES, c,
                           lane % SHARES, a.sweep0 + sweep - (l == 0));
                continue;
            }
            const int tile = u / GROUPS, group = warp % GROUPS;  // of u, too
            const int at = layer.place + 32 * tile + 4 * g;
            const u32 neuron = layer.neuron + 32 * tile + 4 * g;
            const u8* tiles = a.tiles + (i64)(layer.place / 32 + tile) * (a.size / BLOCK) * TILE;
            const u8* x = twos + (8 * SPAN * group + g) * stride + 16 * t;
            Sums sums = {};
            if (layer.until > layer.from) {
                const int* list = columns + layer.from;
                const int tall = layer.until - layer.from;
                product<false>(sums, tiles, x, stride, list, tall, lane);
                if (PLANES == 2) {
#pragma unroll
                    for (int k = 0; k < 8 * SPAN; k++) ((int*)sums)[k] *= 256;
                    product<true>(sums, tiles + (i64)a.size * a.size, x, stride, list, tall,
                                  lane);
                }
            }
            const int4 bias = *(const int4*)(a.biases + at);
            const float4 rests = *(const float4*)(a.rests + at);
            const int twice[4] = {bias.x, bias.y, bias.z, bias.w};
#pragma unroll
            for (int n = 0; n < SPAN; n++) {
                int gaps[2][4], chain[2];
                u32 old[2];
                const int c = 8 * (SPAN * group + n) + 2 * t;
#pragma unroll
                for (int e = 0; e < 2; e++) {
                    chain[e] = first_chain + c + e;
                    old[e] = *(const u32*)(twos + (c + e) * stride + at);
                }
                draw_fours<2>(gaps, a, chain, at, neuron, sweep, rests, old);
#pragma unroll
                for (int e = 0; e < 2; e++) {
                    int z[4];
#pragma unroll
                    for (int k = 0; k < 4; k++) z[k] = sums[n][k >> 1][2 * (k & 1) + e] + twice[k];
                    const u32 now = new_states(a, z, gaps[e], old[e], chain[e], at, neuron,
                                               sweep, energy[n][e]);
                    *(u32*)(twos + (c + e) * stride + at) = now;
                    flips[(c + e) * row + at / 4] = nibble(now ^ old[e]) | nibble(now) << 4;
                }
            }
        }
        __syncthreads();
        before = l;
        if (++l == count) {
            if (ENERGIES && it < total) {
                add_energies(energy, changes, warp % GROUPS, lane);
                __syncthreads();
                if (thread < CHAINS)
                    a.energies[sweep * a.chains + first_chain + thread] =
                        a.doubled[first_chain + thread] + changes[thread];
                __syncthreads();
            }
            l = 0, sweep++;
        }
    }
    if (thread < CHAINS) {
        const int chain = first_chain + thread;
        a.counts[chain] = tallies.counts[(total + 1) & 1][thread];
        a.totals[chain] += tallies.totals[thread];
        a.last[chain] = tallies.last[thread];
        if (ENERGIES) a.doubled[chain] += changes[thread];
    }
    store_states(a, twos, stride, first_chain);
}
