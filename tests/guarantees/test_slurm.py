"""The scripts of slurm/ as they stand, in a real SLURM of two nodes."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from ctypes.util import find_library
from pathlib import Path

import pytest
import slurm_cluster
from launchers import found, needs_mpich
from numpy.testing import assert_array_equal

from distsim.config.options import Config
from distsim.files.events import Events, read
from distsim.ranks.communicator import Serial
from distsim.runs import simulation

SCRIPTS = Path(__file__).parents[2] / "slurm"
PLUGINS = {"mpich": "pmi2", "openmpi": "pmix"}  # of srun
REQUEUED = 120  # seconds that SLURM lets a requeued job wait

pytestmark = [
    pytest.mark.skipif(
        bool(slurm_cluster.missing()), reason=f"not installed: {slurm_cluster.missing()}"
    ),
    needs_mpich,
    pytest.mark.alone,
]


class Cluster:
    """SLURM's commands, on a cluster that is up."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = {
            **environment,
            "PYTHON": sys.executable,
            "PYTHONPATH": str(SCRIPTS.parent),
        }

    def command(self, *command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def submit(self, folder: Path, script: str, *arguments: str, **options: str) -> str:
        """The number of a job whose log is FOLDER/log, or FOLDER/log.TASK in an array."""
        log = folder / ("log.%a" if "array" in options else "log")
        given = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        return self.command(
            "sbatch",
            "--parsable",
            f"--chdir={folder}",
            f"--output={log}",
            *given,
            str(SCRIPTS / script),
            *arguments,
        )

    def job(self, number: str) -> dict[str, str]:
        """What SLURM knows of a job or array task."""
        line = self.command("scontrol", "--oneliner", "show", "job", number).splitlines()[0]
        return dict(word.split("=", 1) for word in line.split() if "=" in word)

    def state(self, number: str) -> str:
        return self.job(number)["JobState"]

    def signal(self, number: str) -> None:
        """Do what SLURM does shortly before the time limit."""
        self.command("scancel", "--batch", "--signal=USR1", number)

    def requeue(self, number: str) -> None:
        """Do what SLURM does when it needs the node, or loses it."""
        self.command("scontrol", "requeue", number)

    def hasten(self, number: str) -> None:
        """Have a requeued job start at once, not after SLURM's two minutes."""
        until(lambda: self.job(number)["Reason"] == "BeginTime")
        time.sleep(2)  # within a second the node would take it for the job that it has ended
        self.command("scontrol", "update", f"JobId={number}", "StartTime=now")

    def end(self, number: str, seconds: float = 60) -> str:
        """The state in which a job ends."""
        until(lambda: self.state(number) not in ("PENDING", "RUNNING", "COMPLETING"), seconds)
        return self.state(number)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with slurm_cluster.cluster() as environment:
        yield Cluster(environment)


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.1)


def until_written_after(file: Path, moment: float) -> None:
    until(lambda: file.exists() and file.stat().st_mtime > moment)


def words(options: dict[str, object]) -> list[str]:
    """Options of the command line."""
    return [word for name, value in options.items() for word in (f"--{name}", str(value))]


def undisturbed(folder: Path, options: dict[str, object]) -> Events:
    """The events of a run of the same options, on one rank."""
    path = str(folder / "undisturbed.h5")
    simulation.run(Config(**options, output=path), Serial())  # type: ignore[arg-type]
    return read(path)


def assert_equal_events(file: Path, expected: Events) -> None:
    events = read(str(file))
    for name in ("time", "neuron", "state", "initial", "final"):
        assert_array_equal(getattr(events, name), getattr(expected, name))
    assert events.digest == expected.digest


@pytest.mark.parametrize("mpi", ["mpich", pytest.param("openmpi", marks=pytest.mark.long)])
def test_a_job_signalled_and_requeued_ends_with_the_undisturbed_events(
    cluster: Cluster, tmp_path: Path, mpi: str
) -> None:
    if mpi not in found() or (mpi == "openmpi" and find_library("pmix") is None):
        pytest.skip(f"no {mpi}, or no PMIx for SLURM")
    options: dict[str, object] = {
        "network": "gaussian",
        "neurons": 500,
        "seed": 3,
        "transitions": 400_000,
    }
    job = cluster.submit(
        tmp_path,
        "run.sbatch",
        *words(options),
        *("--output", "run.h5", "--checkpoint-every", "5000 events"),
        # Two nodes on one host are no two hosts to PMIx.
        **({"nodes": "2"} if mpi == "mpich" else {"ntasks_per_node": "2"}),
        export=f"ALL,MPI={PLUGINS[mpi]},PYTHON={found()[mpi][-1]}",
    )
    checkpoint = tmp_path / f"distsim-{job}.checkpoint"

    for stop in (cluster.signal, cluster.requeue):
        until_written_after(checkpoint, time.time())
        stop(job)
        cluster.hasten(job)
    assert cluster.end(job) == "COMPLETED", (tmp_path / "log").read_text()
    assert cluster.job(job)["Restarts"] == "2"
    assert_equal_events(tmp_path / "run.h5", undisturbed(tmp_path, options))


@pytest.mark.long
def test_a_job_outlives_its_time_limit(cluster: Cluster, tmp_path: Path) -> None:
    """The signal, the wait and the restart are SLURM's own: several minutes."""
    options: dict[str, object] = {"network": "gaussian", "neurons": 500, "engine": "race"}
    trial = simulation.run(Config(**options, transitions=20_000), Serial())  # type: ignore[arg-type]
    options["transitions"] = int(110 * trial.transitions_per_second)
    job = cluster.submit(
        tmp_path,
        "run.sbatch",
        *words(options),
        *("--output", "run.h5"),
        time="2",
        signal="B:USR1@45",  # sent 45 to 105 seconds before the limit
    )
    assert cluster.end(job, 8 * (120 + REQUEUED)) == "COMPLETED", (tmp_path / "log").read_text()
    assert int(cluster.job(job)["Restarts"]) >= 1
    options["engine"] = "relax"
    assert_equal_events(tmp_path / "run.h5", undisturbed(tmp_path, options))


def test_a_cancelled_job_stays_so_and_another_resumes_it(cluster: Cluster, tmp_path: Path) -> None:
    options: dict[str, object] = {"network": "gaussian", "neurons": 100}
    arguments = [*words(options), "--transitions", "1e9", "--checkpoint-every", "5000 events"]
    job = cluster.submit(tmp_path, "run.sbatch", *arguments, "--output", "run.h5")
    checkpoint = tmp_path / f"distsim-{job}.checkpoint"
    until(checkpoint.exists)
    cluster.command("scancel", job)
    assert cluster.end(job) == "CANCELLED"
    time.sleep(1)
    assert cluster.state(job) == "CANCELLED"

    options["transitions"] = 1_000_000
    again = ["resume", str(checkpoint), "--transitions", "1e6"]
    job = cluster.submit(tmp_path, "run.sbatch", *again, nodes="2")
    assert cluster.end(job) == "COMPLETED", (tmp_path / "log").read_text()
    assert_equal_events(tmp_path / "run.h5", undisturbed(tmp_path, options))


def test_bad_input_fails_the_job_once(cluster: Cluster, tmp_path: Path) -> None:
    job = cluster.submit(tmp_path, "run.sbatch", "--tau", "-1", ntasks_per_node="2")
    assert cluster.end(job) == "FAILED"
    assert cluster.job(job)["ExitCode"] == "2:0"
    assert (tmp_path / "log").read_text().count("--tau") == 1


def test_ranks_that_do_not_find_each_other_are_refused(cluster: Cluster, tmp_path: Path) -> None:
    job = cluster.submit(tmp_path, "run.sbatch", ntasks_per_node="2", export="ALL,MPI=none")
    assert cluster.end(job) == "FAILED"
    assert "--mpi=pmi2 (MPICH)" in (tmp_path / "log").read_text()


def test_an_array_sweeps_with_one_task_requeued(cluster: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "sweep.toml"
    file.write_text(
        'network = "celegans"\ntransitions = 150_000\ntau = [0.5, 1.0]\nseed = [1, 2]\n'
        'checkpoint_every = "5000 events"\n',
        encoding="utf-8",
    )
    distsim = [sys.executable, "-m", "distsim", "sweep"]
    points = int(cluster.command(*distsim, "count", str(file)))
    assert points == 4
    job = cluster.submit(tmp_path, "sweep.sbatch", file.name, array=f"0-{points - 1}")
    until((tmp_path / "sweep" / "0001.checkpoint").exists)
    cluster.signal(f"{job}_1")
    cluster.hasten(f"{job}_1")
    assert cluster.job(f"{job}_1")["Restarts"] == "1"
    for point in range(points):
        log = tmp_path / f"log.{point}"
        assert cluster.end(f"{job}_{point}") == "COMPLETED", log.read_text()

    shown = cluster.command(*distsim, "collect", str(file), "--json")
    assert "4 of 4 points done" in shown
    for line in json.loads(shown.splitlines()[-1])["points"]:
        config = Config(transitions=150_000, **line["values"])
        assert line["digest"] == simulation.run(config, Serial()).digest


@pytest.mark.long
def test_scaling_measures_through_srun(cluster: Cluster, tmp_path: Path) -> None:
    job = cluster.submit(
        tmp_path,
        "scaling.sbatch",
        "scaling.jsonl",
        *("--neurons", "128", "--repeats", "1", "--seconds", "0.01"),
        nodes="2",
        ntasks_per_node="2",
    )
    log = tmp_path / "log"
    assert cluster.end(job, 120) == "COMPLETED", log.read_text()
    lines = [json.loads(line) for line in (tmp_path / "scaling.jsonl").read_text().splitlines()]
    assert {(line["ranks"], line["nodes"]) for line in lines} == {(1, 1), (2, 1), (4, 2)}
    assert "strong scaling, relax, 128 neurons" in log.read_text()
    assert "PREDICTION" in log.read_text()
    assert (tmp_path / "scaling.png").stat().st_size > 10_000
