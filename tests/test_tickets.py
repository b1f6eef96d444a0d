"""Tickets of the MPM: levels are those of a unit Poisson measure; of the BM: one a visit."""

import numpy as np
import pytest
from scipy import stats

from distsim.kernels import cpu
from distsim.tickets import Tickets

SEED = np.uint64(5)


def test_levels_are_sums_of_standard_exponentials_and_times_are_uniform() -> None:
    steps, ticks = np.empty((500, 5)), np.empty((500, 5))
    for neuron in range(500):
        for k in range(5):
            steps[neuron, k], event = cpu.ticket(SEED, 3, neuron, k)
            assert cpu.neuron_of(event) == neuron
            ticks[neuron, k] = cpu.tick_of(event)
    assert stats.kstest(steps.ravel(), "expon").pvalue > 1e-6
    assert stats.kstest((ticks.ravel() - 0.5) / 2.0**40, "uniform").pvalue > 1e-6
    assert ticks.min() >= 1
    assert ticks.max() <= 2**40
    assert abs(np.corrcoef(steps.T) - np.eye(5)).max() < 0.25
    assert abs(np.corrcoef(steps.ravel(), ticks.ravel())[0, 1]) < 0.1


def test_a_neuron_does_not_share_its_first_ticket() -> None:
    levels = {cpu.ticket(SEED, window, neuron, 0)[0] for window in range(5) for neuron in range(9)}
    assert len(levels) == 45


def test_thresholds_rise_with_the_level() -> None:
    levels = np.cumsum([cpu.ticket(SEED, 0, 7, k)[0] for k in range(20)])
    thresholds = [cpu.level_threshold(level, -2, 1e6) for level in levels]
    assert thresholds == sorted(thresholds)
    # The rate exp(s z / 2 tau) is the level over the width: 1e6 units are 2 tau.
    np.testing.assert_allclose(np.exp(np.array(thresholds) / 1e6), levels / 2.0**-2)


@pytest.mark.parametrize(
    ("value", "threshold"),
    [(0.0, 0), (0.2, 1), (-0.2, 0), (3.0, 3), (1e300, 2**62), (-1e300, -(2**62))],
)
def test_thresholds_are_rounded_up(value: float, threshold: int) -> None:
    assert cpu.to_threshold(value) == threshold


@pytest.mark.parametrize("exponent", [-12, 0, 5])
def test_first_thresholds_are_bounded_from_below(exponent: int) -> None:
    """What the screen looks up never hides a ticket."""
    scale = 2.0**20
    table = cpu.lowest_thresholds(exponent, scale)
    n = 2000
    z = np.zeros(n, np.int64)
    x = np.zeros(n, np.uint8)
    bound = np.empty(n, np.int64)
    candidates, need = np.empty(n, np.int64), np.empty(n, np.int64)
    margin, cap = 1 << 20, 1 << 40
    words, flags = np.empty(n + 8, np.uint32), np.empty(n, np.bool_)
    found = cpu.screen(SEED, 4, 5, table, margin, cap, words, flags, bound, z, x, candidates, need)
    exact = np.empty(n, np.int64)
    cpu.first_tickets(SEED, 4, 5, exponent, scale, np.full(n, 0.5), exact)
    assert (bound <= exact).all()
    assert set(np.flatnonzero(exact <= margin)) <= set(candidates[:found].tolist())
    assert found < 1.5 * (exact <= margin).sum() + 50


def test_order_is_by_time_and_stable() -> None:
    tickets = Tickets(3)
    tickets.reserve(0, 100)
    tickets.count = 4
    tickets.keys[:4] = [9, 4, 9, 1]
    assert tickets.order().tolist() == [3, 1, 0, 2]


@pytest.mark.parametrize(
    ("state", "threshold", "replayed", "wanted"),
    [
        (0, 50, (0, 100), False),  # the replay looked at it closely
        (0, 50, (0, 40), True),  # it held for beyond reach what fires
        (0, 150, (0, 40), False),  # it is beyond reach still
        (0, -50, (0, 40), True),  # it held for certain what did not fire: no such event
        (1, 50, (-40, 0), True),  # the same from the other state
        (1, 50, (-100, 0), False),
        (1, 150, (-40, 0), False),
    ],
)
def test_a_ticket_that_comes_within_the_bounds_is_looked_at(
    state: int, threshold: int, replayed: tuple[int, int], wanted: bool
) -> None:
    """Neuron 0 has a ticket at tick 9; neuron 1's event at tick 5 moves its z to +-80."""
    sign = 1 - 2 * state
    weights = np.array([[0, 0], [80 * sign, 0]], np.int32)
    event = (5 << cpu.NEURON_BITS + 1) | (1 << 1) | 1
    answer = cpu.unsettled(
        weights,
        np.zeros(2, np.int64),
        np.array([state, 0], np.uint8),
        0,
        np.zeros(1, np.int64),
        np.array([9 << cpu.NEURON_BITS + 1], np.uint64),
        np.zeros(1, np.int64),
        np.full((1, 2), threshold, np.int64),
        1,
        1,
        np.array([replayed[1]]),
        np.array([replayed[0]]),
        np.array([80 if sign > 0 else 0, 0]),
        np.array([0 if sign > 0 else -80, 0]),
        np.array([event], np.uint64),
        cpu.NO_EVENT,
    )
    assert answer == wanted


@pytest.mark.parametrize("most", [5, 100])
@pytest.mark.parametrize("stop", [60, 95, int(cpu.NO_EVENT)])
def test_events_of_ranks_are_merged_by_time(most: int, stop: int) -> None:
    parts = np.full((3, 5), 7, np.uint64)  # what is behind a rank's events does not count
    counts = np.array([4, 0, 3])
    parts[0, :4] = [20, 50, 61, 97]
    parts[2, :3] = [31, 30, 94]  # one neuron at one tick: into state 1, and back
    events, remote = np.zeros(8, np.uint64), np.zeros(8, np.uint64)
    kept, others = cpu.merge(parts, counts, 2, np.uint64(stop), most, events, remote)
    wanted = [20, 31, 30, 50, 61, 94, 97]
    wanted = [event for event in wanted if event >> 1 <= stop >> 1][:most]
    assert events[:kept].tolist() == wanted
    assert remote[:others].tolist() == [event for event in wanted if event in (20, 50, 61, 97)]


def test_growing_keeps_what_is_held() -> None:
    tickets = Tickets(3)
    tickets.keys[:64] = np.arange(64)
    tickets.threshold[:64, 1] = np.arange(64)
    tickets.reserve(1000, 1000)
    assert tickets.keys.size >= 1000
    np.testing.assert_array_equal(tickets.keys[:64], np.arange(64))
    np.testing.assert_array_equal(tickets.threshold[:64, 1], np.arange(64))


def test_a_sequential_scan_visits_all_and_a_random_one_uniformly() -> None:
    assert [cpu.visited(SEED, step, 7, True) for step in range(9)] == [0, 1, 2, 3, 4, 5, 6, 0, 1]
    visits = [cpu.visited(SEED, step, 7, False) for step in range(7000)]
    assert stats.chisquare(np.bincount(visits, minlength=7)).pvalue > 1e-6
