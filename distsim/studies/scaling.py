"""Scaling: the speed on 1, 2, 4 ... ranks: what is measured, the runs, the file.

    strong    N neurons on P ranks
    weak      as many bytes of weights a rank as N neurons have on the fewest ranks measured, P_0:
              N sqrt(P / P_0) neurons on P ranks

A measurement is one start of `distsim run` by the launcher, and one line in a file of JSON lines.
`scaling_series` makes speed-ups, a model and predictions of them, `scaling_report` what is shown.
"""

from __future__ import annotations

import json
import math
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distsim.config.options import flag
from distsim.config.sources import PREFIX
from distsim.errors import InputError, OutputError
from distsim.files.places import check_writable

ENGINES = ("relax", "race")
SHORTEST = 1000  # transitions of a first trial
GROWTH = 8  # of the next, while trials are too short to tell the rate
START = b'{"options": '  # of a line of the file
Line = dict[str, Any]  # a measurement in the file


class RunError(RuntimeError):
    """A measured run failed: its command, and what it said."""


@dataclass(frozen=True)
class Plan:
    """What to measure: relax and race on all ranks, strong and weak, each `repeats` times.

    seconds: what each should take; launcher: a command that starts {ranks} ranks on {nodes} nodes;
    per_node: ranks on a node (None: all); options: those of `distsim run` for every measurement.
    """

    ranks: Sequence[int]
    neurons: Sequence[int]
    repeats: int
    seconds: float
    launcher: str
    per_node: int | None
    options: dict[str, Any]

    def nodes(self, ranks: int) -> int:
        return 1 if self.per_node is None else -(-ranks // self.per_node)

    def launched(self, ranks: int) -> list[str]:
        """The words that start so many ranks of what follows them. Raises InputError."""
        try:
            if ranks > 1 and "{ranks}" not in self.launcher:
                raise ValueError("no {ranks}")
            return shlex.split(self.launcher.format(ranks=ranks, nodes=self.nodes(ranks)))
        except (AttributeError, LookupError, ValueError) as error:
            raise InputError(
                f"--launcher: {self.launcher!r} given: {error}; allowed: a command with {{ranks}}, "
                "and {nodes} if it needs it"
            ) from None


@dataclass(frozen=True)
class Task:
    """One measurement to make; weak: N and P_0 of the weak series it belongs to."""

    engine: str
    neurons: int
    ranks: int
    weak: tuple[int, int] | None


def measure(path: str, plan: Plan, say: Callable[[str], None]) -> None:
    """Add the plan's measurements to a file, but for those it holds.

    Raises InputError, before the first run where that is possible; RunError, OutputError.
    """
    plan.launched(max(plan.ranks))
    known = read(path)
    _prepare(path)
    lengths: dict[Task, int] = {}
    for repeat in range(plan.repeats):
        for task in tasks(plan):
            same = [line for line in known if _is(line, task, plan)]
            if len(same) > repeat:
                continue
            if same:
                lengths[task] = same[0]["transitions"]
            elif task not in lengths:
                lengths[task] = _length(task, plan, lengths)
            line = {
                "options": plan.options,
                "weak": task.weak,
                "nodes": plan.nodes(task.ranks),
                "per_node": plan.per_node,
                **_run(task, plan, lengths[task]),
            }
            try:
                with open(path, "a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
            except OSError as error:
                raise OutputError(f"measurements {path}: {error.strerror}") from error
            known.append(line)
            say(
                f"{task.engine}, {task.neurons:,} neurons, ranks: {task.ranks}: "
                f"{line['transitions_per_second']:,.0f} transitions a second"
            )


def tasks(plan: Plan) -> Iterator[Task]:
    """Those of all series. A strong and a weak one share that with the fewest ranks."""
    fewest = min(plan.ranks)
    for engine in ENGINES:
        for neurons in plan.neurons:
            for ranks in sorted(set(plan.ranks)):
                yield Task(engine, neurons, ranks, None)
                if ranks > fewest:
                    yield Task(
                        engine, weak_neurons(neurons, ranks, fewest), ranks, (neurons, fewest)
                    )


def read(path: str) -> list[Line]:
    """All measurements in a file; none if there is no file. Raises InputError.

    What a killed job left of a last line does not count.
    """
    lines: list[Line] = []
    try:
        *texts, rest = Path(path).read_bytes().split(b"\n")
    except FileNotFoundError:
        return lines
    except OSError as error:
        raise InputError(f"measurements {path}: {error.strerror}") from None
    if not rest.startswith(START) and not START.startswith(rest):
        texts.append(rest)  # nobody's measurement: refused
    for number, line in enumerate(texts, 1):
        try:
            lines.append(json.loads(line))
            _ = lines[-1]["options"]["weight_bits"], lines[-1]["exchange"], lines[-1]["nodes"]
        except (ValueError, KeyError, TypeError):
            raise InputError(
                f"measurements {path}: line {number} is not a measurement of `distsim scaling`"
            ) from None
    return lines


def _prepare(path: str) -> None:
    """See that lines can be added to a file; cut off what a killed job left of a last one."""
    if not os.path.exists(path):
        check_writable(path, overwrite=True, what="measurements")
        return
    try:
        with open(path, "rb+") as file:
            file.truncate(file.read().rfind(b"\n") + 1)
    except OSError as error:
        raise InputError(f"measurements {path}: {error.strerror}") from None


def weak_neurons(neurons: int, ranks: int, fewest: int) -> int:
    """Neurons on so many ranks with as many weights a rank as `neurons` have on the fewest."""
    return round(neurons * math.sqrt(ranks / fewest))


def _is(line: Line, task: Task, plan: Plan) -> bool:
    weak = None if line["weak"] is None else tuple(line["weak"])
    same = Task(line["engine"], line["neurons"], line["ranks"], weak) == task
    return same and line["options"] == plan.options and line["nodes"] == plan.nodes(task.ranks)


def _length(task: Task, plan: Plan, lengths: dict[Task, int]) -> int:
    """Transitions of a run that takes about as long as it should; also compiles the kernels."""
    like = [
        count
        for other, count in lengths.items()
        if (other.engine, other.neurons) == (task.engine, task.neurons)
    ]
    count = max([SHORTEST, *(count // GROWTH for count in like)])
    while (seconds := _run(task, plan, count)["seconds"]) < plan.seconds / 4:
        count *= GROWTH
    return max(SHORTEST, int(count * plan.seconds / seconds))


def _run(task: Task, plan: Plan, transitions: int) -> dict[str, Any]:
    """The summary of one run, without options of the environment. Raises InputError, RunError."""
    options = {
        **plan.options,
        "network": "gaussian",
        "neurons": task.neurons,
        "engine": task.engine,
        "transitions": transitions,
    }
    command = [*plan.launched(task.ranks), sys.executable, "-m", "distsim", "run", "--json"]
    for name, value in options.items():
        command += [flag(name), str(value)]
    environment = {name: os.environ[name] for name in os.environ if not name.startswith(PREFIX)}
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
    except OSError as error:
        raise InputError(f"--launcher: {command[0]}: {error.strerror}") from None
    if done.returncode != 0:
        raise RunError(
            f"{shlex.join(command)} left with status {done.returncode}:\n{done.stderr.strip()}"
        )
    try:
        summary: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        ranks = summary["ranks"]
    except (IndexError, KeyError, TypeError, ValueError):
        raise RunError(f"{shlex.join(command)} ended without a summary") from None
    if ranks != task.ranks:
        raise InputError(
            f"--launcher: {plan.launcher!r} given, which started ranks: {ranks}; "
            f"allowed: a command that starts {{ranks}}, here {task.ranks}"
        )
    return summary
