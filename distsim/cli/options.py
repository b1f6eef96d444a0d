"""The options of commands: each field of the configuration is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from distsim.config import kinds
from distsim.config import options as fields

Command = TypeVar("Command", bound=Callable[..., Any])


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
        flags = [f"{flags[0]}/--no-{flags[0][2:]}"]
    elif isinstance(kind, kinds.Choice):
        type_ = click.Choice([str(one) for one in kind.allowed])
    elif isinstance(kind, kinds.Text):
        type_ = click.Path()  # completes file names, checks nothing
    if field.default is not None and not isinstance(kind, kinds.Flag) and not again:
        text += f" [default: {field.default}]"
    hidden = again and name in fields.STREAM + fields.RECORD
    return click.option(
        *flags, name, type=type_, metavar=kind.metavar, default=None, help=text, hidden=hidden
    )


json_option = click.option(
    "--json", "as_json", is_flag=True, help="End the output with one line of JSON."
)
