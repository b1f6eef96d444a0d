"""Progress for programs that watch: whole lines, one a second, and one at the end."""

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from launchers import needs_mpirun
from processes import Run

from distsim.config.options import Config
from distsim.config.sources import amend
from distsim.engines import windows
from distsim.errors import InputError
from distsim.files.events import read
from distsim.ranks.communicator import Serial
from distsim.recording.scalars import Scalars
from distsim.runs import checkpoint, progress_file, simulation
from distsim.runs.progress import Display
from distsim.runs.progress_file import ProgressFile
from distsim.runs.results import Progress, Summary

SMALL: dict[str, Any] = {"network": "gaussian", "neurons": 60, "device": "cpu"}
BY_WINDOW = {**SMALL, "engine": "relax"}
KEYS = ["time", "transitions", "transitions_per_second", "fraction", "seconds"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def told_by_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress is told after each window of the engine relax, however short the run."""
    monkeypatch.setattr(windows, "_WEIGHTS", 0)


def lines(path: str = "run.jsonl") -> list[dict[str, Any]]:
    text = Path(path).read_text(encoding="utf-8")
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def told(path: str, seconds: float, *, steps: bool = False, again: bool = False) -> ProgressFile:
    """A file that was told of progress after so many seconds."""
    file = ProgressFile(path, again=again, steps=steps, seen=lambda: Scalars(activity=0.25))
    file(Progress(300, 12.0, 0.5, seconds, before=100))
    return file


def test_at_most_one_line_a_second(here: Path) -> None:
    file = ProgressFile("run.jsonl", again=False, steps=False)
    for k in range(100):
        file(Progress(k, float(k), 0.0, k * 0.3))
    file.close()
    seconds = [line["seconds"] for line in lines()]
    assert len(seconds) == 24
    assert min(b - a for a, b in zip([0.0, *seconds], seconds, strict=False)) >= 1
    assert file.error is None


def test_a_line_holds_what_is_known(here: Path) -> None:
    told("run.jsonl", 2.0).close()
    told("steps.jsonl", 2.0, steps=True).close()
    line = {
        "time": 12.0,
        "transitions": 300,
        "transitions_per_second": 100.0,
        "fraction": 0.5,
        "seconds": 2.0,
        "activity": 0.25,
    }
    assert lines() == [line]
    assert lines("steps.jsonl") == [{**line, "steps": 12}]


@pytest.mark.parametrize("torn", ["", '{"time": 1', '{"' + "x" * 1000])
def test_after_a_kill_the_torn_line_goes_and_the_others_stay(torn: str, here: Path) -> None:
    with open("run.jsonl", "w", encoding="utf-8") as file:
        file.write(f'{{"time": 0}}\n{torn}')
    told("run.jsonl", 2.0, again=True).close()
    assert [line["time"] for line in lines()] == [0, 12.0]
    told("run.jsonl", 2.0).close()
    assert [line["time"] for line in lines()] == [12.0]
    told("new.jsonl", 2.0, again=True).close()
    assert len(lines("new.jsonl")) == 1


def test_two_runs_do_not_write_one_file(here: Path) -> None:
    first = told("run.jsonl", 2.0)
    second = told("run.jsonl", 2.0)
    assert second.error == "progress run.jsonl: another run is writing it; its lines end here"
    first(Progress(400, 13.0, 0.6, 5.0))
    first.close()
    assert len(lines()) == 2


def test_a_full_disk_ends_the_lines_not_the_run(
    here: Path, told_by_window: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_file, "EVERY", 0.0)
    write, left = os.write, [1000]

    def short(descriptor: int, data: bytes) -> int:
        count = min(len(data), left[0])
        if not count and len(data) > 1:  # not the watchdog's
            raise OSError(28, "No space left on device")
        left[0] -= count
        return write(descriptor, data[: count or 1])

    monkeypatch.setattr(os, "write", short)
    stream = io.StringIO()
    config = Config(**BY_WINDOW, transitions=3000, progress="run.jsonl")
    summary = simulation.run(config, Serial(), Display(stream))
    assert summary.transitions == 3000
    assert 1 <= len(lines()) <= 10
    assert stream.getvalue().splitlines()[-1] == (
        "distsim: progress run.jsonl: No space left on device; its lines end here"
    )


@pytest.mark.parametrize("length", [{"transitions": 2000}, {"model": "bm", "sweeps": 40}])
def test_the_last_line_has_the_numbers_of_the_summary(
    length: dict[str, Any], here: Path, told_by_window: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_file, "EVERY", 1e-3)
    config = Config(**BY_WINDOW, **length, observe="activity", every=0.5, progress="run.jsonl")
    summary = simulation.run(config, Serial())
    *before, last = lines()
    assert before
    assert last["fraction"] == 1
    names = [name for name in last if name != "fraction"]
    assert {name: last[name] for name in names} == {name: getattr(summary, name) for name in names}
    assert set(names) >= {"activity", "rate", *KEYS} - {"fraction"}
    assert ("steps" in last) == ("sweeps" in length)
    for name in ("transitions", "time", "fraction"):
        done = [line[name] for line in [*before, last]]
        assert done == sorted(done)
    assert all(set(line) <= set(last) for line in before)
    with pytest.raises(InputError, match=r"progress run\.jsonl: exists; allowed: a new file"):
        simulation.run(config, Serial())


@needs_mpirun
def test_the_root_of_two_ranks_writes_for_both(here: Path) -> None:
    files = ("--output", "run.h5", "--progress", "run.jsonl")
    done = Run(here, "--transitions", 300, "--device", "cpu", "--json", *files, ranks=2).end(300)
    assert [line["transitions"] for line in lines()][-1] == done.summary["transitions"] == 300
    (attempt,) = read("run.h5").attempts
    assert (attempt["ranks"], attempt["hosts"]) == (2, [os.uname().nodename])


def test_a_run_that_goes_on_appends(here: Path) -> None:
    def run(**options: Any) -> Summary:
        saved = None
        config = Config(**SMALL, **{"checkpoint": "run.ck", "progress": "run.jsonl", **options})
        if os.path.exists("run.ck"):
            saved = checkpoint.read("run.ck", Serial())
            config = amend("run.ck", saved.config, {}, options)
        return simulation.run(config, Serial(), saved=saved)

    run(transitions=1000)
    with open("run.jsonl", "a", encoding="utf-8") as file:
        file.write('{"tim')
    longer = run(transitions=1500)
    assert [line["transitions"] for line in lines()] == [1000, 1500]
    assert lines()[1]["transitions_per_second"] == longer.transitions_per_second
    run(transitions=2000, progress="other.jsonl")
    assert [len(lines()), len(lines("other.jsonl"))] == [2, 1]
    Path("notes").write_text("mine, without an end of line", encoding="utf-8")
    with pytest.raises(InputError, match="progress notes: exists, and is none; allowed: that of"):
        run(transitions=2000, progress="notes")
    assert Path("notes").read_text(encoding="utf-8").startswith("mine, without")
    with pytest.raises(InputError, match="progress none/run: no folder none"):
        run(transitions=2000, progress="none/run")
