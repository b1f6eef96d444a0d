"""Reading an output file: whole, partial, with observables, without events."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from distsim import __version__
from distsim.chains.chain import Position
from distsim.config.options import Config
from distsim.errors import InputError
from distsim.files import events as events_file
from distsim.files.events import EVENTS, Events, opened, read
from distsim.kernels.window import Clock
from distsim.ranks.communicator import Serial
from distsim.recording import digest
from distsim.recording.observation import Observation, Plan, Start
from distsim.runs import checkpoint, simulation
from distsim.runs.output import EventFile

NEURONS = 10


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "run.h5")


def block(start: int, stop: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Events start .. stop - 1 of a stream that is easily known again."""
    k = np.arange(start, stop)
    return k + 0.5, k * 7 % NEURONS, (k // 3 % 2).astype(np.uint8)


def assert_prefix(events: Events) -> None:
    for name, wanted in zip(EVENTS, block(0, events.time.size), strict=True):
        np.testing.assert_array_equal(getattr(events, name), wanted)


def plan(*names: str) -> Plan:
    return Plan(frozenset(names), NEURONS, 2.0, 1, np.arange(3), 1.0, maxcut=False)


def rows(what: Plan, count: int) -> dict[str, NDArray[Any]]:
    shapes = what.datasets.items()
    return {name: np.ones((count, *row), kind) for name, (row, kind) in shapes}


def at(transitions: int) -> Position:
    """After so many of those events."""
    time, neuron, state = block(0, transitions)
    states = np.zeros(NEURONS, np.uint8)
    np.bitwise_xor.at(states, neuron, 1)
    total = digest.of_events(time, neuron, state, before=0)
    return Position(states, Clock(), 0, 0, 0, transitions, float(time[-1]), total)


def begin(path: str, what: Plan | None = None, **options: Any) -> EventFile:
    return EventFile.begin(path, Config(**options), np.zeros(NEURONS, np.uint8), what)


def test_names_and_population_are_there_from_the_start(path: str) -> None:
    names = ["", *(f"n{k}\u00e4" for k in range(1, NEURONS))]
    known = {"names": names, "population": NEURONS * [""]}
    file = EventFile.begin(path, Config(), np.zeros(NEURONS, np.uint8), network=known)
    found = read(path)
    assert (found.names, found.population) == (tuple(names), NEURONS * ("",))
    file.finish(np.ones(NEURONS, np.uint8), "00ff")
    assert read(path).names == tuple(names)
    begin(path).leave()
    assert (read(path + ".partial").names, read(path + ".partial").population) == (None, None)


def test_a_run_at_work_is_read_by_either_name_and_then_as_a_whole(path: str) -> None:
    file = begin(path)
    for count, name in ((0, path), (500, path), (1000, path + ".partial")):
        file.append(*block(count, count + 500))
        events = read(name)
        assert_prefix(events)
        assert events.time.size == count + 500
        assert (events.partial, events.final, events.digest) == (True, None, None)
        assert events.config == Config().asdict()
    file.leave()
    assert_prefix(read(path))
    file = begin(path)
    file.finish(np.ones(NEURONS, np.uint8), "00ff")
    events = read(path)
    assert (events.partial, events.digest, events.observables_digest) == (False, "00ff", None)
    np.testing.assert_array_equal(events.final, np.ones(NEURONS))
    with pytest.raises(InputError, match=r"run\.h5\.partial: No such file"):
        read(path + ".partial")


def test_a_whole_file_goes_before_a_partial_one(path: str) -> None:
    begin(path).finish(np.ones(NEURONS, np.uint8), "00")
    again = begin(path, seed=5)
    assert read(path).config["seed"] == 0
    assert read(path + ".partial").config["seed"] == 5
    again.discard()


def test_events_are_read_block_by_block(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_file, "BLOCK", 300)
    file = begin(path, seed=4)
    file.append(*block(0, 1000))
    for count, name in ((1000, path), (1500, path + ".partial")):
        with opened(name) as found:
            file.append(*block(count, count + 500))  # is not of that moment
            blocks = list(found.blocks("neuron", "time"))
            head, transitions = found.head, found.transitions
            states = list(found.blocks("state"))
        assert (head.config["seed"], head.partial, head.time.size) == (4, True, 0)
        assert transitions == count
        assert [len(time) for _, time in blocks] == [300] * (count // 300) + [count % 300] * (
            count % 300 > 0
        )
        time, neuron, state = block(0, count)
        np.testing.assert_array_equal(np.concatenate([one for one, _ in blocks]), neuron)
        np.testing.assert_array_equal(np.concatenate([one for _, one in blocks]), time)
        np.testing.assert_array_equal(np.concatenate([one for (one,) in states]), state)
    file.finish(np.ones(NEURONS, np.uint8), "00")


def test_a_file_that_is_resumed_while_its_blocks_are_read_is_no_ones_run(path: str) -> None:
    file = begin(path)
    file.append(*block(0, 1000))
    file.finish(np.ones(NEURONS, np.uint8), "00")

    def look(then: Callable[[], None]) -> None:
        with opened(path):
            then()
            raise OSError("disk full")  # not of the file that is read

    with pytest.raises(OSError, match=r"^disk full$"):
        look(lambda: None)
    with pytest.raises(InputError, match=r"run\.h5: was resumed while it was read"):
        look(lambda: EventFile.reopen(path, Config(), at(1000)).leave())


def test_names_of_neurons_are_those_of_the_network(path: str) -> None:
    begin(path).finish(np.ones(NEURONS, np.uint8), "00")
    assert read(path).names is None
    names = ("AVAL", 'b, "c"', *"0123456", "\u03b1")
    with h5py.File(path, "r+") as file:
        file["network/names"] = list(names)
    assert read(path).names == names


def test_observables_have_the_names_and_arrays_that_were_written(path: str) -> None:
    what = plan("energy", "activity", "rates", "samples", "moments", "best")
    totals = Observation(
        what, Start(np.zeros(NEURONS, np.uint8), 0, np.zeros(NEURONS, np.int64))
    ).totals()
    file = begin(path, what, observe="energy,best", transitions=9, events=False)
    file.extend(rows(what, 4))
    half = read(path)
    assert {name: one.shape[0] for name, one in half.observables.items()} == dict.fromkeys(
        what.datasets, 4
    )
    file.extend(rows(what, 1))
    file.add(totals, "0a")
    file.finish(np.zeros(NEURONS, np.uint8), "00")
    events = read(path)
    assert events.observables_digest == "0a"
    assert set(events.observables) == {*what.datasets, *totals}
    for name, wanted in {**rows(what, 5), **totals}.items():
        found = events.observables[name]
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        np.testing.assert_array_equal(found, wanted)
    assert [getattr(events, name).dtype for name in EVENTS] == list(EVENTS.values())
    assert events.time.size == 0


def test_columns_that_a_broken_off_write_left_unequal_are_cut_alike(path: str) -> None:
    what = plan("energy", "rates")
    file = begin(path, what)
    file.append(*block(0, 100))
    file.extend(rows(what, 6))
    file._lengthen("events", {"time": np.arange(3.0)})
    file._lengthen("observables", {"time": np.arange(3.0)})
    events = read(path)
    assert_prefix(events)
    assert events.time.size == 100
    assert {len(one) for one in events.observables.values()} == {6}


def test_each_attempt_leaves_a_record(path: str) -> None:
    states = np.zeros(NEURONS, np.uint8)
    file = EventFile.begin(path, Config(), states, where={"ranks": 3, "hosts": ["a", "b"]})
    file.append(*block(0, 9))
    file.finish(states, "00")
    (first,) = read(path).attempts
    began = datetime.fromisoformat(first["begun"])
    assert abs((datetime.now(UTC) - began).total_seconds()) < 100
    assert first == {
        "attempt": 1,
        "begun": first["begun"],
        "from_transitions": 0,
        "version": __version__,
        "ranks": 3,
        "hosts": ["a", "b"],
    }
    start = Position(states, Clock(), 0, 0, 0, 0, 0.0, 0)
    for count in range(2, 12):
        EventFile.reopen(path, Config(), start, where={"ranks": count}).leave()
        attempts = read(path).attempts
        assert attempts[0] == first
        assert [record["attempt"] for record in attempts] == list(range(1, count + 1))
        assert attempts[-1]["ranks"] == count


def test_a_damaged_file_that_cannot_be_cut_back_stays_as_it_is(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = np.zeros(NEURONS, np.uint8)
    file = begin(path)
    file.append(*block(0, 50))
    file.finish(states, "00")
    before, cut = Path(path).read_bytes(), EventFile._cut

    def damaged(*arguments: Any) -> None:
        cut(*arguments)
        raise KeyError("Couldn't delete link")

    monkeypatch.setattr(EventFile, "_cut", damaged)
    start = Position(states, Clock(), 0, 0, 0, 0, 0.0, 0)
    with pytest.raises(InputError, match=r"run\.h5: not an event file of distsim: .*delete link"):
        EventFile.reopen(path, Config(), start)
    assert Path(path).read_bytes() == before
    assert os.listdir(os.path.dirname(path)) == ["run.h5"]


def test_a_run_says_where_it_was_and_from_where_it_went_on(tmp_path: Path) -> None:
    path, saves = str(tmp_path / "run.h5"), str(tmp_path / "run.ck")
    options: dict[str, Any] = {"network": "gaussian", "neurons": 60, "device": "cpu"}
    config = Config(**options, transitions=100, output=path, checkpoint=saves)
    first = simulation.run(config, Serial())
    saved = checkpoint.read(saves, Serial())
    longer = Config(**{**saved.config, "transitions": 200, "engine": "race"})
    second = simulation.run(longer, Serial(), saved=saved)
    events = read(path)
    assert events.digest == second.digest != first.digest
    keys = ("from_transitions", "ranks", "engine", "device", "exchange", "hosts")
    here = [os.uname().nodename]
    assert [tuple(record[key] for key in keys) for record in events.attempts] == [
        (0, 1, "walk", "cpu", None, here),
        (saved.chain.position.transitions, 1, "race", "cpu", None, here),
    ]
