"""A file under HDF5 that goes from whole to whole, whatever ends the process."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import struct
from collections.abc import Iterable
from time import monotonic
from typing import TYPE_CHECKING

from distsim.files.claim import is_read, lock

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

Change = tuple[int, bytes]  # offset, bytes there

PUT_OFF = 5.0  # seconds that a commit is put off for those who read, at most,
KEPT = 1 << 26  # as long as no more bytes of changes are kept in memory

_RECORD = struct.Struct("<QQ")  # a change: offset, bytes that follow
_TRAILER = struct.Struct("<QQ16s8s")  # size of the file, bytes of changes, checksum, _MARK
_MARK = b"distsim\n"


class Disk(io.RawIOBase):
    """The file under HDF5: it never fails before HDF5's eyes, and goes from whole to whole.

    HDF5 cannot close a file after a failed write: it fails again, and crashes the interpreter at
    its end. So the first error is kept for `commit`, and HDF5 is told that all went well.

    HDF5 overwrites its indices in place, so that a process killed among these writes leaves a heap
    of bytes. So between two commits only what is new is written, behind the end of the file; what
    overwrites is kept in memory. `commit` writes these changes behind all else, with a checksum,
    then to their places, then cuts them off. A killed process leaves the file of its last commit,
    or one whose changes, whole and at its end, the next to open it applies. Who reads the file
    meanwhile: `files.snapshot`.
    """

    def __init__(self, path: str, *, new: bool) -> None:
        """Raises OSError, also if another process has the file in its hands."""
        self._path = path
        self._file = io.FileIO(path, "r+", opener=_open_or_create if new else None)
        self._error: OSError | None = None
        self._changes: list[Change] = []
        self._waits: float | None = None  # since when a commit does
        self._position = 0
        try:
            lock(self._file.fileno())
        except OSError:
            self._file.close()
            raise
        if new:
            self._file.truncate(0)
        else:
            self._repair()
        self._whole = self._size = os.fstat(self._file.fileno()).st_size

    def commit(self) -> None:
        """Bring the file to what HDF5 has written; while somebody reads it, by a later commit.
        Raises the first error of a write."""
        if self._error is None and is_read(self._file.fileno()) and self._may_wait():
            self._waits = self._waits or monotonic()
        else:
            self._commit()

    def _may_wait(self) -> bool:
        late = self._waits is not None and monotonic() - self._waits >= PUT_OFF
        return not late and sum(len(data) for _, data in self._changes) <= KEPT

    def _commit(self) -> None:
        self._waits = None
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
        """Commit, and have the disk hold everything. Raises OSError."""
        self._commit()
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
        filled = max(filled, overlay(view[: max(0, stop - start)], start, self._changes))
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
            for part in (_RECORD.pack(offset, len(data)), data)
        )
        return body + _TRAILER.pack(self._size, len(body), _checksum(body), _MARK)

    def _repair(self) -> None:
        """Do what a killed process had begun to do."""
        descriptor = self._file.fileno()
        found = pending(descriptor, os.fstat(descriptor).st_size)
        if found is not None:
            size, changes = found
            for offset, data in changes:
                self._put(offset, data)
            self._file.truncate(size)


def pending(descriptor: int, length: int) -> tuple[int, list[Change]] | None:
    """The commit that a file of so many bytes is in the middle of: its size, and the changes that
    make it whole; None if it is whole."""
    end = length - _TRAILER.size
    if end < 0:
        return None
    trailer = os.pread(descriptor, _TRAILER.size, end)
    if len(trailer) < _TRAILER.size:  # cut off meanwhile
        return None
    size, count, checksum, mark = _TRAILER.unpack(trailer)
    if mark != _MARK or count > end:
        return None
    body = os.pread(descriptor, count, end - count)
    if len(body) < count or _checksum(body) != checksum:
        return None
    changes, at = [], 0
    while at < count:
        offset, width = _RECORD.unpack_from(body, at)
        at += _RECORD.size
        changes.append((offset, body[at : at + width]))
        at += width
    return size, changes


def overlay(data: bytearray | memoryview, start: int, changes: Iterable[Change]) -> int:
    """Put changes over bytes that begin at `start`; where the last of them ends, 0 if none does."""
    reached, stop = 0, start + len(data)
    for offset, change in changes:
        first, last = max(start, offset), min(stop, offset + len(change))
        if first < last:
            data[first - start : last - start] = change[first - offset : last - offset]
            reached = max(reached, last - start)
    return reached


def _checksum(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def _open_or_create(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT, 0o666)
