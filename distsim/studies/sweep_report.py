"""What a sweep has found: a table, a CSV file, and a picture of its observables."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from distsim.errors import InputError, OutputError
from distsim.files.whole import whole
from distsim.pictures.figure import (
    GROUPS,
    MARKERS,
    WIDTH,
    key,
    new_figure,
    plain,
    save,
    style,
    titled,
)
from distsim.recording.scalars import NAMES
from distsim.studies.sweep import in_words

_FACTS = ("ranks", "transitions", "time", "transitions_per_second", "digest")
_LABELS = {
    "energy": "energy",
    "best_energy": "lowest energy",
    "cut": "cut",
    "best_cut": "best cut",
    "activity": "share in state 1",
    "rate": "rate",
}


def observed(found: dict[str, Any]) -> list[str]:
    """The observables that any point has."""
    return [name for name in NAMES if any(line.get(name) is not None for line in found["points"])]


def table(found: dict[str, Any]) -> str:
    """One line a point, then what is not done."""
    names = dict.fromkeys(name for line in found["points"] for name in line["values"])
    seen = observed(found)
    rows = [["point", *names, "ranks", "transitions", "time", "transitions/s"]]
    rows[0] += [*(name.replace("_", " ") for name in seen), "digest"]
    for line in found["points"]:
        rows.append(
            [
                str(line["index"]),
                *(in_words(line["values"].get(name, "-")) for name in names),
                str(line["ranks"]),
                f"{line['transitions']:,}",
                f"{line['time']:.6g}",
                f"{line['transitions_per_second']:,.0f}",
                *("-" if line.get(name) is None else f"{line[name]:.6g}" for name in seen),
                line["digest"],
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.rjust, row, widths)) for row in rows]
    total = sum(len(found[part]) for part in ("points", "begun", "missing"))
    lines.append(f"{len(found['points'])} of {total} points done")
    for part in ("begun", "missing"):
        if found[part]:
            lines.append(f"{part}: {ranges(found[part])}")
    return "\n".join(lines)


def ranges(numbers: Sequence[int]) -> str:
    """Rising numbers as `sbatch --array` takes them: 0,3-5,9."""
    groups: list[list[int]] = []
    for number in numbers:
        if groups and number == groups[-1][-1] + 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    return ",".join(f"{g[0]}-{g[-1]}" if len(g) > 1 else str(g[0]) for g in groups)


def write_csv(found: dict[str, Any], path: str) -> None:
    """A line a point that is done, every number in full. Raises OutputError."""
    names = list(dict.fromkeys(name for line in found["points"] for name in line["values"]))
    columns = [*_FACTS, *observed(found)]
    try:
        with whole(path) as temporary, Path(temporary).open("w", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["point", *names, *columns])
            for line in found["points"]:
                values = [line["values"].get(name, "") for name in names]
                lines.writerow([line["index"], *values, *(line.get(name) for name in columns)])
    except OSError as error:
        raise OutputError(f"csv {path}: {error.strerror}") from error


@style()
def picture(found: dict[str, Any], path: str) -> None:
    """Each observable over the first option that the sweep varies in numbers, tau if it does; a
    line for each of the others' values, with the standard error over seeds. Raises InputError."""
    seen = observed(found)
    if not seen:
        raise InputError(
            "picture: no observables in this sweep; allowed: with observe in its file, as in "
            'observe = "energy,activity"'
        )
    across = _across(found)
    groups = _groups(found, across)
    figure = new_figure(WIDTH, 0.6 + 1.9 * len(seen))
    panels = figure.subplots(len(seen), 1, sharex=True, squeeze=False)[:, 0]
    for axes, name in zip(panels, seen, strict=True):
        plain(axes)
        for number, (label, lines) in enumerate(groups.items()):
            points = [(x, *_mean(lines, across, x, name)) for x in _values(lines, across)]
            places, means, errors = zip(*(p for p in points if p[1] is not None), strict=True)
            axes.errorbar(
                places, means, yerr=errors, color=GROUPS[number % len(GROUPS)],
                marker=MARKERS[number % len(MARKERS)], markersize=4, linewidth=1.3, capsize=3,
                label=label or None,
            )  # fmt: skip
        axes.set_ylabel(_LABELS[name])
    figure.align_ylabels(panels)
    panels[-1].set_xlabel(across.replace("_", " "))
    if len(groups) > 1:
        key(panels[0])
    seeds = {line["values"].get("seed") for line in found["points"]}
    runs = f"{len(found['points']):,} runs"
    if len(seeds) > 1:
        runs += f": mean over {len(seeds)} seeds, and its standard error"
    titled(panels[0], f"sweep over {across.replace('_', ' ')}", runs)
    save(figure, path)


def _across(found: dict[str, Any]) -> str:
    """The option that the picture goes along."""
    varied = [
        name
        for name in dict.fromkeys(name for line in found["points"] for name in line["values"])
        if name != "seed"
        and all(isinstance(line["values"].get(name), int | float) for line in found["points"])
    ]
    if not varied:
        raise InputError(
            "picture: no option with several numbers in this sweep; allowed: a list, as in "
            "tau = [0.5, 1.0, 2.0]"
        )
    return "tau" if "tau" in varied else varied[0]


def _groups(found: dict[str, Any], across: str) -> dict[str, list[dict[str, Any]]]:
    """The points by their other options' values, seeds together."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for line in found["points"]:
        others = {name: v for name, v in line["values"].items() if name not in (across, "seed")}
        label = ", ".join(f"{name} {in_words(value)}" for name, value in others.items())
        groups.setdefault(label, []).append(line)
    return groups


def _values(lines: list[dict[str, Any]], across: str) -> list[float]:
    return sorted({line["values"][across] for line in lines})


def _mean(
    lines: list[dict[str, Any]], across: str, value: float, name: str
) -> tuple[float | None, float]:
    """Mean and standard error of an observable over the points at one value; None without any."""
    numbers = [
        line[name]
        for line in lines
        if line["values"][across] == value and line.get(name) is not None
    ]
    if not numbers:
        return None, 0.0
    error = stdev(numbers) / math.sqrt(len(numbers)) if len(numbers) > 1 else 0.0
    return fmean(numbers), error
