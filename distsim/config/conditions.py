"""The options that say what holds when: temperature, clamps, stimulus."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from distsim.config.kinds import Number, Text, plain
from distsim.config.network import GIVEN
from distsim.config.roles import Role, option
from distsim.errors import InputError

SCHEDULED = "schedule"  # the tau of a run that has a tau_schedule
SHAPES = ("geometric", "linear")
FEWEST_STEPS, MOST_STEPS = 2, 1 << 20  # of a ramp


class Ramp(NamedTuple):
    """A temperature that goes from `first` to `last` over the run's length, in equal steps of time;
    steps: None for a step a sweep (bm), 100 (mpm)."""

    first: float
    last: float
    shape: str
    steps: int | None


@dataclass(frozen=True)
class Temperature:
    """A number, the text of a `Ramp`, or numbers with commas between, one a chain."""

    metavar = "NUMBER|FROM:TO[:SHAPE[:STEPS]]|NUMBER,..."

    def __call__(self, value: object) -> float | str:
        if isinstance(value, str) and value == SCHEDULED:
            return SCHEDULED
        if isinstance(value, str) and "," in value:
            value = value.split(",")
        if isinstance(value, list | tuple) or getattr(value, "ndim", 0) == 1:
            values = [self._number(one) for one in value]  # type: ignore[attr-defined]
            if not values:
                raise ValueError(str(self))
            return values[0] if len(values) == 1 else ",".join(map(plain, values))
        if not isinstance(value, str) or ":" not in value:
            return self._number(value)
        found = ramp(value)
        if found is None:
            raise ValueError(str(self))
        ends = f"{plain(found.first)}:{plain(found.last)}:{found.shape}"
        return ends if found.steps is None else f"{ends}:{found.steps}"

    def _number(self, value: object) -> float:
        try:
            return Number()(value)
        except ValueError:
            raise ValueError(str(self)) from None

    def __str__(self) -> str:
        return (
            "a finite number, 0 or more, or FROM:TO, FROM:TO:geometric or FROM:TO:linear, of two "
            f"of them, and perhaps :STEPS, {FEWEST_STEPS} to {MOST_STEPS:,}; geometric from and to "
            "above 0; or NUMBER,..., one a chain"
        )


def shown(tau: float | str) -> str:
    """For people."""
    return tau if isinstance(tau, str) else f"{tau:g}"


def ramp(text: object) -> Ramp | None:
    """The ramp that a text spells, if it does."""
    first, _, rest = str(text).partition(":")
    last, _, rest = rest.partition(":")
    shape, colon, steps = rest.partition(":")
    shape = shape or SHAPES[0]
    try:
        ends = Number()(first), Number()(last)
    except ValueError:
        return None
    if shape not in SHAPES or (shape == "geometric" and min(ends) == 0.0):
        return None
    if colon and not (steps.isdecimal() and FEWEST_STEPS <= int(steps) <= MOST_STEPS):
        return None
    return Ramp(*ends, shape, int(steps) if colon else None)


@dataclass(frozen=True)
class Clamp:
    """A table of neurons and states, or NEURON=STATE,...: the text."""

    metavar = "FILE.csv|NEURON=STATE,..."

    def __call__(self, value: object) -> str:
        if isinstance(value, str) and "=" in value:
            pairs = [pair.rpartition("=") for pair in value.split(",")]
            if not all(name.strip() and state.strip() in ("0", "1") for name, _, state in pairs):
                raise ValueError(str(self))
            return ",".join(f"{name.strip()}={state.strip()}" for name, _, state in pairs)
        try:
            return _TABLE(value)
        except ValueError:
            raise ValueError(str(self)) from None

    def __str__(self) -> str:
        return "a .csv file, or NEURON=STATE,... of indices or names, and states 0 or 1"


_TABLE = Text("FILE.csv", words=(GIVEN,), ending=".csv")


@dataclass(frozen=True)
class ConditionOptions:
    """What is constant until a time that is known beforehand."""

    tau: float | str = option(
        1.0, Temperature(), Role.STREAM, "Temperature, or one that changes over the run's length."
    )
    tau_schedule: str | None = option(
        None, _TABLE, Role.STREAM, "Table of times (mpm: model time, bm: sweeps) and temperatures."
    )
    clamp: str | None = option(
        None, Clamp(), Role.STREAM, "Neurons that stay in a state, by index or name."
    )
    stimulus: str | None = option(
        None,
        _TABLE,
        Role.STREAM,
        "Table of what biases have added: start, stop, neuron, bias.",
    )

    @property
    def ramp(self) -> Ramp | None:
        """How the temperature goes over the run's length, if it does."""
        return ramp(self.tau) if isinstance(self.tau, str) and ":" in self.tau else None

    def tau_of(self, chain: int) -> float | str:
        """The tau of one of the chains."""
        parts = str(self.tau).split(",")
        return float(parts[chain]) if len(parts) > 1 else self.tau

    @property
    def lowest_tau(self) -> float:
        """The lowest temperature that is known without a schedule's table; inf for none."""
        if self.tau == SCHEDULED:
            return math.inf
        found = self.ramp
        if found is not None:
            return min(found.first, found.last)
        return min(float(part) for part in str(self.tau).split(","))

    def condition_files(self) -> Iterator[tuple[str, str]]:
        """(field, path) of the tables."""
        for name in ("tau_schedule", "clamp", "stimulus"):
            path = getattr(self, name)
            if path is not None and path.endswith(".csv") and "=" not in path:
                yield name, path

    def check_conditions(self, sources: Mapping[str, str], model: str, chains: int) -> None:
        """Raise InputError for what cannot be beside the others."""
        place = sources.get("tau", "tau")
        count = str(self.tau).count(",") + 1
        if count not in (1, chains):
            raise InputError(
                f"{place}: {count} given for {chains} chain{'s' * (chains > 1)}; allowed: one, or "
                "one a chain"
            )
        if self.tau_schedule is not None and self.tau != SCHEDULED:
            raise InputError(
                f"{place}: {self.tau} given beside a tau_schedule; allowed: one of the two"
            )
        if self.tau_schedule is None and self.tau == SCHEDULED:
            raise InputError(f"{place}: {SCHEDULED} given; allowed: with a tau_schedule")
        if model == "mpm" and self.lowest_tau == 0:
            raise InputError(
                f"{place}: 0 given; allowed for the mpm: above 0, since its rates "
                "exp(s z / (2 tau)) diverge at 0 (the bm at 0 is the Hopfield network: model bm)"
            )
