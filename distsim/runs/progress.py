"""How far a run is: a bar on a terminal; elsewhere a line now and then."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from distsim.runs.results import Progress


BAR = 30  # characters
ON_TERMINAL, ELSEWHERE = 0.2, 30.0  # seconds between two reports


def display(stream: TextIO = sys.stderr) -> Callable[[Progress], None]:
    """A function that shows each Progress it is called with, if it is time to."""
    terminal = stream.isatty()
    every = ON_TERMINAL if terminal else ELSEWHERE
    shown = 0.0

    def show(progress: Progress) -> None:
        nonlocal shown
        done = progress.fraction >= 1
        if terminal and done and shown:
            stream.write("\r\033[K")
        elif not done and progress.seconds - shown >= every:
            shown = progress.seconds
            line = describe(progress)
            stream.write(f"\r\033[K{bar(progress.fraction)} {line}" if terminal else f"{line}\n")
        stream.flush()

    return show


def bar(fraction: float) -> str:
    full = int(BAR * fraction)
    return f"[{'#' * full}{'-' * (BAR - full)}]"


def describe(progress: Progress) -> str:
    """Events, rate and time left, on one line."""
    left = "?"
    done = progress.fraction - progress.resumed
    if done > 0:
        left = duration(progress.seconds * (1 - progress.fraction) / done)
    rate = (progress.transitions - progress.before) / progress.seconds
    return (
        f"{100 * progress.fraction:.0f}%  {progress.transitions:,} transitions, "
        f"{rate:,.0f} a second, {left} left"
    )


def duration(seconds: float) -> str:
    """A number of seconds in words: 12 s, 3 min 20 s, 1 h 02 min."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    if minutes:
        return f"{minutes} min {seconds:02} s"
    return f"{seconds} s"
