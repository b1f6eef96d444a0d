"""The window rule: how much of the chain is relaxed at a time, and where a window ends.

    target = the power of two nearest to 4 sqrt(M), at least 16 and at most 1024,
    M = N min(1, 0.4 / c),   c = mean|W| sqrt(N) / (2 tau)

events a window are aimed at: c is how strongly the inputs of a neuron move its log rate. With more
events their tickets depend on more of each other, and rounds multiply; with fewer what is done once
a window weighs more: a draw for every neuron, an exchange. The width is a power of two that follows
the number of events of the last window. It depends on nothing else: not on the number of ranks, on
buffers, on the device or on the rounds that were needed. (A window of a BM only cuts its steps, so
that its longest is free.) Its arithmetic: `kernels/window.py`.
"""

import math
from typing import NamedTuple

import numpy as np

from distsim.kernels.events import NO_EVENT

SMALLEST_TARGET, LARGEST_TARGET = 16, 1024


def target_events(neurons: int, strength: float, tau: float) -> int:
    """Events a window to aim at, from N, mean |W| and the temperature."""
    moved = strength * math.sqrt(neurons)
    moving = float(neurons) if moved <= 0.8 * tau else neurons * 0.8 * tau / moved
    events = max(4.0 * math.sqrt(moving), 1.0)
    return int(min(max(2 ** round(math.log2(events)), SMALLEST_TARGET), LARGEST_TARGET))


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
