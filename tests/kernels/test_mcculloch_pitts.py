"""The tickets of an MPM: levels of a unit Poisson measure, of which none is missed."""

import math
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import plain
import pytest
from numpy.typing import NDArray
from plain import Event
from scipy import stats

from distsim.kernels.events import NEURON_BITS, NO_EVENT, neuron_of, tick_of, to_threshold
from distsim.kernels.mcculloch_pitts import (
    Reach,
    Source,
    draw_tickets,
    largest_response,
    level_threshold,
    lowest_thresholds,
    reached,
    screen,
    ticket,
)
from distsim.kernels.order import by_time
from distsim.kernels.race import earliest_arrival, first_tickets
from distsim.kernels.tickets import TICKET_KIND
from distsim.laws.tickets import Tickets

SEED = np.uint64(5)
WINDOW, FIRST = 4, 5  # the window's number, the first local neuron
KINDS: list[Any] = [np.int32, np.int64]


def source(
    exponent: int,
    scale: float,
    rest: NDArray[np.float64],
    clamped: list[int] | None = None,
    end: int = int(NO_EVENT),
) -> Source:
    held = np.array(clamped or [], np.int64)
    return Source(SEED, WINDOW, FIRST, exponent, scale, rest, np.uint64(end), held)


# ------------------------------------------------------------------------------ in plain Python
def plain_tickets(i: int, exponent: int, scale: float) -> Iterator[tuple[int, float]]:
    """(tick, threshold as a real number) of the tickets of local neuron i, in order of level."""
    neuron, level, k = FIRST + i, 0.0, 0
    while True:
        a, b, c, d = plain.draw(int(SEED), neuron, WINDOW, k, plain.TICKET)
        if k == 0:
            a = plain.draw(int(SEED), neuron // 4, WINDOW, 0, plain.FIRST)[neuron % 4]
        level -= math.log1p(-plain.uniform(a, b))
        theta = scale * (math.log(level) - exponent * math.log(2.0))
        yield (c * plain.WORD + d) // 2**24 + 1, theta
        k += 1


def up_to(
    need: float, i: int, exponent: int, scale: float, rest: float
) -> list[tuple[int, int, int]]:
    """(tick, threshold for state 0, for state 1) of all tickets that s z = need may reach."""
    found: list[tuple[int, int, int]] = []
    for tick, theta in plain_tickets(i, exponent, scale):
        if plain.threshold(theta - abs(rest)) > need:
            return found
        found.append((tick, plain.threshold(theta - rest), plain.threshold(theta + rest)))
    raise AssertionError


# ------------------------------------------------------------------------------------- one ticket
def test_levels_are_sums_of_standard_exponentials_and_times_are_uniform() -> None:
    steps, ticks = np.empty((500, 5)), np.empty((500, 5))
    for neuron in range(500):
        for k in range(5):
            steps[neuron, k], event = ticket(SEED, 3, neuron, k)
            assert neuron_of(event) == neuron
            ticks[neuron, k] = tick_of(event)
    assert stats.kstest(steps.ravel(), "expon").pvalue > 1e-6
    assert stats.kstest((ticks.ravel() - 0.5) / 2.0**40, "uniform").pvalue > 1e-6
    assert ticks.min() >= 1
    assert ticks.max() <= 2**40
    assert abs(np.corrcoef(steps.T) - np.eye(5)).max() < 0.25
    assert abs(np.corrcoef(steps.ravel(), ticks.ravel())[0, 1]) < 0.1


def test_a_neuron_does_not_share_its_first_ticket() -> None:
    levels = {ticket(SEED, window, neuron, 0)[0] for window in range(5) for neuron in range(9)}
    assert len(levels) == 45


def test_thresholds_rise_with_the_level() -> None:
    levels = np.cumsum([ticket(SEED, 0, 7, k)[0] for k in range(20)])
    thresholds = [level_threshold(level, -2, 1e6) for level in levels]
    assert thresholds == sorted(thresholds)
    # The rate exp(s z / 2 tau) is the level over the width: 1e6 units are 2 tau.
    np.testing.assert_allclose(np.exp(np.array(thresholds) / 1e6), levels / 2.0**-2)


@pytest.mark.parametrize(
    ("value", "threshold"),
    [(0.0, 0), (0.2, 1), (-0.2, 0), (3.0, 3), (1e300, 2**62), (-1e300, -(2**62))],
)
def test_thresholds_are_rounded_up(value: float, threshold: int) -> None:
    assert to_threshold(value) == threshold


# ------------------------------------------------------------------------------------ first tickets
@pytest.mark.parametrize("exponent", [-12, 0, 5])
def test_lowest_thresholds_are_those_of_first_tickets(exponent: int) -> None:
    rest = np.linspace(-0.5, 0.5, 300)
    exact = np.empty(300, np.int64)
    first_tickets(source(exponent, 2.0**20, rest), exact)
    for i in range(300):
        _, theta = next(plain_tickets(i, exponent, 2.0**20))
        assert exact[i] == plain.threshold(theta - abs(rest[i]))


@pytest.mark.parametrize("exponent", [-12, 0, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_the_screen_finds_who_may_fire(kind: Any, exponent: int) -> None:
    """It never hides a ticket, and lets few through that it need not."""
    dice = np.random.default_rng(exponent + 20)
    n, scale = 2003, 2.0**20
    z = dice.integers(-(2**21), 2**21, n).astype(kind)
    x = dice.integers(0, 2, n).astype(np.uint8)
    margin, cap = 1 << 19, 1 << 21
    bound = np.empty(n, kind)
    clamped = list(range(7, 200, 3))
    given = source(exponent, scale, np.full(n, 0.5), clamped)
    reach = Reach(lowest_thresholds(exponent, scale), margin, cap)
    candidates, need = screen(given, reach, z, x, bound)
    exact = np.empty(n, np.int64)
    first_tickets(given, exact)
    assert (bound <= exact).all()
    assert not set(clamped) & set(candidates.tolist())
    assert (exact[clamped] == 2**63 - 1).all()
    may_fire = [
        i for i in range(n) if (-1 if x[i] else 1) * int(z[i]) + margin >= exact[i]
    ]  # fmt: skip
    assert set(may_fire) <= set(candidates.tolist())
    assert candidates.size < 1.2 * len(may_fire) + 50
    for i, most in zip(candidates.tolist(), need.tolist(), strict=True):
        sz = -int(z[i]) if x[i] else int(z[i])
        # Once it has changed its state, s z has the other sign; but above the cap the window ends.
        back = -sz if exact[i] <= sz and -sz <= cap else sz
        assert most >= min(cap, max(sz, back) + margin)
        assert most <= cap


# -------------------------------------------------------------------------------------- all tickets
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("need", [-(2**19), 2**19, 2**21])
@pytest.mark.parametrize("end", [int(NO_EVENT), 2**39 << 23])
def test_every_ticket_up_to_the_need_is_drawn(need: int, kind: Any, end: int) -> None:
    """Whether drawn at once or in two goes, and however often the room is too small; none from the
    end on of a window that is cut."""
    n, exponent, scale = 300, 0, 2.0**20
    rest = np.linspace(-0.5, 0.5, n)
    bound = np.empty(n, kind)
    tickets = Tickets(n)
    for part in (np.arange(0, n, 2), np.arange(n)):
        needs = np.full(part.size, need)
        tickets.fill(draw_tickets, source(exponent, scale, rest, end=end), part, needs, bound)
    drawn = tickets.drawn.tickets[tickets.drawn.order]
    neurons = tickets.drawn.slots["neuron"][drawn["slot"]]
    found = [
        (key, i, *pair)
        for key, i, pair in zip(
            drawn["key"].tolist(), neurons.tolist(), drawn["threshold"].tolist(), strict=True
        )
    ]
    wanted = [
        (tick << 23 | FIRST + i << 1, i, up, down)
        for i in range(n)
        for tick, up, down in up_to(need, i, exponent, scale, rest[i])
        if tick << 23 | FIRST + i << 1 < end
    ]
    assert found == sorted(wanted)
    assert (bound > need).all()


@pytest.mark.parametrize("count", [0, 1, 2, 4, 5, 300])
def test_order_is_by_time_and_stable(count: int) -> None:
    random = np.random.default_rng(1)
    ticks = np.concatenate([[1 << 40, 1, 1], random.integers(1, 1 << 40, size=count)])[:count]
    tickets = np.zeros(count, TICKET_KIND)
    tickets["key"] = np.repeat(ticks, 2)[:count] << NEURON_BITS + 1
    order = np.empty(count + 3, np.int64)
    by_time(tickets["key"], order)
    assert order[:count].tolist() == np.argsort(tickets["key"], kind="stable").tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_who_may_have_reached_a_ticket_draws_more(kind: Any) -> None:
    for seed in range(20):
        dice = random.Random(f"reached {seed}")
        n, cap = 21, dice.choice([2, 100])
        x = [dice.randrange(2) for _ in range(n)]
        low = [dice.randint(-5, 5) for _ in range(n)]
        high = [value + dice.randint(0, 3) for value in low]
        bound = [dice.randint(-3, 6) for _ in range(n)]
        clamped = sorted({dice.randrange(n) for _ in range(dice.choice([0, 5]))})
        moving = [j for j in range(n + 2 * FIRST) if j - FIRST not in clamped]
        events = [Event(tick, dice.choice(moving), 1) for tick in range(1, 5)]
        candidates, need, top = reached(
            source(0, 1.0, np.zeros(n), clamped), cap, np.array(x, np.uint8), plain.words(events),
            (np.array(high, kind), np.array(low, kind)), np.array(bound, kind),
        )  # fmt: skip
        free = [i for i in range(n) if i not in clamped]
        changed = {event.neuron - FIRST for event in events}
        reaches = [
            max(high[i], -low[i]) if i in changed else -low[i] if x[i] else high[i]
            for i in range(n)
        ]
        assert candidates.tolist() == [i for i in free if min(cap, reaches[i]) >= bound[i]]
        assert need.tolist() == [min(cap, max(high[i], -low[i])) for i in candidates.tolist()]
        assert top == max(reaches[i] for i in free)


# ------------------------------------------------------------------------------------------ a race
def earliest(
    z: list[int], x: list[int], after: tuple[int, int, int], given: Source
) -> tuple[int, int, int] | None:
    """(tick, neuron, number) of the first ticket later than that which fires at the present z."""
    later = []
    for i in range(len(x)):
        reach = -z[i] if x[i] else z[i]
        mine = up_to(reach, i, given.exponent, given.scale, given.rest[i])
        for k, (tick, *thresholds) in enumerate(mine):
            if reach >= thresholds[x[i]] and (tick, FIRST + i, k) > after:
                later.append((tick, FIRST + i, k))
    return min(later, default=None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("cap", "largest"), [(2**62, 2**8), (2**12, 2**12)])
def test_the_race_finds_the_events_of_the_plain_loop(kind: Any, cap: int, largest: int) -> None:
    """One after the other, until there is none, or some response is above the cap."""
    crossed = made = 0
    for seed in range(20):
        dice = random.Random(f"arrival {cap} {seed}")
        part = plain.part(dice, 16 if kind is np.int32 else 32, neurons=20, size=6)
        part.first = FIRST
        part.weights = [[dice.randint(-largest, largest) for _ in range(20)] for _ in range(20)]
        part.z = [dice.randint(-1000, 1000) for _ in part.x]
        given = source(0, 2.0**10, np.array([dice.uniform(-0.5, 0.5) for _ in part.x]))
        lowest = np.empty(6, np.int64)
        first_tickets(given, lowest)
        x, found, last, k = list(part.x), list[Event](), 0, 0
        after = (0, 0, 0)
        while True:
            z = part.after(found)
            states = np.array(x, np.uint8)
            last, k = earliest_arrival(
                given, lowest, cap, np.array(z, kind), states, np.uint64(last), k
            )
            if max(-a if b else a for a, b in zip(z, x, strict=True)) > cap:
                assert last == 0
                crossed += 1
                break
            wanted = earliest(z, x, after, given)
            if wanted is None:
                assert last == NO_EVENT
                break
            tick, neuron, number = after = wanted
            x[neuron - FIRST] = 1 - x[neuron - FIRST]
            found.append(Event(tick, neuron, x[neuron - FIRST]))
            assert plain.events([last]) == found[-1:]
            assert k == number
            made += 1
    assert made > 50
    assert crossed > 5 if cap == 2**12 else crossed == 0


def test_of_two_tickets_at_one_tick_the_next_is_later() -> None:
    """Every ticket fires: after the k-th and its number comes another, before it the k-th."""
    given = source(0, 1.0, np.zeros(1))
    lowest = np.empty(1, np.int64)
    first_tickets(given, lowest)
    by_time = sorted((tick, k) for k, (tick, _, _) in enumerate(up_to(3, 0, 0, 1.0, 0.0)))
    assert len(by_time) > 3
    z, x = np.array([3]), np.zeros(1, np.uint8)
    for (tick, k), following in zip(by_time, [*by_time[1:], None], strict=True):
        last = np.uint64(tick << 23 | FIRST << 1)
        for state in (np.uint64(0), np.uint64(1)):
            if k:
                word, found = earliest_arrival(given, lowest, 9, z, x, last | state, k - 1)
                assert (int(word) >> 23, found) == (tick, k)
            word, found = earliest_arrival(given, lowest, 9, z, x, last | state, k)
            if following is None:
                assert word == NO_EVENT
            else:
                assert (int(word) >> 23, found) == following


@pytest.mark.parametrize("kind", KINDS)
def test_a_response_at_a_threshold_fires_and_one_below_does_not(kind: Any) -> None:
    for exponent in range(-3, 4):
        given = source(exponent, 2.0**10, np.zeros(1))
        lowest = np.empty(1, np.int64)
        first_tickets(given, lowest)
        (tick, up, _), *_ = up_to(int(lowest[0]), 0, exponent, 2.0**10, 0.0)
        assert up == lowest[0]
        x = np.zeros(1, np.uint8)
        for z, wanted in ((up, tick << 23 | FIRST << 1 | 1), (up - 1, int(NO_EVENT))):
            assert earliest_arrival(
                given, lowest, 2**62, np.array([z], kind), x, np.uint64(0), 0
            ) == (wanted, 0)


def test_a_response_at_the_cap_does_not_end_the_window_and_one_above_does() -> None:
    given = source(0, 1.0, np.zeros(2))
    lowest = np.empty(2, np.int64)
    first_tickets(given, lowest)
    x = np.array([0, 1], np.uint8)
    for z, ends in (([0, -7], False), ([0, -8], True), ([8, 0], True), ([7, 9], False)):
        word, _ = earliest_arrival(given, lowest, 7, np.array(z), x, np.uint64(0), 0)
        assert (word == 0) == ends


@pytest.mark.parametrize("kind", KINDS)
def test_the_largest_response_is_found(kind: Any) -> None:
    z, x = np.array([3, -9, 8], kind), np.array([0, 1, 1], np.uint8)
    for clamped, wanted in (([], 9), ([0], 9), ([1], 3), ([0, 1], -8), ([0, 1, 2], -(2**62))):
        assert largest_response(z, x, np.array(clamped, np.int64)) == wanted
    assert largest_response(z[:0], x[:0], np.empty(0, np.int64)) == -(2**62)
