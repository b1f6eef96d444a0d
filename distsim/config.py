"""Every option of a run, in one frozen dataclass: validated once, stored in every output.

Values come from a TOML file, the environment (DISTSIM_<FIELD>) and the command line, each
overriding the one before (`gather`), or from Python (`Config(...)`): all pass the same checks.
A refusal says what was given, what is allowed, and where the value came from.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import numbers
import operator
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass
from pathlib import Path
from typing import Any

from distsim.errors import InputError
from distsim.whole import WRITING

DEFAULT_NETWORK = "celegans"
BUILT_IN = (DEFAULT_NETWORK, "gaussian", "hopfield")  # networks that are no file
DETAILS = ("neurons", "coupling", "network_seed", "patterns")  # of a kind of network
DEFAULT_TRANSITIONS = 20_000  # the length of a run of the default network
LENGTHS = ("transitions", "time", "steps", "sweeps")
LENGTHS_OF = {"mpm": ("transitions", "time"), "bm": ("transitions", "steps", "sweeps")}
PREFIX = "DISTSIM_"
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
SAVE_EVERY = "10m"  # the default of checkpoint_every
PREVIOUS = ".previous"  # after a checkpoint's name: the one before it
PARTIAL = ".partial"  # after an output file's name: while it grows

# The files that a run writes for an option: what follows its name.
WRITTEN = {
    "output": ("", PARTIAL),
    "checkpoint": ("", WRITING, PREVIOUS, PREVIOUS + WRITING),
}

# What defines the event stream of a network: a resumed run has them from its checkpoint. (The
# network itself is known by its digest, so that its file may have moved.)
STREAM = ("model", "tau", "seed", "weight_bits", "scan", "initial", "window")

# Where and how to run, which no event depends on: a resumed run heeds the environment for these.
CONDUCT = ("engine", "device", "exchange", "checkpoint_every", "max_time", "watchdog")


# Kinds of values. Each takes what Python, TOML or a line of text can give and returns the value
# in its one type; where it cannot, it raises ValueError with what is allowed.


@dataclass(frozen=True)
class Integer:
    """An integer in [low, high); 1e6 is one too."""

    low: int
    high: int | None = None
    metavar = "INTEGER"

    def __call__(self, value: object) -> int:
        number = _exact_integer(value)
        if number is None or number < self.low or (self.high is not None and number >= self.high):
            raise ValueError(str(self))
        return number

    def __str__(self) -> str:
        if self.high is None:
            return f"an integer, {self.low} or more"
        return f"an integer from {self.low} to {self.high - 1}"


@dataclass(frozen=True)
class Number:
    """A finite number, zero or more; `positive`: above zero."""

    positive: bool = False
    metavar = "NUMBER"

    def __call__(self, value: object) -> float:
        number = _real(value)
        if number is None or not math.isfinite(number) or number < 0:
            raise ValueError(str(self))
        if self.positive and number == 0:
            raise ValueError(str(self))
        return number

    def __str__(self) -> str:
        return "a finite number above 0" if self.positive else "a finite number, 0 or more"


@dataclass(frozen=True)
class Choice:
    """One of a few words or integers."""

    allowed: tuple[str | int, ...]
    metavar = None

    def __call__(self, value: object) -> str | int:
        for one in self.allowed:
            if value == one or value == str(one):
                return one
        raise ValueError(str(self))

    def __str__(self) -> str:
        return ", ".join(map(str, self.allowed[:-1])) + f" or {self.allowed[-1]}"


@dataclass(frozen=True)
class Text:
    """A word or a path; `number`: an integer does as well. `ending`: what a path ends with."""

    metavar: str
    number: bool = False
    words: tuple[str, ...] = ()
    ending: str = ""

    def __call__(self, value: object) -> str:
        if self.number and _is_integer(value):
            return str(value)
        if not isinstance(value, str | os.PathLike):
            raise ValueError(str(self))
        text = os.fspath(value)
        if not isinstance(text, str) or not text or "\0" in text:
            raise ValueError(str(self))
        if text not in self.words and not text.endswith(self.ending):
            raise ValueError(str(self))
        return text

    def __str__(self) -> str:
        return self.metavar


@dataclass(frozen=True)
class Duration:
    """Seconds, from a number of them or a number with its unit: 90, 30s, 10m, 2h, 1d."""

    metavar = "DURATION"

    def __call__(self, value: object) -> float:
        unit = 1.0
        if isinstance(value, str) and value[-1:] in UNITS:
            value, unit = value[:-1], UNITS[value[-1]]
        number = _real(value)
        if number is None or not math.isfinite(number) or number <= 0:
            raise ValueError(str(self))
        return number * unit

    def __str__(self) -> str:
        return "seconds, or a number with its unit: 30s, 10m, 2h, 1d"


@dataclass(frozen=True)
class Interval:
    """A duration with its unit, or a number of events; the text."""

    metavar = "DURATION|'K events'"

    def __call__(self, value: object) -> str:
        if isinstance(value, str):
            events = value.removesuffix("events")
            with contextlib.suppress(ValueError):
                if events != value:
                    return f"{Integer(1)(events.strip())} events"
                if value[-1:] in UNITS:
                    Duration()(value)
                    return value
        raise ValueError(str(self))

    def __str__(self) -> str:
        return "a number with its unit, 30s, 10m, 2h or 1d, or a number of events, '1e6 events'"


@dataclass(frozen=True)
class Flag:
    """True or false."""

    metavar = None

    def __call__(self, value: object) -> bool:
        match value.lower() if isinstance(value, str) else value:
            case True | "true" | "yes" | "on" | "1":
                return True
            case False | "false" | "no" | "off" | "0":
                return False
        raise ValueError(str(self))

    def __str__(self) -> str:
        return "true, yes, on, 1 or false, no, off, 0"


def _is_integer(value: object) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool)


def _exact_integer(value: object) -> int | None:
    """The integer that `value` is or spells, or None. Of floats only those without rounding."""
    if _is_integer(value):
        return operator.index(value)  # type: ignore[arg-type]
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            pass
    number = _real(value)
    if number is None or not math.isfinite(number) or number % 1 or abs(number) > 2**53:
        return None
    return int(number)


def _real(value: object) -> float | None:
    """The number that `value` is or spells, or None."""
    if isinstance(value, bool) or not isinstance(value, str | numbers.Real):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def option(default: Any, kind: Callable[[object], Any], text: str) -> Any:
    """A field of Config: its default (None: not given), its kind, its line of help."""
    return dataclasses.field(default=default, metadata={"kind": kind, "help": text})


SEED = Integer(0, 2**64)


@dataclass(frozen=True)
class Config:
    """The options of one run.

    `sources` names where values came from, field -> "--tau", "DISTSIM_TAU", "tau in run.toml",
    for messages only; `file` is the TOML file, which a run may not replace. Raises InputError.
    """

    model: str = option(
        "mpm", Choice(("mpm", "bm")), "McCulloch-Pitts machine or Boltzmann machine."
    )
    network: str = option(
        DEFAULT_NETWORK,
        Text("celegans|gaussian|hopfield|FILE"),
        "Built in, or a .npy, .npz, .csv or .txt file of weights.",
    )
    bias: str | None = option(None, Text("FILE"), "Bias of each neuron.")
    neurons: int | None = option(None, Integer(1), "Neurons of a generated network.")
    coupling: float | None = option(
        None, Number(), "Strength g of gaussian: weights normal(0, g / sqrt(neurons))."
    )
    network_seed: int | None = option(None, SEED, "Seed of a generated network.")
    patterns: str | None = option(
        None, Text("FILE|INTEGER", number=True), "Patterns of hopfield, or how many random ones."
    )
    tau: float = option(1.0, Number(), "Temperature.")
    seed: int = option(0, SEED, "Seed of the chain.")
    transitions: int | None = option(None, Integer(1), "Length: number of transitions.")
    time: float | None = option(None, Number(positive=True), "Length: model time (mpm).")
    steps: int | None = option(None, Integer(1), "Length: number of steps (bm).")
    sweeps: int | None = option(None, Integer(1), "Length: sweeps of one step a neuron (bm).")
    engine: str = option(
        "relax", Choice(("relax", "race")), "relax: many transitions a collective; race: one."
    )
    device: str = option("auto", Choice(("auto", "cpu", "gpu")), "Where to run.")
    exchange: str = option(
        "auto", Choice(("auto", "nccl", "peer")), "Between GPUs: peer memory of one host, or NCCL."
    )
    weight_bits: int = option(32, Choice((8, 16, 32)), "Bits of a stored weight.")
    scan: str | None = option(
        None,
        Choice(("sequential", "random")),
        "Which neuron a step visits (bm) [default: sequential].",
    )
    initial: str = option(
        "zeros",
        Text("zeros|ones|random|FILE.npy", words=("zeros", "ones", "random"), ending=".npy"),
        "Initial states.",
    )
    window: int | None = option(
        None, Integer(1, 2**32), "Events a window to aim at [default: from neurons, tau, weights]."
    )
    output: str | None = option(None, Text("FILE"), "HDF5 file for the events.")
    overwrite: bool = option(False, Flag(), "Replace existing output and checkpoint files.")
    checkpoint: str | None = option(
        None, Text("FILE"), "Where to save the run, for `distsim resume FILE`."
    )
    checkpoint_every: str | None = option(
        None, Interval(), f"How often, besides at its end [default: {SAVE_EVERY}]."
    )
    max_time: float | None = option(
        None, Duration(), "Stop after so long, as if by a signal: 90, 30s, 10m, 2h, 1d."
    )
    watchdog: float = option(
        60.0,
        Duration(),
        "Seconds without progress after which all ranks are ended; ten times as many before the "
        "first window is done and while files are written, if no rank of the node is stopped.",
    )
    sources: InitVar[Mapping[str, str] | None] = None
    file: InitVar[str | None] = None

    def __post_init__(self, sources: Mapping[str, str] | None, file: str | None) -> None:
        sources = sources or {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None or field.default is not None:
                self._set(field.name, _converted(field, value, sources))
        self._check_temperature(sources)
        self._check_length(sources)
        self._check_scan(sources)
        self._check_checkpoint(sources)
        self._check_files(sources, file)

    def asdict(self) -> dict[str, Any]:
        """Every option, by name."""
        return dataclasses.asdict(self)

    def json(self) -> str:
        """Every option, as stored in the output file."""
        return json.dumps(self.asdict())

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # the dataclass is frozen for everybody else

    def _check_temperature(self, sources: Mapping[str, str]) -> None:
        if self.model == "mpm" and self.tau == 0:
            raise InputError(
                f"{_place('tau', sources)}: 0 given; allowed for the mpm: above 0, since its rates "
                "exp(s z / (2 tau)) diverge at 0 (the bm at 0 is the Hopfield network: model bm)"
            )

    def _check_length(self, sources: Mapping[str, str]) -> None:
        given = [name for name in LENGTHS if getattr(self, name) is not None]
        allowed = LENGTHS_OF[self.model]
        if len(given) > 1:
            places = ", ".join(_place(name, sources) for name in given)
            raise InputError(f"{places}: {len(given)} lengths given; allowed: one")
        if not given:
            if self.network != DEFAULT_NETWORK:
                raise InputError(
                    f"no length given for network {self.network}; allowed for the {self.model}: "
                    f"one of {', '.join(allowed)}"
                )
            self._set("transitions", DEFAULT_TRANSITIONS)
        elif given[0] not in allowed:
            raise InputError(
                f"{_place(given[0], sources)}: given for the {self.model}; allowed there: "
                f"one of {', '.join(allowed)}"
            )
        if self.tau == 0 and self.transitions is not None:
            number = f"{self.transitions} given" if given else "none given"
            raise InputError(
                f"{_place('transitions', sources)}: {number} at tau 0; allowed there: steps or "
                "sweeps, since at tau 0 a network can come to rest and make no more transitions"
            )

    def _check_scan(self, sources: Mapping[str, str]) -> None:
        if self.model == "bm":
            self._set("scan", self.scan or "sequential")
        elif self.scan is not None:
            raise InputError(
                f"{_place('scan', sources)}: {self.scan} given for the mpm; allowed for the bm only"
            )

    def _check_checkpoint(self, sources: Mapping[str, str]) -> None:
        if self.checkpoint is None and self.checkpoint_every is not None:
            raise InputError(
                f"{_place('checkpoint_every', sources)}: given without a checkpoint; "
                f"allowed: with {flag('checkpoint')} FILE"
            )

    def _check_files(self, sources: Mapping[str, str], file: str | None) -> None:
        """Refuse to write a file that is read, or one file for two purposes; by real paths."""
        users = {os.path.realpath(path): _place(name, sources) for name, path in self._read()}
        if file is not None:
            users[os.path.realpath(file)] = "the configuration"
        for name, endings in WRITTEN.items():
            path, place = getattr(self, name), _place(name, sources)
            for ending in () if path is None else endings:
                real = os.path.realpath(path + ending)
                if real in users:
                    raise InputError(
                        f"{place}: {path} given, but {path}{ending} belongs to {users[real]}; "
                        "allowed: a file that the run does not use otherwise"
                    )
                users[real] = place

    def _read(self) -> Iterator[tuple[str, str]]:
        """(field, path) of the files that a run reads."""
        if self.network not in BUILT_IN:
            yield "network", self.network
        if self.bias is not None:
            yield "bias", self.bias
        if self.patterns is not None and not self.patterns.isdecimal():
            yield "patterns", self.patterns
        if self.initial.endswith(".npy"):
            yield "initial", self.initial

    @property
    def save_events(self) -> int | None:
        """Events from one checkpoint to the next, where so configured."""
        text = self.checkpoint_every or SAVE_EVERY
        return int(text.split()[0]) if text.endswith("events") else None

    @property
    def save_seconds(self) -> float | None:
        """Seconds from one checkpoint to the next, where so configured."""
        text = self.checkpoint_every or SAVE_EVERY
        return None if text.endswith("events") else Duration()(text)


FIELDS: dict[str, dataclasses.Field[Any]] = {
    field.name: field for field in dataclasses.fields(Config)
}


def _place(name: str, sources: Mapping[str, str]) -> str:
    """Where the value of an option came from, in words; its plain name from Python."""
    return sources.get(name, name)


def _converted(field: dataclasses.Field[Any], value: object, sources: Mapping[str, str]) -> Any:
    try:
        return field.metadata["kind"](value)
    except ValueError as error:
        raise InputError(
            f"{_place(field.name, sources)}: {value!r} given; allowed: {error}"
        ) from None


def flag(name: str) -> str:
    """The option of the command line for a field."""
    return "--" + name.replace("_", "-")


def gather(
    file: str | None, environment: Mapping[str, str], options: Mapping[str, object]
) -> Config:
    """Config from a TOML file (None: no file), then the environment, then the command line.

    `options` maps fields to values, None where not given. The four lengths are one option in
    four units: a later source's length replaces an earlier one's. Raises InputError.
    """
    layers = [{} if file is None else _file_values(file), _environment_values(environment)]
    return _overlaid([*layers, _option_values(options)], file)


def amend(
    path: str,
    stored: Mapping[str, object],
    environment: Mapping[str, str],
    options: Mapping[str, object],
) -> Config:
    """Config of a resumed run: what the checkpoint at `path` stored, then the command line, which
    may not change what defines the event stream.

    The environment had its say when the run began, and its command line may have overruled it: now
    it counts for where and how to run (CONDUCT) alone. Further checkpoints go to the same file;
    max_time was that of the earlier run; exchange stays unless device or engine are changed, and
    so do the options of a generated network unless its weights come from elsewhere now, as from a
    file made of it; overwrite allowed to replace the files of the first run, not others.
    Raises InputError.
    """
    unknown = sorted(set(stored) - set(FIELDS))
    if unknown:
        raise InputError(f"checkpoint {path}: unknown option {unknown[0]}: of another version")
    around = _environment_values(environment)
    given = {name: around[name] for name in CONDUCT if name in around} | _option_values(options)
    base = {name: (value, f"{name} in {path}") for name, value in stored.items()}
    for name in _outdated(stored, given):
        base.pop(name, None)
    base["checkpoint"] = (path.removesuffix(PREVIOUS), "checkpoint")
    after = _overlaid([base, given])
    for name in STREAM:
        now, kept = getattr(after, name), stored[name]
        if now != kept:
            raise InputError(
                f"{given[name][1]}: {now} given to resume a run with {kept}; allowed: the same, "
                f"since it defines the events ({', '.join(STREAM)})"
            )
    if after.checkpoint != base["checkpoint"][0]:
        assert after.checkpoint is not None
        _check_saving(after.checkpoint, "overwrite" in given and after.overwrite)
    return after


def _outdated(stored: Mapping[str, object], given: Mapping[str, tuple[object, str]]) -> set[str]:
    """The options of an earlier run that do not hold for one resumed with those given now."""
    outdated = {"max_time"}
    if any(name in given and given[name][0] != stored[name] for name in ("device", "engine")):
        outdated.add("exchange")
    if "network" in given and _kind(given["network"][0]) != _kind(stored["network"]):
        outdated.update(DETAILS)
    return outdated


def _kind(network: object) -> str:
    """What a network is made from: the name of a built-in one, the ending of a file."""
    name = str(network)
    return name if name in BUILT_IN else os.path.splitext(name)[1]


def _overlaid(
    layers: Sequence[Mapping[str, tuple[object, str]]], file: str | None = None
) -> Config:
    """Config from layers of field -> (value, place), each overriding those before."""
    values: dict[str, object] = {}
    sources: dict[str, str] = {}
    for layer in layers:
        if any(name in layer for name in LENGTHS):
            for name in LENGTHS:
                values.pop(name, None)
        for name, (value, place) in layer.items():
            values[name], sources[name] = value, place
    return Config(**values, sources=sources, file=file)  # type: ignore[arg-type]


def _option_values(options: Mapping[str, object]) -> dict[str, tuple[object, str]]:
    """Field -> (value, place) from the command line."""
    return {name: (value, flag(name)) for name, value in options.items() if value is not None}


def _file_values(path: str) -> dict[str, tuple[object, str]]:
    """Field -> (value, place) from a TOML file of plain keys."""
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"configuration {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"configuration {path}: not UTF-8 text; allowed: a TOML file") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"configuration {path}: not TOML: {error}") from None
    for key in table:
        if key not in FIELDS:
            raise InputError(f"configuration {path}: key {key}; allowed: {', '.join(FIELDS)}")
    return {key: (value, f"{key} in {path}") for key, value in table.items()}


def _environment_values(environment: Mapping[str, str]) -> dict[str, tuple[object, str]]:
    """Field -> (value, place) from the variables DISTSIM_<FIELD>."""
    allowed = {PREFIX + name.upper(): name for name in FIELDS}
    given = sorted(variable for variable in environment if variable.startswith(PREFIX))
    for variable in given:
        if variable not in allowed:
            raise InputError(f"environment: {variable}; allowed: {', '.join(allowed)}")
    return {allowed[variable]: (environment[variable], variable) for variable in given}


def check_output(config: Config) -> None:
    """Raise InputError where the files of a new run cannot be written. For root, before it."""
    if config.output is not None:
        check_writable(config.output, config.overwrite)
    if config.checkpoint is not None:
        _check_saving(config.checkpoint, config.overwrite)


def _check_saving(path: str, overwrite: bool) -> None:
    """Raise InputError if checkpoints cannot be written at `path`, or one is there already."""
    for name in (path, path + PREVIOUS):
        check_writable(name, overwrite, "checkpoint")


def check_writable(
    path: str, overwrite: bool, what: str = "output", source: str | None = None
) -> None:
    """Raise InputError if a file cannot be made at `path`, or is there and not to be replaced.

    source: a file that is read for it, never to be replaced.
    """
    folder = os.path.dirname(path) or "."
    if source is not None and os.path.realpath(path) == os.path.realpath(source):
        raise InputError(f"{what} {path}: is what is read; allowed: another file")
    if os.path.isdir(path):
        raise InputError(f"{what} {path}: a folder; allowed: a file")
    if os.path.lexists(path) and not overwrite:
        way_out = f", or go on with it: distsim resume {path}" if what == "checkpoint" else ""
        raise InputError(
            f"{what} {path}: exists; allowed: a new file, or this one with --overwrite{way_out}"
        )
    if not os.path.isdir(folder):
        raise InputError(
            f"{what} {path}: no folder {folder}; allowed: a file in an existing folder"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{what} {path}: folder {folder} is not writable")
