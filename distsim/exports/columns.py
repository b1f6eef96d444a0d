"""All events as columns: a text for anybody, an archive for NumPy. Both give every bit back.

csv   `time,neuron,state`, and `name` where neurons have names; times as the shortest texts that
      give the same float64 back
npz   time float64[K], neuron int64[K], state uint8[K]; initial uint8[N] and, of a run that came to
      its end, final uint8[N] and digest; config (JSON of every option), version, and names, where
      neurons have them
"""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib import format as npy

from distsim.files.events import EVENTS, Opened


def write_csv(file: Opened, path: str, tell: Callable[[float], None]) -> None:
    """Raises OSError."""
    names, done = file.head.names, 0
    with open(path, "w", encoding="utf-8", newline="") as target:
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow([*EVENTS, *([] if names is None else ["name"])])
        for block in file.blocks(*EVENTS):
            columns = [column.tolist() for column in block]
            if names is not None:
                columns.append([names[i] for i in columns[1]])
            writer.writerows(zip(*columns, strict=True))
            done += block[0].size
            tell(done / file.transitions)


def write_npz(file: Opened, path: str, tell: Callable[[float], None]) -> None:
    """Raises OSError."""
    head = file.head
    others: dict[str, Any] = {
        "initial": head.initial,
        "final": head.final,
        "digest": head.digest,
        "config": json.dumps(head.config),
        "version": head.version,
        "names": head.names,
    }
    done = 0
    with zipfile.ZipFile(path, "w") as archive:
        for name, kind in EVENTS.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                descr = npy.dtype_to_descr(np.dtype(kind))
                header = {"descr": descr, "fortran_order": False, "shape": (file.transitions,)}
                npy.write_array_header_1_0(stream, header)
                for (column,) in file.blocks(name):
                    stream.write(column.tobytes())
                    done += column.size
                    tell(done / (len(EVENTS) * file.transitions))
        for name, value in others.items():
            if value is not None:
                with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                    npy.write_array(stream, np.asarray(value), allow_pickle=False)
