"""Runs of small networks, whose states can be enumerated, and their p-values against the exact law.

What a run did is compared with `enumeration`, by statistics that are exact for long runs:

| what | statistic |
|---|---|
| jumps | given the state: next neuron, quarter of its law that holds the time: chi-square |
| holding | holding time x rate against the exponential law: Kolmogorov-Smirnov |
| memory | quarters of successive holding times, 4 x 4 equal cells: chi-square |
| updates | what a step does, given the state: chi-square |
| occupation | fractions of time in each state, with their asymptotic covariances: chi-square |

Given the state, what follows is independent of the past (strong Markov property), so that counts
are multinomial.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from distsim.front.result import Result
from distsim.front.simulate import alone
from distsim.studies import enumeration
from distsim.studies.enumeration import Floats
from distsim.studies.statistics import (
    chi_square,
    histogram,
    jump_occupation,
    occupation,
    step_occupation,
)


@dataclass(frozen=True)
class Small:
    """A network whose states can be enumerated: weights [N, N], bias [N]."""

    weights: Floats
    bias: Floats

    @property
    def neurons(self) -> int:
        return len(self.bias)


# ------------------------------------------------------------------------------------------ runs
def random_network(neurons: int, symmetric: bool, seed: int, coupling: float = 3.0) -> Small:
    """Weights normal(0, coupling / sqrt(N)), biases normal(0, 1/4).

    Without symmetry there are self-edges, with it there are none.
    """
    random = np.random.default_rng(seed)
    weights = random.normal(0.0, coupling / np.sqrt(neurons), (neurons, neurons))
    if symmetric:
        weights = (weights + weights.T) / np.sqrt(2.0)
        np.fill_diagonal(weights, 0.0)
    return Small(weights, random.normal(0.0, 0.25, neurons))


def follow_mpm(network: Small, tau: float, transitions: int, **options: Any) -> Result:
    """So many transitions of the McCulloch-Pitts machine."""
    return alone(network.weights, bias=network.bias, tau=tau, transitions=transitions, **options)


def follow_bm(network: Small, tau: float, steps: int, scan: str, **options: Any) -> Result:
    """So many steps of the Boltzmann machine."""
    return alone(
        network.weights, bias=network.bias, model="bm", tau=tau, steps=steps, scan=scan, **options
    )


def number(x: NDArray[np.uint8]) -> int:
    """The number of a state."""
    return int(x.astype(np.int64) @ (1 << np.arange(len(x))))


def path(result: Result) -> NDArray[np.int64]:
    """Numbers of the states before each event and after the last, int64[K + 1]."""
    changes = np.left_shift(1, result.neuron)
    return np.bitwise_xor.accumulate(np.append(number(result.initial), changes))


def step_path(result: Result, steps: int) -> NDArray[np.int64]:
    """Numbers of the states of a BM before each step and after the last, int64[steps + 1]."""
    changes = np.zeros(steps + 1, np.int64)
    changes[0] = number(result.initial)
    changes[result.time.astype(np.int64)] = np.left_shift(1, result.neuron)
    return np.bitwise_xor.accumulate(changes)


# ------------------------------------------------------------------------------------- statistics
def mpm_p_values(result: Result, network: Small, tau: float) -> dict[str, float]:
    """A run of the McCulloch-Pitts machine against its law at `tau`."""
    rates = enumeration.rates(network.weights, network.bias, tau)
    total = rates.sum(axis=1)
    state = path(result)[:-1]
    holding = np.diff(result.time, prepend=0.0)
    scaled = holding * total[state]
    quarter = np.minimum(3, (-4.0 * np.expm1(-scaled)).astype(np.int64))
    n = network.neurons

    counts = histogram((len(total), 4 * n), state, 4 * result.neuron + quarter)
    jumps = np.repeat(rates / total[:, None] / 4.0, 4, axis=1)
    pairs = 4 * quarter[:-1:2] + quarter[1::2]
    spent = np.bincount(state, holding, len(total)).astype(np.float64)
    return {
        "jumps": chi_square(counts, jumps),
        "holding": float(stats.kstest(scaled, "expon").pvalue),
        "memory": chi_square(histogram((1, 16), 0 * pairs, pairs), np.full((1, 16), 1.0 / 16.0)),
        "occupation": jump_occupation(spent, enumeration.generator(rates)),
    }


def bm_p_values(result: Result, network: Small, tau: float, scan: str) -> dict[str, float]:
    """A run of the Boltzmann machine against its law at temperature `tau`."""
    assert result.summary.steps is not None
    flips = enumeration.flips(network.weights, network.bias, tau)
    size, n = flips.shape
    state = step_path(result, result.summary.steps)
    change = state[1:] ^ state[:-1]
    changed = np.where(change == 0, n, np.log2(np.maximum(change, 1)).astype(np.int64))
    if scan == "sequential":  # a row for each state and visited neuron
        row = state[:-1] * n + np.arange(len(change)) % n
        cells = np.zeros((size, n, n + 1))
        cells[:, range(n), range(n)] = flips
        cells[:, :, n] = 1.0 - flips
        cells = cells.reshape(size * n, n + 1)
        observed, transition = state[n::n], enumeration.sweep(flips)
    else:
        row = state[:-1]
        cells = np.column_stack([flips / n, 1.0 - flips.sum(axis=1) / n])
        observed, transition = state[1:], enumeration.random_step(flips)
    p_values = {"updates": chi_square(histogram(cells.shape, row, changed), cells)}
    if tau > 0.0:
        visits = np.bincount(observed, minlength=size).astype(np.float64)
        p_values["occupation"] = step_occupation(visits, transition)
    return p_values


def boltzmann_p_value(result: Result, network: Small, tau: float) -> float:
    """Occupation of a run of the McCulloch-Pitts machine with symmetric weights against
    exp(-E / tau) / Z."""
    law = enumeration.boltzmann(network.weights, network.bias, tau)
    state = path(result)[:-1]
    holding = np.diff(result.time, prepend=0.0)
    spent = np.bincount(state, holding, len(law)).astype(np.float64)
    generator = enumeration.generator(enumeration.rates(network.weights, network.bias, tau))
    return occupation(spent, law, enumeration.spread(generator))


def final_states(
    network: Small, tau: float, time: float, copies: int, runs: int, **options: Any
) -> Floats:
    """How often the McCulloch-Pitts machine is in each state at `time`, from state 0, [S].

    Each run, by seed, is of so many copies side by side, which do not see each other.
    """
    weights = np.kron(np.eye(copies), network.weights)
    bias = np.tile(network.bias, copies)
    found = np.zeros(1 << network.neurons)
    for seed in range(runs):
        result = alone(weights, bias=bias, tau=tau, time=time, seed=seed, **options)
        numbers = result.final.reshape(copies, -1) @ (1 << np.arange(network.neurons))
        found += np.bincount(numbers, minlength=len(found))
    return found


def transient_p_value(found: Floats, network: Small, tau: float, time: float) -> float:
    """Final states of independent runs from state 0 against the law at `time`."""
    generator = enumeration.generator(enumeration.rates(network.weights, network.bias, tau))
    return chi_square(found[None, :], enumeration.transient(generator, 0, time)[None, :])
