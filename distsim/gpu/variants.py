"""Which algorithm moves many chains of a BM, and how they are laid out in thread blocks.

Pure arithmetic, without CuPy. None of this changes a result.
"""

from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

BLOCK = 64  # neurons that are decided together
SHARED_LIMIT = 227 << 10  # bytes of shared memory that a block may have (compute capability 9.0)
_ROW, _FLIPS = 80, 16  # bytes: of a row of a block's weights, of a block's flips of a chain
_LAYER = 64  # neurons a layer, on average, from which on layers are decided at once
_MOST_RESIDENT = 4096  # neurons: W beyond is read faster by products of all chains


@dataclass(frozen=True)
class Variant:
    """A thread block of `kernels/resident.cu`.

    chains: that it owns; span: times eight of them, a warp's tile; splits: warps that share the
    columns of a tile; lanes: threads that decide for a chain; tellers: warps.
    """

    chains: int
    span: int
    splits: int
    lanes: int
    tellers: int

    @property
    def threads(self) -> int:
        products = 2 * (self.chains // (8 * self.span)) * self.splits
        return 32 * (products + self.tellers) + self.chains * self.lanes

    def constants(self) -> dict[str, int]:
        """What the kernel is compiled with."""
        return {
            "CHAINS": self.chains,
            "SPAN": self.span,
            "SPLITS": self.splits,
            "LANES": self.lanes,
            "TELLERS": self.tellers,
            "GAP_ROW": self.chains + 2,
        }

    def shared(self, size: int, planes: int, *, energies: bool, one_pass: bool = False) -> int:
        """Bytes of shared memory for so many neurons, a multiple of 64."""
        states = (1 + one_pass) * self.chains * stride_of(size)
        gaps = (self.splits + energies) * BLOCK * (self.chains + 2) * 4
        return states + gaps + 2 * planes * BLOCK * _ROW + 2 * self.chains * _FLIPS


def stride_of(size: int) -> int:
    """Bytes from one chain's states to the next in shared memory."""
    return size if size % 128 else size + 64


# From few chains to many: the first that holds all chains at once is the fastest. One such block
# fills a multiprocessor.
VARIANTS = (
    Variant(8, 1, 4, 4, 1),
    Variant(16, 2, 4, 4, 2),
    Variant(32, 2, 2, 4, 4),
    Variant(64, 4, 2, 1, 4),
    Variant(128, 4, 1, 1, 4),
)


def choose(
    chains: int,
    size: int,
    planes: int,
    multiprocessors: int,
    *,
    energies: bool,
    one_pass: bool = False,
) -> Variant | None:
    """The variant for so many chains of so many neurons (a multiple of 64); None: too large."""
    fitting = [
        variant
        for variant in VARIANTS
        if variant.shared(size, planes, energies=energies, one_pass=one_pass) <= SHARED_LIMIT
    ]
    for variant in fitting:
        if variant.chains * multiprocessors >= chains:
            return variant
    return fitting[-1] if fitting else None


@dataclass(frozen=True)
class LayerVariant:
    """A thread block of `kernels/layers.cu`: chains that it owns; span: times eight of them, a
    warp's tile; warps."""

    chains: int
    span: int
    warps: int

    @property
    def threads(self) -> int:
        return 32 * self.warps

    def constants(self) -> dict[str, int]:
        return {
            "CHAINS": self.chains,
            "SPAN": self.span,
            "WARPS": self.warps,
        }

    def shared(self, size: int) -> int:
        """Bytes of shared memory for so many places."""
        return self.chains * (stride_of(size) + size // 4 + 16 + 5 * 8)


LAYER_VARIANTS = (
    LayerVariant(8, 1, 16),
    LayerVariant(16, 2, 16),
    LayerVariant(32, 4, 16),
    LayerVariant(64, 4, 16),
)


def choose_for_layers(chains: int, size: int, multiprocessors: int) -> LayerVariant | None:
    """The variant for so many chains of layers in so many places; None: too many places."""
    fitting = [variant for variant in LAYER_VARIANTS if variant.shared(size) <= SHARED_LIMIT]
    for variant in fitting:
        if variant.chains * multiprocessors >= chains:
            return variant
    return fitting[-1] if fitting else None


def algorithm(neurons: int, bounds: NDArray[Any]) -> Literal["resident", "layers", "blocks"]:
    """What is fastest for many chains; bounds: of the layers of W (`kernels.layers.bounds_of`)."""
    layers = bounds.size - 1
    if _LAYER * layers <= neurons and choose_for_layers(1, neurons + BLOCK * layers, 1) is not None:
        return "layers"
    return "resident" if neurons <= _MOST_RESIDENT else "blocks"
