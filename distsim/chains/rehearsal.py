"""A chain before the chain: it has all kernels compiled or loaded, so that a run's clock need not.

Numba compiles a kernel when it is first called, for the types of its arguments. These follow from
the model, the engine, the bits of a weight, the integer of z, and from whether there are other
ranks. So a small chain that has them all, and meets all that a chain can meet, calls every kernel
that a run of that kind will call. It is made on this rank alone, and nothing of it stays.
"""

import functools

import numpy as np
from numpy.typing import NDArray

from distsim.chains.cpu import HostChain
from distsim.config.options import Config
from distsim.engines.engine import NONE
from distsim.kernels.energy import without_lift
from distsim.laws.conditions import Conditions
from distsim.networks.matrices import from_array
from distsim.ranks.communicator import Serial
from distsim.recording.observation import Observation, Plan
from distsim.recording.recorder import Recorder

Kind = type[np.int32] | type[np.int64]

_NEURONS = 64  # even: as many of this rank as of another one
_TRANSITIONS = 1500


class _Pair(Serial):
    """This rank, and a second one whose neurons do nothing; memory is laid out as MPI's is."""

    size = 2

    def exchange(
        self, words: NDArray[np.uint64], stop: int
    ) -> tuple[NDArray[np.uint64], NDArray[np.int64], int]:
        received = np.zeros((2, 2 + 64 + words.size), np.uint64)
        received[0, 2 : 2 + words.size] = words
        return received[:, 2:], np.array([words.size, 0]), stop

    def gather(self, states: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.concatenate([states, np.zeros_like(states)])


def rehearse(config: Config, kind: Kind, storage: str, *, several_ranks: bool) -> None:
    """Run a small chain with this configuration's model, engine, bits and observables, and this
    kind of z and storage."""
    kernels = (config.model, config.engine, config.weight_bits, kind is np.int64, storage)
    _rehearse(*kernels, several_ranks, config.observe is not None, config.energies)


@functools.cache
def _rehearse(
    model: str,
    engine: str,
    bits: int,
    wide: bool,
    storage: str,
    several_ranks: bool,
    observed: bool,
    energies: bool,
) -> None:
    names = ("energy" if energies else "activity") if observed else None
    config = Config(
        network="array",
        model=model,
        engine=engine,
        weight_bits=bits,
        storage=storage,
        transitions=_TRANSITIONS,
        observe=names,
    )
    weights = np.random.default_rng(1).normal(0.0, 1.0, (_NEURONS, _NEURONS))
    if model == "bm":
        weights = np.triu(weights, 1) + np.triu(weights, 1).T
    pair = several_ranks and engine != "walk"  # which has the same kernels on one rank
    ranks = _Pair() if pair else Serial()
    states = np.zeros(_NEURONS, np.uint8)
    kind = np.int64 if wide else np.int32
    constant = Conditions.constant(config.tau)
    chain = HostChain(from_array(weights), config, ranks, states, constant, kind)
    observation = None
    if observed:
        what = Plan(
            config.observed, _NEURONS, 1.0, 1, np.empty(0, np.int64), chain.shard.unit, False
        )
        observation = Observation(what, chain.shard.start(states, ranks))
    recorder = Recorder(config.transitions, None, observation=observation)
    while not recorder.finished(chain.now()):
        chain.advance(recorder)
    recorder.end(over=True)
    chain.consistent(chain.final())
    if energies:
        without_lift(NONE, np.empty(0, np.uint64), NONE)
