"""Conditions: what is constant until a time that is known beforehand.

A temperature schedule, clamps and a stimulus are one thing to a law: values that hold from one
change to the next. Windows end at changes, whose times are fixed before the chain begins: by the
strong Markov property it keeps its law.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Conditions:
    """What holds when, for one chain. Times are model time (MPM) or steps (BM, whole numbers).

    times: float64[S], rising, the first is 0: from then on the temperature is taus: float64[S].
    clamped: int64[C], rising: neurons that stay in the states held: uint8[C].
    start, stop: float64[M]; neuron: int64[M]; bias: float64[M]: what is added to a neuron's bias
    from start on, until stop.
    """

    times: NDArray[np.float64]
    taus: NDArray[np.float64]
    clamped: NDArray[np.int64]
    held: NDArray[np.uint8]
    start: NDArray[np.float64]
    stop: NDArray[np.float64]
    neuron: NDArray[np.int64]
    bias: NDArray[np.float64]

    @staticmethod
    def constant(tau: float | str) -> Conditions:
        """One temperature for ever, and nothing else."""
        whole, real = np.empty(0, np.int64), np.empty(0)
        return Conditions(
            np.zeros(1),
            np.array([float(tau)]),
            whole,
            np.empty(0, np.uint8),
            real,
            real,
            whole,
            real,
        )

    @staticmethod
    def of(arrays: Mapping[str, NDArray[Any]]) -> Conditions:
        """Those whose `arrays` these are."""
        return Conditions(**arrays)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """For files: by the names of the fields."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def plain(self) -> bool:
        """Whether there is one temperature and nothing else."""
        return self.times.size == 1 and not self.clamped.size and not self.start.size

    @cached_property
    def driven(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """int64[U], rising: the neurons that a stimulus has; int64[M]: which of them each is of."""
        neurons, which = np.unique(self.neuron, return_inverse=True)
        return neurons, which

    @cached_property
    def turns(self) -> NDArray[np.float64]:
        """float64[T], rising: when biases change."""
        turns: NDArray[np.float64] = np.unique(np.concatenate([self.start, self.stop]))
        return turns[np.isfinite(turns)]

    def added(self, time: float) -> NDArray[np.float64]:
        """float64[U]: what is added to the biases of the driven neurons at this time."""
        neurons, which = self.driven
        now = (self.start <= time) & (time < self.stop)
        found = np.zeros(neurons.size)
        np.add.at(found, which[now], self.bias[now])  # one after the other
        return found

    def largest_bias(self) -> float:
        """The largest magnitude that is ever added to a bias."""
        return max((float(np.abs(self.added(turn)).max()) for turn in self.turns), default=0.0)

    def kept(self) -> dict[str, NDArray[Any]]:
        """`arrays`, for who goes on later; none where there is but one temperature."""
        return {} if self.plain else self.arrays()

    def counts(self) -> dict[str, int] | None:
        """How many there are of each kind; None where there is but one temperature."""
        if self.plain:
            return None
        return {
            "temperatures": self.times.size,
            "clamped": self.clamped.size,
            "stimuli": self.start.size,
        }

    def digest(self) -> str:
        """Equal digests, equal conditions."""
        found = hashlib.blake2b(digest_size=8)
        for name, values in self.arrays().items():
            found.update(f"{name} {values.dtype} {values.size} ".encode() + values.tobytes())
        return found.hexdigest()

    def hold(self, states: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """These states, uint8[N], with those of clamped neurons."""
        states = states.copy()
        states[self.clamped] = self.held
        return states
