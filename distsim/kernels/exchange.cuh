// exchange: what ranks tell each other, a header and a log. It has no twin: on a CPU the ranks'
// communicator gathers. A replay adds to its rank's log the events that came and those that went,
// compared with the replay before: after the first one they are few. What came grows from the log's
// start, what went from its end.
#pragma once
#include "control.cuh"

// Where the exchange left the headers and logs.
enum Source { OWN, GATHERED, PEER };

struct Told {
    u64 header[MOST_RANKS * HEADER];
    i64 start[2][2 * MOST_RANKS + 1];  // of the spans of a part
};

// Parts of all logs, each as one list: what came, by rank, then what went.
enum Part { LATEST, UNORDERED };  // not yet in the sums of tickets; not yet in order

// 16-byte words {low, tag, high, tag} need no fence: a reader polls until both tags are right.
__device__ __forceinline__ void put(u64* word, u64 value, u32 tag) {
    asm volatile("st.volatile.global.v4.u32 [%0], {%1, %2, %3, %2};" ::"l"(word),
                 "r"((u32)value), "r"(tag), "r"((u32)(value >> 32))
                 : "memory");
}

__device__ __forceinline__ u64 get(const u64* word, u32 tag) {
    u32 low, first, high, second, polls = 0;
    i64 since = 0;
    do {
        asm volatile("ld.volatile.global.v4.u32 {%0, %1, %2, %3}, [%4];"
                     : "=r"(low), "=r"(first), "=r"(high), "=r"(second)
                     : "l"(word)
                     : "memory");
        if (lost(polls, since)) return 0;
    } while (first != tag || second != tag);
    return (u64)high << 32 | low;
}

// Words in a rank's area: two headers in turn, and the log, from each rank.
__device__ __forceinline__ u64* area_of(int rank, int from) {
    return C.peers[rank] + 2 * from * (2 * HEADER + C.log_capacity);
}
__device__ __forceinline__ u64* header_in(int rank, int from, i64 epoch, int k) {
    return area_of(rank, from) + 2 * ((epoch & 1) * HEADER + k);
}
__device__ __forceinline__ u64* log_in(int rank, int from, i64 place) {
    return area_of(rank, from) + 2 * (2 * HEADER + place);
}

// An event into this rank's log.
__device__ __forceinline__ void tell(const State* s, i64 place, u64 event, bool peers) {
    if (place < 0 || place >= C.log_capacity) return;  // the header tells
    if (!peers) C.out[HEADER + place] = event;
    else
        for (int rank = 0; rank < (int)C.ranks; rank++)
            put(log_in(rank, (int)C.rank, place), event, (u32)s->tag);
}

__device__ __forceinline__ u64 told(const State* s, Source source, int rank, i64 place) {
    if (source == OWN) return C.out[HEADER + place];
    if (source == GATHERED) return C.gathered[rank * (HEADER + C.log_capacity) + HEADER + place];
    return get(log_in((int)C.rank, rank, place), (u32)s->tag);
}

// By the last block of a phase, before its header: what a replay has found.
__device__ __forceinline__ void sum_up(State* s) {
    if (s->stage != REPLAY) return;
    read_findings(s);
    __syncthreads();
    if (threadIdx.x == 0) take_over(s);
    __syncthreads();
}

// By the last block of a phase: this rank's header to all.
__device__ __forceinline__ void put_header(State* s) {
    sum_up(s);
    for (int k = threadIdx.x; k < C.ranks * HEADER; k += THREADS)
        put(header_in(k / HEADER, (int)C.rank, s->epoch, k % HEADER), header_word(s, k % HEADER),
            (u32)(s->epoch + 1));
}

// All ranks' headers into shared memory; by all threads of a block.
__device__ __noinline__ void receive_headers(const State* s, Source source, Told& a) {
    if (source == OWN && threadIdx.x == 0) {
#pragma unroll
        for (int k = 0; k < HEADER; k++) a.header[k] = header_word(s, k);
    }
    for (int k = threadIdx.x; source != OWN && k < C.ranks * HEADER; k += THREADS) {
        int rank = k / HEADER, word = k % HEADER;
        if (source == GATHERED) a.header[k] = C.gathered[rank * (HEADER + C.log_capacity) + word];
        else a.header[k] = get(header_in((int)C.rank, rank, s->epoch, word), (u32)(s->epoch + 1));
    }
    __syncthreads();
}

__device__ inline Headers combined(const Told& a) {
    Headers all = nothing_told();
    for (int rank = 0; rank < (int)C.ranks; rank++) include(all, a.header + rank * HEADER);
    return all;
}

// A mark of what came, for span `rank`, or of what went, for span C.ranks + rank.
__device__ __forceinline__ i64 marked(const Told& a, int span, Heading mark) {
    int ranks = (int)C.ranks;
    return span < ranks ? came(a.header[span * HEADER + mark])
                        : went(a.header[(span - ranks) * HEADER + mark]);
}
__device__ __forceinline__ i64 begins(const Told& a, int span, Part part) {
    return marked(a, span, part == LATEST ? BEFORE : ORDERED);
}

// By two threads of a block, while thread 0 decides: where the spans of both parts start.
__device__ __forceinline__ void make_lists(Told& a) {
    if (threadIdx.x != 32 && threadIdx.x != 64) return;
    Part part = threadIdx.x == 32 ? LATEST : UNORDERED;
    i64 start = 0;
    for (int span = 0; span < 2 * (int)C.ranks; span++) {
        a.start[part][span] = start;
        start += marked(a, span, NOW) - begins(a, span, part);
    }
    a.start[part][2 * C.ranks] = start;
}

// How many events of a part came; and how many it has.
__device__ __forceinline__ i64 new_events(const Told& a, Part part) {
    return a.start[part][C.ranks];
}
__device__ __forceinline__ i64 length(const Told& a, Part part) {
    return a.start[part][2 * C.ranks];
}

// Event k of a part.
__device__ __forceinline__ u64 listed(const State* s, const Told& a, Source source, Part part,
                                      i64 k) {
    int span = 0, ranks = (int)C.ranks;
    while (k >= a.start[part][span + 1]) span++;
    i64 place = begins(a, span, part) + k - a.start[part][span];
    if (span < ranks) return told(s, source, span, place);
    return told(s, source, span - ranks, C.log_capacity - 1 - place);
}
