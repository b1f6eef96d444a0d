"""The exact law of a small network, by enumeration of its 2^N states.

    state number k has x_i = bit i of k;   s = 1 - 2 x;   z = W x + b

Plain floating-point linear algebra that shares nothing with the engines: no tickets, no windows, no
integers. All arrays are float64, S = 2^N: rates and flips [S, N] are of neuron i in state k,
generators and transition matrices [S, S] go from row to column.

Kemeny, Snell, "Finite Markov Chains" (1960); Norris, "Markov Chains" (1997).
"""

from functools import reduce
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm
from scipy.special import expit

Floats: TypeAlias = NDArray[np.float64]


def states(neurons: int) -> Floats:
    """x of every state, [S, N]."""
    return (np.arange(1 << neurons)[:, None] >> np.arange(neurons) & 1).astype(np.float64)


def drives(weights: Floats, bias: Floats) -> Floats:
    """s z of every neuron in every state, [S, N]: what drives it to change."""
    x = states(len(bias))
    return (1.0 - 2.0 * x) * (x @ weights.T + bias)


def boltzmann(weights: Floats, bias: Floats, temperature: float) -> Floats:
    """exp(-E / T) / Z, E = -x'Wx/2 - b'x, of every state, [S]."""
    x = states(len(bias))
    energy = -0.5 * np.einsum("ki,ij,kj->k", x, weights, x) - x @ bias
    factor: Floats = np.exp((energy.min() - energy) / temperature)
    law: Floats = factor / factor.sum()
    return law


# ------------------------------------------------------------------------ McCulloch-Pitts machine
def rates(weights: Floats, bias: Floats, tau: float) -> Floats:
    """lambda_i = exp(s_i z_i / (2 tau)), [S, N]."""
    lambdas: Floats = np.exp(drives(weights, bias) / (2.0 * tau))
    return lambdas


def generator(rates: Floats) -> Floats:
    """The generator Q of the jump process with these rates."""
    matrix = _moves(rates)
    np.fill_diagonal(matrix, -rates.sum(axis=1))
    return matrix


def transient(generator: Floats, start: int, time: float) -> Floats:
    """The law at `time` of the process that starts in state number `start`, [S]."""
    law: Floats = expm(generator * time)[start]
    return law


# ------------------------------------------------------------------------------ Boltzmann machine
def flips(weights: Floats, bias: Floats, temperature: float) -> Floats:
    """Probability that a neuron that is visited changes state, [S, N].

    sigma(s z / T), the probability of the other state; at T = 0: 1 if s z > 0, else 0.
    """
    drive = drives(weights, bias)
    if temperature == 0.0:
        return (drive > 0.0).astype(np.float64)
    probability: Floats = expit(drive / temperature)
    return probability


def visit(flips: Floats, neuron: int) -> Floats:
    """Transition matrix of a visit to one neuron."""
    matrix = _moves(np.where(np.arange(flips.shape[1]) == neuron, flips, 0.0))
    np.fill_diagonal(matrix, 1.0 - flips[:, neuron])
    return matrix


def sweep(flips: Floats) -> Floats:
    """Transition matrix of N steps of the sequential scan."""
    steps = [visit(flips, i) for i in range(flips.shape[1])]
    matrix: Floats = reduce(np.matmul, steps)
    return matrix


def random_step(flips: Floats) -> Floats:
    """Transition matrix of a step of the random scan."""
    steps = [visit(flips, i) for i in range(flips.shape[1])]
    matrix: Floats = np.mean(steps, axis=0)
    return matrix


# -------------------------------------------------------------------------------------- long runs
def stationary(generator: Floats) -> Floats:
    """The law pi with pi Q = 0, [S]. For a transition matrix P give P - 1."""
    size = len(generator)
    law = np.linalg.solve((generator + np.ones((size, size))).T, np.ones(size))
    return law.astype(np.float64)


def spread(generator: Floats) -> Floats:
    """Covariances of the fractions of time spent in each state, times the time, [S, S].

    Of a long run of a jump process; for a transition matrix P give P - 1, and subtract
    diag(pi) - pi pi'.
    """
    law = stationary(generator)
    deviation = np.linalg.inv(law[None, :] - generator) - law[None, :]
    half: Floats = law[:, None] * deviation
    return half + half.T


def _moves(of_neuron: Floats) -> Floats:
    """The matrix with entry [k, k with bit i changed] = of_neuron[k, i], zero elsewhere."""
    size, neurons = of_neuron.shape
    matrix = np.zeros((size, size))
    k = np.arange(size)
    for i in range(neurons):
        matrix[k, k ^ (1 << i)] = of_neuron[:, i]
    return matrix
