"""Several ranks from Python: those of a launcher, or started; never so many copies."""

import json
import shutil
from pathlib import Path
from typing import Any

import launchers
import numpy as np
import pytest
from launchers import needs_mpirun
from scipy import sparse

from distsim import InputError, simulate
from distsim.config.options import OBSERVABLES

N = 24
PROGRAM = """
import json, sys
import numpy as np
import distsim
from distsim.ranks.communicator import connect

weights = np.random.default_rng(5).normal(0, 0.5, (24, 24))
rank = connect().rank
options = dict(tau=2.0, observe="activity,best", every=0.5, device="cpu")
options["observe"] = "activity,samples"
result = distsim.simulate(weights, transitions=500, **options)
longer = result.go_on(transitions=300)
after = distsim.simulate(weights, transitions=100, initial=longer, ranks=2, **options)
parts = list(distsim.stream(weights, transitions=500, block=100, **options))
said = []
for given in (dict(ranks=3), dict(tau=-1.0), dict(initial=[rank] * 24)):
    try:
        distsim.simulate(weights, transitions=10, **given)
    except distsim.InputError as error:
        said.append(str(error))
try:
    activity = result.activity.tolist()
except distsim.InputError as error:
    activity = str(error)
found = dict(
    root=result.root, events=result.time.size, activity=activity, said=said,
    digests=[one.digest for one in (result, longer, after)] + [parts[-1].summary.digest],
    observed=[one.observables_digest for one in (result, longer, after)],
    parts=len(parts), streamed=sum(part.time.size for part in parts), shown=repr(result),
)
open(f"{sys.argv[1]}/{rank}.json", "w").write(json.dumps(found))
"""


@needs_mpirun
def test_all_ranks_of_a_launcher_take_part(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    launchers.start(2, str(program), str(tmp_path))
    root, other = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    weights = np.random.default_rng(5).normal(0, 0.5, (N, N))
    options: dict[str, Any] = {"tau": 2.0, "observe": "activity,samples", "every": 0.5}
    result = simulate(weights, transitions=500, **options)
    longer = simulate(weights, transitions=800, **options)
    after = simulate(weights, transitions=100, initial=longer, **options)
    digests = [result.digest, longer.digest, after.digest, result.digest]
    assert root["digests"] == other["digests"] == digests
    observed = [one.observables_digest for one in (result, longer, after)]
    assert root["observed"] == observed
    assert (root["root"], root["events"], root["streamed"]) == (True, 500, 500)
    assert root["activity"] == result.activity.tolist()
    assert root["parts"] == other["parts"] > 2
    assert (other["root"], other["events"], other["streamed"]) == (False, 0, 0)
    assert other["activity"] == "activity: only the root has it (rank 1 of 2)"
    assert "rank 1 of 2: no events" in other["shown"]
    ranks, tau, initial = root["said"]
    assert root["said"] == other["said"]
    assert ranks.startswith("ranks: 3 given, but a launcher has started 2; allowed: 2")
    assert tau.startswith("tau: -1.0 given; allowed: a finite number, 0 or more, or FROM:TO")
    assert initial.startswith("initial: rank 1 has others than rank 0; allowed: the same")


@needs_mpirun
def test_ranks_are_started(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in launchers.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DISTSIM_SEED", "77")  # of commands; Python does not look
    weights = np.random.default_rng(5).normal(0, 0.5, (N, N))
    weights = sparse.csr_array(weights * (np.abs(weights) > 0.5))
    options: dict[str, Any] = {
        "model": "bm", "T": 1.5, "bias": np.linspace(-1, 1, N), "observe": OBSERVABLES,
        "initial": np.arange(N) % 2, "device": "cpu", "symmetrize": True, "diagonal_to_bias": True,
    }  # fmt: skip
    wanted = simulate(weights, sweeps=25, **options)
    found = simulate(weights, sweeps=25, ranks=2, **options)
    for name in ("time", "neuron", "state", "initial", "final"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
    assert found.observables.keys() == wanted.observables.keys()
    for name, values in wanted.observables.items():
        np.testing.assert_array_equal(found.observables[name], values, name)
    assert (found.digest, found.observables_digest) == (wanted.digest, wanted.observables_digest)
    assert found.summary.ranks == 2
    assert found.summary.network == "array"
    assert found.config == wanted.config
    longer, whole = found.go_on(sweeps=15), simulate(weights, sweeps=40, **options)
    assert longer.digest == whole.digest
    assert longer.observables_digest == whole.observables_digest
    np.testing.assert_array_equal(longer.time, whole.time)
    np.testing.assert_array_equal(longer.rates, whole.rates)


@needs_mpirun
def test_what_started_ranks_refuse_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in launchers.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    weights = np.random.default_rng(5).normal(0, 0.5, (N, N))
    with pytest.raises(InputError, match=r"^weights: W\[0, 0\] = .* allowed for the bm"):
        simulate(weights, model="bm", sweeps=5, ranks=2, device="cpu")


def test_without_an_mpirun_ranks_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(InputError, match=r"ranks: 4 given, but there is no mpirun in .*\[mpich\]"):
        simulate(np.zeros((3, 3)), transitions=5, ranks=4)


def test_a_launcher_of_one_rank_starts_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PMI_SIZE", "1")
    with pytest.raises(InputError, match="ranks: 4 given, but a launcher has started 1"):
        simulate(np.zeros((3, 3)), transitions=5, ranks=4)
