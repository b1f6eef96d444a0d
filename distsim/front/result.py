"""What a run gives to Python: its events, its observables, and a way on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distsim import __version__
from distsim.config.conditions import shown
from distsim.errors import InputError
from distsim.exports.units import check_unit
from distsim.files.events import Events, end
from distsim.front.dataset import dataset, on_rungs
from distsim.front.options import Length
from distsim.front.plots import Plots, network_of
from distsim.front.trains import block
from distsim.pictures.run import of_events
from distsim.reports.report import check, write
from distsim.runs import report
from distsim.runs.results import Summary

if TYPE_CHECKING:
    import neo
    import xarray

Observables = dict[str, NDArray[Any]]
OF_ALL = ("moments", "moments_of", "moments_count")  # and best/...: not a row a sample


class AbsentError(InputError, AttributeError):
    """A result does not hold what is asked of it: what does."""


class Best(NamedTuple):
    """The lowest energy after any event, or at the start: its time, and its state, uint8[N]; of
    several chains float64[R], float64[R] and uint8[R, N]."""

    energy: Any
    time: Any
    state: NDArray[np.uint8]


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """A run: what happened, what was observed, where it ended.

    time: float64[K], neuron: int64[K], state: uint8[K] (the new states), empty with events=False;
    times are model time (mpm) or steps (bm). initial, final: uint8[N]. observables: arrays by the
    names of their datasets, "time", "energy", "best/state" (docs/python.md has all). names,
    population: of the neurons, N texts each, where the network has them. config: every option.
    partial: the run was stopped before its length.

    Of R chains arrays have a leading axis: initial, final: uint8[R, N], observables [R, D, ...];
    replicas, digests, observables_digests: of each. Events, with events=True, are of one chain
    after the other; chain: int64[K], the replica of each. Chains that Ctrl-C stopped are missing.

    Several ranks: events and observables are on the root alone, `root` says where.
    What was not observed, or is not here, raises AbsentError, an InputError and an AttributeError.
    """

    time: NDArray[np.float64]
    neuron: NDArray[np.int64]
    state: NDArray[np.uint8]
    initial: NDArray[np.uint8]
    final: NDArray[np.uint8]
    observables: Observables
    names: tuple[str, ...] | None
    config: dict[str, Any]
    digest: str
    observables_digest: str | None = None
    rank: int = 0
    ranks: int = 1
    partial: bool = False
    population: tuple[str, ...] | None = None
    chain: NDArray[np.int64] | None = None
    replicas: tuple[int, ...] = ()
    digests: tuple[str, ...] = ()
    observables_digests: tuple[str, ...] = ()
    tempering: dict[str, NDArray[Any]] = field(default_factory=dict)
    _summary: Summary | None = None
    _on: Callable[[Result, Length, bool | None], Result] | None = field(default=None)

    @property
    def root(self) -> bool:
        """Whether events and observables are here."""
        return self.rank == 0

    @property
    def summary(self) -> Summary:
        """What the run was and did."""
        if self._summary is None:
            raise AbsentError("summary: not in a file; allowed: of a run by simulate")
        return self._summary

    def of_chain(self, replica: int) -> Result:
        """One of several chains, as if it had run alone. Raises AbsentError."""
        if replica not in self.replicas:
            few = f"{self.replicas[0]} to {self.replicas[-1]}" if self.replicas else "none is here"
            raise AbsentError(f"of_chain: {replica} given; allowed: {few}")
        k, mine = self.replicas.index(replica), self.chain == replica
        observed = self.observables_digests
        return Result(
            self.time[mine],
            self.neuron[mine],
            self.state[mine],
            self.initial[k],
            self.final[k],
            {name: values[k] for name, values in self.observables.items()},
            self.names,
            {**self.config, "chains": 1, "replica": replica},
            digest=self.digests[k],
            observables_digest=observed[k] if observed else None,
            population=self.population,
        )

    def by_rung(self, name: str) -> NDArray[Any]:
        """An observable of whichever chain was on each rung, [R, D, ...]; of a tempered run."""
        return on_rungs(name, self.observed(name), self.tempering)

    def _one(self, name: str) -> None:
        """Refuse what only one chain can have, and only the root."""
        if not self.root:
            raise AbsentError(f"{name}: only the root can (rank {self.rank} of {self.ranks})")
        if self.config.get("chains", 1) > 1:
            raise AbsentError(
                f"{name}: {len(self.replicas)} chains are here; allowed: of one, by of_chain(r)"
            )

    # -------------------------------------------------------------------------------- observables
    def observed(self, name: str, option: str | None = None) -> NDArray[Any]:
        """An observable by the name of its dataset; option: what observes it. Raises
        AbsentError."""
        if not self.root:
            raise AbsentError(f"{name}: only the root has it (rank {self.rank} of {self.ranks})")
        if name not in self.observables:
            how = f"simulate(..., observe=['{option or name}'])"
            if name == "cut":
                how += " of a MaxCut, a network in rudy's format without biases"
            raise AbsentError(f"{name}: not observed; allowed: {how}")
        return self.observables[name]

    @property
    def observed_at(self) -> NDArray[np.float64]:
        """Times of the samples, float64[D]: model time (mpm) or sweeps (bm)."""
        return self.observed("time", "energy")

    @property
    def energy(self) -> NDArray[np.float64]:
        """E = -x'Wx/2 - b'x at each sample, float64[D]."""
        return self.observed("energy")

    @property
    def cut(self) -> NDArray[np.float64]:
        """The cut at each sample, float64[D], of a MaxCut."""
        return self.observed("cut", "energy")

    @property
    def activity(self) -> NDArray[np.float64]:
        """Share of neurons in state 1 at each sample, float64[D]."""
        return self.observed("activity")

    @property
    def mean_activity(self) -> NDArray[np.float64]:
        """The same, averaged over the interval before each sample, float64[D]."""
        return self.observed("mean_activity", "activity")

    @property
    def rates(self) -> NDArray[np.float64]:
        """Transitions 0 -> 1 a unit of time (mpm) or a sweep (bm), float64[D, N]."""
        return self.observed("rates")

    @property
    def occupation(self) -> NDArray[np.float64]:
        """Share of each interval in state 1, float64[D, N]."""
        return self.observed("occupation")

    @property
    def samples(self) -> NDArray[np.uint8]:
        """States, uint8[D, N]."""
        return np.unpackbits(self.observed("samples"), axis=-1, count=self.initial.shape[-1])

    @property
    def moments(self) -> NDArray[np.int64]:
        """Sums of x_i x_j over `moments_count` samples, int64[n, n]."""
        return self.observed("moments")

    @property
    def moments_of(self) -> NDArray[np.int64]:
        """The neurons of the moments, int64[n]."""
        return self.observed("moments_of", "moments")

    @property
    def moments_count(self) -> Any:
        """Samples that the moments sum up: an integer, of several chains int64[R]."""
        return self.observed("moments_count", "moments")[()]

    @property
    def best(self) -> Best:
        """The lowest energy of all events, its time and state."""
        energy, time, state = (
            self.observed(f"best/{name}", "best") for name in ("energy", "time", "state")
        )
        return Best(energy[()], time[()], state)

    # ------------------------------------------------------------------------------------- others
    def go_on(
        self,
        *,
        transitions: int | None = None,
        time: float | None = None,
        steps: int | None = None,
        sweeps: int | None = None,
        show_progress: bool | None = None,
    ) -> Result:
        """The run, gone on for so much more: exactly what one run of the whole length gives.

        One length of the model. The network must be what it was. Raises InputError.
        """
        if self.config.get("chains", 1) > 1:
            self._one("go_on")
        if self._on is None:
            raise AbsentError(
                "go_on: this result was read from a file or unpickled; allowed: of a run by "
                "simulate, or `distsim resume` of a run with --checkpoint"
            )
        return self._on(self, Length(transitions, time, steps, sweeps), show_progress)

    @property
    def plot(self) -> Plots:
        """Pictures: `result.plot.raster()`, `.rates()`, `.energy()` ... (docs/pictures.md)."""
        self._one("plot")
        events = self._events()
        return Plots(of_events(events, "result", lambda: network_of(self.config)))

    def report(self, path: str, *, overwrite: bool = False) -> None:
        """Write one page, .html, that holds the run: numbers, pictures, options, and how it is run
        again. Raises InputError, OutputError."""
        self._one("report")
        check(path, overwrite=overwrite)
        events = self._events()
        write(of_events(events, "result", lambda: network_of(self.config)), events, path)

    def to_xarray(self) -> xarray.Dataset:
        """Observables as an xarray.Dataset: dims chain (R), draw (D) and neuron (N).

        Raises InputError without xarray or observables.
        """
        if not self.root:
            raise AbsentError(f"to_xarray: only the root can (rank {self.rank} of {self.ranks})")
        if not self.observables:
            raise AbsentError("to_xarray: nothing observed; allowed: simulate(..., observe=[...])")
        samples = {"samples": self.samples} if "samples" in self.observables else {}
        attributes = self._about() | {"observables_digest": self.observables_digest or ""}
        names = range(self.initial.shape[-1]) if self.names is None else self.names
        observables = self.observables | samples
        if not self.replicas:
            observables = {name: values[None] for name, values in observables.items()}
        chains = self.replicas or (self.config.get("replica", 0),)
        return dataset(observables, chains, names, attributes, self.population)

    def to_neo(self, unit: str) -> neo.Block:
        """Spikes, the transitions 0 -> 1, as a neo.Block of one segment, a train for each neuron.

        unit: s, ms or us, what one of model time (mpm), or one step (bm), stands for. Raises
        InputError without Neo or events.
        """
        check_unit("to_neo", unit)
        self._one("to_neo")
        if not self.config["events"]:
            raise AbsentError("to_neo: a run without events; allowed: events=True")
        neurons, spikes = self.initial.size, self.state == 1
        if self._summary is None:
            last = end(self.config, neurons, self.time, partial=self.partial)
        else:
            last = self._summary.time
        return block(
            self.time[spikes], self.neuron[spikes], neurons, last, unit, self.names, self._about()
        )

    def _about(self) -> dict[str, str]:
        """Which run it was, for what is made of it."""
        return {
            "digest": self.digest,
            "config": json.dumps(self.config),
            "distsim": __version__,
        }

    def _events(self) -> Events:
        """As a file has them."""
        return Events(
            self.time,
            self.neuron,
            self.state,
            self.initial,
            self.final,
            self.config,
            self.digest,
            __version__,
            self.observables,
            self.observables_digest,
            partial=self.partial,
            names=self.names,
            population=self.population,
        )

    def __repr__(self) -> str:
        if self._summary is None:
            text = (
                f"model    {self.config['model']}, tau {shown(self.config['tau'])}, "
                f"seed {self.config['seed']}\n"
                f"network  {self.config['network']}, {self.initial.shape[-1]:,} neurons\n"
                f"{self._chains()}"
                f"length   {self.time.size:,} transitions{', partial' * self.partial}\n"
                f"digest   {self.digest}"
            )
        else:
            text = _described(self._summary)
        where = "" if self.root else f"\nhere     rank {self.rank} of {self.ranks}: no events"
        return f"<distsim.Result\n{text}{where}>"

    def _chains(self) -> str:
        return f"chains   {len(self.replicas):,}\n" if self.replicas else ""

    def __getstate__(self) -> dict[str, Any]:
        """For pickles and copies: without the network, so that it cannot go on."""
        return {**self.__dict__, "_on": None}


def _described(summary: Summary) -> str:
    """As after a run by command, without what is of files."""
    lines = report.summary(summary, None).splitlines()
    shown = [line for line in lines if line.split()[0] not in ("output", "saved", "stopped")]
    if summary.stopped is not None:
        shown.insert(-1, f"stopped  {summary.stopped}; go_on goes on")
    return "\n".join(shown)
