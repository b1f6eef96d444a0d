"""Tempering leaves the product of the rungs' laws as it is, against enumeration.

Bounds are fixed beforehand, as in test_law.py: a p-value above 10^-6 passes, and a control, which
swaps by the wrong sign, must fall below.
"""

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from distsim.chains.cpu import HostChain
from distsim.chains.opening import open_chain
from distsim.config.options import Config
from distsim.kernels.observe import REST_BITS
from distsim.laws.conditions import Conditions
from distsim.laws.tempering import Ladder
from distsim.networks.matrices import from_array
from distsim.ranks.communicator import Serial
from distsim.recording.recorder import Recorder
from distsim.studies import enumeration
from distsim.studies.small_networks import random_network
from distsim.studies.statistics import BOUND, chi_square

SMALL = random_network(4, True, seed=2)
BIAS = np.array([0.3, -0.2, 0.1, -0.4])  # with rests: no multiples of a weight unit
TAUS = np.array([0.4, 0.8, 1.6])
ROUNDS = 4000


@cache
def tempered(model: str, sign: int) -> tuple[NDArray[np.int64], Ladder]:
    """States of all rungs right after each swap, [rounds, rungs]; energies times `sign`."""
    length: dict[str, Any] = {"sweeps": 1} if model == "bm" else {"time": 1.0}
    every = 40.0 if model == "bm" else 10.0
    chains = []
    for replica in range(TAUS.size):
        config = Config(network="array", model=model, replica=replica, device="cpu", **length)
        chain = open_chain(
            from_array(SMALL.weights, BIAS), config, Serial(), None, Conditions.constant(0.4)
        )
        assert isinstance(chain, HostChain)
        chains.append((chain, Recorder(None, ROUNDS * every)))
    ladder, unit = Ladder(TAUS, 5), chains[0][0].shard.unit * 2.0**-REST_BITS
    found = np.empty((ROUNDS, TAUS.size), np.int64)
    for k in range(ROUNDS):
        energies = []
        for (chain, recorder), rung in zip(chains, ladder.rung, strict=True):
            end = (k + 1) * every
            chain.law.course.temper(float(TAUS[rung]), end)
            while chain.now() < end:
                chain.advance(recorder)
            assert chain.now() == end
            energies.append(sign * chain.shard.energy(chain.z, chain.x, chain.ranks))
            x = chain.x.astype(float)
            exact = -0.5 * x @ SMALL.weights @ x - BIAS @ x
            assert sign * energies[-1] * unit == pytest.approx(exact, abs=1e-6)
        ladder.swap(energies, unit)
        for (chain, _), rung in zip(chains, ladder.rung, strict=True):
            found[k, rung] = chain.x @ (1 << np.arange(4))
    return found, ladder


@pytest.mark.parametrize("model", ["mpm", "bm"])
def test_rungs_have_the_product_of_their_laws(model: str) -> None:
    laws = [enumeration.boltzmann(SMALL.weights, BIAS, tau) for tau in TAUS]
    for sign in (1, -1):
        found, ladder = tempered(model, sign)
        p_values = []
        for k, law in enumerate(laws):
            counts = np.bincount(found[:, k], minlength=16)[None].astype(float)
            p_values.append(chi_square(counts, law[None]))
        for k in (0, 1):
            pairs = np.bincount(16 * found[:, k] + found[:, k + 1], minlength=256)
            product = np.outer(laws[k], laws[k + 1]).reshape(1, -1)
            p_values.append(chi_square(pairs[None].astype(float), product))
        assert (min(p_values) > BOUND) == (sign == 1), p_values
        assert (ladder.tried == ROUNDS // 2).all()
        assert (ladder.accepted > ROUNDS // 8).all()
        if sign == 1:
            assert ladder.trips.sum() > ROUNDS // 40


def test_acceptance_is_what_the_laws_say() -> None:
    """The share of swaps of two rungs is the mean of min(1, exp(gap)) over their product."""
    _, ladder = tempered("bm", 1)
    x = enumeration.states(4)
    energy = -0.5 * np.einsum("ki,ij,kj->k", x, SMALL.weights, x) - x @ BIAS
    for k in (0, 1):
        laws = [enumeration.boltzmann(SMALL.weights, BIAS, tau) for tau in TAUS[k : k + 2]]
        gap = np.subtract.outer(energy, energy) * (1 / TAUS[k] - 1 / TAUS[k + 1])
        wanted = float(laws[0] @ np.minimum(1.0, np.exp(gap)) @ laws[1])
        share = ladder.accepted[k] / ladder.tried[k]
        assert abs(share - wanted) < 6.0 * np.sqrt(wanted * (1 - wanted) / ladder.tried[k])


def test_a_ladder_goes_on_where_it_stood() -> None:
    dice = np.random.default_rng(3)
    energies = [[int(e) for e in row] for row in dice.integers(-(2**45), 2**45, (60, 5))]
    taus = np.geomspace(0.5, 5.0, 5)
    whole, part = Ladder(taus, 9), Ladder(taus, 9)
    for row in energies:
        whole.swap(row, 2.0**-44)
    for row in energies[:23]:
        part.swap(row, 2.0**-44)
    rest = Ladder(taus, 9)
    rest.go_on(part.state())
    for row in energies[23:]:
        rest.swap(row, 2.0**-44)
    for name, value in whole.state().items():
        np.testing.assert_array_equal(rest.state()[name], value)
    assert whole.trips.sum() > 0
    assert sorted(whole.rung.tolist()) == list(range(5))
