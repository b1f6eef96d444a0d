"""The contract of laws, kept by both machines: windows, clocks, and tickets as documented."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import plain
import pytest
from numpy.typing import NDArray

from distsim.config.options import Config
from distsim.kernels.events import NO_EVENT
from distsim.kernels.replay import Bounds
from distsim.laws.conditions import Conditions
from distsim.laws.law import Law
from distsim.laws.opening import open_law
from distsim.laws.tickets import Tickets
from distsim.laws.window import Window
from distsim.networks.matrices import from_array
from distsim.ranks.communicator import Serial
from distsim.weights.dense import DenseColumns
from distsim.weights.shard import Shard, load

N, SEED = 30, 2**40 + 3
MACHINES: dict[str, dict[str, Any]] = {
    "mpm": {"model": "mpm", "tau": 0.7, "time": 1.0},
    "sequential": {"model": "bm", "tau": 0.7, "scan": "sequential", "steps": 1},
    "random": {"model": "bm", "tau": 0.7, "scan": "random", "steps": 1},
    "zero": {"model": "bm", "tau": 0.0, "scan": "random", "steps": 1},
}


class Opened:
    """A law with a small symmetric network, from random states."""

    def __init__(self, machine: str) -> None:
        dice = np.random.default_rng(4)
        half = np.triu(dice.normal(0.0, 0.2, (N, N)), 1)
        network = from_array(half + half.T, dice.normal(0.0, 0.5, N))
        config = Config(network="array", seed=SEED, **MACHINES[machine])
        self.machine = machine
        self.tau, self.random = float(config.tau), config.scan == "random"
        self.shard: Shard[DenseColumns] = load(network, 32, Serial(), DenseColumns)
        self.law: Law = open_law(config, self.shard, Serial(), Conditions.constant(config.tau))
        self.x = dice.integers(0, 2, N).astype(np.uint8)
        self.z = self.shard.responses(self.x)

    def drawn(self, window: Window) -> list[plain.Ticket]:
        """What an engine starts with, in the order that it is told."""
        tickets = Tickets(N)
        self.law.draw(window, self.z, self.x, tickets)
        slots, drawn, order = tickets.drawn
        found = []
        for key, slot, (up, down) in drawn[order].tolist():
            found.append(plain.Ticket(key >> 23, key >> 1 & 2**22 - 1, up, down))
            assert slots[slot]["neuron"] == found[-1].neuron
        return found


@pytest.fixture(params=list(MACHINES))
def opened(request: pytest.FixtureRequest) -> Opened:
    return Opened(request.param)


def test_members(opened: Opened) -> None:
    law = opened.law
    declared = {*Law.__annotations__, *vars(Law)}
    assert all(hasattr(law, name) for name in declared if not name.startswith("_"))
    assert law.name in ("mpm", "bm")
    assert (law.scan is None) == law.bounded == (law.name == "mpm")
    assert law.scale * opened.shard.unit == (2.0 if law.name == "mpm" else 1.0) * opened.tau
    assert 16 <= law.target <= 1024
    assert law.most >= law.target


def test_windows_follow_each_other(opened: Opened) -> None:
    """A window begins where the last one ended; its events are in it; a clock is all it needs."""
    law = opened.law
    assert law.now() == 0.0
    for turn in range(12):
        before, clock = law.now(), law.clock
        window = law.open(opened.z, opened.x)
        assert window.number == law.clock.number
        assert law.now() == before
        width = 2.0**window.exponent if law.name == "mpm" else float(window.steps)
        ticks = [1, 7, 2**40 if law.name == "mpm" else window.steps]
        again = law.open(opened.z, opened.x)
        assert again == window
        early = law.bounded and turn % 3 == 0
        ticks = ticks[:2] if early else ticks
        events = plain.words(plain.Event(tick, 3, turn % 2) for tick in ticks)
        times = law.close(window, events, early=early)
        passed = [(tick - 0.5) * width / 2**40 if law.name == "mpm" else tick for tick in ticks]
        assert times.tolist() == pytest.approx([before + one for one in passed], rel=1e-15)
        assert before < times[0] <= times[1] <= times[-1] <= before + width
        assert law.now() == (times[1] if early else pytest.approx(before + width, rel=1e-15))
        assert law.clock.number == window.number + (1 if law.name == "mpm" else window.steps)
        other = Opened(opened.machine)
        other.law.clock = clock
        assert other.law.open(opened.z, opened.x) == window
        other.law.clock = law.clock
        assert other.law.now() == law.now()


def test_width_follows_the_number_of_events(opened: Opened) -> None:
    """It doubles after none, where the rule alone decided it, and halves after very many."""
    law = opened.law
    for count in (0, 0, 5000, 5000):
        window = law.open(opened.z, opened.x)
        assert law.clock.exponent is not None
        by_rule = window.exponent == law.clock.exponent and 2.0**window.exponent < law.most
        law.close(window, np.full(count, 1 << 23, np.uint64), early=False)
        if count or by_rule:
            assert law.clock.exponent == window.exponent + (-1 if count else 1)
        else:
            assert law.clock.exponent >= window.exponent


def test_tickets_are_those_of_the_documentation(opened: Opened) -> None:
    """By time, of this window alone, with thresholds in weight units."""
    law = opened.law
    for _ in range(3):
        window = law.open(opened.z, opened.x)
        found = opened.drawn(window)
        assert [one.moment for one in found] == sorted(one.moment for one in found)
        documented = arrivals if law.name == "mpm" else visits
        needed, possible = documented(opened, window)
        assert needed <= set(found) <= possible
        assert len(needed) > 3
        law.close(window, plain.words([]), early=False)


def arrivals(opened: Opened, window: Window) -> tuple[set[plain.Ticket], set[plain.Ticket]]:
    """Those that may fire at once, and these with the next ones of every neuron: of an MPM."""
    needed, possible = set(), set()
    for i in range(N):
        rest = opened.shard.rest[i]
        reach = (-1 if opened.x[i] else 1) * int(opened.z[i])
        level = 0.0
        for k in range(60):
            a, b, c, d = plain.draw(SEED, i, window.number, k, plain.TICKET)
            if k == 0:
                a = plain.draw(SEED, i // 4, window.number, 0, plain.FIRST)[i % 4]
            level -= math.log1p(-plain.uniform(a, b))
            rate = math.log(level) - window.exponent * math.log(2.0)
            theta = 2.0 * opened.tau * rate / opened.shard.unit
            one = plain.Ticket(
                (c * plain.WORD + d) // 2**24 + 1, i,
                plain.threshold(theta - rest), plain.threshold(theta + rest),
            )  # fmt: skip
            possible.add(one)
            if one[2 + opened.x[i]] <= reach:
                needed.add(one)
    return needed, possible


def visits(opened: Opened, window: Window) -> tuple[set[plain.Ticket], set[plain.Ticket]]:
    """One a step, all known from the start: of a BM."""
    found = set()
    for step in range(window.number, window.number + window.steps):
        high, low, _, _ = plain.draw(SEED, 0, step, 0, plain.VISIT)
        i = (high * plain.WORD + low) * N // 2**64 if opened.random else step % N
        u = plain.updating(SEED, step, i, N, not opened.random)
        rest = opened.shard.rest[i]
        logit = math.log(u) - math.log1p(-u)
        up = plain.threshold(opened.tau * logit / opened.shard.unit - rest)
        down = 1 - up
        if opened.tau == 0.0:
            up, down = math.floor(-rest) + 1, math.floor(rest) + 1
        found.add(plain.Ticket(step - window.number + 1, i, up, down))
    return found, found


def test_deepening_leaves_no_ticket_within_the_bounds_undrawn(opened: Opened) -> None:
    law = opened.law
    window = law.open(opened.z, opened.x)
    tickets = Tickets(N)
    law.draw(window, opened.z, opened.x, tickets)
    few = tickets.drawn.tickets.size
    rise = int(1.5 * law.scale)
    high, low = opened.z + rise, opened.z - rise
    top = law.deepen(window, opened.x, plain.words([]), Bounds(high, low), tickets)
    if not law.bounded:
        assert tickets.drawn.tickets.size == few
        assert top <= -(2**62)
        return
    reaches = np.where(opened.x == 0, high, -low)
    assert top == reaches.max()
    assert tickets.drawn.tickets.size > few
    _, possible = arrivals(opened, window)
    found = {
        (key >> 23, key >> 1 & 2**22 - 1) for key in tickets.drawn.tickets["key"].tolist()
    }  # fmt: skip
    for one in possible:
        if one[2 + opened.x[one.neuron]] <= min(window.cap, int(reaches[one.neuron])):
            assert one.moment in found


def test_a_race_goes_through_all_that_fires(opened: Opened) -> None:
    """At fixed responses each neuron's tickets that its state lets fire, in order of time."""
    law = opened.law
    window = law.open(opened.z, opened.x)
    tickets = Tickets(N)
    law.prepare(window, opened.z, opened.x, tickets)
    last, found = 0, []
    while (last := law.earliest(window, opened.z, opened.x, last, tickets)) != NO_EVENT:
        found.append(plain.events([last])[0])
        assert found[-1].state == 1 - opened.x[found[-1].neuron]
        # Its neuron stays as it is here, so that every ticket is asked in the same state.
    documented: Callable[..., Any] = arrivals if law.name == "mpm" else visits
    _, possible = documented(opened, window)
    wanted = sorted(
        one.moment
        for one in possible
        if _reach(opened.z, opened.x, one.neuron) >= one[2 + opened.x[one.neuron]]
    )
    assert [event.moment for event in found] == wanted
    assert len(found) > 1


def _reach(z: NDArray[Any], x: NDArray[np.uint8], i: int) -> int:
    return (-1 if x[i] else 1) * int(z[i])
