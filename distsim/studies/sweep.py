"""Many runs from one file: every combination of the values that a configuration lists.

    network = "celegans"
    transitions = 1e6
    tau = [0.5, 1.0, 2.0]
    seed = [1, 2, 3, 4]

in sweep.toml are 12 points, 0 to 11; the last list changes fastest. Point 7 has its files in a
folder beside it: sweep/0007.h5, sweep/0007.checkpoint, and when it is done its line of JSON,
sweep/0007.json. Points are independent: any number of jobs may work on one sweep, each on its own.
In a sweep over networks a point has those of the options `neurons`, `coupling`, `synapses`,
`patterns` ... that its network uses; combinations that are the same without the others are one.
The file alone says what a point is: variables DISTSIM_<OPTION> of the environment are not heeded.
"""

from __future__ import annotations

import itertools
import json
import os
import tomllib
from dataclasses import asdict, dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distsim.config.network import DEFAULT_NETWORK, GENERATED
from distsim.config.options import DEFAULTS, DETAILS, FIELDS, Config, of_role
from distsim.config.roles import Role
from distsim.config.sources import amend
from distsim.errors import InputError, OutputError
from distsim.files.whole import whole
from distsim.limits import MOST_NEURONS
from distsim.networks.catalogue import heeded
from distsim.ranks.agreement import agreed
from distsim.ranks.communicator import Communicator
from distsim.runs import checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from distsim.runs.checkpoint import Checkpoint
    from distsim.runs.results import Summary


OWN = (*of_role(Role.FILES), "max_time")  # not for a sweep's file to say
SAME = of_role(
    Role.STREAM, Role.RECORD, Role.NETWORK
)  # of a point and of the run that goes on as it
NEEDED = ("neurons", "patterns", "synapses", "width")  # of a generated network that heeds them
LASTING = (*SAME, *of_role(Role.LENGTH))  # of a point that is done


class Standing(IntEnum):
    """How far a point has come: nothing yet, a checkpoint, its line of JSON."""

    NEW = 0
    BEGUN = 1
    DONE = 2


@dataclass(frozen=True)
class Point:
    """One run of a sweep: its number, the values that are its own, and its configuration."""

    index: int
    values: dict[str, object]
    config: Config

    @property
    def checkpoint(self) -> str:
        return str(self.config.checkpoint)

    @property
    def result(self) -> Path:
        """The file of its line of JSON."""
        return Path(self.checkpoint).with_suffix(".json")


def read(path: str) -> list[Point]:
    """All points of a sweep's file, each checked. Raises InputError."""
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"sweep {path}: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"sweep {path}: not TOML: {error}") from None
    allowed = [name for name in FIELDS if name not in OWN]
    for key, value in table.items():
        if key not in allowed:
            raise InputError(f"sweep {path}: key {key}; allowed: {', '.join(allowed)}")
        if value == []:
            raise InputError(f"sweep {path}: {key} is an empty list; allowed: a value, or several")
    if Path(path).with_suffix("") == Path(path):
        raise InputError(f"sweep {path}: allowed: a name that ends with .toml")
    lists = [key for key, value in table.items() if isinstance(value, list)]
    combinations = _combinations(table)
    for name in DETAILS:
        if name in table and not any(name in options for options in combinations):
            raise InputError(
                f"{name} in {path}: {table[name]!r} given, which no network of the sweep uses; "
                "allowed: an option of one of its networks"
            )
    return [
        _point(index, path, options, [key for key in lists if key in options])
        for index, options in enumerate(combinations)
    ]


def _combinations(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The options of all points: one value of each list, and no option that a network ignores."""
    found: dict[str, dict[str, Any]] = {}
    choices = (value if isinstance(value, list) else [value] for value in table.values())
    for values in itertools.product(*choices):
        options = dict(zip(table, values, strict=True))
        patterns = None if options.get("patterns") is None else str(options["patterns"])
        used = heeded(str(options.get("network", DEFAULT_NETWORK)), patterns)
        kept = {key: options[key] for key in options if key in used or key not in DETAILS}
        found.setdefault(repr(kept), kept)
    return list(found.values())


def _point(index: int, path: str, options: Mapping[str, Any], lists: Iterable[str]) -> Point:
    name = str(Path(path).with_suffix("") / f"{index:04d}")
    config = Config(
        **options,
        output=name + ".h5",
        checkpoint=name + ".checkpoint",
        overwrite=True,  # what an earlier attempt left, if it left no checkpoint
        sources={key: f"{key} in {path}" for key in options},
    )
    _check_network(config, path)
    return Point(index, {key: options[key] for key in lists}, config)


def _check_network(config: Config, path: str) -> None:
    """Refuse a generated network without what it needs: here, since its run would name
    options of the command line."""
    if config.network not in GENERATED:
        return
    used = heeded(config.network, config.patterns)
    for name in (name for name in NEEDED if name in used):
        value = getattr(config, name)
        if value is None:
            raise InputError(f"sweep {path}: network {config.network} given; allowed: with {name}")
        if str(value).isdecimal() and not 1 <= int(value) <= MOST_NEURONS:
            raise InputError(f"{name} in {path}: {value} given; allowed: 1 to {MOST_NEURONS}")


def chosen(points: Sequence[Point], index: int | None) -> Sequence[Point]:
    """The points to run: one, or all. Raises InputError."""
    if index is None:
        return points
    if not 0 <= index < len(points):
        raise InputError(f"point {index} given; allowed: 0 to {len(points) - 1}")
    return points[index : index + 1]


def standing(point: Point, ranks: Communicator) -> Standing:
    """How far a point has come; its folder is made. Raises InputError on every rank alike."""
    mine = agreed(ranks, lambda: _prepare(point) if ranks.rank == 0 else 0)
    return Standing(ranks.maximum(mine))


def _prepare(point: Point) -> int:
    try:
        point.result.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"sweep: folder {point.result.parent}: {error.strerror}") from None
    return _standing(point)


def _standing(point: Point) -> Standing:
    if result(point) is not None:
        return Standing.DONE
    return Standing.BEGUN if os.path.exists(point.checkpoint) else Standing.NEW


def resumed(point: Point, ranks: Communicator) -> tuple[Config, Checkpoint]:
    """What a point that was begun goes on with. Raises InputError on every rank alike."""
    saved = checkpoint.read(point.checkpoint, ranks)
    return agreed(ranks, lambda: _amended(point, saved)), saved


def _amended(point: Point, saved: Checkpoint) -> Config:
    _check_same(point, f"checkpoint {point.checkpoint}", saved.config, SAME)
    given = {name: value for name, value in asdict(point.config).items() if value is not None}
    return amend(point.checkpoint, saved.config, {}, given)


def save(point: Point, ranks: Communicator, summary: Summary) -> None:
    """Write the line of JSON of a point that is done: whole, or not at all.

    Raises OutputError on every rank alike.
    """
    line = {"index": point.index, "options": _options(point), **asdict(summary)}

    def write() -> None:
        try:
            with whole(str(point.result)) as temporary:
                Path(temporary).write_text(json.dumps(line) + "\n", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"result {point.result}: {error.strerror}") from error

    agreed(ranks, write if ranks.rank == 0 else lambda: None, OutputError)


def in_words(value: object) -> str:
    """The value of an option: of a path its file's name."""
    if isinstance(value, str):
        return os.path.basename(value)
    return str(value).removesuffix(".0")


def title(point: Point, standing: Standing) -> str:
    """Which point, and what is to be done with it."""
    values = ", ".join(f"{name} {in_words(value)}" for name, value in point.values.items())
    doing = {Standing.NEW: "runs", Standing.BEGUN: "goes on", Standing.DONE: "is done"}[standing]
    return f"point {point.index} {f'({values}) ' if values else ''}{doing}"


def result(point: Point) -> dict[str, Any] | None:
    """What `save` wrote; None if the point is not done. Raises InputError."""
    try:
        line = json.loads(point.result.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"sweep: result {point.result}: {error}") from None
    if not isinstance(line, dict) or not isinstance(line.get("options"), dict):
        raise InputError(
            f"sweep: result {point.result}: not a result; allowed: what `distsim sweep run` wrote"
        )
    _check_same(point, f"result {point.result}", line["options"], LASTING)
    return line


def _check_same(point: Point, file: str, given: Mapping[str, Any], names: Iterable[str]) -> None:
    """Refuse a file that is of a point with other options."""
    asked = asdict(point.config)
    differing = [name for name in names if given.get(name, DEFAULTS[name]) != asked[name]]
    if differing:
        raise InputError(
            f"sweep: {file} is of a point with other options ({', '.join(differing)}); "
            "allowed: the file it was made from, or a new name for it"
        )


def _options(point: Point) -> dict[str, Any]:
    """What defines a point: its network, model and length, not how or where it runs."""
    values = asdict(point.config)
    return {name: values[name] for name in LASTING}


def collect(points: Sequence[Point]) -> dict[str, Any]:
    """points: own values and result of each that is done; begun, missing: the numbers of those
    that can be resumed, and of those that have nothing. Raises InputError."""
    standings = {point.index: _standing(point) for point in points}
    return {
        "points": [
            {"values": point.values, **(result(point) or {})}
            for point in points
            if standings[point.index] == Standing.DONE
        ],
        "begun": [index for index, one in standings.items() if one == Standing.BEGUN],
        "missing": [index for index, one in standings.items() if one == Standing.NEW],
    }
