"""Scaling, analysed: speed-ups, a model that explains them, what it predicts for more ranks.

A transition is a column of N weights, so the work of a run is transitions x N, and with r
transitions a second

    speed-up = r N / (r_0 N_0),    efficiency = speed-up P_0 / P.

For strong scaling this is the ratio of the rates; for weak, that of the model times a second.
The model is fitted by least squares of the relative errors, no parameter being negative:

    time of a window = a + (b + c log2 P) rounds + bytes / bandwidth

rounds: replays, each with a collective, which passes about log2 P stages; bytes: what a rank reads
of the events' columns. (Where all measurements have as many rounds, only a + b rounds is known, and
enough to predict.)
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from distsim.errors import InputError
from distsim.studies.scaling import ENGINES, Line, read, weak_neurons

FURTHER = (2, 4, 8)  # predictions, in terms of the most ranks measured
COLLECTIVE = "exchange"  # the phase of the collectives


@dataclass(frozen=True)
class Speed:
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
    at the speeds, so many, that it was fitted to; nodes: the most of these."""

    a: float
    b: float
    c: float
    per_byte: float
    error: float
    fitted: int
    nodes: int

    def seconds(self, speed: Speed, weight_bytes: int) -> float:
        """Time of a window."""
        return float(_terms(speed, weight_bytes) @ (self.a, self.b, self.c, self.per_byte))


@dataclass(frozen=True)
class Series:
    """Speeds of one engine by number of ranks, and what the model says beyond them."""

    kind: str  # strong or weak
    engine: str
    neurons: int  # on the fewest ranks
    options: dict[str, Any]
    speeds: list[Speed]
    predictions: list[Speed]
    model: Model | None


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
    speeds = {key: median_speed(group) for key, group in sorted(groups.items())}
    model = fit(list(speeds.values()), options["weight_bits"] // 8)
    if model is not None:
        speeds = {key: _modelled(speed, model, options) for key, speed in speeds.items()}
    members: dict[tuple[str, int, int], set[tuple[int, int, int]]] = {}
    for key, group in groups.items():
        for weak in {line["weak"] and tuple(line["weak"]) for line in group}:
            name = ("strong", key[0], 0) if weak is None else ("weak", *weak)
            members.setdefault(name, set()).add(key)
    found = []
    for (kind, *start), keys in sorted(members.items()):
        if kind == "weak":  # the start may have run on another device, or with another exchange
            keys |= {key for key in groups if [*key[:2]] == start}
        measured = _scaled([speeds[key] for key in sorted(keys, key=lambda key: key[1:])])
        neurons = measured[0].neurons
        beyond = _beyond(kind, engine, measured, model, options)
        found.append(Series(kind, engine, neurons, options, measured, beyond, model))
    return found


def median_speed(lines: list[Line]) -> Speed:
    """The repeats of one measurement."""
    one = lines[0]
    rates = [line["transitions_per_second"] for line in lines]
    events = _median(line["transitions"] / line["windows"] for line in lines)
    applies = _median(line["applies"] / line["windows"] for line in lines)
    phases = [line["phases"] for line in lines]
    times = {name: _median(each.get(name, 0.0) for each in phases) for name in phases[0]}
    return Speed(
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


def fit(speeds: Sequence[Speed], weight_bytes: int) -> Model | None:
    """The model of these speeds; None if there are fewer than its parameters."""
    from scipy.optimize import nnls

    terms = np.array([_terms(speed, weight_bytes) for speed in speeds])
    if len(speeds) < terms.shape[1]:
        return None
    relative = terms / np.array([[speed.seconds] for speed in speeds])
    scale = np.maximum(np.linalg.norm(relative, axis=0), 1e-300)  # a column may be all zeros
    solution, distance = nnls(relative / scale, np.ones(len(speeds)))
    a, b, c, per_byte = (solution / scale).tolist()
    error = distance / math.sqrt(len(speeds))
    return Model(a, b, c, per_byte, error, len(speeds), max(speed.nodes for speed in speeds))


def _terms(speed: Speed, weight_bytes: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """What a, b, c and 1 / bandwidth are multiplied by, float64[4]."""
    volume = speed.columns * weight_bytes * -(-speed.neurons // speed.ranks)
    return np.array([1.0, speed.rounds, speed.rounds * math.log2(speed.ranks), volume])


def _modelled(speed: Speed, model: Model, options: dict[str, Any]) -> Speed:
    seconds = model.seconds(speed, options["weight_bits"] // 8)
    return replace(speed, modelled=speed.events / seconds)


def _scaled(speeds: Sequence[Speed]) -> list[Speed]:
    """With speed-up and efficiency, in terms of the first."""
    first = speeds[0]
    work = first.rate * first.neurons
    ratios = [speed.rate * speed.neurons / work for speed in speeds]
    return [
        replace(speed, speed_up=ratio, efficiency=ratio * first.ranks / speed.ranks)
        for speed, ratio in zip(speeds, ratios, strict=True)
    ]


def _beyond(
    kind: str,
    engine: str,
    speeds: list[Speed],
    model: Model | None,
    options: dict[str, Any],
) -> list[Speed]:
    """Predictions for more ranks than were measured.

    A window has the last speed's events, times the root of how many times the neurons
    (`laws.window`), and its rounds; for race, these are the events.
    """
    first, last = speeds[0], speeds[-1]
    if model is None or last.ranks == first.ranks:
        return []
    found = []
    for factor in FURTHER:
        ranks = last.ranks * factor
        neurons = (
            last.neurons if kind == "strong" else weak_neurons(first.neurons, ranks, first.ranks)
        )
        more = math.sqrt(neurons / last.neurons)
        speed = replace(
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
        seconds = model.seconds(speed, options["weight_bits"] // 8)
        rate = speed.events / seconds
        found.append(replace(speed, seconds=seconds, rate=rate, low=rate, high=rate, modelled=rate))
    return _scaled([first, *found])[1:]


def _median(values: Any) -> float:
    return float(statistics.median(values))
