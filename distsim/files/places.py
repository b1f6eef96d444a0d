"""Whether a file may be written where it is asked for."""

from __future__ import annotations

import os
import shutil

from distsim.errors import InputError
from distsim.limits import amount

PREVIOUS = ".previous"  # after a checkpoint's name: the one before it
PARTIAL = ".partial"  # after an output file's name: while it grows


def check_disk(path: str, given: str, wanted: int) -> None:
    """Raise InputError if the disk of `path` has no room for so many bytes, given as this."""
    disk = shutil.disk_usage(os.path.dirname(path) or ".")
    if disk.total and wanted > disk.free:  # some network drives tell nothing
        raise InputError(
            f"output {path}: {given} given, a file of {amount(wanted)}; "
            f"allowed: {amount(disk.free)}, what is free on its disk"
        )


def check_writable(
    path: str, overwrite: bool, what: str = "output", source: str | None = None
) -> None:
    """Raise InputError if a file cannot be made at `path`, or is there and not to be replaced.

    source: a file that is read for it, never to be replaced.
    """
    folder = os.path.dirname(path) or "."
    if source is not None and os.path.realpath(path) == os.path.realpath(source):
        raise InputError(f"{what} {path}: is what is read; allowed: another file")
    if os.path.isdir(path):
        raise InputError(f"{what} {path}: a folder; allowed: a file")
    if os.path.lexists(path) and not os.path.isfile(path):
        raise InputError(f"{what} {path}: no regular file; allowed: a new file, or a regular one")
    if os.path.lexists(path) and not overwrite:
        way_out = f", or go on with it: distsim resume {path}" if what == "checkpoint" else ""
        raise InputError(
            f"{what} {path}: exists; allowed: a new file, or this one with --overwrite{way_out}"
        )
    if not os.path.isdir(folder):
        raise InputError(
            f"{what} {path}: no folder {folder}; allowed: a file in an existing folder"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{what} {path}: folder {folder} is not writable")
