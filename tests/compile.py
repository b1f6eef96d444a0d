"""Compile the kernels that most tests use of a model: python compile.py mpm|bm

Two processes of pytest would each compile them, and so would the ranks that a test starts. A
rehearsal has all kernels of a kind of run (tests/chains/test_rehearsal.py); a run, those of the
network that most tests have, and of its digest.
"""

import itertools
import sys
import tempfile

import numpy as np

from distsim.chains.rehearsal import Kind, rehearse
from distsim.config.options import Config
from distsim.ranks.communicator import Serial
from distsim.runs import simulation

TYPES: list[tuple[int, Kind, str]] = [
    (16, np.int32, "dense"), (8, np.int32, "dense"), (32, np.int64, "dense"),
    (32, np.int64, "sparse"),
]  # fmt: skip

model = sys.argv[1]
if model == "bm":  # from the other end: what both models need is compiled by one of two processes
    TYPES.reverse()
for (bits, kind, storage), engine in itertools.product(TYPES, ("walk", "relax", "race")):
    config = Config(
        network="array", model=model, engine=engine, weight_bits=bits, device="cpu",
        observe="energy", transitions=1,
    )  # fmt: skip
    for several_ranks in (False, True)[: 1 if engine == "walk" else 2]:
        rehearse(config, kind, storage, several_ranks=several_ranks)

with tempfile.TemporaryDirectory() as folder:
    for bits, _, storage in TYPES:
        config = Config(
            network="gaussian", neurons=8, model=model, weight_bits=bits, storage=storage,
            device="cpu", initial="random", transitions=1,
            checkpoint=f"{folder}/{bits}-{storage}.ck",
        )  # fmt: skip
        simulation.run(config, Serial())
