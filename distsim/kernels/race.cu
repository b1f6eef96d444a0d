// The kernel of `race`, the twin of kernels/race.py and engines/race.py: one launch and one
// all-reduce(min) a transition, in a CUDA graph. Shares draw, the window rule and the record with
// `relax`, and nothing of how events are found.
#include "draw.cuh"

// The reduced words: the earliest arrival of all ranks (NO_EVENT: none in this window; 0: the
// window must end), and the largest s z, counted down from the largest integer.
enum Word { EARLIEST, HIGHEST };

__device__ __forceinline__ u64 from_top(i64 top) { return 0x7FFFFFFFFFFFFFFFull - (u64)top; }
__device__ __forceinline__ i64 to_top(u64 word) { return (i64)(0x7FFFFFFFFFFFFFFFull - word); }

// The window ends after its `most`-th event, the run after its last.
__device__ inline void append(State* s, u64 event) {
    C.events[s->parity][s->count++] = event;
    s->replays++;
    s->applies++;
    bool full = !BOLTZMANN && s->count == s->most;
    if (full) s->early = 1;
    if (full || s->transitions + s->count == C.limit) s->stage = CLOSE;
}

extern "C" __global__ void __launch_bounds__(THREADS, RACE_BLOCKS) race() {
    __shared__ State state;
    State* s = &state;
    read_state(s);
    if (!at_work(s)) return;
    i64 stage = s->stage, thread = (i64)blockIdx.x * THREADS + threadIdx.x;
    i64 threads = (i64)gridDim.x * THREADS;
    u64 word = C.gathered[EARLIEST];
    bool beyond = false;
    if (stage == STEP && word != 0 && word != NO_EVENT && C.timed) {
        Times of = window_times(s);
        beyond = time_of(word, of.high, of.low, of.tick, of.offset) > C.until;
    }
    bool event = stage == STEP && word != 0 && word != NO_EVENT && !beyond;
    if (stage == DRAW) phase_draw(s, blockIdx.x, gridDim.x, true);
    if (stage == SEARCH || event) {
        z_t* z = C.z[s->current];
        i64 top = -(i64)LIMIT, j = neuron_of(word);
        u64 best = NO_EVENT;
        const weight_t* w = column(C.columns, j);
        for (i64 i = thread; i < C.size; i += threads) {
            u8 byte = C.x[i];
            i64 total = z[i];
            if (event) {
                i64 before = total;
                total += sign_of(word) * (i64)w[i];
                z[i] = (z_t)total;
                if (C.first + i == j) {
                    if (C.changes) *kept_change(s, s->count) = (u64)doubled_by(before, w[i], word);
                    byte = (u8)((byte & X_BEFORE) | (word & 1) * (X_START | X_END));
                    C.x[i] = byte;
                }
            }
            i64 sz = byte & X_START ? -total : total;
            top = max(top, sz);
#if !BOLTZMANN
            if (stage == SEARCH) C.slot_of[i] = -1;
            if (sz > s->cap) best = 0;
            else if (best && sz >= (i64)C.bound[i])
                best = min(best, earliest_arrival(s, i, byte & X_START, sz,
                                                 event ? word & ~1ull : 0));
#endif
        }
        top = warp_max(top);
        best = warp_min(best);
        if ((threadIdx.x & 31) == 0) {
            if (top > s->top) atomicMax(&C.state->top, top);
            if (best < s->best) atomicMin(&C.state->best, best);
        }
    }
    if (!last_block()) return;
#if BOLTZMANN  // all z are known now
    if (stage == SEARCH || event) {
        u64 best = warp_min(earliest_visit(s, event ? word : 0, threadIdx.x, THREADS));
        if ((threadIdx.x & 31) == 0) atomicMin(&C.state->best, best);
        __syncthreads();
    }
#endif
    read_state(s);
    if (threadIdx.x == 0) {
        s->digest = C.live->digest;
        s->last = C.live->last;
        if (stage == DRAW) {
            control_draw(s, SEARCH);
            s->best = NO_EVENT;
        } else if (stage == CLOSE || (stage == STEP && !event)) {
            if (stage == STEP) s->early = word == 0;
            close_window(s, to_top(C.gathered[HIGHEST]));
        } else {
            s->stage = STEP;
            if (event) append(s, word);
            C.out[EARLIEST] = s->best;
            C.out[HIGHEST] = from_top(s->top);
            s->best = NO_EVENT;
            s->top = -(i64)LIMIT;
        }
    }
    write_state(s);
}
