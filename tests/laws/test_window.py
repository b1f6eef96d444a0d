"""The window rule, and what a window changes."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from distsim import simulate
from distsim.kernels.window import follow
from distsim.laws.conditions import Conditions
from distsim.laws.mcculloch_pitts import McCullochPitts
from distsim.laws.names import names
from distsim.laws.window import LARGEST_TARGET, SMALLEST_TARGET, Window, target_events
from distsim.networks.matrices import from_array
from distsim.ranks.communicator import Serial
from distsim.weights.dense import DenseColumns
from distsim.weights.shard import load


@pytest.mark.parametrize("neurons", [1, 2, 1000, 16_384, 10**6])
@pytest.mark.parametrize("tau", [0.0, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("strength", [0.0, 0.01, 1.0, 1e9])
def test_target_is_a_power_of_two_within_its_bounds(
    neurons: int, tau: float, strength: float
) -> None:
    for connections in (0, neurons, neurons**2 // 4, neurons**2):
        target = target_events(neurons, connections, strength, tau)
        few = 4 * connections <= neurons**2 and neurons > 4096
        assert SMALLEST_TARGET <= target <= max(LARGEST_TARGET, neurons / 4 if few else 0)
        assert math.frexp(target)[0] == 0.5


def test_target_follows_size_and_temperature() -> None:
    strength = 0.8 / math.sqrt(16_384)  # of weights normal(0, 1 / sqrt N)
    all_, fewer = 16_384**2, 1024**2
    large = target_events(16_384, all_, strength, 1.0)
    assert large > target_events(1024, fewer, 4 * strength, 1.0)
    assert large > target_events(16_384, all_, strength, 0.1)


@pytest.mark.parametrize(
    ("neurons", "k", "target"),
    [
        (100_000, 100, 16_384),  # the largest: a power of two up to N / 4
        (100_000, 1000, 16_384),  # 4 N / sqrt(k) = 12,649
        (100_000, 25_001, 1024),  # more than N^2 / 4
        (100_000, 25_000, 2048),  # 2,530
        (1_000_000, 100, 131_072),
        (4096, 100, 256),  # as if k were N
        (4097, 100, 1024),  # 1,639
    ],
)
def test_windows_are_long_where_few_weights_are_there(neurons: int, k: int, target: int) -> None:
    """Weights of weak influence: M = 1."""
    assert target_events(neurons, neurons * k, 1e-9, 1.0) == target


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


@pytest.mark.parametrize("engine", ["race", "relax", "walk"])
def test_windows_hold_about_their_target(engine: Any) -> None:
    for target in (16, 64):
        summary = simulate(
            "gaussian", neurons=500, transitions=5000, window=target, engine=engine
        ).summary
        assert 0.6 * target < summary.transitions / summary.windows < 1.5 * target


def test_clock_does_not_drift() -> None:
    """Model time at the end of many windows, most ended early, is the sum of their widths."""
    shard = load(from_array(np.eye(2)), 32, Serial(), DenseColumns)
    law = McCullochPitts(shard, Conditions.constant(1.0), names(0, 0), None, Serial())
    law.open(np.zeros(2, np.int64), np.zeros(2, np.uint8))
    random = np.random.default_rng(1)
    exact = Fraction(0)
    for number, tick in enumerate(random.integers(1, 2**40, 20_000).tolist()):
        exponent, early = number % 5 - 30, number % 7 > 0
        window = Window(number, exponent, steps=0, most=64, cap=0)
        law.close(window, np.array([tick << 23], np.uint64), early=early)
        width = Fraction(2) ** exponent
        exact += (tick - Fraction(1, 2)) * width / 2**40 if early else width
    assert (
        abs(Fraction(law.clock.high) + Fraction(law.clock.low) - exact) < exact * Fraction(2) ** -90
    )
    assert law.now() == float(exact)
