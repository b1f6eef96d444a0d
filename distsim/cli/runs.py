"""The commands `run` and `resume`."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from distsim.cli.launch import FAILED, STATUSES, STOPPED, Launch
from distsim.cli.options import json_option, options
from distsim.config import options as fields
from distsim.config import sources
from distsim.runs import progress, report

if TYPE_CHECKING:
    from distsim.ranks.communicator import Communicator
    from distsim.runs.checkpoint import Checkpoint
    from distsim.runs.results import Summary


@click.command(epilog=STATUSES)
@click.argument("file", required=False, type=click.Path(), metavar="[CONFIG.toml]")
@options()
@json_option
@click.pass_obj
def run(launch: Launch, /, file: str | None, as_json: bool, **values: object) -> int:
    """Simulate a network (the default command).

    Options come from CONFIG.toml (key = value), then from variables DISTSIM_<OPTION> of the
    environment, then from the command line.
    """
    ranks = launch.connect()
    from distsim.ranks.agreement import agreed

    settings = agreed(ranks, lambda: sources.gather(file, os.environ, values))
    return follow(ranks, settings, None, as_json)


@click.command(epilog=STATUSES)
@click.argument("file", type=click.Path(), metavar="CHECKPOINT")
@options(again=True)
@json_option
@click.pass_obj
def resume(launch: Launch, /, file: str, as_json: bool, **values: object) -> int:
    """Go on with a run from its checkpoint.

    On any number of ranks, with any engine, on any device. Options come from the checkpoint, then
    from the command line; those that define the events (--model, --tau, --seed ...) stay as they
    were, a length may become larger. Of the environment only DISTSIM_ENGINE, _DEVICE, _EXCHANGE,
    _RANKS_PER_CHAIN, _CHECKPOINT_EVERY, _MAX_TIME and _WATCHDOG count, after the checkpoint. The
    network's and the output's file may have moved: name them.
    """
    ranks = launch.connect()
    from distsim.ranks.agreement import agreed
    from distsim.runs import checkpoint

    saved = checkpoint.read(file, ranks)
    settings = agreed(ranks, lambda: sources.amend(file, saved.config, os.environ, values))
    return follow(ranks, settings, saved, as_json)


def follow(
    ranks: Communicator,
    settings: fields.Config,
    saved: Checkpoint | None,
    as_json: bool,
    keep: Callable[[Summary], None] | None = None,
) -> int:
    """Run, report, and say how it ended. On every rank `keep` gets the summary of a whole run."""
    from distsim.ranks.signals import Signals
    from distsim.runs import simulation

    root = ranks.rank == 0
    show = progress.display() if root else None
    with Signals(leave=ranks.abort) as signals:
        summary = simulation.run(settings, ranks, show, signals, saved)
        if root:
            click.echo(report.summary(summary, settings.output))
            if as_json:
                click.echo(json.dumps(dataclasses.asdict(summary)))
        if summary.stopped is not None:
            if root:
                click.echo(f"distsim: stopped by {report.stopped(summary)}", err=True)
            ranks.barrier()
    if not summary.consistent:
        return FAILED
    if summary.stopped is not None:
        return STOPPED
    if keep is not None:
        keep(summary)
    return 0
