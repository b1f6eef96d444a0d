// The kernels of `relax`: rounds of replay, exchange, merge, apply or draw. Either three kernels
// with NCCL's all-gather between the first two, captured in a CUDA graph, or one resident kernel
// that exchanges through peer memory. Every round does what `State.stage` says is next.
#include "apply.cuh"
#include "merge.cuh"

extern __shared__ __align__(16) char shared[];

// Not done, not halted, and room for the events of the last window where the host takes them.
__device__ __forceinline__ bool at_work(const volatile State* s) {
    if (s->finished || s->halted) return false;
    bool records = s->stage == DRAW && s->record;
    return !records || s->ring_head + s->recorded - s->ring_tail <= C.ring_capacity;
}

__device__ __noinline__ void phase_apply(i64 block, i64 blocks) {
    phase_apply<COLUMN_BYTES, !BOLTZMANN>(block, blocks, shared);
}

// Charge the time since the last phase to a stage.
__device__ inline void stamp(volatile State* s, i64 stage) {
    i64 now;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
    s->spent[stage] = s->spent[stage] + now - s->stamp;
    s->stamp = now;
}

// ------------------------------------------------------------------------------ one launch a phase
// True on thread 0 of the block that is the last to come here: it sees what all blocks have done.
__device__ inline bool last_one() {
    __syncthreads();
    if (threadIdx.x) return false;
    __threadfence();
    if (atomicAdd((u64*)&C.state->arrivals, 1ull) != gridDim.x - 1) return false;
    C.state->arrivals = 0;
    __threadfence();
    return true;
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) replay() {
    volatile State* s = C.state;
    if (!at_work(s)) return;
    i64 stage = s->stage;
    if (stage == REPLAY) phase_replay(blockIdx.x, gridDim.x, false);
    if (stage == TRIM && blockIdx.x == 0) phase_trim();
    if (!last_one()) return;
    if (stage == TRIM) control_trim(s);
    for (int k = 0; k < 7; k++) C.out[k] = header_word(s, k);
    stamp(s, stage);
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) merge() {
    __shared__ Arrivals a;
    volatile State* s = C.state;
    if (!at_work(s)) return;
    i64 stage = s->stage;
    if (stage != REPLAY && stage != AGREE) return;
    Source source = C.ranks == 1 ? OWN : GATHERED;
    receive_headers(source, a);
    if (stage == REPLAY) phase_merge(blockIdx.x, gridDim.x, source, a, (u64*)shared);
    if (!last_one()) return;
    if (stage == REPLAY) control_merge(s, combined(a));
    else control_agree(s, combined(a));
    s->rounds = s->rounds + 1;
    stamp(s, AGREE);
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) apply() {
    volatile State* s = C.state;
    if (!at_work(s)) return;
    i64 stage = s->stage;
    if (stage == APPLY) phase_apply(blockIdx.x, gridDim.x);
    else if (stage == DRAW) phase_draw(blockIdx.x, gridDim.x, false);
    else return;
    if (!last_one()) return;
    if (stage == APPLY) control_apply(s);
    else control_draw(s, REPLAY);
    stamp(s, stage);
}

// ---------------------------------------------------------------------------- one resident kernel
__device__ __forceinline__ i64 acquire(const i64* word) {
    i64 value;
    asm volatile("ld.acquire.gpu.global.u64 %0, [%1];" : "=l"(value) : "l"(word) : "memory");
    return value;
}

__device__ __forceinline__ void release(i64* word, i64 value) {
    asm volatile("st.release.gpu.global.u64 [%0], %1;" ::"l"(word), "l"(value) : "memory");
}

// All blocks wait for each other; the last one's thread 0 decides what comes next.
template <typename Control>
__device__ __forceinline__ void meet(i64& generation, Control control) {
    generation++;
    if (last_one()) {
        control();
        __threadfence();
        release(&C.state->generation, generation);
    } else if (threadIdx.x == 0) {
        int spins = 0;
        while (acquire(&C.state->generation) < generation)
            if (++spins > SPINS) {
                atomicOr((u64*)&C.state->halted, (u64)LOST_RANK);
                break;
            }
    }
    __syncthreads();
}

// All ranks' headers, through peer memory: no block waits for its neighbours, only for the words.
__device__ inline void exchange(Arrivals& a) {
    volatile State* s = C.state;
    i64 epoch = s->epoch;
    if (last_one())
        for (int rank = 0; rank < C.ranks; rank++)
            for (int k = 0; k < HEADER; k++)
                put(area_of(rank, epoch, (int)C.rank), k, header_word(s, k), (u32)(epoch + 1));
    receive_headers(PEER, a);
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) resident(i64 rounds) {
    __shared__ Arrivals a;
    volatile State* s = C.state;
    i64 generation = s->generation, block = blockIdx.x, blocks = gridDim.x;
    bool peers = C.ranks > 1;
    // Every block reads the state before any can pass the first meeting, and changes none of it.
    for (i64 round = 0; round < rounds && at_work(s); round++) {
        i64 stage = s->stage;
        switch (stage) {
            case REPLAY:
                phase_replay(block, blocks, peers);
                if (!peers) {
                    meet(generation, [&] {
                        for (int k = 0; k < 7; k++) C.out[k] = header_word(s, k);
                        stamp(s, REPLAY);
                    });
                    receive_headers(OWN, a);
                } else {
                    exchange(a);
                }
                phase_merge(block, blocks, peers ? PEER : OWN, a, (u64*)shared);
                meet(generation, [&] {
                    control_merge(s, combined(a));
                    s->epoch = s->epoch + 1;
                    s->rounds = s->rounds + 1;
                    stamp(s, AGREE);
                });
                break;
            case AGREE:
                exchange(a);
                meet(generation, [&] {
                    control_agree(s, combined(a));
                    s->epoch = s->epoch + 1;
                    s->rounds = s->rounds + 1;
                    stamp(s, AGREE);
                });
                break;
            case TRIM:
                if (block == 0) phase_trim();
                meet(generation, [&] { control_trim(s); });
                break;
            case APPLY:
                phase_apply(block, blocks);
                meet(generation, [&] {
                    control_apply(s);
                    stamp(s, APPLY);
                });
                break;
            default:
                phase_draw(block, blocks, false);
                meet(generation, [&] {
                    control_draw(s, REPLAY);
                    stamp(s, DRAW);
                });
        }
    }
}

// The first window, from the largest s z of all ranks; or the same window again, with more room.
extern "C" __global__ void begin(i64 top, i64 again) {
    volatile State* s = C.state;
    s->halted = s->overflow = s->slots = s->tickets = 0;
    s->commit = s->record = s->finishing = 0;
    if (!again) open_window(s, top);
    s->early = s->last_pass = s->cut = s->count = 0;
    s->stage = DRAW;
    i64 now;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
    s->stamp = now;
}
