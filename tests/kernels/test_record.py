"""Events as a user sees them: columns, digest and times, against whole numbers and fractions."""

import random
import struct
from fractions import Fraction

import numpy as np
import plain
import pytest
from plain import Event

from distsim.kernels.record import event_times, unpack

GOLDEN = 0x9E3779B97F4A7C15


def mixed(h: int) -> int:
    h = (h ^ h >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    h = (h ^ h >> 27) * 0x94D049BB133111EB % 2**64
    return h ^ h >> 31


def made(dice: random.Random, count: int) -> list[Event]:
    ticks = sorted(dice.randint(1, 2**40) for _ in range(count))
    return [Event(tick, dice.randrange(2**22), dice.randrange(2)) for tick in ticks]


@pytest.mark.parametrize("position", [0, 3, 2**40])
@pytest.mark.parametrize("start", [0, 5])
def test_events_are_unpacked_and_added_up(position: int, start: int) -> None:
    dice = random.Random(position + start)
    events = made(dice, 20)
    times = np.array(sorted(dice.expovariate(1.0) for _ in events))
    time, neuron, state = np.full(30, -1.0), np.full(30, -1), np.full(30, 9, np.uint8)
    total = unpack(plain.words(events), times, position, start, time, neuron, state)
    wanted = 0
    for k, (event, moment) in enumerate(zip(events, times.tolist(), strict=True)):
        (bits,) = struct.unpack("<Q", struct.pack("<d", moment))
        word = mixed((bits + (position + k) * GOLDEN) % 2**64)
        wanted += mixed((word + 2 * event.neuron + event.state) % 2**64)
    assert int(total) == wanted % 2**64
    rest = 10 - start
    assert time.tolist() == [-1.0] * start + times.tolist() + [-1.0] * rest
    assert neuron.tolist() == [-1] * start + [event.neuron for event in events] + [-1] * rest
    assert state.tolist() == [9] * start + [event.state for event in events] + [9] * rest


@pytest.mark.parametrize(("tick", "offset"), [(2.0**-45, -0.5), (1.0, 0.0)])
@pytest.mark.parametrize(("high", "low"), [(0.0, 0.0), (3.0, 2.0**-60), (2.0**45, -(2.0**-9))])
def test_times_count_ticks_from_the_start_of_the_window(
    tick: float, offset: float, high: float, low: float
) -> None:
    """To the last place of a double: rounded twice, in `low` and at last."""
    events = made(random.Random(7), 30)
    times = np.empty(30)
    event_times(plain.words(events), high, low, tick, offset, times)
    for event, time in zip(events, times.tolist(), strict=True):
        exact = Fraction(high) + Fraction(low) + (event.tick + Fraction(offset)) * Fraction(tick)
        assert abs(Fraction(time) - exact) <= Fraction(np.spacing(time))
    assert (np.diff(times) >= 0).all()
