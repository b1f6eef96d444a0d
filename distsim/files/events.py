"""Event files, read: what a run wrote, or has written so far.

/events/time       float64[K]   model time of each event; the step for a BM
/events/neuron     int64[K]     the neuron that changed state
/events/state      uint8[K]     its new state
/observables/...                by the names of `recording.observation`, where there are any
/state/initial     uint8[N]
/state/final       uint8[N]     at the end of the run
/provenance/1 ...  JSON of each attempt: when it began, after how many transitions, and where
attributes         config (JSON of every option), version; at the end digest, observables_digest
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from distsim.errors import InputError
from distsim.files.places import PARTIAL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


BLOCK = 1 << 20  # events, or values of observables, read at a time
OBSERVABLES = "observables"  # their group
ATTEMPTS = "provenance"  # the group of their records
EVENTS = {"time": "float64", "neuron": "int64", "state": "uint8"}


def partial_path(path: str) -> str:
    """The name under which the file at `path` grows."""
    return path + PARTIAL


@dataclass(frozen=True)
class Events:
    """What an output file holds; without events where none were asked for.

    partial: the run has not come to its end; then final and digest are None. observables: arrays by
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


def read(path: str) -> Events:
    """Read an output file; where there is none, the partial one of a run that is at work or was
    stopped, `partial_path`. Raises InputError."""
    import h5py

    found = path
    if not os.path.exists(path) and os.path.exists(partial_path(path)):
        found = partial_path(path)
    try:
        with open(found, "rb") as bare, h5py.File(bare, "r") as file:
            return _events(file)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else "not an HDF5 file"
        raise InputError(f"{path}: {reason}") from None
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path}: not an output file of distsim: {error}") from None


def _events(file: Any) -> Events:
    partial = "digest" not in file.attrs
    time, neuron, state = _columns(file)
    return Events(
        time=time,
        neuron=neuron,
        state=state,
        initial=file["state/initial"][:],
        final=None if partial else file["state/final"][:],
        config=json.loads(file.attrs["config"]),
        digest=file.attrs.get("digest"),
        version=file.attrs["version"],
        observables=_observables(file),
        observables_digest=file.attrs.get("observables_digest"),
        attempts=_attempts(file),
        partial=partial,
    )


def _attempts(file: Any) -> list[dict[str, Any]]:
    records = file.get(ATTEMPTS, {})
    return [json.loads(records[name][()]) for name in sorted(records, key=int)]


def _columns(file: Any) -> list[NDArray[Any]]:
    """Time, neuron and state, of equal lengths even where a write was broken off between them."""
    import numpy as np

    if "events" not in file:
        return [np.empty(0, kind) for kind in EVENTS.values()]
    datasets = [file["events"][name] for name in EVENTS]
    count = min(map(len, datasets))
    return [dataset[:count] for dataset in datasets]


def _observables(file: Any) -> dict[str, NDArray[Any]]:
    """Name -> array; those with a row a sample are of equal lengths, as are `_columns`."""
    import numpy as np

    found: dict[str, Any] = {}
    if OBSERVABLES in file:
        names: list[str] = []
        file[OBSERVABLES].visit(names.append)
        found = {name: file[OBSERVABLES][name] for name in names}
    grown = {name: one for name, one in found.items() if None in (getattr(one, "maxshape", ()))}
    samples = min((len(one) for one in grown.values()), default=0)
    return {
        name: one[:samples] if name in grown else np.asarray(one[()])
        for name, one in found.items()
        if hasattr(one, "maxshape")  # a group has none
    }
