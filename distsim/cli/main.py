"""The command line: parses, builds the configuration, calls. No logic.

What a command needs is imported when it runs, so that --help, --version and shell completion
start neither MPI nor compilation.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from distsim import __version__
from distsim.config import kinds, sources
from distsim.config import options as fields
from distsim.errors import InputError, OutputError
from distsim.files import places
from distsim.runs import progress, report

if TYPE_CHECKING:
    from distsim.ranks.communicator import Communicator
    from distsim.runs.checkpoint import Checkpoint
    from distsim.runs.results import Summary

# Exit statuses; 128 + its number for a signal that ended the run at once.
FAILED, BAD_INPUT, NOT_WRITTEN, STOPPED, INTERRUPTED = 1, 2, 74, 85, 130
STATUSES = """\b
Exit status:
  0   done
  1   failed: an error, ranks that died or stalled, a check that did not hold
  2   bad input: nothing was touched; or a network at rest: its events so far are kept
  74  a file could not be written; the last checkpoint is good
  85  stopped by SIGTERM, SIGINT, SIGUSR1 or --max-time: `distsim resume` goes on
  A second signal ends all ranks at once: 128 + its number.
"""

Command = TypeVar("Command", bound=Callable[..., Any])
T = TypeVar("T")


class Launch:
    """The ranks of this command: unconnected until it asks for them."""

    communicator: Communicator | None = None

    def connect(self) -> Communicator:
        from distsim.ranks import communicator

        self.communicator = communicator.connect()
        return self.communicator

    @property
    def rank(self) -> int:
        """This rank; before it is connected, what its launcher says."""
        from distsim.ranks import communicator

        if self.communicator is not None:
            return self.communicator.rank
        return communicator.launched_rank()

    def complain(self, show: Callable[[], None]) -> None:
        """Have the root show an error that all ranks met.

        They wait for it: some launchers end all ranks as soon as the first leaves with an error.
        """
        if self.communicator is None:
            with contextlib.suppress(InputError):  # where connecting is what went wrong
                self.connect()
        if self.rank == 0:
            show()
        if self.communicator is not None:
            self.communicator.barrier()

    def over(self) -> None:
        """The process is about to end."""
        if self.communicator is not None:
            from distsim.ranks import signals

            signals.ignore()

    def abort(self, status: int) -> None:
        """End all ranks, if there are others that would wait for this one."""
        if self.communicator is not None and self.communicator.size > 1:
            self.communicator.abort(status)


class DefaultRun(click.Group):
    """A group whose default command is `run`: its options work without its name."""

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        if arguments:
            first = arguments[0]
            for_run = first.startswith("-") or first.endswith(".toml")
            default = for_run and first not in ("--help", "--version")
        else:
            default = not context.resilient_parsing  # completing: every command is possible
        if default:
            arguments = ["run", *arguments]
        return super().parse_args(context, arguments)

    def shell_complete(self, context: click.Context, incomplete: str) -> list[CompletionItem]:
        return super().shell_complete(context, incomplete) + [
            item for item in run.shell_complete(context, incomplete) if item.value != "--help"
        ]


def main(arguments: Sequence[str], launch: Launch) -> int:
    """Run a command; its exit status. Bad input is reported once, by the root."""
    try:
        status = group.main(list(arguments), prog_name="distsim", standalone_mode=False, obj=launch)
        return status or 0
    except click.ClickException as error:
        launch.complain(error.show)
        return BAD_INPUT
    except InputError as error:
        message = f"distsim: {error}"
        launch.complain(lambda: click.echo(message, err=True))
        return BAD_INPUT
    except OutputError as error:  # the same on every rank
        message = f"distsim: {error}"
        launch.complain(lambda: click.echo(message, err=True))
        return NOT_WRITTEN
    except click.Abort:  # Ctrl-C
        launch.abort(INTERRUPTED)
        return INTERRUPTED


@click.group(
    cls=DefaultRun,
    epilog=f"The options of run work without its name: distsim --tau 2\n\n{STATUSES}",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def group() -> None:
    """Exact simulation of stochastic recurrent networks of binary neurons."""


# ------------------------------------------------------------------------------------- options


def options(*names: str, again: bool = False) -> Callable[[Command], Command]:
    """The options of these fields of the configuration; of all fields without names.

    again: of a run that has them all; those that it must keep are hidden, and refused with reason.
    """

    def decorate(command: Command) -> Command:
        for name in reversed(names or list(fields.FIELDS)):
            command = field_option(name, again)(command)
        return command

    return decorate


def field_option(name: str, again: bool = False) -> Callable[[Command], Command]:
    """The option of one field, a text: the configuration converts and checks it."""
    field = fields.FIELDS[name]
    kind = field.metadata["kind"]
    flags = [fields.flag(name)]
    text = field.metadata["help"]
    type_: click.ParamType[Any] | None = None
    if name == "tau":
        flags.append("--T")
    if isinstance(kind, kinds.Flag):
        flags = [f"{flags[0]}/--no-{name}"]
    elif isinstance(kind, kinds.Choice):
        type_ = click.Choice([str(one) for one in kind.allowed])
    elif isinstance(kind, kinds.Text):
        type_ = click.Path()  # completes file names, checks nothing
    if field.default is not None and not isinstance(kind, kinds.Flag) and not again:
        text += f" [default: {field.default}]"
    hidden = again and name in fields.STREAM
    return click.option(
        *flags, name, type=type_, metavar=kind.metavar, default=None, help=text, hidden=hidden
    )


json_option = click.option(
    "--json", "as_json", is_flag=True, help="End the output with one line of JSON."
)


# ------------------------------------------------------------------------------------ commands


@group.command(epilog=STATUSES)
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
    return simulate(ranks, settings, None, as_json)


@group.command(epilog=STATUSES)
@click.argument("file", type=click.Path(), metavar="CHECKPOINT")
@options(again=True)
@json_option
@click.pass_obj
def resume(launch: Launch, /, file: str, as_json: bool, **values: object) -> int:
    """Go on with a run from its checkpoint.

    On any number of ranks, with any engine, on any device. Options come from the checkpoint, then
    from the command line; those that define the events (--model, --tau, --seed ...) stay as they
    were, a length may become larger. Of the environment only DISTSIM_ENGINE, _DEVICE, _EXCHANGE,
    _CHECKPOINT_EVERY, _MAX_TIME and _WATCHDOG count, after the checkpoint. The network's and the
    output's file may have moved: name them.
    """
    ranks = launch.connect()
    from distsim.ranks.agreement import agreed
    from distsim.runs import checkpoint

    saved = checkpoint.read(file, ranks)
    settings = agreed(ranks, lambda: sources.amend(file, saved.config, os.environ, values))
    return simulate(ranks, settings, saved, as_json)


def simulate(
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


@group.command()
@click.pass_obj
def verify(launch: Launch, /) -> int:
    """Check this installation against the exact law.

    Small networks, whose states can be enumerated: both models, both engines; a table with
    p-values. The exit status is 1 if a check fails.
    """
    ranks = launch.connect()
    from distsim.studies import verify

    return 0 if verify.run(ranks, click.echo if ranks.rank == 0 else silent) else FAILED


@group.command()
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
    "--tau",
    "--T",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    metavar="NUMBER",
    show_default=True,
    help="Temperature.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=2.0,
    metavar="NUMBER",
    show_default=True,
    help="Time for each measurement.",
)
@options("device", "window")
@click.option("--picture", type=click.Path(), metavar="FILE.png", help="Draw the rates.")
@json_option
@click.pass_obj
def bench(
    launch: Launch,
    /,
    neurons: tuple[int, ...],
    weight_bits: tuple[str, ...],
    model: tuple[str, ...],
    tau: float,
    seconds: float,
    device: str | None,
    window: str | None,
    picture: str | None,
    as_json: bool,
) -> None:
    """Measure transitions a second: a plain loop, race and relax, side by side.

    Variables DISTSIM_<OPTION> of the environment are not heeded.
    """
    ranks = launch.connect()
    from distsim.pictures import figure
    from distsim.ranks.agreement import agreed
    from distsim.studies import bench

    given = {"device": device, "window": window}
    settings = agreed(ranks, lambda: sources.gather(None, {}, given))
    if picture is not None:
        agreed(ranks, lambda: figure.check(picture, overwrite=True))
    bits = [int(text) for text in weight_bits] or [32, 16]
    sizes = neurons or (1024, 4096, 16384)
    models = model or ("mpm", "bm")
    rows = bench.run(ranks, models, sizes, bits, tau, seconds, settings.device, settings.window)
    if ranks.rank == 0:
        click.echo(bench.table(rows))
        if picture:
            bench.picture(rows, picture)
        if as_json:
            click.echo(json.dumps(rows))


@group.command()
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


@group.command()
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


@group.command()
@click.argument("spec", type=click.Path(), metavar="SPEC")
@click.option(
    "--output",
    required=True,
    type=click.Path(),
    metavar="FILE.npz",
    help="Gets `weights`, float64[N, N], and `bias`, float64[N].",
)
@options("model", "bias", "neurons", "coupling", "network_seed", "patterns", "overwrite")
def network(spec: str, output: str, overwrite: bool | None, **values: object) -> None:
    """Write W and bias of a network as the simulation sees them, before rounding.

    SPEC: celegans, gaussian, hopfield or a file, as for run --network. Variables DISTSIM_<OPTION>
    of the environment are not heeded.
    """
    places.check_writable(output, bool(overwrite), source=spec)
    # A configuration has a length, which is of no use here.
    settings = sources.gather(None, {}, {**values, "network": spec, "transitions": 1})
    from distsim.networks import write

    write.write(settings, output)


@group.group()
def sweep() -> None:
    """Run every combination of the values that a TOML file lists.

    FILE.toml is a configuration of run in which any option may be a list. Each point has its
    files in the folder FILE, named by its number. FILE.toml alone says what a point is: variables
    DISTSIM_<OPTION> of the environment are not heeded.
    """


sweep_file = click.argument("file", type=click.Path(), metavar="FILE.toml")


@sweep.command()
@sweep_file
def count(file: str) -> None:
    """Print the number of points."""
    from distsim.studies import sweep

    click.echo(len(sweep.read(file)))


@sweep.command("run", epilog=STATUSES)
@sweep_file
@click.argument("index", required=False, type=int, metavar="[POINT]")
@click.pass_obj
def run_points(launch: Launch, /, file: str, index: int | None) -> int:
    """Run one point, 0 to count - 1, or all, one after the other.

    A point that was begun goes on from its checkpoint; one that is done is not run again.
    """
    ranks = launch.connect()
    from distsim.ranks.agreement import agreed
    from distsim.studies import sweep

    for point in agreed(ranks, lambda: sweep.chosen(sweep.read(file), index)):
        standing = sweep.standing(point, ranks)
        if ranks.rank == 0:
            click.echo(sweep.title(point, standing))
        if standing == sweep.Standing.DONE:
            continue
        settings, saved = sweep.resumed(point, ranks) if standing else (point.config, None)
        keep = functools.partial(sweep.save, point, ranks)
        status = simulate(ranks, settings, saved, as_json=False, keep=keep)
        if status:
            return status
    return 0


@sweep.command()
@sweep_file
@json_option
def collect(file: str, as_json: bool) -> int:
    """Show the points that are done as a table, and which are not.

    The exit status is 1 if any is not.
    """
    from distsim.studies import sweep

    found = sweep.collect(sweep.read(file))
    click.echo(sweep.table(found))
    if as_json:
        click.echo(json.dumps(found))
    return FAILED if found["begun"] or found["missing"] else 0


@group.command()
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
    """Measure strong and weak scaling of both engines; explain and predict it.

    FILE.jsonl gets a line for each measurement; those it holds are not made again. The table, the
    model with its predictions, and the picture are of all it holds, so that the measurements of
    several jobs can be put together. Start this command without mpirun: it starts the runs.
    Variables DISTSIM_<OPTION> of the environment are not heeded.

    The exit status is 1 if a run fails, 74 if its measurement could not be written.
    """
    from distsim.pictures import figure
    from distsim.studies import scaling, scaling_report, scaling_series

    if picture is not None:
        figure.check(picture, overwrite=True)
    if ranks:
        settings = sources.gather(None, {}, {**values, "network": "gaussian", "transitions": 1})
        chosen = {name: getattr(settings, name) for name in values}
        given = {name: value for name, value in chosen.items() if value is not None}
        plan = scaling.Plan(ranks, neurons, repeats, seconds, launcher, ranks_per_node, given)
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
