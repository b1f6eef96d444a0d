"""The options that say what holds when: temperature, clamps, stimulus."""

from __future__ import annotations

from dataclasses import dataclass

from distsim.config.kinds import Number
from distsim.config.roles import Role, option


@dataclass(frozen=True)
class ConditionOptions:
    """What is constant until a time that is known beforehand."""

    tau: float = option(1.0, Number(), Role.STREAM, "Temperature.")
