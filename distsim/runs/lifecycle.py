"""The life of a run: saved now and then, stopped where all ranks agree to, its files closed.

Whatever the reason, a run leaves its loop on every rank after the same window: at its length, for
a signal on any rank, at `max_time`, or because the root cannot write a file.
"""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from time import monotonic

from distsim.chains.chain import Chain, Position
from distsim.config.options import Config
from distsim.errors import OutputError
from distsim.ranks.agreement import Decision, Decisions, Wish, agreed
from distsim.ranks.communicator import Communicator
from distsim.ranks.signals import Signals
from distsim.ranks.watchdog import Watchdog
from distsim.recording.recorder import Recorder
from distsim.recording.sinks import Deferred
from distsim.runs import checkpoint
from distsim.runs.checkpoint import Checkpoint, Schedule
from distsim.runs.output import EventFile


class Lifecycle:
    """What happens between windows, and to the files at the end.

    network: its digest; file: the root's output, to which the recorder's events go; begun: when the
    run began (time.monotonic).
    """

    def __init__(
        self,
        config: Config,
        ranks: Communicator,
        recorder: Recorder,
        file: EventFile | None,
        *,
        network: str,
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
        self._sink = None if file is None else Deferred(file)
        recorder.sink = self._sink if config.events else None
        if recorder.observation is not None:
            recorder.observation.store = self._sink
        self._watchdog = watchdog
        self._signals = signals
        self._begun = begun
        self._decisions = Decisions(ranks)
        self._schedule = Schedule(config, recorder.transitions)
        self._saves = config.checkpoint is not None

    def goes_on(self, chain: Chain) -> bool:
        """Do what is due after a window; False: leave the loop. Raises OutputError."""
        decision = self._decisions.after_window(self._wish)
        due = self._saves and self._schedule.due(self._recorder.transitions)
        if decision.wish == Wish.GO_ON and not due:
            return True
        if decision.wish == Wish.FAIL:
            self._check_sink()
        if decision.wish == Wish.STOP and not self._recorder.finished(chain.now()):
            self.stopped = self._reason(decision)
            return False
        self._save(chain)
        self._watchdog.begun()  # the disk is done: windows again
        return True

    def end(self, chain: Chain) -> None:
        """After the loop: nothing waits any more, and there is a checkpoint. Raises OutputError."""
        self._watchdog.wait_long()  # a disk may take its time
        self._recorder.flush()
        self._check_sink()
        self._save(chain)

    def close(self, complete: Callable[[EventFile], None]) -> None:
        """Leave the output partial, or have it completed. Raises OutputError on all ranks alike."""
        file, observation = self._file, self._recorder.observation

        def end() -> None:
            if file is None:
                return
            if observation is not None:
                file.add(observation.totals(), observation.digest())
            if self.stopped is None:
                complete(file)
            else:
                file.leave()

        self._on_root(end)

    @contextlib.contextmanager
    def closed_after_errors(self) -> Iterator[None]:
        """What was recorded before an error stays in the partial output; OutputErrors say how the
        run goes on."""
        try:
            yield
        except OutputError as error:
            self._abandon()
            raise OutputError(f"{error}{self._way_on()}") from error
        except BaseException:
            self._abandon()
            raise

    # ------------------------------------------------------------------------------ decisions
    def _wish(self) -> tuple[Wish, int]:
        self._watchdog.begun()
        if (self._sink is not None and self._sink.error is not None) or self._lack() is not None:
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

    # ---------------------------------------------------------------------------------- files
    def _save(self, chain: Chain) -> None:
        """Write a checkpoint, where one is configured. Raises OutputError on every rank alike."""
        path = self._config.checkpoint
        if path is None:
            return
        self._watchdog.wait_long()  # a disk may take its time
        observation = self._recorder.observation
        position = chain.position(self._recorder)
        self._recorder.flush()
        self._check_sink()
        saved = Checkpoint(
            config=self._config.asdict(),
            network=self._network,
            neurons=position.states.size,
            position=position,
            transitions=self._recorder.transitions,
            time=self._time(chain, position),
            observed={} if observation is None else observation.state(),
        )
        self._on_root(lambda: self._write(path, saved))
        self._schedule.saved(self._recorder.transitions)

    def _time(self, chain: Chain, position: Position) -> float:
        """Model time up to which all is recorded."""
        if self._recorder.until is not None:
            return min(self._recorder.until, chain.now())
        cut = position.transitions < self._recorder.transitions
        return self._recorder.last if cut else chain.now()

    def _write(self, path: str, saved: Checkpoint) -> None:
        """The events first, which the checkpoint refers to."""
        if self._file is not None:
            self._file.sync()
        checkpoint.write(path, checkpoint.pack(saved))

    def _check_sink(self) -> None:
        """Raise the sink's OutputError on every rank alike."""

        def check() -> None:
            if self._sink is not None:
                self._sink.check()
            lack = self._lack()
            if lack is not None:
                raise OutputError(lack)

        self._on_root(check)

    def _lack(self) -> str | None:
        """Why the root's observables take no more, if they do not."""
        observation = self._recorder.observation
        return None if observation is None else observation.error

    def _on_root(self, action: Callable[[], None]) -> None:
        """Have the root do it; its OutputError is raised on every rank alike."""
        root = self._ranks.rank == 0
        agreed(self._ranks, action if root else lambda: None, OutputError)

    def _abandon(self) -> None:
        """Leave the output as it is; one without events has nothing to keep."""
        if self._file is None:
            return
        if self._recorder.transitions:
            self._recorder.flush()
            with contextlib.suppress(OutputError):  # it is closed; its last commit is on the disk
                self._file.leave()
        else:
            self._file.discard()

    def _way_on(self) -> str:
        """What to add to the message of an error that ended the run."""
        path = self._config.checkpoint
        if path is None or not os.path.exists(path):
            return ""
        return f"; goes on with: distsim resume {path}"
