"""Spikes as Neurodata Without Borders has them: its table of units, by pynwb.

A unit is a neuron, `id` its number and `neuron_name` its name, where neurons have them; its spikes
are the times of its transitions 0 -> 1, in seconds. The identifier is the run's digest (of a
partial one the time when it began), the start of the session that of the run, the description JSON
of every option. Rübel et al. 2022, The Neurodata Without Borders ecosystem for neurophysiological
data science, eLife 11 e78362.

The table has the spikes neuron by neuron, so they are counted first and then put in their places:
8 bytes a spike of memory, the one export whose memory grows with the file.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.errors import InputError
from distsim.exports.units import converted
from distsim.files.events import Opened


def write(file: Opened, path: str, unit: str, tell: Callable[[float], None]) -> None:
    """The spikes of an output file to a new file at `path`. Raises InputError, OSError."""
    import h5py

    try:
        from hdmf.common import ElementIdentifiers, VectorData, VectorIndex
        from pynwb import NWBHDF5IO, NWBFile
        from pynwb.misc import Units
    except ImportError as error:
        raise InputError(
            f"--to nwb: {error}; allowed: with the extra nwb (pip install 'distsim[nwb]')"
        ) from None
    head = file.head
    if not head.attempts:
        raise InputError(f"{file.path}: says not when it began; allowed: a file of this version")
    begun = head.attempts[0]["begun"]
    times, ends = _by_neuron(file, unit, tell)
    spikes = VectorData(name="spike_times", description="seconds", data=times)
    index = VectorIndex(name="spike_times_index", data=ends, target=spikes)
    columns: list[Any] = [spikes, index]
    if head.names is not None:
        columns.append(
            VectorData(name="neuron_name", description="of the network", data=list(head.names))
        )
    target = NWBFile(
        session_description=json.dumps(head.config),
        identifier=head.digest or begun,
        session_start_time=datetime.fromisoformat(begun),
        source_script=f"distsim {head.version}",
        source_script_file_name="distsim",
    )
    number = ElementIdentifiers(name="id", data=np.arange(len(ends)))
    target.units = Units(name="units", description="neurons", columns=columns, id=number)
    # Not by its name, which has another ending while it is written: pynwb would complain.
    with h5py.File(path, "w") as bare, NWBHDF5IO(file=bare, mode="w") as stream:
        stream.write(target)


def _by_neuron(
    file: Opened, unit: str, tell: Callable[[float], None]
) -> tuple[NDArray[np.float64], NDArray[np.uint64]]:
    """Times of the spikes in seconds, neuron by neuron, float64[K], and where each one's end,
    uint64[N]."""
    counts, done = np.zeros(file.head.initial.size, np.int64), 0
    for neuron, state in file.blocks("neuron", "state"):
        counts += np.bincount(neuron[state == 1], minlength=counts.size)
        done += state.size
        tell(0.5 * done / file.transitions)
    ends = np.cumsum(counts)
    times, place = np.empty(int(counts.sum())), ends - counts  # where each one's next goes
    for time, neuron, state in file.blocks("time", "neuron", "state"):
        time, neuron = time[state == 1], neuron[state == 1]
        order = np.argsort(neuron, kind="stable")
        here = np.bincount(neuron, minlength=counts.size)
        first = np.repeat(place - (np.cumsum(here) - here), here)
        times[first + np.arange(order.size)] = converted(time[order], unit, "s")
        place += here
        done += state.size
        tell(0.5 * done / file.transitions)
    return times, ends.astype(np.uint64)
