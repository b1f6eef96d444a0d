"""Tables in texts: which character stands between fields, which columns are meant, and the rows.

The first line names the columns. Its delimiter is that of `DELIMITERS` with which it has those that
are looked for. Quotes, CRLF and a byte order mark are as spreadsheets write them. Rows are read by
C code alone; in which line one is, is looked up for messages.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import IO, Any, NamedTuple

from distsim.errors import InputError
from distsim.networks.text import open_text, shown

DELIMITERS = ",;\t "
BLOCK = 256  # rows at a time: fewer lists than make Python's collector look at all of them

Rows = list[list[str]]


class Table(NamedTuple):
    """An open table: the names of its columns, where those are that were looked for (int; None: an
    optional one that it lacks), and blocks of rows, none of them empty."""

    path: str
    delimiter: str
    header: list[str]
    found: tuple[Any, ...]
    blocks: Iterator[Rows]

    def places(self, row: int) -> Iterator[str]:
        """Where rows are, from `row` on, for messages: the file and the line."""
        with open_text(self.path) as file:
            file.readline()
            reader = _reader(file, self.delimiter)
            for _ in islice(filter(None, reader), row, None):
                yield f"{self.path}, line {reader.line_num + 1}"


@contextmanager
def open_table(path: str, find: Callable[[str, Sequence[str]], tuple[Any, ...]]) -> Iterator[Table]:
    """find(place, header): the columns that are wanted; it raises InputError where they are not
    there. Raises InputError."""
    with open_text(path) as file:
        place = f"{path}, line 1"
        line = file.readline()
        line = line[1:] if line.startswith("#") else line
        headers = {one: _cells(line, one) for one in DELIMITERS}
        by_width = sorted(DELIMITERS, key=lambda one: -len(headers[one]))
        delimiter = by_width[0]  # whose refusal is told, if none is right
        for one in by_width:
            with suppress(InputError):
                find(place, headers[one])
                delimiter = one
                break
        header = headers[delimiter]
        yield Table(path, delimiter, header, find(place, header), _blocks(path, file, delimiter))


def named(
    place: str,
    header: Sequence[str],
    words: Mapping[str, Iterable[str]],
    optional: str = "",
    otherwise: str = "",
) -> tuple[Any, ...]:
    """The columns that are called by one of the words for each; spaces, `_`, `.`, `-` and capitals
    do not count. optional: what may lack; otherwise: what else is allowed. Raises InputError where
    one is not there, or two are."""
    plain = [re.sub(r"[\s_.-]", "", name).casefold() for name in header]
    found: list[int | None] = []
    for what, allowed in words.items():
        fitting = [k for k, name in enumerate(plain) if name in {*allowed}]
        if len(fitting) > 1:
            several = shown(", ".join(header[k] for k in fitting))
            raise InputError(f"{place}: columns {several} given; allowed: one {what}{otherwise}")
        if not fitting and what != optional:
            names = ", ".join(words)
            raise no_columns(place, header, f"{names}, or what these are often called{otherwise}")
        found.append(fitting[0] if fitting else None)
    return tuple(found)


def no_columns(place: str, header: Sequence[str], allowed: str) -> InputError:
    """The error for a table without columns that are looked for."""
    given = shown(", ".join(header)) or "none"
    return InputError(f"{place}: columns {given} given; allowed: {allowed}")


def _cells(line: str, delimiter: str) -> list[str]:
    """The fields of the first line, or all of it where they are not so delimited."""
    try:
        return [cell.strip() for cell in next(_reader([line], delimiter), [])]
    except csv.Error:
        return [line.strip()]


def _blocks(path: str, file: IO[str], delimiter: str) -> Iterator[Rows]:
    reader = _reader(file, delimiter)
    try:
        while rows := list(islice(reader, BLOCK)):
            yield rows if all(rows) else list(filter(None, rows))
    except csv.Error as error:
        raise InputError(f"{path}, line {_broken(path, delimiter)}: not a table: {error}") from None


def _broken(path: str, delimiter: str) -> int:
    """The line in which the row begins that is none."""
    with open_text(path) as file, suppress(csv.Error):
        file.readline()
        reader, last = _reader(file, delimiter), 1
        for _ in reader:
            last = 1 + reader.line_num
    return last + 1


def _reader(lines: Iterable[str], delimiter: str) -> Any:
    if delimiter == " ":  # any number of them
        lines = (re.sub(r"\s+", " ", line.strip()) for line in lines)
    return csv.reader(lines, delimiter=delimiter, strict=True)
