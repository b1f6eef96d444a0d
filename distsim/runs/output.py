"""The output file of a run: every event, the state at both ends, the configuration.

What it holds: `files.events`. The file grows under FILE.partial and takes its own name when it is
whole and on the disk, so under its own name it is whole or absent. Whatever ends the process, the
partial file is an HDF5 file with all events up to a block (see `files.journal`); a run that goes on
from a checkpoint cuts it back.
Not compressed: events come faster than a compressor.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from distsim import __version__
from distsim.config.options import Config
from distsim.errors import InputError, OutputError
from distsim.files.events import BLOCK, EVENTS, partial_path
from distsim.files.journal import Disk
from distsim.files.whole import sync_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


CHUNK = 32_768  # events a chunk: 256 KiB of times


class EventFile:
    """An output file in the making. One rank, the root, holds it.

    `begin` or `reopen` it, `append` block by block (each is flushed: give it large ones), then
    `finish`, or `leave` it to a run that goes on later, or `discard` it. Raises OutputError.
    """

    def __init__(self, path: str, disk: Disk, file: Any) -> None:
        self.path = path
        self.partial = partial_path(path)
        self._disk = disk
        self._file = file

    @classmethod
    def begin(cls, path: str, config: Config, initial: NDArray[np.uint8]) -> EventFile:
        """A new file at `path`, with every option and the initial state, uint8[N].

        A partial file that is there is replaced, unless it is that of a run at work.
        """
        import h5py

        disk = _opened(partial_path(path), new=True)
        self = cls(path, disk, h5py.File(disk, "w"))
        self._file["state/initial"] = initial
        for name, kind in EVENTS.items():
            self._file.create_dataset(
                f"events/{name}", (0,), kind, maxshape=(None,), chunks=(CHUNK,)
            )
        try:
            self._describe(config)
        except OutputError:
            self.discard()
            raise
        return self

    @classmethod
    def reopen(
        cls, path: str, config: Config, states: NDArray[np.uint8], transitions: int, total: int
    ) -> EventFile:
        """The file of an earlier run, partial or finished, cut back to its first events.

        states: uint8[N] after them; total: their part of the digest. Raises InputError, and leaves
        the file as it is, if it does not hold these events.
        """
        import h5py

        partial = partial_path(path)
        found = partial if os.path.exists(partial) else path
        if not os.path.exists(found):
            raise InputError(
                f"output: neither {partial} nor {path}; allowed: the event file of the run that is "
                "resumed (--output, if it was moved)"
            )
        disk = _opened(found, new=False)
        try:
            self = cls(path, disk, h5py.File(disk, "r+"))
        except OSError as error:
            disk.abandon()
            raise InputError(f"output {found}: not an HDF5 file: {error}") from None
        try:
            self._check(found, states, transitions, total)
            try:
                disk.rename(partial)
            except OSError as error:
                raise OutputError(f"output {found}: {error.strerror}") from error
            for name in EVENTS:
                self._file["events"][name].resize(transitions, axis=0)
            for name in self._file["state"].keys() & {"final"}:
                del self._file["state"][name]
            for name in self._file.attrs.keys() & {"digest"}:
                del self._file.attrs[name]
            self._describe(config)
        except BaseException:
            self._file.close()
            disk.abandon()
            raise
        return self

    def append(
        self, time: NDArray[np.float64], neuron: NDArray[np.int64], state: NDArray[np.uint8]
    ) -> None:
        """Write K more events: float64[K], int64[K], uint8[K]."""
        for name, block in (("time", time), ("neuron", neuron), ("state", state)):
            dataset = self._file["events"][name]
            before = dataset.shape[0]
            dataset.resize(before + len(block), axis=0)
            dataset[before:] = block
        self._flush()

    def sync(self) -> None:
        """Have the disk hold all that was appended."""
        with self._named():
            self._disk.sync()

    def finish(self, final: NDArray[np.uint8], digest: str) -> None:
        """Complete the file with the final state, uint8[N], and give it its name."""
        self._file["state/final"] = final
        self._file.attrs["digest"] = digest
        self.leave()
        with self._named():
            os.replace(self.partial, self.path)
            sync_folder(self.path)

    def leave(self) -> None:
        """Close the file under its partial name."""
        self._file.close()
        with self._named():
            self._disk.close()

    def discard(self) -> None:
        """Remove what was written. Nothing happens after `finish`."""
        self._file.close()
        self._disk.abandon()
        with contextlib.suppress(OSError):
            os.unlink(self.partial)

    def _check(self, path: str, states: NDArray[np.uint8], transitions: int, total: int) -> None:
        """Raise InputError if the file's first events are not those that made digest `total`, and
        `states` from the initial ones."""
        import numpy as np

        from distsim.recording import digest

        found = 0
        try:
            datasets = [self._file["events"][name] for name in EVENTS]
            count = min(len(dataset) for dataset in datasets)
            x = self._file["state/initial"][:]
            for start in range(0, min(transitions, count), BLOCK):
                part = slice(start, min(start + BLOCK, transitions))
                time, neuron, state = (dataset[part] for dataset in datasets)
                found += digest.of_events(time, neuron, state, before=start)
                np.bitwise_xor.at(x, neuron, 1)  # each event changes a state
        except (IndexError, KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
            raise InputError(f"output {path}: not an event file of distsim: {error}") from None
        if count < transitions or digest.text(found) != digest.text(total):
            raise InputError(
                f"output {path}: {count} events given, digest {digest.text(found)}; allowed: the "
                f"event file of the run that is resumed, whose first {transitions} events have the "
                f"digest {digest.text(total)}"
            )
        if x.tobytes() != states.tobytes():
            raise InputError(f"output {path}: damaged: its initial states are not the run's")

    def _describe(self, config: Config) -> None:
        self._file.attrs["config"] = config.json()
        self._file.attrs["version"] = __version__
        self._flush()

    def _flush(self) -> None:
        self._file.flush()
        with self._named():
            self._disk.commit()

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(f"output {self.path}: {error.strerror}") from error


def _opened(path: str, *, new: bool) -> Disk:
    try:
        return Disk(path, new=new)
    except OSError as error:
        raise OutputError(f"output {path}: {error.strerror}") from error
