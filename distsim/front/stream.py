"""`stream`: a run part by part, while it goes."""

from collections.abc import Generator
from typing import Any, Unpack

from distsim.config.kinds import Integer, short
from distsim.errors import InputError
from distsim.front.given import Given, given
from distsim.front.options import Options, documented
from distsim.front.session import Part, Session
from distsim.front.showing import shown
from distsim.front.simulate import party
from distsim.kernels import cache
from distsim.ranks.agreement import agreed
from distsim.ranks.communicator import Communicator
from distsim.recording.recorder import BLOCK
from distsim.runs import loading
from distsim.runs.preparation import Compilation
from distsim.runs.progress import Display


def stream(
    network: Any,
    *,
    bias: Any = None,
    initial: Any = None,
    block: int = BLOCK,
    show_progress: bool | None = False,
    **options: Unpack[Options],
) -> Generator[Part]:
    """Run one chain and give what happens as `Part`s, while it goes on.

    A part has `block` events or more, up to the end of a window; the last one what is left, the
    summary, the states at the end, and the observables of the whole run. All parts together are
    what `simulate` returns. `break`, or close(), ends the run; Ctrl-C too, with KeyboardInterrupt.

    network, bias, initial: as for `simulate`. In a script that a launcher has started all ranks
    must iterate alike; the root's parts have the events. Raises InputError: for options at once,
    for the network with the first part.
    """
    together, _ = party(None)

    def checked() -> tuple[Given, int, Display | None]:
        asked = given(network, bias, initial, options, "stream")
        if asked.config.chains > 1:
            raise InputError(
                f"chains: {asked.config.chains} given to stream; allowed: 1, or to simulate"
            )
        return asked, _block(block), shown(show_progress, root=together.rank == 0)

    return _parts(together, *agreed(together, checked))


def _block(block: Any) -> int:
    try:
        return Integer(1)(block)
    except ValueError as allowed:
        raise InputError(f"block: {short(block)} given; allowed: {allowed}") from None


def _parts(ranks: Communicator, asked: Given, block: int, show: Display | None) -> Generator[Part]:
    compilation = Compilation(show)
    with cache.compiling(compilation), loading.seen(show, asked.config.network, compilation):
        session = Session(asked, ranks)

    def stop() -> None:
        if show is not None:
            show(session.progress())

    try:
        yield from session.parts(block, stop)
    finally:
        if show is not None:
            show.clear()


documented(stream)
