"""What an option is for: its role, said beside its default; all lists of options follow."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from enum import StrEnum
from typing import Any


class Role(StrEnum):
    """What an option is for; all lists of options follow from it."""

    STREAM = "stream"  # defines the events: a resumed run has it from its checkpoint
    NETWORK = "network"  # what W and b are; known by their digest, so that files may move
    LENGTH = "length"  # where the run ends: a resumed run may go further
    RECORD = "record"  # what is kept of the events: a resumed run has it from its checkpoint
    CONDUCT = "conduct"  # where and how to run: a resumed run heeds the environment for it
    FILES = "files"  # what is written, and whether it replaces what is there


def option(default: Any, kind: Callable[[object], Any], role: Role, text: str) -> Any:
    """A field of Config: its default (None: not given), its kind, its role, its line of help."""
    metadata = {"kind": kind, "role": Role(role), "help": text}
    return dataclasses.field(default=default, metadata=metadata)
