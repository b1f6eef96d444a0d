"""One run, from configuration to summary: the loop over windows. Read this first.

network file -> network -> (partition) -> shard
per window:  open -> solve (draw, replay, exchange, apply) -> record -> commit -> close
-> recorder -> output file;  keeper -> checkpoint, and the decision to stop
"""

import time as clock
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.chains.chain import Chain
from distsim.chains.opening import open_chain
from distsim.config.kinds import short
from distsim.config.options import DETAILS, Config, Role, check_names, of_role
from distsim.errors import InputError, OutputError
from distsim.files.arrays import ArrayFile
from distsim.networks.catalogue import open_network
from distsim.networks.checks import check_model
from distsim.networks.matrices import from_array
from distsim.ranks.agreement import agreed
from distsim.ranks.communicator import Communicator, Serial
from distsim.ranks.signals import Signals
from distsim.ranks.watchdog import Watchdog
from distsim.recording import digest
from distsim.recording.recorder import Recorder
from distsim.recording.sinks import Guarded, Memory
from distsim.runs.checkpoint import Checkpoint
from distsim.runs.lifecycle import Keeper
from distsim.runs.preparation import check_same, create_output, length, open_checked
from distsim.runs.results import Progress, Result, Summary
from distsim.runs.same_inputs import check_alike
from distsim.weights.source import Network


def run(
    config: Config,
    ranks: Communicator,
    report: Callable[[Progress], None] | None = None,
    signals: Signals | None = None,
    saved: Checkpoint | None = None,
) -> Summary:
    """Run one chain on all ranks, with its output file and its checkpoints.

    `report` is called on the root, again and again; `signals` may ask for a stop; `saved` is an
    earlier run to go on with. Raises InputError on every rank alike for what cannot be done as
    asked, before anything is written, and OutputError for what could not be written later.
    """
    begun = clock.monotonic()
    with Watchdog(config.watchdog, ranks, lambda: ArrayFile.blocks, lambda: "loading") as watchdog:
        check_alike(config, ranks)
        network = agreed(ranks, lambda: open_checked(config, ranks, saved))
        states = None if saved is None else saved.position.states
        chain = open_chain(network, config, ranks, states)
        recorder = Recorder(*length(config, network), None)
        name = "" if config.checkpoint is None and saved is None else chain.network_digest()
        if saved is not None:
            agreed(ranks, lambda: check_same(saved, name, network, config))
            chain.go_on(saved.position)
            recorder.go_on(saved.position.transitions, saved.position.last, saved.position.total)
        file = agreed(ranks, lambda: create_output(config, ranks, chain.initial, saved))
        recorder.sink = None if file is None else Guarded(file)
        watchdog.look_at(
            progress=lambda: (chain.windows, chain.timer.stamps),
            doing=lambda: f"after `{chain.timer.phase}` in window {chain.windows}",
        )
        keeper = Keeper(config, ranks, name, recorder, file, watchdog, signals, begun)
        try:
            summary, final = _drive(chain, network, recorder, report, keeper)
            keeper.close(lambda file: file.finish(final, summary.digest))
        except OutputError as error:
            keeper.fail()
            raise OutputError(f"{error}{keeper.way_on()}") from error
        except BaseException:
            keeper.fail()
            raise
        chain.close()
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
    chain = open_chain(source, config, Serial())
    memory = Memory()
    summary, final = _drive(chain, source, Recorder(*length(config, source), memory))
    chain.close()
    time, neuron, state = (np.concatenate(column) for column in zip(*memory.blocks, strict=True))
    return Result(time, neuron, state, chain.initial, final, summary)


def _drive(
    chain: Chain,
    network: Network,
    recorder: Recorder,
    report: Callable[[Progress], None] | None = None,
    keeper: Keeper | None = None,
) -> tuple[Summary, NDArray[np.uint8]]:
    """The loop over windows, from the chain's state to the recorder's end, or to a stop."""
    config = chain.config
    begin = clock.perf_counter()
    before, since = recorder.transitions, chain.now()
    resumed = recorder.fraction(since)
    while not recorder.finished(chain.now()):
        chain.advance(recorder)
        if keeper is not None and not keeper.goes_on(chain):
            break
        if report is not None and chain.ranks.rank == 0:
            seconds = clock.perf_counter() - begin
            now = chain.now()
            fraction = recorder.fraction(now)
            report(Progress(recorder.transitions, now, fraction, seconds, before, resumed))
    final = chain.final()
    recorder.flush()
    chain.ranks.barrier()
    seconds = clock.perf_counter() - begin
    if keeper is not None:
        keeper.end(chain)

    stopped = None if keeper is None else keeper.stopped
    end = recorder.last if recorder.until is None else recorder.until
    if stopped is not None:
        end = chain.now()
    steps = int(end) if config.model == "bm" else None
    summary = Summary(
        model=config.model,
        network=network.name,
        neurons=network.neurons,
        tau=config.tau,
        seed=config.seed,
        engine=config.engine,
        device=chain.place,
        exchange=chain.exchange,
        ranks=chain.ranks.size,
        transitions=recorder.transitions,
        time=end,
        steps=steps,
        seconds=seconds,
        transitions_per_second=(recorder.transitions - before) / seconds,
        steps_per_second=None if steps is None else (steps - since) / seconds,
        windows=chain.windows,
        replays=chain.replays,
        applies=chain.applies,
        consistent=chain.consistent(final),
        digest=digest.text(recorder.total + digest.of_state(final)),
        phases=chain.timer.phases,
        stopped=stopped,
        checkpoint=config.checkpoint,
    )
    return summary, final
