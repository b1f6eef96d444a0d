"""Columns added to z: exact sums, bounds and marks on the way; where a response crosses the cap."""

import random

import numpy as np
import plain
import pytest
from numpy.typing import NDArray
from plain import Event, Part

from distsim.kernels.apply import PASS, Marks, accumulate, adjust, apply, crossing
from distsim.kernels.replay import Bounds
from distsim.kernels.tickets import SLOT_KIND

WIDTHS = (8, 16, 32)
COUNTS = (0, 1, 4, 5, 11, 12, 13, 24, 28, 41)  # around what is added in a pass, or singly


def case(dice: random.Random, bits: int, count: int) -> tuple[Part, list[Event]]:
    """Some cache lines of neurons and a rest, or less than one."""
    size = dice.choice([0, 1, 7, 64, 131])
    part = plain.part(dice, bits, neurons=size + 5, size=size)
    part.weights[0][0] = 1 - 2 ** (bits - 1)  # the largest magnitude that there is
    made = [Event(k + 1, dice.randrange(size + 5), dice.randrange(2)) for k in range(count)]
    return part, made


def room(part: Part) -> tuple[NDArray[np.int64], Bounds]:
    end, high, low = (part.numbers([0] * part.size) for _ in range(3))
    return end, Bounds(high, low)


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("count", COUNTS)
def test_sums_are_exact(bits: int, count: int) -> None:
    for seed in range(4):
        part, events = case(random.Random(f"sums {bits} {count} {seed}"), bits, count)
        z = part.numbers(part.z)
        accumulate(part.columns(), plain.words(events), z)
        assert z.tolist() == part.after(events)


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("count", COUNTS)
def test_bounds_hold_on_the_way_and_marks_are_before_each_pass(bits: int, count: int) -> None:
    for seed in range(3):
        dice = random.Random(f"bounds {bits} {count} {seed}")
        part, events = case(dice, bits, count)
        held = dice.sample(range(part.size), dice.randint(0, min(5, part.size)))
        slots = np.zeros(len(held), SLOT_KIND)
        slots["neuron"] = held
        values = np.zeros((-(-count // PASS), len(held)), np.int64)
        marks = Marks(plain.words(events), values, np.zeros(count, np.int64))
        end, bounds = room(part)
        z = part.numbers(part.z)
        apply(part.columns(), z, end, tuple(bounds), slots, tuple(marks), part.first)
        assert z.tolist() == part.z
        assert end.tolist() == part.after(events)
        for k in range(len(values)):
            before = part.after(events[: k * PASS])
            assert values[k].tolist() == [before[i] for i in held]
        for k, event in enumerate(events):
            i = event.neuron - part.first
            if 0 <= i < part.size:
                first = k - k % PASS
                moved = part.after(events[:k])[i] - part.after(events[:first])[i]
                assert marks.inside[k] == moved
        check(part, events, bounds, slack=PASS)


def check(part: Part, events: list[Event], bounds: Bounds, *, slack: int) -> None:
    """Bounds hold, and are as tight as they are said to be."""
    high, low = part.extremes(events)
    for bound, extreme in zip(bounds.high.tolist(), high, strict=True):
        assert extreme <= bound <= extreme + slack
    for bound, extreme in zip(bounds.low.tolist(), low, strict=True):
        assert extreme - slack <= bound <= extreme


@pytest.mark.parametrize("bits", WIDTHS)
def test_few_changes_are_added_and_many_are_only_told(bits: int) -> None:
    for seed in range(30):
        dice = random.Random(f"adjust {bits} {seed}")
        part, before = case(dice, bits, dice.choice([0, 3, 20]))
        after = [event for event in before if dice.random() < 0.8]
        after += [Event(99 + k, dice.randrange(len(part.weights)), 1) for k in range(seed % 7)]
        wanted = plain.difference(before, after)
        most = dice.choice([len(wanted) - 1, len(wanted)])
        high, low = part.extremes(before)
        end = part.numbers(part.after(before))
        bounds = Bounds(part.numbers(high), part.numbers(low))
        columns = part.columns()
        given = plain.words(before), plain.words(after)
        changes = adjust(columns, *given, most, end, tuple(bounds))
        assert sorted(plain.events(changes)) == sorted(wanted)
        if most < len(wanted):
            assert end.tolist() == part.after(before)
            assert (bounds.high.tolist(), bounds.low.tolist()) == (high, low)
            continue
        assert end.tolist() == part.after(after)
        zero = Part(part.weights, part.first, [0] * part.size, part.x, bits)
        moves = [zero.after([change]) for change in wanted]
        up = [sum(max(0, m) for m in mine) for mine in zip(*moves, strict=True)] or [0] * len(high)
        down = [sum(min(0, m) for m in mine) for mine in zip(*moves, strict=True)] or [0] * len(low)
        for i in range(part.size):
            assert high[i] + up[i] <= bounds.high[i] <= high[i] + up[i] + len(wanted)
            assert low[i] + down[i] - len(wanted) <= bounds.low[i] <= low[i] + down[i]


@pytest.mark.parametrize("bits", WIDTHS)
def test_the_first_event_that_lifts_a_response_above_the_cap(bits: int) -> None:
    found = set()
    for seed in range(80):
        dice = random.Random(f"crossing {bits} {seed}")
        part = plain.part(dice, bits)
        states = {i: dice.randrange(2) for i in range(9)}
        states.update({part.first + i: x for i, x in enumerate(part.x)})
        start = dict(states)
        events = []
        for tick in range(1, dice.choice([1, 15])):
            neuron = dice.randrange(9)
            states[neuron] = 1 - states[neuron]
            events.append(Event(tick, neuron, states[neuron]))
        clamped = sorted(dice.sample(range(part.size), dice.choice([0, 0, part.size // 2])))
        drives = []  # the largest s z of the local neurons that are free after each event
        for k, event in enumerate(events):
            start[event.neuron] = event.state
            z = part.after(events[: k + 1])
            x = [start[part.first + i] for i in range(part.size)]
            free = [i for i in range(part.size) if i not in clamped]
            drives.append(max(-z[i] if x[i] else z[i] for i in free))
        # At the cap is not above it; a clamped neuron may be above it.
        cap = dice.choice([*drives, max(drives, default=0) - 1])
        wanted = next((k for k, drive in enumerate(drives) if drive > cap), len(events))
        high, low = part.extremes(events)
        bounds = part.numbers(high), part.numbers(low)
        held = np.array(clamped, np.int64)
        assert crossing(tuple(part.local()), plain.words(events), bounds, cap, held) == wanted
        found.add("none" if wanted == len(events) else "some")
    assert found == {"none", "some"}
