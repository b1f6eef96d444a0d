"""Several chains that share W, dealt to groups of ranks: the loop over windows of all of them.

    ranks of the run -> groups of M ranks, each with all of W, a shard a rank
    replicas 0 .. R - 1 -> group r modulo their number; a group makes its own one after the other
    per stretch: a window or more of a group's chain                             `team`
    about twice a second: all groups decide alike, are counted, are saved        `due`, `crew`
    -> at the end all that the chains have given comes to the root: output, summary  `outcome`

Groups exchange nothing in between. A group that has made its chains waits for the others there
where all decide, so that signals, clocks, checkpoints and errors reach all alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic, perf_counter

from distsim.config.options import Config
from distsim.errors import OutputError
from distsim.kernels import cache
from distsim.ranks.agreement import Wish
from distsim.ranks.communicator import Communicator
from distsim.ranks.signals import Signals
from distsim.ranks.watchdog import Watchdog
from distsim.runs import loading
from distsim.runs.checkpoint import Checkpoint
from distsim.runs.crew import Crew, Ended
from distsim.runs.due import Due, way_on
from distsim.runs.preparation import (
    Compilation,
    claimed,
    open_checked,
    watched,
)
from distsim.runs.progress import Display
from distsim.runs.results import Progress, Summary
from distsim.runs.same_inputs import check_alike


def run(
    config: Config,
    ranks: Communicator,
    show: Display | None,
    signals: Signals | None,
    saved: Checkpoint | None,
) -> Summary:
    """`simulation.run` of several chains."""
    begun = monotonic()
    compilation = Compilation(show)
    with (
        Watchdog(config.watchdog, ranks, compilation.progress, compilation.doing) as watchdog,
        claimed(config, ranks, saved),
        cache.compiling(compilation),
    ):
        with loading.seen(show, config.network, compilation):
            check_alike(config, ranks)
            crew = Crew(
                config, ranks, lambda group: open_checked(config, ranks, saved, group), saved
            )
        watchdog.look_at(crew.moves, crew.doing)
        due = crew.due(watchdog, signals, begun)
        try:
            with watched(config, ranks, saved, None, show) as lines:
                tellers = [one for one in (show, lines) if one is not None]
                ended = follow(crew, due, watchdog, tellers)
                found = crew.summary(ended)
                crew.write(found)
                if lines is not None:
                    lines.end(found, ended.fraction)
        except OutputError as error:
            raise OutputError(f"{error}{way_on(config)}") from error
    return found


def follow(
    crew: Crew,
    due: Due,
    watchdog: Watchdog | None,
    tellers: Sequence[Callable[[Progress], None]],
) -> Ended:
    """A run that is prepared, from its first window to its last checkpoint."""
    state = first = crew.state()
    begin = perf_counter()
    stopped = None
    while True:
        if not crew.team.over:
            crew.team.advance()
            if not due.decisions.due() and not crew.team.over:
                continue
        decision = due.decisions.decide(due.wish)
        state = crew.state()
        if decision.wish == Wish.FAIL:
            crew.fail()
        if state.over:
            break
        if decision.wish == Wish.STOP:
            stopped = due.reason(decision)
            break
        if decision.wish == Wish.SAVE or (due.saves and due.schedule.due(state.transitions)):
            if watchdog is not None:
                watchdog.wait_long()  # a disk may take its time
            crew.save()
            due.schedule.saved(state.transitions)
        progress = Progress(
            state.transitions,
            state.time,
            state.fraction,
            perf_counter() - begin,
            first.transitions,
            first.fraction,
        )
        for tell in tellers:
            tell(progress)
    crew.ranks.barrier()
    seconds = perf_counter() - begin
    crew.team.leave()
    if watchdog is not None:
        watchdog.wait_long()
    crew.fail()  # for what was seen last
    crew.save()
    return Ended(seconds, stopped, state.fraction)
