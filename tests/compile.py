"""Compile the kernels that most tests use: python compile.py

Two processes of pytest would each compile them, and so would the ranks that a test starts. A
rehearsal has all kernels of a kind of run (tests/chains/test_rehearsal.py).
"""

import itertools

import numpy as np

from distsim.chains.rehearsal import rehearse
from distsim.config.options import Config

for bits, kind in ((16, np.int32), (8, np.int32), (32, np.int64)):
    for model, engine in itertools.product(("mpm", "bm"), ("walk", "relax", "race")):
        config = Config(
            network="array", model=model, engine=engine, weight_bits=bits, device="cpu",
            observe="energy", transitions=1,
        )  # fmt: skip
        for several_ranks in (False, True)[: 1 if engine == "walk" else 2]:
            rehearse(config, kind, several_ranks=several_ranks)
