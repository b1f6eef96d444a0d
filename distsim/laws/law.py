"""The contract of the two machines: which tickets a window has, and when it happens.

| member | meaning |
|---|---|
| name | `mpm` or `bm`, as in the configuration |
| bounded | whether tickets are drawn as deep as needed: engines must watch the responses (MPM) |
| names | whose tickets: seed and replica |
| course | the conditions, and where in them the chain stands: `laws.course` |
| scale | what thresholds are multiples of now: 2 tau (MPM) or T (BM), in weight units |
| target, most | events a window to aim at; after so many it ends (BM: the most steps of a window) |
| octaves_per_neuron | log2 of the first window's width times its rates, if all N are the largest |
| | one; 0 for a BM, whose clock has a first width from the start |
| scan | the BM's `kernels.boltzmann.Scan`; None for an MPM |
| clock | where the chain is: `kernels.window.Clock` |
| open(z, x) | the next window |
| close(window, events, early) | moves the clock to the window's end; the events' model times or |
| | steps, float64[events] |
| now() | model time or steps at the end of the last window |
| standstill(z, x) | the error of a run that waits for events where none will come, or None; for |
| | all ranks alike, after a window without events |
| draw(window, z, x, tickets) | the tickets that an engine starts with |
| deepen(window, x, events, bounds, tickets) | of a bounded law: what z within its bounds may |
| | reach besides; a bound on all s z |
| prepare, earliest | of `race`: see `engines.race` |

z: int[n] and x: uint8[n] are those at the window's start. A chain on GPUs takes name, bounded,
scale, target, most, octaves_per_neuron, scan and clock; `kernels/window.cuh` then opens and closes
its windows.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from distsim.errors import InputError
from distsim.kernels.boltzmann import Scan
from distsim.kernels.replay import Bounds
from distsim.kernels.window import Clock
from distsim.laws.course import Course
from distsim.laws.names import Names
from distsim.laws.tickets import Tickets
from distsim.laws.window import Window


class Law(Protocol):
    name: str
    bounded: bool
    names: Names
    course: Course
    octaves_per_neuron: int
    scan: Scan | None
    clock: Clock

    @property
    def scale(self) -> float: ...

    @property
    def target(self) -> int: ...

    @property
    def most(self) -> int: ...

    def open(self, z: NDArray[Any], x: NDArray[np.uint8]) -> Window: ...

    def close(
        self, window: Window, events: NDArray[np.uint64], *, early: bool
    ) -> NDArray[np.float64]: ...

    def now(self) -> float: ...

    def standstill(self, z: NDArray[Any], x: NDArray[np.uint8]) -> InputError | None: ...

    def draw(
        self, window: Window, z: NDArray[Any], x: NDArray[np.uint8], tickets: Tickets
    ) -> None: ...

    def deepen(
        self,
        window: Window,
        x: NDArray[np.uint8],
        events: NDArray[np.uint64],
        bounds: Bounds,
        tickets: Tickets,
    ) -> int: ...

    def prepare(
        self, window: Window, z: NDArray[Any], x: NDArray[np.uint8], tickets: Tickets
    ) -> None: ...

    def earliest(
        self, window: Window, z: NDArray[Any], x: NDArray[np.uint8], last: int, tickets: Tickets
    ) -> int: ...
