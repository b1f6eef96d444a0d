"""Scaling: the speed on 1, 2, 4 ... ranks, measured, explained by a model, predicted for more.

    strong    N neurons on P ranks
    weak      as many bytes of weights a rank as N neurons have on the fewest ranks measured, P_0:
              N sqrt(P / P_0) neurons on P ranks

A transition is a column of N weights, so the work of a run is transitions x N, and with r
transitions a second

    speed-up = r N / (r_0 N_0),    efficiency = speed-up P_0 / P.

For strong scaling this is the ratio of the rates; for weak, that of the model times a second.
The model is fitted by least squares of the relative errors, no parameter being negative:

    time of a window = a + (b + c log2 P) rounds + bytes / bandwidth

rounds: replays, each with a collective, which passes about log2 P stages; bytes: what a rank reads
of the events' columns. (Where all measurements have as many rounds, only a + b rounds is known, and
enough to predict.) A measurement is one start of `distsim run` by the launcher, and one line
in a file of JSON lines.
"""

from __future__ import annotations

import json
import math
import os
import shlex
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from distsim.config.options import flag
from distsim.config.sources import PREFIX
from distsim.errors import InputError, OutputError
from distsim.files.places import check_writable

ENGINES = ("relax", "race")
SHORTEST = 1000  # transitions of a first trial
GROWTH = 8  # of the next, while trials are too short to tell the rate
FURTHER = (2, 4, 8)  # predictions, in terms of the most ranks measured
COLLECTIVE = "exchange"  # the phase of the collectives
START = b'{"options": '  # of a line of the file
Line = dict[str, Any]  # a measurement in the file


class RunError(RuntimeError):
    """A measured run failed: its command, and what it said."""


@dataclass(frozen=True)
class Plan:
    """What to measure: both engines on all ranks, strong and weak, each `repeats` times.

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


@dataclass(frozen=True)
class Point:
    """A measurement (medians of its repeats), or a prediction (no repeats).

    rate, low, high: transitions a second; events, rounds, columns (events whose columns are
    read), seconds: of a window; shares: phase -> part of the time; modelled: rate by the model.
    """

    neurons: int
    ranks: int
    nodes: int
    per_node: int | None
    repeats: int
    rate: float
    low: float
    high: float
    events: float
    rounds: float
    columns: float
    seconds: float
    shares: dict[str, float] = field(default_factory=dict)
    modelled: float | None = None
    speed_up: float = 1.0
    efficiency: float = 1.0


@dataclass(frozen=True)
class Model:
    """a, b, c in seconds, per_byte: 1 / bandwidth; error: root mean square of the relative errors
    at the points it was fitted to; nodes: the most of these."""

    a: float
    b: float
    c: float
    per_byte: float
    error: float
    points: int
    nodes: int

    def seconds(self, point: Point, weight_bytes: int) -> float:
        """Time of a window."""
        return float(_terms(point, weight_bytes) @ (self.a, self.b, self.c, self.per_byte))


@dataclass(frozen=True)
class Series:
    """Points of one engine by number of ranks, and what the model says beyond them."""

    kind: str  # strong or weak
    engine: str
    neurons: int  # on the fewest ranks
    options: dict[str, Any]
    points: list[Point]
    predictions: list[Point]
    model: Model | None


# ------------------------------------------------------------------------------------- measuring


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
    """The points of all series. A strong and a weak one share that with the fewest ranks."""
    fewest = min(plan.ranks)
    for engine in ENGINES:
        for neurons in plan.neurons:
            for ranks in sorted(set(plan.ranks)):
                yield Task(engine, neurons, ranks, None)
                if ranks > fewest:
                    yield Task(engine, _weak(neurons, ranks, fewest), ranks, (neurons, fewest))


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


def _weak(neurons: int, ranks: int, fewest: int) -> int:
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


# ------------------------------------------------------------------------------------- analysing


def collect(path: str) -> list[Series]:
    """All series of a file's measurements. Raises InputError."""
    lines = read(path)
    if not lines:
        raise InputError(f"no measurements in {path}; allowed: a file of `distsim scaling --ranks`")
    return analyse(lines)


def analyse(lines: Sequence[Line]) -> list[Series]:
    """All series of the measurements, strong ones first."""
    found: list[Series] = []
    setups = {json.dumps(setup, sort_keys=True): setup for setup in map(_setup, lines)}
    for options in setups.values():
        for engine in ENGINES:
            mine = [line for line in lines if (_setup(line), line["engine"]) == (options, engine)]
            if mine:
                found += _engine_series(engine, options, mine)
    return sorted(found, key=lambda series: series.kind)


def _setup(line: Line) -> dict[str, Any]:
    """The options of a measurement, with the device and the exchange that it ran with."""
    ran = {"device": line["device"], "exchange": line["exchange"]}
    return {name: value for name, value in (line["options"] | ran).items() if value is not None}


def _engine_series(engine: str, options: dict[str, Any], lines: list[Line]) -> list[Series]:
    groups: dict[tuple[int, int, int], list[Line]] = {}
    for line in lines:
        groups.setdefault((line["neurons"], line["ranks"], line["nodes"]), []).append(line)
    points = {key: median_point(group) for key, group in sorted(groups.items())}
    model = fit(list(points.values()), options["weight_bits"] // 8)
    if model is not None:
        points = {key: _modelled(point, model, options) for key, point in points.items()}
    members: dict[tuple[str, int, int], set[tuple[int, int, int]]] = {}
    for key, group in groups.items():
        for weak in {line["weak"] and tuple(line["weak"]) for line in group}:
            name = ("strong", key[0], 0) if weak is None else ("weak", *weak)
            members.setdefault(name, set()).add(key)
    found = []
    for (kind, *start), keys in sorted(members.items()):
        if kind == "weak":  # the start may have run on another device, or with another exchange
            keys |= {key for key in groups if [*key[:2]] == start}
        measured = _scaled([points[key] for key in sorted(keys, key=lambda key: key[1:])])
        neurons = measured[0].neurons
        beyond = _beyond(kind, engine, measured, model, options)
        found.append(Series(kind, engine, neurons, options, measured, beyond, model))
    return found


def median_point(lines: list[Line]) -> Point:
    """The repeats of one measurement."""
    one = lines[0]
    rates = [line["transitions_per_second"] for line in lines]
    events = _median(line["transitions"] / line["windows"] for line in lines)
    applies = _median(line["applies"] / line["windows"] for line in lines)
    phases = [line["phases"] for line in lines]
    times = {name: _median(each.get(name, 0.0) for each in phases) for name in phases[0]}
    return Point(
        neurons=one["neurons"],
        ranks=one["ranks"],
        nodes=one["nodes"],
        per_node=one["per_node"],
        repeats=len(lines),
        rate=_median(rates),
        low=min(rates),
        high=max(rates),
        events=events,
        rounds=_median(line["replays"] / line["windows"] for line in lines),
        columns=applies if one["engine"] == "race" else applies * events,
        seconds=_median(line["seconds"] / line["windows"] for line in lines),
        shares={name: time / max(sum(times.values()), 1e-12) for name, time in times.items()},
    )


def fit(points: Sequence[Point], weight_bytes: int) -> Model | None:
    """The model of these points; None if there are fewer than its parameters."""
    from scipy.optimize import nnls

    terms = np.array([_terms(point, weight_bytes) for point in points])
    if len(points) < terms.shape[1]:
        return None
    relative = terms / np.array([[point.seconds] for point in points])
    scale = np.maximum(np.linalg.norm(relative, axis=0), 1e-300)  # a column may be all zeros
    solution, distance = nnls(relative / scale, np.ones(len(points)))
    a, b, c, per_byte = (solution / scale).tolist()
    error = distance / math.sqrt(len(points))
    return Model(a, b, c, per_byte, error, len(points), max(point.nodes for point in points))


def _terms(point: Point, weight_bytes: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """What a, b, c and 1 / bandwidth are multiplied by, float64[4]."""
    volume = point.columns * weight_bytes * -(-point.neurons // point.ranks)
    return np.array([1.0, point.rounds, point.rounds * math.log2(point.ranks), volume])


def _modelled(point: Point, model: Model, options: dict[str, Any]) -> Point:
    seconds = model.seconds(point, options["weight_bits"] // 8)
    return replace(point, modelled=point.events / seconds)


def _scaled(points: Sequence[Point]) -> list[Point]:
    """With speed-up and efficiency, in terms of the first."""
    first = points[0]
    work = first.rate * first.neurons
    ratios = [point.rate * point.neurons / work for point in points]
    return [
        replace(point, speed_up=ratio, efficiency=ratio * first.ranks / point.ranks)
        for point, ratio in zip(points, ratios, strict=True)
    ]


def _beyond(
    kind: str,
    engine: str,
    points: list[Point],
    model: Model | None,
    options: dict[str, Any],
) -> list[Point]:
    """Predictions for more ranks than were measured.

    A window has the last point's events, times the root of how many times the neurons
    (distsim.window), and its rounds; for race, these are the events.
    """
    first, last = points[0], points[-1]
    if model is None or last.ranks == first.ranks:
        return []
    found = []
    for factor in FURTHER:
        ranks = last.ranks * factor
        neurons = last.neurons if kind == "strong" else _weak(first.neurons, ranks, first.ranks)
        more = math.sqrt(neurons / last.neurons)
        point = replace(
            last,
            neurons=neurons,
            ranks=ranks,
            nodes=last.nodes if last.per_node is None else -(-ranks // last.per_node),
            repeats=0,
            events=last.events * more,
            rounds=last.rounds * (more if engine == "race" else 1.0),
            columns=last.columns * more,
            shares={},
        )
        seconds = model.seconds(point, options["weight_bits"] // 8)
        rate = point.events / seconds
        found.append(replace(point, seconds=seconds, rate=rate, low=rate, high=rate, modelled=rate))
    return _scaled([first, *found])[1:]


def _median(values: Any) -> float:
    return float(statistics.median(values))
