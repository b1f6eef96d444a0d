"""The commands that make files of files, `plot`, `report`, `export` and `network`; and `info`."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from distsim.cli.launch import Launch
from distsim.cli.options import json_option, options
from distsim.config import sources
from distsim.config.kinds import Indices, short
from distsim.config.options import NETWORK, flag
from distsim.config.selection import selected
from distsim.errors import InputError
from distsim.exports.export import FORMATS
from distsim.exports.units import UNITS
from distsim.files import places
from distsim.runs import progress

if TYPE_CHECKING:
    from distsim.pictures.run import Run
    from distsim.weights.source import Network


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
@options("model", *(n for n in NETWORK if n not in ("neurons", "populations")))
@json_option
@click.pass_obj
def info(
    launch: Launch,
    /,
    neurons: int | None,
    weight_bits: str,
    ranks: tuple[int, ...],
    as_json: bool,
    **values: object,
) -> None:
    """Show versions, ranks, GPUs and memory; what a network would need.

    Without --network one of N neurons with all weights. With it, and its options as for run: its
    neurons and synapses, and what each storage takes. It is not made.
    """
    communicator = launch.connect()
    from distsim.ranks.agreement import agreed

    network = agreed(communicator, lambda: _described(neurons, values))
    if communicator.rank != 0:
        return
    from distsim.studies import machine

    found = machine.machine(communicator)
    synapses = None
    if network is not None:
        neurons, synapses = network["neurons"], network["synapses"]
    sizes = ranks or (1, 2, 4, 8)
    needs = machine.needs(neurons, int(weight_bits), sizes, synapses) if neurons else None
    click.echo(machine.table(found, needs, network))
    if as_json:
        click.echo(json.dumps({**found, "network": network, "needs": needs}))


def _described(neurons: int | None, values: dict[str, object]) -> dict[str, Any] | None:
    """What is known of the network that the options of `info` name, if they name one."""
    from distsim.studies import machine

    if values["network"] is None:
        for name in (name for name, value in values.items() if value is not None):
            raise InputError(
                f"{flag(name)}: {values[name]} given without a network; allowed: with "
                f"{flag('network')} SPEC"
            )
        return None
    given = {**values, "neurons": neurons, "transitions": 1}
    return machine.of_network(sources.gather(None, {}, given))


@click.command()
@click.argument("file", type=click.Path(), metavar="FILE.h5")
@click.option(
    "--kind",
    default="overview",
    show_default=True,
    metavar="KIND",
    help="overview, raster, rates, energy, activity, correlation, weights, samples or "
    "autocorrelation.",
)
@click.option(
    "--from", "start", type=float, metavar="NUMBER", help="Model time (mpm) or sweeps (bm)."
)
@click.option("--to", "stop", type=float, metavar="NUMBER", help="The same, where it ends.")
@click.option("--neurons", metavar=Indices.metavar, help="Draw these [default: all].")
@click.option(
    "--sort",
    default="none",
    show_default=True,
    metavar="none|rate|population",
    help="Order of the neurons: as they are numbered, the busiest on top, or by population.",
)
@click.option(
    "--width",
    type=float,
    default=6.8,
    show_default=True,
    metavar="INCHES",
    help="Of the picture; its text has one size.",
)
@click.option(
    "--output",
    required=True,
    type=click.Path(),
    metavar="FILE.png",
    help="The picture; the ending names its format.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing picture.")
def plot(
    *,
    file: str,
    kind: str,
    start: float | None,
    stop: float | None,
    neurons: str | None,
    sort: str,
    width: float,
    output: str,
    overwrite: bool,
) -> None:
    """Draw an output file, or as much as there is of it."""
    from distsim.pictures import figure, kinds, run

    figure.check(output, overwrite=overwrite, source=file)
    with run.opened(file, _network) as opened:
        chosen = None if neurons is None else _selected(neurons, opened)
        selection = run.Selection(start, stop, chosen, sort)
        figure.save(kinds.draw(kind, opened, selection, width=width), output)


def _network(config: Mapping[str, Any]) -> Network:
    from distsim.front.plots import network_of

    return network_of(config)


def _selected(text: str, run: Run) -> Sequence[int]:
    """The neurons that are to be drawn, by index or name."""
    try:
        asked = Indices()(text)
    except ValueError as error:
        raise InputError(f"--neurons: {short(text)} given; allowed: {error}") from None
    return selected("--neurons", asked, run.neurons, run.names)


@click.command()
@click.argument("file", type=click.Path(), metavar="FILE.h5")
@click.option(
    "--output", required=True, type=click.Path(), metavar="FILE.html", help="The new page."
)
@click.option("--overwrite", is_flag=True, help="Replace an existing page.")
def report(file: str, output: str, overwrite: bool) -> None:
    """Make a page of an output file, or of as much as there is of it.

    Digest, observables, pictures, options, machine, and the command that gives the same run, in one
    file that loads nothing else.
    """
    from distsim.reports import report

    with _told(f"{output} written") as tell:
        report.of(file, output, _network, overwrite=overwrite, tell=tell)


@click.command()
@click.argument("file", type=click.Path(), metavar="FILE.h5")
@click.option("--to", "form", required=True, type=click.Choice(FORMATS), help="The format.")
@click.option("--output", required=True, type=click.Path(), metavar="FILE", help="The new file.")
@click.option(
    "--unit",
    type=click.Choice(list(UNITS)),
    help="What one of model time (mpm), or one step (bm), stands for; for sonata and nwb.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
def export(file: str, form: str, output: str, unit: str | None, overwrite: bool) -> None:
    """Write the events of an output file in another format.

    sonata: transitions 0 to 1 as spikes, in ms. nwb: the same, as units, in seconds. csv:
    time,neuron,state of each event. npz: the same for NumPy, with states and options. Partial files
    as far as they go.
    """
    from distsim.exports import export

    with _told(f"{output} written") as tell:
        export.export(file, output, form, unit, overwrite=overwrite, tell=tell)


@contextlib.contextmanager
def _told(what: str) -> Iterator[Callable[[float], None]]:
    """What shows the fraction that is done."""
    show = progress.display()
    try:
        yield lambda fraction: show.done(fraction, what)
    finally:
        show.clear()


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

    SPEC: celegans, gaussian, random ... or a file, as for run --network. Of the environment the
    variables of these options count, such as DISTSIM_MODEL and DISTSIM_NEURONS, where the command
    line does not say otherwise.
    """
    # A configuration has a length, which is of no use here.
    given = {**values, "network": spec, "transitions": 1}
    settings = sources.gather(None, os.environ, given, values)
    places.check_writable(output, settings.overwrite, source=spec)
    from distsim.networks import write

    write.write(settings, output)
