"""The edges of the command line: odd files, closed streams, early signals, foreign values."""

import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import launchers
import numpy as np
import pytest

import distsim
from distsim.cli.launch import Launch
from distsim.cli.main import main
from distsim.config.options import Config
from distsim.config.sources import gather
from distsim.errors import InputError
from distsim.runs import progress
from distsim.runs.results import Progress

SHORT = ["--transitions", "10"]


def shell(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", script.replace("distsim", f"{sys.executable} -m distsim")],
        cwd=folder, env=launchers.ENVIRONMENT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


# ------------------------------------------------------------------ what is no regular file
@pytest.mark.parametrize("kind", ["fifo", "socket", "device"])
@pytest.mark.parametrize(
    ("arguments", "ending"),
    [
        (["run", *SHORT, "--output"], ""),
        (["run", *SHORT, "--output"], ".partial"),
        (["run", *SHORT, "--checkpoint"], ""),
        (["run", *SHORT, "--checkpoint"], ".previous"),
        (["run", *SHORT, "--checkpoint"], ".writing"),
        (["network", "celegans", "--output"], ""),
    ],
)
def test_overwrite_replaces_only_regular_files(
    kind: str, arguments: list[str], ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"it{ending}"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        socket.socket(socket.AF_UNIX).bind(str(path))
    else:
        path.symlink_to("/dev/null")
    before = path.lstat()
    assert main([*arguments, str(tmp_path / "it"), "--overwrite"], Launch()) == 2
    assert (
        f"{path}: no regular file; allowed: a new file, or a regular one" in capsys.readouterr().err
    )
    assert path.lstat().st_ino == before.st_ino
    assert list(tmp_path.iterdir()) == [path]


# ------------------------------------------------------------------------ streams and signals
class Gone(io.StringIO):
    """A stream that nobody reads any more."""

    def flush(self) -> None:
        raise BrokenPipeError


def test_progress_that_nobody_reads_ends_no_run() -> None:
    show = progress.display(Gone())
    show.compiling("a kernel")
    show(Progress(transitions=5, time=1.0, fraction=0.5, seconds=100.0))
    show(Progress(transitions=9, time=2.0, fraction=1.0, seconds=200.0))


def test_closed_streams_end_no_run(tmp_path: Path) -> None:
    for closed in ("2>&-", ">&- 2>&-", "<&- >&- 2>&-"):
        done = shell(f"distsim --transitions 50 --output run.h5 --overwrite {closed}", tmp_path)
        assert (done.returncode, done.stderr) == (0, ""), closed
        assert (tmp_path / "run.h5").exists()
    done = shell("distsim --tau nothing 2>&-", tmp_path)
    assert done.returncode == 2


def test_a_reader_that_leaves_is_no_traceback(tmp_path: Path) -> None:
    done = shell("distsim --transitions 50 | true; exit ${PIPESTATUS[0]}", tmp_path)
    assert done.stderr == ""
    assert done.returncode in (0, 1)


@pytest.mark.alone
def test_an_early_interrupt_is_no_traceback(tmp_path: Path) -> None:
    for delay in (0.05, 0.1, 0.2, 0.4):
        process = subprocess.Popen(
            [sys.executable, "-X", "importtime", "-m", "distsim", "--transitions", "1e12"],
            cwd=tmp_path, env=launchers.ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:  # the first thing that this module does has been done
            if "traceback" in line:
                break
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert "Traceback" not in err
        # Python ends by the signal where the interrupt met some of its own code: 130 to a shell.
        assert process.returncode in (130, 85, -signal.SIGINT)


@pytest.mark.alone
def test_an_early_interrupt_that_the_shell_ignores_is_ignored(tmp_path: Path) -> None:
    """As in the background of a shell script."""
    script = f"trap '' INT; exec {sys.executable} -X importtime -m distsim --tau nothing"
    process = subprocess.Popen(
        ["bash", "-c", script], cwd=tmp_path, env=launchers.ENVIRONMENT, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if "traceback" in line:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "allowed: a finite number, 0 or more" in err


def test_an_end_of_file_is_no_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object) -> None:
        raise EOFError("a cache of compiled kernels")

    monkeypatch.setattr("distsim.runs.simulation.run", run)
    with pytest.raises(EOFError, match="a cache"):
        main(SHORT, Launch())


# --------------------------------------------------------------------------- foreign values
@pytest.mark.parametrize("name", ["watchdog", "max_time"])
def test_a_duration_beyond_all_clocks_is_refused(name: str) -> None:
    assert getattr(Config(**{name: 1e9}), name) == 1e9  # type: ignore[arg-type]
    for value in (1e12, "1e12", "99999999h", 1.1e9):
        with pytest.raises(InputError, match=r"allowed: seconds, .* up to 1e\+09 s"):
            Config(**{name: value})  # type: ignore[arg-type]


def test_a_flag_is_a_number_too(tmp_path: Path) -> None:
    for text, wanted in (("1", True), ("0", False), ("true", True), ('"off"', False)):
        (tmp_path / "run.toml").write_text(f"overwrite = {text}\n", encoding="utf-8")
        assert gather(str(tmp_path / "run.toml"), {}, {}).overwrite is wanted
    (tmp_path / "run.toml").write_text("overwrite = 2\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"overwrite in .*: 2 given; allowed: true, yes, on, 1 or"):
        gather(str(tmp_path / "run.toml"), {}, {})


def test_a_byte_order_mark_is_no_key(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("tau = 3.0\n", encoding="utf-8-sig")
    assert gather(str(tmp_path / "run.toml"), {}, {}).tau == 3.0


W = np.zeros((3, 3))
MANY = np.arange(10_000.0)


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        ([[1.0, 2.0], [3.0]], {}, "array: not readable as weights"),
        ({}, {}, "array: "),
        (None, {}, "array: "),
        (7, {}, r"array: weights of shape \(\) given"),
        (
            W,
            {"tau": np.array([1.0, 2.0])},
            r"tau: 2 given for 1 chain; allowed: one, or one a chain",
        ),
        (W, {"tau": MANY}, r"tau: 10000 given for 1 chain; allowed: one"),
        (W, {"model": MANY}, r"model: an array of shape \(10000,\) given; allowed: mpm or bm"),
        (W, {"transitions": "x"}, "transitions: 'x' given; allowed: an integer"),
        (W, {"seed": 10**5000}, "seed: an integer of thousands of digits given"),
        (W, {"seed": "y" * 5000}, r"seed: 'y+\.\.\.y+' given"),
        (W, {"neurons": MANY}, r"neurons: an array of shape \(10000,\) given to simulate"),
        (
            W,
            {"output": "run.h5"},
            "output: 'run.h5' given to simulate; allowed: on the command line",
        ),
        (
            W,
            {"temperture": 1.0},
            r"temperture: no such option; did you mean temper\? allowed: n",
        ),
        (W, {"transition": 1}, r"transition: no such option; did you mean transitions\?"),
        (
            "celegans",
            {"bias": MANY[:281]},
            r"bias: an array of shape \(281,\) given; allowed: FILE",
        ),
    ],
)
def test_foreign_arguments_of_simulate(network: Any, options: dict[str, Any], message: str) -> None:
    given = {"transitions": 5, **options}
    with pytest.raises(InputError, match=message) as caught:
        distsim.simulate(network, **given)
    assert len(str(caught.value)) < 600


# ---------------------------------------------------------------------------- environment
def test_commands_with_some_options_heed_their_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from distsim.studies import bench

    asked: list[tuple[object, ...]] = []

    def measure(*given: object, synapses: int | None) -> list[object]:
        assert synapses is None
        asked.append(given[1:])  # after the ranks
        return []

    monkeypatch.setattr(bench, "run", measure)
    monkeypatch.setattr(bench, "table", lambda rows: "")
    for name, value in {
        "NEURONS": "77", "WEIGHT_BITS": "8", "MODEL": "bm", "TAU": "3", "DEVICE": "cpu",
        "WINDOW": "9", "OUTPUT": "no.h5",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"DISTSIM_{name}", value)
    assert main(["bench", "--seconds", "1"], Launch()) == 0
    assert asked.pop() == (("bm",), (77,), [8], 3.0, 1.0, "cpu", 9)
    options = ["--neurons", "5", "--neurons", "6", "--model", "mpm", "--tau", "2", "--window", "4"]
    assert main(["bench", "--weight-bits", "16", *options], Launch()) == 0
    assert asked.pop() == (("mpm",), (5, 6), [16], 2.0, 2.0, "cpu", 4)
    monkeypatch.delenv("DISTSIM_OUTPUT")
    monkeypatch.setenv("DISTSIM_NEURONS", "12")
    written = str(tmp_path / "w.npz")
    assert main(["network", "gaussian", "--output", written], Launch()) == 0
    assert np.load(written)["weights"].shape == (12, 12)
    monkeypatch.setenv("DISTSIM_NEURON", "12")
    assert main(["bench"], Launch()) == 2
    assert re.search(
        "environment: DISTSIM_NEURON; allowed: DISTSIM_NETWORK", capsys.readouterr().err
    )
