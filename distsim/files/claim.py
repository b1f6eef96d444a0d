"""Who writes a file: one process of a host at a time; and whether anybody reads it meanwhile.

A lock goes with the process that holds it, however that ends. Where a file system has no locks,
nobody is refused, and nobody is seen to read.
"""

import contextlib
import errno
import fcntl
import os
import struct
from collections.abc import Iterator

CLAIM = ".claim"  # after a checkpoint's name: an empty file, locked while a run writes checkpoints


def lock(descriptor: int) -> None:
    """Lock an open file. Raises OSError if another process has."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OSError(errno.EBUSY, "another run is writing it") from None
    except OSError:
        pass  # a file system without locks


_FLOCK = struct.Struct("@hhqqi4x")  # of Linux: type, whence, start, length, process
_READERS = 1 << 62  # the byte that readers lock: no file is so long


@contextlib.contextmanager
def reading(descriptor: int) -> Iterator[None]:
    """Meanwhile whoever writes this file sees that it is read. Not told of locks of other kinds."""
    _ask(descriptor, "F_OFD_SETLK", fcntl.F_RDLCK)
    try:
        yield
    finally:
        _ask(descriptor, "F_OFD_SETLK", fcntl.F_UNLCK)


def is_read(descriptor: int) -> bool:
    """Whether somebody else reads an open file."""
    return _ask(descriptor, "F_OFD_GETLK", fcntl.F_WRLCK) != fcntl.F_UNLCK


def _ask(descriptor: int, command: str, kind: int) -> int:
    """The kind of lock that the system answers with; F_UNLCK where there are none."""
    if not hasattr(fcntl, command):
        return fcntl.F_UNLCK
    wanted = _FLOCK.pack(kind, os.SEEK_SET, _READERS, 1, 0)
    try:
        answer = fcntl.fcntl(descriptor, getattr(fcntl, command), wanted)
    except OSError:
        return fcntl.F_UNLCK
    return int(_FLOCK.unpack(answer)[0])


class Claim:
    """Holds the name of a file that is replaced again and again, and so has no lock of its own.

    It is a lock on PATH.claim. A process that is killed leaves this file, which then claims
    nothing: the next to claim the name takes it over and removes it at its end.
    """

    def __init__(self, path: str) -> None:
        """Raises OSError, with EBUSY if another process has the name."""
        self._path = path + CLAIM
        while True:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                lock(self._descriptor)
                found = os.stat(self._path)
            except FileNotFoundError:  # its last holder has removed it meanwhile
                pass
            except OSError:
                os.close(self._descriptor)
                raise
            else:
                if os.path.samestat(found, os.fstat(self._descriptor)):
                    return
            os.close(self._descriptor)

    def release(self) -> None:
        with contextlib.suppress(OSError):  # its folder is gone
            if os.path.samestat(os.stat(self._path), os.fstat(self._descriptor)):
                os.unlink(self._path)
        os.close(self._descriptor)
