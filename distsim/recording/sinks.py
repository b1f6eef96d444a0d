"""Where events go in blocks: an output file, or memory."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from distsim.errors import OutputError


class Sink(Protocol):
    """Where events go in blocks: an output file, or memory."""

    def append(
        self, time: NDArray[np.float64], neuron: NDArray[np.int64], state: NDArray[np.uint8]
    ) -> None: ...


class Memory:
    """Keeps all events."""

    def __init__(self) -> None:
        self.blocks: list[tuple[Any, ...]] = [
            (np.empty(0), np.empty(0, np.int64), np.empty(0, np.uint8))
        ]

    def append(
        self, time: NDArray[np.float64], neuron: NDArray[np.int64], state: NDArray[np.uint8]
    ) -> None:
        self.blocks.append((time.copy(), neuron.copy(), state.copy()))


class Guarded:
    """A sink whose first error is kept for an agreed stop: the other ranks know nothing of it."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.error: OutputError | None = None

    def append(
        self, time: NDArray[np.float64], neuron: NDArray[np.int64], state: NDArray[np.uint8]
    ) -> None:
        if self.error is None:
            try:
                self.sink.append(time, neuron, state)
            except OutputError as error:
                self.error = error

    def check(self) -> None:
        """Raise the error, if there was one."""
        if self.error is not None:
            raise self.error
