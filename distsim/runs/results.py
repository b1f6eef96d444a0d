"""What a run says of itself: while it runs, at its end, and to Python."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Progress:
    """How far a run is: transitions and model time so far, fraction of its length, seconds.

    before, resumed: transitions and fraction with which these seconds began.
    """

    transitions: int
    time: float
    fraction: float
    seconds: float
    before: int = 0
    resumed: float = 0.0


@dataclass(frozen=True)
class Summary:
    """What a run was and did; `consistent`: z == W x held exactly at its end.

    Of a resumed run, seconds and rates are those since then. stopped: why it ended before its
    length was reached; checkpoint: the file from which it can go on.
    """

    model: str
    network: str
    neurons: int
    tau: float
    seed: int
    engine: str
    device: str
    ranks: int
    transitions: int
    time: float
    steps: int | None
    seconds: float
    transitions_per_second: float
    steps_per_second: float | None
    windows: int
    replays: int
    applies: int
    consistent: bool
    digest: str
    exchange: str | None = None  # between GPUs
    phases: dict[str, float] = field(default_factory=dict)
    stopped: str | None = None
    checkpoint: str | None = None


@dataclass(frozen=True)
class Result:
    """A run from Python: time float64[K], neuron int64[K], state uint8[K] (the new states),
    initial and final uint8[N], and the summary."""

    time: NDArray[np.float64]
    neuron: NDArray[np.int64]
    state: NDArray[np.uint8]
    initial: NDArray[np.uint8]
    final: NDArray[np.uint8]
    summary: Summary

    @property
    def digest(self) -> str:
        return self.summary.digest
