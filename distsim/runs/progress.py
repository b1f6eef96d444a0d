"""How far a run is: a bar on a terminal; elsewhere a line now and then."""

from __future__ import annotations

import contextlib
import sys
from time import monotonic
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from distsim.runs.results import Progress


BAR = 30  # characters
ON_TERMINAL, ELSEWHERE = 0.2, 30.0  # seconds between two lines
SURE = 1.0  # seconds that a rate and an estimate need
COMPILING = "compiling kernels (once, about 25 s)"
_CLEAR = "\r\033[K"  # what stands on the line of a terminal


class Display:
    """Shows each Progress that it is called with, if it is time to, and what precedes them."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._shown = 0.0  # seconds of the run
        self._told = monotonic()  # when something was said that is of no run
        self._compiles = False
        self._line = False  # whether one stands on a terminal

    def __call__(self, progress: Progress) -> None:
        every = ON_TERMINAL if self._terminal else ELSEWHERE
        if progress.fraction >= 1:
            self.clear()
        elif progress.seconds - self._shown >= every:
            self._shown = progress.seconds
            line = describe(progress)
            self._write(f"{bar(progress.fraction)} {line}" if self._terminal else line)

    def done(self, fraction: float, what: str) -> None:
        """How far something is that is no run."""
        line = f"{100 * fraction:.0f}%  {what}"
        self.doing(f"{bar(fraction)} {line}" if self._terminal else line)

    def doing(self, line: str) -> None:
        """What goes on that is no run: on a terminal always, elsewhere if it is time to."""
        if self._terminal:
            self._write(line)
        elif monotonic() - self._told >= ELSEWHERE:
            self._told = monotonic()
            self._write(line)

    def compiling(self, kernel: str) -> None:
        """A kernel is about to be compiled, before the first window or, at worst, later."""
        if self._terminal:
            self._write(f"{COMPILING}: {kernel}")
        elif not self._compiles:
            self._write(COMPILING)
        self._compiles = True

    def tell(self, line: str) -> None:
        """What stays to be read."""
        self.clear()
        self._say(f"{line}\n")

    def clear(self) -> None:
        """Take the line away that stands on a terminal."""
        if self._line:
            self._say(_CLEAR)
            self._line = False

    def _write(self, line: str) -> None:
        self._say(f"{_CLEAR}{line}" if self._terminal else f"{line}\n")
        self._line = self._terminal

    def _say(self, text: str) -> None:
        """A run goes on where nobody reads it any more."""
        with contextlib.suppress(OSError):
            self._stream.write(text)
            self._stream.flush()


def display(stream: TextIO | None = None) -> Display:
    """What shows how far a run is, on standard error."""
    return Display(sys.stderr if stream is None else stream)


def bar(fraction: float) -> str:
    full = int(BAR * fraction)
    return f"[{'#' * full}{'-' * (BAR - full)}]"


def describe(progress: Progress) -> str:
    """Events, rate and time left, on one line; the first second tells neither rate nor time."""
    head = f"{100 * progress.fraction:.0f}%  {progress.transitions:,} transitions"
    done = progress.fraction - progress.resumed
    if progress.seconds < SURE:
        return head
    rate = (progress.transitions - progress.before) / progress.seconds
    left = duration(progress.seconds * (1 - progress.fraction) / done) if done > 0 else "?"
    return f"{head}, {rate:,.0f} a second, {left} left"


def duration(seconds: float) -> str:
    """A number of seconds in words: 12 s, 3 min 20 s, 1 h 02 min."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    if minutes:
        return f"{minutes} min {seconds:02} s"
    return f"{seconds} s"
