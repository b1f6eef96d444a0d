"""`read`: a Result from an output file, finished or partial."""

import json
import os
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.config.kinds import short
from distsim.errors import InputError
from distsim.files.events import EVENTS, OBSERVABLES, partial_path
from distsim.front.result import Observables, Result
from distsim.recording import digest


def read(path: str | PathLike[str]) -> Result:
    """What an output file holds, also a partial one, of a run that was stopped.

    Such a file has no states at the end: they follow from the events. The Result has no summary and
    cannot go on. Raises InputError.
    """
    if not isinstance(path, str | PathLike):
        raise InputError(f"read: {short(path)} given; allowed: the path of an output file")
    found = contents(os.fspath(path))
    final, total = found.final, found.digest
    if final is None:
        final = _final(found.initial, found.neuron)
    if total is None:
        total = digest.of(found.time, found.neuron, found.state, final)
    return Result(
        found.time,
        found.neuron,
        found.state,
        found.initial,
        final,
        found.observables,
        None,
        found.config,
        digest=total,
        observables_digest=found.observables_digest,
    )


@dataclass(frozen=True)
class Contents:
    """What is in a file; final and digests: None where a partial file has none."""

    time: NDArray[np.float64]
    neuron: NDArray[np.int64]
    state: NDArray[np.uint8]
    initial: NDArray[np.uint8]
    final: NDArray[np.uint8] | None
    observables: Observables
    config: dict[str, Any]
    digest: str | None
    observables_digest: str | None


def contents(path: str) -> Contents:
    """Read an output file. Raises InputError."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            events = file.get("events")
            columns = {
                name: np.empty(0, kind) if events is None else events[name][:]
                for name, kind in EVENTS.items()
            }
            observables: Observables = {}
            if OBSERVABLES in file:
                _collect(file[OBSERVABLES], "", observables)
            return Contents(
                **columns,
                initial=file["state/initial"][:],
                final=file["state/final"][:] if "state/final" in file else None,
                observables=observables,
                config=json.loads(file.attrs["config"]),
                digest=file.attrs.get("digest"),
                observables_digest=file.attrs.get("observables_digest"),
            )
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else "not an HDF5 file"
        other = partial_path(path)
        there = f"; there is {other}" if not os.path.exists(path) and os.path.exists(other) else ""
        raise InputError(f"{path}: {reason}{there}") from None
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path}: not an output file of distsim: {error}") from None


def _collect(group: Any, before: str, found: Observables) -> None:
    """All datasets of a group and of those in it, by their names."""
    for name, item in group.items():
        if hasattr(item, "items"):
            _collect(item, f"{before}{name}/", found)
        else:
            found[before + name] = np.asarray(item[()])


def _final(initial: NDArray[np.uint8], neuron: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The states after all events, each of which changes one."""
    changes = np.bincount(neuron, minlength=initial.size)
    return (initial ^ (changes & 1)).astype(np.uint8)
