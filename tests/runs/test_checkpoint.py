"""Checkpoints: after any stop, on any ranks, with either engine, the bits of an undisturbed run."""

import contextlib
import dataclasses
import errno
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.sparse
from launchers import needs_mpirun
from processes import Run, wait_until_unclaimed

from distsim.cli import main as cli
from distsim.cli.launch import Launch
from distsim.config.options import FIELDS, Config
from distsim.config.sources import amend
from distsim.engines import walk, windows
from distsim.errors import InputError, OutputError
from distsim.files.claim import Claim
from distsim.files.events import EVENTS
from distsim.networks import write
from distsim.ranks import agreement, signals
from distsim.ranks.agreement import Wish
from distsim.ranks.communicator import Serial
from distsim.runs import checkpoint, simulation
from distsim.runs.checkpoint import Checkpoint
from distsim.runs.due import Due
from distsim.runs.output import EventFile
from distsim.runs.results import Summary

SMALL: dict[str, Any] = {"network": "gaussian", "neurons": 120, "tau": 0.5}
ENDS = {"transitions", "steps"}
LENGTHS: dict[str, dict[str, Any]] = {
    "mpm": {"transitions": 4_000},
    "bm": {"steps": 12_000, "scan": "random"},
}


class Moment:
    """A signal that comes after so many windows."""

    def __init__(self, windows: int) -> None:
        self._windows = windows

    @property
    def received(self) -> int:
        self._windows -= 1
        return signal.SIGTERM if self._windows <= 0 else 0


@pytest.fixture
def at_every_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "_EVERY", 0.0)
    monkeypatch.setattr(walk, "_SECONDS", 0.0)  # a stretch is one window
    monkeypatch.setattr(windows, "_WEIGHTS", 0)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(windows: int | None = None, saved: Checkpoint | None = None, **options: Any) -> Summary:
    """One run in this process, stopped after so many windows."""
    moment: Any = None if windows is None else Moment(windows)
    return simulation.run(Config(**options), Serial(), signals=moment, saved=saved)


def resume(
    path: str = "run.ck", windows: int | None = None, environment: Any = None, **options: Any
) -> Summary:
    saved = checkpoint.read(path, Serial())
    settings = amend(path, saved.config, environment or {}, options)
    moment: Any = None if windows is None else Moment(windows)
    return simulation.run(settings, Serial(), signals=moment, saved=saved)


def datasets(path: str) -> dict[str, bytes]:
    with h5py.File(path) as file:
        names = [*(f"events/{name}" for name in EVENTS), "state/initial", "state/final"]
        return {name: file[name][:].tobytes() for name in names}


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


# --------------------------------------------------------------------------- the same bits


@pytest.mark.parametrize("model", ["mpm", "bm"])
@pytest.mark.usefixtures("at_every_window")
def test_stopped_at_any_window_and_resumed_it_is_an_undisturbed_run(model: str, here: Path) -> None:
    """Ten stops, with the engines in turns."""
    options = {**SMALL, **LENGTHS[model], "model": model, "initial": "random", "seed": 3}
    whole = run(output="whole.h5", **options)
    choose = random.Random(model)
    summary = run(choose.randint(1, 9), **options, output="run.h5", checkpoint="run.ck")
    stops = 0
    while summary.stopped is not None:
        assert summary.stopped == "SIGTERM on rank 0"
        assert not Path("run.h5").exists()
        stops += 1
        windows = choose.randint(1, whole.windows // 7) if stops < 10 else None
        summary = resume(windows=windows, engine=("race", "relax", "walk")[stops % 3])
    assert stops == 10
    assert (summary.digest, summary.windows) == (whole.digest, whole.windows)
    assert datasets("run.h5") == datasets("whole.h5")
    assert not Path("run.h5.partial").exists()


@pytest.mark.gpu
@pytest.mark.parametrize("model", ["mpm", "bm"])
@pytest.mark.usefixtures("at_every_window")
def test_a_run_moves_between_cpu_and_gpu(model: str, here: Path) -> None:
    """On the GPU a stop comes after a batch of windows: the run is long enough for some."""
    options = {**SMALL, **LENGTHS[model], "model": model, "seed": 3}
    options |= {"transitions": 300_000} if model == "mpm" else {"steps": 500_000}
    whole = run(output="whole.h5", device="cpu", **options)
    files: dict[str, Any] = {"output": "run.h5", "checkpoint": "run.ck"}
    summary = run(3, device="gpu", **options, **files)
    stops = 0
    while summary.stopped is not None:
        stops += 1
        device = ("cpu", "gpu")[stops % 2]
        summary = resume(windows=2 if stops < 6 else None, device=device)
    assert stops > 1
    assert summary.digest == whole.digest
    assert model == "bm" or summary.windows == whole.windows  # a BM's are shorter on a GPU
    assert datasets("run.h5") == datasets("whole.h5")
    longer = resume(**{name: 2 * length for name, length in options.items() if name in ENDS})
    again = run(device="cpu", **{**options, **{n: 2 * options[n] for n in ENDS & options.keys()}})
    assert longer.digest == again.digest


@pytest.mark.gpu
@pytest.mark.parametrize("engine", ["relax", "race"])
@pytest.mark.parametrize("model", ["mpm", "bm"])
def test_a_run_that_was_done_on_a_gpu_is_resumed_there(model: str, engine: str, here: Path) -> None:
    options = {**SMALL, **LENGTHS[model], "model": model, "engine": engine, "device": "gpu"}
    done = run(**options, output="run.h5", checkpoint="run.ck")
    written = datasets("run.h5")
    again = resume()
    assert again.digest == done.digest
    assert again.consistent
    assert datasets("run.h5") == written
    ends = {name: 2 * options[name] for name in ENDS & options.keys()}
    assert resume(**ends).digest == run(**{**options, **ends, "device": "cpu"}).digest


STREAMS: list[dict[str, Any]] = [
    {**SMALL, "tau": 0.1, "transitions": 700},
    {**SMALL, "network": "celegans", "neurons": None, "tau": 1.0, "transitions": 700},
    {**SMALL, "weight_bits": 8, "window": 5, "time": 3.0},
    {"model": "bm", **SMALL, "tau": 0.0, "sweeps": 3, "initial": "random"},
    {"model": "bm", "network": "hopfield", "neurons": 90, "patterns": "5", "sweeps": 5},
]


@pytest.mark.parametrize("options", STREAMS)
@pytest.mark.usefixtures("at_every_window")
def test_every_kind_of_stream_resumes(options: dict[str, Any], here: Path) -> None:
    whole = run(**options, output="whole.h5")
    for count in (1, 2, whole.windows // 2):
        again: dict[str, Any] = {"output": "run.h5", "checkpoint": "run.ck", "overwrite": True}
        stopped = run(count, **options, **again)
        assert (stopped.stopped is None) == (stopped.windows == whole.windows)
        assert resume().digest == whole.digest
        assert datasets("run.h5") == datasets("whole.h5")


PROLONGED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"transitions": 1000}, {"transitions": 2500}),
    ({"transitions": 1001}, {"time": 40.0}),
    ({"time": 4.321}, {"time": 4.322}),
    ({"time": 4.321}, {"transitions": 3000}),
    ({"model": "bm", "steps": 1234}, {"steps": 5000}),
    ({"model": "bm", "steps": 1234}, {"sweeps": 30}),
    ({"model": "bm", "transitions": 777}, {"transitions": 778}),
]


@pytest.mark.parametrize(("first", "second"), PROLONGED)
@pytest.mark.parametrize("engine", ["relax", "race", "walk"])
def test_a_finished_run_is_prolonged(
    first: dict[str, Any], second: dict[str, Any], engine: str, here: Path
) -> None:
    """Also where its length fell inside a window."""
    model = {"model": first.get("model", "mpm"), **SMALL}
    whole = run(**model, **second, output="whole.h5")
    short = run(**{**model, **first}, engine=engine, output="run.h5", checkpoint="run.ck")
    assert short.digest == run(**{**model, **first}).digest
    assert resume().digest == short.digest  # to the same length: the same again
    longer = resume(**second)
    assert (longer.digest, longer.transitions) == (whole.digest, whole.transitions)
    assert datasets("run.h5") == datasets("whole.h5")


def test_without_an_output_file(here: Path) -> None:
    short = run(**SMALL, transitions=500, checkpoint="run.ck")
    assert short.transitions == 500
    assert resume(transitions=900).digest == run(**SMALL, transitions=900).digest


def test_checkpoints_every_so_many_events(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    write = checkpoint.write

    def remember(path: str, data: bytes) -> None:
        seen.append(checkpoint.unpack(data, path).chain.transitions)
        write(path, data)

    monkeypatch.setattr(checkpoint, "write", remember)
    run(**SMALL, transitions=5000, checkpoint="run.ck", checkpoint_every="1000 events")
    steps = np.diff([0, *seen])
    assert len(seen) == 5
    assert seen[-1] == 5000
    assert min(steps[:-1]) >= 1000
    before = checkpoint.read("run.ck.previous", Serial())
    assert before.chain.transitions == seen[-2]
    assert resume("run.ck.previous").digest == run(**SMALL, transitions=5000).digest
    assert checkpoint.read("run.ck", Serial()).chain.transitions == 5000  # it goes on in run.ck


@pytest.mark.parametrize(
    "network",
    [
        {"network": "celegans"},
        {"network": "gaussian", "neurons": 300, "coupling": 1.0},  # rounded alike by chance
        {"network": "hopfield", "neurons": 90, "patterns": "5", "model": "bm"},
        {"network": "hopfield", "neurons": 90, "patterns": "5", "network_seed": 2},
    ],
)
def test_a_generated_network_goes_on_from_a_file_of_it(network: dict[str, Any], here: Path) -> None:
    options = {**network, "tau": 2.0, "transitions": 900}
    run(**{**options, "transitions": 400}, checkpoint="run.ck")
    write.write(Config(**options), "W.npz")
    again = resume(network="W.npz", transitions=900)
    assert again.network == "W.npz"
    assert again.digest == run(**options).digest
    os.rename("W.npz", "moved.npz")
    assert resume(network="moved.npz").digest == again.digest


def test_neurons_of_an_edge_list_are_kept_when_it_moves(here: Path) -> None:
    Path("old.csv").write_text("source,target,weight\n0,1,1\n1,0,1\n", encoding="utf-8")
    run(network="old.csv", neurons=5, transitions=100, checkpoint="run.ck")
    os.rename("old.csv", "new.csv")
    assert resume(network="new.csv").neurons == 5


def test_what_is_saved_comes_back(here: Path) -> None:
    run(**SMALL, transitions=400, checkpoint="run.ck")
    saved = checkpoint.read("run.ck", Serial())
    again = checkpoint.unpack(checkpoint.pack(saved), "again")
    mine, other = again.chain.position, saved.chain.position
    np.testing.assert_array_equal(mine.states, other.states)
    same = dataclasses.replace(again.chain, position=dataclasses.replace(mine, states=other.states))
    assert dataclasses.replace(again, chains={0: same}) == saved
    assert saved.config == Config(**SMALL, transitions=400, checkpoint="run.ck").asdict()


@pytest.mark.parametrize("neurons", [1, 2, 9])
def test_networks_of_any_size(neurons: int, here: Path) -> None:
    options = {**SMALL, "neurons": neurons}
    run(**options, transitions=50, checkpoint="run.ck", output="run.h5")
    assert resume(transitions=90).digest == run(**options, transitions=90).digest


# ------------------------------------------------------------------- disturbed from outside


def survive(
    model: str, moments: int, spread: float, folder: Path, ranks: tuple[int, ...], gpus: int = 0
) -> None:
    """Disturb a run at so many random moments, up to `spread` seconds after a checkpoint, by a
    signal, --max-time and kill -9 in turns, each time on another number of ranks and with the other
    engine, now and then on GPUs if there are any; compare it with one undisturbed. Both of one rank
    that nothing disturbs are in this process and by the quickest engine."""
    transitions = int(1e6 * (spread + 0.01)) * moments  # more than a core makes
    given: dict[str, Any] = {"network": "gaussian", "neurons": 200, "model": model, "seed": 5}
    options = [part for name, value in given.items() for part in (f"--{name}", value)]
    options += ["--transitions", transitions, "--output", "run.h5", "--overwrite"]
    options += ["--checkpoint", "run.ck", "--checkpoint-every", "2000 events"]
    undisturbed = run(**given, transitions=transitions, output="whole.h5", device="cpu")
    choose = random.Random(f"{model} {moments}")
    count = 1
    for moment in range(moments):
        how = ("signal", "max-time", "kill")[moment % 3]
        count = choose.choice([other for other in ranks if other != count])
        start = ["resume", "run.ck"] if (folder / "run.ck").exists() else options
        limit = ["--max-time", choose.uniform(0.01, 3 * spread)] if how == "max-time" else []
        engine = ("relax", "race")[moment % 2]
        device = choose.choice(("cpu", "gpu")) if count <= gpus else "cpu"
        before = saved_at(folder)
        where = ["--engine", engine, "--device", device]
        going = Run(folder, *start, *limit, *where, ranks=count)
        if how != "max-time":
            while saved_at(folder) == before and going.running():
                time.sleep(0.002)
            time.sleep(choose.uniform(0.0, spread))
            number = choose.choice(signals.SIGNALS) if how == "signal" else signal.SIGKILL
            going.signal(choose.randrange(count), number)
        done = going.end()
        assert (done.status == 85) == (how != "kill"), (how, done)
        assert done.status != 0
    wait_until_unclaimed("run.ck")
    summary = resume(engine="auto", device="cpu")
    assert (summary.digest, summary.consistent) == (undisturbed.digest, True)
    assert datasets(f"{folder}/run.h5") == datasets(f"{folder}/whole.h5")


def saved_at(folder: Path) -> int:
    """What changes with every checkpoint."""
    path = folder / "run.ck"
    return path.stat().st_mtime_ns if path.exists() else 0


@needs_mpirun
@pytest.mark.parametrize("model", ["mpm", "bm"])
@pytest.mark.parametrize("gpus", [0, pytest.param(1, marks=pytest.mark.gpu)])
def test_a_disturbed_run_ends_as_an_undisturbed_one(gpus: int, model: str, here: Path) -> None:
    survive(model, 6, 0.05, here, (1, 2, 3), gpus)


@needs_mpirun
@pytest.mark.alone
@pytest.mark.long
@pytest.mark.parametrize("model", ["mpm", "bm"])
def test_fifty_random_moments(model: str, here: Path) -> None:
    survive(model, 50, 0.2, here, (1, 2, 3, 5))


# -------------------------------------------------------------------------------- refusals


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"seed": 1}, "--seed: 1 given to resume a run with 0"),
    ({"tau": 1.0}, "--tau: 1.0 given to resume a run with 0.5"),
    ({"weight_bits": 16}, "--weight-bits: 16 given"),
    ({"window": 9}, "--window: 9 given"),
    ({"model": "bm"}, "--model: bm given"),
    (
        {"network_seed": 1},
        "network gaussian.*: other weights or biases",
    ),
    ({"coupling": 2.0}, "network gaussian.*: other weights or biases"),
    ({"neurons": 121}, "network gaussian: 121 neurons given; allowed: .* 120 neurons"),
    ({"network": "none.npy"}, "none.npy: No such file"),
    ({"network": "celegans"}, "network celegans: 281 neurons given; allowed: .* 120 neurons"),
    ({"network": "celegans", "neurons": 281}, "--neurons: 281 given for network celegans"),
    ({"transitions": 399}, "--transitions: 399 given; allowed: 400, which is done, or more"),
    ({"time": 0.1}, "--time: 0.1 given; allowed: .* which is done, or more"),
    ({"steps": 5}, "--steps: given for the mpm"),
    ({"output": "other.h5"}, "neither other.h5.partial nor other.h5; allowed: the event file"),
    ({"output": "another.h5"}, "another.h5: .* whose first .* events have the digest"),
    ({"output": "short.h5"}, "short.h5: 10 events given"),
    ({"output": "text.h5"}, "text.h5: not an HDF5 file"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_what_would_be_another_run_is_refused_and_nothing_touched(
    options: dict[str, Any], message: str, here: Path
) -> None:
    run(**SMALL, transitions=400, checkpoint="run.ck", output="run.h5")
    run(**SMALL, transitions=400, output="another.h5", seed=1)
    run(**SMALL, transitions=10, output="short.h5")
    Path("text.h5").write_text("time,neuron" * 100)
    before = files(here)
    with pytest.raises(InputError, match=message):
        resume(**options)
    assert files(here) == before


def test_the_command_line_refuses_with_status_2(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(**SMALL, transitions=100, checkpoint="run.ck")
    assert cli.main(["resume", "run.ck", "--T", "2"], Launch()) == 2
    assert "--tau: 2.0 given to resume a run with 0.5; allowed: the same" in capsys.readouterr().err
    assert cli.main(["resume", "none.ck"], Launch()) == 2
    assert "checkpoint none.ck: No such file or directory" in capsys.readouterr().err
    assert cli.main(["resume", "run.ck", "--transitions", "200", "--json"], Launch()) == 0


def test_the_environment_of_a_resumed_run_says_where_and_how_only(here: Path) -> None:
    """It may be that of the first run, whose command line had overruled it."""
    run(**SMALL, transitions=100, checkpoint="run.ck", output="run.h5")
    stored = checkpoint.read("run.ck", Serial()).config
    other = {
        "model": "bm", "network": "celegans", "bias": "b.npy", "neurons": "7", "coupling": "2",
        "network_seed": "3", "patterns": "4", "tau": "2", "seed": "7", "transitions": "50",
        "time": "0.1", "steps": "9", "sweeps": "9", "weight_bits": "8", "scan": "random",
        "initial": "ones", "window": "5", "output": "other.h5", "overwrite": "perhaps",
        "checkpoint": "other.ck", "observe": "rates", "every": "3", "moments_of": "0:3",
        "events": "perhaps", "progress": "other.jsonl", "symmetrize": "true",
        "diagonal_to_bias": "perhaps", "populations": "p.csv", "columns": "a,b",
        "inhibitory": "a=b", "repeats": "sum", "ids": "names", "chains": "perhaps", "replica": "1",
        "tau_schedule": "t.csv", "clamp": "perhaps", "stimulus": "s.csv", "temper": "perhaps",
        "swap_every": "9", "synapses": "3", "degree": "probability", "weights": "types",
        "ratio": "2", "width": "4", "extent": "3",
    }  # fmt: skip
    conduct = {
        "engine": "race", "device": "cpu", "exchange": "nccl", "checkpoint_every": "2 events",
        "max_time": 7.0, "watchdog": 8.0, "ranks_per_chain": 3, "storage": "sparse",
    }  # fmt: skip
    assert other.keys() | conduct.keys() == FIELDS.keys()
    environment = {f"DISTSIM_{name.upper()}": str(value) for name, value in other.items()}
    assert amend("run.ck", stored, environment, {}).asdict() == stored
    environment |= {f"DISTSIM_{name.upper()}": str(value) for name, value in conduct.items()}
    amended = amend("run.ck", stored, environment, {"watchdog": "9"})
    assert amended.asdict() == {**stored, **conduct, "watchdog": 9.0}
    with pytest.raises(InputError, match="environment: DISTSIM_SEEDS; allowed: DISTSIM_NETWORK"):
        resume(environment={"DISTSIM_SEEDS": "7"})


def test_a_run_goes_on_in_the_environment_that_its_command_line_overruled(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTSIM_TAU", "2")
    monkeypatch.setenv("DISTSIM_TRANSITIONS", "10")
    options = ["--tau", "1", "--transitions", "9000", "--checkpoint", "run.ck"]
    assert cli.main([*options, "--max-time", "0.0001"], Launch()) == 85
    assert cli.main(["resume", "run.ck"], Launch()) == 0
    assert checkpoint.read("run.ck", Serial()).chain.transitions == 9000


@pytest.mark.parametrize(
    ("options", "exchange"),
    [
        ({}, "nccl"),
        ({"device": "gpu", "engine": "auto"}, "nccl"),
        ({"device": "cpu"}, "auto"),
        ({"engine": "race"}, "auto"),
        ({"device": "cpu", "exchange": "peer"}, "peer"),
    ],
)
def test_exchange_stays_unless_device_or_engine_change(
    options: dict[str, Any], exchange: str
) -> None:
    stored = Config(device="gpu", exchange="nccl", checkpoint="run.ck", max_time=5.0).asdict()
    amended = amend("run.ck", stored, {}, options)
    assert (amended.exchange, amended.max_time) == (exchange, None)
    where = {f"DISTSIM_{name.upper()}": value for name, value in options.items()}
    assert amend("run.ck", stored, where, {}).exchange == exchange


def test_a_run_by_the_window_rule_before_is_refused_where_the_rule_is_another(here: Path) -> None:
    neurons = 4097
    following = (np.arange(neurons) + 1) % neurons
    ring = scipy.sparse.csr_array((np.ones(neurons), (np.arange(neurons), following)))
    scipy.sparse.save_npz("ring.npz", (ring + ring.T).tocsr())
    sparse: dict[str, Any] = {"network": "ring.npz", "transitions": 9000}
    for options, refused in (
        (sparse, True),
        ({**sparse, "window": 16}, False),
        ({"network": "ring.npz", "model": "bm", "sweeps": 3}, False),
        ({"network": "celegans", "tau": 16.0, "transitions": 900}, False),
        ({**SMALL, "transitions": 900}, False),
    ):
        options = {**options, "checkpoint": "run.ck", "overwrite": True}
        run(1, **options)
        saved = checkpoint.read("run.ck", Serial())
        before = dataclasses.replace(saved, rule=1)
        if not refused:
            simulation.run(Config(**options), Serial(), saved=before)
            continue
        with pytest.raises(InputError, match=r"network ring\.npz: 8,194 connections of 4,097"):
            simulation.run(Config(**options), Serial(), saved=before)
        simulation.run(Config(**options), Serial(), saved=saved)


def test_a_checkpoint_that_cannot_be_read_is_refused_and_the_previous_offered(here: Path) -> None:
    run(**SMALL, transitions=400, checkpoint="run.ck", checkpoint_every="100 events")
    whole = Path("run.ck").read_bytes()
    offer = "the one before it is whole: distsim resume run.ck.previous"
    for data, message in (
        (whole[:-1], "damaged or truncated"),
        (whole[:300], "damaged or truncated"),
        (whole.replace(b'"seed": 0', b'"seed": 1'), "damaged or truncated"),
        (
            whole.replace(b"checkpoint 3\n", b"checkpoint 4\n"),
            "format 4 given; distsim .* can read formats 2 and 3",
        ),
        (b"time,neuron", "not a checkpoint of distsim"),
        (b"", "not a checkpoint of distsim"),
    ):
        Path("run.ck").write_bytes(data)
        with pytest.raises(InputError, match=f"checkpoint run.ck: {message}.*{offer}"):
            checkpoint.read("run.ck", Serial())
    Path("run.ck").unlink()
    with pytest.raises(InputError, match=f"run.ck: No such file or directory; {offer}"):
        checkpoint.read("run.ck", Serial())
    Path("run.ck.previous").unlink()
    with pytest.raises(InputError, match=r"No such file or directory$"):
        checkpoint.read("run.ck", Serial())


def test_a_damaged_checkpoint_is_not_kept_as_the_previous_one(here: Path) -> None:
    run(**SMALL, transitions=400, checkpoint="run.ck", checkpoint_every="100 events")
    Path("run.ck").write_bytes(b"damaged")
    previous = Path("run.ck.previous").read_bytes()
    resume("run.ck.previous", windows=1)
    assert Path("run.ck.previous").read_bytes() == previous
    assert resume().digest == run(**SMALL, transitions=400).digest


@pytest.mark.parametrize("call", ["fsync", "link", "replace", "unlink"])
@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_write_that_is_cut_short_leaves_a_whole_checkpoint(
    call: str, times: int, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(**SMALL, transitions=400, checkpoint="run.ck", checkpoint_every="100 events")
    older, newer = checkpoint.read("run.ck", Serial()), checkpoint.read("run.ck", Serial())
    newer = dataclasses.replace(
        newer, chains={0: dataclasses.replace(newer.chain, transitions=401)}
    )
    left = times

    def cut(*arguments: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    original = getattr(os, call)
    monkeypatch.setattr(os, call, cut)
    with contextlib.suppress(KeyboardInterrupt):
        checkpoint.write("run.ck", checkpoint.pack(newer))
    monkeypatch.setattr(os, call, original)
    assert checkpoint.read("run.ck", Serial()).chain.transitions in (older.chain.transitions, 401)
    assert checkpoint.read("run.ck.previous", Serial()).chain.transitions <= 400
    checkpoint.write("run.ck", checkpoint.pack(newer))  # nothing is in the way
    assert checkpoint.read("run.ck", Serial()).chain.transitions == 401


def test_a_write_that_fails_leaves_the_checkpoint_in_its_place_without_hard_links(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    run(**SMALL, transitions=400, checkpoint="run.ck", checkpoint_every="100 events")
    before = Path("run.ck").read_bytes(), Path("run.ck.previous").read_bytes()
    monkeypatch.setattr(os, "link", fails)
    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OutputError, match=r"checkpoint run\.ck: No space left on device"):
        checkpoint.write("run.ck", before[1])
    assert (Path("run.ck").read_bytes(), Path("run.ck.previous").read_bytes()) == before
    assert not list(here.glob("*.writing"))


def test_an_existing_checkpoint_is_not_replaced_unasked(here: Path) -> None:
    run(**SMALL, transitions=100, checkpoint="run.ck")
    way_out = r"with --overwrite, or go on with it: distsim resume "
    with pytest.raises(InputError, match=rf"checkpoint run\.ck: exists; .* {way_out}run\.ck$"):
        run(**SMALL, transitions=100, checkpoint="run.ck")
    os.rename("run.ck", "run.ck.previous")
    with pytest.raises(InputError, match=rf"run\.ck\.previous: exists; .* {way_out}run\.ck\.prev"):
        run(**SMALL, transitions=100, checkpoint="run.ck")
    run(**SMALL, transitions=100, checkpoint="run.ck", overwrite=True)
    assert not Path("run.ck.previous").exists()  # it would have been another run's


def test_leave_to_overwrite_is_of_one_command(here: Path) -> None:
    run(**SMALL, transitions=100, checkpoint="other.ck")
    run(**SMALL, transitions=100, checkpoint="run.ck", overwrite=True)
    before = files(here)
    with pytest.raises(InputError, match=r"checkpoint other\.ck: exists"):
        resume(checkpoint="other.ck")
    assert files(here) == before
    resume(checkpoint="other.ck", transitions=200, overwrite=True)
    assert checkpoint.read("other.ck", Serial()).chain.transitions == 200


def test_a_refused_start_leaves_an_earlier_runs_checkpoint(here: Path) -> None:
    run(**SMALL, transitions=100, checkpoint="run.ck")
    at_work = EventFile.begin("run.h5", Config(**SMALL, transitions=9), np.zeros(9, np.uint8))
    before = Path("run.ck").read_bytes()
    with pytest.raises(InputError, match="another run"):
        run(**SMALL, transitions=100, checkpoint="run.ck", output="run.h5", overwrite=True)
    assert Path("run.ck").read_bytes() == before
    at_work.discard()


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_name_that_is_claimed_is_refused_before_anything_is_touched(
    overwrite: bool, here: Path
) -> None:
    """Also before the first checkpoint is there."""
    options: dict[str, Any] = {**SMALL, "transitions": 100, "overwrite": overwrite}
    message = r"checkpoint run\.ck: another run is writing it; allowed: another file"
    held = Claim("run.ck")
    with pytest.raises(InputError, match=message):
        run(**options, checkpoint="run.ck", output="run.h5")
    held.release()
    assert not list(here.iterdir())
    run(**options, checkpoint="run.ck")
    Path("run.ck.previous").write_bytes(Path("run.ck").read_bytes())
    held, before = Claim("run.ck"), files(here)
    for path in ("run.ck", "run.ck.previous"):
        with pytest.raises(InputError, match=message):
            resume(path)
    with pytest.raises(InputError, match=message):
        run(**options, checkpoint="run.ck")
    assert files(here) == before
    assert resume(checkpoint="other.ck").transitions == 100
    held.release()
    assert "run.ck.claim" not in files(here)


def test_a_sweep_leaves_a_point_alone_that_another_runs(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("s.toml").write_text("seed = [1, 2]\ntransitions = 50\n", encoding="utf-8")
    Path("s").mkdir()
    held = Claim("s/0001.checkpoint")
    assert cli.main(["sweep", "run", "s.toml"], Launch()) == 2
    assert "checkpoint s/0001.checkpoint: another run is writing it" in capsys.readouterr().err
    held.release()
    assert cli.main(["sweep", "run", "s.toml"], Launch()) == 0


def test_a_place_without_a_folder_is_named(here: Path) -> None:
    with pytest.raises(InputError, match=r"checkpoint no/run\.ck: no folder no; allowed"):
        run(**SMALL, transitions=10, checkpoint="no/run.ck")
    run(**SMALL, transitions=10, checkpoint="run.ck")
    with pytest.raises(InputError, match=r"checkpoint run\.ck: exists; allowed"):
        run(**SMALL, transitions=10, checkpoint="run.ck")
    assert sorted(files(here)) == ["run.ck"]


def test_a_signal_in_the_last_window_does_not_stop_a_finished_run(
    monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    monkeypatch.setattr(Due, "wish", lambda self: (Wish.STOP, 0))
    summary = run(**SMALL, transitions=1, output="run.h5")
    assert summary.stopped is None
    assert Path("run.h5").exists()


# ------------------------------------------------------------------------------------ fuzz


def damaged(data: bytes, seed: int) -> bytes:
    """Bytes cut off, overwritten, flipped or inserted at random."""
    choose = random.Random(seed)
    at = choose.randrange(len(data))
    match choose.randrange(4):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + bytes([data[at] ^ 1 << choose.randrange(8)]) + data[at + 1 :]
        case 2:
            return data[:at] + choose.randbytes(8) + data[at + 8 :]
    return data[:at] + choose.randbytes(choose.randint(1, 9)) + data[at:]


def test_damaged_checkpoints_never_make_a_wrong_run(here: Path) -> None:
    run(**SMALL, transitions=100, checkpoint="run.ck")
    whole = Path("run.ck").read_bytes()
    Path("run.ck.previous").unlink(missing_ok=True)
    for seed in range(2000):
        Path("bad.ck").write_bytes(damaged(whole, seed))
        with pytest.raises(InputError, match=r"^checkpoint bad\.ck: "):
            checkpoint.read("bad.ck", Serial())


def test_damaged_event_files_never_make_a_wrong_run(here: Path) -> None:
    """Their first events are refused, or they are what they were; the rest is made again."""
    run(**SMALL, transitions=900, output="whole.h5")
    run(**SMALL, transitions=500, output="run.h5", checkpoint="run.ck")
    saved, data = Path("run.ck").read_bytes(), Path("run.h5").read_bytes()
    refused = 0
    for seed in range(150):
        Path("run.h5.partial").unlink(missing_ok=True)
        Path("run.h5").write_bytes(damaged(data, seed))
        Path("run.ck").write_bytes(saved)
        try:
            resume(transitions=900)
        except InputError:
            refused += 1
        else:
            assert datasets("run.h5") == datasets("whole.h5"), seed
    assert refused > 50


@pytest.mark.parametrize("ending", [".npy", ".npz", ".csv", ".txt"])
def test_damaged_networks_never_make_a_wrong_run(ending: str, here: Path) -> None:
    """A run resumed from a damaged network file is refused, or is the same run."""
    write_network(f"net{ending}")
    options: dict[str, Any] = {"network": f"net{ending}", "tau": 2.0, "seed": 2}
    whole = run(**options, transitions=300)
    run(**options, transitions=150, checkpoint="run.ck")
    saved = Path("run.ck").read_bytes()
    data = Path(f"net{ending}").read_bytes()
    refused = 0
    for seed in range(120):
        Path(f"bad{ending}").write_bytes(damaged(data, seed))
        Path("run.ck").write_bytes(saved)
        try:
            assert resume(network=f"bad{ending}", transitions=300).digest == whole.digest, seed
        except InputError:
            refused += 1
    assert refused > 60


def write_network(path: str) -> None:
    rng = np.random.default_rng(4)
    weights = rng.integers(-3, 4, (12, 12)).astype(np.float32)
    if path.endswith(".npy"):
        np.save(path, weights)
    elif path.endswith(".npz"):
        np.savez(path, weights=weights, bias=weights[0])
    elif path.endswith(".csv"):
        edges = [f"{j},{i},{w:g}" for (i, j), w in np.ndenumerate(weights)]
        Path(path).write_text("\n".join(["source,target,weight", *edges]) + "\n")
    else:
        edges = [f"{i + 1} {j + 1} {weights[i, j]:g}" for i in range(12) for j in range(i)]
        Path(path).write_text("\n".join([f"12 {len(edges)}", *edges]) + "\n")
