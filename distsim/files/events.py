"""Event files, read: what a run wrote.

/events/time      float64[K]   model time of each event; the step for a BM
/events/neuron    int64[K]     the neuron that changed state
/events/state     uint8[K]     its new state
/state/initial    uint8[N]
/state/final      uint8[N]
attributes        config (JSON of every option), digest, version
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distsim.errors import InputError
from distsim.files.places import PARTIAL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


BLOCK = 1 << 20  # events, or values of observables, read at a time
OBSERVABLES = "observables"  # their group
EVENTS = {"time": "float64", "neuron": "int64", "state": "uint8"}


def partial_path(path: str) -> str:
    """The name under which the file at `path` grows."""
    return path + PARTIAL


@dataclass(frozen=True)
class Events:
    """What an output file holds."""

    time: NDArray[np.float64]  # float64[K]
    neuron: NDArray[np.int64]  # int64[K]
    state: NDArray[np.uint8]  # uint8[K], the new state
    initial: NDArray[np.uint8]  # uint8[N]
    final: NDArray[np.uint8]  # uint8[N]
    config: dict[str, Any]
    digest: str
    version: str


def read(path: str) -> Events:
    """Read an output file. Raises InputError."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return Events(
                **{name: file["events"][name][:] for name in EVENTS},
                initial=file["state/initial"][:],
                final=file["state/final"][:],
                config=json.loads(file.attrs["config"]),
                digest=file.attrs["digest"],
                version=file.attrs["version"],
            )
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else "not an HDF5 file"
        raise InputError(f"{path}: {reason}") from None
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path}: not an output file of distsim: {error}") from None
