"""The life of a run: saved now and then, stopped where all ranks agree to, its files closed.

Whatever the reason, a run leaves its loop on every rank after the same window: at its length, for
a signal on any rank, at `max_time`, or because the root cannot write a file.
"""

import contextlib
from collections.abc import Callable, Iterator

from distsim.chains.chain import Chain, Position, Seen
from distsim.config.options import Config
from distsim.errors import OutputError
from distsim.ranks.agreement import Wish
from distsim.ranks.communicator import Communicator
from distsim.ranks.signals import Signals
from distsim.ranks.watchdog import Watchdog
from distsim.recording.recorder import Recorder
from distsim.recording.sinks import Deferred
from distsim.runs import checkpoint
from distsim.runs.checkpoint import Checkpoint, Stand
from distsim.runs.due import Due, on_root, way_on
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
        self._due = Due(
            config,
            ranks,
            self._fails,
            watchdog=watchdog,
            signals=signals,
            begun=begun,
            transitions=recorder.transitions,
        )

    def goes_on(self, chain: Chain) -> bool:
        """Do what is due after a window; False: leave the loop. Raises OutputError."""
        decision = self._due.decisions.after_window(self._due.wish)
        due = self._due.saves and self._due.schedule.due(self._recorder.transitions)
        if decision.wish == Wish.GO_ON and not due:
            return True
        if decision.wish == Wish.FAIL:
            self._check_sink()
        if decision.wish == Wish.STOP and not self._recorder.finished(chain.now()):
            self.stopped = self._due.reason(decision)
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

        on_root(self._ranks, end)

    @contextlib.contextmanager
    def closed_after_errors(self) -> Iterator[None]:
        """What was recorded before an error stays in the partial output; OutputErrors say how the
        run goes on."""
        try:
            yield
        except OutputError as error:
            self._abandon()
            raise OutputError(f"{error}{way_on(self._config)}") from error
        except BaseException:
            self._abandon()
            raise

    # ---------------------------------------------------------------------------------- files
    def _save(self, chain: Chain) -> None:
        """Write a checkpoint, where one is configured. Raises OutputError on every rank alike."""
        path = self._config.checkpoint
        if path is None:
            return
        self._watchdog.wait_long()  # a disk may take its time
        position = chain.position(self._recorder)
        self._recorder.flush()
        self._check_sink()
        saved = Checkpoint(
            config=self._config.asdict(),
            network=self._network,
            neurons=position.states.size,
            chains={self._config.replica: stand(chain, self._recorder, position)},
        )
        on_root(self._ranks, lambda: self._write(path, saved))
        self._due.schedule.saved(self._recorder.transitions)

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

        on_root(self._ranks, check)

    def _fails(self) -> bool:
        """Whether the root's files or observables take no more."""
        return (self._sink is not None and self._sink.error is not None) or self._lack() is not None

    def _lack(self) -> str | None:
        """Why the root's observables take no more, if they do not."""
        observation = self._recorder.observation
        return None if observation is None else observation.error

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


def stand(chain: Seen, recorder: Recorder, position: Position) -> Stand:
    """Where a chain stands, whose recorder has handed over all; position: by the chain."""
    if recorder.until is not None:
        time = min(recorder.until, chain.now())
    else:
        cut = position.transitions < recorder.transitions
        time = recorder.last if cut else chain.now()
    observed = {} if recorder.observation is None else recorder.observation.state()
    held = chain.conditions.kept()
    return Stand(position, recorder.transitions, time, observed, conditions=held)
