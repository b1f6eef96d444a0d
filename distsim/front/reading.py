"""`read`: a Result from an output file, whole or partial."""

import os
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from distsim.config.kinds import short
from distsim.errors import InputError
from distsim.files import chains, events
from distsim.front.chains import chains_in
from distsim.front.result import Result
from distsim.recording import digest


def read(path: str | PathLike[str]) -> Result:
    """What an output file holds; where there is none, the partial one of a run that was stopped, or
    is at work: then as of a moment.

    A partial file has no states at the end and no digest: both follow from the events (without
    events, of events=False, they are empty), and `Result.partial` says so. The Result has no
    summary and cannot go on. A file of several chains has a Result of all of them. Raises
    InputError.
    """
    if not isinstance(path, str | PathLike):
        raise InputError(f"read: {short(path)} given; allowed: the path of an output file")
    try:
        found = events.read(os.fspath(path))
    except events.SeveralChainsError:
        return chains_in(chains.read(os.fspath(path)))
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
        found.names,
        found.config,
        digest=total,
        observables_digest=found.observables_digest,
        partial=found.partial,
        population=found.population,
    )


def _final(initial: NDArray[np.uint8], neuron: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The states after all events, each of which changes one."""
    changes = np.bincount(neuron, minlength=initial.size)
    return (initial ^ (changes & 1)).astype(np.uint8)
