"""Visits, their neurons and tickets, and the race over them, against plain Python."""

import math
import random

import numpy as np
import plain
import pytest
from numpy.typing import NDArray
from plain import Event, Ticket
from scipy import stats

from distsim.kernels.boltzmann import Scan, earliest_visit, visited, visits
from distsim.kernels.events import NO_EVENT
from distsim.laws.tickets import Tickets

SEED = 2**40 + 5


def neuron(step: int, neurons: int, sequential: bool) -> int:
    if sequential:
        return step % neurons
    high, low, _, _ = plain.draw(SEED, 0, step, 0, plain.VISIT)
    return (high * plain.WORD + low) * neurons // 2**64


def logit(step: int, i: int, sequential: bool) -> float:
    u = plain.updating(SEED, step, i, 20, sequential)
    return math.log(u) - math.log1p(-u)


def test_a_sequential_scan_visits_all_and_a_random_one_uniformly() -> None:
    seed = np.uint64(SEED)
    found = [visited(seed, 0, step, 7) for step in range(7000)]
    assert found == [neuron(step, 7, False) for step in range(7000)]
    assert stats.chisquare(np.bincount(found, minlength=7)).pvalue > 1e-6


def scanned(
    tickets: Tickets,
    sequential: bool,
    temperature: float,
    rest: NDArray[np.float64],
    *,
    start: int,
    steps: int,
    clamped: NDArray[np.bool_] | None = None,
) -> list[Ticket]:
    """The tickets of so many steps that visit neurons 5 to 5 + n of 20."""
    held = np.zeros(rest.size, np.bool_) if clamped is None else clamped
    scan = Scan(np.uint64(SEED), 0, 20, sequential, 5, rest.size, held)
    source = temperature, rest
    tickets.fill(visits, tuple(scan), source, start, steps)
    slots, drawn, order = tickets.drawn
    assert tickets.room.tickets.size >= steps
    assert order.tolist() == list(range(drawn.size))
    found = []
    for key, slot, (up, down) in drawn.tolist():
        assert key % 2 == 0
        found.append(Ticket(key >> 23, (key >> 1) % 2**22, up, down))
        assert slots[slot]["neuron"] + 5 == found[-1].neuron
    assert len(set(slots["neuron"].tolist())) == slots.size
    assert {ticket.neuron - 5 for ticket in found} == set(slots["neuron"].tolist())
    return found


@pytest.mark.parametrize("sequential", [True, False])
@pytest.mark.parametrize("temperature", [0.0, 3.0, 2.0**20])
@pytest.mark.parametrize("start", [0, 7, 2**33])
def test_tickets_are_those_of_the_visits(sequential: bool, temperature: float, start: int) -> None:
    """Window after window: what the last one held is given up."""
    rest = np.array([0.0, 0.5, -0.5, 0.25, -0.125, 0.0, -0.0])
    tickets = Tickets(rest.size)
    for steps in (1, 30, 65, 300, 5):  # more than there is room for at first
        found = scanned(tickets, sequential, temperature, rest, start=start, steps=steps)
        wanted = []
        for step in range(start, start + steps):
            i = neuron(step, 20, sequential)
            if 5 <= i < 5 + rest.size:
                up = plain.threshold(temperature * logit(step, i, sequential) - rest[i - 5])
                down = 1 - up
                if temperature == 0.0:  # the least integers for which the response is not zero
                    up, down = 1 - int(rest[i - 5] > 0), 1 - int(rest[i - 5] < 0)
                wanted.append(Ticket(step - start + 1, i, up, down))
        assert found == wanted
        start += steps


@pytest.mark.parametrize("kind", [np.int32, np.int64])
@pytest.mark.parametrize("sequential", [True, False])
def test_the_race_finds_the_events_of_the_plain_loop(
    kind: type[np.int32] | type[np.int64], sequential: bool
) -> None:
    made = 0
    for seed in range(20):
        dice = random.Random(f"visit {seed}")
        part = plain.part(dice, 16 if kind is np.int32 else 32, neurons=20, size=7)
        part.first = 5
        tickets = Tickets(7)
        visits = scanned(
            tickets, sequential, 1.0 * plain.scale(part), np.zeros(7), start=9 * seed, steps=50
        )
        slots, drawn, _ = tickets.drawn
        x, found, position, last = np.array(part.x, np.uint8), list[Event](), 0, 0
        while True:
            z = np.array(part.after(found), kind)
            word, position = earliest_visit(drawn, slots, position, z, x, np.uint64(last))
            if word == NO_EVENT:
                break
            last = int(word)
            found += plain.events([word])
            x[found[-1].neuron - 5] = found[-1].state
        assert found == plain.run(part, visits)[0]
        made += len(found)
    assert made > 50
