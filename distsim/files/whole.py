"""Files that are whole under their names or not there, whatever happens meanwhile."""

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

WRITING = ".writing"  # follows the name of a file that is being written
_ENDS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)  # end a process that does not heed them


@contextlib.contextmanager
def whole(path: str) -> Iterator[str]:
    """Give the name of a file to write, which becomes `path` when it is written and on the disk.

    What was there before stays until then, and if anything goes wrong. Raises OSError.
    """
    temporary = path + WRITING
    try:
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
        sync_folder(path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


@contextlib.contextmanager
def ended_by_exceptions() -> Iterator[None]:
    """Have signals that end the process do so as Ctrl-C does, so that files are taken away."""
    heeded = [number for number in _ENDS if signal.getsignal(number) == signal.SIG_DFL]
    for number in heeded:
        signal.signal(number, _leave)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, signal.SIG_DFL)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def sync_folder(path: str) -> None:
    """Have the disk hold the names in the folder of a file."""
    sync(os.path.dirname(path) or ".")


def sync(path: str) -> None:
    """Have the disk hold a file, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
