// The kernels of `relax`, the twin of engines/relax.py: rounds of replay, exchange, order, apply or
// draw. Either one kernel a round with NCCL's all-gather between, captured in a CUDA graph, or one
// resident kernel that exchanges through peer memory. Every round does what `State.stage` says is
// next. All blocks of a kernel are resident at once: they meet between the phases of a round.
#include "apply.cuh"
#include "order.cuh"
#include "replay.cuh"

extern __shared__ __align__(16) char shared[];

__device__ __noinline__ void phase_apply(const State* s, i64 block, i64 blocks) {
    phase_apply<COLUMN_BYTES, !BOLTZMANN>(s, block, blocks, shared);
}

__device__ __forceinline__ i64 acquire(const i64* word) {
    i64 value;
    asm volatile("ld.acquire.gpu.global.u64 %0, [%1];" : "=l"(value) : "l"(word) : "memory");
    return value;
}

// All blocks wait for each other; what they found is read.
__device__ __forceinline__ void meet(State* s) {
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        s->goal += gridDim.x;
        atomicAdd((u64*)&C.live->met, 1ull);
        u32 polls = 0;
        for (i64 since = 0; acquire(&C.live->met) < s->goal;)
            if (lost(polls, since)) {
                s->halted = LOST_RANK;
                break;
            }
    }
    if (threadIdx.x < 32) {
        __syncwarp();
        read_findings(s);
    }
    __syncthreads();
}

// After a phase: meet, and decide what comes next, all blocks alike.
template <typename Control>
__device__ __forceinline__ void conclude(State* s, i64 stage, Control control) {
    meet(s);
    if (threadIdx.x == 0) {
        take_over(s);
        control();
        next_turn(s);
        charge(s, stage);
    }
    __syncthreads();
}

// After an exchange: decide likewise, from what all ranks told. Peers' blocks do not meet: up to
// the next `meet` a slot's memory is touched by one block only, and the logs are polled.
__device__ __forceinline__ void take_up(State* s, Told& a, Source source) {
    receive_headers(s, source, a);
    make_lists(a);
    if (threadIdx.x == 0) {
        const u64* own = a.header + C.rank * HEADER;
        s->now = own[NOW];
        s->slots = own[ROOM] & 0xFFFFFFFFull;
        s->tickets = own[ROOM] >> 32;
        s->made = s->new_slots = s->new_tickets = s->new_overflow = 0;
        s->heard = 1;
        if (s->stage == REPLAY) control_replay(s, combined(a));
        else control_exchange(s, combined(a));
        s->epoch++;
        next_turn(s);
        charge(s, EXCHANGE);
    }
    __syncthreads();
}

// The phases for which a rank needs no other, up to the next exchange.
__device__ __forceinline__ void go_on(State* s, Told& a, Source source, i64 block, i64 blocks) {
    while (at_work(s)) {
        switch (s->stage) {
            case ORDER:
                phase_order(s, block, blocks, source, a, (u64*)shared);
                conclude(s, ORDER, [&] { control_order(s, combined(a)); });
                break;
            case TRIM:
                if (block == 0) phase_trim(s);
                conclude(s, TRIM, [&] { control_trim(s); });
                break;
            case APPLY:
                phase_apply(s, block, blocks);
                conclude(s, APPLY, [&] { control_apply(s); });
                break;
            case DRAW:
                phase_draw(s, block, blocks, false);
                conclude(s, DRAW, [&] { control_draw(s, REPLAY); });
                break;
            default:
                return;
        }
    }
}

// One round: first what the exchange brought, which follows each launch that ends at REPLAY or
// EXCHANGE.
extern "C" __global__ void __launch_bounds__(THREADS, RELAX_BLOCKS) one_round() {
    __shared__ Told a;
    __shared__ State state;
    State* s = &state;
    read_state(s);
    if (!at_work(s)) return;
    i64 block = blockIdx.x, blocks = gridDim.x;
    Source source = C.ranks == 1 ? OWN : GATHERED;
    if (s->stage == REPLAY || s->stage == EXCHANGE) take_up(s, a, source);
    go_on(s, a, source, block, blocks);
    if (at_work(s) && s->stage == REPLAY)
        phase_replay(s, block, blocks, source, a, (u64*)shared, false);
    if (!last_block()) return;
    sum_up(s);
    if (threadIdx.x < HEADER) C.out[threadIdx.x] = header_word(s, threadIdx.x);
    if (threadIdx.x == 0) charge(s, REPLAY);
    write_state(s);
}

extern "C" __global__ void __launch_bounds__(THREADS, RELAX_BLOCKS) resident(i64 rounds) {
    __shared__ Told a;
    __shared__ State state;
    State* s = &state;
    read_state(s);
    i64 block = blockIdx.x, blocks = gridDim.x;
    Source source = C.ranks == 1 ? OWN : PEER;
    int words = (int)C.ranks * HEADER;
    for (int k = threadIdx.x; k < words; k += THREADS) a.header[k] = C.gathered[k];  // heard last
    __syncthreads();
    make_lists(a);
    __syncthreads();
    bool again = false;
    for (i64 round = 0; round < rounds; round++) {
        again = again && s->stage == REPLAY;
        go_on(s, a, source, block, blocks);
        if (!at_work(s)) break;
        if (s->stage == REPLAY) phase_replay(s, block, blocks, source, a, (u64*)shared, again);
        else if (last_block()) put_header(s);
        again = s->stage == REPLAY;
        if (source == OWN) {
            meet(s);
            if (threadIdx.x == 0) take_over(s);
        }
        if (threadIdx.x == 0) charge(s, REPLAY);
        take_up(s, a, source);
    }
    // The state is the same in all blocks, but for who was given up for lost.
    if (block == 0) {
        if (threadIdx.x == 0 && C.live->lost) s->halted |= LOST_RANK;
        for (int k = threadIdx.x; k < words; k += THREADS) C.gathered[k] = a.header[k];
        write_state(s);
    }
}

// The first window, from the largest s z of all ranks; or the same window again, with more room.
extern "C" __global__ void begin(i64 top, i64 again) {
    State* s = C.state;
    s->halted = s->overflow = s->slots = s->tickets = 0;
    s->new_slots = s->new_tickets = s->new_overflow = 0;
    s->commit = s->record = s->finishing = 0;
    if (!again) open_window(s, C, top);
    begin_window(s);
    s->made = 0;
    s->stage = DRAW;
    Live* live = C.live;
    live->digest = s->digest;
    live->last = s->last;
    live->lost = 0;
    for (int k = 0; k < 3; k++) clear(live->findings + k);
    s->stamp = nanoseconds();
}
