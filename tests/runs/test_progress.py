"""What is said while a run is on its way: kernels that are compiled, and rates without them."""

import io
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from launchers import ENVIRONMENT, needs_mpirun
from numba.core import config as numba
from processes import Run

import distsim
from distsim.chains import opening
from distsim.config.options import Config
from distsim.front import given
from distsim.networks import catalogue
from distsim.ranks.communicator import Serial
from distsim.runs import loading, preparation, progress, report, results, simulation
from distsim.runs.progress import COMPILING, Display, describe
from distsim.runs.results import Progress

SMALL: dict[str, Any] = {"network": "gaussian", "neurons": 60, "transitions": 300, "device": "cpu"}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_compilation_is_one_line_elsewhere() -> None:
    show = Display(io.StringIO())
    for kernel in ("draw", "replay", "apply"):
        show.compiling(kernel)
    show(Progress(1000, 1.0, 1.0, 2.0))
    assert show._stream.getvalue() == f"{COMPILING}\n"  # type: ignore[attr-defined]


def test_compilation_goes_from_kernel_to_kernel_on_a_terminal_and_leaves_nothing() -> None:
    stream = Terminal()
    show = Display(stream)
    for kernel in ("draw", "replay"):
        show.compiling(kernel)
    assert stream.getvalue() == "".join(f"\r\033[K{COMPILING}: {k}" for k in ("draw", "replay"))
    show.clear()
    show.clear()
    assert stream.getvalue().count("\r\033[K") == 3
    assert stream.getvalue().endswith("\r\033[K")


def test_a_watchdog_sees_a_kernel_that_takes_long_to_compile() -> None:
    compilation = preparation.Compilation(None)
    assert (compilation.progress(), compilation.doing()) == (compilation.progress(), "loading")
    compilation("outer")
    compilation("inner")
    compilation(None)
    before, done = compilation.progress(), 0
    while compilation.progress() == before:  # ends as the processor works
        done += 1
    assert compilation.doing() == "compiling kernels"
    compilation(None)
    assert (compilation.progress(), compilation.doing()) == (compilation.progress(), "loading")


@pytest.mark.parametrize("door", ["run", "simulate", "stream"])
def test_a_network_that_loads_long_is_seen_on_a_terminal_and_leaves_nothing(
    door: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "w.npy")
    np.save(path, np.zeros((60, 60)))
    stream, opens = Terminal(), catalogue.open_network

    def slow(config: Config) -> Any:
        network = opens(config)
        network.rows(0, 60)
        for _ in range(10_000):
            if "read" in stream.getvalue():
                break
            time.sleep(0.001)
        return network

    monkeypatch.setattr(loading, "SILENT", 0.0)
    monkeypatch.setattr(loading, "ON_TERMINAL", 0.001)
    monkeypatch.setattr(preparation, "open_network", slow)
    monkeypatch.setattr(given, "open_network", slow)
    monkeypatch.setattr("sys.stderr", stream)
    if door == "run":
        config = Config(network=path, transitions=300, device="cpu")
        simulation.run(config, Serial(), Display(stream))
    elif door == "simulate":
        distsim.simulate(path, transitions=300)
    else:
        list(distsim.stream(path, transitions=300, show_progress=True))
    lines = stream.getvalue().split("\r\033[K")
    assert f"loading network {path}: 28.12 KiB read, 0 s" in lines
    assert lines[-1] == ""


def test_a_load_elsewhere_is_a_line_every_30_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(progress, "monotonic", lambda: clock[0])
    show = Display(io.StringIO())
    for clock[0] in (1.0, 29.0, 31.0, 32.0, 60.0, 62.0):
        show.doing(f"at {clock[0]:g}")
        show.done(0.5, "never")
    assert show._stream.getvalue() == "at 31\nat 62\n"  # type: ignore[attr-defined]


def test_a_load_is_not_told_while_kernels_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "SILENT", 0.0)
    monkeypatch.setattr(loading, "ON_TERMINAL", 0.001)
    stream, looks = Terminal(), []

    class Busy(preparation.Compilation):
        @property
        def compiles(self) -> bool:
            looks.append(self)
            return True

    with loading.seen(Display(stream), "w.npy", Busy(None)):
        for _ in range(10_000):
            if len(looks) > 2:
                break
            time.sleep(0.001)
    assert len(looks) > 2
    assert stream.getvalue() == ""


def test_the_first_second_tells_no_rate_and_no_time() -> None:
    assert describe(Progress(3, 0.1, 1e-6, 0.3)) == "0%  3 transitions"
    assert describe(Progress(3000, 0.1, 0.5, 2.0)) == (
        "50%  3,000 transitions, 1,500 a second, 2 s left"
    )
    assert describe(Progress(0, 0.0, 0.0, 2.0)) == "0%  0 transitions, 0 a second, ? left"


def test_a_resumed_run_counts_from_where_it_goes_on() -> None:
    resumed = Progress(3000, 0.1, 0.75, 10.0, before=2000, resumed=0.5)
    assert describe(resumed) == "75%  3,000 transitions, 100 a second, 10 s left"


def test_the_clock_starts_when_the_chain_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading and compilation are in no rate."""
    seen = []
    open_chain, perf_counter = opening.open_chain, time.perf_counter

    def opens(*arguments: Any) -> Any:
        chain = open_chain(*arguments)
        seen.append("open")
        return chain

    def tells() -> float:
        seen.append("clock")
        return perf_counter()

    monkeypatch.setattr(preparation, "open_chain", opens)
    monkeypatch.setattr(results, "perf_counter", tells)
    summary = simulation.run(Config(**SMALL), Serial())
    assert seen == ["open", "clock", "clock"]
    assert summary.transitions_per_second == pytest.approx(300 / summary.seconds)


@needs_mpirun
def test_a_kernel_that_is_not_there_is_announced_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Path(numba.CACHE_DIR)  # type: ignore[attr-defined]
    simulation.run(Config(**SMALL), Serial())
    shutil.copytree(kept, tmp_path / kept.name)
    monkeypatch.setitem(ENVIRONMENT, "NUMBA_CACHE_DIR", str(tmp_path))
    options = [f"--{name}={value}" for name, value in SMALL.items()]
    for lost in tmp_path.rglob("*.largest_response-*.nbi"):
        lost.unlink()
    first, second = (Run(tmp_path, *options, ranks=2).end(300) for _ in range(2))
    assert (first.status, first.err) == (0, f"{COMPILING}\n")
    assert (second.status, second.err) == (0, "")
    assert first.out.splitlines()[-1] == second.out.splitlines()[-1]


# ---------------------------------------------------------------------------------- the summary


def network_line(options: dict[str, Any]) -> str:
    summary = simulation.run(Config(**options, device="cpu"), Serial())
    (line,) = [one for one in report.summary(summary, None).splitlines() if "network" in one]
    return line


def test_the_summary_says_what_a_network_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = "source,target,weight\n0,1,0.5\n1,1,-1\n3,1,0\n4,1,2\n"
    Path("w.csv").write_text(text, encoding="utf-8")
    options = {"network": "w.csv", "transitions": 10}
    numbers = {**options, "neurons": 7}
    assert network_line(numbers) == "network  w.csv, 7 neurons, 3 connections, 4 without any"
    Path("w.csv").write_text(text.replace("4,1", "AVA,1"), encoding="utf-8")
    assert network_line(options) == (
        "network  w.csv, 4 neurons with names, 3 connections, 1 without any"
    )
    all_to_all = {"network": "gaussian", "neurons": 9, "transitions": 10}
    assert network_line(all_to_all) == "network  gaussian, 9 neurons, 81 connections"


def test_weights_that_round_to_zero_are_no_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("w.csv").write_text("source,target,weight\n0,1,1\n1,2,0.001\n", encoding="utf-8")
    options: dict[str, Any] = {"network": "w.csv", "neurons": 3, "transitions": 10}
    for bits, connections, unconnected in ((32, 2, 0), (8, 1, 1)):
        summary = simulation.run(Config(**options, weight_bits=bits, device="cpu"), Serial())
        assert (summary.connections, summary.unconnected) == (connections, unconnected)


@needs_mpirun
def test_ranks_count_connections_together(tmp_path: Path) -> None:
    options = ("--network", "celegans", "--transitions", 10, "--device", "cpu", "--json")
    names = ("connections", "unconnected", "named", "neurons")
    one, two = (Run(tmp_path, *options, ranks=ranks).end().summary for ranks in (1, 2))
    assert [one[name] for name in names] == [two[name] for name in names]
    assert one["connections"] > one["neurons"] == 281
