"""Pairings of neurons that are a function of a key: permutations, whose neighbours are partners.

A neuron is (above, across) in a rectangle of `height` x `width` that hardly exceeds N. Both parts
are moved in turn by a word of the other (Luby, Rackoff 1988), again where that leaves N (Black,
Rogaway 2002); places 2 m and 2 m + 1 are a pair.
"""

import numpy as np
from numba import njit

from distsim.kernels.philox import KEY, WEIGHT, draw, word_of

_ROUNDS = 4
_HALF = np.uint64(32)


@njit(inline="always")
def part(word, size):
    """A random integer below `size` of a word."""
    return np.int64((word * np.uint64(size)) >> _HALF)


@njit(cache=True)
def partner(key, above, across, n, height, width):
    """The partner of a neuron in the pairing of a key, uint32[4], n or more if it has none; and its
    own place."""
    a, b = _permuted(key, above, across, height, width)
    while a * width + b >= n:
        a, b = _permuted(key, a, b, height, width)
    place = a * width + b
    other = place ^ 1
    if other >= n:
        return other, place  # the last one of an odd number
    b += other - place
    if b < 0:
        a, b = a - 1, width - 1
    elif b == width:
        a, b = a + 1, np.int64(0)
    a, b = _restored(key, a, b, height, width)
    while a * width + b >= n:
        a, b = _restored(key, a, b, height, width)
    return a * width + b, place


@njit(inline="always")
def _permuted(key, a, b, height, width):
    """The place of a neuron, or a step on the way there."""
    for r in range(0, _ROUNDS, 2):
        a += part(_mixed(b, key[r]), height)
        a -= height if a >= height else 0
        b += part(_mixed(a, key[r + 1]), width)
        b -= width if b >= width else 0
    return a, b


@njit(inline="always")
def _restored(key, a, b, height, width):
    """The way back."""
    for r in range(_ROUNDS - 2, -1, -2):
        b -= part(_mixed(a, key[r + 1]), width)
        b += width if b < 0 else 0
        a -= part(_mixed(b, key[r]), height)
        a += height if a < 0 else 0
    return a, b


@njit(inline="always")
def _mixed(value, key):
    """A word of a number and a key (Appleby's finalizer of MurmurHash3)."""
    mask = np.uint64(0xFFFFFFFF)
    h = np.uint64(value) ^ np.uint64(key)
    h = ((h ^ (h >> np.uint64(16))) * np.uint64(0x85EBCA6B)) & mask
    h = ((h ^ (h >> np.uint64(13))) * np.uint64(0xC2B2AE35)) & mask
    return h ^ (h >> np.uint64(16))


@njit(cache=True)
def pairing_keys(seed, synapses):
    """uint32[k, 4], the keys of as many pairings."""
    keys = np.empty((synapses, _ROUNDS), np.uint32)
    for q in range(synapses):
        for r in range(_ROUNDS):
            keys[q, r] = word_of(draw(seed, q, 0, KEY, WEIGHT), r)
    return keys
