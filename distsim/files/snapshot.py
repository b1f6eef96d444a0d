"""An HDF5 file that is read while a run writes it: all of it as of one commit, never torn.

A run changes its file from one commit to the next (`files.journal`). At any moment the file says
what it is: its bytes and, over them, the journal that stands at its end while a commit is under
way. Call that its content; it changes all at once, when a journal is whole.

To learn what is where HDF5 reads indices in many steps, and commits may come in between. So all
that was read then is read once more. Where both readings are the same, the content was this at the
moment between them: each byte had its value at some moment of the first reading and at some of the
second, and no index returns to an earlier value. Otherwise all begins anew. A run that can see
readers (`files.claim`) puts its commits off meanwhile, so that this is rare.

Then the indices are kept, and rows are read at leisure: a run appends, so those that the indices
know stay as they are. Unless another attempt cuts the file back; that leaves a record, and whoever
reads looks whether there is a new one at the end.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import time
from typing import TYPE_CHECKING, Any, TypeVar

from distsim.files.claim import reading
from distsim.files.journal import overlay, pending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _typeshed import WriteableBuffer

PATIENCE = 10.0  # seconds until a file is given up that never stays as it is for a moment
_FRESH = 0.5  # seconds since its last byte, of a file that may just be being begun
_PAUSE = 0.002  # seconds between two attempts, at first
_PAGE = 4096

Learned = TypeVar("Learned")


class Snapshot(io.RawIOBase):
    """The file under HDF5, read only: what was read before `settle` stays as it was.

    The descriptor is its owner's.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._position = 0
        self._settled = False
        self._pages: dict[int, bytes] = {}  # bytes of the content, by offset / _PAGE
        self._asked: set[tuple[int, int]] = set()  # offset, length: what HDF5 was given
        self._load()

    def settle(self) -> bool:
        """Whether all that was read is as it was; from now on it is kept.

        With it that which is beside it on a page and may be of a row: as it is now, not before.
        """
        self._load()
        before = [self._kept(*asked) for asked in self._asked]
        self._pages = {number: self._content(number * _PAGE, _PAGE) for number in self._pages}
        self._settled = before == [self._kept(*asked) for asked in self._asked]
        return self._settled

    def grown(self) -> bool:
        """Whether the file has another size than it had."""
        return os.fstat(self._descriptor).st_size != self._length

    def readinto(self, data: WriteableBuffer, /) -> int:
        view = memoryview(data).cast("B")
        offset = self._position
        if self._settled:
            count = os.preadv(self._descriptor, [view], offset)
            overlay(view[:count], offset, self._changes)
            self._restore(offset, view[:count])
        else:
            found = self._noted(offset, len(view))
            count = len(found)
            view[:count] = found
        self._position += count
        return count

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        start = {os.SEEK_CUR: self._position, os.SEEK_END: self._size}.get(whence, 0)
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def _load(self) -> None:
        """Look for a commit that is under way."""
        self._length = os.fstat(self._descriptor).st_size
        found = pending(self._descriptor, self._length)
        self._size, self._changes = (self._length, []) if found is None else found

    def _content(self, offset: int, length: int) -> bytes:
        data = bytearray(os.pread(self._descriptor, length, offset))
        overlay(data, offset, self._changes)
        return bytes(data)

    def _noted(self, offset: int, length: int) -> bytes:
        for number in _pages(offset, length):
            if number not in self._pages:
                self._pages[number] = self._content(number * _PAGE, _PAGE)
        self._asked.add((offset, length))
        return self._kept(offset, length)

    def _kept(self, offset: int, length: int) -> bytes:
        start = offset % _PAGE
        pages = b"".join(self._pages[number] for number in _pages(offset, length))
        return pages[start : start + length]

    def _restore(self, offset: int, data: memoryview) -> None:
        """Put what was read before over what is there now."""
        for number in _pages(offset, len(data)):
            if number in self._pages:
                overlay(data, offset, [(number * _PAGE, self._pages[number])])


def _pages(offset: int, length: int) -> range:
    return range(offset // _PAGE, -(-(offset + length) // _PAGE))


def touch(dataset: Any) -> None:
    """Have HDF5 learn where all of a dataset is that grows."""
    dataset.id.chunk_iter(lambda chunk: None)


class CutBackError(OSError):
    """Another attempt has begun to write a file since its indices were read."""

    def __init__(self) -> None:
        super().__init__(errno.EBUSY, "was resumed while it was read; allowed: to read it again")


@contextlib.contextmanager
def opened(
    path: str, learn: Callable[[Any], Learned], attempts: Callable[[Any], object]
) -> Iterator[Learned]:
    """What `learn` has read of the HDF5 file at `path`, whose rows can be read meanwhile by the
    indices that it has read; attempts: of a file, the records of those who wrote it.

    Raises OSError, and what these raise for a file that is not as they expect; at the end
    CutBackError, before an exception of the body: what was read is no part of one run.
    """
    with open(path, "rb", buffering=0) as bare:
        file, (learned, before) = _settled(bare, lambda file: (learn(file), attempts(file)))
        error: Exception | None = None
        with file:
            try:
                yield learned
            except Exception as bad:
                error = bad
        file, after = _settled(bare, attempts)
        file.close()
    if before != after:
        raise CutBackError
    if error is not None:
        raise error


def _settled(bare: io.FileIO, learn: Callable[[Any], Learned]) -> tuple[Any, Learned]:
    """The file with settled indices, and what was learned of it."""
    import h5py

    descriptor, until = bare.fileno(), time.monotonic() + PATIENCE
    pause = _PAUSE
    while True:
        file, error = None, None
        with reading(descriptor):
            snapshot = Snapshot(descriptor)
            try:
                file = h5py.File(snapshot, "r", rdcc_nbytes=0)
                learned = learn(file)
            except Exception as bad:  # of torn indices HDF5 says all kinds of things
                error = bad
            settled = snapshot.settle()
        if settled and error is None:
            return file, learned
        if file is not None:
            with contextlib.suppress(Exception):
                file.close()
        late = time.monotonic() > until
        fresh = time.time() - os.fstat(descriptor).st_mtime < _FRESH
        if error is not None and (late or not (fresh or snapshot.grown() or not settled)):
            raise error
        if late:
            raise OSError(errno.EBUSY, "is being written, and changes too fast to be read")
        time.sleep(pause)
        pause = min(2 * pause, 0.1)
