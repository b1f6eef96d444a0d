"""distsim verify: passes here, says so line by line, and fails where something is wrong."""

import math
from collections.abc import Iterable
from functools import partial
from typing import Any

import launchers
import pytest

from distsim.cli import main as cli
from distsim.cli.launch import Launch
from distsim.laws.boltzmann import Boltzmann
from distsim.laws.mcculloch_pitts import McCullochPitts
from distsim.laws.window import Window
from distsim.ranks.communicator import Serial
from distsim.studies import verify
from distsim.studies.small_networks import final_states
from distsim.studies.statistics import BOUND
from distsim.studies.verify import Check


def nothing() -> Iterable[Check]:
    return []


def test_this_installation_passes() -> None:
    lines: list[str] = []
    assert verify.run(Serial(), lines.append)
    for word in ("mpm", "bm", "race", "relax", "sequential", "random", "tau 0.25", "T 0"):
        assert any(word in line for line in lines)
    controls = [line for line in lines if "control" in line]
    assert len(controls) >= 8
    assert all(line.endswith("rejected") for line in controls)
    verdicts = {line.split()[-1] for line in lines[1:-1]}
    assert verdicts == {"ok", "rejected", "equal"}
    assert lines[-1] == "the law holds"


BEGINS = """
import itertools
import distsim.__main__, distsim.studies.verify as verify
checks = verify.checks
verify.checks = lambda: itertools.islice(checks(), 5)  # the others are as on one rank
distsim.__main__.main()
"""


@launchers.needs_mpirun
def test_on_two_ranks() -> None:
    output = launchers.start(2, "-c", BEGINS, "verify")
    assert output.count(": ") >= 5
    assert output.count("on 1 and 2 ranks") == len(verify.STREAMS)
    assert output.splitlines()[-1] == "the law holds"


def test_a_check_passes_above_the_bound_and_a_control_below() -> None:
    assert Check("", 2 * BOUND).passed
    assert not Check("", BOUND / 2).passed
    assert not Check("", 2 * BOUND, control=True).passed
    assert Check("", BOUND / 2, control=True).passed
    assert not Check("", math.nan).passed
    assert not Check("", math.nan, control=True).passed


def test_a_wrong_temperature_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def short(states: Any, *arguments: Any, runs: int, **options: Any) -> Any:
        return states(*arguments, runs=runs // 10, **options)

    def hotter(law: Any) -> Any:
        true_init = law.__init__

        def init(self: Any, shard: Any, tau: float, *rest: Any) -> None:
            true_init(self, shard, 1.1 * tau, *rest)

        return init

    monkeypatch.setattr(verify, "final_states", partial(short, final_states))
    for law in (McCullochPitts, Boltzmann):
        monkeypatch.setattr(law, "__init__", hotter(law))
    failed = [check.name for check in verify.checks() if not check.passed and not check.control]
    for machine in ("mpm, tau 1, race", "mpm, tau 0.25, relax", "bm, T 1, random scan, race"):
        assert any(name.startswith(machine) for name in failed)


def test_engines_that_differ_fail(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from distsim.engines.race import Race

    true_solve = Race.solve

    def solve(self: Race, law: Any, window: Window, *rest: Any) -> Any:
        return true_solve(self, law, window._replace(number=window.number + 1), *rest)

    monkeypatch.setattr(Race, "solve", solve)
    monkeypatch.setattr(verify, "checks", nothing)
    assert cli.main(["verify"], Launch()) == 1
    output = capsys.readouterr().out
    assert output.count("FAILED") == len(verify.STREAMS) + 1
    assert output.splitlines()[-1].startswith("FAILED: ")


def test_a_failed_check_fails_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verify, "checks", lambda: [Check("something", 1e-9)])
    monkeypatch.setattr(verify, "STREAMS", {})
    assert cli.main(["verify"], Launch()) == 1
    assert "something" in capsys.readouterr().out
