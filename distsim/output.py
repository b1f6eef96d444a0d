"""The output file of a run: every event, the state at both ends, the configuration.

    /events/time      float64[K]   model time of each event; the step for a BM
    /events/neuron    int64[K]     the neuron that changed state
    /events/state     uint8[K]     its new state
    /state/initial    uint8[N]
    /state/final      uint8[N]
    attributes        config (JSON of every option), digest, version

The file grows under FILE.partial and takes its own name when it is whole and on the disk, so
under its own name it is whole or absent. Not compressed: events come faster than a compressor.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distsim import __version__
from distsim.config import Config
from distsim.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from _typeshed import ReadableBuffer, WriteableBuffer
    from numpy.typing import NDArray

CHUNK = 32_768  # events a chunk: 256 KiB of times
EVENTS = {"time": "float64", "neuron": "int64", "state": "uint8"}


class OutputError(OSError):
    """The output file cannot be written: disk full, folder gone. Names the file and the reason."""


class EventFile:
    """An output file in the making. One rank, the root, holds it.

    `append` block by block (each is flushed, so that a killed run leaves a partial file that can
    be read up to there: give it large ones), then `finish`; `discard` where the run failed.
    Raises OutputError.
    """

    def __init__(self, path: str, config: Config, initial: NDArray[np.uint8]) -> None:
        """Begin the file at `path` with every option and the initial state, uint8[N].

        A partial file that is there is replaced, unless it is that of a run at work.
        """
        import h5py

        self.path = path
        self.partial = partial_path(path)
        try:
            self._disk = Disk(self.partial)
        except OSError as error:
            raise OutputError(f"output {self.partial}: {error.strerror}") from error
        self._file = h5py.File(self._disk, "w")
        self._file.attrs["config"] = config.json()
        self._file.attrs["version"] = __version__
        self._file["state/initial"] = initial
        self._events = {
            name: self._file.create_dataset(
                f"events/{name}", (0,), kind, maxshape=(None,), chunks=(CHUNK,)
            )
            for name, kind in EVENTS.items()
        }
        try:
            self._flush()
        except OutputError:
            self.discard()
            raise

    def append(
        self, time: NDArray[np.float64], neuron: NDArray[np.int64], state: NDArray[np.uint8]
    ) -> None:
        """Write K more events: float64[K], int64[K], uint8[K]."""
        for name, block in (("time", time), ("neuron", neuron), ("state", state)):
            dataset = self._events[name]
            before = dataset.shape[0]
            dataset.resize(before + len(block), axis=0)
            dataset[before:] = block
        self._flush()

    def finish(self, final: NDArray[np.uint8], digest: str) -> None:
        """Complete the file with the final state, uint8[N], and give it its name."""
        self._file["state/final"] = final
        self._file.attrs["digest"] = digest
        self._file.close()
        with self._named():
            self._disk.close()
            os.replace(self.partial, self.path)
            _sync_folder(os.path.dirname(self.path) or ".")

    def discard(self) -> None:
        """Remove what was written. Nothing happens after `finish`."""
        self._file.close()
        with contextlib.suppress(OSError):
            self._disk.close()
        with contextlib.suppress(OSError):
            os.unlink(self.partial)

    def _flush(self) -> None:
        self._file.flush()
        with self._named():
            self._disk.check()

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(f"output {self.path}: {error.strerror}") from error


class Disk(io.RawIOBase):
    """The file under HDF5, which must never see a write fail.

    HDF5 cannot close a file after a failed write: it fails again, and crashes the interpreter at
    its end. So the first error is kept for `check`, and HDF5 is told that all went well.
    """

    def __init__(self, path: str) -> None:
        """Raises OSError, also if another process has the file in its hands."""
        self._file = io.FileIO(path, "r+", opener=_open_or_create)
        self._error: OSError | None = None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise OSError(errno.EBUSY, "another run is writing it") from None
        except OSError:
            pass  # a file system without locks
        self._file.truncate(0)

    def check(self) -> None:
        """Raise the first error of a write, if there was one."""
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Have the disk hold everything, and close. Raises OSError."""
        if not self.closed:
            super().close()
            with self._file:
                self.check()
                os.fsync(self._file.fileno())

    def write(self, data: ReadableBuffer, /) -> int:
        view = memoryview(data).cast("B")
        written = 0
        while written < len(view) and self._error is None:
            try:
                written += self._file.write(view[written:])
            except OSError as error:
                self._error = error
        return len(view)

    def truncate(self, size: int | None = None, /) -> int:
        if self._error is None:
            try:
                return self._file.truncate(size)
            except OSError as error:
                self._error = error
        return size or 0

    def readinto(self, data: WriteableBuffer, /) -> int:
        return self._file.readinto(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def partial_path(path: str) -> str:
    """The name under which the file at `path` grows."""
    return path + ".partial"


def _open_or_create(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT, 0o666)


def _sync_folder(path: str) -> None:
    """Have the disk hold the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
