"""Event files, read: what a run wrote, or has written so far.

/events/time       float64[K]   model time of each event; the step for a BM
/events/neuron     int64[K]     the neuron that changed state
/events/state      uint8[K]     its new state
/observables/...                by the names of `recording.observation`, where there are any
/network/names     text[N]      of the neurons, where they have them
/network/population  text[N]    of which each neuron is, where it is said
/conditions/...                 by the names of `laws.conditions`, where there are any
/state/initial     uint8[N]
/state/final       uint8[N]     at the end of the run
/provenance/1 ...  JSON of each attempt: when it began, after how many transitions, and where
attributes         config (JSON of every option), version; at the end digest, observables_digest

A file of several chains: `files.chains`.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from distsim.errors import InputError
from distsim.files import snapshot
from distsim.files.places import PARTIAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray


BLOCK = 1 << 20  # events, or values of observables, read at a time
OBSERVABLES = "observables"  # their group
CONDITIONS = "conditions"  # their group
NETWORK = "network"  # the group of what is known of neurons
ATTEMPTS = "provenance"  # the group of their records
EVENTS = {"time": "float64", "neuron": "int64", "state": "uint8"}


class SeveralChainsError(InputError):
    """A file holds more chains than one."""


def partial_path(path: str) -> str:
    """The name under which the file at `path` grows."""
    return path + PARTIAL


def end(
    config: Mapping[str, Any], neurons: int, time: NDArray[np.float64], *, partial: bool
) -> float:
    """Where a run ended, in model time or steps: as configured, or where it was last seen. time:
    when it was, such as of its events, float64[K]."""
    if not partial:
        if config["time"] is not None:
            return float(config["time"])
        if config["steps"] is not None:
            return float(config["steps"])
        if config["sweeps"] is not None:
            return float(config["sweeps"] * neurons)
    return float(time.max(initial=0.0))


@dataclass(frozen=True)
class Events:
    """What an output file holds; without events where none were asked for.

    partial: the run has not come to its end; then final and digest are None. names, population: of
    the neurons, N texts each, where the network has them. observables: arrays by
    the names of `recording.observation`, such as "energy" and "best/state". attempts: a record of
    the run's start, and of each time that it was resumed (none in files of earlier versions).
    """

    time: NDArray[np.float64]  # float64[K]
    neuron: NDArray[np.int64]  # int64[K]
    state: NDArray[np.uint8]  # uint8[K], the new state
    initial: NDArray[np.uint8]  # uint8[N]
    final: NDArray[np.uint8] | None  # uint8[N]
    config: dict[str, Any]
    digest: str | None
    version: str
    observables: dict[str, NDArray[Any]] = field(default_factory=dict)
    observables_digest: str | None = None
    attempts: list[dict[str, Any]] = field(default_factory=list)
    partial: bool = False
    names: tuple[str, ...] | None = None
    population: tuple[str, ...] | None = None


class Rows:
    """An observable of an open file, shape (samples, ...): read where it is sliced, in full rows.
    Raises InputError then."""

    def __init__(self, path: str, dataset: Any, samples: int) -> None:
        self.shape: tuple[int, ...] = (samples, *dataset.shape[1:])
        self._path = path
        self._dataset = dataset

    def __getitem__(self, part: slice) -> NDArray[Any]:
        with explained(self._path):
            found: NDArray[Any] = self._dataset[slice(*part.indices(self.shape[0]))]
        return found


class Opened:
    """An output file that is open, for events that no memory has room for.

    path: as it was asked for; head: all but its events and observables; transitions: K, the events
    that it has; observables: by name, `Rows` where there is a row a sample, else arrays.
    """

    def __init__(self, path: str, known: _Known) -> None:
        import numpy as np

        self.path = path
        none: dict[str, Any] = {name: np.empty(0, kind) for name, kind in EVENTS.items()}
        self.head = Events(**none, **known.fields)
        self.transitions = known.transitions
        self.observables: dict[str, Any] = {
            name: Rows(path, one, known.samples) for name, one in known.observables.items()
        } | known.totals
        self._events = known.events

    def last(self) -> NDArray[np.float64]:
        """The time of the last event, float64[1]; float64[0] where there is none."""
        if not self.transitions:
            return self.head.time
        with explained(self.path):
            found: NDArray[np.float64] = self._events["time"][
                self.transitions - 1 : self.transitions
            ]
        return found

    def blocks(self, *names: str) -> Iterator[tuple[NDArray[Any], ...]]:
        """Columns of the events, by their names in EVENTS: BLOCK events at a time, in order.

        May be called again. Raises InputError.
        """
        for start in range(0, self.transitions, BLOCK):
            part = slice(start, min(start + BLOCK, self.transitions))
            with explained(self.path):
                block = tuple(self._events[name][part] for name in names)
            yield block


@contextlib.contextmanager
def opened(path: str) -> Iterator[Opened]:
    """An output file, or the partial one, as `read`: as of a moment. Raises InputError, at the end
    too if the run was resumed meanwhile."""
    error: Exception | None = None
    with explained(path), _found(path) as known:
        try:
            yield Opened(path, known)
        except Exception as bad:  # the caller's, not of the file
            error = bad
    if error is not None:
        raise error


def read(path: str) -> Events:
    """Read an output file; where there is none, the partial one of a run that is at work or was
    stopped, `partial_path`. While a run writes it: as of a moment. Raises InputError."""
    while True:  # again, if it was resumed meanwhile
        with explained(path), contextlib.suppress(snapshot.CutBackError), _found(path) as known:
            return _look(known)


@contextlib.contextmanager
def explained(path: str) -> Iterator[None]:
    """Turn what h5py says of a file into InputError."""
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        reason = "not an HDF5 file"
        if error.errno:
            reason = error.strerror or os.strerror(error.errno)
        raise InputError(f"{path}: {reason}") from None
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"{path}: not an output file of distsim: {error}") from None


@contextlib.contextmanager
def _found(path: str) -> Iterator[_Known]:
    """The output file, or the partial one."""
    names = (path, partial_path(path), path)  # it may get its name meanwhile

    def learn(file: Any) -> _Known:
        return _learn(file, path)

    with contextlib.ExitStack() as stack:
        for name in names[:-1]:
            with contextlib.suppress(FileNotFoundError):
                known = stack.enter_context(snapshot.opened(name, learn, attempts))
                break
        else:
            known = stack.enter_context(snapshot.opened(names[-1], learn, attempts))
        yield known


class _Known(NamedTuple):
    """All of a file but its rows; the datasets that have them, by name, and how many they have, of
    equal lengths even where a write was broken off between them."""

    fields: dict[str, Any]
    totals: dict[str, NDArray[Any]]
    events: dict[str, Any]
    transitions: int
    observables: dict[str, Any]
    samples: int


def _learn(file: Any, path: str) -> _Known:
    import numpy as np

    config = json.loads(file.attrs["config"])
    if config.get("chains", 1) > 1:
        raise SeveralChainsError(
            f"{path}: holds {config['chains']:,} chains; allowed: a file of one chain (--replica r)"
        )
    partial = "digest" not in file.attrs
    fields = {
        "initial": file["state/initial"][:],
        "final": None if partial else file["state/final"][:],
        "config": config,
        "digest": file.attrs.get("digest"),
        "version": file.attrs["version"],
        "observables_digest": file.attrs.get("observables_digest"),
        "attempts": attempts(file),
        "partial": partial,
        "names": texts(file, "names"),
        "population": texts(file, "population"),
    }
    events = {name: file["events"][name] for name in EVENTS} if "events" in file else {}
    observables = datasets(file[OBSERVABLES]) if OBSERVABLES in file else {}
    rows = {name: one for name, one in observables.items() if None in one.maxshape}
    for dataset in (*events.values(), *rows.values()):
        snapshot.touch(dataset)
    return _Known(
        fields,
        {name: np.asarray(one[()]) for name, one in observables.items() if name not in rows},
        events,
        min(map(len, events.values()), default=0),
        rows,
        min(map(len, rows.values()), default=0),
    )


def _look(known: _Known) -> Events:
    import numpy as np

    columns = {name: one[: known.transitions] for name, one in known.events.items()}
    rows = {name: one[: known.samples] for name, one in known.observables.items()}
    return Events(
        **{name: columns.get(name, np.empty(0, kind)) for name, kind in EVENTS.items()},
        **known.fields,
        observables=rows | known.totals,
    )


def texts(file: Any, name: str) -> tuple[str, ...] | None:
    path = f"{NETWORK}/{name}"
    return tuple(file[path].asstr()[:]) if path in file else None


def attempts(file: Any) -> list[dict[str, Any]]:
    records = file.get(ATTEMPTS, {})
    return [json.loads(records[name][()]) for name in sorted(records, key=int)]


def datasets(group: Any) -> dict[str, Any]:
    """Name -> dataset, of all below a group."""
    names: list[str] = []
    group.visit(names.append)
    return {name: group[name] for name in names if hasattr(group[name], "maxshape")}
