"""Philox 4x32-10: a random number is a function of its name, never of a sequence.

    word[0..3] = philox(key = seed, counter = (c0, c1, c2, c3))

Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC11; the reference
implementation is Random123. No rank, thread, local index or launch shape enters a counter, so that
every draw is the same on any number of ranks and on every device. `kernels/philox.cuh` is the twin
of this file.

The registry of draws: the last counter word is `ticket << 8 | purpose`. Windows and steps are
counted in 48 bits; the 16 above them, of c2, are the replica of the chain, so that chains of one
seed have nothing in common (`replica_bits`); so are those of STATE's c2.

| purpose | c0 | c1, c2 | words |
|---|---|---|---|
| TICKET | neuron | window | 0, 1: level; 2, 3: time |
| FIRST  | neuron >> 2 | window | word neuron & 3: high half of the level of ticket 0 |
| UPDATE | neuron | step | 0, 1: the uniform of an update of the random scan |
| VISIT  | 0 | step | 0, 1: which neuron a random scan visits |
| STATE  | neuron >> 2 | 0 | word neuron & 3: the initial state |
| WEIGHT | i >> 2 | j, 0 | two Box-Muller pairs: weights onto i..i+3 from j |
| WEIGHT, SYNAPSE | q >> 1 | source | words 2 (q & 1), and 1 more: target and weight of synapse q |
| WEIGHT, GAP | block << 13, g >> 1 | source | words 2 (g & 1), and 1 more: gap g, weight after it |
| WEIGHT, TYPE | stratum | 0 | 0: which of its neurons is inhibitory |
| WEIGHT, KEY | q | 0 | the key of pairing q |
| WEIGHT, PAIR | q | pair | 0: its weight |
| PATTERN | neuron >> 2 | pattern, 0 | word neuron & 3: a random pattern |
| SWAP   | lower rung | round | 0, 1: the uniform of a swap of temperatures |
| SWEEP  | neuron >> 2 | sweep | word neuron & 3: half the uniform of a sequential scan's update |

Of SWEEP ticket 0 has the high halves and ticket 1 the low ones. Sweep number s are the steps from
s N on; where N is no multiple of four the last draw of a sweep has words that no one takes.
"""

import numpy as np
from numba import njit

REPLICA_SHIFT = 48  # of a replica in the number of a window or step
TICKET, FIRST, UPDATE, VISIT, STATE, WEIGHT, PATTERN, SWAP, SWEEP = range(9)
SYNAPSE, GAP, TYPE, KEY, PAIR = range(1, 6)  # tickets of WEIGHT: kernels/synapses.py, pairings.py
_MASK = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_M0 = np.uint64(0xD2511F53)
_M1 = np.uint64(0xCD9E8D57)
_W0 = np.uint64(0x9E3779B9)
_W1 = np.uint64(0xBB67AE85)


@njit(inline="always")
def philox(seed, c0, c1, c2, c3):
    """Four random words, each a uint64 below 2^32, from a 64-bit key and four 32-bit counters.

    All arguments are uint64 (counters below 2^32), so that every operation is exact.
    """
    k0 = seed & _MASK
    k1 = seed >> _HALF
    for _ in range(10):
        p0 = _M0 * c0
        p1 = _M1 * c2
        c0 = (p1 >> _HALF) ^ c1 ^ k0
        c1 = p1 & _MASK
        c2 = (p0 >> _HALF) ^ c3 ^ k1
        c3 = p0 & _MASK
        k0 = (k0 + _W0) & _MASK
        k1 = (k1 + _W1) & _MASK
    return c0, c1, c2, c3


def replica_bits(replica: int) -> int:
    """What the numbers of a replica's windows and steps are joined with (|), as an int64."""
    bits = replica << REPLICA_SHIFT
    return bits - (1 << 64) if bits >> 63 else bits


@njit(inline="always")
def draw(seed, neuron, count, ticket, purpose):
    """The words of one named draw; `count` is a window, step or sweep, and whose (64 bits)."""
    n = np.uint64(count)
    last = (np.uint64(ticket) << np.uint64(8)) | np.uint64(purpose)
    return philox(np.uint64(seed), np.uint64(neuron), n & _MASK, n >> _HALF, last)


@njit(inline="always")
def word_of(words, k):
    """Word number k of a draw."""
    a, b, c, d = words
    return a if k == 0 else b if k == 1 else c if k == 2 else d
