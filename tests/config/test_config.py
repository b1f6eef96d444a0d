"""Every way to give an option, and every refusal: what was given, what is allowed, where."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distsim.config import kinds
from distsim.config.options import DEFAULTS, FIELDS, WRITTEN, Config
from distsim.config.sources import check_output, gather
from distsim.errors import InputError
from distsim.files.events import partial_path
from distsim.files.whole import whole


def test_defaults() -> None:
    config = Config()
    assert (config.model, config.network, config.tau, config.seed) == ("mpm", "celegans", 1.0, 0)
    assert config.transitions == 20_000
    assert config.scan is None
    assert Config(model="bm").scan == "sequential"


def test_json_holds_every_option() -> None:
    config = Config(seed=2**64 - 1, tau=0.1)
    stored = json.loads(config.json())
    assert set(stored) == set(FIELDS)
    assert Config(**stored) == config


def test_a_changed_copy_is_checked() -> None:
    with pytest.raises(InputError, match="tau: -1"):
        dataclasses.replace(Config(), tau=-1.0)


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        ({"tau": "0.25"}, "tau", 0.25),
        ({"tau": 2}, "tau", 2.0),
        ({"tau": np.float32(0.5)}, "tau", 0.5),
        ({"seed": "18446744073709551615"}, "seed", 2**64 - 1),
        ({"transitions": "1e6"}, "transitions", 1_000_000),
        ({"transitions": np.int32(7)}, "transitions", 7),
        ({"transitions": 1e3}, "transitions", 1000),
        ({"time": "12.5"}, "time", 12.5),
        ({"weight_bits": "8"}, "weight_bits", 8),
        ({"overwrite": "yes"}, "overwrite", True),
        ({"overwrite": "0"}, "overwrite", False),
        ({"patterns": 5}, "patterns", "5"),
        ({"output": Path("a") / "b.h5"}, "output", "a/b.h5"),
        ({"initial": "x.npy"}, "initial", "x.npy"),
        ({"model": "bm", "tau": 0, "sweeps": 3}, "tau", 0.0),
    ],
)
def test_values(options: dict[str, Any], name: str, value: object) -> None:
    found = getattr(Config(**options), name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "ising"}, "model: 'ising' given; allowed: mpm or bm"),
        ({"tau": -1}, "tau: -1 given; allowed: a finite number, 0 or more"),
        ({"tau": float("nan")}, "tau: nan given"),
        ({"tau": "inf"}, "tau: 'inf' given"),
        ({"tau": True}, "tau: True given"),
        ({"tau": "warm"}, "tau: 'warm' given"),
        ({"tau": 10**400}, "tau: 1000"),
        ({"tau": 0}, r"tau: 0 given; allowed for the mpm: above 0, .*exp.* diverge"),
        ({"seed": -1}, "seed: -1 given; allowed: an integer from 0 to 18446744073709551615"),
        ({"seed": 2**64}, "seed: 18446744073709551616 given"),
        ({"seed": 0.5}, "seed: 0.5 given"),
        ({"seed": 1e300}, "seed: 1e.300 given"),
        ({"transitions": 0}, "transitions: 0 given; allowed: an integer, 1 or more"),
        ({"transitions": "1e-3"}, "transitions: '1e-3' given"),
        ({"time": 0}, "time: 0 given; allowed: a finite number above 0"),
        ({"neurons": 0}, "neurons: 0 given"),
        ({"coupling": float("inf")}, "coupling: inf given"),
        ({"network_seed": -3}, "network_seed: -3 given"),
        ({"engine": "magic"}, "engine: 'magic' given; allowed: auto, walk, relax, race or layers"),
        ({"device": "tpu"}, "device: 'tpu' given; allowed: auto, cpu or gpu"),
        ({"weight_bits": 12}, "weight_bits: 12 given; allowed: 8, 16 or 32"),
        ({"initial": "half"}, "initial: 'half' given; allowed: zeros|ones|random|FILE.npy"),
        ({"network": ""}, "network: '' given"),
        ({"network": None}, "network: None given"),
        ({"window": 0}, "window: 0 given"),
        ({"overwrite": "perhaps"}, "overwrite: 'perhaps' given; allowed: true"),
        ({"scan": "random"}, "scan: random given for the mpm; allowed for the bm only"),
        ({"transitions": 5, "time": 1}, "transitions, time: 2 lengths given; allowed: one"),
        ({"steps": 5}, "steps: given for the mpm; allowed there: one of transitions, time"),
        ({"model": "bm", "time": 5}, "time: given for the bm; .* transitions, steps, sweeps"),
        ({"network": "gaussian"}, "no length given for network gaussian; .* transitions, time"),
        ({"model": "bm", "tau": 0}, "transitions: none given at tau 0; allowed there: steps or"),
        ({"model": "bm", "tau": 0, "transitions": 9}, "transitions: 9 given at tau 0; .* rest"),
    ],
)
def test_refusals(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Config(**options)


def test_command_line_over_environment_over_file(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('tau = 0.5\nseed = 1\nengine = "race"\n')
    config = gather(str(file), {"DISTSIM_SEED": "2", "DISTSIM_TAU": "3", "HOME": "/"}, {"tau": "4"})
    assert (config.engine, config.seed, config.tau) == ("race", 2, 4.0)


def test_a_later_length_replaces_an_earlier_one(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("transitions = 1000\n")
    config = gather(str(file), {}, {"time": "2.5"})
    assert (config.transitions, config.time) == (None, 2.5)


@pytest.mark.parametrize(
    ("text", "environment", "options", "message"),
    [
        ("tau = -1", {}, {}, r"tau in .*run\.toml: -1 given"),
        ("", {"DISTSIM_TAU": "abc"}, {}, "DISTSIM_TAU: 'abc' given; allowed: a finite number"),
        ("", {"DISTSIM_SEED": ""}, {}, "DISTSIM_SEED: '' given"),
        ("", {}, {"weight_bits": "7"}, "--weight-bits: '7' given"),
        ("", {}, {"time": "1", "steps": "2"}, "--time, --steps: 2 lengths given"),
        ("time = 1\nsteps = 2", {}, {}, r"time in .*, steps in .*: 2 lengths given"),
        ("temperature = 1", {}, {}, r"run\.toml: key temperature; allowed: network, bias"),
        ("[run]\ntau = 1", {}, {}, "key run; allowed"),
        ("", {"DISTSIM_TEMP": "1"}, {}, "DISTSIM_TEMP; allowed: DISTSIM_NETWORK, DISTSIM_BIAS"),
        ("tau = = 1", {}, {}, r"run\.toml: not TOML: "),
    ],
)
def test_refusals_say_where(
    text: str, environment: dict[str, str], options: dict[str, str], message: str, tmp_path: Path
) -> None:
    file = tmp_path / "run.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        gather(str(file), environment, options)


def test_unreadable_files(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"# \xe9")
    for name, message in (("none", "No such file"), ("", "Is a directory"), ("latin", "not UTF-8")):
        with pytest.raises(InputError, match=message):
            gather(str(tmp_path / name), {}, {})


def test_output_place(tmp_path: Path) -> None:
    path = str(tmp_path / "run.h5")
    check_output(Config())
    check_output(Config(output=path))
    with pytest.raises(InputError, match="no folder"):
        check_output(Config(output=str(tmp_path / "none" / "run.h5")))
    with pytest.raises(InputError, match="a folder"):
        check_output(Config(output=str(tmp_path)))
    Path(path).touch()
    with pytest.raises(InputError, match=r"exists; .*--overwrite"):
        check_output(Config(output=path))
    check_output(Config(output=path, overwrite=True))
    with pytest.raises(InputError, match=r"progress .*run\.h5: exists; .*--overwrite"):
        check_output(Config(progress=path))
    check_output(Config(progress=path, overwrite=True))


def test_all_that_a_run_writes_is_known(tmp_path: Path) -> None:
    path = str(tmp_path / "run")
    with whole(path) as written:
        Path(written).touch()
    assert WRITTEN["output"] == ("", partial_path(path).removeprefix(path))
    assert WRITTEN["checkpoint"][:2] == ("", written.removeprefix(path))


COLLISIONS = [
    ({"network": "W.npy", "checkpoint": "W.npy"}, "checkpoint: W.npy given, but W.npy .* network"),
    ({"network": "W.npy", "output": "./W.npy"}, r"output: \./W.npy given, but \./W.npy .* network"),
    ({"network": "link.npy", "checkpoint": "W.npy"}, "belongs to network; allowed: a file that"),
    ({"network": "W.npy", "output": "link.npy"}, "belongs to network"),
    ({"bias": "a", "output": "a"}, "output: a given, but a belongs to bias"),
    ({"bias": "a.previous", "checkpoint": "a"}, "but a.previous belongs to bias"),
    ({"bias": "a.previous.writing", "checkpoint": "a"}, "belongs to bias"),
    ({"bias": "a.partial", "output": "a"}, "output: a given, but a.partial belongs to bias"),
    ({"network": "hopfield", "patterns": "p.npy", "checkpoint": "p.npy"}, "belongs to patterns"),
    ({"initial": "x.npy", "output": "here/x.npy"}, "belongs to initial"),
    ({"output": "r.h5", "checkpoint": "r.h5"}, "checkpoint: r.h5 given, .* belongs to output"),
    ({"output": "r.h5", "checkpoint": "./r.h5"}, "belongs to output"),
    ({"output": "r.h5", "checkpoint": "r.h5.partial"}, "r.h5.partial given, .* to output"),
    ({"output": "a.previous", "checkpoint": "a"}, "a given, but a.previous belongs to output"),
    ({"output": "a.writing", "checkpoint": "a"}, "but a.writing belongs to output"),
    ({"output": "r", "progress": "r"}, "progress: r given, but r belongs to output"),
    ({"checkpoint": "r", "progress": "r.previous"}, "progress: .* belongs to checkpoint"),
    ({"network": "W.npy", "progress": "here/W.npy"}, "progress: .* belongs to network"),
]


@pytest.mark.parametrize(("options", "message"), COLLISIONS)
def test_no_file_is_for_two_purposes(
    options: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "W.npy").touch()
    (tmp_path / "link.npy").symlink_to("W.npy")
    (tmp_path / "here").symlink_to(".")
    with pytest.raises(InputError, match=message):
        Config(**options, transitions=1, overwrite=True)


def test_the_configuration_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here").symlink_to(".")
    Path("run.toml").touch()
    with pytest.raises(InputError, match=r"--output: run\.toml given, .* to the configuration"):
        gather("here/run.toml", {}, {"output": "run.toml", "overwrite": "yes"})


def test_files_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Config(output="gaussian", checkpoint="hopfield", network="gaussian", transitions=1)
    Config(output="5", checkpoint="zeros", network="hopfield", patterns="5", transitions=1)
    Config(network="W.npy", bias="W.npy", output="r.h5", checkpoint="r.ck", transitions=1)


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("AVAL, 3 ,lgn:7", "AVAL,3,lgn:7"), (["AVAL", 3], "AVAL,3"), ("2:5", "2:5"),
        (slice(5), "0:5"), (np.array([4, 2]), "4,2"), ("a", "a"), ("007", "7"),
    ],
)  # fmt: skip
def test_neurons_are_indices_or_names(given: object, stored: str) -> None:
    assert kinds.Indices()(given) == stored


@pytest.mark.parametrize(
    "given",
    ["", "a:", ":3", "3:1", "-1", "1.5", "1e400", "a,a", ["a,b"], [""], [None], [[1]], 1.5, {}],
)
def test_what_is_no_selection_of_neurons(given: object) -> None:
    with pytest.raises(ValueError, match=r"^FROM:TO, or indices or names"):
        kinds.Indices()(given)


def test_events_are_kept_of_one_chain_unless_it_is_said() -> None:
    few: dict[str, Any] = {"network": "gaussian", "neurons": 5, "time": 1.0}
    assert Config(**few).asdict()["events"] is DEFAULTS["events"] is True
    assert [Config(**few, chains=2, events=one).events for one in (None, True, False)] == [
        False, True, False
    ]  # fmt: skip
    assert (Config(**few).together, Config(**few, chains=2).together) == (None, 1)
    assert Config(**few, chains=2, ranks_per_chain=3).together == 3
