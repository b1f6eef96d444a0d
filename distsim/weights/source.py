"""Where weights come from: the contract of all networks, be they files, arrays or generators.

W[i, j]: the weight onto neuron i from neuron j;  b[i]: the bias of neuron i
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from distsim.kernels.gaussian import Formula
    from distsim.kernels.synapses import Synapses

SparseRows: TypeAlias = tuple[NDArray[np.int64], NDArray[Any], NDArray[np.float64]]
Offence: TypeAlias = tuple[int, int, float, float]  # i, j, W[i, j], W[j, i]


class Network(Protocol):
    """What the engines need of a network. Every method is about rows [start, stop) of W.

    | name | |
    |---|---|
    | `name` | what messages call it |
    | `names` | the neurons' names; None where they have but numbers |
    | `population` | the population that each neuron is of; None where nobody says |
    | `notes` | how it was read, where that needs saying |
    | `neurons` | N |
    | `bias` | float64[N] |
    | `maxcut` | whether -E / 2 is the worth of a cut (`networks.maxcut`) |
    | `rows` | float64[stop - start, N], the caller's own: only these are read; ask for few |
    | `peak` | at least the largest magnitude; NaN or infinity: InputError naming the first |
    | `entries` | how many weights of `rows` it holds, where zeros are not held; None: all |
    | `sparse_rows` | these, or None: int64[stop - start + 1], where each row begins; of each |
    | | weight its source, rising in a row, and float64, the caller's own |
    | `formula` | what all weights follow from, where a storage may make them in place; or None |
    | `synapses` | what sparse columns follow from, where they may be made in place; or None |
    | `asymmetry` | of `rows`: the first i, then j, with W[i, j] != W[j, i], or W[i, i] != 0 |
    | | where loops (self-edges) are not allowed |

    A file is read in tiles: a network never holds more than a few percent of its rows.
    """

    name: str
    names: tuple[str, ...] | None
    population: tuple[str, ...] | None
    notes: tuple[str, ...]
    neurons: int
    bias: NDArray[np.float64]
    maxcut: bool

    @property
    def formula(self) -> Formula | None: ...

    @property
    def synapses(self) -> Synapses | None: ...

    def rows(self, start: int, stop: int) -> NDArray[np.float64]: ...

    def entries(self, start: int, stop: int) -> int | None: ...

    def sparse_rows(self, start: int, stop: int) -> SparseRows | None: ...

    def peak(self, start: int, stop: int) -> float: ...

    def asymmetry(self, start: int, stop: int, *, loops: bool = False) -> Offence | None: ...
