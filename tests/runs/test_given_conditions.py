"""Conditions from options, tables and Python: what they are, where they go, what is refused."""

import math
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from thread_ranks import on_ranks

from distsim import InputError, read, simulate
from distsim.config.options import Config
from distsim.config.sources import amend, gather
from distsim.files import chains
from distsim.laws.conditions import Conditions
from distsim.networks.matrices import from_array
from distsim.ranks.communicator import Communicator, Serial
from distsim.runs import checkpoint, simulation
from distsim.runs.conditions import resolved, settled
from distsim.runs.preparation import length
from distsim.runs.report import summary as told
from distsim.weights.source import Network

N = 10
W = np.random.default_rng(1).normal(0.0, 0.3, (N, N))
MPM: dict[str, Any] = {"network": "array", "time": 8.0}
BM: dict[str, Any] = {"network": "array", "model": "bm", "sweeps": 20}


def network(*, named: bool = False) -> Network:
    found = from_array(W)
    if named:
        found.names = tuple("ABCDEFGHIJ")
    return found


def conditions(options: dict[str, Any], chain: int = 0, **given: Any) -> Conditions:
    config = Config(**options)
    until = config.time if config.model == "mpm" else float(N * (config.sweeps or 0))
    if config.transitions is not None:
        until = None
    return resolved(config, network(named=True), until, given)(chain)


def table(folder: Path, text: str) -> str:
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


# ------------------------------------------------------------------------------ temperatures
def test_one_temperature_is_plain() -> None:
    found = conditions({**MPM, "tau": 2.5})
    assert found.plain
    assert found.digest() == Conditions.constant(2.5).digest()


def test_a_list_of_one_temperature_is_that_one() -> None:
    """So that a run with it is resumed as one without a list."""
    forms: list[Any] = [[2.0], np.array([2.0]), ("2",), 2]
    assert [Config(**MPM, tau=tau).tau for tau in forms] == [2.0] * 4


def test_a_geometric_ramp_is_rounded_from_exact_values() -> None:
    """Each the double nearest to FROM (TO / FROM)^(k / (S - 1)); a step a sweep."""
    found = conditions({**BM, "tau": "3:0.1"})
    assert found.times.tolist() == [N * k for k in range(20)]
    with localcontext(prec=60):
        ratio = Decimal.from_float(0.1) / Decimal(3)
        wanted = [float(Decimal(3) * ratio ** (Decimal(k) / 19)) for k in range(20)]
    assert found.taus.tolist() == wanted
    assert (found.taus[0], found.taus[-1]) == (3.0, 0.1)


def test_a_linear_ramp_and_its_steps() -> None:
    found = conditions({**MPM, "tau": "1:2:linear:5"})
    assert found.times.tolist() == [0.0, 1.6, 3.2, 4.8, 6.4]
    assert found.taus.tolist() == [1.0, 1.25, 1.5, 1.75, 2.0]
    assert conditions({**MPM, "tau": "1:2:geometric"}).times.size == 100
    assert conditions({**BM, "tau": "1:0:linear:7"}).times.tolist() == [
        math.ceil(200 * k / 7) for k in range(7)
    ]


def test_times_of_tables_are_decimal_numbers(tmp_path: Path) -> None:
    """0.1 sweeps of 10 neurons are one step; 0.11 are two, as a change comes at a step or after."""
    rows = "time,tau\n0,1\n0.1,2\n0.11,3\n0.7,4\n"
    found = conditions({**BM, "tau_schedule": table(tmp_path, rows)})
    assert found.times.tolist() == [0, 1, 2, 7]
    assert found.taus.tolist() == [1, 2, 3, 4]
    given = [(0, 1), (0.1, 2.0), (0.11, 3), (np.float64(0.7), 4)]
    again = conditions({**BM, "tau_schedule": "array"}, tau_schedule=given)
    assert again.digest() == found.digest()
    assert conditions({**MPM, "tau_schedule": table(tmp_path, rows)}).times[1] == 0.1
    tiny = table(tmp_path, "start,stop,neuron,bias\n1e-30000000,1,1,1\n")
    assert conditions({**BM, "stimulus": tiny}).start.tolist() == [0.0]


def test_a_function_is_evaluated_beforehand() -> None:
    asked: list[float] = []

    def tau(time: float) -> float:
        asked.append(time)
        return 1.0 + time

    found = conditions({**BM, "tau_schedule": "array"}, tau_schedule=tau)
    assert asked == list(range(20))
    assert found.taus.tolist() == [1.0 + k for k in range(20)]
    assert found.times.tolist() == [N * k for k in range(20)]


# --------------------------------------------------------------------------- clamps and stimuli
def test_clamps(tmp_path: Path) -> None:
    found = conditions({**MPM, "clamp": "B=1, 7=0,C=1"})
    assert (found.clamped.tolist(), found.held.tolist()) == ([1, 2, 7], [1, 1, 0])
    path = table(tmp_path, "state,neuron\n0,7\n1,B\n1,2\n")
    assert conditions({**MPM, "clamp": path}).digest() == found.digest()
    each = {**MPM, "chains": 3, "clamp": table(tmp_path, "chain,neuron,state\n0,1,1\n2,1,0\n")}
    assert [conditions(each, r).held.tolist() for r in range(3)] == [[1], [], [0]]


def test_stimuli(tmp_path: Path) -> None:
    path = table(tmp_path, "start,stop,neuron,bias\n1,2.5,B,0.5\n0,inf,1,-1\n2,3,4,1e3\n")
    found = conditions({**MPM, "stimulus": path})
    assert found.turns.tolist() == [0.0, 1.0, 2.0, 2.5, 3.0]
    added = [found.added(t).tolist() for t in (0.0, 1.0, 2.0, 2.5, 3.0)]
    assert added == [[-1.0, 0.0], [-0.5, 0.0], [-0.5, 1e3], [-1.0, 1e3], [-1.0, 0.0]]
    assert found.largest_bias() == 1e3
    steps = conditions({**BM, "stimulus": path})
    assert steps.start.tolist() == [10, 0, 20]
    assert steps.stop.tolist() == [25, math.inf, 30]


def test_biases_beyond_exact_sums_are_refused() -> None:
    with pytest.raises(InputError, match=r"stimulus: 1e\+30 given in all; allowed beside these"):
        simulate(W, time=2.0, stimulus=[(0, 1, 3, 1e30)])


# ------------------------------------------------------------------------------------- refused
@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"tau": "0:1"}, "tau: '0:1' given; allowed: a finite number, 0 or more, or FROM:TO"),
        ({"tau": "1:2:cubic"}, "tau: '1:2:cubic' given"),
        ({"tau": "1:2:linear:1"}, "tau: '1:2:linear:1' given; .* 2 to 1,048,576"),
        ({"tau": "1:0:linear"}, "tau: 0 given; allowed for the mpm: above 0"),
        ({"tau": "1,0", "chains": 2}, "tau: 0 given; allowed for the mpm: above 0"),
        ({"tau": "1,2"}, "tau: 2 given for 1 chain; allowed: one, or one a chain"),
        ({"tau": "1,2", "chains": 3}, "tau: 2 given for 3 chains; allowed: one"),
        ({"tau": 2.0, "tau_schedule": "t.csv"}, "tau: 2.0 given beside a tau_schedule"),
        ({"tau": "schedule"}, "tau: schedule given; allowed: with a tau_schedule"),
        ({"tau_schedule": "t.txt"}, "tau_schedule: 't.txt' given; allowed: FILE.csv"),
        ({"clamp": "A=2"}, "clamp: 'A=2' given; allowed: a .csv file, or NEURON=STATE"),
        ({"clamp": "=1"}, "clamp: '=1' given"),
        ({"stimulus": 3}, "stimulus: 3 given; allowed: FILE.csv"),
        ({"time": None, "transitions": 9, "tau": "1:2"}, "tau: 1:2:geometric given for a len"),
        (
            {"model": "bm", "time": None, "transitions": 9, "tau": "0,1", "chains": 2},
            "transitions: 9 given at tau 0; allowed there: steps or sweeps",
        ),
        (
            {"output": "s.csv", "stimulus": "s.csv"},
            "output: s.csv given, but s.csv belongs",
        ),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match):
        Config(**{**MPM, **options})


@pytest.mark.parametrize(
    ("option", "rows", "match"),
    [
        ("tau_schedule", "time,tau\n1,1\n", "line 2: time '1' given; allowed: 0 first"),
        ("tau_schedule", "time,tau\n0,1\n2,1\n2,3\n", "line 4: time '2' given after that of the"),
        ("tau_schedule", "time,tau\n0,1\n8,3\n", "line 3: time '8' given; allowed: below 8, where"),
        ("tau_schedule", "time,tau\n0,0\n", "line 2: tau '0' given; allowed: .* above 0 .mpm."),
        ("tau_schedule", "time,tau\n0,nan\n", "line 2: tau 'nan' given; allowed: finite"),
        ("tau_schedule", "time,tau\n0,1\n-1,3\n", "line 3: time '-1' given; allowed: finite"),
        ("tau_schedule", "time,tau\n", "tau_schedule: no rows given; allowed: one or more"),
        ("tau_schedule", "time,T\n0,1\n", "columns 'time,T' given; allowed: time,tau"),
        ("tau_schedule", "time,tau\n0,1,2\n", "line 2: 3 cells given; allowed: 2"),
        ("clamp", "neuron,state\nX,1\n", "line 2: neuron X given; allowed: 0 to 9, or its names"),
        ("clamp", "neuron,state\n10,1\n", "line 2: neuron 10 given; allowed: 0 to 9"),
        ("clamp", "neuron,state\n1,1\nB,1\n", "line 3: neuron 'B' is clamped already; allowed: ea"),
        ("clamp", "chain,neuron,state\n0,2,1\n0,2,1\n", "line 3: neuron '2' is clamped already"),
        ("clamp", "neuron,state\n1,0.5\n", "line 2: state '0.5' given; allowed: 0 or 1"),
        ("clamp", "chain,neuron,state\n1,2,1\n", "line 2: chain '1' given; allowed: 0 to 0"),
        ("stimulus", "start,stop,neuron,bias\n2,2,1,1\n", "stop '2' given; allowed: after its st"),
        ("stimulus", "start,stop,neuron,bias\n9,10,1,1\n", "start '9' given; allowed: below 8"),
        ("stimulus", "start,stop,neuron,bias\n1,2,1,inf\n", "bias 'inf' given; allowed: finite"),
        ("stimulus", "start,stop,neuron,bias\n1,2,Q,1\n", "neuron Q given; allowed: 0 to 9"),
    ],
)
def test_tables_that_cannot_be_are_refused(
    option: str, rows: str, match: str, tmp_path: Path
) -> None:
    path = table(tmp_path, rows)
    with pytest.raises(InputError, match=match):
        conditions({**MPM, option: path})


def test_files_that_are_no_tables_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"clamp .*none.csv: No such file"):
        conditions({**MPM, "clamp": str(tmp_path / "none.csv")})
    (tmp_path / "bytes.csv").write_bytes(b"neuron,state\n\xff,1\n")
    with pytest.raises(InputError, match=r"clamp .*bytes.csv: not a table"):
        conditions({**MPM, "clamp": str(tmp_path / "bytes.csv")})
    with pytest.raises(InputError, match=r"clamp: array given; allowed: a .csv file"):
        conditions({**MPM, "clamp": "array"})
    with pytest.raises(InputError, match=r"20 steps of temperature .* allowed: 2 to 10, by anot"):
        conditions({**BM, "sweeps": 1, "tau": "1:2:linear:20"})
    with pytest.raises(InputError, match=r"1 steps of temperature given for this length"):
        conditions({**BM, "sweeps": 1, "tau": "1:2"})


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"tau": [(0, 1), (2,)]}, r"tau\[1\]: \(2,\) given; allowed: \(time, tau\)"),
        ({"tau": [(0, 1), (2, "x")]}, r"tau\[1\]: tau 'x' given; allowed: finite numbers"),
        ({"tau": lambda time: -1.0}, r"tau\(0\): tau -1.0 given; allowed: finite numbers"),
        ({"tau": lambda time: time, "tau_schedule": "t.csv"}, "tau: given beside a tau_schedule"),
        ({"tau": lambda t: 1.0, "time": None, "transitions": 5}, "tau: a function given for a run"),
        ({"clamp": [1, 2]}, r"clamp: \[1, 2\] given; allowed: neuron -> state"),
        ({"clamp": {12: 1}}, r"clamp\[0\]: neuron 12 given; allowed: 0 to 9"),
        (
            {"clamp": {1: np.ones(3)}},
            r"clamp: 3 states given for neuron 1 and 1 chain; allowed: on",
        ),
        ({"clamp": {"1": [0, 1]}, "chains": 3}, r"clamp: 2 states .* neuron '1' and 3 chains; all"),
        ({"clamp": {1: [[0], [1, 0]]}, "chains": 2}, r"clamp\[0\]: state \[0\] given; allowed: 0"),
        ({"stimulus": 3}, r"stimulus: 3 given; allowed: \(start, stop, neurons, bias\) rows"),
        ({"stimulus": [(0, 1, 2)]}, r"stimulus\[0\]: \(0, 1, 2\) given; allowed: \(start, stop"),
        ({"stimulus": [(0, 1, [1, 2], [1])]}, r"stimulus\[0\]: 1 biases given for 2 neurons"),
        ({"stimulus": [(0, 1, W, 1)]}, r"neuron an array of shape \(10,\) given; allowed: 0 to 9"),
        (
            {"stimulus": [(0, 1, [[1], [2, 3]], 1)]},
            r"stimulus\[0\]: neuron \[1\] given; allowed: 0",
        ),
        ({"tau": []}, r"tau: \[\] given; allowed: a finite number, 0 or more, or FROM:TO"),
        ({"tau": np.array(1.0)}, r"tau: array\(1.0?\) given; allowed: a finite number"),
        ({"tau": {1.0, 2.0}}, r"tau: \{1.0, 2.0\} given; allowed: a finite number"),
        ({"tau": "3-1"}, r"tau: '3-1' given; allowed: a finite number, 0 or more, or FROM:TO"),
    ],
)
def test_what_python_gives_is_refused(options: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match) as caught:
        simulate(W, **{"time": 8.0, **options})
    assert "\n" not in str(caught.value)


# ------------------------------------------------------------------------- where they go
def equal(found: dict[str, NDArray[Any]], wanted: Conditions) -> None:
    assert found.keys() == wanted.arrays().keys()
    for name, values in wanted.arrays().items():
        np.testing.assert_array_equal(found[name], values)


def test_checkpoints_and_outputs_have_them(tmp_path: Path) -> None:
    """A run under a ramp is prolonged at its last temperature; others are refused."""
    path, saved_at = str(tmp_path / "run.h5"), str(tmp_path / "run.ck")
    options: dict[str, Any] = {
        "network": "gaussian", "neurons": 30, "tau": "3:1", "time": 6.0, "clamp": "3=1,4=0",
        "stimulus": table(tmp_path, "start,stop,neuron,bias\n1,2,7,3\n"),
    }  # fmt: skip
    config = Config(**options, output=path, checkpoint=saved_at)
    simulation.run(config, Serial())
    wanted = settled(config, from_array(np.zeros((30, 30))), Serial(), 6.0)(0)
    with h5py.File(path) as file:
        equal({name: one[:] for name, one in file["conditions"].items()}, wanted)
    saved = checkpoint.read(saved_at, Serial())
    equal(saved.chain.conditions, wanted)
    with pytest.raises(InputError, match="--clamp: 3=1 given to resume a run with 3=1,4=0; allow"):
        amend(saved_at, saved.config, {}, {"clamp": "3=1"})
    Path(options["stimulus"]).unlink()  # not read again
    longer = amend(saved_at, saved.config, {}, {"time": 9.0})
    with h5py.File(path, "r+") as file:
        file["conditions/taus"][3] = 99.0
    with pytest.raises(InputError, match=r"output .*run.h5: other conditions given; allowed: the"):
        simulation.run(longer, Serial(), saved=saved)
    with h5py.File(path, "r+") as file:
        file["conditions/taus"][3] = wanted.taus[3]
    summary = simulation.run(longer, Serial(), saved=saved)
    assert "held     100 temperatures, 2 neurons clamped, 1 row of stimuli\n" in told(summary, None)
    rows = [(t, tau) for t, tau in zip(wanted.times, wanted.taus, strict=True)]
    plain = simulate(
        "gaussian", neurons=30, tau=rows, time=9.0, clamp={3: 1, 4: 0},
        stimulus=[(1, 2, [7], 3.0)],
    )  # fmt: skip
    assert summary.digest == plain.digest == read(path).digest
    assert summary.tau == "3:1:geometric"


def test_those_of_several_chains(tmp_path: Path) -> None:
    path, saved_at = str(tmp_path / "run.h5"), str(tmp_path / "run.ck")
    options: dict[str, Any] = {"network": "gaussian", "neurons": 20, "time": 3.0}
    common = Config(**options, chains=2, tau="3:1", output=path, checkpoint=saved_at)
    simulation.run(common, Serial())
    with h5py.File(path) as file:
        assert file["conditions/taus"].shape == (100,)
    saved = checkpoint.read(saved_at, Serial())
    longer = amend(saved_at, saved.config, {}, {"time": 9.0})
    with pytest.raises(InputError, match="conditions: others given for chain 0 than those of the"):
        simulation.run(longer, Serial(), saved=saved)
    each = Config(**options, chains=3, tau="1,2,3", output=path, overwrite=True)
    simulation.run(each, Serial())
    with h5py.File(path) as file:
        assert [file[f"conditions/{r}/taus"][0] for r in range(3)] == [1.0, 2.0, 3.0]
    for replica, digest in enumerate(chains.read(path).digests):
        alone = simulation.run(Config(**options, tau=1.0 + replica, replica=replica), Serial())
        assert alone.digest == digest


def test_python_and_ranks_give_the_same(tmp_path: Path) -> None:
    half = np.triu(W, 1)
    options: dict[str, Any] = {"model": "bm", "sweeps": 20, "chains": 3, "initial": "random"}
    asked: dict[str, Any] = {
        **options, "tau": lambda time: 2.0 - time / 11, "clamp": {2: [0, 1, 0], 5: 1},
        "stimulus": [(0.3, 7.7, [1, 4], [1.5, -1.0]), (2, math.inf, 9, 0.1)],
    }  # fmt: skip
    result = simulate(half + half.T, **asked)
    assert result.final[:, 2].tolist() == [0, 1, 0]
    assert (result.final[:, 5] == 1).all()
    assert simulate(half + half.T, **asked, ranks=2).digest == result.digest
    taus = {**options, "tau": [0.5, 1.0, 2.0]}
    each = simulate(half + half.T, **taus)
    one = {**options, "chains": 1, "replica": 2, "tau": 2.0}
    assert simulate(half + half.T, **one).digest == each.digests[2]
    alone = simulate(W, time=3.0, tau=[(0, 2.0), (1.5, 1.0)], clamp={"3": 1})
    on = alone.go_on(time=2.0)
    assert on.digest == simulate(W, time=5.0, tau=[(0, 2.0), (1.5, 1.0)], clamp="3=1").digest


def test_ranks_that_give_other_clamps_are_refused() -> None:
    """Also where only a later chain has others."""

    def given(ranks: Communicator) -> bool:
        config = Config(**MPM, chains=2, clamp="array")
        rows = [(0, 2, 0), (1, 2, ranks.rank)]
        with pytest.raises(InputError, match="conditions: rank 1 has others than rank 0"):
            settled(config, network(), ranks, 8.0, {"clamp": rows})
        return True

    assert all(on_ranks(2, given))


def test_toml_and_environment(tmp_path: Path) -> None:
    path = table(tmp_path, "time,tau\n0,1\n")
    (tmp_path / "run.toml").write_text('tau = "4:1"\nclamp = "3=1"\n', encoding="utf-8")
    found = gather(str(tmp_path / "run.toml"), {}, {"network": "gaussian", "time": "3"})
    assert (found.tau, found.clamp) == ("4:1:geometric", "3=1")
    assert Config(**found.asdict()) == found
    found = gather(None, {"DISTSIM_TAU_SCHEDULE": path}, {"time": "3"})
    assert (found.tau, found.tau_schedule) == ("schedule", path)
    assert Config(**found.asdict()) == found


def test_more_steps_than_a_replica_has_names_for_are_refused() -> None:
    for options, match in (
        ({"steps": 2**48 + 1}, r"--steps: 281474976710657 given, .* allowed: up to 2\^48 steps"),
        ({"sweeps": 2**45}, r"--sweeps: 35184372088832 given, 3.518e\+14 steps; allowed"),
    ):
        with pytest.raises(InputError, match=match):
            length(Config(network="array", model="bm", **options), network())  # type: ignore[arg-type]
