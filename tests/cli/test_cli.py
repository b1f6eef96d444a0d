"""The command line: what reaches the configuration, what is printed, how it ends."""

import dataclasses
import io
import json
import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import launchers
import numpy as np
import pytest

from distsim import __version__, simulate
from distsim.cli import main as cli
from distsim.cli.launch import Launch
from distsim.config.options import FIELDS, Config
from distsim.errors import InputError
from distsim.runs import progress
from distsim.runs.results import Progress, Summary
from distsim.studies import machine

HEAVY = ("cupy", "h5py", "matplotlib", "mpi4py", "numba", "numpy", "scipy")

SUMMARY = Summary(
    model="bm",
    network="toy",
    neurons=3,
    connections=1_004,
    unconnected=1,
    named=False,
    tau=0.5,
    seed=1,
    engine="relax",
    device="cpu",
    ranks=1,
    transitions=1_234_567,
    time=2e6,
    steps=2_000_000,
    seconds=2.0,
    transitions_per_second=617_283.5,
    steps_per_second=1e6,
    windows=1000,
    replays=2500,
    applies=1000,
    consistent=True,
    digest="00000000deadbeef",
    phases={"draw": 1.5, "replay": 0.5},
)


def distsim(
    *arguments: str, ranks: int = 1, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in a process, or in several."""
    return subprocess.run(
        [
            *(launchers.python(ranks) if ranks > 1 else [sys.executable]),
            "-m",
            "distsim",
            *arguments,
        ],
        capture_output=True,
        text=True,
        timeout=120,
        env={**launchers.ENVIRONMENT, **environment},
    )


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """Replace the simulation by one that only remembers its configuration."""
    seen: list[Config] = []

    def run(config: Config, *_: object) -> Summary:
        seen.append(config)
        return SUMMARY

    monkeypatch.setattr("distsim.runs.simulation.run", run)
    return seen


# ------------------------------------------------------------------------------ light commands


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["-c", "import distsim"], {}),
        (["-m", "distsim", "--help"], {}),
        (["-m", "distsim", "run", "--help"], {}),
        (["-m", "distsim", "--version"], {}),
        (
            ["-m", "distsim"],
            {"_DISTSIM_COMPLETE": "bash_complete", "COMP_WORDS": "distsim --mo", "COMP_CWORD": "1"},
        ),
    ],
)
def test_neither_mpi_nor_compilation_is_started(
    arguments: list[str], environment: dict[str, str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0
    imported = {line.split("|")[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "distsim" in imported
    assert not imported & set(HEAVY)


def test_version() -> None:
    assert distsim("--version").stdout == f"distsim {__version__}\n"


@pytest.mark.parametrize(
    ("words", "count", "expected"),
    [
        ("distsim --mo", 1, "--model"),
        ("distsim --tau 2 --model ", 4, "mpm"),
        ("distsim run --en", 2, "--engine"),
        ("distsim ver", 1, "verify"),
    ],
)
def test_completion(words: str, count: int, expected: str) -> None:
    completed = distsim(
        _DISTSIM_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(count)
    ).stdout
    assert f"plain,{expected}" in completed.splitlines()


def test_help_names_every_option() -> None:
    text = distsim("run", "--help").stdout
    for name in FIELDS:
        assert f"--{name.replace('_', '-')}" in text


# ----------------------------------------------------------------------------------------- run


@pytest.mark.parametrize(
    "arguments",
    [
        ["--tau", "2", "--seed", "3"],
        ["--T", "2", "--seed", "3"],
        ["run", "--tau", "2", "--seed", "3"],
        ["run", "FILE", "--seed", "3"],
        ["FILE", "--seed", "3"],
    ],
)
def test_run_is_the_default(arguments: list[str], configured: list[Config], tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("tau = 2\nseed = 1")
    arguments = [str(file) if word == "FILE" else word for word in arguments]
    assert cli.main(arguments, Launch()) == 0
    assert configured == [Config(tau=2.0, seed=3)]


def test_every_option_reaches_the_configuration(configured: list[Config]) -> None:
    config = Config(
        model="bm",
        network="w.npy",
        bias="b.npy",
        symmetrize=True,
        diagonal_to_bias=True,
        neurons=5,
        coupling=2.0,
        network_seed=6,
        patterns="7",
        tau=0.5,
        seed=8,
        sweeps=9,
        engine="race",
        device="cpu",
        weight_bits=16,
        scan="random",
        initial="ones",
        window=10,
        output="o.h5",
        overwrite=True,
    )
    arguments = []
    for name, value in dataclasses.asdict(config).items():
        if value is True:
            arguments.append(f"--{name.replace('_', '-')}")
        elif value is not None and value is not False:
            arguments += [f"--{name.replace('_', '-')}", str(value)]
    assert cli.main(arguments, Launch()) == 0
    assert configured == [config]


def test_environment(configured: list[Config], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTSIM_WEIGHT_BITS", "8")
    assert cli.main([], Launch()) == 0
    assert configured == [Config(weight_bits=8)]


def test_summary_and_json(configured: list[Config], capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["--json"], Launch())
    *lines, last = capsys.readouterr().out.splitlines()
    assert "length   2,000,000 steps, 1,234,567 transitions" in lines
    assert "digest   00000000deadbeef" in lines
    assert json.loads(last) == dataclasses.asdict(SUMMARY)


def test_an_inconsistent_end_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = dataclasses.replace(SUMMARY, consistent=False)
    monkeypatch.setattr("distsim.runs.simulation.run", lambda *_: broken)
    assert cli.main([], Launch()) == 1
    assert "FAILED: z != W x" in capsys.readouterr().out


# ----------------------------------------------------------------------------------- bad input

BAD = [
    (["--tau", "-1"], "distsim: --tau: '-1' given; allowed: a finite number, 0 or more"),
    (["--model", "ising"], "Invalid value for '--model': 'ising' is not one of 'mpm', 'bm'"),
    (["--tua", "1"], "No such option '--tua'"),
    (["simulate"], "No such command 'simulate'"),
    (["run", "none.toml"], "distsim: configuration none.toml: No such file or directory"),
    (["--network", "none.npy", "--time", "1"], "distsim: none.npy: No such file or directory"),
    (["--output", "none/run.h5"], "distsim: output none/run.h5: no folder none"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_input(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments, Launch()) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert out == ""


EACH = """
import contextlib, io, json, sys
from distsim.cli.launch import Launch
from distsim.cli.main import main

found = []
for arguments in json.loads(sys.argv[1]):
    launch, said = Launch(), io.StringIO()
    with contextlib.redirect_stderr(said):
        status = main(arguments, launch)
    found.append((status, said.getvalue()))
with open(f"{sys.argv[2]}/{launch.rank}.json", "w") as file:
    json.dump(found, file)
"""


@launchers.needs_mpirun
def test_bad_input_on_every_rank_alike_and_said_once(tmp_path: Path) -> None:
    """All in one start of the ranks."""
    launchers.start(3, "-c", EACH, json.dumps([arguments for arguments, _ in BAD]), str(tmp_path))
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(3)]
    for (arguments, message), *found in zip(BAD, *ranks, strict=True):
        assert [status for status, _ in found] == [2, 2, 2], arguments
        assert "".join(said for _, said in found).count(message) == 1


@launchers.needs_mpirun
@pytest.mark.parametrize(("arguments", "message"), [BAD[0], BAD[-1]])
def test_bad_input_ends_all_ranks_with_its_status(arguments: list[str], message: str) -> None:
    """Found before they are connected, or after."""
    done = distsim(*arguments, ranks=3)
    assert done.returncode == 2
    assert done.stderr.count(message) == 1
    assert "Traceback" not in done.stderr


@launchers.needs_mpirun
def test_bad_input_of_one_rank() -> None:
    *mpirun, python = launchers.python(1)
    one = [python, "-m", "distsim"]
    bad = ["env", "DISTSIM_TAU=-1", *one]
    done = subprocess.run(
        [*mpirun, *one, ":", "-n", "1", *bad],
        capture_output=True,
        text=True,
        timeout=60,
        env=launchers.ENVIRONMENT,
    )
    assert done.returncode == 2
    assert done.stderr.count("DISTSIM_TAU: '-1' given") == 1


def test_full_disk_is_one_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from distsim.errors import OutputError

    def run(*_: object) -> None:
        raise OutputError("output run.h5: No space left on device")

    monkeypatch.setattr("distsim.runs.simulation.run", run)
    assert cli.main([], Launch()) == 74
    assert capsys.readouterr().err == "distsim: output run.h5: No space left on device\n"


FAILING = """
import sys
import distsim.__main__, distsim.config.sources as sources
from distsim.ranks.communicator import launched_rank
if launched_rank() == int(sys.argv.pop()):
    sources.gather = lambda *_: {}["a bug"]
distsim.__main__.main()
"""


@launchers.needs_mpirun
def test_an_exception_on_one_rank_ends_all_ranks() -> None:
    done = subprocess.run(
        [*launchers.python(3), "-c", FAILING, "1"],
        capture_output=True,
        text=True,
        timeout=20,
        env=launchers.ENVIRONMENT,
    )
    assert done.returncode != 0
    assert "error on rank 1" in done.stderr
    assert "KeyError: 'a bug'" in done.stderr


def test_an_exception_without_mpi() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAILING, "0"], capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 1
    assert "error on rank 0" in done.stderr
    assert "KeyError: 'a bug'" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["run.toml", "--network", "W.npy", "--checkpoint", "W.npy"],
        ["run.toml", "--network", "W.npy", "--output", "W.npy"],
        ["run.toml", "--output", "run.toml"],
        ["run.toml", "--output", "r.h5", "--checkpoint", "./r.h5"],
        ["run.toml", "--output", "r.h5", "--checkpoint", "r.h5.partial"],
        ["resume", "run.ck", "--output", "run.ck.previous"],
        ["resume", "run.ck", "--checkpoint", "W.npy"],
    ],
)
def test_a_run_that_would_destroy_its_own_files_touches_nothing(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("W.npy", np.zeros((3, 3)))
    Path("run.toml").write_text("transitions = 100\n", encoding="utf-8")
    assert cli.main(["--network", "W.npy", "--time", "1", "--checkpoint", "run.ck"], Launch()) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    capsys.readouterr()
    assert cli.main([*arguments, "--overwrite"], Launch()) == 2
    assert "; allowed: a file that the run does not use otherwise" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_requeued_job_has_its_options_from_the_checkpoint_alone(tmp_path: Path) -> None:
    srun = tmp_path / "srun"
    srun.write_text('#!/bin/sh\necho "$@"\nenv | grep ^DISTSIM_\n', encoding="utf-8")
    srun.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "SLURM_JOB_ID": "12",
        "PYTHON": "python",
        "DISTSIM_ENGINE": "race",
    }
    script = Path(__file__).parents[2] / "slurm" / "run.sbatch"
    command = ["bash", str(script), "--engine", "relax"]
    said = []
    for _ in range(2):
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
        )
        said.append(done.stdout.splitlines())
        (tmp_path / "distsim-12.checkpoint").touch()
    start = "--mpi=pmi2 python -m distsim"
    assert said == [
        [f"{start} --engine relax --checkpoint distsim-12.checkpoint", "DISTSIM_ENGINE=race"],
        [f"{start} resume distsim-12.checkpoint"],
    ]


# -------------------------------------------------------------------------------------- others


def test_verify(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    module = types.ModuleType("distsim.studies.verify")
    monkeypatch.setitem(sys.modules, "distsim.studies.verify", module)
    monkeypatch.setattr("distsim.studies.verify", module, raising=False)
    asked: list[str] = []

    def run(ranks: object, say: Callable[[str], None], effort: str, tell: object) -> bool:
        asked.append(effort)
        say("a table")
        return effort == "all"

    vars(module).update(run=run, FULL="all", QUICK="some")
    for options, status in (([], 0), (["--quick"], 1)):
        assert cli.main(["verify", *options], Launch()) == status
        assert capsys.readouterr().out == "a table\n"
    assert asked == ["all", "some"]


def test_bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    module = types.ModuleType("distsim.studies.bench")
    monkeypatch.setitem(sys.modules, "distsim.studies.bench", module)
    monkeypatch.setattr("distsim.studies.bench", module, raising=False)
    asked = []

    def measure(*arguments: object, synapses: int | None) -> list[dict[str, int]]:
        asked.append((*arguments[1:], synapses))  # after the ranks
        return [{"rate": 1}]

    module.run = measure  # type: ignore[attr-defined]
    module.table = lambda rows: "a table"  # type: ignore[attr-defined]
    assert cli.main(["bench", "--neurons", "64", "--model", "bm", "--json"], Launch()) == 0
    assert (
        cli.main(
            [
                "bench",
                "--tau",
                "2",
                "--seconds",
                "0.5",
                "--device",
                "cpu",
                "--window",
                "100",
                "--synapses",
                "9",
            ],
            Launch(),
        )
        == 0
    )
    assert asked == [
        (("bm",), (64,), [32, 16], 1.0, 2.0, "auto", None, None),
        (("mpm", "bm"), (1024, 4096, 16384), [32, 16], 2.0, 0.5, "cpu", 100, 9),
    ]
    assert capsys.readouterr().out == 'a table\n[{"rate": 1}]\na table\n'


def test_info() -> None:
    done = distsim("info", "--neurons", "10", "--weight-bits", "8", "--ranks", "3", "--json")
    assert done.returncode == 0
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["distsim"] == __version__
    assert found["ranks"] == 1
    assert [(row["ranks"], row["neurons"], row["weights"]) for row in found["needs"]] == [
        (3, 4, 40)
    ]


def test_needs_are_those_of_the_largest_rank() -> None:
    for size in (1, 2, 3, 7, 20):
        (row,) = machine.needs(10, 32, [size])
        assert row["neurons"] == -(-10 // size)


@pytest.mark.parametrize("command", ["plot", "network"])
def test_what_is_read_is_never_replaced(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "W.npy").write_bytes(b"precious")
    path = str(tmp_path / "W.npy")
    arguments = [command, path, "--output", f"{tmp_path}/./W.npy", "--overwrite"]
    assert cli.main(arguments, Launch()) == 2
    assert "is what is read; allowed: another file" in capsys.readouterr().err
    assert (tmp_path / "W.npy").read_bytes() == b"precious"


def test_network(tmp_path: Path) -> None:
    path = str(tmp_path / "w.npz")
    arguments = ["network", "gaussian", "--neurons", "50", "--network-seed", "3", "--model", "bm"]
    assert cli.main([*arguments, "--output", path], Launch()) == 0
    with np.load(path) as written:
        weights, bias = written["weights"], written["bias"]
    assert weights.shape == (50, 50)
    assert bias.shape == (50,)
    np.testing.assert_array_equal(weights, weights.T)
    assert not weights.diagonal().any()
    assert cli.main([*arguments, "--output", path], Launch()) == 2  # exists
    assert cli.main([*arguments, "--output", path, "--overwrite"], Launch()) == 0
    # What was written is a network, and the same one.
    again = str(tmp_path / "again.npz")
    assert cli.main(["network", path, "--model", "bm", "--output", again], Launch()) == 0
    with np.load(again) as written:
        np.testing.assert_array_equal(written["weights"], weights)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["again.npz", "w.npz"]


def test_plot(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    events, picture = str(tmp_path / "run.h5"), tmp_path / "run.png"
    assert cli.main(["--transitions", "500", "--output", events], Launch()) == 0
    assert cli.main(["plot", events, "--output", str(picture)], Launch()) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert cli.main(["plot", events, "--output", str(picture)], Launch()) == 2  # exists


# ------------------------------------------------------------------------------------ progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def reports(stream: io.StringIO, *moments: float) -> str:
    show = progress.display(stream)
    for seconds in moments:
        show(Progress(int(1000 * seconds), seconds, seconds / 100, seconds))
    return stream.getvalue()


def test_progress_elsewhere_is_a_line_every_30_seconds() -> None:
    lines = reports(io.StringIO(), 1, 29, 30, 31, 59, 61, 100).splitlines()
    assert lines == [
        "30%  30,000 transitions, 1,000 a second, 1 min 10 s left",
        "61%  61,000 transitions, 1,000 a second, 39 s left",
    ]


def test_progress_on_a_terminal_is_a_bar() -> None:
    text = reports(Terminal(), 0.1, 10, 50, 100)
    assert text.count("\n") == 0
    assert f"[{'#' * 15}{'-' * 15}] 50%" in text
    assert text.endswith("\r\033[K")


def test_durations() -> None:
    assert progress.duration(0.4) == "0 s"
    assert progress.duration(80) == "1 min 20 s"
    assert progress.duration(3725) == "1 h 02 min"


def test_agreed_raises_alike() -> None:
    from distsim.ranks import agreement
    from distsim.ranks.communicator import Serial

    assert agreement.agreed(Serial(), lambda: 3) == 3

    def refuse() -> Any:
        raise InputError("no")

    with pytest.raises(InputError, match="no"):
        agreement.agreed(Serial(), refuse)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tau": 1e-17}, "tau 1e-17: rates up to .*; allowed for this network: tau above"),
        ({"exchange": "peer", "device": "cpu"}, "exchange peer given on the CPU; allowed: on GPUs"),
        ({"output": "run.h5"}, "output: 'run.h5' given to simulate; allowed: on the command"),
    ],
)
def test_what_python_cannot_have_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        simulate("celegans", transitions=10, **options)


def test_an_array_is_no_generated_network() -> None:
    with pytest.raises(InputError, match=r"neurons: 3 given to simulate; allowed: .* the name of"):
        simulate(np.zeros((3, 3)), transitions=10, neurons=3)


def test_bench_refuses_before_it_measures(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "--window", "abc"], Launch()) == 2
    assert cli.main(["bench", "--picture", "no/such/folder.png"], Launch()) == 2
    error = capsys.readouterr().err
    assert "--window: 'abc' given; allowed:" in error
    assert "picture no/such/folder.png: no folder no/such" in error
