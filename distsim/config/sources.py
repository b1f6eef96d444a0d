"""Where options come from: a TOML file, the environment, the command line, a checkpoint.

Each overrides the one before (`gather`); of a resumed run the checkpoint comes first (`amend`).
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from distsim.config.network import BUILT_IN
from distsim.config.options import (
    DETAILS,
    FIELDS,
    LENGTHS,
    RECORD,
    STREAM,
    WRITTEN,
    Config,
    flag,
    of_role,
)
from distsim.config.roles import Role
from distsim.errors import InputError
from distsim.files.claim import CLAIM
from distsim.files.places import PARTIAL, PREVIOUS, check_writable
from distsim.files.whole import WRITING

PREFIX = "DISTSIM_"


def gather(
    file: str | None,
    environment: Mapping[str, str],
    options: Mapping[str, object],
    heeded: Collection[str] | None = None,
) -> Config:
    """Config from a TOML file (None: no file), then the environment, then the command line.

    `options` maps fields to values, None where not given. The four lengths are one option in
    four units: a later source's length replaces an earlier one's. heeded: the fields for which the
    environment counts, of a command that has not all; others may be there. Raises InputError.
    """
    around = _environment_values(environment)
    if heeded is not None:
        around = {name: given for name, given in around.items() if name in heeded}
    layers = [{} if file is None else _file_values(file), around]
    return _overlaid([*layers, _option_values(options)], file)


def in_environment(environment: Mapping[str, str], name: str) -> bool:
    """Whether the environment has a value for a field."""
    return variable(name) in environment


def variable(name: str) -> str:
    """The variable of the environment for a field."""
    return PREFIX + name.upper()


def amend(
    path: str,
    stored: Mapping[str, object],
    environment: Mapping[str, str],
    options: Mapping[str, object],
) -> Config:
    """Config of a resumed run: what the checkpoint at `path` stored, then the command line, which
    may not change what defines the event stream.

    The environment had its say when the run began, and its command line may have overruled it: now
    it counts for where and how to run (Role.CONDUCT) alone. Further checkpoints go to the same
    file; max_time was that of the earlier run; exchange stays unless device or engine are changed,
    and so do the options of a generated network unless its weights come from elsewhere now, as from
    a file made of it; overwrite allowed to replace the files of the first run, not others.
    Raises InputError.
    """
    unknown = sorted(set(stored) - set(FIELDS))
    if unknown:
        raise InputError(f"checkpoint {path}: unknown option {unknown[0]}: of another version")
    around = _environment_values(environment)
    conduct = {name: around[name] for name in of_role(Role.CONDUCT) if name in around}
    given = conduct | _option_values(options)
    base = {name: (value, f"{name} in {path}") for name, value in stored.items()}
    before = _overlaid([base])
    for name in _outdated(stored, given):
        base.pop(name, None)
    base["checkpoint"] = (path.removesuffix(PREVIOUS), "checkpoint")
    after = _overlaid([base, given])
    _check_kept(after, before, given, STREAM, "it defines the events")
    _check_kept(after, before, given, RECORD, "it defines what is kept of them")
    if after.checkpoint != base["checkpoint"][0]:
        assert after.checkpoint is not None
        _check_saving(after.checkpoint, "overwrite" in given and after.overwrite)
    return after


def _check_kept(
    after: Config,
    before: Config,
    given: Mapping[str, tuple[object, str]],
    names: Sequence[str],
    reason: str,
) -> None:
    """Refuse another value of an option that a resumed run must keep: that which the checkpoint
    stores, or, of an option that its version did not have, the default."""
    for name in (name for name in names if name in given):
        now, kept = getattr(after, name), getattr(before, name)
        if now != kept:
            raise InputError(
                f"{given[name][1]}: {now} given to resume a run with {kept}; allowed: the same, "
                f"since {reason} ({', '.join(names)})"
            )


def _outdated(stored: Mapping[str, object], given: Mapping[str, tuple[object, str]]) -> set[str]:
    """The options of an earlier run that do not hold for one resumed with those given now."""
    outdated = {"max_time"}
    if any(name in given and given[name][0] != stored[name] for name in ("device", "engine")):
        outdated.add("exchange")
    if "tau_schedule" in given:
        outdated.add("tau")
    if "network" in given and _kind(given["network"][0]) != _kind(stored["network"]):
        outdated.update(DETAILS)
    return outdated


def _kind(network: object) -> str:
    """What a network is made from: the name of a built-in one, the ending of a file."""
    name = str(network)
    return name if name in BUILT_IN else os.path.splitext(name)[1]


def _overlaid(
    layers: Sequence[Mapping[str, tuple[object, str]]], file: str | None = None
) -> Config:
    """Config from layers of field -> (value, place), each overriding those before."""
    values: dict[str, object] = {}
    sources: dict[str, str] = {}
    for layer in layers:
        if any(name in layer for name in LENGTHS):
            for name in LENGTHS:
                values.pop(name, None)
        for name, (value, place) in layer.items():
            values[name], sources[name] = value, place
    return Config(**values, sources=sources, file=file)  # type: ignore[arg-type]


def _option_values(options: Mapping[str, object]) -> dict[str, tuple[object, str]]:
    """Field -> (value, place) from the command line."""
    return {name: (value, flag(name)) for name, value in options.items() if value is not None}


def _file_values(path: str) -> dict[str, tuple[object, str]]:
    """Field -> (value, place) from a TOML file of plain keys."""
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"configuration {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"configuration {path}: not UTF-8 text; allowed: a TOML file") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"configuration {path}: not TOML: {error}") from None
    for key in table:
        if key not in FIELDS:
            raise InputError(f"configuration {path}: key {key}; allowed: {', '.join(FIELDS)}")
    return {key: (value, f"{key} in {path}") for key, value in table.items()}


def _environment_values(environment: Mapping[str, str]) -> dict[str, tuple[object, str]]:
    """Field -> (value, place) from the variables DISTSIM_<FIELD>."""
    allowed = {PREFIX + name.upper(): name for name in FIELDS}
    given = sorted(variable for variable in environment if variable.startswith(PREFIX))
    for variable in given:
        if variable not in allowed:
            raise InputError(f"environment: {variable}; allowed: {', '.join(allowed)}")
    return {allowed[variable]: (environment[variable], variable) for variable in given}


def check_output(config: Config) -> None:
    """Raise InputError where the files of a new run cannot be written. For root, before it."""
    if config.output is not None:
        check_writable(config.output, config.overwrite)
        check_writable(config.output + PARTIAL, overwrite=True)  # unless a run is at work on it
    if config.checkpoint is not None:
        _check_saving(config.checkpoint, config.overwrite)
    check_progress(config, again=False)


def check_progress(config: Config, *, again: bool) -> None:
    """Raise InputError where no progress can be written; again: after the lines that are there."""
    path = config.progress
    if path is None:
        return
    check_writable(path, config.overwrite or again, "progress")
    if again and _first_byte(path) not in (b"", b"{"):
        raise InputError(
            f"progress {path}: exists, and is none; allowed: that of the run that is resumed, or a "
            "new file"
        )


def _first_byte(path: str) -> bytes:
    """Nothing of a file that cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(1)
    except OSError:
        return b""


def _check_saving(path: str, overwrite: bool) -> None:
    """Raise InputError if checkpoints cannot be written at `path`, or one is there already."""
    for ending in WRITTEN["checkpoint"]:
        # What an interrupted run has left of these may go.
        left = ending.endswith((WRITING, CLAIM))
        check_writable(path + ending, overwrite or left, "checkpoint")
