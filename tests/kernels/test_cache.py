"""The folder of compiled kernels: found wherever there is one, and never trusted blindly."""

import os
import resource
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import njit
from numba.core import config, dispatcher

from distsim.chains.opening import open_chain
from distsim.config.options import Config
from distsim.errors import InputError
from distsim.kernels import cache
from distsim.kernels.record import event_times
from distsim.networks.catalogue import open_network
from distsim.ranks.communicator import Serial

FRESH = ["event_times", None]
KEPT: list[str | None] = []


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where `compiled` keeps its kernel."""
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    return tmp_path


def compiled() -> list[str | None]:
    """What a process that calls a small kernel says of compilation."""
    kernel = njit(cache=True)(event_times.py_func)
    times = np.empty(1)
    names: list[str | None] = []
    with cache.compiling(names.append):
        kernel(np.array([3 << 23], np.uint64), 1.0, 0.5, 2.0, -0.5, times)
    assert times[0] == 6.5
    return names


def test_a_kernel_is_compiled_once(folder: Path) -> None:
    assert compiled() == FRESH
    assert compiled() == KEPT


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", ["emptied", "cut", "garbage", "zeros", "gone"])
def test_a_damaged_file_is_compiled_again(damage: str, ending: str, folder: Path) -> None:
    assert compiled() == FRESH
    (path,) = folder.rglob(f"*.{ending}")
    whole = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(
            {
                "emptied": b"",
                "cut": whole[: len(whole) // 2],
                "garbage": os.urandom(len(whole)),
                "zeros": whole[:50] + bytes(len(whole) - 100) + whole[-50:],
            }[damage]
        )
    assert compiled() == FRESH
    assert compiled() == KEPT


def test_a_file_that_cannot_be_written_costs_a_compilation(folder: Path) -> None:
    """As on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        assert compiled() == FRESH
        assert compiled() == FRESH
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def unwritable(tmp_path: Path) -> Path:
    """A place where no folder can be made: a file."""
    path = tmp_path / "file"
    path.write_text("")
    return path


def settled(monkeypatch: pytest.MonkeyPatch, package: Path, **places: Path) -> str:
    """The folder that is chosen for a package there."""
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    for name, place in places.items():
        monkeypatch.setenv(name, str(place))
    monkeypatch.setattr(cache, "_PACKAGE", package)
    monkeypatch.setattr(cache, "lack", None)
    monkeypatch.setattr(config, "CACHE_DIR", "")
    monkeypatch.setattr(tempfile, "tempdir", None)
    cache.settle()
    return str(config.CACHE_DIR)  # type: ignore[attr-defined]


def test_the_first_place_that_can_be_written_is_taken(
    unwritable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    chosen = settled(monkeypatch, tmp_path, HOME=home, TMPDIR=temporary)
    assert Path(chosen).parent == tmp_path / "__pycache__"
    chosen = settled(monkeypatch, unwritable, HOME=home, TMPDIR=temporary)
    assert Path(chosen).parent == home / ".cache" / "distsim"
    chosen = settled(monkeypatch, unwritable, HOME=unwritable, TMPDIR=temporary)
    assert Path(chosen).parent == temporary / f"distsim-{os.getuid()}"
    assert Path(chosen).parent.stat().st_mode & 0o077 == 0
    assert cache.lack is None


def test_a_folder_that_others_may_write_is_not_taken(
    unwritable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    shared = temporary / f"distsim-{os.getuid()}"
    shared.mkdir(parents=True)
    shared.chmod(0o777)
    monkeypatch.setenv("XDG_CACHE_HOME", str(unwritable))
    assert settled(monkeypatch, unwritable, TMPDIR=temporary) == ""
    assert cache.lack is not None
    assert f"{shared}: belongs to another user, or others may write it" in cache.lack
    shutil.rmtree(shared)
    shared.symlink_to(tmp_path)
    assert settled(monkeypatch, unwritable, TMPDIR=temporary) == ""


def test_without_a_folder_one_message_names_the_way_out(
    unwritable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = rf"{unwritable}.*; allowed: NUMBA_CACHE_DIR=FOLDER in the environment"
    assert settled(monkeypatch, unwritable, NUMBA_CACHE_DIR=unwritable) == ""
    with pytest.raises(InputError, match=message):
        open_chain(open_network(Config()), Config(device="cpu"), Serial())


def test_kernels_have_the_checked_cache_and_others_have_numbas() -> None:
    """Fails where Numba has moved what `settle` puts itself in the place of."""
    kernel: Any = event_times
    assert type(kernel._cache) is cache.KernelCache
    assert type(dispatcher.FunctionCache(test_a_kernel_is_compiled_once)) is cache.FunctionCache  # type: ignore[attr-defined]
