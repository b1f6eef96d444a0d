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

// All blocks wait for each other; what they gathered is read.
__device__ __forceinline__ void meet(State* s) {
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        s->goal += gridDim.x;
        atomicAdd((u64*)&C.live->arrivals, 1ull);
        for (int spins = 0; acquire(&C.live->arrivals) < s->goal;)
            if (++spins > SPINS) {
                C.live->lost = 1;
                s->halted = LOST_RANK;
                break;
            }
    }
    __syncthreads();
    read_gathered(s);
}

// After a phase: meet, and decide what comes next, all blocks alike.
template <typename Control>
__device__ __forceinline__ void conclude(State* s, Control control) {
    meet(s);
    if (threadIdx.x == 0) {
        take_over(s);
        control();
        s->turn++;
        if (blockIdx.x == 0) clear(C.live->gathered + (s->turn + 1) % 3);
    }
    __syncthreads();
}

// All ranks' headers, through peer memory: no block waits for its neighbours, only for the words.
__device__ inline void exchange(State* s, Arrivals& a) {
    i64 epoch = s->epoch;
    if (last_block()) {
        if (s->stage == REPLAY) read_gathered(s);
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
    conclude(s, [&] {
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
                conclude(s, [&] { control_trim(s); });
                break;
            case APPLY:
                phase_apply(s, block, blocks);
                conclude(s, [&] {
                    control_apply(s);
                    stamp(s, APPLY);
                });
                break;
            case DRAW:
                phase_draw(s, block, blocks, false);
                conclude(s, [&] {
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
    if (at_work(s) && s->stage == REPLAY) phase_replay(s, block, blocks, false);
    if (!last_block()) return;
    if (s->stage == REPLAY) read_gathered(s);
    if (threadIdx.x < HEADER) C.out[threadIdx.x] = header_word(s, threadIdx.x);
    if (threadIdx.x == 0) stamp(s, REPLAY);
    write_state(s);
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
        if (!at_work(s)) break;
        if (s->stage == REPLAY) phase_replay(s, block, blocks, peers);
        if (peers) {
            exchange(s, a);
        } else {
            meet(s);
            receive_headers(s, OWN, a);
        }
        if (threadIdx.x == 0) stamp(s, REPLAY);
        take_up(s, a, peers ? PEER : OWN, block, blocks);
    }
    // The state is the same in all blocks, but for who was given up for lost.
    if (block == 0) {
        if (threadIdx.x == 0 && C.live->lost) s->halted |= LOST_RANK;
        write_state(s);
    }
}

// The first window, from the largest s z of all ranks; or the same window again, with more room.
extern "C" __global__ void begin(i64 top, i64 again) {
    State* s = C.state;
    s->halted = s->overflow = s->slots = s->tickets = 0;
    s->new_slots = s->new_tickets = s->new_overflow = 0;
    s->commit = s->record = s->finishing = 0;
    if (!again) open_window(s, top);
    s->early = s->last_pass = s->cut = s->count = 0;
    s->changes = -1;
    s->stage = DRAW;
    Live* live = C.live;
    live->digest = s->digest;
    live->last = s->last;
    live->lost = 0;
    for (int k = 0; k < 3; k++) clear(live->gathered + k);
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(s->stamp));
}
