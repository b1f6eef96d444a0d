"""The command line: parses, builds the configuration, calls. No logic.

What a command needs is imported when it runs, so that --help, --version and shell completion
start neither MPI nor compilation.
"""

from __future__ import annotations

from collections.abc import Sequence

import click
from click.shell_completion import CompletionItem

from distsim import __version__
from distsim.cli.files import export, info, network, plot, report
from distsim.cli.launch import BAD_INPUT, INTERRUPTED, NOT_WRITTEN, STATUSES, Launch
from distsim.cli.runs import resume, run
from distsim.cli.studies import bench, scaling, verify
from distsim.cli.sweep import sweep
from distsim.errors import InputError, OutputError


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
    except click.Abort as abort:
        if isinstance(abort.__cause__, EOFError):  # click takes one for Ctrl-C too
            raise abort.__cause__ from None
        launch.abort(INTERRUPTED)
        return INTERRUPTED


@click.group(
    cls=DefaultRun,
    epilog=f"The options of run work without its name: distsim --tau 2\n\n{STATUSES}",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def group() -> None:
    """Exact simulation of stochastic recurrent networks of binary neurons."""


for command in (run, resume, verify, bench, info, plot, report, export, network, sweep, scaling):
    group.add_command(command)
