"""This installation against the exact law: small networks, both models, all engines.

What a run did is compared with the law by the p-values of `small_networks`. Seeds are fixed: a
correct installation gives the same table everywhere. A check passes if its p-value is above 10^-6:
of 100 such tables of correct random numbers less than one would hold a failure. Each negative
control has a temperature off by 10% and must fall below. The quick table has all kinds of checks,
of a fifth of the events; its controls are off by 25%.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from distsim.config.options import Config
from distsim.ranks.communicator import Communicator, Serial
from distsim.runs import simulation
from distsim.studies.small_networks import (
    Small,
    bm_p_values,
    boltzmann_p_value,
    final_states,
    follow_bm,
    follow_mpm,
    mpm_p_values,
    random_network,
    transient_p_value,
)
from distsim.studies.statistics import BOUND

STREAMS: dict[str, tuple[str, int, dict[str, Any]]] = {  # the length, and what else is not usual
    "mpm, int32": ("transitions", 2000, {}),
    "mpm, int8, tau 0.25": ("transitions", 2000, {"weight_bits": 8, "tau": 0.25}),
    "bm, int16, sequential scan": ("steps", 10_000, {"model": "bm", "weight_bits": 16}),
    "bm, int32, random scan": ("steps", 10_000, {"model": "bm", "scan": "random"}),
}
# Engines and their devices; each has a seed of its own, the controls are of the last one's run.
ENGINES = {"race": "auto", "relax": "auto", "walk": "cpu"}


class Effort(NamedTuple):
    """Events are a `part`-th of those of the full table; controls are off by `off` percent."""

    part: int
    off: int

    def control(self, temperature: float) -> float:
        return temperature * (1 + self.off / 100)


FULL, QUICK = Effort(1, 10), Effort(5, 25)


@dataclass(frozen=True)
class Check:
    """One line of the table; a `control` is right if it is rejected."""

    name: str
    p: float
    control: bool = False

    @property
    def passed(self) -> bool:
        return self.p < BOUND if self.control else self.p >= BOUND  # and never if p is no number

    def __str__(self) -> str:
        verdict = "FAILED" if not self.passed else "rejected" if self.control else "ok"
        return f"{self.name:68} {self.p:9.2g}  {verdict}"


class Stage(NamedTuple):
    """What is checked, and how: a run or some, and what is said of them."""

    name: str
    checks: Callable[[], Iterable[Check]]


def run(
    ranks: Communicator,
    say: Callable[[str], None],
    effort: Effort = FULL,
    tell: Callable[[float, str], None] | None = None,
) -> bool:
    """Check everything, on each rank alike; one line of the table a call of `say`.

    tell: gets the fraction that is done, and what comes next. Returns whether all is right on every
    rank.
    """
    say(f"{'check':68} {'p-value':>9}")
    right, law = True, stages(effort)
    names = [*(stage.name for stage in law), *STREAMS]
    after = iter(enumerate(names))

    def begin() -> None:
        done, name = next(after)
        if tell is not None:
            tell(done / len(names), name)

    for stage in law:
        begin()
        for check in stage.checks():
            say(str(check))
            right &= check.passed
    several = ranks.side_by_side()
    by = "race, relax and walk"
    if ranks.size > 1:
        others = "and" if several else "race and relax on"
        by += f" on 1 {others} {ranks.size} ranks"
    for name, (length, count, options) in STREAMS.items():
        begin()
        digests = set()
        for engine, device in ENGINES.items():
            settings = {**options, length: count // effort.part, "engine": engine}
            config = Config(network="gaussian", neurons=100, device=device, **settings)
            places = [Serial(), ranks] if several or engine != "walk" else [Serial()]
            digests |= {simulation.run(config, here).digest for here in places}
        equal = len(digests) == 1
        verdict = "equal" if equal else "FAILED"
        say(f"{f'{name}, {by}: digests':68} {'':9}  {verdict}")
        right &= equal
    right = ranks.minimum(right) == 1
    say("the law holds" if right else "FAILED: this installation does not sample the exact law")
    return right


def stages(effort: Effort) -> list[Stage]:
    """All checks of the law, one after the other."""
    asymmetric, symmetric = random_network(4, False, seed=3), random_network(4, True, seed=2)
    found = [
        Stage(f"mpm, tau {tau:g}, {engine}", partial(_mpm, effort, asymmetric, tau, events, engine))
        for tau, events in ((1.0, 50_000), (0.25, 10_000))
        for engine in ENGINES
    ]
    found += [
        Stage("mpm, tau 0.5, from a state to time 1", partial(_transient, effort, asymmetric)),
        Stage("mpm, tau 1, symmetric, exp(-E / tau) / Z", partial(_stationary, effort, symmetric)),
    ]
    for scan in ("sequential", "random"):
        for engine in ENGINES:
            check = partial(_bm, effort, symmetric, scan, engine)
            found.append(Stage(f"bm, T 1, {scan} scan, {engine}", check))
        found.append(Stage(f"bm, T 0, {scan} scan", partial(_cold, symmetric, scan)))
    return found


def _way(engine: str) -> dict[str, Any]:
    return {"engine": engine, "device": ENGINES[engine], "seed": [*ENGINES].index(engine)}


def _mpm(effort: Effort, network: Small, tau: float, events: int, engine: str) -> Iterator[Check]:
    result = follow_mpm(network, tau, events // effort.part, **_way(engine))
    yield from of(f"mpm, tau {tau:g}, {engine}", mpm_p_values(result, network, tau))
    if engine == [*ENGINES][-1]:
        off = mpm_p_values(result, network, effort.control(tau))
        yield from of(f"mpm, tau {tau:g}", off, effort.off)


def _transient(effort: Effort, network: Small) -> Iterator[Check]:
    found = final_states(network, 0.5, 1.0, copies=100, runs=200 // effort.part)
    name = "mpm, tau 0.5, from a state to time 1"
    yield from of(name, {"state": transient_p_value(found, network, 0.5, 1.0)})
    off = transient_p_value(found, network, effort.control(0.5), 1.0)
    yield from of(name, {"state": off}, effort.off)


def _stationary(effort: Effort, network: Small) -> Iterator[Check]:
    result = follow_mpm(network, 1.0, 50_000 // effort.part)
    name = "mpm, tau 1, symmetric, exp(-E / tau) / Z"
    yield from of(name, {"occupation": boltzmann_p_value(result, network, 1.0)})
    off = boltzmann_p_value(result, network, effort.control(1.0))
    yield from of(name, {"occupation": off}, effort.off)


def _bm(effort: Effort, network: Small, scan: str, engine: str) -> Iterator[Check]:
    result = follow_bm(network, 1.0, 100_000 // effort.part, scan, **_way(engine))
    yield from of(f"bm, T 1, {scan} scan, {engine}", bm_p_values(result, network, 1.0, scan))
    if engine == [*ENGINES][-1]:
        off = bm_p_values(result, network, effort.control(1.0), scan)
        yield from of(f"bm, T 1, {scan} scan", off, effort.off)


def _cold(network: Small, scan: str) -> Iterator[Check]:
    result = follow_bm(network, 0.0, 100, scan, initial="random")
    yield from of(f"bm, T 0, {scan} scan", bm_p_values(result, network, 0.0, scan))


def of(name: str, p_values: dict[str, float], off: int = 0) -> Iterator[Check]:
    """The checks of one run. off: against the law at a temperature higher by so many percent.

    Then left out: times alone, whose law in units of their mean hardly depends on temperature.
    """
    for what, p in p_values.items():
        if not off:
            yield Check(f"{name}: {what}", p)
        elif what not in ("holding", "memory"):
            yield Check(f"{name}, control at +{off}%: {what}", p, control=True)
