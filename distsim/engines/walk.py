"""The ranks of one host: tickets in order of time, columns pushed at once, many windows a call.
`kernels.walk` and `kernels.walk_visits` say why the stream is the one of `race`."""

from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.engines.engine import NONE, Stretch, take_back
from distsim.engines.timer import Timer
from distsim.kernels import walk_room, walk_visits
from distsim.kernels.meeting import make_places, room_of
from distsim.kernels.memory import aligned
from distsim.kernels.walk import Ends, Log, walk
from distsim.kernels.walk_draws import make_visits
from distsim.kernels.walk_room import Rule, make_queue, make_tables, make_tickets
from distsim.kernels.window import Clock
from distsim.laws.law import Law
from distsim.laws.window import LARGEST_TARGET
from distsim.ranks.communicator import Communicator
from distsim.weights.shard import Shard
from distsim.weights.storage import HostStorage

_SECONDS = 0.05  # of a stretch: signals, checkpoints and reports wait for it
_EVENTS = 1 << 16  # and its events at most, but for those of its last window
_TICKETS = 1024  # room for those of a window at first


class Walk:
    """Walks through windows until a stretch of the run is done: `engine.Engine`."""

    def __init__(
        self,
        shard: Shard[HostStorage],
        ranks: Communicator,
        timer: Timer,
        energies: bool = False,
    ) -> None:
        """`ranks`: all on one host."""
        self.energies = energies
        self.shard = shard
        self.ranks = ranks
        self.timer = timer
        self._windows = 1  # of the next stretch
        self._open_log(0, visits=False)
        self._y = aligned((shard.size,), shard.kind)
        self._c = aligned((shard.size,), shard.kind)
        self._diagonal = shard.storage.diagonal(shard.first)
        self._tables = make_tables(shard.size, shard.kind)
        self._tickets = make_tickets(shard.size, _TICKETS)
        self._chunk = make_visits()

    def advance(
        self, law: Law, z: NDArray[Any], x: NDArray[np.uint8], events: int, until: float
    ) -> Stretch:
        law.open(z, x)  # may refuse to; sets the exponent of the first window
        begin = perf_counter()
        room = _EVENTS + max(law.most, 4 * LARGEST_TARGET)
        if self._log.event.size < room:
            self._open_log(room, visits=law.scan is not None)
        ends = Ends(min(events, _EVENTS), until, self.ranks.maximum(self._windows))
        step = self._walk if law.scan is None else self._visit
        stretch, law.clock = step(law, z, x, ends)
        self._pace(perf_counter() - begin, stretch.windows)
        self.timer.stamp("walk")
        return stretch

    def _walk(
        self, law: Law, z: NDArray[Any], x: NDArray[np.uint8], ends: Ends
    ) -> tuple[Stretch, Clock]:
        """Of an MPM."""
        course = law.course
        rule = Rule(
            *law.names,
            course.times,
            course.rest,
            course.clamped,
            self.shard.first,
            self._diagonal,
            self.shard.spread,
            self._places,
        )
        full, windows = True, 0
        while full and not windows:
            log = self._log
            self._y[:] = z
            windows, done, first, before, after, made, full = walk(
                rule,
                self.shard.storage.columns,
                walk_room.Motion(self._y, self._c, x),
                tuple(law.clock),
                ends,
                self._tables,
                self._tickets,
                log,
            )
            z[:] = self._y
            if full:
                take_back(self.shard, log.event[done:made], z, x)  # of a window that was not ended
                queue = make_queue(2 * self._tickets.queue.key.size)
                self._tickets = self._tickets._replace(queue=queue)
                self._open_log(2 * log.event.size, visits=False)
        return self._stretch(log, done, first, Clock(*before), windows), Clock(*after)

    def _visit(
        self, law: Law, z: NDArray[Any], x: NDArray[np.uint8], ends: Ends
    ) -> tuple[Stretch, Clock]:
        """Of a BM."""
        columns, course = self.shard.storage.columns, law.course
        windows, done, first, before, after = walk_visits.walk_visits(
            law.scan,
            course.times,
            law.most,
            walk_visits.Motion(
                columns, z, x, course.rest, course.held, self.shard.first, self._places
            ),
            tuple(law.clock),
            ends,
            self._chunk,
            self._log,
        )
        return self._stretch(self._log, done, first, Clock(*before), windows), Clock(*after)

    def _pace(self, seconds: float, windows: int) -> None:
        """Choose how many windows the next stretch may have."""
        pace = min(max(_SECONDS / max(seconds, 1e-6), 0.25), 4.0)
        self._windows = max(1, int(windows * pace))

    def _open_log(self, events: int, *, visits: bool) -> None:
        """Make room for so many events, and for the ranks to meet. visits: each rank makes some of
        the events, for all; else all of them, but tells only of its own what they change."""
        ranks = self.ranks
        meeting, shared = room_of(ranks.size), 3 if visits else 1
        memory = ranks.share(meeting + shared * events)
        self._places = make_places(memory, ranks.size, ranks.rank)
        parts = [np.empty(events, np.uint64) for _ in range(3 - shared)]
        parts += [*memory[meeting:].reshape(shared, events)]
        self._log = Log(parts[0], parts[1].view(np.float64), parts[2].view(np.int64))

    def _stretch(self, log: Log, done: int, first: int, before: Clock, windows: int) -> Stretch:
        """What a walk made; it had no passes."""
        event, time, doubled = log
        return Stretch(
            event[:done],
            time[:done],
            doubled[:done] if self.energies else NONE,
            first,
            before,
            windows,
            replays=0,
            applies=0,
        )
