"""How many chains of a BM are laid out in a thread block: pure arithmetic, without CuPy.

None of this changes a result.
"""

from dataclasses import dataclass

BLOCK = 64  # neurons that are decided together
SHARED_LIMIT = 227 << 10  # bytes of shared memory that a block may have (compute capability 9.0)
_ROW, _FLIPS = 80, 16  # bytes: of a row of a block's weights, of a block's flips of a chain
_RESERVED = 1 << 10  # of a block, of a multiprocessor's shared memory
_ALL_SHARED = 228 << 10


@dataclass(frozen=True)
class Variant:
    """A thread block of `kernels/resident.cu`.

    chains: that it owns; span: times eight of them, a warp's tile; splits: warps that share the
    columns of a tile; deciders, tellers: warps; by_warp: a warp decides for a chain, not a thread;
    resident: blocks on a multiprocessor at once.
    """

    chains: int
    span: int
    splits: int
    deciders: int
    tellers: int
    by_warp: bool
    resident: int = 1

    @property
    def threads(self) -> int:
        products = 2 * (self.chains // (8 * self.span)) * self.splits
        return 32 * (products + self.deciders + self.tellers)

    def constants(self) -> dict[str, int]:
        """What the kernel is compiled with."""
        return {
            "CHAINS": self.chains,
            "SPAN": self.span,
            "SPLITS": self.splits,
            "DECIDERS": self.deciders,
            "TELLERS": self.tellers,
            "BY_WARP": int(self.by_warp),
            "RESIDENT": self.resident,
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


# From few chains to many: the first that holds all chains at once is the fastest.
VARIANTS = (
    Variant(8, 1, 4, 8, 1, True),
    Variant(16, 2, 4, 8, 1, True),
    Variant(32, 2, 2, 1, 4, False),
    Variant(64, 4, 2, 2, 4, False),
    Variant(128, 4, 1, 4, 4, False),
)


def choose(
    chains: int, size: int, planes: int, multiprocessors: int, *, energies: bool
) -> Variant | None:
    """The variant for so many chains of so many neurons (a multiple of 64); None: too large."""
    fitting = [
        variant
        for variant in VARIANTS
        if variant.shared(size, planes, energies=energies) <= SHARED_LIMIT
    ]
    for variant in fitting:
        if variant.chains * variant.resident * multiprocessors >= chains:
            return variant
    return fitting[-1] if fitting else None
