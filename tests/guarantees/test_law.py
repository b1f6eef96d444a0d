"""The law: what the engines sample, against the enumeration of all states.

Bounds are those of `distsim verify`, fixed beforehand: a p-value above 10^-6 passes, and each
negative control, the law at a temperature off by 10%, must fall below.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from distsim import Result, simulate
from distsim.cli import main as cli
from distsim.cli.launch import Launch
from distsim.files.events import Events, read
from distsim.studies import enumeration
from distsim.studies.small_networks import (
    Small,
    bm_p_values,
    boltzmann_p_value,
    final_states,
    follow_bm,
    follow_mpm,
    mpm_p_values,
    random_network,
    step_path,
    transient_p_value,
)
from distsim.studies.statistics import (
    BOUND,
    chi_square,
    occupation,
)

ENGINES = ("race", "relax", "walk")
BY_WINDOW = ("race", "relax")  # which `law.close` is called for
ASYMMETRIC = random_network(4, False, seed=3)  # with self-edges
SYMMETRIC = random_network(4, True, seed=2)


def accepted(p_values: dict[str, float]) -> bool:
    return min(p_values.values()) > BOUND


# ------------------------------------------------------------------------- the enumeration itself


def test_generator_by_hand() -> None:
    rates = enumeration.rates(np.array([[0.0, 2.0], [-1.0, 0.5]]), np.array([0.0, 1.0]), 0.5)
    # States 00, 10, 01, 11 (neuron 0 first): z = (0, 1), (0, 0), (2, 1.5), (2, 0.5).
    drives = np.array([[0.0, 1.0], [0.0, 0.0], [2.0, -1.5], [-2.0, -0.5]])
    np.testing.assert_allclose(rates, np.exp(drives))
    generator = enumeration.generator(rates)
    np.testing.assert_allclose(generator.sum(axis=1), 0.0, atol=1e-12)
    assert generator[0, 1] == rates[0, 0]
    assert generator[0, 2] == rates[0, 1]
    assert generator[0, 3] == 0.0


@pytest.mark.parametrize("tau", [1.0, 0.25])
def test_symmetric_machines_have_one_law(tau: float) -> None:
    weights, bias = SYMMETRIC.weights, SYMMETRIC.bias
    law = enumeration.boltzmann(weights, bias, tau)
    flips = enumeration.flips(weights, bias, tau)
    rates = enumeration.rates(weights, bias, tau)
    for matrix in (
        enumeration.generator(rates),
        enumeration.sweep(flips) - np.eye(16),
        enumeration.random_step(flips) - np.eye(16),
    ):
        np.testing.assert_allclose(law @ matrix, 0.0, atol=1e-9)
        np.testing.assert_allclose(enumeration.stationary(matrix), law, atol=1e-9)
    late = enumeration.transient(enumeration.generator(rates), 5, 1000.0)
    np.testing.assert_allclose(late, law, atol=1e-9)


def test_self_edges_belong_to_the_energy() -> None:
    weights = SYMMETRIC.weights + np.diag([1.0, -0.5, 0.2, 0.0])
    generator = enumeration.generator(enumeration.rates(weights, SYMMETRIC.bias, 0.7))
    law = enumeration.boltzmann(weights, SYMMETRIC.bias, 0.7)
    np.testing.assert_allclose(law @ generator, 0.0, atol=1e-9)
    without = enumeration.boltzmann(SYMMETRIC.weights, SYMMETRIC.bias, 0.7)
    assert np.abs(without @ generator).max() > 1e-3


def test_spread_of_two_states() -> None:
    # A process that leaves 0 at rate a and 1 at rate b: variance 2 a b / (a + b)^3 (Norris 1997).
    a, b = 0.3, 2.0
    spread = enumeration.spread(np.array([[-a, a], [b, -b]]))
    expected = 2.0 * a * b / (a + b) ** 3
    np.testing.assert_allclose(spread, expected * np.array([[1, -1], [-1, 1]]), rtol=1e-9)


# ------------------------------------------------------------------------ McCulloch-Pitts machine
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("tau", "transitions", "options"),
    [
        (1.0, 40_000, {}),
        (1.0, 40_000, {"initial": "ones", "seed": 2**40 + 1, "weight_bits": 16}),
        (0.5, 20_000, {"seed": 7}),
        (0.25, 10_000, {"seed": 8}),
        (1.0, 20_000, {"window": 1}),  # windows end after 4 events
        (0.5, 20_000, {"window": 2}),
        (1.0, 40_000, {"window": 200}),
    ],
)
def test_the_mpm_has_its_law(
    engine: str, tau: float, transitions: int, options: dict[str, Any]
) -> None:
    result = follow_mpm(ASYMMETRIC, tau, transitions, engine=engine, **options)
    p_values = mpm_p_values(result, ASYMMETRIC, tau)
    assert accepted(p_values), p_values
    for off in (0.9 * tau, 1.1 * tau):
        control = mpm_p_values(result, ASYMMETRIC, off)
        assert control["jumps"] < BOUND
        assert control["occupation"] < BOUND


def test_window_target_changes_the_stream() -> None:
    first, second = (follow_mpm(ASYMMETRIC, 1.0, 100, window=target) for target in (1, 200))
    assert first.digest != second.digest


@pytest.mark.parametrize("engine", ENGINES)
def test_strong_coupling(engine: str) -> None:
    network = random_network(5, False, seed=11, coupling=10.0)
    result = follow_mpm(network, 1.0, 10_000, engine=engine, initial="random")
    p_values = mpm_p_values(result, network, 1.0)
    assert accepted(p_values), p_values
    assert mpm_p_values(result, network, 1.1)["jumps"] < BOUND


@pytest.mark.parametrize("engine", ENGINES)
def test_one_neuron_with_itself(engine: str) -> None:
    network = Small(np.array([[-1.5]]), np.array([0.4]))
    result = follow_mpm(network, 0.5, 50_000, engine=engine)
    p_values = mpm_p_values(result, network, 0.5)
    assert accepted(p_values), p_values
    assert mpm_p_values(result, network, 0.55)["occupation"] < BOUND


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("model", ["mpm", "bm"])
def test_bias_between_multiples_of_the_unit(model: str, engine: str) -> None:
    # int8: weights of 1 and 2 have the unit 2^-5; a bias of 0.3 is 9.6 of them, 0.28 is 8.96.
    weights = np.array([[0.0, 2.0, -1.0], [2.0, 0.0, 1.0], [-1.0, 1.0, 0.0]])
    network = Small(weights, np.array([0.3, -0.29, 0.28]))
    rounded = Small(weights, np.rint(network.bias * 32.0) / 32.0)
    assert not np.array_equal(network.bias, rounded.bias)
    for machine in (network, rounded):
        follow = follow_mpm if model == "mpm" else follow_bm
        last = () if model == "mpm" else ("random",)
        result = follow(machine, 1.0, 50_000, *last, engine=engine, weight_bits=8)
        p_values = (
            mpm_p_values(result, machine, 1.0)
            if model == "mpm"
            else bm_p_values(result, machine, 1.0, "random")
        )
        assert accepted(p_values), p_values


def test_a_large_bias_is_not_rounded_away() -> None:
    # One weight of 64 makes the unit of int8 weights 1; biases of 0.3 and -0.4 are less than half.
    weights = np.zeros((3, 3))
    weights[2, 2] = 64.0
    network = Small(weights, np.array([0.3, -0.4, -50.0]))
    result = follow_mpm(network, 1.0, 40_000, weight_bits=8)
    assert accepted(mpm_p_values(result, network, 1.0))
    without = Small(weights, np.array([0.0, 0.0, -50.0]))
    assert mpm_p_values(result, without, 1.0)["jumps"] < BOUND


@pytest.mark.parametrize("engine", ENGINES)
def test_symmetric_mpm_has_the_law_of_the_bm(engine: str) -> None:
    with_self_edges = Small(SYMMETRIC.weights + np.diag([1.0, -0.5, 0.2, 0.0]), SYMMETRIC.bias)
    for network, tau, transitions in (
        (SYMMETRIC, 1.0, 40_000),
        (SYMMETRIC, 0.5, 20_000),
        (with_self_edges, 1.0, 40_000),
    ):
        result = follow_mpm(network, tau, transitions, engine=engine)
        assert boltzmann_p_value(result, network, tau) > BOUND
        assert boltzmann_p_value(result, network, 1.1 * tau) < BOUND


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("time", [0.2, 1.0])
@pytest.mark.parametrize("window", [2, 30])  # many windows a run, or few
def test_law_at_a_time(engine: str, time: float, window: int) -> None:
    found = final_states(ASYMMETRIC, 0.25, time, 50, 200, engine=engine, window=window)
    assert found.sum() == 10_000
    assert transient_p_value(found, ASYMMETRIC, 0.25, time) > BOUND
    assert time < 1.0 or transient_p_value(found, ASYMMETRIC, 0.275, time) < BOUND
    assert transient_p_value(found, ASYMMETRIC, 0.25, 1.5 * time) < BOUND


# ---------------------------------------------------------------- controls: an engine that is wrong
def test_dropped_tickets_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the tickets that a rising rate reaches in the course of a window."""
    from distsim.laws.mcculloch_pitts import McCullochPitts

    def no_more(*_: object) -> int:
        return -(2**62)

    monkeypatch.setattr(McCullochPitts, "deepen", no_more)
    result = follow_mpm(ASYMMETRIC, 0.5, 20_000, window=200, engine="relax")
    assert not accepted(mpm_p_values(result, ASYMMETRIC, 0.5))


@pytest.mark.parametrize("engine", BY_WINDOW)
def test_windows_that_share_tickets_are_noticed(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distsim.laws.mcculloch_pitts import McCullochPitts

    true_close = McCullochPitts.close

    def close(self: McCullochPitts, *arguments: Any, **named: Any) -> NDArray[np.float64]:
        times = true_close(self, *arguments, **named)
        self.clock = self.clock._replace(number=self.clock.number // 2 * 2)
        return times

    monkeypatch.setattr(McCullochPitts, "close", close)
    result = follow_mpm(ASYMMETRIC, 1.0, 5000, engine=engine)
    assert not accepted(mpm_p_values(result, ASYMMETRIC, 1.0))


@pytest.mark.parametrize("engine", BY_WINDOW)
def test_a_window_cut_short_but_counted_whole_is_noticed(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distsim.laws.mcculloch_pitts import McCullochPitts

    true_close = McCullochPitts.close

    def close(self: McCullochPitts, *arguments: Any, early: bool) -> NDArray[np.float64]:
        return true_close(self, *arguments, early=False)

    monkeypatch.setattr(McCullochPitts, "close", close)
    result = follow_mpm(ASYMMETRIC, 1.0, 20_000, engine=engine, window=1)
    assert not accepted(mpm_p_values(result, ASYMMETRIC, 1.0))


# ------------------------------------------------------------------------------ Boltzmann machine
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("scan", ["sequential", "random"])
@pytest.mark.parametrize("tau", [1.0, 0.5])
def test_the_bm_has_its_law(engine: str, scan: str, tau: float) -> None:
    result = follow_bm(SYMMETRIC, tau, 100_000, scan, engine=engine, seed=5)
    p_values = bm_p_values(result, SYMMETRIC, tau, scan)
    assert accepted(p_values), p_values
    for off in (0.9 * tau, 1.1 * tau):
        assert max(bm_p_values(result, SYMMETRIC, off, scan).values()) < BOUND
    law = enumeration.boltzmann(SYMMETRIC.weights, SYMMETRIC.bias, tau)
    np.testing.assert_allclose(shares(result, scan), law, atol=0.02)


def shares(result: Result, scan: str) -> NDArray[np.float64]:
    """Fractions of sweeps (or random steps) that end in each state."""
    steps = result.summary.steps
    assert steps is not None
    every = 4 if scan == "sequential" else 1
    ends = step_path(result, steps)[every::every]
    return np.bincount(ends, minlength=16) / len(ends)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("scan", ["sequential", "random"])
def test_bm_at_zero_temperature(engine: str, scan: str, tmp_path: Path) -> None:
    # Neurons 0 and 1 excite each other, with a bias against one of them; neuron 2 is free: z = 0.
    weights = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    network = Small(weights, np.array([0.0, -1.0, 0.0]))
    file = tmp_path / "initial.npy"
    for initial in enumeration.states(3).astype(np.uint8):
        np.save(file, initial)
        result = follow_bm(network, 0.0, 60, scan, engine=engine, initial=str(file))
        assert bm_p_values(result, network, 0.0, scan)["updates"] > BOUND
        assert result.final[2] == initial[2]
        # A state that breaks no rule stays: 00, and 11 where z is 1 and 0; 01 and 10 decay.
        if initial[0] == initial[1]:
            np.testing.assert_array_equal(result.final, initial)


@pytest.mark.parametrize("bias", [0.3, -0.3, 1e-9, -1e-9])
def test_bm_at_zero_temperature_obeys_the_smallest_bias(bias: float) -> None:
    # int8: the unit is 2^-5, and the biases are less than half of one.
    weights = np.array([[0.0, 2.0], [2.0, 0.0]])
    result = simulate(
        weights, bias=[bias / 32.0, -5.0], model="bm", tau=0.0, steps=4, weight_bits=8,
        initial="zeros" if bias > 0.0 else "ones",
    )  # fmt: skip
    np.testing.assert_array_equal(result.final, [bias > 0.0, 0])


# ---------------------------------------------------------------------------------------- at size
@pytest.mark.parametrize("tau", [1.0, 0.25])
def test_transitions_are_a_martingale(tau: float, tmp_path: Path) -> None:
    """N = 1,000: each neuron's transitions minus the integral of its rate.

    M_i has mean 0 and variance E[integral of its rate], and M_i, M_j are uncorrelated: no two
    neurons change at once. So sum M_i^2 / integral_i is about chi-square with N degrees. Weighted
    by the drive s z before a transition it is the score of tau, and tells temperatures apart.
    """
    run, network = str(tmp_path / "run.h5"), str(tmp_path / "w.npz")
    shape = ["--neurons", "1000", "--coupling", "1", "--network-seed", "4"]
    length = ["--tau", str(tau), "--transitions", "50000", "--initial", "random"]
    start = ["run", "--network", "gaussian", *shape, *length, "--output", run]
    assert cli.main(start, Launch()) == 0
    assert cli.main(["network", "gaussian", *shape, "--output", network], Launch()) == 0
    with np.load(network) as file:
        weights, bias = file["weights"], file["bias"]
    events = read(run)

    count, expected, score = martingales(events, weights, bias, tau)
    statistic = ((count - expected) ** 2 / expected).sum()
    assert stats.chi2.sf(statistic, 1000) > BOUND
    assert stats.chi2.cdf(statistic, 1000) > BOUND
    deviation = (count - expected) / np.sqrt(expected)
    assert abs(deviation).max() < stats.norm.isf(BOUND / 2000)
    assert abs(count.sum() - expected.sum()) < 5 * math.sqrt(count.sum())
    assert stats.norm.sf(abs(score)) > BOUND
    for off in (0.9 * tau, 1.1 * tau):
        *_, score = martingales(events, weights, bias, off)
        assert stats.norm.sf(abs(score)) < BOUND


def martingales(
    events: Events, weights: NDArray[np.float64], bias: NDArray[np.float64], tau: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Transitions of each neuron and the integral of its rate, [N] each; the z-score of the sum of
    drives before transitions."""
    x = events.initial.astype(np.float64)
    z = weights @ x + bias
    columns = np.ascontiguousarray(weights.T)
    integral = np.zeros(len(x))
    drives = mean = variance = before = 0.0
    for time, neuron, state in zip(events.time, events.neuron, events.state, strict=True):
        drive = (1.0 - 2.0 * x) * z
        expected = (time - before) * np.exp(drive / (2.0 * tau))
        integral += expected
        mean += float(drive @ expected)
        variance += float(drive**2 @ expected)
        drives += drive[neuron]
        z += (float(state) - x[neuron]) * columns[neuron]
        x[neuron] = state
        before = time
    count = np.bincount(events.neuron, minlength=len(x)).astype(np.float64)
    return count, integral, (drives - mean) / math.sqrt(variance)


# -------------------------------------------------------------------------------- the statistics
def test_statistics_are_uniform_under_the_law() -> None:
    """p-values of counts and occupations drawn by NumPy from the law itself."""
    random = np.random.default_rng(1)
    law = np.array([[0.5, 0.3, 0.15, 0.049, 0.001], [0.2, 0.2, 0.2, 0.2, 0.2]])
    p_values = [
        chi_square(np.array([random.multinomial(300, row) for row in law], float), law)
        for _ in range(400)
    ]
    assert stats.kstest(p_values, "uniform").pvalue > 1e-4
    independent = np.diag(law[0]) - np.outer(law[0], law[0])
    p_values = [
        occupation(random.multinomial(20_000, law[0]).astype(float), law[0], independent)
        for _ in range(400)
    ]
    assert stats.kstest(p_values, "uniform").pvalue > 1e-4


def test_a_count_where_none_can_be() -> None:
    assert chi_square(np.array([[5.0, 1.0]]), np.array([[1.0, 0.0]])) == 0.0
    assert chi_square(np.array([[5.0, 0.0]]), np.array([[1.0, 0.0]])) == 1.0
