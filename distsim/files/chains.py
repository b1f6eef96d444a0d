"""Files of several chains, read. Each is written at the end of its run, so it is whole.

/chains/digest     text[R]      of each chain, by replica; the attribute is of all
/chains/observables_digest  text[R]  the same of observables, where there are any
/chains/transitions  int64[R]   events of each
/chains/time       float64[R]   model time, or steps, where each ended
/events/time, neuron, state     as of one chain, chain after chain, where they were asked for
/events/chain      int64[K]     whose each event is
/observables/...                as of one chain, with a leading axis R
/tempering/taus    float64[R]   of the rungs, where chains swap temperatures
/tempering/rung    int64[rounds, R]  of each chain, in each round
/tempering/chain   int64[D, R]  on each rung, at each sample of observables
/tempering/tried, accepted  int64[R - 1]  swaps of a rung and the next
/tempering/round_trips  int64[R]  of each chain
/tempering/every                of a round, in model time or steps
/conditions/...                 as of one chain; /conditions/0 ... where each has others
/state/initial, final  uint8[R, N]

Names, attempts and attributes are those of `files.events`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distsim.errors import InputError
from distsim.files.events import EVENTS, OBSERVABLES, attempts, datasets, explained, texts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


TEMPERING = "tempering"  # the group of what chains did that swap temperatures
CHAINS = "chains"  # the group of what each chain was
CHAIN = {"chain": "int64"}  # the column of events that only several chains have


@dataclass(frozen=True)
class Chains:
    """What a file of R chains holds, by replica; the rest as in `files.events.Events`.

    chain: int64[K], whose each event is; digests, observables_digests: of each chain, transitions:
    int64[R], ended: float64[R], in model time or steps. digest, observables_digest: of all.
    """

    time: NDArray[np.float64]  # float64[K]
    neuron: NDArray[np.int64]  # int64[K]
    state: NDArray[np.uint8]  # uint8[K]
    chain: NDArray[np.int64]
    initial: NDArray[np.uint8]  # uint8[R, N]
    final: NDArray[np.uint8]  # uint8[R, N]
    config: dict[str, Any]
    digest: str
    version: str
    digests: tuple[str, ...]
    transitions: NDArray[np.int64]
    ended: NDArray[np.float64]
    observables: dict[str, NDArray[Any]]
    observables_digest: str | None
    observables_digests: tuple[str, ...]
    tempering: dict[str, NDArray[Any]]
    attempts: list[dict[str, Any]]
    names: tuple[str, ...] | None
    population: tuple[str, ...] | None


def count(path: str) -> int:
    """How many chains an output file that is whole holds. Raises InputError."""
    return int(options_of(path).get("chains", 1))


def options_of(path: str) -> dict[str, Any]:
    """Every option of the run whose output file this is. Raises InputError."""
    import h5py

    with explained(path), h5py.File(path, "r") as file:
        found: dict[str, Any] = json.loads(file.attrs["config"])
    return found


def read(path: str) -> Chains:
    """Read a file of several chains. Raises InputError."""
    import h5py
    import numpy as np

    with explained(path), h5py.File(path, "r") as file:
        config = json.loads(file.attrs["config"])
        if CHAINS not in file:
            raise InputError(f"{path}: holds one chain; allowed: a file of several (--chains R)")
        kinds = {**EVENTS, **CHAIN}
        events = {name: file["events"][name][:] for name in kinds if "events" in file}
        each = file[CHAINS]
        observed = datasets(file[OBSERVABLES]) if OBSERVABLES in file else {}
        return Chains(
            **{name: events.get(name, np.empty(0, kind)) for name, kind in kinds.items()},
            initial=file["state/initial"][:],
            final=file["state/final"][:],
            config=config,
            digest=file.attrs["digest"],
            version=file.attrs["version"],
            digests=tuple(each["digest"].asstr()[:]),
            transitions=each["transitions"][:],
            ended=each["time"][:],
            observables={name: np.asarray(one[()]) for name, one in observed.items()},
            observables_digest=file.attrs.get("observables_digest"),
            observables_digests=tuple(each["observables_digest"].asstr()[:])
            if "observables_digest" in each
            else (),
            tempering={name: np.asarray(one[()]) for name, one in datasets(file[TEMPERING]).items()}
            if TEMPERING in file
            else {},
            attempts=attempts(file),
            names=texts(file, "names"),
            population=texts(file, "population"),
        )
