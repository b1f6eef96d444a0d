"""What is due between windows: the same on every rank, whatever each of them would do."""

import os
import signal
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from distsim.config.options import Config
from distsim.errors import OutputError
from distsim.ranks.agreement import Decision, Decisions, Wish, agreed
from distsim.ranks.communicator import Communicator
from distsim.ranks.watchdog import Watchdog
from distsim.runs.checkpoint import Schedule


class Asked(Protocol):
    """Who may ask for a stop: by a signal, whose number this is, or not yet: 0."""

    @property
    def received(self) -> int: ...


class Due:
    """Looks at signals, clocks and whatever fails, and has all ranks decide alike.

    fails: whether this rank cannot go on; group: the ranks that make windows with this one, all
    without it; begun: when the run began (time.monotonic); transitions: events so far.
    """

    def __init__(
        self,
        config: Config,
        ranks: Communicator,
        fails: Callable[[], bool],
        *,
        group: Communicator | None = None,
        watchdog: Watchdog | None,
        signals: Asked | None,
        begun: float,
        transitions: int,
    ) -> None:
        self._config = config
        self._ranks = ranks
        self._fails = fails
        self._watchdog = watchdog
        self._signals = signals
        self._begun = begun
        self.decisions = Decisions(ranks, group)
        self.schedule = Schedule(config, transitions)
        self.saves = config.checkpoint is not None

    def wish(self) -> tuple[Wish, int]:
        """What this rank would do next."""
        if self._watchdog is not None:
            self._watchdog.begun()
        if self._fails():
            return Wish.FAIL, 0
        if self._signals is not None and self._signals.received:
            return Wish.STOP, self._signals.received
        limit = self._config.max_time
        if limit is not None and monotonic() - self._begun >= limit:
            return Wish.STOP, 0
        if self.saves and self._ranks.rank == 0:
            return (Wish.SAVE if self.schedule.overdue() else Wish.GO_ON), 0
        return Wish.GO_ON, 0

    def reason(self, decision: Decision) -> str:
        """Of a stop."""
        if decision.signal:
            return f"{signal.Signals(decision.signal).name} on rank {decision.rank}"
        return f"--max-time {self._config.max_time:g} s"


def on_root(ranks: Communicator, action: Callable[[], None]) -> None:
    """Have the root do it; its OutputError is raised on every rank alike."""
    agreed(ranks, action if ranks.rank == 0 else lambda: None, OutputError)


def way_on(config: Config) -> str:
    """What to add to the message of an error that ended the run."""
    path = config.checkpoint
    if path is None or not os.path.exists(path):
        return ""
    return f"; goes on with: distsim resume {path}"
