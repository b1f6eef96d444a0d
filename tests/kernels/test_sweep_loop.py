"""The visits of a BM, in order of time, against the plain loop."""

import random

import numpy as np
import plain
import pytest
from plain import Part, Ticket

from distsim.kernels.sweep import sweep
from distsim.kernels.tickets import SLOT_KIND, TICKET_KIND, Drawn


def in_order(part: Part, visits: list[Ticket]) -> Drawn:
    """As `kernels.boltzmann` leaves them: slots in order of the first visit, tickets by time."""
    neurons = list(dict.fromkeys(visit.neuron for visit in visits))
    slots, tickets = np.zeros(len(neurons), SLOT_KIND), np.zeros(len(visits), TICKET_KIND)
    slots["neuron"] = [neuron - part.first for neuron in neurons]
    for t, visit in enumerate(visits):
        tickets[t] = (visit.tick << 23 | visit.neuron << 1, neurons.index(visit.neuron), visit[2:])
    return Drawn(slots, tickets, np.arange(len(visits)))


@pytest.mark.parametrize("bits", [8, 16, 32])
@pytest.mark.parametrize("sequential", [True, False])
def test_visits_are_the_plain_loop(bits: int, sequential: bool) -> None:
    """Less than a sweep, one, or more; from any neuron on; beside none or many other events."""
    fired = 0
    for seed in range(60):
        dice = random.Random(f"sweep {bits} {sequential} {seed}")
        neurons = dice.choice([9, 50])
        part = plain.part(dice, bits, neurons=neurons, size=dice.choice([1, 4, neurons - 2]))
        start, steps = dice.randrange(2 * neurons), dice.choice([3, neurons, 2 * neurons])
        visited = (
            (tick, (start + tick) % neurons if sequential else dice.randrange(neurons))
            for tick in range(1, steps + 1)
        )
        reach = 3 * plain.scale(part)
        visits = [
            Ticket(tick, i, dice.randint(-reach, reach), dice.randint(-reach, reach))
            for tick, i in visited
            if part.owns(i)
        ]
        remote = [
            event
            for event in plain.remote_events(dice, part, dice.choice([0, 8]), steps)
            if event.tick not in {visit.tick for visit in visits}
        ]
        local, drawn = tuple(part.local()), tuple(in_order(part, visits))
        mine, doubled = sweep(local, sequential, drawn, plain.words(remote))
        wanted, _ = plain.run(part, visits, remote)
        assert plain.events(mine) == wanted
        for event, change in zip(wanted, doubled.tolist(), strict=True):
            before = part.after([one for one in (*remote, *wanted) if one.tick < event.tick])
            assert change == -2 * event.sign * before[event.neuron - part.first]
        fired += len(wanted)
    assert fired > 100
