"""`read`: a Result from an output file, whole or partial."""

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
    """What an output file holds; where there is none, the partial one of a run that was stopped.

    A partial file has no states at the end and no digest: both follow from the events (without
    events, of events=False, they are empty), and `Result.partial` says so. The Result has no
    summary and cannot go on. Raises InputError.
    """
    if not isinstance(path, str | PathLike):
        raise InputError(f"read: {short(path)} given; allowed: the path of an output file")
    found = contents(os.fspath(path))
    final, total = found.final, found.digest
    if final is None or total is None:
        final, total = np.empty(0, np.uint8), ""
        if found.config.get("events", True):
            final = _final(found.initial, found.neuron)
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
        partial=found.partial,
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
    partial: bool


def contents(path: str) -> Contents:
    """Read an output file, or the partial one where there is none. Raises InputError."""
    import h5py

    partial = partial_path(path)
    if os.path.exists(partial) and not os.path.exists(path):
        path = partial
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
                partial="digest" not in file.attrs,
            )
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else "not an HDF5 file"
        raise InputError(f"{path}: {reason}") from None
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
