"""The window rule: how much of the chain is relaxed at a time, and where a window ends.

    target = the power of two nearest to 4 N sqrt(M / k), at least 16 and at most 1024,
    M = min(1, 0.4 / c),   c = sum|W| / (N sqrt(k) 2 tau)

events a window are aimed at, of k weights a neuron: c is how strongly the inputs of a neuron move
its log rate. With more events their tickets depend on more of each other, and rounds multiply; with
fewer what is done once a window weighs more: a draw for every neuron, an exchange. Of more than
N^2 / 4 weights, or of up to 4096 neurons, k counts as N. Of fewer there may be up to N / 4 events:
most have nothing to do with each other. The rule is of the matrix, however it is held.

The width is a power of two that follows the number of events of the last window. It depends on
nothing else: not on the number of ranks, on buffers, on the device or on the rounds that were
needed. (A window of a BM only cuts its steps, so that its longest is free.) Its arithmetic:
`kernels/window.py`.
"""

import math
from typing import NamedTuple

import numpy as np

from distsim.kernels.events import NO_EVENT

SMALLEST_TARGET, LARGEST_TARGET = 16, 1024
RULE = 2  # its version: the first was the same for all matrices


def few_weights(neurons: int, connections: int) -> bool:
    """Whether windows are longer since so few weights of so many neurons are not zero."""
    return 4 * connections <= neurons**2 and neurons > 4 * LARGEST_TARGET


def largest_target(neurons: int, *, few: bool) -> int:
    """A power of two."""
    return int(2 ** ((neurons // 4).bit_length() - 1)) if few else LARGEST_TARGET


def target_events(neurons: int, connections: int, strength: float, tau: float) -> int:
    """Events a window to aim at, from N, how many weights are not zero, mean |W| and tau."""
    few = few_weights(neurons, connections)
    spread = math.sqrt(neurons**2 / max(1, connections)) if few else 1.0  # sqrt(N / k)
    moved = strength * math.sqrt(neurons) * spread
    moving = float(neurons) if moved <= 0.8 * tau else neurons * 0.8 * tau / moved
    events = max(4.0 * math.sqrt(moving) * spread, 1.0)
    largest = largest_target(neurons, few=few)
    return int(min(max(2 ** round(math.log2(events)), SMALLEST_TARGET), largest))


class Window(NamedTuple):
    """What a law and an engine need to know of one window.

    number: counts windows (MPM) or is the first step (BM); exponent: its width is 2^exponent in
    time (MPM) or `steps` steps (BM); most: it ends right after so many events; cap: it ends right
    after the event that lifts some s z above this (MPM; the largest integer for a BM); change: it
    ends at this time, where conditions change (MPM; inf for one that is not cut), and its tickets
    lie before the event word `end`.
    """

    number: int
    exponent: int
    steps: int
    most: int
    cap: int
    change: float = math.inf
    end: np.uint64 = NO_EVENT
