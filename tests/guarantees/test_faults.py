"""Faults: each ends all ranks, in time, with its status and a message, and nothing is lost."""

import contextlib
import importlib.util
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import h5py
import launchers
import numpy as np
import pytest
from numpy.typing import NDArray
from processes import Done, Run, wait_until_unclaimed

from distsim import simulate
from distsim.chains import opening
from distsim.chains.chain import Position
from distsim.config.options import Config
from distsim.config.sources import amend
from distsim.errors import InputError, OutputError
from distsim.files.events import EVENTS
from distsim.files.journal import Disk
from distsim.kernels.window import Clock
from distsim.ranks import witness
from distsim.ranks.communicator import Serial
from distsim.ranks.watchdog import Watchdog
from distsim.runs import checkpoint, simulation
from distsim.runs.output import EventFile
from distsim.runs.same_inputs import _BLOCK, _SAMPLES, _sample

LONG = ("--network", "gaussian", "--neurons", 300, "--transitions", 10**9)
SAVING = ("--checkpoint", "run.ck", "--checkpoint-every", "1000 events", "--output", "run.h5")
alone = pytest.mark.alone  # measures seconds
MPIS = sorted(launchers.found())


def long(*values: object) -> Any:
    """A case whose parts others have each: another number of ranks, another MPI."""
    return pytest.param(*values, marks=pytest.mark.long)


def begun(folder: Path, *arguments: object, saving: bool = True, **how: Any) -> Run:
    """A run without an end, after its first checkpoint."""
    going = Run(folder, *LONG, *(SAVING if saving else ("--output", "run.h5")), *arguments, **how)
    going.wait_for(folder / ("run.ck" if saving else "run.h5.partial"))
    return going


def assert_resumable(folder: Path, ranks: int = 1) -> None:
    """It goes on, and what it has done is what an undisturbed run has done."""
    if ranks == 1:  # here: a start takes longer than all the rest
        with contextlib.chdir(folder):
            wait_until_unclaimed("run.ck")
            saved = checkpoint.read("run.ck", Serial())
            settings = amend("run.ck", saved.config, {}, {"max_time": 0.1})
            summary = simulation.run(settings, Serial(), saved=saved)
        assert summary.stopped == "--max-time 0.1 s"
        count, digest = summary.transitions, summary.digest
    else:
        done = Run(folder, "resume", "run.ck", "--max-time", 0.1, "--json", ranks=ranks).end()
        assert done.status == 85, done
        count, digest = done.summary["transitions"], done.summary["digest"]
    options: dict[str, Any] = {"network": "gaussian", "neurons": 300, "transitions": count}
    assert simulation.run(Config(**options), Serial()).digest == digest


# ----------------------------------------------------------------------------------- stops


@alone
@launchers.needs_mpirun
@pytest.mark.parametrize(
    ("ranks", "number"),
    [
        (1, signal.SIGTERM),
        (1, signal.SIGINT),
        (3, signal.SIGTERM),
        (3, signal.SIGUSR1),
        long(1, signal.SIGUSR1),
        long(3, signal.SIGINT),
    ],
)
def test_a_signal_on_any_rank_stops_all_within_two_seconds_with_status_85(
    ranks: int, number: signal.Signals, tmp_path: Path
) -> None:
    going = begun(tmp_path, ranks=ranks)
    going.signal(ranks - 1, number)
    done = going.end()
    assert done.status == 85
    assert done.seconds < 2
    message = f"stopped by {number.name} on rank {ranks - 1}; goes on with: distsim resume run.ck"
    assert done.err.count(message) == 1
    assert not (tmp_path / "run.h5").exists()
    assert_resumable(tmp_path)


@pytest.mark.parametrize("mpi", MPIS)
def test_a_signal_to_the_launcher_stops_all_ranks(mpi: str, tmp_path: Path) -> None:
    """SIGUSR1: Open MPI's own answer to SIGTERM and SIGINT is to kill its ranks."""
    going = begun(tmp_path, ranks=2, mpi=mpi)
    os.kill(going.launcher, signal.SIGUSR1)
    assert going.end().status == 85


@alone
@pytest.mark.long
@pytest.mark.parametrize("ranks", [1, pytest.param(2, marks=launchers.needs_mpirun)])
def test_a_large_network_stops_within_two_seconds(ranks: int, tmp_path: Path) -> None:
    shape = ("--neurons", 16_384, "--checkpoint-every", "1s")
    going = begun(tmp_path, *shape, ranks=ranks)
    going.signal(0, signal.SIGTERM)
    done = going.end()
    assert (done.status, done.seconds < 2) == (85, True)


def test_max_time_stops_with_status_85(tmp_path: Path) -> None:
    done = Run(tmp_path, *LONG, *SAVING, "--max-time", "0.5s", "--json").end()
    assert done.status == 85
    assert done.summary["stopped"] == "--max-time 0.5 s"
    assert_resumable(tmp_path)


def test_a_stop_without_a_checkpoint_says_that_nothing_can_be_resumed(tmp_path: Path) -> None:
    """What happened so far is in the partial file."""
    going = begun(tmp_path, "--json", saving=False)
    time.sleep(0.5)
    going.signal(0, signal.SIGTERM)
    done = going.end()
    assert done.status == 85
    assert "cannot be resumed: no --checkpoint FILE was given" in done.err
    with h5py.File(tmp_path / "run.h5.partial") as file:
        assert len(file["events/time"]) == done.summary["transitions"] > 0


@alone
@launchers.needs_mpirun
def test_a_second_signal_leaves_at_once(tmp_path: Path) -> None:
    """The first one cannot be agreed upon while another rank stands still."""
    going = begun(tmp_path, ranks=2)
    going.signal(1, signal.SIGSTOP)
    going.signal(0, signal.SIGTERM)
    time.sleep(1.0)
    assert going.running()
    going.signal(0, signal.SIGTERM)
    done = going.end()
    assert done.status != 0
    assert done.seconds < 2
    assert_resumable(tmp_path)


# ---------------------------------------------------------------------------------- hangs


@alone
@pytest.mark.parametrize("mpi", MPIS)
def test_a_rank_that_is_killed_ends_all(mpi: str, tmp_path: Path) -> None:
    going = begun(tmp_path, "--watchdog", 5, ranks=3, mpi=mpi)
    pid = going.pids()[1]
    going.signal(1, signal.SIGKILL)
    done = going.end()
    assert done.status not in (0, 85)
    assert done.seconds < 5
    named = {"mpich": f"distsim: rank 1 of 3 (process {pid})", "openmpi": "process rank 1 with PID"}
    assert named[mpi] in done.err
    assert_resumable(tmp_path, ranks=2)


class Pair(Serial):
    """This rank, and one that is another process of this machine."""

    size = 2

    def __init__(self, other: int) -> None:
        self.other = other
        self.aborted = threading.Event()

    def gather(self, states: NDArray[np.uint8]) -> NDArray[np.uint8]:
        other = np.frombuffer(self.other.to_bytes(8, "little"), np.uint8)
        return np.concatenate([states, states[:-8], other])

    def abort(self, status: int) -> NoReturn:
        assert status == 1
        self.aborted.set()
        sys.exit()  # of the thread


@alone
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_rank_that_dies_ends_all_at_once_whatever_the_launcher_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    ranks = Pair(other.pid)
    with Watchdog(60.0, ranks, progress=lambda: 0, doing=str):
        assert not ranks.aborted.wait(0.3)
        other.kill()
        assert ranks.aborted.wait(5.0)
    assert "distsim: rank 1 of 2 has died; ending all ranks" in capsys.readouterr().err
    other.communicate()


@alone
@pytest.mark.parametrize(
    ("rank", "mpi"),
    [case for mpi in MPIS for case in ((0, mpi), (2, mpi))][::3]
    + [long(rank, mpi) for rank, mpi in zip((2, 0), MPIS, strict=False)],
)
def test_a_rank_that_stalls_ends_all_within_the_watchdogs_time(
    rank: int, mpi: str, tmp_path: Path
) -> None:
    going = begun(tmp_path, "--watchdog", 2, ranks=3, mpi=mpi)
    going.signal(rank, signal.SIGSTOP)
    done = going.end()
    assert done.status not in (0, 85)
    assert done.seconds < 4
    assert "of 3 has made no progress for 1.8 s" in done.err
    assert f"rank {rank} stopped; ending all ranks" in done.err
    assert_resumable(tmp_path)


LOADING = """
import os, sys
import distsim.__main__, distsim.runs.preparation as preparation
rank, number = map(int, (sys.argv.pop(1), sys.argv.pop(1)))
open_chain = preparation.open_chain

def fail(*arguments):
    if arguments[2].rank == rank:
        os.kill(os.getpid(), number)
    return open_chain(*arguments)

preparation.open_chain = fail
distsim.__main__.main()
"""


@alone
@pytest.mark.parametrize("mpi", MPIS)
@pytest.mark.parametrize(
    ("number", "said"),
    [
        (
            signal.SIGSTOP,
            "made no progress for 1.8 s, loading: it stalls, or waits for another one",
        ),
        (signal.SIGKILL, "rank 1"),
    ],
)
def test_a_rank_that_stalls_or_dies_while_it_loads_ends_all(
    number: signal.Signals, said: str, mpi: str, tmp_path: Path
) -> None:
    program = ("-c", LOADING, "1", str(int(number)))
    done = Run(tmp_path, *LONG, "--watchdog", 2, ranks=3, mpi=mpi, program=program).end()
    assert done.status not in (0, 85)
    assert done.seconds < 10  # its start included
    assert said in done.err


@pytest.mark.parametrize(
    ("told", "wanted"), [(b"", "rank 1 of 2 (process {}) has died"), (b".", "")]
)
def test_a_rank_that_died_before_the_witness_looked_is_named(told: bytes, wanted: str) -> None:
    """The other rank lives on: this process."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    done = subprocess.run(
        [sys.executable, witness.__file__, "2", f"0:{os.getpid()}", f"1:{dead.pid}"],
        input=told,
        capture_output=True,
        timeout=30,
    )
    assert done.stderr.decode() == (f"distsim: {wanted.format(dead.pid)}\n" if wanted else "")


STOPS = """
import itertools, os, signal
import distsim.__main__, distsim.runs.checkpoint as checkpoint
write, count = checkpoint.write, itertools.count(1)

def stop(*arguments):
    if next(count) == 3:
        os.kill(os.getpid(), signal.SIGSTOP)
    write(*arguments)

checkpoint.write = stop
distsim.__main__.main()
"""


@alone
@launchers.needs_mpirun
def test_a_rank_that_stalls_in_a_checkpoint_ends_all_within_the_watchdogs_time(
    tmp_path: Path,
) -> None:
    """Files may take ten times as long, but not while a rank is stopped."""
    done = begun(tmp_path, "--watchdog", 2, ranks=3, program=("-c", STOPS)).end()
    assert done.status not in (0, 85)
    assert done.seconds < 5
    assert "of 3 has made no progress for 1.8 s" in done.err
    assert "rank 0 stopped; ending all ranks" in done.err
    assert_resumable(tmp_path)


@alone
def test_a_machine_that_slept_is_not_a_stall(tmp_path: Path) -> None:
    going = begun(tmp_path, "--watchdog", 1)
    going.signal(0, signal.SIGSTOP)
    time.sleep(2)
    going.signal(0, signal.SIGCONT)
    time.sleep(0.5)
    assert going.running()
    going.signal(0, signal.SIGTERM)
    assert going.end().status == 85


FAULTY = """
import os, resource, sys
import distsim.__main__
from distsim.chains.cpu import HostChain
from distsim.engines import windows as of_engines
from distsim.ranks.communicator import launched_rank
of_engines._WEIGHTS = 0  # a window a stretch
rank, fault = sys.argv.pop(1), sys.argv.pop(1)
if launched_rank() == int(rank):
    advance, windows = HostChain.advance, 0

    def fail(chain, recorder):
        global windows
        windows += 1
        if windows == 500 and fault == "raises":
            {}["a bug"]
        if windows == 500 and fault == "memory":
            resource.setrlimit(resource.RLIMIT_AS, (2**31, resource.RLIM_INFINITY))
            chain.lost = bytearray(2**33)
        if windows == (1000 if "--checkpoint" in sys.argv else 5000) and fault == "full":
            size = os.path.getsize("run.h5.partial")
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        advance(chain, recorder)

    HostChain.advance = fail
distsim.__main__.main()
"""


def faulty(folder: Path, rank: int, fault: str, ranks: int, saving: bool = True) -> Done:
    program = ("-c", FAULTY, str(rank), fault)
    how: dict[str, Any] = {"ranks": ranks, "saving": saving, "program": program}
    # An engine by windows, which the faults are counted by.
    return begun(folder, "--watchdog", 20, "--engine", "relax", **how).end()


@launchers.needs_mpirun
@pytest.mark.parametrize(
    ("fault", "message", "ranks"),
    [
        ("raises", "KeyError: 'a bug'", 3),
        ("memory", "MemoryError", 1),
        long("raises", "KeyError: 'a bug'", 1),
        long("memory", "MemoryError", 3),
    ],
)
def test_a_rank_that_raises_or_is_out_of_memory_ends_all_and_is_named(
    fault: str, message: str, ranks: int, tmp_path: Path
) -> None:
    done = faulty(tmp_path, ranks - 1, fault, ranks)
    assert done.status not in (0, 2, 85)
    assert done.seconds < 20
    assert f"distsim: error on rank {ranks - 1}:" in done.err
    assert message in done.err
    assert_resumable(tmp_path)


@pytest.mark.parametrize(("fault", "status"), [("raises", 1), ("full", 74)])
def test_a_fault_before_the_first_checkpoint_leaves_the_events_that_were_written(
    fault: str, status: int, tmp_path: Path
) -> None:
    done = faulty(tmp_path, 0, fault, 1, saving=False)
    assert done.status == status
    with h5py.File(tmp_path / "run.h5.partial") as file:
        events = file["events"]["neuron"][:]
    options: dict[str, Any] = {"network": "gaussian", "neurons": 300, "transitions": events.size}
    result = simulate(options.pop("network"), **options)
    assert events.size > 0
    np.testing.assert_array_equal(events, result.neuron)


LOST = """
import cupy, distsim.__main__, distsim.chains.gpu as device
STRAY = cupy.RawKernel('extern "C" __global__ void stray() { *(volatile int*)8 = 1; }', "stray")
advance, calls = device.DeviceChain.advance, 0

def fail(chain, recorder):
    global calls
    calls += 1
    if calls == 20:
        STRAY((1,), (1,), ())
    advance(chain, recorder)

device.DeviceChain.advance = fail
distsim.__main__.main()
"""


@pytest.mark.gpu
def test_a_gpu_that_is_lost_ends_the_run(tmp_path: Path) -> None:
    """After a stray write nothing runs on it any more."""
    going = Run(tmp_path, *LONG, "--device", "gpu", "--watchdog", 20, program=("-c", LOST))
    done = going.end()
    assert done.status not in (0, 2, 85)
    assert "distsim: error on rank 0:" in done.err


@pytest.mark.parametrize("engine", ["relax", "race"])
@pytest.mark.parametrize("device", ["cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
def test_a_network_that_comes_to_rest_leaves_its_events(
    device: str, engine: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "w.npz", weights=np.zeros((20, 20)), bias=np.full(20, -3000.0))
    file = str(tmp_path / "run.h5")
    config = Config(
        network=str(tmp_path / "w.npz"),
        initial="ones", transitions=100, engine=engine, device=device, output=file,
    )  # fmt: skip
    with pytest.raises(InputError, match="the network is at rest"):
        simulation.run(config, Serial())
    with h5py.File(file + ".partial") as partial:
        assert sorted(partial["events/neuron"]) == list(range(20))
        assert not any(partial["events/state"])


# ------------------------------------------------------------------------ launched wrongly


@launchers.needs_mpich
def test_singletons_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As if Open MPI's mpirun had started two ranks, of which MPICH's library knows nothing."""
    monkeypatch.setitem(launchers.ENVIRONMENT, "OMPI_COMM_WORLD_SIZE", "2")
    monkeypatch.setitem(launchers.ENVIRONMENT, "OMPI_COMM_WORLD_RANK", "0")
    done = Run(tmp_path, "--transitions", 10, "--output", "run.h5").end()
    assert done.status == 2
    assert "OMPI_COMM_WORLD_SIZE=2, but MPICH" in done.err
    assert "finds 1 rank(s): the launcher and the library do not belong together" in done.err
    assert not list(tmp_path.iterdir())


def test_two_ranks_on_one_gpu_are_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Twins(Serial):
        size = 2

        def gather(self, states: NDArray[np.uint8]) -> NDArray[np.uint8]:
            return np.concatenate([states, states])

    driver = types.SimpleNamespace(choose=lambda place: "GPU-8a4f", missing=lambda: None)
    monkeypatch.setitem(sys.modules, "distsim.gpu.driver", driver)
    monkeypatch.setattr(opening, "_missing_gpu", lambda: None)
    with pytest.raises(InputError, match="GPU GPU-8a4f: taken by ranks 0 and 1; allowed: one rank"):
        opening.on_gpu("gpu", Twins())
    assert not opening.on_gpu("auto", Twins())
    assert opening.on_gpu("auto", Serial())


def test_what_a_run_on_a_gpu_lacks_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cupy.py").write_text("raise ImportError('no libnvrtc.so.13')", encoding="utf-8")
    monkeypatch.setitem(
        launchers.ENVIRONMENT, "PYTHONPATH", f"{tmp_path}:{launchers.ENVIRONMENT['PYTHONPATH']}"
    )
    done = Run(tmp_path, "--device", "gpu").end()
    assert done.status == 2
    assert (
        done.err
        == "distsim: device gpu: CuPy cannot be imported: no libnvrtc.so.13; allowed here: cpu\n"
    )
    assert Run(tmp_path, "--transitions", 10, "--json").end().summary["device"] == "cpu"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"not installed: install distsim\[cuda12\] or distsim\[cuda13\]"
    ):
        opening.on_gpu("gpu", Serial())


# -------------------------------------------------------------------- differing networks


@launchers.needs_mpirun
@pytest.mark.parametrize("name", ["network.npy", "bias.npy"])
def test_a_stale_file_on_one_node_is_found_before_the_first_window(
    name: str, tmp_path: Path
) -> None:
    """Each rank in a folder of its own, as on nodes with disks of their own."""
    weights = np.random.default_rng(1).normal(size=(50, 50))
    for rank in range(3):
        (tmp_path / str(rank)).mkdir()
        np.save(tmp_path / str(rank) / "network.npy", weights)
        np.save(tmp_path / str(rank) / "bias.npy", weights[0])
    stale = np.load(tmp_path / "2" / name)
    stale.flat[7] += 1e-9
    np.save(tmp_path / "2" / name, stale)
    move = (
        "import os, distsim.__main__ as m; from distsim.ranks.communicator import launched_rank; "
        "os.chdir(str(launched_rank())); m.main()"
    )
    options = ("--network", "network.npy", "--bias", "bias.npy", "--time", 1, "--output", "run.h5")
    done = Run(tmp_path, *options, ranks=3, program=("-c", move)).end()
    assert done.status == 2
    assert done.err.count(f"{name}: rank 2 has others than rank 0 (a stale copy on its node?)") == 1
    assert not list(tmp_path.glob("*/run*"))


@launchers.needs_mpirun
def test_ranks_with_other_options_are_refused(tmp_path: Path) -> None:
    differ = (
        "import sys, distsim.__main__ as m; from distsim.ranks.communicator import launched_rank; "
        "sys.argv += ['--seed', str(launched_rank())]; m.main()"
    )
    done = Run(tmp_path, ranks=2, program=("-c", differ)).end()
    assert done.status == 2
    assert "the options: rank 1 has others than rank 0; allowed: the same on every rank" in done.err


def test_a_sample_of_a_large_file_sees_its_size_and_its_blocks(tmp_path: Path) -> None:
    path = tmp_path / "large"
    size = 3 * _BLOCK * _SAMPLES
    seen = {}
    for name, at, end in (("", 0, size), ("first", 0, size), ("last", size - 1, size)):
        with path.open("wb") as file:
            file.truncate(end)
            if name:
                file.seek(at)
                file.write(b"x")
        seen[name] = _sample(str(path))
    with path.open("wb") as file:
        file.truncate(size + 1)
    seen["size"] = _sample(str(path))
    assert len(set(seen.values())) == 4


# ----------------------------------------------------------------------------------- files


@pytest.mark.parametrize("ranks", [1, pytest.param(2, marks=launchers.needs_mpirun)])
def test_a_full_disk_stops_all_ranks_with_status_74_and_the_run_can_be_resumed(
    ranks: int, tmp_path: Path
) -> None:
    done = faulty(tmp_path, 0, "full", ranks)
    assert done.status == 74
    message = "distsim: output run.h5: File too large; goes on with: distsim resume run.ck\n"
    assert done.err.count(message) == 1
    assert_resumable(tmp_path)


@launchers.needs_mpirun
@pytest.mark.parametrize("ranks", [long(1), 2])
def test_a_vanished_folder_stops_all_ranks_with_status_74(ranks: int, tmp_path: Path) -> None:
    """It comes back, and the run goes on."""
    here = tmp_path / "here"
    here.mkdir()
    going = begun(here, ranks=ranks)
    absolute = Run(
        tmp_path, *LONG, "--seed", 1, "--output", here / "b.h5", "--checkpoint", here / "b.ck"
    )
    absolute.wait_for(here / "b.h5.partial")
    going.signal(0, signal.SIGTERM)
    assert going.end().status == 85
    here.rename(tmp_path / "gone")
    done = absolute.end()
    assert done.status == 74
    assert done.err.count(f"distsim: output {here}/b.h5: No such file or directory") == 1
    (tmp_path / "gone").rename(here)
    assert_resumable(here)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv")
def test_a_folder_that_becomes_read_only_stops_the_run_with_status_74(tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    folder.mkdir()
    powerless = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"]
    start = [*powerless, sys.executable, "-m", "distsim"] if os.getuid() == 0 else []
    program = "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])"
    files = ("--output", "run.h5", "--checkpoint", "saved/run.ck", "--checkpoint-every", "0.2s")
    how: dict[str, Any] = {"program": ("-c", program, *start)} if start else {}
    going = Run(tmp_path, *LONG, *files, **how)
    going.wait_for(folder / "run.ck")
    folder.chmod(0o555)
    done = going.end()
    folder.chmod(0o755)
    assert done.status == 74
    assert done.err.count("distsim: checkpoint saved/run.ck: Permission denied") == 1
    (folder / "run.ck").rename(tmp_path / "run.ck")
    assert_resumable(tmp_path)


@pytest.mark.parametrize(
    ("limit", "most", "said"),
    [
        ("RLIMIT_FSIZE", 100, "output run.h5: File too large"),
        ("RLIMIT_NOFILE", 6, "rank 0: Too many open files; allowed: a higher limit (ulimit -n)"),
    ],
)
def test_tiny_limits_are_one_message(limit: str, most: int, said: str, tmp_path: Path) -> None:
    program = (
        f"import resource, distsim.__main__ as m; "
        f"resource.setrlimit(resource.{limit}, ({most}, {most})); m.main()"
    )
    done = Run(tmp_path, "--transitions", 10, *SAVING, program=("-c", program)).end()
    assert (done.status, done.err) == (2, f"distsim: {said}\n")
    assert not list(tmp_path.iterdir())


def test_after_a_kill_the_event_file_opens_with_all_up_to_the_last_flush(tmp_path: Path) -> None:
    going = begun(tmp_path)
    time.sleep(random.Random(1).uniform(0.2, 0.6))
    going.signal(0, signal.SIGKILL)
    assert going.end().status == -9
    with h5py.File(tmp_path / "run.h5.partial") as file:
        time_, neuron, state = (file["events"][name][:] for name in EVENTS)
    assert len(time_) == len(neuron) == len(state) >= 1000
    result = simulate("gaussian", neurons=300, transitions=len(time_))
    np.testing.assert_array_equal(time_, result.time)
    np.testing.assert_array_equal(neuron, result.neuron)
    np.testing.assert_array_equal(state, result.state)


def grow(path: Path, written: Callable[[int], None]) -> None:
    """An event file that grows by odd blocks."""
    file = EventFile.begin(str(path), Config(), np.zeros(10, np.uint8))
    written(0)
    count = 0
    for size in (10, 50_000, 1, 70_000, 3, 131_072, 1000):
        block = np.arange(count, count + size)
        file.append(block.astype(float), block, (block % 2).astype(np.uint8))
        count += size
        written(count)
    file.finish(np.ones(10, np.uint8), "00")


def test_a_write_that_is_cut_short_anywhere_leaves_a_whole_event_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file after every single write, and after half of it, is that of a flush."""
    path, copies = tmp_path / "run.h5", tmp_path / "copies"
    copies.mkdir()
    put = Disk._put
    flushed: list[int] = []
    snapshots: list[tuple[Path, int]] = []

    def cut(disk: Disk, offset: int, data: Any) -> None:
        if not flushed:
            return put(disk, offset, data)
        view = memoryview(data).cast("B")
        put(disk, offset, view[: len(view) // 2])
        snapshots.append((copies / f"{len(snapshots)}", len(flushed)))
        shutil.copy(f"{path}.partial", snapshots[-1][0])
        return put(disk, offset, data)

    monkeypatch.setattr(Disk, "_put", cut)
    grow(path, flushed.append)
    monkeypatch.setattr(Disk, "_put", put)
    assert len(snapshots) > 100
    for copy, flushes in snapshots:
        allowed = flushed[flushes - 1 : flushes + 1]
        disk = Disk(str(copy), new=False)
        with h5py.File(disk, "r") as file:
            count = len(file["events/time"])
            assert count in allowed
            for name in ("time", "neuron"):
                np.testing.assert_array_equal(file["events"][name], np.arange(count))
        disk.abandon()
        copy.unlink()


@launchers.needs_mpirun
def test_a_second_run_on_one_checkpoint_is_refused_at_once(tmp_path: Path) -> None:
    """Beside a run and beside a resumed one; when these have died their claim is void."""
    again = (*LONG, "--checkpoint", "run.ck", "--overwrite")
    message = (
        "distsim: checkpoint run.ck: another run is writing it; allowed: another file, or this one "
        "when that run has ended\n"
    )
    going = begun(tmp_path)
    for ranks in (1, 2):
        for second, count in ((again, ranks), (("resume", "run.ck"), 3 - ranks)):
            done = Run(tmp_path, *second, ranks=count).end()
            assert (done.status, done.err.count(message)) == (2, 1), done
        assert going.running()
        going.signal(0, signal.SIGKILL)
        going.end()
        assert (tmp_path / "run.ck.claim").exists()
        before = (tmp_path / "run.ck").stat().st_mtime_ns
        going = Run(tmp_path, "resume", "run.ck")
        while (tmp_path / "run.ck").stat().st_mtime_ns == before:
            assert going.running()
            time.sleep(0.01)
    going.signal(0, signal.SIGTERM)
    assert going.end().status == 85
    assert not (tmp_path / "run.ck.claim").exists()


def test_an_event_file_that_another_run_writes_is_left_alone(tmp_path: Path) -> None:
    file = EventFile.begin(str(tmp_path / "run.h5"), Config(), np.zeros(3, np.uint8))
    position = Position(np.zeros(3, np.uint8), Clock(), 0, 0, 0, 0, 0.0, 0)
    with pytest.raises(OutputError, match="another run is writing it"):
        EventFile.reopen(str(tmp_path / "run.h5"), Config(), position)
    file.discard()
