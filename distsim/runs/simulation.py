"""One run, from configuration to summary: the loop over windows. Read this first.

network file -> network -> (partition) -> shard -> chain                     `preparation`
per window:  open -> solve (draw, replay, exchange, apply) -> record -> commit -> close
-> recorder -> output file, checkpoint, the decision to stop                 `lifecycle`
-> progress, summary                                                         `results`

Several chains, one after the other in groups of ranks: `many`.
"""

from collections.abc import Callable, Iterator
from time import monotonic

from distsim.chains.chain import Chain
from distsim.config.options import Config
from distsim.kernels import cache
from distsim.ranks.agreement import agreed
from distsim.ranks.communicator import Communicator
from distsim.ranks.signals import Signals
from distsim.ranks.watchdog import Watchdog
from distsim.recording.recorder import Recorder
from distsim.runs import loading, many
from distsim.runs.checkpoint import Checkpoint
from distsim.runs.lifecycle import Lifecycle
from distsim.runs.preparation import (
    Compilation,
    claimed,
    create_output,
    prepare,
    watched,
    whereabouts,
)
from distsim.runs.progress import Display
from distsim.runs.progress_file import ProgressFile
from distsim.runs.results import Meter, Summary
from distsim.weights.source import Network


def windows(chain: Chain, recorder: Recorder) -> Iterator[None]:
    """The loop over windows, to the run's length; whoever iterates has the say after each."""
    while not recorder.finished(chain.now()):
        chain.advance(recorder)
        yield


def advance_to_end(chain: Chain, recorder: Recorder, goes_on: Callable[[], bool]) -> None:
    """To the run's length, or until after a window `goes_on` is False."""
    for _ in windows(chain, recorder):
        if not goes_on():
            break


def run(
    config: Config,
    ranks: Communicator,
    show: Display | None = None,
    signals: Signals | None = None,
    saved: Checkpoint | None = None,
) -> Summary:
    """Run one chain on all ranks, or several, with the output file and its checkpoints.

    show: tells on the root how far the run is; signals: may ask for a stop; saved: an earlier run
    to go on with. Raises InputError on every rank alike for what cannot be done as asked, before
    anything is written, and OutputError for what could not be written later.
    """
    if config.chains > 1:
        return many.run(config, ranks, show, signals, saved)
    begun = monotonic()
    compilation = Compilation(show)
    with (
        Watchdog(config.watchdog, ranks, compilation.progress, compilation.doing) as watchdog,
        claimed(config, ranks, saved),
        cache.compiling(compilation),
    ):
        with loading.seen(show, config.network, compilation):
            network, chain, recorder, digest = prepare(config, ranks, saved)
        seen = recorder.observation
        where = whereabouts(chain, ranks)
        file = agreed(
            ranks,
            lambda: create_output(
                config, ranks, chain.initial, seen, saved, where, network, chain.conditions
            ),
        )
        watchdog.look_at(
            progress=lambda: (chain.windows, chain.timer.stamps),
            doing=lambda: f"after `{chain.timer.phase}` in window {chain.windows}",
        )
        lifecycle = Lifecycle(
            config,
            ranks,
            recorder,
            file,
            network=digest,
            watchdog=watchdog,
            signals=signals,
            begun=begun,
        )
        try:
            with (
                watched(config, ranks, saved, seen, show) as lines,
                lifecycle.closed_after_errors(),
            ):
                summary = _run(chain, recorder, lifecycle, network, show, lines)
        except BaseException:
            chain.abandon()
            raise
        chain.close()
    return summary


def _run(
    chain: Chain,
    recorder: Recorder,
    lifecycle: Lifecycle,
    network: Network,
    show: Display | None,
    lines: ProgressFile | None,
) -> Summary:
    """A run that is prepared, from its first window to its files."""
    meter = Meter(chain, recorder)
    tellers = [one for one in (show, lines) if one is not None]

    def goes_on() -> bool:
        stays = lifecycle.goes_on(chain)
        if stays and tellers:
            progress = meter.progress()
            for tell in tellers:
                tell(progress)
        return stays

    advance_to_end(chain, recorder, goes_on)
    final = chain.final()
    recorder.end(over=lifecycle.stopped is None)
    chain.ranks.barrier()
    meter.stop()
    lifecycle.end(chain)
    summary = meter.summary(network, final, lifecycle.stopped)
    lifecycle.close(lambda file: file.finish(final, summary.digest))
    if lines is not None:
        lines.end(summary, recorder.fraction(summary.time))
    return summary
