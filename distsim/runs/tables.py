"""Tables of conditions: rows of a file, of an option's text, or of a Python program."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from distsim.config.kinds import short
from distsim.config.network import GIVEN
from distsim.config.options import Config, flag
from distsim.errors import InputError

COLUMNS: dict[str, tuple[str, ...]] = {
    "temper": ("tau",),
    "tau_schedule": ("time", "tau"),
    "clamp": ("neuron", "state"),  # and perhaps, before these, the chain
    "stimulus": ("start", "stop", "neuron", "bias"),
}

Given = Mapping[str, Any]  # option -> rows from Python; of tau_schedule also a function


class Row(NamedTuple):
    """A row of a table: what messages call it, and its cells, texts or what Python gave."""

    place: str
    cells: tuple[Any, ...]


def rows_of(config: Config, option: str, given: Given) -> list[Row]:
    """The rows of an option's table; none where it is not given. Raises InputError."""
    text = getattr(config, option)
    if text is None:
        return []
    if text == GIVEN:
        if given.get(option) is None:
            raise InputError(f"{option}: {GIVEN} given; allowed: a .csv file; rows from Python")
        place = "tau" if option == "tau_schedule" else option
        return [Row(f"{place}[{k}]", tuple(row)) for k, row in enumerate(given[option])]
    if "=" in text:
        pairs = (pair.rpartition("=") for pair in text.split(","))
        return [Row(flag(option), (name, state)) for name, _, state in pairs]
    return read(option, text)


def read(option: str, path: str) -> list[Row]:
    """A table with a header."""
    columns, place = COLUMNS[option], f"{option} {path}"
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file)
            header = [cell.strip() for cell in next(lines, [])]
            if option == "clamp" and "chain" in header:
                columns = ("chain", *columns)
            if sorted(header) != sorted(columns):
                raise InputError(
                    f"{place}: columns {short(','.join(header))} given; allowed: "
                    f"{','.join(columns)}"
                )
            order = [header.index(name) for name in columns]
            found = []
            for cells in lines:
                if not cells:
                    continue
                if len(cells) != len(columns):
                    raise InputError(
                        f"{place}, line {lines.line_num}: {len(cells)} cells given; allowed: "
                        f"{len(columns)}"
                    )
                row = tuple(cells[k].strip() for k in order)
                found.append(Row(f"{place}, line {lines.line_num}", row))
            return found
    except OSError as error:
        raise InputError(f"{place}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{place}: not a table: {error}") from None


def number_of(value: object) -> float | None:
    """The number that a cell is or spells, NaN included; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | np.number | np.bool_):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
