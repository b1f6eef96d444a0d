"""The commands `verify`, `bench` and `scaling`."""

from __future__ import annotations

import json
import os
from typing import Any

import click

from distsim.cli.launch import FAILED, Launch
from distsim.cli.options import json_option, options
from distsim.config import sources


@click.command()
@click.option("--quick", is_flag=True, help="All kinds of checks, of a fifth of the events.")
@click.pass_obj
def verify(launch: Launch, /, quick: bool) -> int:
    """Check this installation against the exact law.

    Small networks, whose states can be enumerated: both models, all engines; a table with
    p-values. The exit status is 1 if a check fails.
    """
    ranks = launch.connect()
    from distsim.runs import progress
    from distsim.studies import verify

    effort = verify.QUICK if quick else verify.FULL
    if ranks.rank != 0:
        return 0 if verify.run(ranks, silent, effort) else FAILED
    show = progress.display()

    def say(line: str) -> None:
        show.clear()
        click.echo(line)

    try:
        return 0 if verify.run(ranks, say, effort, show.done) else FAILED
    finally:
        show.clear()


@click.command()
@click.option(
    "--neurons",
    multiple=True,
    type=click.IntRange(1),
    metavar="INTEGER",
    help="Generated network; may be repeated [default: 1024, 4096, 16384].",
)
@click.option(
    "--weight-bits",
    multiple=True,
    type=click.Choice(["8", "16", "32"]),
    metavar="BITS",
    help="Bits of a stored weight; may be repeated [default: 32 and 16].",
)
@click.option(
    "--model",
    multiple=True,
    type=click.Choice(["mpm", "bm"]),
    help="May be repeated [default: both].",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=2.0,
    metavar="NUMBER",
    show_default=True,
    help="Time for each measurement.",
)
@click.option(
    "--synapses",
    type=click.IntRange(1),
    metavar="INTEGER",
    help="Network random with so many synapses a neuron, held sparse [default: gaussian, dense].",
)
@options("tau", "device", "window")
@click.option("--picture", type=click.Path(), metavar="FILE.png", help="Draw the rates.")
@json_option
@click.pass_obj
def bench(
    launch: Launch,
    /,
    *,
    neurons: tuple[int, ...],
    weight_bits: tuple[str, ...],
    model: tuple[str, ...],
    seconds: float,
    synapses: int | None,
    picture: str | None,
    as_json: bool,
    **values: object,
) -> None:
    """Measure transitions a second: a plain loop and the engines, side by side.

    The loop is NumPy's or, with --synapses, a compiled one of thinning, as one would write it in C.

    Of the environment DISTSIM_NEURONS, _WEIGHT_BITS, _MODEL, _TAU, _DEVICE and _WINDOW count, where
    the command line does not say otherwise.
    """
    ranks = launch.connect()
    from distsim.pictures import figure
    from distsim.ranks.agreement import agreed
    from distsim.studies import bench

    lists: dict[str, tuple[Any, ...]] = {
        "neurons": neurons,
        "weight_bits": weight_bits,
        "model": model,
    }
    given = {**values, "network": "gaussian", "transitions": 1}
    heeded = {*values, *lists}
    settings = agreed(ranks, lambda: sources.gather(None, os.environ, given, heeded))
    for name, listed in lists.items():
        if not listed and sources.in_environment(os.environ, name):
            lists[name] = (getattr(settings, name),)
    if picture is not None:
        agreed(ranks, lambda: figure.check(picture, overwrite=True))
    bits = [int(text) for text in lists["weight_bits"]] or [32, 16]
    sizes = lists["neurons"] or (1024, 4096, 16384)
    models = lists["model"] or ("mpm", "bm")
    lasting = (float(settings.tau), seconds, settings.device, settings.window)
    rows = bench.run(ranks, models, sizes, bits, *lasting, synapses=synapses)
    if ranks.rank == 0:
        click.echo(bench.table(rows))
        if picture:
            bench.picture(rows, picture)
        if as_json:
            click.echo(json.dumps(rows))


@click.command()
@click.argument("file", type=click.Path(), metavar="FILE.jsonl")
@click.option(
    "--ranks",
    multiple=True,
    type=click.IntRange(1),
    metavar="INTEGER",
    help="Measure on so many ranks; may be repeated [default: show what FILE holds].",
)
@click.option(
    "--neurons",
    multiple=True,
    default=(4096,),
    show_default=True,
    type=click.IntRange(1),
    metavar="INTEGER",
    help="Neurons: all, and in weak scaling on the fewest ranks; may be repeated.",
)
@click.option(
    "--repeats",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    metavar="INTEGER",
    help="Measure each so often; the median counts.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=5.0,
    show_default=True,
    metavar="NUMBER",
    help="Time for each measurement.",
)
@click.option(
    "--launcher",
    default="mpirun -n {ranks}",
    show_default=True,
    metavar="COMMAND",
    help="Starts {ranks} ranks, on {nodes} nodes.",
)
@click.option(
    "--ranks-per-node",
    type=click.IntRange(1),
    metavar="INTEGER",
    help="Ranks on a node [default: all].",
)
@options("model", "tau", "coupling", "weight_bits", "device", "exchange")
@click.option(
    "--picture",
    type=click.Path(),
    metavar="FILE.png",
    help="Draw speed-up and phases, replacing FILE.png.",
)
@json_option
def scaling(
    file: str,
    *,
    ranks: tuple[int, ...],
    neurons: tuple[int, ...],
    repeats: int,
    seconds: float,
    launcher: str,
    ranks_per_node: int | None,
    picture: str | None,
    as_json: bool,
    **values: object,
) -> int:
    """Measure strong and weak scaling of relax and race; explain and predict it.

    FILE.jsonl gets a line for each measurement; those it holds are not made again. The table, the
    model with its predictions, and the picture are of all it holds, so that the measurements of
    several jobs can be put together. Start this command without mpirun: it starts the runs.
    Of the environment DISTSIM_MODEL, _TAU, _COUPLING, _WEIGHT_BITS, _DEVICE and _EXCHANGE count,
    where the command line does not say otherwise.

    The exit status is 1 if a run fails, 74 if its measurement could not be written.
    """
    from distsim.pictures import figure
    from distsim.studies import scaling, scaling_report, scaling_series

    if picture is not None:
        figure.check(picture, overwrite=True)
    if ranks:
        given = {**values, "network": "gaussian", "transitions": 1}
        settings = sources.gather(None, os.environ, given, values)
        chosen = {name: getattr(settings, name) for name in values}
        chosen = {name: value for name, value in chosen.items() if value is not None}
        plan = scaling.Plan(ranks, neurons, repeats, seconds, launcher, ranks_per_node, chosen)
        try:
            scaling.measure(file, plan, lambda line: click.echo(line, err=True))
        except scaling.RunError as error:
            click.echo(f"distsim: {error}", err=True)
            return FAILED
    found = scaling_series.collect(file)
    click.echo(scaling_report.table(found))
    if picture is not None:
        scaling_report.picture(found, picture)
    if as_json:
        click.echo(json.dumps(scaling_report.as_json(found)))
    return 0


def silent(line: str) -> None:
    """For the ranks that do not report."""
