"""Many chains of a BM on one GPU: each is the chain that a CPU makes of its replica alone."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
from doubled import Kept
from numpy.typing import NDArray

from distsim.chains.cpu import HostChain
from distsim.config.options import Config
from distsim.laws.conditions import Conditions
from distsim.networks.matrices import from_array
from distsim.ranks.communicator import Serial

SEED = 2**40 + 5


class Case(NamedTuple):
    """A network, and chains of it. layers: sizes of layers without weights inside; clamps: how many
    of a hundred neurons, of all chains alike or of each by itself; taus: of T = 1, by sweep."""

    way: str
    layers: tuple[int, ...]
    chains: int
    bits: int
    taus: tuple[float, ...] = (1.0, 1.0, 1.0)
    clamps: int = 0
    each: bool = False


ANNEAL = (2.0, 1.0, 0.3, 0.01, 0.0)
CASES = [
    Case("resident", (1,) * 64, 3, 8),
    Case("resident", (1,) * 301, 700, 8),
    Case("resident", (1,) * 131, 2500, 8, ANNEAL, 30),
    Case("resident", (1,) * 130, 5000, 8, ANNEAL, 30, True),
    Case("resident", (1,) * 37, 9000, 8),
    Case("resident", (1,) * 150, 17, 16, ANNEAL),
    Case("resident", (1,) * 65, 9000, 16, (0.5, 0.5)),
    Case("layers", (71, 54), 9, 8),
    Case("layers", (203, 90, 66), 1500, 8, ANNEAL, 30),
    Case("layers", (70, 55), 5000, 8, (1.0, 1.0), 30, True),
    Case("layers", (65, 128), 9000, 16, ANNEAL),
    Case("layers", (150,), 40, 8),
    Case("blocks", (1,) * 700, 9, 8),
    Case("blocks", (1,) * 600, 1500, 8, ANNEAL, 30),
    Case("blocks", (1,) * 513, 5000, 16, (1.0, 0.0), 30, True),
]


def _named(case: Case) -> str:
    kind = "" if not case.clamps else "-each" if case.each else "-clamps"
    size = f"{sum(case.layers)}x{case.chains}-int{case.bits}"
    return f"{case.way}-{size}-{len(case.taus)}{kind}"


def _weights(case: Case) -> NDArray[Any]:
    """Integers, the largest as large as can be."""
    neurons, most = sum(case.layers), 2 ** (case.bits - 1) - 1
    random = np.random.default_rng(neurons)
    weights = np.clip(np.rint(random.normal(0, most / 4, (neurons, neurons))), -most, most)
    weights[0, -1] = most  # the unit is 1
    start = 0
    for size in case.layers:
        weights[start : start + size, start : start + size] = 0
        start += size
    weights = np.triu(weights, 1)
    whole: NDArray[Any] = (weights + weights.T).astype(f"int{case.bits}")
    return whole


def _chains(case: Case, **options: Any) -> tuple[Any, dict[str, Any]]:
    """The chains, and what they were made of."""
    from distsim.gpu.blocks import Blocks
    from distsim.gpu.layers import Layers
    from distsim.gpu.resident import Resident

    kind = {"resident": Resident, "layers": Layers, "blocks": Blocks}[case.way]
    weights, neurons = _weights(case), sum(case.layers)
    random = np.random.default_rng(case.chains)
    bias = random.normal(0, 2.0 ** (case.bits - 2), neurons)
    bias[::3] = np.rint(bias[::3])  # at T = 0 a response may be zero
    bias[1::5] = np.rint(bias[1::5]) + 0.5
    clamped = random.random((case.chains, neurons)) < case.clamps / 100
    made: dict[str, Any] = {
        "weights": weights,
        "bias": bias,
        "replicas": np.arange(case.chains) * 7 % 65536,
        "states": (random.random((case.chains, neurons)) < 0.5).astype(np.uint8),
        "clamped": clamped if case.each else np.repeat(clamped[:1], case.chains, 0),
        "scales": np.array(case.taus) * 2.0 ** (case.bits - 3) * np.sqrt(neurons),
    }
    whole = np.rint(bias)
    chains = kind(
        weights, whole.astype(np.int64), bias - whole, SEED, made["replicas"], made["states"],
        None if not case.clamps else made["clamped"] if case.each else clamped[0],
        **options,
    )  # fmt: skip
    return chains, made


def _on_cpu(made: dict[str, Any], bits: int, r: int, scales: NDArray[np.float64]) -> Any:
    """Chain number r, moved by the CPU: its end, and a recorder that keeps energies."""
    network = from_array(made["weights"].astype(np.float64), made["bias"])
    neurons, states = network.neurons, made["states"][r]
    clamped = np.flatnonzero(made["clamped"][r])
    conditions = replace(
        Conditions.constant(1.0),
        times=neurons * np.arange(scales.size, dtype=np.float64),
        taus=scales,
        clamped=clamped,
        held=states[clamped],
    )
    config = Config(
        network="array", model="bm", weight_bits=bits, sweeps=scales.size, seed=SEED,
        replica=int(made["replicas"][r]), observe="energy",
    )  # fmt: skip
    chain: Any = HostChain(network, config, Serial(), states, conditions)
    assert np.array_equal(chain.shard.storage.columns[:, :neurons], made["weights"])
    recorder = Kept(config, network)
    while not recorder.finished(chain.now()):
        chain.advance(recorder)
    return chain.final(), recorder


@pytest.mark.gpu
@pytest.mark.parametrize("case", CASES, ids=_named)
def test_chains_are_those_of_the_cpu(case: Case) -> None:
    """In two parts, the temperatures of the second by chain; every other case keeps energies."""
    energies = CASES.index(case) % 2 == 0
    chains, made = _chains(case, energies=energies)
    scales = made["scales"]
    own = scales[:, None] * np.linspace(1.0, 2.0, case.chains)[None]
    own[0] = scales[0]
    chains.advance(0, scales[:1])
    chains.advance(1, own[1:])
    states, count = chains.states(), chains.transitions()
    total, last = chains.totals(), chains.last()
    assert np.array_equal(states[made["clamped"]], made["states"][made["clamped"]])
    for r in (0, 1, case.chains - 1):
        final, recorder = _on_cpu(made, case.bits, r, own[:, r])
        assert recorder.transitions > 0
        assert np.array_equal(states[r], final), r
        assert count[r] == recorder.transitions, r
        assert int(total[r]) == recorder.total % 2**64, r
        assert last[r] == recorder.last, r
        if energies:
            change = int(np.concatenate(recorder.doubled).sum())
            assert chains.doubled()[r] == chains.energies()[-1, r] == change, r
    chains.release()


@pytest.mark.gpu
@pytest.mark.parametrize("case", [CASES[1], CASES[8], CASES[13]], ids=_named)
def test_energies_are_those_of_each_sweeps_end(case: Case) -> None:
    chains, made = _chains(case, energies=True)
    chains.advance(0, made["scales"])
    energies = chains.energies()
    assert np.array_equal(energies[-1], chains.doubled())
    for sweeps in range(1, len(made["scales"])):
        others, _ = _chains(case, energies=True)
        others.advance(0, made["scales"][:sweeps])
        assert np.array_equal(others.doubled(), energies[sweeps - 1])


@pytest.mark.gpu
@pytest.mark.parametrize("way", ["resident", "layers", "blocks"])
def test_a_chain_does_not_depend_on_those_beside_it(way: str) -> None:
    """In every variant that has room, and far on in a run."""
    from distsim.gpu.variants import LAYER_VARIANTS, VARIANTS

    found = []
    variants = {"resident": VARIANTS, "layers": LAYER_VARIANTS, "blocks": VARIANTS[:3]}[way]
    for variant in variants:
        for digest in (True, False):
            case = Case(way, (70, 58), 140, 8, (1.0, 1.0))
            chains, made = _chains(case, variant=variant, digest=digest)
            chains.advance(2**33 + 1, made["scales"])
            found.append((chains.states(), chains.transitions(), chains.last()))
            if not digest:
                assert not chains.totals().any()
    for one in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], one, strict=True))


@pytest.mark.gpu
def test_hot_and_huge_temperatures_leave_the_screen_to_double_precision() -> None:
    case = Case("resident", (1,) * 50, 3, 16, (1e3, 1e6, 1e12))
    chains, made = _chains(case)
    chains.advance(0, made["scales"])
    for r in range(3):
        final, recorder = _on_cpu(made, 16, r, made["scales"])
        assert np.array_equal(chains.states()[r], final)
        assert int(chains.totals()[r]) == recorder.total % 2**64


@pytest.mark.gpu
def test_the_rough_logarithm_of_every_high_half_is_within_its_error() -> None:
    """Of all 2^32 that are not at an edge, whatever the low half."""
    import cupy

    from distsim.gpu.compiler import compile_module

    worst = cupy.zeros(2, cupy.float64)
    kernel = compile_module("screen.cu").get_function("worst_errors")
    kernel((4096,), (256,), (worst,))
    error, inner = worst.get()
    assert 2.0**-18 < error < 0.85 * 2.0**-16  # the rest is left for rounding in single precision
    assert inner < 0.25 * 2.0**-16  # away from the edges
