"""Compile the kernels that most tests use of a model: python compile.py mpm|bm

Two processes of pytest would each compile them, and so would the ranks that a test starts. A
rehearsal has all kernels of a kind of run (tests/chains/test_rehearsal.py).
"""

import itertools
import sys

import numpy as np

from distsim.chains.rehearsal import Kind, rehearse
from distsim.config.options import Config

TYPES: list[tuple[int, Kind, str]] = [
    (16, np.int32, "dense"), (8, np.int32, "dense"), (32, np.int64, "dense"),
    (32, np.int64, "sparse"),
]  # fmt: skip

for (bits, kind, storage), engine in itertools.product(TYPES, ("walk", "relax", "race")):
    config = Config(
        network="array", model=sys.argv[1], engine=engine, weight_bits=bits, device="cpu",
        observe="energy", transitions=1,
    )  # fmt: skip
    for several_ranks in (False, True)[: 1 if engine == "walk" else 2]:
        rehearse(config, kind, storage, several_ranks=several_ranks)
