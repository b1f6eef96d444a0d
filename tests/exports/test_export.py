"""Exports give the events back bit for bit, whoever reads them, and hold no more than a block."""

import csv
import json
import os
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import h5py
import libsonata
import numpy as np
import pynwb
import pytest
from numpy.typing import NDArray

import distsim
from distsim.chains.chain import Position
from distsim.cli import main as cli
from distsim.cli.launch import Launch
from distsim.config.options import Config
from distsim.errors import InputError, OutputError
from distsim.exports import export as exports
from distsim.exports.export import FORMATS, WITH_UNITS
from distsim.files import events
from distsim.kernels.window import Clock
from distsim.recording import digest
from distsim.runs.output import EventFile

NEURONS, EVENTS = 7, 5000
NAMES = ("AVAL", "b, c", 'd "e"', "\u03b1\u03b2", "4", "x;y", "z")
INITIAL = np.array([1, 0, 0, 1, 0, 0, 0], np.uint8)
Columns = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.uint8]]


def columns(count: int = EVENTS) -> Columns:
    """Events of a chain that never was, at times with all their bits."""
    random = np.random.default_rng(5)
    time = np.cumsum(random.exponential(1e-3, count))
    neuron = random.integers(0, NEURONS - 1, count)  # the last is silent
    changes = np.zeros((count, NEURONS), np.int64)
    changes[np.arange(count), neuron] = 1
    state = (INITIAL + changes.cumsum(axis=0))[np.arange(count), neuron] % 2
    return time, neuron, state.astype(np.uint8)


def made(path: Path, count: int = EVENTS, **options: Any) -> EventFile:
    file = EventFile.begin(str(path), Config(**options), INITIAL)
    if Config(**options).events:
        file.append(*columns(count))
    return file


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file that is read in several blocks."""
    monkeypatch.setattr(events, "BLOCK", 700)
    path = tmp_path / "run.h5"
    made(path, seed=3, time=9.0).finish(1 - INITIAL, "0c")
    with h5py.File(path, "r+") as file:
        file["network/names"] = list(NAMES)
    return str(path)


def export(source: object, target: object, form: str, unit: str | None = None) -> list[float]:
    """What is told meanwhile."""
    told: list[float] = []
    exports.export(str(source), str(target), form, unit, overwrite=False, tell=told.append)
    return told


def assert_bits(found: NDArray[Any], wanted: NDArray[Any]) -> None:
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    assert found.tobytes() == wanted.tobytes()


def spikes(path: object) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """What libsonata reads."""
    reader = libsonata.SpikeReader(str(path))
    assert reader.get_population_names() == ["neurons"]
    population = reader["neurons"]
    assert (population.sorting, population.time_units) == ("by_time", "ms")
    found = population.get_dict()
    return found["timestamps"], found["node_ids"].astype(np.int64)


def test_libsonata_reads_the_spikes(run: str, tmp_path: Path) -> None:
    time, neuron, state = columns()
    told = export(run, tmp_path / "ms.h5", "sonata", "ms")
    found, ids = spikes(tmp_path / "ms.h5")
    assert_bits(found, time[state == 1])
    assert_bits(ids, neuron[state == 1])
    assert told == pytest.approx([min(1.0, 0.14 * k) for k in range(1, 9)])
    for unit, factor in (("s", 1000), ("us", 1 / 1000)):
        export(run, tmp_path / f"{unit}.h5", "sonata", unit)
        found, ids = spikes(tmp_path / f"{unit}.h5")
        np.testing.assert_allclose(found, time[state == 1] * factor, rtol=3e-16, atol=0)
        assert_bits(ids, neuron[state == 1])


def test_libsonata_reads_the_names(run: str, tmp_path: Path) -> None:
    export(run, tmp_path / "spikes.h5", "sonata", "ms")
    nodes = libsonata.NodeStorage(str(tmp_path / "spikes.h5"))
    assert nodes.population_names == {"neurons"}
    population = nodes.open_population("neurons")
    assert population.size == NEURONS
    assert tuple(population.get_attribute("name", population.select_all())) == NAMES
    with h5py.File(tmp_path / "spikes.h5") as file:
        assert json.loads(file.attrs["config"])["seed"] == 3
        assert file.attrs["digest"] == "0c"


def test_pynwb_reads_the_spikes(run: str, tmp_path: Path) -> None:
    time, neuron, state = columns()
    target = str(tmp_path / "spikes.nwb")
    told = export(run, target, "nwb", "s")
    assert told[-1] == 1.0
    assert told == sorted(told)
    with pynwb.NWBHDF5IO(target, "r") as file:
        found = file.read()
        assert found.identifier == "0c"
        assert list(found.units.id[:]) == list(range(NEURONS))
        assert tuple(found.units["neuron_name"][:]) == NAMES
        for i in range(NEURONS):
            assert_bits(found.units.get_unit_spike_times(i), time[(state == 1) & (neuron == i)])
    assert pynwb.validate(path=target) == []
    with h5py.File(run, "r+") as file:
        del file["provenance"]  # as in files of earlier versions
    assert "run.h5: says not when it began" in refused(run, tmp_path / "out", "nwb", "s")


def test_csv_gives_every_bit_back(run: str, tmp_path: Path) -> None:
    export(run, tmp_path / "run.csv", "csv")
    with (tmp_path / "run.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["time", "neuron", "state", "name"]
    time, neuron, state = columns()
    assert_bits(np.array([float(row[0]) for row in rows]), time)
    assert_bits(np.array([int(row[1]) for row in rows]), neuron)
    assert_bits(np.array([int(row[2]) for row in rows], np.uint8), state)
    assert [row[3] for row in rows] == [NAMES[i] for i in neuron]


def test_npz_gives_every_bit_back(run: str, tmp_path: Path) -> None:
    told = export(run, tmp_path / "run.npz", "npz")
    assert told[-1] == 1.0
    assert told == sorted(told)
    with np.load(tmp_path / "run.npz") as found:
        time, neuron, state = columns()
        assert_bits(found["time"], time)
        assert_bits(found["neuron"], neuron)
        assert_bits(found["state"], state)
        assert_bits(found["initial"], INITIAL)
        assert_bits(found["final"], 1 - INITIAL)
        assert tuple(found["names"]) == NAMES
        assert json.loads(str(found["config"])) == Config(seed=3, time=9.0).asdict()
        assert (str(found["digest"]), str(found["version"])) == ("0c", distsim.__version__)


def test_neo_has_a_train_for_each_neuron(run: str) -> None:
    result = distsim.read(run)
    block = result.to_neo("s")
    (segment,) = block.segments
    time, neuron, state = columns()
    assert_bits(segment.spiketrains.multiplexed[0], neuron[state == 1])
    assert len(segment.spiketrains) == NEURONS
    for i, train in enumerate(segment.spiketrains):
        assert_bits(train.rescale("s").magnitude, time[(state == 1) & (neuron == i)])
        assert (train.t_start, train.t_stop) == (0, 9)  # seconds
        assert train.units.dimensionality.string == "s"
        assert train.annotations["neuron_name"] == NAMES[i]
    assert block.annotations["digest"] == "0c"
    with pytest.raises(InputError, match=r"to_neo: min given; allowed: s, ms, us, what one of"):
        result.to_neo("min")


def test_partial_files_go_as_far_as_they_go(tmp_path: Path) -> None:
    made(tmp_path / "run.h5", seed=3).leave()
    time, neuron, state = columns()
    export(tmp_path / "run.h5", tmp_path / "spikes.h5", "sonata", "ms")
    assert_bits(spikes(tmp_path / "spikes.h5")[0], time[state == 1])
    with h5py.File(tmp_path / "spikes.h5") as file:
        assert "digest" not in file.attrs
        assert "nodes" not in file
    export(tmp_path / "run.h5.partial", tmp_path / "run.csv", "csv")
    lines = (tmp_path / "run.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "time,neuron,state"
    assert lines[-1] == f"{float(time[-1])!r},{neuron[-1]},{state[-1]}"
    export(tmp_path / "run.h5", tmp_path / "run.npz", "npz")
    with np.load(tmp_path / "run.npz") as found:
        assert set(found) == {"time", "neuron", "state", "initial", "config", "version"}
    (train, *_) = distsim.read(tmp_path / "run.h5").to_neo("ms").segments[0].spiketrains
    assert float(train.t_stop) == time[-1]


@pytest.mark.parametrize("form", FORMATS)
def test_a_run_in_which_nothing_happened_is_exported_too(form: str, tmp_path: Path) -> None:
    made(tmp_path / "run.h5", count=0, time=1.0).finish(INITIAL, "00")
    export(tmp_path / "run.h5", tmp_path / "out", form, "ms" if form in WITH_UNITS else None)
    if form == "sonata":
        assert spikes(tmp_path / "out")[0].size == 0
    elif form == "nwb":
        with pynwb.NWBHDF5IO(str(tmp_path / "out"), "r") as file:
            assert file.read().units.get_unit_spike_times(NEURONS - 1).size == 0
    elif form == "csv":
        assert (tmp_path / "out").read_text(encoding="utf-8") == "time,neuron,state\n"
    else:
        with np.load(tmp_path / "out") as found:
            assert_bits(found["time"], np.empty(0))


@pytest.mark.parametrize("form", ["sonata", "csv", "npz"])
def test_memory_is_that_of_a_block(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = 50_000
    made(tmp_path / "run.h5", many).finish(INITIAL, "00")
    monkeypatch.setattr(events, "BLOCK", 500)
    unit = "ms" if form == "sonata" else None
    export(tmp_path / "run.h5", tmp_path / "first", form, unit)  # what is imported stays
    tracemalloc.start()
    export(tmp_path / "run.h5", tmp_path / "second", form, unit)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < many * 8  # less than the times alone


def refused(run: object, target: object, form: str, unit: str | None = None) -> str:
    with pytest.raises(InputError) as error:
        export(run, target, form, unit)
    return str(error.value)


def test_what_cannot_be_exported_is_refused(run: str, tmp_path: Path) -> None:
    target = tmp_path / "out"
    assert refused(run, target, "sonata").startswith("--unit: none given; allowed: s, ms, us, ")
    assert refused(run, target, "csv", "ms") == (
        "--unit: ms given for csv, which keeps model time; allowed only for sonata and nwb"
    )
    assert "is what is read" in refused(run, run, "csv")
    assert "exists; allowed" in refused(run, __file__, "csv")
    assert "gone.h5: No such file" in refused(tmp_path / "gone.h5", target, "npz")
    silent = tmp_path / "silent.h5"
    made(silent, events=False).finish(INITIAL, "00")
    assert "a run without events given; allowed: an output file" in refused(silent, target, "npz")
    with pytest.raises(InputError, match="to_neo: a run without events"):
        distsim.read(silent).to_neo("ms")
    assert sorted(os.listdir(tmp_path)) == ["run.h5", "silent.h5"]


def test_what_is_not_installed_is_named(
    run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("neo", "pynwb"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=r"to_neo: .*pip install 'distsim\[neo\]'"):
        distsim.read(run).to_neo("ms")
    assert "pip install 'distsim[nwb]'" in refused(run, tmp_path / "out", "nwb", "s")


def test_nothing_stays_of_an_export_that_fails(run: str, tmp_path: Path) -> None:
    time, neuron, state = columns()
    states = INITIAL.copy()
    np.bitwise_xor.at(states, neuron, 1)
    total = digest.of_events(time, neuron, state)
    position = Position(states, Clock(), 0, 0, 0, EVENTS, float(time[-1]), total)

    def resume(fraction: float) -> None:
        if fraction == 1.0:
            EventFile.reopen(run, Config(), position).leave()

    def full(fraction: float) -> None:
        raise OSError(28, "No space left on device")

    target = str(tmp_path / "out")
    with pytest.raises(OutputError, match=r"output .*out: No space left on device"):
        exports.export(run, target, "csv", None, overwrite=False, tell=full)
    with pytest.raises(InputError, match=r"run\.h5: was resumed while it was read"):
        exports.export(run, target, "csv", None, overwrite=False, tell=resume)
    assert os.listdir(tmp_path) == ["run.h5.partial"]


def test_the_command(run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = str(tmp_path / "run.csv")
    arguments = ["export", run, "--to", "csv", "--output", target]
    assert cli.main(arguments, Launch()) == 0
    assert cli.main(arguments, Launch()) == 2  # exists
    assert cli.main([*arguments, "--overwrite"], Launch()) == 0
    assert cli.main([*arguments, "--unit", "ms", "--overwrite"], Launch()) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("; ")[0] for line in lines] == [
        f"distsim: output {target}: exists",
        "distsim: --unit: ms given for csv, which keeps model time",
    ]
