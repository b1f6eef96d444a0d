"""The contract of chains, kept on CPU and GPU: members, counters, and where a chain goes on."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from distsim.chains.chain import Chain, Position
from distsim.chains.opening import open_chain
from distsim.config.options import Config
from distsim.networks.gaussian import Gaussian
from distsim.ranks.communicator import Serial
from distsim.recording.recorder import Recorder

N = 60
MACHINES: dict[str, dict[str, Any]] = {
    "mpm": {"tau": 0.6},
    "mpm, small windows": {"tau": 0.6, "window": 2},
    "bm, sequential": {"model": "bm", "scan": "sequential"},
    "bm, random": {"model": "bm", "scan": "random"},
}
ENGINES = ("race", "relax", "walk")
ways = pytest.mark.parametrize(
    ("device", "engine"),
    [("cpu", engine) for engine in ENGINES]
    + [pytest.param("gpu", engine, marks=pytest.mark.gpu) for engine in ENGINES[:2]],
)
pytestmark = pytest.mark.parametrize("machine", list(MACHINES))


def opened(device: str, engine: str, machine: str, saved: Position | None = None) -> Chain:
    config = Config(
        network="gaussian", neurons=N, transitions=1, seed=5, initial="random", device=device,
        engine=engine, weight_bits=16, **MACHINES[machine],
    )  # fmt: skip
    network = Gaussian(N, 1.0, 0, config.model == "bm")
    chain = open_chain(network, config, Serial(), None if saved is None else saved.states)
    if saved is not None:
        chain.go_on(saved)
    return chain


def advance(chain: Chain, transitions: int, saved: Position | None = None) -> Recorder:
    """Up to so many transitions of the chain's run."""
    recorder = Recorder(transitions, None, None)
    if saved is not None:
        recorder.go_on(saved.transitions, saved.last, saved.total)
    while not recorder.finished(chain.now()):
        chain.advance(recorder)
    return recorder


@ways
def test_members(device: str, engine: str, machine: str) -> None:
    chain = opened(device, engine, machine)
    declared = {*Chain.__annotations__, *vars(Chain)}
    assert all(hasattr(chain, name) for name in declared if not name.startswith("_"))
    assert chain.place == chain.config.device == device
    assert chain.engine == engine
    assert (chain.exchange is None) == (device == "cpu")
    assert (chain.windows, chain.replays, chain.applies, chain.now()) == (0, 0, 0, 0.0)
    assert chain.target >= 1
    np.testing.assert_array_equal(np.unique(chain.initial), [0, 1])
    assert chain.initial.shape == (N,)
    recorder = advance(chain, 500)
    final = chain.final()
    assert recorder.transitions == 500
    assert chain.windows > 0
    assert (chain.replays > 0) == (chain.applies > 0) == (engine != "walk")
    assert chain.now() >= recorder.last > 0
    timed = (device, engine) != ("gpu", "race")
    assert (sum(chain.timer.phases.values()) > 0) == timed
    assert final.shape == (N,)
    assert chain.consistent(final)
    chain.close()


@pytest.mark.parametrize("engine", ENGINES)
def test_states_that_are_not_the_chains_are_not_consistent(engine: str, machine: str) -> None:
    """On the CPU: a chain on GPUs asks itself for its states."""
    chain = opened("cpu", engine, machine)
    final = chain.final().copy()
    assert chain.consistent(final)
    final[7] = 1 - final[7]
    assert not chain.consistent(final)


@ways
def test_a_chain_goes_on_where_another_stood(device: str, engine: str, machine: str) -> None:
    """The same events, digest, counters and end, from any position of an earlier chain."""
    whole = opened(device, engine, machine)
    wanted = advance(whole, 3000)
    for stop in (1, 700, 2999):
        first = opened(device, engine, machine)
        recorder = advance(first, stop)
        saved = first.position(recorder)
        assert saved.transitions <= stop  # inside a window: at its start
        assert saved.windows <= first.windows
        first.close()
        second = opened(device, engine, machine, saved)
        assert second.network_digest() == whole.network_digest()
        assert second.now() == saved.clock.high
        assert second.position(Recorder(None, None, None)).clock == saved.clock
        found = advance(second, 3000, saved)
        assert (found.transitions, found.last) == (wanted.transitions, wanted.last)
        assert int(found.total) % 2**64 == int(wanted.total) % 2**64
        np.testing.assert_array_equal(second.final(), whole.final())
        assert second.consistent(second.final())
        assert (second.windows, second.now()) == (whole.windows, whole.now())
        second.close()
    whole.close()


@ways
def test_a_position_is_all_that_a_chain_goes_on_from(
    device: str, engine: str, machine: str
) -> None:
    """Other states or another clock lead elsewhere."""
    first = opened(device, engine, machine)
    saved = first.position(advance(first, 400))
    first.close()
    totals = set()
    other = saved.states.copy()
    other[:20] = 1 - other[:20]
    later = saved.clock._replace(number=saved.clock.number + 50)
    for one in (saved, replace(saved, states=other), replace(saved, clock=later)):
        chain = opened(device, engine, machine, one)
        totals.add(int(advance(chain, 900, one).total) % 2**64)
        chain.close()
    assert len(totals) == 3
