"""Keeps a run: saves it now and then, and stops it where all ranks agree to.

Whatever the reason, a run leaves its loop on every rank after the same window: at its length, for
a signal on any rank, at `max_time`, or because the root cannot write a file.
"""

import contextlib
import os
import signal
from collections.abc import Callable
from time import monotonic

from distsim.chains.chain import Chain, Position
from distsim.config.options import Config
from distsim.errors import OutputError
from distsim.ranks.agreement import Agreement, Decision, Wish, agreed
from distsim.ranks.communicator import Communicator
from distsim.ranks.signals import Signals
from distsim.ranks.watchdog import Watchdog
from distsim.recording.recorder import Recorder
from distsim.recording.sinks import Guarded
from distsim.runs import checkpoint
from distsim.runs.checkpoint import Checkpoint, Schedule
from distsim.runs.output import EventFile


class Keeper:
    """The files of a run, and its end.

    network: its digest; file: the root's output, which the recorder fills; begun: when the run
    began (time.monotonic).
    """

    def __init__(
        self,
        config: Config,
        ranks: Communicator,
        network: str,
        recorder: Recorder,
        file: EventFile | None,
        watchdog: Watchdog,
        signals: Signals | None,
        begun: float,
    ) -> None:
        self.stopped: str | None = None  # why, before the run's length was reached
        self._config = config
        self._ranks = ranks
        self._network = network
        self._recorder = recorder
        self._file = file
        self._watchdog = watchdog
        self._signals = signals
        self._begun = begun
        self._agreement = Agreement(ranks)
        self._schedule = Schedule(config, recorder.transitions)
        self._saves = config.checkpoint is not None

    def goes_on(self, chain: Chain) -> bool:
        """Do what is due after a window; False: leave the loop. Raises OutputError."""
        decision = self._agreement.reach(self._wish)
        due = self._saves and self._schedule.due(self._recorder.transitions)
        if decision.wish == Wish.GO_ON and not due:
            return True
        if decision.wish == Wish.FAIL:
            self._check()
        if decision.wish == Wish.STOP and not self._recorder.finished(chain.now()):
            self.stopped = self._reason(decision)
            return False
        self.save(chain)
        self._watchdog.begun()  # the disk is done: windows again
        return True

    def save(self, chain: Chain) -> None:
        """Write a checkpoint, where one is configured. Raises OutputError on every rank alike."""
        path = self._config.checkpoint
        if path is None:
            return
        self._watchdog.wait_long()  # a disk may take its time
        position = chain.position(self._recorder)
        self._recorder.flush()
        self._check()
        saved = Checkpoint(
            config=self._config.asdict(),
            network=self._network,
            neurons=position.states.size,
            position=position,
            transitions=self._recorder.transitions,
            time=self._time(chain, position),
        )
        self._written(lambda: self._write(path, saved))
        self._schedule.saved(self._recorder.transitions)

    def end(self, chain: Chain) -> None:
        """After the loop: nothing waits any more, and there is a checkpoint. Raises OutputError."""
        self._watchdog.wait_long()  # a disk may take its time
        self._recorder.flush()
        self._check()
        self.save(chain)

    def close(self, finish: Callable[[EventFile], None]) -> None:
        """Leave the output partial, or have it finished. Raises OutputError on every rank alike."""
        file = self._file
        if file is None:
            self._written(lambda: None)
        elif self.stopped is None:
            self._written(lambda: finish(file))
        else:
            self._written(file.leave)

    def fail(self) -> None:
        """After an error: what was recorded so far stays in the partial output."""
        if self._file is None:
            return
        if self._recorder.transitions:
            self._recorder.flush()
            with contextlib.suppress(OutputError):  # it is closed; its last commit is on the disk
                self._file.leave()
        else:
            self._file.discard()

    def way_on(self) -> str:
        """What to add to the message of an error that ended the run."""
        path = self._config.checkpoint
        if path is None or not os.path.exists(path):
            return ""
        return f"; goes on with: distsim resume {path}"

    def _wish(self) -> tuple[Wish, int]:
        self._watchdog.begun()
        sink = self._recorder.sink
        if isinstance(sink, Guarded) and sink.error is not None:
            return Wish.FAIL, 0
        if self._signals is not None and self._signals.received:
            return Wish.STOP, self._signals.received
        limit = self._config.max_time
        if limit is not None and monotonic() - self._begun >= limit:
            return Wish.STOP, 0
        if self._saves and self._ranks.rank == 0:
            return (Wish.SAVE if self._schedule.overdue() else Wish.GO_ON), 0
        return Wish.GO_ON, 0

    def _reason(self, decision: Decision) -> str:
        if decision.signal:
            return f"{signal.Signals(decision.signal).name} on rank {decision.rank}"
        return f"--max-time {self._config.max_time:g} s"

    def _time(self, chain: Chain, position: Position) -> float:
        """Model time up to which all is recorded."""
        if self._recorder.until is not None:
            return min(self._recorder.until, chain.now())
        cut = position.transitions < self._recorder.transitions
        return self._recorder.last if cut else chain.now()

    def _write(self, path: str, saved: Checkpoint) -> None:
        """On the root: the events first, which the checkpoint refers to."""
        if self._ranks.rank == 0:
            if self._file is not None:
                self._file.sync()
            checkpoint.write(path, checkpoint.pack(saved))

    def _check(self) -> None:
        """Raise the sink's OutputError on every rank alike."""
        sink = self._recorder.sink
        self._written(sink.check if isinstance(sink, Guarded) else lambda: None)

    def _written(self, action: Callable[[], None]) -> None:
        """Do what only the root does; its OutputError is raised on every rank alike."""
        agreed(self._ranks, action, OutputError)
