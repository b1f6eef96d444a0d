"""What a walk through an MPM's windows goes by, and the room that it works in."""

from typing import Any, NamedTuple

import numpy as np

from distsim.kernels.mcculloch_pitts import BINS
from distsim.kernels.meeting import Places
from distsim.kernels.memory import aligned
from distsim.kernels.window import Course

LANES = 4  # draws are made in vectors, filled up to a multiple of so many
TABLES = 16  # widths for which bounds of first tickets are kept
_NO_TABLE = 1 << 40  # no width's exponent


class Rule(NamedTuple):
    """What the windows of an MPM follow from: seed: uint64; replica: its bits; the course of its
    conditions; rest: float64[n], of the bias; clamped: int64[c], rising, of the local neurons, the
    first of which is `first`; diagonal: int[n], W[i, i]; spread: of weights, in units: it decides
    speed only; places: where the ranks meet."""

    seed: Any
    replica: int
    course: Course
    rest: Any
    clamped: Any
    first: int
    diagonal: Any
    spread: float
    places: Places


class Here(NamedTuple):
    """A window: its number, with its replica's bits; binary exponent of its width; scale: 2 tau in
    weight units; cap on s z; end: the event word from which on it has no tickets; most: events;
    margin: tickets are drawn up to so much above s z, so that few are drawn one by one."""

    number: int
    exponent: int
    scale: float
    cap: int
    end: Any
    most: int
    margin: int


class Motion(NamedTuple):
    """The network in motion: y = z - c: int[n]; c: int[n]; x: uint8[n]."""

    y: Any
    c: Any
    x: Any


class Next(NamedTuple):
    """The first ticket not drawn of each neuron: its number (int32[n], -1: only a bound on its
    threshold is known), level, threshold without the rest of the bias: float64[n]; event word:
    uint64[n]."""

    depth: Any
    level: Any
    theta: Any
    key: Any


class Queue(NamedTuple):
    """Room for the tickets of a window: event words, uint64; thresholds by state, int64[..., 2];
    who comes when, int64; those that were looked at before their time, int64 (`waiting.py`)."""

    key: Any
    threshold: Any
    order: Any
    ahead: Any


class Lanes(NamedTuple):
    """Draws side by side: neuron, need: int64; depth, word, key: uint64; level, theta: float64.
    word: of ticket 0, the high half of its level. crossed: neurons whose y changed its sign."""

    neuron: Any
    depth: Any
    word: Any
    need: Any
    level: Any
    theta: Any
    key: Any
    crossed: Any


class Tickets(NamedTuple):
    """What tickets are drawn from and into: words: uint32[n + 8], `first_word` of each neuron,
    after up to three of neurons before the first."""

    words: Any
    following: Next
    lanes: Lanes
    queue: Queue


class Tables(NamedTuple):
    """What stays from window to window: bounds of first tickets, by the exponent of a width and its
    scale. flags: uint8[n], to work in."""

    exponents: Any
    scales: Any
    bounds: Any
    flags: Any


def make_tables(n: int, kind: Any) -> Tables:
    """For n neurons with z of this integer type."""
    return Tables(
        exponents=np.full(TABLES, _NO_TABLE),
        scales=np.zeros(TABLES),
        bounds=np.empty((TABLES, BINS), kind),
        flags=np.empty(n, np.uint8),
    )


def make_tickets(n: int, room: int) -> Tickets:
    """Of n neurons, with room for so many in the queue."""
    lanes = n + LANES
    words = (np.int64, np.uint64, np.uint64, np.int64, np.float64, np.float64, np.uint64, np.int64)
    return Tickets(
        np.empty(n + 8, np.uint32),
        Next(np.empty(n, np.int32), np.empty(n), np.empty(n), np.empty(n, np.uint64)),
        Lanes(*(aligned((lanes,), word) for word in words)),
        make_queue(room),
    )


def make_queue(room: int) -> Queue:
    return Queue(
        np.empty(room, np.uint64),
        np.empty((room, 2), np.int64),
        np.empty(room, np.int64),
        np.empty(room, np.int64),
    )
