"""Where Numba keeps the compiled kernels: a folder named by all the sources that go into them.

Numba itself looks only at the file that holds a kernel: after a change of `philox.py` or
`elementary.py` it would go on with what it compiled before, and streams would differ in silence.
It also takes what it reads for what it wrote. Here each file ends with a checksum: one that a full
disk or a lost machine has damaged is compiled again. What cannot be kept is compiled by each
process.
"""

# mypy: disable-error-code="no-untyped-call"

import contextlib
import hashlib
import io
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from numba.core import config, dispatcher
from numba.core.caching import FunctionCache, IndexDataCacheFile, NullCache
from numba.np import linalg

_PACKAGE = Path(__file__).parents[1]
_SOURCES = [*sorted(Path(__file__).parent.glob("*.py")), _PACKAGE / "limits.py"]
_CHECKSUM = 16  # bytes

lack: str | None = None  # why there is no folder for kernels, if so; InputError's to say
_listener: Callable[[str | None], None] | None = None


def settle() -> None:
    """Choose the folder: under NUMBA_CACHE_DIR; without it the first that can be written of one
    beside the sources, in the user's cache, in the temporary folder.

    To be called before the first kernel is declared.
    """
    global lack
    code = b"".join(path.read_bytes() for path in _SOURCES)
    name = f"numba-{hashlib.sha256(code).hexdigest()[:16]}"
    failed = []
    for place, shared in _places():
        folder = place / name
        reason = _unwritable(folder, shared)
        if reason is None:
            config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]
            break
        failed.append(f"{place}: {reason}")
    else:
        lack = (
            f"compiled kernels: no folder for them can be written ({'; '.join(failed)}); allowed: "
            "NUMBA_CACHE_DIR=FOLDER in the environment, one that can"
        )
    dispatcher.FunctionCache = _cache_of  # type: ignore[attr-defined]
    _spare_scipy()


def _spare_scipy() -> None:
    """Load the part of Numba that imports scipy.linalg to see whether it is there, without that.

    It is, but takes a fifth of a start; what needs it is asked again when it is compiled.
    """
    asked, linalg.ensure_blas = linalg.ensure_blas, lambda: None
    try:
        import_module("numba.np.arraymath")
    finally:
        linalg.ensure_blas = asked


@contextlib.contextmanager
def compiling(listener: Callable[[str | None], None]) -> Iterator[None]:
    """Meanwhile `listener` gets the name of each kernel that is about to be compiled, and None when
    one has been. Kernels that it calls come between."""
    global _listener
    before, _listener = _listener, listener
    try:
        yield
    finally:
        _listener = before


def _places() -> Iterator[tuple[Path, bool]]:
    """Where the folder may be, and whether in one that all users share."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    if given:
        yield Path(given), False
        return
    yield _PACKAGE / "__pycache__", False
    with contextlib.suppress(RuntimeError):  # no home
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "distsim", False
    with contextlib.suppress(OSError):  # none can be written
        yield Path(tempfile.gettempdir()) / f"distsim-{os.getuid()}", True


def _unwritable(folder: Path, shared: bool) -> str | None:
    """Why a folder cannot be made and written, or None."""
    try:
        folder.parent.mkdir(mode=0o700 if shared else 0o777, parents=True, exist_ok=True)
        if shared and _anybodys(folder.parent):
            return "belongs to another user, or others may write it"
        folder.mkdir(exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        return error.strerror or str(error)
    return None


def _anybodys(folder: Path) -> bool:
    """Whether another user may have put there what would be run as code."""
    found = os.lstat(folder)
    others = found.st_uid != os.getuid() or found.st_mode & 0o022 != 0
    return others or not stat.S_ISDIR(found.st_mode)


class _Files(IndexDataCacheFile):
    """Numba's files of one kernel, each with a checksum behind what Numba has written."""

    def load(self, key: Any) -> Any:
        name = self._load_index().get(key)
        if name is None or not _intact(self._data_path(name)):
            return None
        return self._load_data(name)

    def _load_index(self) -> Any:
        return super()._load_index() if _intact(self._index_path) else {}

    @contextlib.contextmanager
    def _open_for_write(self, path: str) -> Iterator[IO[bytes]]:
        content = io.BytesIO()
        yield content
        with super()._open_for_write(path) as file:
            file.write(content.getvalue() + _checksum(content.getvalue()))


class KernelCache(FunctionCache):
    """The compiled versions of one kernel."""

    def __init__(self, kernel: Any) -> None:
        super().__init__(kernel)
        locator = self._impl.locator
        self._cache_file = _Files(
            cache_path=locator.get_cache_path(),
            filename_base=self._impl.filename_base,
            source_stamp=locator.get_source_stamp(),
        )

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        found = super().load_overload(sig, target_context)
        if found is None and _listener is not None:
            _listener(self._py_func.__name__)
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        with contextlib.suppress(OSError):  # no room: this process has what it compiled
            super().save_overload(sig, data)
        if _listener is not None:
            _listener(None)


def _cache_of(function: Any) -> Any:
    """What a function of any package that is declared with cache=True keeps its versions in."""
    if not function.__module__.startswith("distsim."):
        return FunctionCache(function)
    return NullCache() if lack is not None else KernelCache(function)


def _intact(path: str) -> bool:
    try:
        data = Path(path).read_bytes()
    except OSError:
        return False
    return data[-_CHECKSUM:] == _checksum(data[:-_CHECKSUM])


def _checksum(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_CHECKSUM).digest()
