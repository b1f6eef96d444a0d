// The kernels of `relax`: rounds of replay, exchange, merge, apply or draw. Either one kernel a
// round with NCCL's all-gather between, captured in a CUDA graph, or one resident kernel that
// exchanges through peer memory. Every round does what `State.stage` says is next. All blocks of
// a kernel are resident at once: they meet between the phases of a round.
#include "apply.cuh"
#include "merge.cuh"

extern __shared__ __align__(16) char shared[];

__device__ __noinline__ void phase_apply(const State* s, i64 block, i64 blocks) {
    phase_apply<COLUMN_BYTES, !BOLTZMANN>(s, block, blocks, shared);
}

__device__ __forceinline__ i64 acquire(const i64* word) {
    i64 value;
    asm volatile("ld.acquire.gpu.global.u64 %0, [%1];" : "=l"(value) : "l"(word) : "memory");
    return value;
}

__device__ __forceinline__ void release(i64* word, i64 value) {
    asm volatile("st.release.gpu.global.u64 [%0], %1;" ::"l"(word), "l"(value) : "memory");
}

// All blocks wait for each other, and for what the last one does; what its thread 0 does `after`
// is seen from the next meeting on.
template <typename Action, typename After>
__device__ __forceinline__ void meet(State* s, Action action, After after) {
    i64 generation = s->generation;  // of this meeting; the next is known once it is over
    if (last_block()) {
        action();
        if (threadIdx.x == 0) {
            release(&C.state->generation, generation + 1);
            after();
        }
    } else if (threadIdx.x == 0) {
        for (int spins = 0; acquire(&C.state->generation) == generation;)
            if (++spins > SPINS) {
                atomicOr((u64*)&C.state->halted, (u64)LOST_RANK);
                break;
            }
    }
    __syncthreads();
    read_state(s);
}

template <typename Control>
__device__ __forceinline__ void meet_deciding(State* s, Control control) {
    meet(s, [&] { decide(s, control); }, [] {});
}

// All ranks' headers, through peer memory: no block waits for its neighbours, only for the words.
__device__ inline void exchange(State* s, Arrivals& a) {
    i64 epoch = s->epoch;
    if (last_block()) {
        read_state(s);
        for (int k = threadIdx.x; k < C.ranks * HEADER; k += THREADS)
            put(area_of(k / HEADER, epoch, (int)C.rank), k % HEADER, header_word(s, k % HEADER),
                (u32)(epoch + 1));
    }
    receive_headers(s, PEER, a);
}

// What all ranks do with what they exchanged.
__device__ __forceinline__ void take_up(State* s, Arrivals& a, Source source, i64 block,
                                        i64 blocks) {
    bool replayed = s->stage == REPLAY;
    if (replayed) phase_merge(s, block, blocks, source, a, (u64*)shared);
    meet_deciding(s, [&] {
        if (replayed) control_merge(s, combined(a));
        else control_agree(s, combined(a));
        s->epoch++;
        s->rounds++;
        stamp(s, AGREE);
    });
}

// The phases for which a rank needs no other, up to the next exchange.
__device__ __forceinline__ void go_on(State* s, i64 block, i64 blocks) {
    while (at_work(s)) {
        switch (s->stage) {
            case TRIM:
                if (block == 0) phase_trim(s);
                meet_deciding(s, [&] { control_trim(s); });
                break;
            case APPLY:
                phase_apply(s, block, blocks);
                meet_deciding(s, [&] {
                    control_apply(s);
                    stamp(s, APPLY);
                });
                break;
            case DRAW:
                phase_draw(s, block, blocks, false);
                meet_deciding(s, [&] {
                    control_draw(s, REPLAY);
                    stamp(s, DRAW);
                });
                break;
            default:
                return;
        }
    }
}

// One round: first what the exchange brought (it follows each launch that ends at REPLAY or AGREE).
extern "C" __global__ void __launch_bounds__(THREADS, 2) one_round() {
    __shared__ Arrivals a;
    __shared__ State state;
    State* s = &state;
    read_state(s);
    if (!at_work(s)) return;
    i64 block = blockIdx.x, blocks = gridDim.x;
    if (s->stage == REPLAY || s->stage == AGREE) {
        Source source = C.ranks == 1 ? OWN : GATHERED;
        receive_headers(s, source, a);
        take_up(s, a, source, block, blocks);
    }
    go_on(s, block, blocks);
    if (!at_work(s)) return;
    if (s->stage == REPLAY) phase_replay(s, block, blocks, false);
    if (!last_block()) return;
    read_state(s);
    if (threadIdx.x < HEADER) C.out[threadIdx.x] = header_word(s, threadIdx.x);
    if (threadIdx.x == 0) stamp(C.state, REPLAY);
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) resident(i64 rounds) {
    __shared__ Arrivals a;
    __shared__ State state;
    State* s = &state;
    read_state(s);
    i64 block = blockIdx.x, blocks = gridDim.x;
    bool peers = C.ranks > 1;
    for (i64 round = 0; round < rounds; round++) {
        go_on(s, block, blocks);
        if (!at_work(s)) return;
        if (s->stage == REPLAY) phase_replay(s, block, blocks, peers);
        if (peers) {
            exchange(s, a);
        } else {
            meet(s, [] {}, [&] { stamp(C.state, REPLAY); });
            receive_headers(s, OWN, a);
        }
        take_up(s, a, peers ? PEER : OWN, block, blocks);
    }
}

// The first window, from the largest s z of all ranks; or the same window again, with more room.
extern "C" __global__ void begin(i64 top, i64 again) {
    State* s = C.state;
    s->halted = s->overflow = s->slots = s->tickets = 0;
    s->commit = s->record = s->finishing = 0;
    if (!again) open_window(s, top);
    s->early = s->last_pass = s->cut = s->count = 0;
    s->changes = -1;
    s->stage = DRAW;
    i64 now;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
    s->stamp = now;
}
