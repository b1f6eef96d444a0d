"""The output file: what goes in comes out, and it is whole or absent under its name."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from distsim import __version__
from distsim.config.options import Config
from distsim.errors import InputError, OutputError
from distsim.files.events import read
from distsim.runs.output import CHUNK, EventFile

NEURONS = 7
INITIAL = np.array([0, 1, 0, 0, 1, 0, 1], np.uint8)


def some_events(count: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Time, neuron and new state of a chain from INITIAL."""
    rng = np.random.default_rng(1)
    neuron = rng.integers(NEURONS, size=count)
    state = np.empty(count, np.uint8)
    x = INITIAL.copy()
    for k, i in enumerate(neuron):
        x[i] ^= 1
        state[k] = x[i]
    return np.cumsum(rng.exponential(size=count)), neuron, state


def write(path: Path, count: int, blocks: int = 1, **options: Any) -> None:
    file = EventFile.begin(str(path), Config(**options), INITIAL)
    columns = some_events(count)
    for block in zip(*(np.array_split(column, blocks) for column in columns), strict=True):
        file.append(*block)
    file.finish(1 - INITIAL, "00ff")


@pytest.mark.parametrize(
    ("count", "blocks"),
    [(0, 1), (1, 1), (1000, 300), (CHUNK, 1), (3 * CHUNK + 5, 2)],
)
def test_what_goes_in_comes_out(count: int, blocks: int, tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    write(path, count, blocks, tau=0.5)
    assert [file.name for file in tmp_path.iterdir()] == ["run.h5"]
    time, neuron, state = some_events(count)
    with h5py.File(path) as file:
        assert file["events/time"].dtype == np.float64
        assert file["events/neuron"].dtype == np.int64
        assert file["events/state"].dtype == np.uint8
        np.testing.assert_array_equal(file["events/time"], time)
        np.testing.assert_array_equal(file["events/neuron"], neuron)
        np.testing.assert_array_equal(file["events/state"], state)
        np.testing.assert_array_equal(file["state/initial"], INITIAL)
        np.testing.assert_array_equal(file["state/final"], 1 - INITIAL)
        assert json.loads(file.attrs["config"])["tau"] == 0.5
        assert (file.attrs["digest"], file.attrs["version"]) == ("00ff", __version__)
    events = read(str(path))
    np.testing.assert_array_equal(events.time, time)
    assert (events.config["tau"], events.digest) == (0.5, "00ff")


def test_absent_until_finished_and_after_discard(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    file = EventFile.begin(str(path), Config(), INITIAL)
    file.append(*some_events(100))
    assert not path.exists()
    file.discard()
    assert list(tmp_path.iterdir()) == []


def test_discard_after_finish_leaves_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    file = EventFile.begin(str(path), Config(), INITIAL)
    file.finish(INITIAL, "00")
    file.discard()
    assert path.exists()


def test_a_partial_file_is_replaced_unless_a_run_is_at_work(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    path.with_suffix(".h5.partial").write_text("of a killed run" * 10_000)
    first = EventFile.begin(str(path), Config(), INITIAL)
    with pytest.raises(OutputError, match=r"run\.h5\.partial: another run is writing it"):
        EventFile.begin(str(path), Config(), INITIAL)
    first.finish(INITIAL, "00")
    assert read(str(path)).time.size == 0


def test_folder_missing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"none/run\.h5\.partial: No such file or directory"):
        EventFile.begin(str(tmp_path / "none" / "run.h5"), Config(), INITIAL)


FULL_DISK = """
import resource, sys, numpy as np
from distsim.config.options import Config
from distsim.errors import OutputError
from distsim.runs.output import EventFile
file = EventFile.begin(sys.argv[1], Config(), np.zeros(10, np.uint8))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
many = 200_000
try:
    file.append(np.arange(many, dtype=float), np.zeros(many, np.int64), np.zeros(many, np.uint8))
    file.finish(np.zeros(10, np.uint8), "00")
except OutputError as error:
    print(error)
file.discard()
"""


@pytest.mark.parametrize("limit", [0, 100, 10_000, 1_000_000, 3_000_000])
def test_full_disk(limit: int, tmp_path: Path) -> None:
    """HDF5 left alone crashes at the end of a process in which a write has failed."""
    path = tmp_path / "run.h5"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path), str(limit)], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"output {path}: File too large\n"
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys, numpy as np
from distsim.config.options import Config
from distsim.runs.output import EventFile
file = EventFile.begin(sys.argv[1], Config(), np.zeros(10, np.uint8))
for start in range(0, 1_000_000, 100_000):
    block = np.arange(start, start + 100_000)
    file.append(block.astype(float), block, (block % 2).astype(np.uint8))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_run_leaves_what_was_appended(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    subprocess.run([sys.executable, "-c", KILLED, str(path)])
    assert not path.exists()
    with h5py.File(str(path) + ".partial") as file:
        for name in ("time", "neuron"):
            np.testing.assert_array_equal(file["events"][name], np.arange(1_000_000))
        np.testing.assert_array_equal(file["events/state"], np.arange(1_000_000) % 2)


def test_unreadable_files(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("time,neuron")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["a"] = 1
    for name, message in (
        ("none.h5", "No such file"),
        ("text.h5", "not an HDF5 file"),
        ("other.h5", "not an output file of distsim"),
    ):
        with pytest.raises(InputError, match=f"{name}: {message}"):
            read(str(tmp_path / name))
