"""The commands of `sweep`."""

from __future__ import annotations

import functools
import json

import click

from distsim.cli.launch import FAILED, STATUSES, Launch
from distsim.cli.options import json_option
from distsim.cli.runs import follow


@click.group()
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
        status = follow(ranks, settings, saved, as_json=False, keep=keep)
        if status:
            return status
    return 0


@sweep.command()
@sweep_file
@click.option("--csv", "table", type=click.Path(), metavar="FILE.csv", help="Write the table.")
@click.option(
    "--picture",
    type=click.Path(),
    metavar="FILE.png",
    help="Draw the observables over tau, or over what the sweep varies.",
)
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
@json_option
def collect(
    file: str, table: str | None, picture: str | None, overwrite: bool, as_json: bool
) -> int:
    """Show the points that are done as a table, and which are not.

    The exit status is 1 if any is not.
    """
    from distsim.files import places
    from distsim.pictures import figure
    from distsim.studies import sweep, sweep_report

    if table is not None:
        places.check_writable(table, overwrite, "csv", file)
    if picture is not None:
        figure.check(picture, overwrite=overwrite, source=file)
    found = sweep.collect(sweep.read(file))
    click.echo(sweep_report.table(found))
    if table is not None:
        sweep_report.write_csv(found, table)
    if picture is not None:
        sweep_report.picture(found, picture)
    if as_json:
        click.echo(json.dumps(found))
    return FAILED if found["begun"] or found["missing"] else 0
