"""The digest of a run: equal digests, equal event streams and end states.

    mix(h)    h ^= h >> 30; h *= 0xBF58476D1CE4E5B9; h ^= h >> 27; h *= 0x94D049BB133111EB;
              h ^= h >> 31                                       (splitmix64's finaliser)
    event k   mix(mix(bits(time_k) + k * 0x9E3779B97F4A7C15) + 2 * neuron_k + state_k)
    neuron i  mix(i * 0x9E3779B97F4A7C15 + 1 + x_i)              (state at the end of the run)
    digest    the sum of all of these modulo 2^64, as 16 hexadecimal digits

All on unsigned 64-bit words; bits() are the bits of a float64; k and i count from 0. A sum does
not depend on who adds up, so that ranks and devices can share the work. From an output file:

    time, neuron, state = (f["/events/" + name][:] for name in ("time", "neuron", "state"))
    digest.of(time, neuron, state, f["/state/final"][:])

The digest of several chains is the sum, modulo 2^64, of

    chain r   mix(digest_r + r * 0x9E3779B97F4A7C15)    (digest_r: of replica r alone)

and so is that of their observables.

Observables have a digest of their own, over all values of all their datasets (`of_values`):

    value k   mix(bits(value_k) + k * 0x9E3779B97F4A7C15 + name)

name: BLAKE2b of the dataset's name, 8 bytes, as a little-endian word.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.kernels.record import GOLDEN, MIX_FIRST, MIX_SECOND


def of(
    time: NDArray[np.float64],
    neuron: NDArray[np.int64],
    state: NDArray[np.uint8],
    final: NDArray[np.uint8],
) -> str:
    """The digest of events (float64[K], int64[K], uint8[K]) and a final state (uint8[N])."""
    return text(of_events(time, neuron, state) + of_state(final))


def of_events(
    time: NDArray[np.float64], neuron: NDArray[np.int64], state: NDArray[np.uint8], before: int = 0
) -> int:
    """The part of the digest that events make; `before`: how many events came before them."""
    index = np.arange(before, before + len(time), dtype=np.uint64)
    words = _mix(np.ascontiguousarray(time, np.float64).view(np.uint64) + index * GOLDEN)
    words = _mix(words + (2 * neuron + state).astype(np.uint64))
    return int(words.sum(dtype=np.uint64))


def of_state(final: NDArray[np.uint8]) -> int:
    """The part of the digest that the final state makes."""
    index = np.arange(len(final), dtype=np.uint64)
    return int(_mix(index * GOLDEN + np.uint64(1) + final).sum(dtype=np.uint64))


def of_biases(bias: NDArray[np.int64], rest: NDArray[np.float64], first: int) -> int:
    """What a rank's biases add to the digest of a network: int64[n] and float64[n], from neuron
    `first` on (see shard.py)."""
    index = np.arange(first, first + len(bias), dtype=np.uint64)
    words = _mix(bias.view(np.uint64) + index * GOLDEN)
    return int(_mix(words + (rest + 0.0).view(np.uint64)).sum(dtype=np.uint64))


def of_values(name: str, values: NDArray[Any], before: int = 0) -> int:
    """The part of the digest of observables that a dataset's values make, in C order; `before`: how
    many came before them. Integers count as words, float64 by its bits."""
    flat = np.ascontiguousarray(values).reshape(-1)
    bits = flat.view(np.uint64) if flat.dtype == np.float64 else flat.astype(np.uint64)
    index = np.arange(before, before + flat.size, dtype=np.uint64)
    salt = hashlib.blake2b(name.encode(), digest_size=8).digest()
    words = _mix(bits + index * GOLDEN + np.uint64(int.from_bytes(salt, "little")))
    return int(words.sum(dtype=np.uint64))


def of_chains(totals: Mapping[int, int]) -> int:
    """The digest of several chains, by replica, of those of each."""
    words = np.array([total % 2**64 for total in totals.values()], np.uint64)
    words += np.array(list(totals), np.uint64) * GOLDEN
    return int(_mix(words).sum(dtype=np.uint64))


def text(total: int) -> str:
    return f"{total % 2**64:016x}"


def _mix(h: NDArray[np.uint64]) -> NDArray[np.uint64]:
    h = (h ^ (h >> np.uint64(30))) * MIX_FIRST
    h = (h ^ (h >> np.uint64(27))) * MIX_SECOND
    return h ^ (h >> np.uint64(31))
