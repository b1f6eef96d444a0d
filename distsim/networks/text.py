"""Networks in texts: lines and numbers, and where each went wrong."""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

from distsim.errors import InputError
from distsim.files.arrays import reading


@contextmanager
def open_text(path: str) -> Iterator[IO[str]]:
    """A text file, compressed if it is called .gz; what cannot be read becomes InputError."""
    opens: Callable[..., IO[str]] = gzip.open if path.endswith(".gz") else open
    with reading(path):
        try:
            with opens(path, "rt", encoding="utf-8-sig", newline="") as file:
                yield file
        except UnicodeDecodeError:
            raise InputError(f"{path}: not UTF-8 text") from None


def number(place: str, what: str, text: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{place}: {what} {shown(text)!r} given; allowed: a finite number")
    return value


def integer(place: str, text: str) -> int:
    """An integer, zero or more: how many neurons or edges, or which neuron."""
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InputError(f"{place}: {shown(text)!r} given; allowed: an integer")
    return int(text)


def counted(count: int, noun: str) -> str:
    """A number of things."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def shown(text: str) -> str:
    """What a file holds, as messages show it: a file of something else may be one long line."""
    return text if len(text) <= 60 else text[:60] + "..."
