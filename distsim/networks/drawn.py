"""Sparse networks that are a function of a seed: `random`, `ring` and `grid`."""

from __future__ import annotations

import math
from functools import cached_property
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from distsim.config.options import flag
from distsim.errors import InputError
from distsim.networks.distance import Strata, grid, ring

if TYPE_CHECKING:
    from distsim.config.options import Config
    from distsim.kernels.synapses import Synapses
    from distsim.weights.source import Offence, SparseRows

QUANTILES = 1 << 16
INHIBITORY, RATIO = 0.2, 4.0  # of weights by type
_ONE = 1 << 20  # a deviate of 1 in the table
SURELY = 7  # standard deviations of a number that no rank is over


def drawn(config: Config, neurons: int) -> Drawn:
    """The network of a configuration. Raises InputError for options that do not go together."""
    name, k = config.network, config.synapses
    allowed = f"{flag('synapses')} K, from 1 to {neurons}"
    if k is None:
        raise InputError(f"network {name}: no number of synapses given; allowed: {allowed}")
    if k > neurons:
        raise InputError(f"{flag('synapses')}: {k} given for {neurons} neurons; allowed: {allowed}")
    strata = _strata(config, neurons, k)
    bm, probability = config.model == "bm", config.degree == "probability"
    types = _types(config)
    if bm and (types is not None or probability or strata is not None):
        what = "weights by type" if types else "degree probability" if probability else f"{name}"
        raise InputError(
            f"network {name}: {what} given for the bm; allowed there: random with normal weights "
            "and degree stratified, which are symmetric"
        )
    return Drawn(
        name,
        neurons,
        k,
        1.0 if config.coupling is None else config.coupling,
        config.network_seed or 0,
        probability=probability,
        symmetric=bm,
        strata=strata,
        types=types,
    )


def _strata(config: Config, neurons: int, synapses: int) -> Strata | None:
    if config.network == "random":
        return None
    place = flag("width")
    if config.width is None:
        raise InputError(f"network {config.network}: no width given; allowed: {place} NUMBER")
    if config.network == "ring":
        return ring(place, neurons, config.width, synapses)
    side = math.isqrt(neurons)
    if side * side != neurons:
        raise InputError(
            f"{flag('neurons')}: {neurons} given for network grid; allowed: a square, such as "
            f"{side * side} or {(side + 1) ** 2}"
        )
    return grid(place, side, config.width, synapses)


def _types(config: Config) -> tuple[float, float] | None:
    """The share of inhibitory neurons and the ratio of weights by type."""
    if config.weights != "types":
        for name in ("inhibitory", "ratio"):
            if getattr(config, name) is not None:
                raise InputError(
                    f"{flag(name)}: {getattr(config, name)} given for normal weights; allowed: "
                    f"with {flag('weights')} types"
                )
        return None
    share = INHIBITORY
    if config.inhibitory is not None:
        if "=" in config.inhibitory:
            raise InputError(
                f"{flag('inhibitory')}: {config.inhibitory} given for network {config.network}; "
                "allowed: a share from 0 to 1"
            )
        share = float(config.inhibitory)
    return share, RATIO if config.ratio is None else config.ratio


class Drawn:
    """Each neuron has k targets, and weights of scale g / sqrt(k): a function of (seed, source,
    number of the synapse), of which a rank makes its own rows alone.

    probability: each of N neurons is a target with probability k / N instead; symmetric: pairs of
    neurons, k at most for each; strata: those of a kernel of distance (`networks.distance`).
    types: (share of neurons that are inhibitory, ratio): these have the weights -ratio g / sqrt(k),
    all others g / sqrt(k) (Brunel, J. Comput. Neurosci. 8 (2000) 183); None: normal weights.
    """

    formula = None
    names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    maxcut = False

    def __init__(
        self,
        name: str,
        neurons: int,
        synapses: int,
        coupling: float,
        seed: int,
        *,
        probability: bool = False,
        symmetric: bool = False,
        strata: Strata | None = None,
        types: tuple[float, float] | None = None,
    ) -> None:
        self.name = name
        self.neurons = neurons
        self.bias = np.zeros(neurons)
        self._k, self._scale, self._seed = synapses, coupling / math.sqrt(synapses), seed
        self._probability, self._symmetric, self._strata = probability, symmetric, strata
        self._inhibitory = -1 if types is None else round(types[0] * neurons)
        self._values = _normal() if types is None else np.array([1.0, -types[1]])
        self._values *= self._scale
        self._given: tuple[str, ...] | None = None

    @property
    def population(self) -> tuple[str, ...] | None:
        """The types, where weights are by type, and no table says otherwise."""
        if self._given is None and self._inhibitory >= 0:
            from distsim.kernels.synapses import types

            words = ("excitatory", "inhibitory")
            self._given = tuple(words[k] for k in types(self.synapses.rule))
        return self._given

    @population.setter
    def population(self, given: tuple[str, ...] | None) -> None:
        self._given = given

    @cached_property
    def synapses(self) -> Synapses:
        from distsim.kernels import synapses as kernels
        from distsim.kernels.pairings import pairing_keys

        kind = kernels.PROBABILITY if self._probability else kernels.STRATIFIED
        keys, gap = np.empty((0, 4), np.uint32), 0.0
        if self._probability and self._k < self.neurons:
            gap = kernels.gap(self._k / self.neurons)
        if self._symmetric:
            kind, keys = kernels.PAIRED, pairing_keys(np.uint64(self._seed), self._k)
        strata = Strata.none() if self._strata is None else self._strata
        if self._strata is not None:
            kind = kernels.OFFSETS
        rule = kernels.Rule(
            np.uint64(self._seed),
            kind,
            self.neurons,
            self._k,
            self._inhibitory,
            gap,
            keys,
            *strata,
        )
        return kernels.Synapses(rule, self._values)

    def rows(self, start: int, stop: int) -> NDArray[np.float64]:
        """float64[stop - start, N]."""
        row, source, weights = self.sparse_rows(start, stop)
        rows = np.zeros((stop - start, self.neurons))
        rows[np.repeat(np.arange(stop - start), np.diff(row)), source] = weights
        return rows

    def entries(self, start: int, stop: int) -> int:
        """At most so many, but for chances below 10^-11."""
        rows = stop - start
        expected = rows * self._k
        if self._symmetric or (rows == self.neurons and not self._probability):
            return expected
        return min(rows * self.neurons, math.ceil(expected + SURELY * math.sqrt(expected + SURELY)))

    def sparse_rows(self, start: int, stop: int) -> SparseRows:
        """Where each row begins, sources, weights."""
        from distsim.kernels.synapses import rows

        made: SparseRows = rows(*self.synapses, start, stop)
        return made

    def peak(self, start: int, stop: int) -> float:
        """A bound, the largest of the table, which is known without making all weights."""
        return float(np.abs(self._values).max())

    def asymmetry(self, start: int, stop: int, *, loops: bool = False) -> Offence | None:
        """Without symmetry one of the first pairs differs already, but for a coincidence."""
        if self._symmetric or self._scale == 0.0:
            return None
        for i in range(start, stop):
            row, column = self.rows(i, i + 1)[0], self._column(i)
            wrong = row != column
            wrong[i] = row[i] != 0.0 and not loops
            for j in np.flatnonzero(wrong)[:1]:
                return i, int(j), float(row[j]), float(column[j])
        return None

    def _column(self, j: int) -> NDArray[np.float64]:
        from distsim.kernels.synapses import column_of

        column = np.zeros(self.neurons)
        target, weights = column_of(*self.synapses, j)
        column[target] = weights
        return column


def _normal() -> NDArray[np.float64]:
    """Quantiles of the standard normal law, rounded to multiples of 2^-20: none is so near the
    middle of two that another library's logarithm would round it otherwise."""
    half = QUANTILES // 2
    law = NormalDist()
    upper = [round(law.inv_cdf((half + r + 0.5) / QUANTILES) * _ONE) for r in range(half)]
    table = np.array(upper, np.float64) / _ONE
    return np.concatenate([-table[::-1], table])
