"""The compiled parts of the walk: a column pushed, the tickets at a window's start, the visits."""

import math
from typing import Any

import numpy as np
import plain
import pytest

from distsim.kernels import walk_room
from distsim.kernels.boltzmann import Scan
from distsim.kernels.dense import make_columns
from distsim.kernels.events import to_threshold
from distsim.kernels.mcculloch_pitts import largest_response, level_threshold, ticket
from distsim.kernels.meeting import make_places, room_of
from distsim.kernels.philox import replica_bits
from distsim.kernels.walk import Ends, Log
from distsim.kernels.walk_draws import make_visits
from distsim.kernels.walk_room import Here, Rule, make_tables, make_tickets
from distsim.kernels.walk_tickets import begin
from distsim.kernels.walk_visits import Motion, walk_visits
from distsim.kernels.walk_window import push
from distsim.kernels.window import Course, width_and_cap

ALONE = make_places(np.zeros(room_of(1), np.uint64), 1, 0)
KINDS: list[tuple[type[Any], type[Any]]] = [
    (np.int8, np.int32),
    (np.int16, np.int32),
    (np.int32, np.int64),
    (np.int8, np.int64),
]


@pytest.mark.parametrize(("weight", "kind"), KINDS)
@pytest.mark.parametrize("neurons", [1, 7, 63, 64, 65, 127, 128, 200])
def test_a_push_adds_a_column_and_finds_the_signs_that_change(
    weight: type[Any], kind: type[Any], neurons: int
) -> None:
    random = np.random.default_rng(neurons)
    largest = np.iinfo(weight).max
    for up in (True, False):
        for scale in (1, 1000):  # signs change at most neurons, at few
            w = random.integers(-largest, largest + 1, neurons).astype(weight)
            y = (random.integers(-100, 100, neurons) * scale).astype(kind)
            y[::5] = 0
            wanted = y + w.astype(kind) * (1 if up else -1)
            crossed = np.empty(neurons + 1, np.int64)
            before = y.copy()
            found = push(y, w, up, w, up, crossed)
            np.testing.assert_array_equal(y, wanted)
            np.testing.assert_array_equal(
                crossed[:found], np.flatnonzero((before < 0) != (wanted < 0))
            )


@pytest.mark.parametrize("kind", [np.int32, np.int64])
@pytest.mark.parametrize("margin", [0, 2**40, 300])
@pytest.mark.parametrize(("scale", "first"), [(37.0, 0), (300.0, 7)])
def test_tickets_that_are_reached_are_in_the_queue_by_time(
    kind: type[Any], margin: int, scale: float, first: int
) -> None:
    random = np.random.default_rng(3)
    n, seed = 83, np.uint64(12345)
    z = random.integers(-500, 500, n).astype(kind)
    x = random.integers(0, 2, n).astype(np.uint8)
    rest = random.uniform(-0.5, 0.5, n)
    clamped = np.array([4, 5, 40])
    exponent, cap = width_and_cap(largest_response(z, x, clamped), 3, scale)
    end = np.uint64(3 * 2**38 << 23)  # three quarters of the window
    here = Here(7, exponent, scale, min(cap, 2**30 - 1), end, 64, margin)
    motion = walk_room.Motion(z.copy(), np.empty(n, kind), x)
    tickets = make_tickets(n, 1)
    course = Course(np.array([0.0, np.inf]), np.array([scale]), np.array([16]))
    rule = Rule(seed, 0, course, rest, clamped, first, z, 1.0, ALONE)
    tables = make_tables(n, kind)
    while True:
        count = begin(rule, here, motion, tables, tickets)
        if count >= 0:
            break
        tickets = make_tickets(n, 2 * tickets.queue.key.size)
        motion.y[:] = z
    np.testing.assert_array_equal(motion.y + motion.c, z)
    queue = tickets.queue
    order = queue.order[:count]
    keys = queue.key[order]
    assert (keys[1:] >= keys[:-1]).all()
    held = {(int(queue.key[t]), *map(int, queue.threshold[t])): True for t in order.tolist()}
    assert len(held) == count > 20
    for i in range(n):
        level, k = 0.0, 0
        sz = int(-z[i] if x[i] else z[i])
        b = int(1 - motion.c[i] if x[i] else motion.c[i])
        if i in clamped:
            assert b == 2**30 if kind is np.int32 else 2**61
            continue
        while True:
            step, key = ticket(seed, here.number, first + i, k)
            level += step
            theta = level_threshold(level, exponent, scale)
            low = int(to_threshold(theta - abs(rest[i])))
            word = (
                int(key),
                int(to_threshold(theta - rest[i])),
                int(to_threshold(theta + rest[i])),
            )
            if key < end:
                if word not in held:
                    break
                del held[word]
            elif low > b or low > sz + margin:
                break
            k += 1
        assert sz < low
        assert sz < b <= min(low, here.cap + 1)
        assert b == min(low, here.cap + 1) or k == 0
    assert not held  # each ticket was one of a neuron's first


@pytest.mark.parametrize("scale", [1e-12, 3.0, 2.0**20, 2.0**40])
@pytest.mark.parametrize("neurons", [1, 6, 250, 1100])
def test_a_sweep_decides_by_its_tickets_however_near_z_is(neurons: int, scale: float) -> None:
    """Without weights, at the least z that leads to state 1, one below it and one above it."""
    seed, replica, sweep = 2**40 + 5, 3, 2**20 + 1
    rest = np.random.default_rng(neurons).uniform(-0.5, 0.5, neurons)
    held = np.zeros(neurons, np.bool_)
    scan = Scan(np.uint64(seed), replica_bits(replica), neurons, True, 0, neurons, held)
    course = Course(np.array([0.0, np.inf]), np.array([scale]), np.array([16]))
    columns, visits = make_columns(neurons, neurons, 32), make_visits()
    columns[:] = 0
    log = Log(np.empty(neurons, np.uint64), np.empty(neurons), np.empty(neurons, np.int64))
    uniforms = [
        plain.updating(seed, sweep + (replica << 48), i, 1, sequential=True) for i in range(neurons)
    ]
    least = [
        plain.threshold(scale * (math.log(u) - math.log1p(-u)) - own)
        for u, own in zip(uniforms, rest.tolist(), strict=True)
    ]
    clock = sweep * neurons, float(sweep * neurons), 0.0, 20
    for above in (-1, 0, 1):
        x = np.zeros(neurons, np.uint8)
        motion = Motion(columns, np.array(least) + above, x, rest, held, 0, ALONE)
        ends = Ends(1, math.inf, 1)
        _, made, *_ = walk_visits(scan, course, neurons, motion, clock, ends, visits, log)
        assert made == int(x.sum()) == (neurons if above >= 0 else 0)
