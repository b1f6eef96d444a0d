"""The commands that make files of files, `plot` and `network`; and `info`."""

from __future__ import annotations

import json
import os

import click

from distsim.cli.launch import Launch
from distsim.cli.options import json_option, options
from distsim.config import sources
from distsim.config.options import NETWORK
from distsim.files import places


@click.command()
@click.option(
    "--neurons",
    type=click.IntRange(1),
    metavar="INTEGER",
    help="Say what a network of so many neurons would need.",
)
@click.option(
    "--weight-bits",
    type=click.Choice(["8", "16", "32"]),
    default="32",
    show_default=True,
    help="Bits of a stored weight.",
)
@click.option(
    "--ranks",
    multiple=True,
    type=click.IntRange(1),
    metavar="INTEGER",
    help="So distributed; may be repeated [default: 1, 2, 4, 8].",
)
@json_option
@click.pass_obj
def info(
    launch: Launch,
    /,
    neurons: int | None,
    weight_bits: str,
    ranks: tuple[int, ...],
    as_json: bool,
) -> None:
    """Show versions, ranks, GPUs and memory; what a network of N neurons would need."""
    communicator = launch.connect()
    if communicator.rank != 0:
        return
    from distsim.studies import machine

    found = machine.machine(communicator)
    needs = machine.needs(neurons, int(weight_bits), ranks or (1, 2, 4, 8)) if neurons else None
    click.echo(machine.table(found, needs))
    if as_json:
        click.echo(json.dumps({**found, "needs": needs}))


@click.command()
@click.argument("file", type=click.Path(), metavar="FILE.h5")
@click.option(
    "--output",
    required=True,
    type=click.Path(),
    metavar="FILE.png",
    help="The picture; the ending names its format.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing picture.")
def plot(file: str, output: str, overwrite: bool) -> None:
    """Draw the raster and the mean activity of an output file."""
    from distsim.pictures import figure, raster

    figure.check(output, overwrite=overwrite, source=file)
    raster.picture(file, output)


@click.command()
@click.argument("spec", type=click.Path(), metavar="SPEC")
@click.option(
    "--output",
    required=True,
    type=click.Path(),
    metavar="FILE.npz",
    help="Gets `weights`, float64[N, N], and `bias`, float64[N].",
)
@options("model", *(n for n in NETWORK if n not in ("network", "populations")), "overwrite")
def network(spec: str, output: str, **values: object) -> None:
    """Write W and bias of a network as the simulation sees them, before rounding.

    SPEC: celegans, gaussian, hopfield or a file, as for run --network. Of the environment the
    variables of these options count, such as DISTSIM_MODEL and DISTSIM_NEURONS, where the command
    line does not say otherwise.
    """
    # A configuration has a length, which is of no use here.
    given = {**values, "network": spec, "transitions": 1}
    settings = sources.gather(None, os.environ, given, values)
    places.check_writable(output, settings.overwrite, source=spec)
    from distsim.networks import write

    write.write(settings, output)
