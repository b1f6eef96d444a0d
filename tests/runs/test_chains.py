"""Many chains: each has the stream of its replica alone, on any ranks, stopped and resumed."""

import json
from pathlib import Path
from typing import Any

import h5py
import launchers
import numpy as np
import pytest
from thread_ranks import Moment, on, on_ranks

from distsim.chains.cpu import HostChain
from distsim.cli import main as cli
from distsim.cli.launch import Launch
from distsim.config.options import Config
from distsim.config.sources import amend
from distsim.engines import walk, windows
from distsim.errors import InputError, OutputError
from distsim.files import chains, events
from distsim.ranks import agreement
from distsim.ranks.communicator import Communicator, Serial
from distsim.recording import digest
from distsim.recording.recorder import Recorder
from distsim.runs import checkpoint, simulation
from distsim.runs.results import Progress, Summary
from distsim.weights import fitting

NETWORK: dict[str, Any] = {"network": "gaussian", "neurons": 40, "initial": "random", "seed": 5}
CASES: dict[str, dict[str, Any]] = {
    "mpm": {**NETWORK, "time": 6.0, "observe": "activity,rates,moments,samples", "every": 0.5},
    "bm": {
        **NETWORK, "model": "bm", "network": "hopfield", "patterns": 3, "sweeps": 25,
        "tau": 0.5, "observe": "energy,best,occupation", "every": 2.0, "scan": "random",
    },
    "events": {**NETWORK, "transitions": 400},
}  # fmt: skip
MOST = 7


@pytest.fixture
def at_every_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "_EVERY", 0.0)
    monkeypatch.setattr(agreement, "_EVERY_OF_GROUPS", 0.0)
    monkeypatch.setattr(walk, "_SECONDS", 0.0)  # a stretch is one window
    monkeypatch.setattr(windows, "_WEIGHTS", 0)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """Of each case all replicas by themselves: what their files hold."""
    folder = tmp_path_factory.mktemp("alone")

    def made(case: dict[str, Any], replica: int) -> events.Events:
        path = str(folder / "run.h5")
        options = {**case, "replica": replica, "output": path, "overwrite": True}
        simulation.run(Config(**options), Serial())
        return events.read(path)

    return {name: [made(case, r) for r in range(MOST)] for name, case in CASES.items()}


def same(found: chains.Chains, wanted: list[events.Events], *, recorded: bool) -> None:
    """A file of chains has what files of each replica alone have."""
    assert len(found.digests) == len(wanted)
    for r, one in enumerate(wanted):
        assert one.digest == found.digests[r]
        assert one.final is not None
        np.testing.assert_array_equal(found.initial[r], one.initial)
        np.testing.assert_array_equal(found.final[r], one.final)
        assert found.transitions[r] == one.time.size
        assert found.observables.keys() == one.observables.keys()
        for name, values in one.observables.items():
            np.testing.assert_array_equal(found.observables[name][r], values, err_msg=name)
        if recorded:
            mine = found.chain == r
            for name in events.EVENTS:
                np.testing.assert_array_equal(getattr(found, name)[mine], getattr(one, name))
    assert found.time.size == (sum(one.time.size for one in wanted) if recorded else 0)
    totals = {r: int(one.digest or "", 16) for r, one in enumerate(wanted)}
    assert found.digest == digest.text(digest.of_chains(totals))
    observed = [one.observables_digest for one in wanted if one.observables_digest]
    assert found.observables_digests == tuple(observed)
    if observed:
        totals = {r: int(one, 16) for r, one in enumerate(observed)}
        assert found.observables_digest == digest.text(digest.of_chains(totals))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    ("count", "ranks", "together"), [(2, 1, None), (7, 1, 1), (2, 2, 2), (7, 3, 1), (7, 2, 2)]
)
def test_each_chain_is_that_of_its_replica_alone(
    name: str, count: int, ranks: int, together: int | None, alone: Any, tmp_path: Path
) -> None:
    path, recorded = str(tmp_path / "run.h5"), count == 2
    config = Config(
        **CASES[name], chains=count, ranks_per_chain=together, output=path,
        events=recorded or None,
    )  # fmt: skip
    summary = on(ranks, lambda ranks: simulation.run(config, ranks))
    found, wanted = chains.read(path), alone[name][:count]
    same(found, wanted, recorded=recorded)
    assert (summary.chains, summary.ranks, summary.consistent) == (count, ranks, True)
    assert summary.engine == ("relax" if together == 2 else "walk")
    assert summary.digest == found.digest
    assert summary.observables_digest == found.observables_digest
    assert summary.transitions == found.transitions.sum()
    assert [one["replica"] for one in summary.each] == list(range(count))
    assert len(set(found.digests)) == count
    assert [one["digest"] for one in summary.each] == list(found.digests)
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize(
    "options",
    [{}, {"model": "bm", "network": "hopfield"}, {"model": "bm", "network": "hopfield",
     "scan": "random"}],
    ids=["mpm", "sequential", "random"],
)  # fmt: skip
def test_few_or_many_beside_it_change_no_chain(options: dict[str, Any]) -> None:
    options = {**NETWORK, "patterns": 2 if options else None, "transitions": 150, **options}
    many = simulation.run(Config(**options, chains=64), Serial()).each
    few = simulation.run(Config(**options, chains=2), Serial()).each
    assert many[:2] == few
    for r in (0, 1, 63):
        assert many[r]["digest"] == simulation.run(Config(**options, replica=r), Serial()).digest


@launchers.needs_mpirun
def test_ranks_of_mpi_are_dealt_chains(alone: Any, tmp_path: Path) -> None:
    cases = [
        {**CASES["mpm"], "chains": 7, "device": "cpu"},
        {**CASES["bm"], "chains": 2, "ranks_per_chain": 2},
        {**CASES["events"], "chains": 3, "output": str(tmp_path / "run.h5"), "events": True},
    ]
    made = launchers.observed(2, cases, tmp_path)
    names = ("mpm", 7), ("bm", 2), ("events", 3)
    for (total, observed), (name, count) in zip(made, names, strict=True):
        one = alone[name][:count]
        assert total == sum_of([each.digest for each in one])
        if observed is not None:
            assert observed == sum_of([each.observables_digest for each in one])
    same(chains.read(str(tmp_path / "run.h5")), alone["events"][:3], recorded=True)


def sum_of(digests: list[str]) -> str:
    return digest.text(digest.of_chains({r: int(one, 16) for r, one in enumerate(digests)}))


# ------------------------------------------------------------------------- stopped and resumed


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("at_every_window")
def test_stopped_anywhere_it_goes_on_on_other_ranks(name: str, alone: Any, tmp_path: Path) -> None:
    """In the first chain, in a later one; on three grids; with events, which cannot be lost."""
    path, saved_at = str(tmp_path / "run.h5"), str(tmp_path / "run.ck")
    options = {**CASES[name], "chains": 4, "events": True, "output": path, "checkpoint": saved_at}
    one: Any = Moment(3)
    first = simulation.run(Config(**options), Serial(), signals=one)
    assert first.stopped == "SIGTERM on rank 0"
    assert [chain["replica"] for chain in first.each] == [0]
    assert not (tmp_path / "run.h5").exists()

    def resume(ranks: Communicator, together: int, looks: int | None) -> Summary:
        saved = checkpoint.read(saved_at, ranks)
        moment: Any = None if looks is None else Moment(looks)
        settings = amend(saved_at, saved.config, {}, {"ranks_per_chain": together})
        return simulation.run(settings, ranks, signals=moment, saved=saved)

    second = on(2, lambda ranks: resume(ranks, 1, 8))
    assert second.stopped is not None
    assert len(second.each) > 1
    third = on(2, lambda ranks: resume(ranks, 2, 3))
    assert third.stopped is not None
    last = on(3, lambda ranks: resume(ranks, 3, None))
    assert (last.stopped, last.consistent) == (None, True)
    same(chains.read(path), alone[name][:4], recorded=True)
    again = on(2, lambda ranks: resume(ranks, 1, None))  # nothing is left to do
    assert (again.digest, again.transitions_per_second > -1) == (last.digest, True)
    same(chains.read(path), alone[name][:4], recorded=True)


def test_a_finished_run_is_prolonged(alone: Any, tmp_path: Path) -> None:
    path, saved_at = str(tmp_path / "run.h5"), str(tmp_path / "run.ck")
    options = {**CASES["mpm"], "chains": 3, "output": path, "checkpoint": saved_at, "time": 2.2}
    simulation.run(Config(**options), Serial())
    assert chains.read(path).ended.tolist() == [2.2] * 3
    saved = checkpoint.read(saved_at, Serial())
    with pytest.raises(InputError, match=r"--time: 1.0 given; allowed: 2.2, which is done, or mo"):
        simulation.run(amend(saved_at, saved.config, {}, {"time": 1.0}), Serial(), saved=saved)
    simulation.run(amend(saved_at, saved.config, {}, {"time": 6.0}), Serial(), saved=saved)
    same(chains.read(path), alone["mpm"][:3], recorded=False)


@pytest.mark.usefixtures("at_every_window")
def test_checkpoints_have_all_chains_that_have_begun(tmp_path: Path) -> None:
    """By events, counted over all chains."""
    saved_at = str(tmp_path / "run.ck")
    options = {**CASES["events"], "chains": 3, "checkpoint": saved_at}
    written: list[int] = []
    original = checkpoint.write

    def write(path: str, data: bytes) -> None:
        written.append(len(checkpoint.unpack(data, path).chains))
        original(path, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "write", write)
        simulation.run(Config(**options, checkpoint_every="300 events"), Serial())
    assert written == sorted(written)
    assert written[0] == 1
    assert written[-2:] == [3, 3]
    assert len(written) == 4  # 300, 600, 900, the end


def test_the_name_of_a_checkpoint_has_one_holder_and_its_output_is_its_own(tmp_path: Path) -> None:
    path, saved_at = str(tmp_path / "run.h5"), str(tmp_path / "run.ck")
    simulation.run(Config(**CASES["events"], chains=2, output=path, checkpoint=saved_at), Serial())
    saved = checkpoint.read(saved_at, Serial())
    with h5py.File(path, "r+") as file:
        file.attrs["config"] = json.dumps({**saved.config, "seed": 6})
    with pytest.raises(InputError, match=r"exists, and is not that of the run that is resumed"):
        simulation.run(amend(saved_at, saved.config, {}, {}), Serial(), saved=saved)


def test_output_that_cannot_be_written_leaves_the_way_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, saved_at = str(tmp_path / "run.h5"), str(tmp_path / "run.ck")
    config = Config(**CASES["events"], chains=2, output=path, checkpoint=saved_at)

    def full(*_: Any, **__: Any) -> Any:
        raise OutputError(f"output {path}: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("distsim.runs.output.EventFile.begin", full)
        with pytest.raises(OutputError, match=r"No space left on device; goes on with: distsim re"):
            on(2, lambda ranks: simulation.run(config, ranks))
    saved = checkpoint.read(saved_at, Serial())
    simulation.run(amend(saved_at, saved.config, {}, {}), Serial(), saved=saved)
    assert len(chains.read(path).digests) == 2


# --------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"chains": 2, "replica": 1}, r"replica: 1 given with 2 chains; allowed: one of both"),
        (
            {"chains": 2, "observe": "activity"},
            r"observe: given for 2 chains of a length in transitions",
        ),
        ({"chains": 0}, r"chains: 0 given; allowed: an integer from 1 to 65536"),
        ({"chains": 65_537}, r"chains: 65537 given; allowed: an integer from 1 to 65536"),
        ({"ranks_per_chain": 0}, r"ranks_per_chain: 0 given; allowed: an integer, 1 or more"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: Any, match: str) -> None:
    with pytest.raises(InputError, match=match):
        Config(**{**NETWORK, "transitions": 10, **options})


@pytest.mark.parametrize(
    ("ranks", "options", "match"),
    [
        (3, {"chains": 4, "ranks_per_chain": 2}, r"ranks: 3 given with 2 a chain; allowed: a mult"),
        (3, {"chains": 2}, r"ranks: 3 given for 2 chains of 1 rank; allowed: up to 2, or more a"),
        (2, {"ranks_per_chain": 1}, r"ranks: 2 given for 1 chain of 1 rank; allowed: up to 1, or"),
        (2, {"chains": 2, "exchange": "nccl"}, r"exchange nccl given on the CPU; allowed: on GPUs"),
    ],
)
def test_grids_that_cannot_be_are_refused_on_every_rank(
    ranks: int, options: dict[str, Any], match: str
) -> None:
    config = Config(**{**NETWORK, "transitions": 10, **options})

    def refused(ranks: Communicator) -> bool:
        with pytest.raises(InputError, match=match):
            simulation.run(config, ranks)
        return True

    assert all(on_ranks(ranks, refused))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"engine": "race"}, r"engine race; allowed: auto; or cpu, or auto"),
        ({"ranks_per_chain": 2}, r"2 ranks a chain; allowed: 1"),
        ({"events": True}, r"events; allowed: without \(--no-events\)"),
        ({"time": 5.0, "observe": "activity"}, r"observables; allowed: without"),
        ({"storage": "sparse"}, r"sparse storage; allowed: dense"),
        ({"model": "bm", "scan": "random"}, r"a random scan; allowed: --scan sequential"),
        ({"model": "bm"}, r"weights of 32 bits; allowed: 8 or 16"),
        ({"model": "bm", "sweeps": 9, "temper": "1:2"}, r"tempering; allowed: without"),
        ({"time": 5.0, "stimulus": "STIMULUS"}, r"a stimulus; allowed: without"),
        (
            {"model": "bm", "steps": 100, "weight_bits": 8, "tau": "2:1:linear:3"},
            r"temperatures that change inside a sweep; allowed: between sweeps",
        ),
    ],
)
def test_what_gpus_cannot_do_yet_is_refused_on_every_rank(
    options: dict[str, Any], match: str, tmp_path: Path
) -> None:
    if "stimulus" in options:
        path = tmp_path / "stimulus.csv"
        path.write_text("start,stop,neuron,bias\n1,2,3,0.5\n")
        options = {**options, "stimulus": str(path)}
    length = {} if options.keys() & {"time", "sweeps", "steps"} else {"transitions": 10}
    given = {**NETWORK, "chains": 4, "device": "gpu", **length, **options}
    if given.get("model") == "bm":
        given |= {"network": "hopfield", "patterns": 3}
    config = Config(**given)

    def refused(ranks: Communicator) -> bool:
        with pytest.raises(InputError, match=f"device gpu: given for several chains with {match}"):
            simulation.run(config, ranks)
        return True

    assert all(on_ranks(2, refused))


def test_more_chains_than_memory_has_room_for_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "available", lambda here=1: 10**9)
    config = Config(**{**CASES["mpm"], "neurons": 1000}, chains=65_536)
    with pytest.raises(
        InputError,
        match=r"--chains: 65,536 chains of 1,000 neurons and 12 samples given, .* TiB; allowed: 95",
    ):
        simulation.run(config, Serial())


def test_what_one_group_meets_is_told_by_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a network at rest, in a later chain of one group, while the others go on."""
    original = HostChain.advance

    def advance(chain: HostChain, recorder: Recorder) -> None:
        if chain.config.replica == 3:
            raise InputError("the network is at rest")
        original(chain, recorder)

    monkeypatch.setattr(HostChain, "advance", advance)
    config = Config(**{**CASES["events"], "transitions": 20_000}, chains=9)

    def refused(ranks: Communicator) -> bool:
        with pytest.raises(InputError, match=r"^the network is at rest$"):
            simulation.run(config, ranks)
        return True

    assert all(on_ranks(3, refused))


def test_readers_of_one_chain_say_what_they_cannot_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "run.h5")
    simulation.run(Config(**CASES["events"], chains=2, output=path), Serial())
    words = f"distsim: {path}: holds 2 chains; allowed: a file of one chain (--replica r)\n"
    for command in (
        ["plot", path, "--output", str(tmp_path / "a.png")],
        ["report", path, "--output", str(tmp_path / "a.html")],
        ["export", path, "--to", "csv", "--output", str(tmp_path / "a.csv")],
    ):
        assert cli.main(command, Launch()) == 2
        assert capsys.readouterr().err == words
    one = str(tmp_path / "one.h5")
    simulation.run(Config(**CASES["events"], output=one), Serial())
    with pytest.raises(InputError, match=r"holds one chain; allowed: a file of several"):
        chains.read(one)


# ------------------------------------------------------------------------------ what is told


def test_the_summary_tells_of_all_chains(capsys: pytest.CaptureFixture[str]) -> None:
    options = [f"--{name.replace('_', '-')}={value}" for name, value in CASES["bm"].items()]
    assert cli.main([*options, "--chains=3", "--json"], Launch()) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    told = dict(line.split(maxsplit=1) for line in lines)
    found = json.loads(last)
    assert found["chains"] == 3
    assert told["chains"] == "3, replicas 0 to 2; digest and numbers are of all"
    assert told["digest"] == found["digest"] == sum_of([one["digest"] for one in found["each"]])
    assert found["steps"] == 25 * 40
    energies = [one["energy"] for one in found["each"]]
    assert found["energy"] == pytest.approx(sum(energies) / 3)
    assert found["best_energy"] == min(one["best_energy"] for one in found["each"])
    assert f"({min(energies):.6g} to {max(energies):.6g})" in told["observed"]
    assert found["transitions"] == sum(one["transitions"] for one in found["each"])


@pytest.mark.usefixtures("at_every_window")
def test_progress_is_that_of_all_chains() -> None:
    seen: list[Progress] = []

    class Show:
        def __call__(self, progress: Progress) -> None:
            seen.append(progress)

        def __getattr__(self, name: str) -> Any:
            return lambda *_: None

    show: Any = Show()
    config = Config(**CASES["events"], chains=5)
    on(2, lambda ranks: simulation.run(config, ranks, show if ranks.rank == 0 else None))
    fractions = [one.fraction for one in seen]
    assert fractions == sorted(fractions)
    assert 0 < fractions[0] < 0.1
    assert fractions[-1] > 0.9
    assert all(one.transitions == pytest.approx(one.fraction * 2000) for one in seen)
