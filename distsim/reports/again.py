"""The command that gives the same run again: from its configuration."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from distsim.config.conditions import SCHEDULED
from distsim.config.kinds import plain
from distsim.config.network import GIVEN
from distsim.config.options import DEFAULTS, FIELDS, flag
from distsim.config.roles import Role

MAY_BE_GIVEN = ("network", "initial", "tau_schedule", "clamp", "stimulus")
# What the run is; where it ran and what it wrote may be chosen anew.
_ROLES = (Role.STREAM, Role.NETWORK, Role.LENGTH, Role.RECORD)


def command(config: Mapping[str, Any]) -> str | None:
    """For a shell; None where something was an array of a program."""
    if arrays(config):
        return None
    return shlex.join(["distsim", "run", *_words(config)])


def call(config: Mapping[str, Any]) -> str:
    """The same for Python; arrays are W, bias, initial, tau ... there."""
    given = [repr(config["network"]) if config["network"] != GIVEN else "W"]
    for name, value in _changed(config):
        python = "tau" if value == GIVEN and name == "tau_schedule" else name
        if name != "network":
            given.append(f"{python}={python if value == GIVEN else repr(value)}")
    return f"distsim.simulate({', '.join(given)})"


def arrays(config: Mapping[str, Any]) -> list[str]:
    """The options that a program gave, which no file of options holds."""
    return [name for name in MAY_BE_GIVEN if config.get(name) == GIVEN]


def on_gpus(config: Mapping[str, Any]) -> bool:
    """Whether GPUs can make the run: at one temperature, without clamps and stimuli, replica 0."""
    others = ("clamp", "stimulus", "replica")
    return not isinstance(config["tau"], str) and not any(config.get(name) for name in others)


def over_length(config: Mapping[str, Any]) -> bool:
    """Whether its temperature goes, or may go, over the length that the run had at first."""
    return ":" in str(config["tau"]) or config.get("tau_schedule") == GIVEN


def differs(name: str, value: object) -> bool:
    """Whether an option has not its default."""
    return name not in FIELDS or value != DEFAULTS[name]


def shown(value: object) -> str:
    """A value as the command line takes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return plain(value) if isinstance(value, float) else str(value)


def _words(config: Mapping[str, Any]) -> Iterator[str]:
    for name, value in _changed(config):
        if isinstance(value, bool):
            yield flag(name) if value else f"--no-{flag(name)[2:]}"
        else:
            yield from (flag(name), shown(value))


def _changed(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, field in FIELDS.items():
        value = config.get(name, DEFAULTS[name])
        if name == "tau" and value == SCHEDULED:  # says that there is a tau_schedule
            continue
        if field.metadata["role"] in _ROLES and value is not None and differs(name, value):
            yield name, value
