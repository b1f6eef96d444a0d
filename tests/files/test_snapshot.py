"""A file that is read while a run writes it: what a reader gets is that of a moment."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import launchers
import numpy as np
import pytest
from numpy.typing import NDArray

from distsim.chains.chain import Position
from distsim.config.options import Config
from distsim.errors import InputError
from distsim.files import claim, events, journal, snapshot
from distsim.files.events import EVENTS, Events, read
from distsim.files.journal import Disk
from distsim.kernels.window import Clock
from distsim.recording.observation import Plan
from distsim.runs import output
from distsim.runs.output import EventFile

HERE = Path(__file__).parent
NEURONS = 10
START = np.zeros(NEURONS, np.uint8)
PLAN = Plan(
    frozenset({"energy", "samples"}), NEURONS, 2.0, 1, np.arange(0), 1.0, maxcut=False
)  # fmt: skip


def columns(start: int, stop: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Events start .. stop - 1 of a stream that is easily known again."""
    k = np.arange(start, stop)
    return k + 0.5, k * 7 % NEURONS, (k // 3 % 2).astype(np.uint8)


def rows(start: int, stop: int) -> dict[str, NDArray[Any]]:
    k = np.arange(start, stop)
    bits = np.stack([k % 251, k % 249], axis=1).astype(np.uint8)
    return {"time": k * 2.0, "energy": -k / 3, "samples": bits}


def assert_whole(found: Events) -> None:
    for name, wanted in zip(EVENTS, columns(0, found.time.size), strict=True):
        np.testing.assert_array_equal(getattr(found, name), wanted)
    samples = len(found.observables["time"])
    for name, wanted in rows(0, samples).items():
        np.testing.assert_array_equal(found.observables[name], wanted)
    assert found.partial == (found.final is None) == (found.digest is None)


class Writer:
    """An event file that grows by blocks of odd sizes."""

    def __init__(self, path: Path) -> None:
        self.file = EventFile.begin(str(path), Config(), START, PLAN)
        self.events = self.samples = 0
        self._sizes = np.random.default_rng(1)

    def grow(self, many: int | None = None) -> None:
        some, few = self._sizes.integers((1, 1), (4000, 300))
        many = some if many is None else many
        self.file.append(*columns(self.events, self.events + many))
        self.file.extend(rows(self.samples, self.samples + few))
        self.events += int(many)
        self.samples += int(few)


def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system without locks: a run does not see who reads."""
    monkeypatch.setattr(claim, "_ask", lambda *_: claim.fcntl.F_UNLCK)  # type: ignore[attr-defined]


# ------------------------------------------------------------------------ beside a run at work

WRITE = """
import sys, time
from pathlib import Path
sys.path[:0] = sys.argv[2].split(':')
from distsim.files import claim
from test_snapshot import START, Writer
blind = sys.argv[3] == "blind"
if blind:
    claim._ask = lambda *_: claim.fcntl.F_UNLCK
writer = Writer(Path(sys.argv[1]))
print("begun", flush=True)
end = time.monotonic() + float(sys.argv[4])
while time.monotonic() < end:
    writer.grow()
    time.sleep(0.02 * blind)  # who does not wait for readers leaves them a moment, or none at all
writer.file.finish(1 - START, "00")
"""


@pytest.mark.parametrize(("sight", "least"), [("seeing", 10), ("blind", 1)])
def test_a_reader_beside_a_run_that_commits_all_the_time(
    sight: str, least: int, tmp_path: Path
) -> None:
    path = tmp_path / "run.h5"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITE, str(path), f"{HERE}:{HERE.parent}", sight, "6"],
        env=launchers.ENVIRONMENT, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert writer.stdout is not None
    writer.stdout.readline()
    found = read(str(path))
    lengths = [found.time.size]
    while found.partial:
        found = read(str(path))
        assert_whole(found)
        lengths.append(found.time.size)
    assert writer.wait() == 0
    assert lengths == sorted(lengths)
    assert len(set(lengths)) >= least, len(set(lengths))
    assert found.digest == "00"


@contextlib.contextmanager
def middles(
    path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[tuple[Path, int]]]:
    """A copy of a file that grows after each of its writes: (copy, events before)."""
    put, copies = Disk._put, list[tuple[Path, int]]()
    writer = Writer(path)

    def copying(disk: Disk, offset: int, data: Any) -> None:
        put(disk, offset, data)
        copies.append((folder / f"{len(copies)}.h5", writer.events))
        shutil.copy(f"{path}.partial", copies[-1][0])

    monkeypatch.setattr(Disk, "_put", copying)
    for _ in range(5):
        writer.grow()
    monkeypatch.setattr(Disk, "_put", put)
    yield copies
    writer.file.discard()


def test_in_the_middle_of_a_commit_a_file_is_whole_for_us_and_torn_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torn = 0
    with middles(tmp_path / "run.h5", tmp_path, monkeypatch) as copies:
        assert len(copies) > 50
        for copy, before in copies:
            found = read(str(copy))
            assert_whole(found)
            assert found.time.size >= before
            try:
                with h5py.File(copy, "r", locking=False) as file:
                    time_, neuron, state = (file["events"][name][:] for name in EVENTS)
                torn += not len(time_) == len(neuron) == len(state)
                torn += not np.array_equal(time_, columns(0, len(time_))[0])
            except (OSError, KeyError, RuntimeError):
                torn += 1
    assert torn > 10


def written_meanwhile(
    path: Path, monkeypatch: pytest.MonkeyPatch, times: int, every: int
) -> tuple[list[bool], Callable[[], Events]]:
    """What each `settle` says, and a reader between whose first readings the run commits."""
    blind(monkeypatch)
    monkeypatch.setattr(output, "CHUNK", 64)  # large indices
    writer, settle, readinto = Writer(path), snapshot.Snapshot.settle, snapshot.Snapshot.readinto
    said: list[bool] = []
    count = 0

    def growing(self: Any, data: Any) -> int:
        nonlocal count
        count += 1
        if len(said) < times and count % every == 0:
            writer.grow(5000)
        return readinto(self, data)

    def saying(self: Any) -> bool:
        said.append(settle(self))
        return said[-1]

    for _ in range(30):
        writer.grow()
    monkeypatch.setattr(snapshot.Snapshot, "readinto", growing)
    monkeypatch.setattr(snapshot.Snapshot, "settle", saying)
    return said, lambda: read(str(path))


def test_a_commit_amid_the_reading_of_indices_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, reader = written_meanwhile(tmp_path / "run.h5", monkeypatch, 5, 7)
    assert_whole(reader())
    assert False in said
    assert said[-1]


def test_without_a_second_reading_it_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above can see torn files."""
    for k in range(10):
        with monkeypatch.context() as patch:
            _, reader = written_meanwhile(tmp_path / f"{k}.h5", patch, 1000, 1 + k)
            patch.setattr(snapshot.Snapshot, "settle", lambda self: self._load() or True)
            patch.setattr(snapshot, "PATIENCE", 0.0)
            try:
                assert_whole(reader())
            except (AssertionError, InputError):
                return
    pytest.fail("no file was torn")


def test_rows_are_read_at_leisure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run appends while they are read changes nothing."""
    writer, look = Writer(tmp_path / "run.h5"), events._look

    def leisurely(known: Any) -> Events:
        for _ in range(50):
            writer.grow()
        return look(known)

    for _ in range(20):
        writer.grow()
    before = writer.events
    monkeypatch.setattr(events, "_look", leisurely)
    found = read(str(tmp_path / "run.h5"))
    assert found.time.size == before
    assert_whole(found)


def test_one_that_is_cut_back_meanwhile_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, look = tmp_path / "run.h5", events._look
    writer = Writer(path)
    for _ in range(20):
        writer.grow()
    writer.file.leave()
    calls: list[int] = []

    def cutting(known: Any) -> Events:
        calls.append(known.transitions)
        if len(calls) == 1:
            start = Position(START, Clock(), 0, 0, 0, 0, 0.0, 0)
            again = EventFile.reopen(str(path), Config(), start)
            again.append(*columns(5000, 9000))  # others, so that they are known from the first
            again.leave()
        return look(known)

    monkeypatch.setattr(events, "_look", cutting)
    found = read(str(path))
    assert calls == [writer.events, 4000]
    assert [record["attempt"] for record in found.attempts] == [1, 2]
    np.testing.assert_array_equal(found.time, columns(5000, 9000)[0])


def test_a_file_that_never_stays_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "PATIENCE", 0.3)
    monkeypatch.setattr(snapshot.Snapshot, "settle", lambda self: False)
    writer = Writer(tmp_path / "run.h5")
    with pytest.raises(InputError, match=r"run\.h5: is being written, and changes too fast"):
        read(str(tmp_path / "run.h5"))
    writer.file.discard()


# ------------------------------------------------------------------- what a run does for readers


def committed(path: Path) -> int:
    """Events in the file, found without a lock."""
    with (
        open(f"{path}.partial", "rb", buffering=0) as bare,
        h5py.File(snapshot.Snapshot(bare.fileno()), "r") as file,
    ):
        return len(file["events/time"])


def test_commits_wait_for_readers_but_not_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.h5"
    monkeypatch.setattr(journal, "PUT_OFF", 0.3)
    writer = Writer(path)
    writer.grow()
    with open(f"{path}.partial", "rb") as file, claim.reading(file.fileno()):
        for _ in range(2):
            before, begun = committed(path), time.monotonic()
            while committed(path) == before:
                writer.grow()
            assert 0.2 < time.monotonic() - begun < 3
        before = committed(path)
        writer.grow()
        assert committed(path) == before
        writer.file.sync()
        assert committed(path) == writer.events > before
        monkeypatch.setattr(journal, "KEPT", 0)
        writer.grow()
        assert committed(path) == writer.events
    monkeypatch.undo()
    writer.grow()
    assert committed(path) == writer.events
    with open(f"{path}.partial", "rb") as file, claim.reading(file.fileno()):
        writer.grow()
        writer.file.finish(START, "00")
    assert_whole(read(str(path)))


HOLD = """
import sys
from distsim.files.claim import reading
with open(sys.argv[1], "rb") as file, reading(file.fileno()):
    print(1, flush=True)
    input()
"""


def test_a_reader_that_is_stopped_stops_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.h5"
    monkeypatch.setattr(journal, "PUT_OFF", 0.3)
    writer = Writer(path)
    reader = subprocess.Popen(
        [sys.executable, "-c", HOLD, f"{path}.partial"],
        env=launchers.ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert reader.stdout is not None
    reader.stdout.readline()
    reader.send_signal(signal.SIGSTOP)
    begun = time.monotonic()
    writer.grow()
    assert committed(path) == 0
    while committed(path) == 0:
        writer.grow()
        assert time.monotonic() - begun < 5
    reader.send_signal(signal.SIGKILL)
    reader.communicate()
    writer.grow()
    assert committed(path) == writer.events
    writer.file.discard()


def test_a_killed_run_that_had_put_off_a_commit_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    writer = Writer(path)
    writer.grow()
    before = writer.events
    with open(f"{path}.partial", "rb") as file, claim.reading(file.fileno()):
        for _ in range(20):
            writer.grow()
        shutil.copy(f"{path}.partial", tmp_path / "killed.h5")
    found = read(str(tmp_path / "killed.h5"))
    assert found.time.size == before
    assert_whole(found)
    writer.file.discard()


def test_many_readers_see_each_other_not(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    writer = Writer(path)
    writer.grow()
    wrong: list[BaseException] = []

    def look() -> None:
        try:
            for _ in range(10):
                assert_whole(read(str(path)))
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        writer.grow()
    assert not wrong
    writer.file.discard()
    assert os.listdir(tmp_path) == []
