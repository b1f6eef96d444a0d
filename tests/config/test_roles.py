"""Every option has a role, and what a resumed run may change follows from it."""

import dataclasses
import re
from typing import Any

import pytest

from distsim.config.kinds import Integer
from distsim.config.options import FIELDS, Config, of_role
from distsim.config.roles import Role, option
from distsim.config.sources import amend
from distsim.errors import InputError

BEGUN = Config(
    network="gaussian",
    neurons=9,
    model="bm",
    steps=5,
    checkpoint="run.ck",
    observe="energy,moments",
)

# Of each option another value than that of BEGUN.
OTHERS: dict[str, object] = {
    "symmetrize": True, "diagonal_to_bias": True, "populations": "p.csv", "columns": "a,b",
    "inhibitory": "kind=GABA", "repeats": "sum", "ids": "names", "model": "mpm",
    "network": "celegans", "bias": "b.npy", "neurons": 8, "coupling": 2.0,
    "network_seed": 1, "patterns": "3", "tau": 2.0, "seed": 1, "transitions": 9, "time": 1.0,
    "steps": 6, "sweeps": 2, "engine": "race", "device": "cpu", "exchange": "nccl",
    "weight_bits": 8, "scan": "random", "initial": "ones", "window": 5, "output": "new.h5",
    "overwrite": True, "checkpoint": "new.ck", "checkpoint_every": "5 events", "max_time": 5.0,
    "watchdog": 9.0, "observe": "activity,moments", "every": 3.0, "moments_of": "0:3",
    "events": False, "progress": "new.jsonl", "chains": 2, "replica": 1, "ranks_per_chain": 1,
    "tau_schedule": "t.csv", "clamp": "3=1", "stimulus": "s.csv", "temper": "1:2",
    "swap_every": 2.0, "storage": "sparse", "synapses": 3, "degree": "probability",
    "weights": "types", "ratio": 5.0, "width": 2.0, "extent": 3,
}  # fmt: skip


def resumed(**options: object) -> Config:
    return amend("run.ck", BEGUN.asdict(), {}, options)


def test_every_option_has_another_value_here() -> None:
    assert set(OTHERS) == set(FIELDS)
    assert all(getattr(BEGUN, name) != other for name, other in OTHERS.items())


def test_every_option_has_one_role() -> None:
    assert sorted(name for role in Role for name in of_role(role)) == sorted(FIELDS)
    with pytest.raises(ValueError, match="not a valid Role"):
        option(None, Integer(0), "taste", "")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="missing 1 required"):
        option(None, Integer(0), "No role.")  # type: ignore[call-arg]


@pytest.mark.parametrize("name", of_role(Role.STREAM))
def test_what_defines_the_events_is_refused_by_name(name: str) -> None:
    if name == "model":  # the length and the scan of the other model are refused before
        stored = {**BEGUN.asdict(), "scan": None, "steps": None, "transitions": 5}
        with pytest.raises(InputError, match=re.escape("--model: mpm given to resume a run")):
            amend("run.ck", stored, {}, {"model": "mpm"})
        return
    stored = BEGUN.asdict()
    if name in ("temper", "swap_every"):  # chains that swap temperatures are several
        stored = dataclasses.replace(BEGUN, chains=3, temper="1:3").asdict()
    with pytest.raises(InputError, match=f"--{name.replace('_', '-')}: .* defines the events"):
        amend("run.ck", stored, {}, {name: OTHERS[name]})


@pytest.mark.parametrize("name", of_role(Role.RECORD))
def test_what_is_kept_of_the_events_is_refused_by_name(name: str) -> None:
    match = f"--{name.replace('_', '-')}: .* defines what is kept of them"
    with pytest.raises(InputError, match=match):
        resumed(**{name: OTHERS[name]})


@pytest.mark.parametrize("name", of_role(Role.RECORD))
def test_an_option_that_a_checkpoint_does_not_know_has_its_default(name: str) -> None:
    stored = Config(model="bm", steps=5, checkpoint="run.ck").asdict()
    without = {key: value for key, value in stored.items() if key != name}
    assert amend("run.ck", without, {}, {}).asdict() == stored
    if name == "observe":
        with pytest.raises(InputError, match="--observe: energy given to resume a run with None"):
            amend("run.ck", without, {}, {"observe": "energy"})


@pytest.mark.parametrize("name", of_role(Role.CONDUCT, Role.FILES, Role.NETWORK))
def test_what_defines_no_events_may_change(
    name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert getattr(resumed(**{name: OTHERS[name]}), name) == OTHERS[name]


@pytest.mark.parametrize("name", of_role(Role.CONDUCT))
def test_the_environment_counts_for_conduct(name: str) -> None:
    around = {f"DISTSIM_{name.upper()}": str(OTHERS[name])}
    assert getattr(amend("run.ck", BEGUN.asdict(), around, {}), name) == OTHERS[name]


@pytest.mark.parametrize("name", sorted({*FIELDS} - {*of_role(Role.CONDUCT)}))
def test_the_environment_counts_for_nothing_else(name: str) -> None:
    around = {f"DISTSIM_{name.upper()}": str(OTHERS[name])}
    assert amend("run.ck", BEGUN.asdict(), around, {}) == dataclasses.replace(BEGUN)


def test_a_length_may_change() -> None:
    assert resumed(steps=7).steps == 7
    assert resumed(sweeps=7).steps is None
