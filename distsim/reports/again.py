"""The command that gives the same run again: from its configuration."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from distsim.config.network import GIVEN
from distsim.config.options import DEFAULTS, FIELDS, flag
from distsim.config.roles import Role

# What the run is; where it ran and what it wrote may be chosen anew.
_ROLES = (Role.STREAM, Role.NETWORK, Role.LENGTH, Role.RECORD)


def command(config: Mapping[str, Any]) -> str | None:
    """For a shell; None where the network or the initial states were arrays of a program."""
    if GIVEN in (config["network"], config["initial"]):
        return None
    return shlex.join(["distsim", "run", *_words(config)])


def call(config: Mapping[str, Any]) -> str:
    """The same for Python; arrays are W, bias and initial there."""
    given = [repr(config["network"]) if config["network"] != GIVEN else "W"]
    if config["initial"] == GIVEN:
        given.append("initial=initial")
    given += [
        f"{name}={value!r}"
        for name, value in _changed(config)
        if name != "network" and value != GIVEN
    ]
    return f"distsim.simulate({', '.join(given)})"


def differs(name: str, value: object) -> bool:
    """Whether an option has not its default."""
    return name not in FIELDS or value != DEFAULTS[name]


def shown(value: object) -> str:
    """A value as the command line takes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _words(config: Mapping[str, Any]) -> Iterator[str]:
    for name, value in _changed(config):
        if isinstance(value, bool):
            yield flag(name) if value else f"--no-{flag(name)[2:]}"
        else:
            yield from (flag(name), shown(value))


def _changed(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, field in FIELDS.items():
        value = config.get(name, DEFAULTS[name])
        if field.metadata["role"] in _ROLES and value is not None and differs(name, value):
            yield name, value
