"""The output file of a run: every event, the state at both ends, the configuration.

    /events/time      float64[K]   model time of each event; the step for a BM
    /events/neuron    int64[K]     the neuron that changed state
    /events/state     uint8[K]     its new state
    /state/initial    uint8[N]
    /state/final      uint8[N]
    attributes        config (JSON of every option), digest, version

The file grows under FILE.partial and takes its own name when it is whole and on the disk, so
under its own name it is whole or absent. Whatever ends the process, the partial file is an HDF5
file with all events up to a block (see `Disk`); a run that goes on from a checkpoint cuts it back.
Not compressed: events come faster than a compressor.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import io
import json
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distsim import __version__
from distsim.config import PARTIAL, Config
from distsim.errors import InputError, OutputError
from distsim.whole import sync_folder

if TYPE_CHECKING:
    import numpy as np
    from _typeshed import ReadableBuffer, WriteableBuffer
    from numpy.typing import NDArray

CHUNK = 32_768  # events a chunk: 256 KiB of times
BLOCK = 1 << 20  # events read at a time
EVENTS = {"time": "float64", "neuron": "int64", "state": "uint8"}


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

        from distsim import digest

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


class Disk(io.RawIOBase):
    """The file under HDF5: it never fails before HDF5's eyes, and goes from whole to whole.

    HDF5 cannot close a file after a failed write: it fails again, and crashes the interpreter at
    its end. So the first error is kept for `commit`, and HDF5 is told that all went well.

    HDF5 overwrites its indices in place, so that a process killed among these writes leaves a heap
    of bytes. So between two commits only what is new is written, behind the end of the file; what
    overwrites is kept in memory. `commit` writes these changes behind all else, with a checksum,
    then to their places, then cuts them off. A killed process leaves the file of its last commit,
    or one whose changes, whole and at its end, the next to open it applies.
    """

    _RECORD = struct.Struct("<QQ")  # a change: offset, bytes that follow
    _TRAILER = struct.Struct("<QQ16s8s")  # size of the file, bytes of changes, checksum, _MARK
    _MARK = b"distsim\n"

    def __init__(self, path: str, *, new: bool) -> None:
        """Raises OSError, also if another process has the file in its hands."""
        self._path = path
        self._file = io.FileIO(path, "r+", opener=_open_or_create if new else None)
        self._error: OSError | None = None
        self._changes: list[tuple[int, bytes]] = []
        self._position = 0
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise OSError(errno.EBUSY, "another run is writing it") from None
        except OSError:
            pass  # a file system without locks
        if new:
            self._file.truncate(0)
        else:
            self._repair()
        self._whole = self._size = os.fstat(self._file.fileno()).st_size

    def commit(self) -> None:
        """Bring the file to what HDF5 has written. Raises the first error of a write."""
        try:
            if self._error is not None:
                raise self._error
            if not os.path.samestat(os.stat(self._path), os.fstat(self._file.fileno())):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            if self._changes:
                self._put(max(self._size, self._whole), self._journal())
                self._whole = -1  # from here on the changes are what makes the file whole
                for offset, data in self._changes:
                    self._put(offset, data)
            self._file.truncate(self._size)
        except OSError as error:
            self._error = error
            raise
        self._changes = []
        self._whole = self._size

    def sync(self) -> None:
        """Have the disk hold everything. Raises OSError."""
        os.fsync(self._file.fileno())

    def rename(self, path: str) -> None:
        """Raises OSError."""
        if path != self._path:
            os.rename(self._path, path)
            self._path = path

    def close(self) -> None:
        """Commit, sync and close. Raises OSError."""
        if not self.closed:
            super().close()
            try:
                self.commit()
                self.sync()
            finally:
                self.abandon()

    def abandon(self) -> None:
        """Close the file as the last commit left it."""
        if not self.closed:
            super().close()
        if not self._file.closed:
            with contextlib.suppress(OSError), self._file:
                if self._whole >= 0:
                    self._file.truncate(self._whole)

    def write(self, data: ReadableBuffer, /) -> int:
        view = memoryview(data).cast("B")
        offset = self._position
        inside = max(0, min(len(view), self._whole - offset))
        if inside:
            self._changes.append((offset, bytes(view[:inside])))
        if self._error is None:
            try:
                self._put(offset + inside, view[inside:])
            except OSError as error:
                self._error = error
        self._position += len(view)
        self._size = max(self._size, self._position)
        return len(view)

    def truncate(self, size: int | None = None, /) -> int:
        self._size = self._position if size is None else size
        if self._error is None and self._size >= self._whole:
            try:
                self._file.truncate(self._size)
            except OSError as error:
                self._error = error
        return self._size

    def readinto(self, data: WriteableBuffer, /) -> int:
        view = memoryview(data).cast("B")
        start, stop = self._position, min(self._position + len(view), self._size)
        self._file.seek(start)
        filled = self._file.readinto(view[: max(0, stop - start)]) or 0
        for offset, change in self._changes:
            first, last = max(start, offset), min(stop, offset + len(change))
            if first < last:
                view[first - start : last - start] = change[first - offset : last - offset]
                filled = max(filled, last - start)
        self._position += filled
        return filled

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        self._position = offset + {os.SEEK_CUR: self._position, os.SEEK_END: self._size}.get(
            whence, 0
        )
        return self._position

    def tell(self) -> int:
        return self._position

    def _put(self, offset: int, data: ReadableBuffer) -> None:
        view = memoryview(data).cast("B")
        while view:
            count = os.pwrite(self._file.fileno(), view, offset)
            view, offset = view[count:], offset + count

    def _journal(self) -> bytes:
        """The changes, and what tells that they are all there."""
        body = b"".join(
            part
            for offset, data in self._changes
            for part in (self._RECORD.pack(offset, len(data)), data)
        )
        return body + self._TRAILER.pack(self._size, len(body), _checksum(body), self._MARK)

    def _repair(self) -> None:
        """Do what a killed process had begun to do."""
        descriptor = self._file.fileno()
        end = os.fstat(descriptor).st_size - self._TRAILER.size
        if end < 0:
            return
        trailer = os.pread(descriptor, self._TRAILER.size, end)
        size, count, checksum, mark = self._TRAILER.unpack(trailer)
        if mark != self._MARK or count > end:
            return
        body = os.pread(descriptor, count, end - count)
        if _checksum(body) != checksum:
            return
        at = 0
        while at < count:
            offset, length = self._RECORD.unpack_from(body, at)
            at += self._RECORD.size
            self._put(offset, body[at : at + length])
            at += length
        self._file.truncate(size)


def _checksum(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def partial_path(path: str) -> str:
    """The name under which the file at `path` grows."""
    return path + PARTIAL


def _open_or_create(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT, 0o666)


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
