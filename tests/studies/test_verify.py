"""distsim verify: passes here, says so line by line, and fails where something is wrong."""

import io
import math
import re
from dataclasses import replace
from typing import Any, NamedTuple

import launchers
import numpy as np
import pytest

from distsim.cli import main as cli
from distsim.cli.launch import Launch
from distsim.laws.boltzmann import Boltzmann
from distsim.laws.conditions import Conditions
from distsim.laws.mcculloch_pitts import McCullochPitts
from distsim.laws.window import Window
from distsim.ranks.communicator import Serial
from distsim.studies import verify
from distsim.studies.statistics import BOUND
from distsim.studies.verify import FULL, QUICK, Check, Effort, Stage


def nothing(effort: Effort) -> list[Stage]:
    return []


class Table(NamedTuple):
    right: bool
    lines: list[str]
    told: list[tuple[float, str]]
    firsts: list[str]  # of the lines, the first after each that was told

    @property
    def names(self) -> list[str]:
        return [re.sub(r"\+\d+%", "", line[:68].rstrip()) for line in self.lines]


def table(effort: Effort) -> Table:
    lines: list[str] = []
    told: list[tuple[float, str]] = []
    firsts: list[int] = []

    def tell(fraction: float, name: str) -> None:
        told.append((fraction, name))
        firsts.append(len(lines))

    right = verify.run(Serial(), lines.append, effort, tell)
    return Table(right, lines, told, [lines[k] for k in firsts])


@pytest.fixture(scope="module")
def quick() -> Table:
    return table(QUICK)


def assert_passes(found: Table) -> None:
    assert found.right
    for word in ("mpm", "bm", "race", "relax", "sequential", "random", "tau 0.25", "T 0"):
        assert any(word in line for line in found.lines)
    controls = [line for line in found.lines if "control" in line]
    assert len(controls) >= 8
    assert all(line.endswith("rejected") for line in controls)
    verdicts = {line.split()[-1] for line in found.lines[1:-1]}
    assert verdicts == {"ok", "rejected", "equal"}
    assert found.lines[-1] == "the law holds"


def test_this_installation_passes(quick: Table) -> None:
    full = table(FULL)
    assert_passes(full)
    assert full.names == quick.names


def test_the_quick_table_passes_too_and_says_what_comes_next(quick: Table) -> None:
    assert_passes(quick)
    assert "control at +25%" in "".join(quick.lines)
    fractions = [fraction for fraction, _ in quick.told]
    assert fractions == [k / len(fractions) for k in range(len(fractions))]
    for (_, name), line in zip(quick.told, quick.firsts, strict=True):
        assert line.startswith(name)


BEGINS = """
import distsim.__main__, distsim.studies.verify as verify
stages = verify.stages
verify.stages = lambda effort: stages(effort)[:2]  # the others are as on one rank
distsim.__main__.main()
"""


@launchers.needs_mpirun
def test_on_two_ranks() -> None:
    output = launchers.start(2, "-c", BEGINS, "verify", "--quick")
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
    def hotter(law: Any) -> Any:
        true_init = law.__init__

        def init(self: Any, shard: Any, conditions: Conditions, *rest: Any) -> None:
            taus = np.array([QUICK.control(tau) for tau in conditions.taus])
            true_init(self, shard, replace(conditions, taus=taus), *rest)

        return init

    for law in (McCullochPitts, Boltzmann):
        monkeypatch.setattr(law, "__init__", hotter(law))
    checks = [check for stage in verify.stages(QUICK) for check in stage.checks()]
    failed = [check.name for check in checks if not check.passed and not check.control]
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
    monkeypatch.setattr(verify, "stages", nothing)
    assert cli.main(["verify", "--quick"], Launch()) == 1
    output = capsys.readouterr().out
    assert output.count("FAILED") == len(verify.STREAMS) + 1
    assert output.splitlines()[-1].startswith("FAILED: ")


def something() -> list[Check]:
    return [Check("something", 1e-9), Check("another", 1e-9)]


def test_a_failed_check_fails_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verify, "stages", lambda effort: [Stage("thing", something)])
    monkeypatch.setattr(verify, "STREAMS", {})
    assert cli.main(["verify"], Launch()) == 1
    assert "something" in capsys.readouterr().out


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_what_is_checked_and_nothing_of_it_stays(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = [Stage("one", something), Stage("two", something)]
    monkeypatch.setattr(verify, "stages", lambda effort: stages)
    monkeypatch.setattr(verify, "STREAMS", {})
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    assert cli.main(["verify"], Launch()) == 1
    shown = terminal.getvalue().split("\r\033[K")
    bars = ["[------------------------------] 0%  one", "[###############---------------] 50%  two"]
    assert shown == ["", bars[0], "", bars[1], ""]
    assert len(capsys.readouterr().out.splitlines()) == 6
