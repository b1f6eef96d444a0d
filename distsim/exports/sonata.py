"""Spikes as SONATA has them: HDF5, by h5py.

/spikes/neurons              attribute sorting: by_time
/spikes/neurons/timestamps   float64[K]  ms; attribute units
/spikes/neurons/node_ids     uint64[K]   the neurons
/nodes/neurons/...           where neurons have names: node_id uint64[N], node_type_id, and 0/name

A spike is a transition 0 -> 1. At the root the standard's `magic` and `version`, and `config` (JSON
of every option), `distsim` (its version) and, of a run that came to its end, `digest`.

Dai et al. 2020, The SONATA data format for efficient description of large-scale network models,
PLoS Computational Biology 16(2) e1007696; https://github.com/AllenInstitute/sonata.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from distsim.exports.units import converted
from distsim.files.events import Events, Opened

POPULATION = "neurons"
_SORTING = {"none": 0, "by_id": 1, "by_time": 2}
_CHUNK = 32_768  # spikes


def write(file: Opened, path: str, unit: str, tell: Callable[[float], None]) -> None:
    """The spikes of an output file to a new file at `path`. Raises OSError."""
    import h5py

    with h5py.File(path, "w") as target:
        _describe(target, file.head)
        group = target.create_group(f"spikes/{POPULATION}")
        sorting = h5py.enum_dtype(_SORTING, basetype="u1")
        group.attrs.create("sorting", _SORTING["by_time"], dtype=sorting)
        times, nodes = (
            group.create_dataset(name, (0,), kind, maxshape=(None,), chunks=(_CHUNK,))
            for name, kind in (("timestamps", "float64"), ("node_ids", "uint64"))
        )
        times.attrs["units"] = "ms"
        done = 0
        for time, neuron, state in file.blocks("time", "neuron", "state"):
            spikes = state == 1
            before, count = len(times), np.count_nonzero(spikes)
            for dataset, values in (
                (times, converted(time[spikes], unit, "ms")),
                (nodes, neuron[spikes].astype(np.uint64)),
            ):
                dataset.resize(before + count, axis=0)
                dataset[before:] = values
            done += time.size
            tell(done / file.transitions)


def _describe(target: Any, head: Events) -> None:
    """What the file is, and of which run."""
    target.attrs["magic"] = np.uint32(0x0A7A)
    target.attrs["version"] = np.array([0, 1], np.uint32)
    target.attrs["config"] = json.dumps(head.config)
    target.attrs["distsim"] = head.version
    if head.digest is not None:
        target.attrs["digest"] = head.digest
    if head.names is not None:
        nodes = target.create_group(f"nodes/{POPULATION}")
        nodes["node_id"] = np.arange(len(head.names), dtype=np.uint64)
        nodes["node_type_id"] = np.full(len(head.names), -1, np.int64)
        nodes["0/name"] = list(head.names)
