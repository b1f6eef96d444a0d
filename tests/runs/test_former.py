"""What versions before wrote is still read, and goes on; but for a BM's sequential scan."""

import gzip
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from launchers import needs_mpirun
from processes import Run

from distsim.errors import InputError
from distsim.files.events import partial_path, read
from distsim.ranks.communicator import Serial
from distsim.recording import digest
from distsim.runs import checkpoint

FORMER = Path(__file__).parents[1] / "former"
# The digests of 900 transitions, as the version made them that wrote the 300.
LONGER = {"mpm": "fcd612bd40281675", "bm-random": "414f47c2154700b0"}
SEQUENTIAL = "bm"


@pytest.fixture(params=["mpm", "bm-random", SEQUENTIAL])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A run of 300 transitions: its event file and its checkpoint are in the folder."""
    name: str = request.param
    shutil.copy(FORMER / f"{name}.checkpoint", tmp_path)
    with gzip.open(FORMER / f"{name}.h5.gz") as packed:
        (tmp_path / f"{name}.h5").write_bytes(packed.read())
    return name


def test_event_files_are_read(model: str, tmp_path: Path) -> None:
    events = read(str(tmp_path / f"{model}.h5"))
    assert events.final is not None
    assert (events.partial, events.observables) == (False, {})
    assert len(events.attempts) == int(model == "bm-random")  # the others are older than attempts
    assert digest.of(events.time, events.neuron, events.state, events.final) == events.digest
    assert (len(events.time), len(events.initial)) == (300, 60)
    x = events.initial.copy()
    np.bitwise_xor.at(x, events.neuron, 1)
    np.testing.assert_array_equal(x, events.final)
    assert events.config["model"] == model.removesuffix("-random")


def test_checkpoints_are_read(model: str, tmp_path: Path) -> None:
    if model == SEQUENTIAL:
        with pytest.raises(InputError, match="format 2 given, of a bm's sequential scan"):
            checkpoint.read(str(tmp_path / "bm.checkpoint"), Serial())
        return
    saved = checkpoint.read(str(tmp_path / f"{model}.checkpoint"), Serial())
    assert (saved.neurons, saved.chain.transitions, saved.config["seed"]) == (60, 300, 4)


@pytest.mark.parametrize("ranks", [1, pytest.param(2, marks=needs_mpirun)])
def test_runs_go_on(ranks: int, model: str, tmp_path: Path) -> None:
    file = tmp_path / f"{model}.h5"
    before = read(str(file))
    options: list[Any] = ["--transitions", 900, "--output", file, "--device", "cpu", "--json"]
    done = Run(tmp_path, "resume", f"{model}.checkpoint", *options, ranks=ranks).end(300)
    if model == SEQUENTIAL:
        assert done.status == 2
        assert done.err.count("random numbers are others since format 3") == 1
        assert read(str(file)).digest == before.digest
        return
    assert done.status == 0, done.err
    assert done.summary["digest"] == LONGER[model]
    after = read(str(file))
    assert after.digest == LONGER[model]
    np.testing.assert_array_equal(after.time[:300], before.time)
    np.testing.assert_array_equal(after.neuron[:300], before.neuron)
    assert not Path(partial_path(str(file))).exists()
    with h5py.File(file) as whole:
        assert len(whole["events/time"]) == 900
