"""Conditions as Python gives them: as the rows of the tables that the command line reads."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping
from decimal import ROUND_DOWN, Context, Decimal
from os import PathLike
from typing import Any

import numpy as np

from distsim.config.kinds import short
from distsim.config.network import GIVEN
from distsim.config.options import Config
from distsim.errors import InputError, OutputError
from distsim.laws.conditions import Conditions
from distsim.runs.report import plural
from distsim.runs.tables import COLUMNS
from distsim.runs.tables import Given as Tables

_DOWN = Context(prec=40, rounding=ROUND_DOWN)


def taken(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options, with GIVEN for what is no text, and the tables that were given for these.

    tau: also (time, temperature) pairs, or a function of time; clamp: also neuron -> state, or
    states of all chains; stimulus: also (start, stop, neurons, bias) rows. Raises InputError.
    """
    values, tables = dict(values), dict[str, Any]()
    tau: Any = values.get("tau")
    if callable(tau) or _pairs(tau):
        del values["tau"]
        if values.get("tau_schedule") is not None:
            raise InputError("tau: given beside a tau_schedule; allowed: one of the two")
        values["tau_schedule"], tables["tau_schedule"] = GIVEN, tau
        if not callable(tau):
            tables["tau_schedule"] = [_row("tau", k, row, 2) for k, row in enumerate(tau)]
    for name, rows in (("clamp", _clamped), ("stimulus", _stimuli)):
        given = values.get(name)
        if given is not None and not isinstance(given, str | PathLike):
            values[name], tables[name] = GIVEN, list(rows(given))
    return values, tables


def check_clamp(given: Any, chains: int) -> None:
    """Raise InputError for states of other chains than there are."""
    for neuron, states in given.items() if isinstance(given, Mapping) else ():
        if _several(states) and len(list(states)) != chains:
            raise InputError(
                f"clamp: {plural(len(list(states)), 'state')} given for neuron {short(neuron)} and "
                f"{plural(chains, 'chain')}; allowed: one, or one a chain"
            )


def _several(value: Any) -> bool:
    """Whether this has parts: neurons, not the name of one."""
    return np.iterable(value) and not isinstance(value, str)


def _pairs(tau: Any) -> bool:
    """Whether this is a sequence of sequences: not of numbers, one a chain."""
    if isinstance(tau, Mapping) or not (_several(tau) and hasattr(tau, "__len__")):
        return False
    return _several(next(iter(tau), None))


def _row(name: str, number: int, row: Any, parts: int) -> tuple[Any, ...]:
    found = tuple(row) if isinstance(row, Iterable) and not isinstance(row, str) else (row,)
    if len(found) != parts:
        columns = COLUMNS["tau_schedule" if name == "tau" else name]
        raise InputError(f"{name}[{number}]: {short(row)} given; allowed: ({', '.join(columns)})")
    return found


def _clamped(given: Any) -> Iterable[tuple[Any, ...]]:
    """(neuron, state) rows, or (chain, neuron, state) ones."""
    if not isinstance(given, Mapping):
        raise InputError(
            f"clamp: {short(given)} given; allowed: neuron -> state, a text, or a .csv file"
        )
    for neuron, state in given.items():
        if _several(state):
            yield from ((chain, neuron, one) for chain, one in enumerate(state))
        else:
            yield neuron, state


def _stimuli(given: Any) -> Iterable[tuple[Any, ...]]:
    """(start, stop, neuron, bias) rows: of several neurons one each, with a bias of all or each."""
    if not isinstance(given, Iterable) or isinstance(given, Mapping):
        raise InputError(
            f"stimulus: {short(given)} given; allowed: (start, stop, neurons, bias) rows or a .csv "
            "file"
        )
    for k, row in enumerate(given):
        start, stop, neurons, bias = _row("stimulus", k, row, 4)
        names = list(neurons) if _several(neurons) else [neurons]
        biases = list(bias) if _several(bias) else [bias] * len(names)
        if len(biases) != len(names):
            raise InputError(
                f"stimulus[{k}]: {len(biases)} biases given for {len(names)} neurons; allowed: "
                "one, or one each"
            )
        for neuron, added in zip(names, biases, strict=True):
            yield start, stop, neuron, added


def write(
    folder: str,
    tables: Tables,
    config: Config,
    neurons: int,
    conditions: Callable[[int], Conditions],
) -> dict[str, str]:
    """The tables that were given as files that are read as the same conditions: their options."""
    whole = conditions(0)

    def time(value: float) -> str:
        """In steps: as sweeps, and no more, so that it is rounded up to the same."""
        if config.model == "mpm" or np.isinf(value):
            return repr(float(value))
        return str(_DOWN.divide(Decimal(value), Decimal(neurons)))

    rows: dict[str, Iterable[tuple[Any, ...]]] = {
        "tau_schedule": (
            (time(t), repr(float(tau))) for t, tau in zip(whole.times, whole.taus, strict=True)
        ),
        "stimulus": (
            (time(start), time(stop), neuron, repr(float(bias)))
            for start, stop, neuron, bias in zip(
                whole.start, whole.stop, whole.neuron, whole.bias, strict=True
            )
        ),
        "clamp": (
            (chain, *pair)
            for chain in range(config.chains)
            for pair in zip(conditions(chain).clamped, conditions(chain).held, strict=True)
        ),
    }
    found = {}
    for name in tables:
        found[name] = path = f"{folder}/{name}.csv"
        columns = ("chain", *COLUMNS[name]) if name == "clamp" else COLUMNS[name]
        try:
            with open(path, "w", newline="", encoding="utf-8") as file:
                lines = csv.writer(file)
                lines.writerow(columns)
                lines.writerows(rows[name])
        except OSError as error:
            raise OutputError(f"{path}: {error.strerror}") from error
    return found
