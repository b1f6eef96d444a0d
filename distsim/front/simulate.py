"""`simulate`: one run, by all ranks of the launcher or on this process, and its going on."""

import signal
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any, Unpack

import numpy as np

from distsim.config.options import LENGTHS, Config
from distsim.errors import InputError
from distsim.front.chains import chains_of
from distsim.front.given import Given, given
from distsim.front.interrupts import STOPPED, Interrupts
from distsim.front.options import Length, Options, count_of_ranks, documented
from distsim.front.result import OF_ALL, Observables, Result
from distsim.front.session import Part, Session, Stand
from distsim.front.showing import shown
from distsim.front.started import run_on
from distsim.kernels import cache
from distsim.ranks import communicator
from distsim.ranks.agreement import Decisions, Wish, agreed
from distsim.ranks.communicator import Communicator, Serial
from distsim.ranks.watchdog import Watchdog
from distsim.recording.recorder import BLOCK
from distsim.runs import loading
from distsim.runs.preparation import Compilation
from distsim.runs.progress import Display


def simulate(
    network: Any,
    *,
    bias: Any = None,
    initial: Any = None,
    ranks: int | None = None,
    show_progress: bool | None = None,
    **options: Unpack[Options],
) -> Result:
    """Run one chain, or `chains` of them, and return what happened, as arrays.

    network: weights W[N, N] (W[i, j] onto i from j) as an array (NumPy's, or another's that has
    DLPack) or a scipy.sparse matrix, or the name or file of a network as on the command line.
    bias: float64[N] beside an array, a file beside a name. initial: zeros (the default), ones,
    random, a .npy file, an array of 0 and 1, [N], or a Result, whose final states are taken. Of
    several chains an array may be [R, N].

    ranks: how many to start (by mpirun of this environment); in a script that a launcher has
    started all its ranks take part, and the root's Result has the events. show_progress: None: on a
    terminal or in a notebook.

    Ctrl-C ends the run after a window: the Result holds what there is, its summary says so, and it
    can `go_on`; a second Ctrl-C raises KeyboardInterrupt. Raises InputError for what cannot be done
    as asked.
    """
    together, wanted = party(ranks)
    asked = agreed(together, lambda: given(network, bias, initial, options, "simulate"))
    show = agreed(together, lambda: shown(show_progress, root=together.rank == 0))
    if wanted > 1:
        return _on_ranks(asked, wanted, show)
    if asked.config.chains > 1:
        return chains_of(asked, together, show)
    return _result(asked, together, show)


def alone(network: Any, *, bias: Any = None, **options: Any) -> Result:
    """`simulate` on this process, whatever has started it; Ctrl-C raises KeyboardInterrupt."""
    asked = given(network, bias, None, options, "simulate")
    return _followed(Session(asked, Serial()), lambda: None)


def party(ranks: Any) -> tuple[Communicator, int]:
    """Who takes part: the ranks of the launcher; without one this process, and how many to start
    instead of it. Raises InputError."""
    count, launched = count_of_ranks(ranks), communicator.promised()
    if launched is None:
        return Serial(), count or 1
    if count is not None and count != launched:
        raise InputError(
            f"ranks: {count} given, but a launcher has started {launched}; allowed: {launched}, or "
            "nothing: all of them take part"
        )
    return communicator.connect(), 1


def _result(
    asked: Given,
    ranks: Communicator,
    show: Display | None,
    stand: Stand | None = None,
    earlier: Result | None = None,
) -> Result:
    """Run it, on all ranks alike, to its end or to Ctrl-C; earlier: the run that is at `stand`."""
    compilation = Compilation(show)
    with ExitStack() as held:
        if ranks.size > 1:  # none may wait for ever for one that died
            watch = Watchdog(asked.config.watchdog, ranks, compilation.progress, compilation.doing)
            watchdog = held.enter_context(watch)
        held.enter_context(cache.compiling(compilation))
        with loading.seen(show, asked.config.network, compilation):
            session = Session(asked, ranks, stand)
        interrupts = held.enter_context(Interrupts(launched=ranks.size > 1))
        decisions = Decisions(ranks)
        if ranks.size > 1:
            watchdog.look_at(
                progress=lambda: session.chain.windows,
                doing=lambda: f"in window {session.chain.windows}",
            )

        def wish() -> tuple[Wish, int]:
            return (Wish.STOP, signal.SIGINT) if interrupts.received else (Wish.GO_ON, 0)

        def stop() -> str | None:
            if ranks.size > 1:
                watchdog.begun()
            if decisions.after_window(wish).wish == Wish.STOP:
                return STOPPED
            if show is not None:
                show(session.progress())
            return None

        try:
            return _followed(session, stop, earlier)
        finally:
            if show is not None:
                show.clear()


def _followed(
    session: Session, stop: Callable[[], str | None], earlier: Result | None = None
) -> Result:
    """All parts of a run, and those of an earlier one that it goes on from."""
    before = session.recorder.transitions
    samples = 0 if session.observation is None else session.observation.samples
    parts = list(session.parts(BLOCK, stop))
    last = parts[-1]
    assert last.summary is not None
    assert last.final is not None
    if earlier is not None:
        parts.insert(0, _cut(earlier, before, samples))
    ranks, network = session.ranks, session.network
    return Result(
        np.concatenate([part.time for part in parts]),
        np.concatenate([part.neuron for part in parts]),
        np.concatenate([part.state for part in parts]),
        session.initial if earlier is None else earlier.initial,
        last.final,
        _joined([part.observables for part in parts]),
        network.names,
        session.config.asdict(),
        digest=last.summary.digest,
        observables_digest=last.summary.observables_digest,
        rank=ranks.rank,
        ranks=ranks.size,
        partial=last.summary.stopped is not None,
        population=network.population,
        _summary=last.summary,
        _on=partial(_go_on, session.stand()),
    )


def _cut(result: Result, transitions: int, samples: int) -> Part:
    """What an earlier run has before the window from which it goes on."""
    rows = {
        name: values[:samples] for name, values in result.observables.items() if not _of_all(name)
    }
    events = slice(transitions)
    return Part(
        result.time[events], result.neuron[events], result.state[events], rows,
        transitions, now=0.0, fraction=0.0,
    )  # fmt: skip


def _joined(parts: list[Observables]) -> Observables:
    """Observables of a run from those of its parts."""
    return {
        name: values if _of_all(name) else np.concatenate([part[name] for part in parts])
        for name, values in parts[-1].items()
    }


def _of_all(name: str) -> bool:
    """Whether an observable is of the whole run, not a row a sample."""
    return name in OF_ALL or name.startswith("best/")


# ------------------------------------------------------------------------------------------ go on
def _go_on(stand: Stand, result: Result, more: Length, show_progress: bool | None) -> Result:
    """That run, gone on for so much more; on the ranks of the launcher, or on this process."""
    together, _ = party(None)
    config = agreed(together, lambda: _longer(stand.given.config, result, more))
    show = agreed(together, lambda: shown(show_progress, root=together.rank == 0))
    asked = replace(stand.given, config=config)
    return _result(asked, together, show, stand, result)


def _longer(config: Config, result: Result, more: Length) -> Config:
    """The options of the whole run: its length so far, and so much more. Raises InputError."""
    asked = {name: length for name, length in more._asdict().items() if length is not None}
    if len(asked) != 1:
        raise InputError(
            f"go_on: {len(asked)} lengths given; allowed: one, how much more "
            f"({', '.join(Length._fields)})"
        )
    (name,) = asked
    neurons, summary = result.initial.size, result.summary
    checked = replace(config, **{**dict.fromkeys(LENGTHS), **asked})
    wanted = getattr(checked, name)
    if name == "transitions":
        wanted += summary.transitions
    elif name == "time":
        wanted += summary.time
    else:
        assert summary.steps is not None
        name, wanted = "steps", summary.steps + wanted * (neurons if name == "sweeps" else 1)
        if wanted % neurons == 0 and config.sweeps is not None:
            name, wanted = "sweeps", wanted // neurons
    return replace(checked, **{**dict.fromkeys(LENGTHS), name: wanted})


def _on_ranks(asked: Given, ranks: int, show: Display | None) -> Result:
    """Started by mpirun; what it wrote is read back."""
    with Interrupts() as interrupts:
        return run_on(asked, ranks, show, interrupts, _go_on)


documented(simulate)
