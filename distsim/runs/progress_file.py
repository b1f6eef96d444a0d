"""Progress for programs that watch: a file of lines of JSON, at most one a second.

| key | value |
|---|---|
| time | model time, or the step of a BM, up to which all is done |
| steps | the same, of a BM |
| transitions | events so far |
| transitions_per_second | since the run began, or went on |
| fraction | of the run's length, 0 to 1 |
| seconds | since the run began, or went on |
| energy, best_energy, cut, best_cut, activity, rate | `recording.scalars`, those known |

The last line is that of the end, with the numbers of the summary. A run that goes on appends; it
may begin with less than the line before, if that run was killed after its last checkpoint.

A line that cannot be written never ends a run: the lines are a by-product, which nobody needs who
has the output file, and hours of a run that can write its output are worth more. So the first error
ends the lines, and is told.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from distsim.files.claim import lock
from distsim.recording import scalars

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from distsim.runs.results import Progress, Summary

EVERY = 1.0  # seconds between two lines at least
_TAIL = 1 << 16  # bytes looked at for the end of the last whole line


class ProgressFile:
    """Takes each Progress, and the summary at last. One rank, the root, holds it.

    error: why lines are missing.
    """

    def __init__(
        self,
        path: str,
        *,
        again: bool,
        steps: bool,
        seen: Callable[[], scalars.Scalars] | None = None,
    ) -> None:
        """again: after the lines that are there; steps: time is counted in these; seen: gives
        the observables so far."""
        self.error: str | None = None
        self._path = path
        self._steps = steps
        self._scalars = seen
        self._written = 0.0  # seconds of the run
        self._descriptor = -1
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            lock(self._descriptor)
            os.ftruncate(self._descriptor, _end_of_lines(self._descriptor) if again else 0)
        except OSError as error:
            self._fail(error)

    def __call__(self, progress: Progress) -> None:
        """Write a line if it is time to, and not that of the end."""
        if progress.seconds - self._written < EVERY or progress.fraction >= 1:
            return
        self._written = progress.seconds
        line = {
            "time": progress.time,
            "steps": int(progress.time),
            "transitions": progress.transitions,
            "transitions_per_second": (progress.transitions - progress.before) / progress.seconds,
            "fraction": progress.fraction,
            "seconds": progress.seconds,
        }
        self._write(line if self._scalars is None else line | self._scalars()._asdict())

    def end(self, summary: Summary, fraction: float) -> None:
        """The last line."""
        names = ("time", "steps", "transitions", "transitions_per_second")
        line = {name: getattr(summary, name) for name in names}
        line |= {"fraction": fraction, "seconds": summary.seconds}
        self._write(line | {name: getattr(summary, name) for name in scalars.NAMES})

    def close(self) -> None:
        """No line comes any more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, values: Mapping[str, Any]) -> None:
        """One write a line, and none that is not whole."""
        if self._descriptor < 0:
            return
        known = {name: value for name, value in values.items() if value is not None}
        if not self._steps:
            known.pop("steps", None)
        data = f"{json.dumps(known)}\n".encode()
        before = os.fstat(self._descriptor).st_size
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            os.ftruncate(self._descriptor, before)
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        self.error = f"progress {self._path}: {error.strerror}; its lines end here"
        self.close()


def _end_of_lines(descriptor: int) -> int:
    """Where the last whole line ends: what follows is of a run that was killed."""
    size = os.fstat(descriptor).st_size
    start = max(0, size - _TAIL)
    return start + os.pread(descriptor, size - start, start).rfind(b"\n") + 1
