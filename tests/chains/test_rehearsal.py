"""The rehearsal: after it, a run of its kind compiles and loads nothing."""

import json
import subprocess
import sys
from pathlib import Path

import launchers

# Each kind in a process forked before anything was compiled: what one needs, another may not have.
ALONE = """
import itertools, json, os, sys
import numpy as np
from distsim.chains import opening, rehearsal
from distsim.config.options import Config
from distsim.kernels.cache import KernelCache
from distsim.networks.gaussian import Gaussian
from distsim.ranks.communicator import connect
from distsim.recording.recorder import Recorder

asked = []
load = KernelCache.load_overload
KernelCache.load_overload = lambda self, sig, target: asked.append(
    f"{self._py_func.__name__} {sig}") or load(self, sig, target)

def late(model, engine, bits, wide, ranks):
    "The kernels that a chain asks for after it was opened, in lives of all sorts."
    asked.clear()
    for options in (
        {"tau": 1.0, "transitions": 3000},
        {"tau": 0.05, "transitions": 3000, "initial": "random"},
        {"tau": 1.0, "transitions": 500, "window": 1},
    ):
        config = Config(
            network="gaussian", neurons=300, coupling=4.0, model=model, engine=engine,
            weight_bits=bits, device="cpu", **options,
        )
        network = Gaussian(300, 4.0, 0, model == "bm")
        if wide:
            network.bias[0] = -(2.0**25)
        chain = opening.open_chain(network, config, ranks)
        assert (chain.shard.kind is np.int64) == (wide or bits == 32)
        opened = len(asked)
        recorder = Recorder(config.transitions, None, None)
        while not recorder.finished(chain.now()):
            chain.advance(recorder)
        chain.position(recorder)
        assert chain.consistent(chain.final())
        if asked[opened:]:
            return asked[opened:]
    return []

"""
FORKS = """
for kind in itertools.product(("mpm", "bm"), ("relax", "race"), (8, 16, 32), (False, True)):
    if kind[3] and kind[1:3] != ("relax", 8):
        continue
    process = os.fork()
    if not process:
        missed = late(*kind, connect())
        print(json.dumps([kind, missed]), flush=True)
        os._exit(0)
    assert os.waitpid(process, 0)[1] == 0
"""
RANKS = """
ranks = connect()
for kind in (("mpm", "relax", 8), ("mpm", "race", 16), ("bm", "relax", 8), ("bm", "race", 16)):
    missed = late(*kind, False, ranks)
    anywhere = ranks.maximum(len(missed))
    if ranks.rank == 0:
        print(json.dumps([kind, missed or anywhere]), flush=True)
"""


def assert_nothing_missed(out: str, kinds: int) -> None:
    found = [json.loads(line) for line in out.splitlines()]
    assert len(found) == kinds
    assert [line for line in found if line[1]] == []


def test_every_kind_of_chain_is_ready_when_it_is_open() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE + FORKS],
        capture_output=True, text=True, timeout=1200, env=launchers.ENVIRONMENT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert_nothing_missed(done.stdout, 14)


@launchers.needs_mpirun
def test_so_is_every_kind_on_several_ranks(tmp_path: Path) -> None:
    (tmp_path / "late.py").write_text(ALONE + RANKS)
    assert_nothing_missed(launchers.start(2, str(tmp_path / "late.py")), 4)
