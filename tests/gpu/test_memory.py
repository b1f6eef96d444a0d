"""Whatever ends a chain on a GPU, its memory is given back: here on a GPU that only counts it."""

from collections.abc import Iterator
from typing import Any

import fake_cupy
import numpy as np
import pytest

from distsim.config.options import Config
from distsim.errors import InputError
from distsim.laws.conditions import Conditions
from distsim.networks.matrices import from_array
from distsim.ranks.communicator import Serial
from distsim.recording.recorder import Recorder

CASES = [
    {"model": model, "engine": engine} for model in ("mpm", "bm") for engine in ("relax", "race")
]


@pytest.fixture
def gpu() -> Iterator[tuple[fake_cupy.Gpu, Any]]:
    with fake_cupy.install() as installed:
        yield installed


def _open(chains: Any, bias: float = 0.0, **options: Any) -> Any:
    network = from_array(np.zeros((50, 50)), np.full(50, bias))
    config = Config(network="array", transitions=100, **options)
    constant = Conditions.constant(config.tau)
    return chains.DeviceChain(network, config, Serial(), np.zeros(50, np.uint8), constant)


@pytest.mark.parametrize("case", [*CASES, *({**case, "observe": "energy"} for case in CASES)])
def test_memory_is_given_back_at_the_end(gpu: Any, case: dict[str, Any]) -> None:
    counted, chains = gpu
    chain = _open(chains, **case)
    recorder = Recorder(100, None, None)
    chain.advance(recorder)
    assert counted.held > 50 * 50
    chain.close()
    assert counted.held == 0


@pytest.mark.parametrize("case", CASES)
def test_memory_is_given_back_while_the_error_is_held(gpu: Any, case: dict[str, Any]) -> None:
    """The traceback of the error holds the chain: in a notebook until the next error."""
    counted, chains = gpu
    chain = _open(chains, **case)
    recorder = Recorder(100, None, None)
    chain.advance(recorder)
    counted.broken = True
    with pytest.raises(RuntimeError, match="a kernel has failed") as caught:
        chain.advance(recorder)
    assert counted.held > 50 * 50
    chain.abandon()
    assert counted.held == 0
    chain.abandon()
    assert caught.tb


def test_memory_is_given_back_by_what_cannot_be_opened(gpu: Any) -> None:
    counted, chains = gpu
    for options, allowed in (
        ({"bias": 1e300}, "too large for exact sums"),
        ({"bias": 1.0, "tau": 1e-12}, "tau above"),
    ):
        with pytest.raises(InputError, match=allowed) as caught:
            _open(chains, **options)
        assert counted.held == 0
        assert caught.tb


@pytest.mark.parametrize("case", CASES)
def test_memory_is_given_back_where_there_is_too_little(gpu: Any, case: dict[str, Any]) -> None:
    counted, chains = gpu
    failed = 0
    while True:
        counted.left = failed
        try:
            chain = _open(chains, **case)
        except (MemoryError, InputError) as lack:  # whose traceback is held here
            held, reason = counted.held, str(lack)
        else:
            break
        assert "memory" in reason
        assert held <= 16 * 50  # what a call that failed was about to return: two words a neuron
        failed += 1
    assert failed > 15
    chain.close()


def test_a_chain_of_several_ranks_is_abandoned_without_the_others(gpu: Any) -> None:
    """They may still write into this rank's memory: it is kept until the process ends."""
    counted, chains = gpu
    chain = _open(chains)
    held = counted.held

    class Alone:
        size = 2

    chain.ranks = Alone()
    chain.abandon()
    assert counted.held == held
