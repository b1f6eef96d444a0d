"""Tickets of the MPM: levels are those of a unit Poisson measure; of the BM: one a visit."""

import numpy as np
import pytest
from scipy import stats

from distsim.kernels.boltzmann import visited
from distsim.kernels.events import NEURON_BITS, NO_EVENT, neuron_of, tick_of, to_threshold
from distsim.kernels.mcculloch_pitts import (
    Reach,
    Source,
    draw_tickets,
    first_tickets,
    level_threshold,
    lowest_thresholds,
    screen,
    sort,
    ticket,
)
from distsim.kernels.order import merge
from distsim.kernels.replay import Bounds, Local, unsettled
from distsim.kernels.tickets import SLOT_KIND, TICKET_KIND, Drawn
from distsim.laws.tickets import Tickets

SEED = np.uint64(5)


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


@pytest.mark.parametrize("exponent", [-12, 0, 5])
def test_first_thresholds_are_bounded_from_below(exponent: int) -> None:
    """What the screen looks up never hides a ticket."""
    scale = 2.0**20
    table = lowest_thresholds(exponent, scale)
    n = 2000
    z = np.zeros(n, np.int64)
    x = np.zeros(n, np.uint8)
    bound = np.empty(n, np.int64)
    margin, cap = 1 << 20, 1 << 40
    source = Source(SEED, 4, 5, exponent, scale, np.full(n, 0.5))
    candidates, _ = screen(source, Reach(table, margin, cap), z, x, bound)
    exact = np.empty(n, np.int64)
    first_tickets(source, exact)
    assert (bound <= exact).all()
    assert set(np.flatnonzero(exact <= margin)) <= set(candidates.tolist())
    assert candidates.size < 1.5 * (exact <= margin).sum() + 50


@pytest.mark.parametrize("count", [0, 1, 2, 4, 5, 300])
def test_order_is_by_time_and_stable(count: int) -> None:
    random = np.random.default_rng(1)
    ticks = np.concatenate([[1 << 40, 1, 1], random.integers(1, 1 << 40, size=count)])[:count]
    tickets = np.zeros(count, TICKET_KIND)
    tickets["key"] = np.repeat(ticks, 2)[:count] << NEURON_BITS + 1
    order = np.empty(count + 3, np.int64)
    sort(tickets, order)
    assert order[:count].tolist() == np.argsort(tickets["key"], kind="stable").tolist()


@pytest.mark.parametrize("need", [-(2**19), 2**19, 2**21])
def test_every_ticket_up_to_the_need_is_drawn(need: int) -> None:
    """Whether drawn at once or in two goes, and however often the room is too small."""
    n, exponent, scale = 300, 0, 2.0**20
    rest = np.linspace(-0.5, 0.5, n)
    wanted = []
    for i in range(n):
        level, k = 0.0, 0
        while True:
            step, key = ticket(SEED, 4, 5 + i, k)
            level += step
            theta = level_threshold(level, exponent, scale)
            if to_threshold(theta - abs(rest[i])) > need:
                break
            up, down = to_threshold(theta - rest[i]), to_threshold(theta + rest[i])
            wanted.append((key, i, up, down))
            k += 1
    bound = np.empty(n, np.int64)
    source = Source(SEED, 4, 5, exponent, scale, rest)
    tickets = Tickets(n)
    for part in (np.arange(0, n, 2), np.arange(n)):
        needs = np.full(part.size, need)
        tickets.fill(
            lambda part=part, needs=needs: draw_tickets(  # type: ignore[misc]
                source, part, needs, bound, tickets.held, tickets.room
            )
        )
    drawn = tickets.drawn.tickets[tickets.drawn.order]
    neurons = tickets.drawn.slots["neuron"][drawn["slot"]]
    found = zip(drawn["key"], neurons, *drawn["threshold"].T, strict=True)
    assert list(found) == sorted(wanted)
    assert (bound > need).all()


@pytest.mark.parametrize(
    ("state", "threshold", "replayed", "new", "wanted"),
    [
        (0, 50, (0, 100), True, False),  # the replay looked at it closely
        (0, 50, (0, 40), True, True),  # it held for beyond reach what fires
        (0, 150, (0, 40), True, False),  # it is beyond reach still
        (0, -50, (0, 40), True, True),  # it held for certain what did not fire: no such event
        (0, 50, (0, 40), False, False),  # no change before the ticket moves what the replay saw
        (1, 50, (-40, 0), True, True),  # the same from the other state
        (1, 50, (-100, 0), True, False),
        (1, 150, (-40, 0), True, False),
        (1, 50, (-40, 0), False, False),
    ],
)
def test_a_ticket_that_comes_within_the_bounds_is_looked_at(
    state: int, threshold: int, replayed: tuple[int, int], new: bool, wanted: bool
) -> None:
    """Neuron 0 has a ticket at tick 9; neuron 1's event at tick 5, new or not since the replay's
    bounds, moves its z to +-80."""
    sign = 1 - 2 * state
    weights = np.array([[0, 0], [80 * sign, 0]], np.int32)
    event = (5 << NEURON_BITS + 1) | (1 << 1) | 1
    slots = np.zeros(1, SLOT_KIND)
    slots["low"], slots["high"] = replayed
    tickets = np.zeros(1, TICKET_KIND)
    tickets["key"], tickets["threshold"] = 9 << NEURON_BITS + 1, threshold
    answer = unsettled(
        Local(weights, np.diag(weights), 0, np.zeros(2, np.int64), np.array([state, 0], np.uint8)),
        Bounds(np.array([80 if sign > 0 else 0, 0]), np.array([0 if sign > 0 else -80, 0])),
        Drawn(slots, tickets, np.arange(1)),
        1,
        np.array([event if new else event + (7 << NEURON_BITS + 1)], np.uint64),
        np.array([event], np.uint64),
        False,
    )
    assert answer == wanted


@pytest.mark.parametrize(
    ("ticks", "early", "wanted"),
    [((5, 9, 9), False, True), ((9, 5, 9), True, False), ((5, 9, 7), False, False)],
)
def test_a_new_ticket_at_the_tick_of_another_is_for_a_replay(
    ticks: tuple[int, ...], early: bool, wanted: bool
) -> None:
    """The last of three tickets is new, none fires; the window may end early, at tick 6."""
    slots, tickets = np.zeros(1, SLOT_KIND), np.zeros(3, TICKET_KIND)
    tickets["key"] = np.array(ticks) << NEURON_BITS + 1
    tickets["threshold"] = 100
    answer = unsettled(
        Local(
            np.zeros((2, 2), np.int32),
            np.zeros(2, np.int32),
            0,
            np.zeros(2, np.int64),
            np.zeros(2, np.uint8),
        ),
        Bounds(np.zeros(2, np.int64), np.zeros(2, np.int64)),
        Drawn(slots, tickets, np.argsort(ticks, kind="stable")),
        2,
        np.empty(0, np.uint64),
        np.array([6 << NEURON_BITS + 1 | 3], np.uint64),
        early,
    )
    assert answer == wanted


@pytest.mark.parametrize("most", [5, 100])
@pytest.mark.parametrize("stop", [60, 95, int(NO_EVENT)])
def test_events_of_ranks_are_merged_by_time(most: int, stop: int) -> None:
    parts = np.full((3, 5), 7, np.uint64)  # what is behind a rank's events does not count
    counts = np.array([4, 0, 3])
    parts[0, :4] = [20, 50, 61, 97]
    parts[2, :3] = [31, 30, 94]  # one neuron at one tick: into state 1, and back
    events, remote = merge(parts, counts, 2, np.uint64(stop), most)
    wanted = [20, 31, 30, 50, 61, 94, 97]
    wanted = [event for event in wanted if event >> 1 <= stop >> 1][:most]
    assert events.tolist() == wanted
    assert remote.tolist() == [event for event in wanted if event in (20, 50, 61, 97)]


def test_growing_keeps_what_is_held() -> None:
    tickets = Tickets(3)
    tickets.fill(lambda: (64, 64, True))
    tickets.drawn.tickets["key"] = tickets.drawn.slots["neuron"] = np.arange(64)
    answers = iter([(64, 64, False), (64, 64, True)])
    tickets.fill(lambda: next(answers))
    assert {len(array) for array in tickets.room} == {128}
    np.testing.assert_array_equal(tickets.drawn.tickets["key"], np.arange(64))
    np.testing.assert_array_equal(tickets.drawn.slots["neuron"], np.arange(64))


def test_a_sequential_scan_visits_all_and_a_random_one_uniformly() -> None:
    assert [visited(SEED, step, 7, True) for step in range(9)] == [0, 1, 2, 3, 4, 5, 6, 0, 1]
    visits = [visited(SEED, step, 7, False) for step in range(7000)]
    assert stats.chisquare(np.bincount(visits, minlength=7)).pvalue > 1e-6
