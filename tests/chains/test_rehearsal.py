"""The rehearsal: after it, a run of its kind compiles and loads nothing."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import launchers
import pytest

# Each kind in a process forked before anything was compiled: what one needs, another may not have.
ALONE = """
import json, os, sys
import numpy as np
from numba.core.registry import cpu_target
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
        {"tau": 0.05, "transitions": 3000 if ranks.size == 1 else 1000, "initial": "random"},
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
cpu_target.typing_context.refresh()  # Numba's own tables, which are the same for all
cpu_target.target_context.refresh()
for kind in json.loads(sys.argv[1]):
    process = os.fork()
    if not process:
        missed = late(*kind, connect())
        print(json.dumps([kind, missed]), flush=True)
        os._exit(0)
    assert os.waitpid(process, 0)[1] == 0
"""
RANKS = """
ranks = connect()
for kind in json.loads(sys.argv[1]):
    missed = late(*kind, ranks)
    anywhere = ranks.maximum(len(missed))
    if ranks.rank == 0:
        print(json.dumps([kind, missed or anywhere]), flush=True)
"""


# (model, engine, bits, whether z is wider than these ask for)
Kinds = list[tuple[str, str, int, bool]]
EACH: Kinds = [
    ("mpm", "walk", 32, False),
    ("mpm", "relax", 16, False),
    ("mpm", "relax", 32, False),
    ("mpm", "race", 32, False),
    ("bm", "walk", 16, False),
    ("bm", "relax", 32, False),
    ("bm", "race", 16, False),
    ("bm", "race", 8, True),
]
ALL: Kinds = [
    *itertools.product(("mpm", "bm"), ("relax", "race", "walk"), (8, 16, 32), (False,)),
    *itertools.product(("mpm", "bm"), ("relax", "race", "walk"), (8, 16), (True,)),
]


def assert_nothing_missed(out: str, kinds: Kinds) -> None:
    found = [json.loads(line) for line in out.splitlines()]
    assert [tuple(kind) for kind, _ in found] == kinds
    assert [line for line in found if line[1]] == []


@pytest.mark.parametrize(
    "kinds", [pytest.param(EACH, id="each"), pytest.param(ALL, id="all", marks=pytest.mark.long)]
)
def test_every_kind_of_chain_is_ready_when_it_is_open(kinds: Kinds) -> None:
    """Each model, engine, width, and a z that is wider than that asks for; in all ways: long."""
    done = subprocess.run(
        [sys.executable, "-c", ALONE + FORKS, json.dumps(kinds)],
        capture_output=True, text=True, timeout=1200, env=launchers.ENVIRONMENT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert_nothing_missed(done.stdout, kinds)


@launchers.needs_mpirun
@pytest.mark.parametrize(
    "kinds",
    [
        pytest.param([ALL[0], ("bm", "race", 16, False)], id="some"),
        pytest.param([kind for kind in ALL if kind[1] != "walk"], id="all", marks=pytest.mark.long),
    ],
)
def test_so_is_every_kind_on_several_ranks(kinds: Kinds, tmp_path: Path) -> None:
    (tmp_path / "late.py").write_text(ALONE + RANKS)
    out = launchers.start(2, str(tmp_path / "late.py"), json.dumps(kinds))
    assert_nothing_missed(out, kinds)
