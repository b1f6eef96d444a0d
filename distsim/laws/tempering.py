"""Parallel tempering: chains at the rungs of a ladder of temperatures, which they swap.

After each round the chains on neighbouring rungs, alternately those of the pairs (0, 1), (2, 3) ...
and (1, 2), (3, 4) ..., swap their temperatures with the probability

    min(1, exp((E_a - E_b) (1 / T_a - 1 / T_b)))

which leaves the product of the rungs' Boltzmann laws as it is (Geyer 1991; Hukushima, Nemoto 1996;
alternating pairs: Okabe et al. 2001). Energies are integers, exact sums, and the uniform is a
function of seed, pair and round: all ranks decide alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.kernels.swap import log_uniforms

_NOWHERE, _UP, _DOWN = 0, 1, 2  # where a chain is heading: since it was on the first, the last rung


class Ladder:
    """Which of R chains is on which rung.

    taus: float64[R], of the rungs; rung: int64[R], of each chain; rounds: how many are done; tried,
    accepted: int64[R - 1], swaps of rungs k and k + 1; trips: int64[R], how often each chain came
    from the first rung to the last and back.
    """

    def __init__(self, taus: NDArray[np.float64], seed: int) -> None:
        size = taus.size
        self.taus = taus
        self.rung = np.arange(size)
        self.rounds = 0
        self.tried = np.zeros(size - 1, np.int64)
        self.accepted = np.zeros(size - 1, np.int64)
        self.trips = np.zeros(size, np.int64)
        self._heading = np.full(size, _NOWHERE)
        self._heading[0] = _UP
        self._seed = np.uint64(seed)
        log_uniforms(self._seed, 0, 0)  # compiled before a run's clock begins

    def swap(self, energies: Sequence[int], unit: float) -> None:
        """End a round. energies: of the chains, exact integers (`Shard.energy`); unit: what one of
        them stands for.

        Each operation on the way to a decision is rounded correctly: the same anywhere.
        """
        chain = np.argsort(self.rung)  # on each rung
        uniforms = log_uniforms(self._seed, self.rounds, self.tried.size)
        for k in range(self.rounds % 2, self.tried.size, 2):
            a, b = int(chain[k]), int(chain[k + 1])
            gap = float(energies[a] - energies[b]) * unit
            cold = 1.0 / float(self.taus[k]) - 1.0 / float(self.taus[k + 1])
            self.tried[k] += 1
            if uniforms[k] <= gap * cold:
                self.accepted[k] += 1
                self.rung[a], self.rung[b] = k + 1, k
        self.rounds += 1
        self._follow()

    def _follow(self) -> None:
        """Count who has come back."""
        back = (self.rung == 0) & (self._heading == _DOWN)
        self.trips[back] += 1
        self._heading[self.rung == 0] = _UP
        self._heading[(self.rung == self.tried.size) & (self._heading == _UP)] = _DOWN

    def state(self) -> dict[str, NDArray[Any]]:
        """What going on later takes: for a checkpoint."""
        return {
            "rung": self.rung.copy(),
            "rounds": np.array(self.rounds),
            "tried": self.tried.copy(),
            "accepted": self.accepted.copy(),
            "trips": self.trips.copy(),
            "heading": self._heading.copy(),
        }

    def go_on(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Stand where another one stood."""
        self.rung, self._heading = state["rung"].copy(), state["heading"].copy()
        self.rounds = int(state["rounds"])
        self.tried, self.accepted = state["tried"].copy(), state["accepted"].copy()
        self.trips = state["trips"].copy()
