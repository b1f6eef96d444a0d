"""Files that are whole under their names or not there, whatever happens meanwhile."""

import contextlib
import os
from collections.abc import Iterator

WRITING = ".writing"  # follows the name of a file that is being written


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
