"""One run, from configuration to summary: the loop over windows. Read this first.

network file -> network -> (partition) -> shard -> chain                     `preparation`
per window:  open -> solve (draw, replay, exchange, apply) -> record -> commit -> close
-> recorder -> output file, checkpoint, the decision to stop                 `lifecycle`
-> progress, summary                                                         `results`
"""

from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

from distsim.chains.chain import Chain
from distsim.chains.opening import open_chain
from distsim.config.kinds import short
from distsim.config.options import DETAILS, Config, check_names, of_role
from distsim.config.roles import Role
from distsim.errors import InputError
from distsim.kernels import cache
from distsim.networks.catalogue import open_network
from distsim.networks.checks import check_model
from distsim.networks.matrices import from_array
from distsim.ranks.agreement import agreed
from distsim.ranks.communicator import Communicator, Serial
from distsim.ranks.signals import Signals
from distsim.ranks.watchdog import Watchdog
from distsim.recording.recorder import Recorder
from distsim.recording.sinks import Collected
from distsim.runs.checkpoint import Checkpoint
from distsim.runs.lifecycle import Lifecycle
from distsim.runs.preparation import (
    Compilation,
    claimed,
    create_output,
    length,
    prepare,
    watched,
    whereabouts,
)
from distsim.runs.progress import Display
from distsim.runs.progress_file import ProgressFile
from distsim.runs.results import Meter, Result, Summary
from distsim.weights.source import Network


def advance_to_end(chain: Chain, recorder: Recorder, goes_on: Callable[[], bool]) -> None:
    """The loop over windows: to the run's length, or until after one `goes_on` is False."""
    while not recorder.finished(chain.now()):
        chain.advance(recorder)
        if not goes_on():
            break


def run(
    config: Config,
    ranks: Communicator,
    show: Display | None = None,
    signals: Signals | None = None,
    saved: Checkpoint | None = None,
) -> Summary:
    """Run one chain on all ranks, with its output file and its checkpoints.

    show: tells on the root how far the run is; signals: may ask for a stop; saved: an earlier run
    to go on with. Raises InputError on every rank alike for what cannot be done as asked, before
    anything is written, and OutputError for what could not be written later.
    """
    begun = monotonic()
    compilation = Compilation(show)
    with (
        Watchdog(config.watchdog, ranks, compilation.progress, compilation.doing) as watchdog,
        claimed(config, ranks, saved),
        cache.compiling(compilation),
    ):
        network, chain, recorder, digest = prepare(config, ranks, saved)
        seen = recorder.observation
        where = whereabouts(chain)
        file = agreed(
            ranks, lambda: create_output(config, ranks, chain.initial, seen, saved, where)
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


# Options that `simulate` does not take, and those that an array does not take besides.
_FILES = (*of_role(Role.FILES), "checkpoint_every", "max_time")


def simulate(network: Any, *, bias: Any = None, **options: Any) -> Result:
    """Run one chain on this process and return its events as arrays.

    network: weights W[N, N] (W[i, j] onto i from j) as a NumPy array or scipy.sparse matrix, or
    the name or file of a network as on the command line; bias: float64[N] beside an array, or a
    file beside a name; options: the fields of `Config` but for files and max_time. Raises
    InputError for what cannot be done as asked.
    """
    check_names(options)
    named = isinstance(network, str | Path)
    for name in (*_FILES, *(() if named else DETAILS)):
        given = options.get(name)
        if given is not None and given is not False:
            raise InputError(
                f"{name}: {short(given)} given to simulate; allowed: on the command line"
                + ("" if name in _FILES else ", or with the name of a network")
            )
    if named:
        config = Config(network=str(network), bias=bias, **options)
        source = open_network(config)
    else:
        config = Config(network="array", **options)
        source = from_array(network, bias)
    check_model(source, config.model, 0, source.neurons)
    collected = Collected()
    recorder = Recorder(*length(config, source), collected)
    chain = open_chain(source, config, Serial())
    try:
        meter = Meter(chain, recorder)
        advance_to_end(chain, recorder, goes_on=lambda: True)
        final = chain.final()
        recorder.flush()
        meter.stop()
        summary = meter.summary(source, final)
    except BaseException:
        chain.abandon()
        raise
    chain.close()
    time, neuron, state = collected.columns()
    return Result(time, neuron, state, chain.initial, final, summary)
