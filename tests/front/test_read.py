"""`read`: a file gives the Result of its run."""

import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import distsim
from distsim import InputError, simulate
from distsim.config.options import Config
from distsim.ranks.communicator import Serial
from distsim.runs import report
from distsim.runs.simulation import run

OPTIONS: dict[str, Any] = {
    "neurons": 24, "tau": 2.0, "time": 4.0, "observe": "activity,samples,moments", "every": 0.5,
    "initial": "random",
}  # fmt: skip
GROUPS = [f"{'EI'[k % 2]}\u00b5" for k in range(24)]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("read") / "run.h5"
    table = path.with_name("neurons.csv")
    table.write_text("neuron,type\n" + "".join(f"{k},{group}\n" for k, group in enumerate(GROUPS)))
    config = Config(
        network="gaussian", **OPTIONS, populations=str(table), output=str(path), device="cpu"
    )
    summary = run(config, Serial())
    assert ", 24 neurons, of 2 populations, " in report.summary(summary, None)
    return path


def test_a_file_is_the_result_of_its_run(written: Path) -> None:
    found, wanted = distsim.read(written), simulate("gaussian", **OPTIONS)
    for name in ("time", "neuron", "state", "initial", "final", "samples", "moments", "activity"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name), name)
    assert found.moments_count == wanted.moments_count
    assert (found.digest, found.observables_digest) == (wanted.digest, wanted.observables_digest)
    assert found.config["tau"] == 2.0
    assert found.names is None
    assert found.population == tuple(GROUPS)
    assert found.to_xarray().population.values.tolist() == GROUPS
    assert not found.partial
    assert found.digest in repr(found)
    with pytest.raises(InputError, match="go_on: this result was read from a file"):
        found.go_on(time=1.0)
    with pytest.raises(InputError, match="summary: not in a file"):
        _ = found.summary
    again = simulate("gaussian", neurons=24, transitions=10, initial=found)
    np.testing.assert_array_equal(again.initial, wanted.final)


def test_a_partial_file_ends_where_its_events_do(written: Path, tmp_path: Path) -> None:
    partial = tmp_path / "run.h5.partial"
    shutil.copy(written, partial)
    with h5py.File(partial, "r+") as file:
        del file["state/final"]
        del file.attrs["digest"]
        for name in ("time", "neuron", "state"):
            file["events"][name].resize(100, axis=0)
    found = distsim.read(partial)
    short = simulate("gaussian", **{**OPTIONS, "time": None}, transitions=100)
    np.testing.assert_array_equal(found.final, short.final)
    assert found.digest == short.digest
    assert found.partial
    assert "100 transitions, partial" in repr(found)
    assert distsim.read(tmp_path / "run.h5").digest == short.digest
    with h5py.File(partial, "r+") as file:
        del file["events"]
        file.attrs["config"] = file.attrs["config"].replace('"events": true', '"events": false')
    bare = distsim.read(partial)
    assert (bare.final.size, bare.time.size, bare.digest) == (0, 0, "")
    np.testing.assert_array_equal(bare.activity, distsim.read(written).activity)
    with pytest.raises(InputError, match=r"none\.h5: No such file or directory"):
        distsim.read(tmp_path / "none.h5")


def test_what_is_no_output_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_text("no")
    with pytest.raises(InputError, match=r"a\.h5: not an HDF5 file"):
        distsim.read(tmp_path / "a.h5")
    with pytest.raises(InputError, match="read: 3 given; allowed: the path"):
        distsim.read(3)  # type: ignore[arg-type]
