"""Where events go in blocks: an output file, or memory."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from distsim.errors import OutputError


class Sink(Protocol):
    """Where events go in blocks, and observables in rows: an output file, or memory."""

    def append(
        self, time: NDArray[np.float64], neuron: NDArray[np.int64], state: NDArray[np.uint8]
    ) -> None: ...

    def extend(self, rows: Mapping[str, NDArray[Any]]) -> None: ...


class Collected:
    """All events and observables, in memory."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget them."""
        self._blocks: list[tuple[NDArray[Any], ...]] = [
            (np.empty(0), np.empty(0, np.int64), np.empty(0, np.uint8))
        ]
        self._rows: dict[str, list[NDArray[Any]]] = {}

    def append(
        self, time: NDArray[np.float64], neuron: NDArray[np.int64], state: NDArray[np.uint8]
    ) -> None:
        self._blocks.append((time.copy(), neuron.copy(), state.copy()))

    def extend(self, rows: Mapping[str, NDArray[Any]]) -> None:
        for name, part in rows.items():
            self._rows.setdefault(name, []).append(part)

    def rows(self) -> dict[str, NDArray[Any]]:
        """Every dataset of observables, a row a sample; none without samples."""
        return {name: np.concatenate(parts) for name, parts in self._rows.items()}

    def columns(self) -> list[NDArray[Any]]:
        """time: float64[K], neuron: int64[K], state: uint8[K]."""
        return [np.concatenate(column) for column in zip(*self._blocks, strict=True)]


class Deferred:
    """A sink whose first error waits for a stop on all ranks, of which only this one knows it."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.error: OutputError | None = None

    def append(
        self, time: NDArray[np.float64], neuron: NDArray[np.int64], state: NDArray[np.uint8]
    ) -> None:
        self._try(lambda: self._sink.append(time, neuron, state))

    def extend(self, rows: Mapping[str, NDArray[Any]]) -> None:
        self._try(lambda: self._sink.extend(rows))

    def _try(self, write: Callable[[], None]) -> None:
        if self.error is None:
            try:
                write()
            except OutputError as error:
                self.error = error

    def check(self) -> None:
        """Raise the error, if there was one."""
        if self.error is not None:
            raise self.error
