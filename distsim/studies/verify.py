"""This installation against the exact law: small networks, both models, all engines.

What a run did is compared with the law by the p-values of `small_networks`. Seeds are fixed: a
correct installation gives the same table everywhere. A check passes if its p-value is above 10^-6:
of 100 such tables of correct random numbers less than one would hold a failure. Each negative
control has a temperature off by 10% and must fall below.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from distsim.config.options import Config
from distsim.ranks.communicator import Communicator, Serial
from distsim.runs import simulation
from distsim.studies.small_networks import (
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

ENGINES = ("race", "relax", "walk")
STREAMS: dict[str, dict[str, Any]] = {
    "mpm, int32": {"transitions": 2000},
    "mpm, int8, tau 0.25": {"transitions": 2000, "weight_bits": 8, "tau": 0.25},
    "bm, int16, sequential scan": {"steps": 10_000, "model": "bm", "weight_bits": 16},
    "bm, int32, random scan": {"steps": 10_000, "model": "bm", "scan": "random"},
}


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


def run(ranks: Communicator, say: Callable[[str], None]) -> bool:
    """Check everything, on each rank alike; one line of the table a call of `say`.

    Returns whether all is right on every rank.
    """
    say(f"{'check':68} {'p-value':>9}")
    right = True
    for check in checks():
        say(str(check))
        right &= check.passed
    by = "race, relax and walk"
    if ranks.size > 1:
        by = f"race and relax on 1 and {ranks.size} ranks, walk on 1"
    for name, options in STREAMS.items():
        digests = set()
        for engine in ENGINES:
            config = Config(network="gaussian", neurons=100, engine=engine, device="cpu", **options)
            digests.add(simulation.run(config, Serial()).digest)
            if engine != "walk":
                digests.add(simulation.run(replace(config, device="auto"), ranks).digest)
        equal = len(digests) == 1
        verdict = "equal" if equal else "FAILED"
        say(f"{f'{name}, {by}: digests':68} {'':9}  {verdict}")
        right &= equal
    right = ranks.minimum(right) == 1
    say("the law holds" if right else "FAILED: this installation does not sample the exact law")
    return right


def checks() -> Iterable[Check]:
    """All checks of the law, one after the other."""
    asymmetric, symmetric = random_network(4, False, seed=3), random_network(4, True, seed=2)
    for tau, events in ((1.0, 50_000), (0.25, 10_000)):
        for seed, engine in enumerate(ENGINES):
            result = follow_mpm(asymmetric, tau, events, seed=seed, engine=engine)
            yield from of(f"mpm, tau {tau:g}, {engine}", mpm_p_values(result, asymmetric, tau))
        off = mpm_p_values(result, asymmetric, 1.1 * tau)
        yield from of(f"mpm, tau {tau:g}", off, control=True)
    found = final_states(asymmetric, 0.5, 1.0, copies=100, runs=200)
    p_value = transient_p_value(found, asymmetric, 0.5, 1.0)
    yield from of("mpm, tau 0.5, from a state to time 1", {"state": p_value})
    p_value = transient_p_value(found, asymmetric, 0.55, 1.0)
    yield from of("mpm, tau 0.5, from a state to time 1", {"state": p_value}, control=True)
    result = follow_mpm(symmetric, 1.0, 50_000)
    name = "mpm, tau 1, symmetric, exp(-E / tau) / Z"
    yield from of(name, {"occupation": boltzmann_p_value(result, symmetric, 1.0)})
    p_value = boltzmann_p_value(result, symmetric, 1.1)
    yield from of(name, {"occupation": p_value}, control=True)
    for scan in ("sequential", "random"):
        for seed, engine in enumerate(ENGINES):
            result = follow_bm(symmetric, 1.0, 100_000, scan, seed=seed, engine=engine)
            p_values = bm_p_values(result, symmetric, 1.0, scan)
            yield from of(f"bm, T 1, {scan} scan, {engine}", p_values)
        off = bm_p_values(result, symmetric, 1.1, scan)
        yield from of(f"bm, T 1, {scan} scan", off, control=True)
        result = follow_bm(symmetric, 0.0, 100, scan, initial="random")
        yield from of(f"bm, T 0, {scan} scan", bm_p_values(result, symmetric, 0.0, scan))


def of(name: str, p_values: dict[str, float], control: bool = False) -> Iterable[Check]:
    """The checks of one run. `control`: against the law at a temperature 10% higher.

    Then left out: times alone, whose law in units of their mean hardly depends on temperature.
    """
    for what, p in p_values.items():
        if not control:
            yield Check(f"{name}: {what}", p)
        elif what not in ("holding", "memory"):
            yield Check(f"{name}, control at +10%: {what}", p, control=True)
