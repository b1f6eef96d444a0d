"""The window rule, and what a window changes."""

import math

import pytest

from distsim.simulation import simulate
from distsim.window import LARGEST_TARGET, SMALLEST_TARGET, follow, target_events


@pytest.mark.parametrize("neurons", [1, 2, 1000, 16_384, 10**6])
@pytest.mark.parametrize("tau", [0.0, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("strength", [0.0, 0.01, 1.0, 1e9])
def test_target_is_a_power_of_two_within_its_bounds(
    neurons: int, tau: float, strength: float
) -> None:
    target = target_events(neurons, strength, tau)
    assert SMALLEST_TARGET <= target <= LARGEST_TARGET
    assert math.frexp(target)[0] == 0.5


def test_target_follows_size_and_temperature() -> None:
    strength = 0.8 / math.sqrt(16_384)  # of weights normal(0, 1 / sqrt N)
    assert target_events(16_384, strength, 1.0) > target_events(1024, 4 * strength, 1.0)
    assert target_events(16_384, strength, 1.0) > target_events(16_384, strength, 0.1)


@pytest.mark.parametrize(
    ("events", "may_grow", "change"),
    [
        (0, True, 1),
        (59, True, 1),
        (60, True, 0),
        (100, True, 0),
        (150, True, 0),
        (151, True, -1),
        (400, False, -1),
        (0, False, 0),
    ],
)
def test_width_follows_the_events(events: int, may_grow: bool, change: int) -> None:
    assert follow(-3, events, 100, may_grow=may_grow) == -3 + change


@pytest.mark.parametrize("engine", ["race", "relax"])
def test_windows_hold_about_their_target(engine: str) -> None:
    for target in (16, 64):
        summary = simulate(
            "gaussian", neurons=500, transitions=5000, window=target, engine=engine
        ).summary
        assert 0.6 * target < summary.transitions / summary.windows < 1.5 * target
