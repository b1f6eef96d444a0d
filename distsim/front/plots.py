"""`result.plot`: pictures of a result, in a notebook or in one's own figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from distsim.config.network import GIVEN
from distsim.config.options import Config, of_role
from distsim.config.roles import Role
from distsim.errors import InputError
from distsim.networks.catalogue import open_network
from distsim.networks.matrices import from_array
from distsim.pictures import kinds
from distsim.pictures.run import Run, Selection

if TYPE_CHECKING:
    from distsim.pictures.figure import Axes, Figure
    from distsim.weights.source import Network

Neurons = Sequence[int] | None


def network_of(config: Mapping[str, Any]) -> Network:
    """The network that the configuration of an output file names, as it is now. Raises
    InputError."""
    if config["network"] == GIVEN:
        raise InputError(
            "its network was an array of a Python program; allowed: one that has a name, or "
            "result.plot.weights(W) in Python"
        )
    known: dict[str, Any] = {name: config.get(name) for name in ("model", *of_role(Role.NETWORK))}
    return open_network(Config(**known, transitions=1))


class Plots:
    """Pictures of a run: each method draws one and returns matplotlib's figure, which a notebook
    shows; no pyplot takes part, and no backend changes.

    ax: axes to draw on; their figure is returned. start, stop: model time (mpm) or sweeps (bm).
    neurons: which ones, in this order. sort: none, rate (the busiest on top) or population. Raises
    InputError for what was not observed, or cannot be drawn so.
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    def overview(
        self,
        *,
        start: float | None = None,
        stop: float | None = None,
        neurons: Neurons = None,
        sort: str = "none",
    ) -> Figure:
        """Raster, rate and share of neurons in state 1."""
        return self._draw("overview", None, Selection(start, stop, neurons, sort))

    def raster(
        self,
        ax: Axes | None = None,
        *,
        start: float | None = None,
        stop: float | None = None,
        neurons: Neurons = None,
        sort: str = "none",
    ) -> Figure:
        """Transitions 0 -> 1: dots, or how many a cell where they are many."""
        return self._draw("raster", ax, Selection(start, stop, neurons, sort))

    def rates(
        self,
        ax: Axes | None = None,
        *,
        start: float | None = None,
        stop: float | None = None,
        neurons: Neurons = None,
        sort: str = "none",
    ) -> Figure:
        """The rate of each neuron; without `ax` a histogram beside it."""
        return self._draw("rates", ax, Selection(start, stop, neurons, sort))

    def energy(
        self, ax: Axes | None = None, *, start: float | None = None, stop: float | None = None
    ) -> Figure:
        """The energy at each sample."""
        return self._draw("energy", ax, Selection(start, stop))

    def activity(
        self,
        ax: Axes | None = None,
        *,
        start: float | None = None,
        stop: float | None = None,
        neurons: Neurons = None,
    ) -> Figure:
        """The share of neurons in state 1, as observed or from the events."""
        return self._draw("activity", ax, Selection(start, stop, neurons))

    def correlation(
        self,
        ax: Axes | None = None,
        *,
        start: float | None = None,
        stop: float | None = None,
        neurons: Neurons = None,
        sort: str = "none",
    ) -> Figure:
        """The correlation of each two neurons, from moments or samples."""
        return self._draw("correlation", ax, Selection(start, stop, neurons, sort))

    def weights(
        self, W: Any = None, ax: Axes | None = None, *, neurons: Neurons = None, sort: str = "none"
    ) -> Figure:
        """The Hinton diagram of W, an array or scipy.sparse matrix [N, N]; not given: the network
        that the run's configuration names."""
        run = self._run if W is None else replace(self._run, network=lambda: from_array(W, None))
        return self._draw("weights", ax, Selection(neurons=neurons, sort=sort), run)

    def samples(
        self,
        ax: Axes | None = None,
        *,
        start: float | None = None,
        stop: float | None = None,
        neurons: Neurons = None,
        sort: str = "none",
    ) -> Figure:
        """The states at each sample."""
        return self._draw("samples", ax, Selection(start, stop, neurons, sort))

    def autocorrelation(
        self, ax: Axes | None = None, *, start: float | None = None, stop: float | None = None
    ) -> Figure:
        """Of energy and activity, with their integrated times."""
        return self._draw("autocorrelation", ax, Selection(start, stop))

    def _draw(
        self, kind: str, ax: Axes | None, selection: Selection, run: Run | None = None
    ) -> Figure:
        figure: Figure = kinds.draw(kind, run or self._run, selection, axes=ax)
        return figure
