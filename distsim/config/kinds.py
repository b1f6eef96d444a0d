"""Kinds of values.

Each takes what Python, TOML or a line of text can give and returns the value in its one type; where
it cannot, it raises ValueError with what is allowed.
"""

from __future__ import annotations

import contextlib
import math
import numbers
import operator
import os
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from distsim.limits import MOST_NEURONS

LONGEST = 1e9  # seconds, some 30 years: clocks and waits of the system know no more
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


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
            if isinstance(value, str | int) and value in (one, str(one)):
                return one
        raise ValueError(str(self))

    def __str__(self) -> str:
        return ", ".join(map(str, self.allowed[:-1])) + f" or {self.allowed[-1]}"


@dataclass(frozen=True)
class Words:
    """Some of a few words, as a list or with commas between: the text, in the words' own order."""

    allowed: tuple[str, ...]
    metavar = "NAME,..."

    def __call__(self, value: object) -> str:
        given = _parts(value)
        if not given or not all(isinstance(one, str) and one in self.allowed for one in given):
            raise ValueError(str(self))
        return ",".join(word for word in self.allowed if word in given)

    def __str__(self) -> str:
        return f"one or more of {', '.join(self.allowed)}"


@dataclass(frozen=True)
class Indices:
    """Neurons: FROM:TO (TO is not among them), or indices and names as a list or with commas
    between. A network says which of them are names."""

    metavar = "FROM:TO|NEURON,..."

    def __call__(self, value: object) -> str:
        if isinstance(value, range | slice) and value.step in (None, 1):
            value = f"{value.start or 0}:{value.stop}"
        if isinstance(value, range) and len(value) > MOST_NEURONS:
            raise ValueError(f"{self}, {MOST_NEURONS:,} at most")
        ends = _ends(value)
        if ends is not None:
            first, stop = ends
            if not 0 <= first < stop:
                raise ValueError(str(self))
            return f"{first}:{stop}"
        neurons = [_neuron(part) for part in _parts(value)]
        if not neurons or None in neurons:
            raise ValueError(str(self))
        if len(set(neurons)) < len(neurons):
            raise ValueError(f"{self}, each once")
        return ",".join(map(str, neurons))

    def __str__(self) -> str:
        return "FROM:TO, or indices or names of neurons"


def indices(text: str) -> range | list[str]:
    """The neurons that a text of `Indices` names: a range, or indices and names."""
    ends = _ends(text)
    return text.split(",") if ends is None else range(*ends)


def _ends(value: object) -> tuple[int, int] | None:
    """FROM and TO, of a text that gives both."""
    if not isinstance(value, str) or value.count(":") != 1:
        return None
    first, stop = (_exact_integer(end) for end in value.split(":"))
    return None if first is None or stop is None else (first, stop)


def _neuron(part: object) -> str | None:
    """An index or a name; None for a number that is no index, and half a range."""
    number = _exact_integer(part)
    if number is not None:
        return str(number) if number >= 0 else None
    if not isinstance(part, str) or _real(part) is not None or part[:1] in ("", ":"):
        return None
    return None if part[-1] == ":" or "," in part else part


@dataclass(frozen=True)
class Columns:
    """The columns of an edge's source, its target and, if there is one, its weight: the text."""

    metavar = "SOURCE,TARGET[,WEIGHT]"

    def __call__(self, value: object) -> str:
        given = _parts(value)
        if len(given) not in (2, 3) or len({*given}) < len(given):
            raise ValueError(str(self))
        if not all(isinstance(one, str) for one in given):
            raise ValueError(str(self))
        return ",".join(given)

    def __str__(self) -> str:
        return "two or three names of columns, source, target and perhaps weight"


@dataclass(frozen=True)
class Cells:
    """A column and some of its values, COLUMN=VALUE,..., or a share from 0 to 1: the text."""

    metavar = "COLUMN=VALUE,...|SHARE"

    def __call__(self, value: object) -> str:
        share = _real(value)
        if share is not None and 0 <= share <= 1:
            return plain(share)
        if isinstance(value, str):
            column, equals, values = (part.strip() for part in value.partition("="))
            if column and equals and _parts(values):
                return f"{column}={','.join(_parts(values))}"
        raise ValueError(str(self))

    def __str__(self) -> str:
        return "a column and one or more of its values, COLUMN=VALUE,..., or a share from 0 to 1"


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
        if number is None or not 0 < number * unit <= LONGEST:
            raise ValueError(str(self))
        return number * unit

    def __str__(self) -> str:
        return f"seconds, or a number with its unit, up to {LONGEST:g} s: 30s, 10m, 2h, 1d"


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
        match str(value).lower() if isinstance(value, str | bool | int) else value:
            case "true" | "yes" | "on" | "1":
                return True
            case "false" | "no" | "off" | "0":
                return False
        raise ValueError(str(self))

    def __str__(self) -> str:
        return "true, yes, on, 1 or false, no, off, 0"


def plain(number: float) -> str:
    """A number as a text that is read as the same one."""
    return repr(number).removesuffix(".0")


def short(value: object) -> str:
    """A value in a message: never an array, never long."""
    shape = getattr(value, "shape", None)
    if shape is not None and shape != ():
        return f"an array of shape {shape}"
    try:
        return _SHORT.repr(value)
    except ValueError:  # an integer of more digits than Python writes
        return "an integer of thousands of digits"


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


def _parts(value: object) -> list[Any]:
    """The members of a list, or of a text with commas between; none of what is neither."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if _is_integer(value):
        return [value]
    return list(value) if isinstance(value, Iterable) and not isinstance(value, Mapping) else []


def _is_integer(value: object) -> bool:
    array = getattr(value, "shape", ()) != ()
    return hasattr(value, "__index__") and not isinstance(value, bool) and not array


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
