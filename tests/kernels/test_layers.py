"""Layers of neurons: where they end, and that visits are those of plain loops."""

from typing import Any

import numpy as np
import pytest

from distsim.kernels.layers import Chains, Events, bounds_of, make_layer, visit
from distsim.kernels.philox import replica_bits
from distsim.kernels.updates import sweep_threshold
from distsim.recording import digest

NEURONS, SEED = 21, 7


def ends_of(W: Any) -> list[int]:
    found: list[int] = bounds_of(np.asarray(W, np.int8)).tolist()
    first, *ends = found
    assert first == 0
    return ends


def test_layers_end_where_weights_begin() -> None:
    W = np.zeros((6, 6))
    assert ends_of(W) == [6]
    W[4, 1] = W[1, 4] = 1
    assert ends_of(W) == [4, 6]
    W[5, 4] = W[4, 5] = -1
    assert ends_of(W) == [4, 5, 6]
    W[3, 0] = W[0, 3] = 1
    assert ends_of(W) == [3, 5, 6]
    assert ends_of(1 - np.eye(5)) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("first", [0, 3, 6])
@pytest.mark.parametrize("scale", [0.0, 1e-3, 7.0, 1e9, 1e39])
def test_visits_are_those_of_a_plain_loop(kind: Any, first: int, scale: float) -> None:
    rng = np.random.default_rng(3)
    chains, size = 5, 13
    bias, rest = rng.integers(-9, 9, size), rng.uniform(-0.5, 0.5, size)
    rest[:4] = 0.0
    x = (rng.random((chains, NEURONS)) < 0.5).astype(kind)
    z = rng.integers(-20, 20, (chains, size)).astype(kind)
    z[:, :3] = -bias[:3]  # at rest nothing is decided by z = 0
    clamped = rng.random((chains, NEURONS)) < 0.2
    replicas = [0, 1, 2, 65_535, 9]
    state = Chains(
        x.copy(), np.array([replica_bits(r) for r in replicas]), np.full(chains, scale), clamped,
        np.full(chains, 3), np.zeros(chains), np.zeros(chains, np.uint64),
    )  # fmt: skip
    shape = chains, 100
    events = Events(
        np.empty(shape), np.empty(shape, np.int64), np.empty(shape, np.uint8),
        np.empty(shape, np.int64), np.zeros(chains, np.int64),
    )  # fmt: skip
    layer = make_layer(first, bias, rest, kind)
    for sweep in (2, 3):
        visit(layer, np.uint64(SEED), sweep, z, state, events)

    for r, replica in enumerate(replicas):
        wanted = []
        for sweep in (2, 3):
            for k in range(size):
                i, response = first + k, int(z[r, k]) + int(bias[k])
                least = sweep_threshold(
                    np.uint64(SEED), replica_bits(replica), sweep, i, scale, rest[k], x[r, i] > 0
                )
                new = int(response >= least)
                if new != x[r, i] and not clamped[r, i]:
                    x[r, i] = new
                    change = -2 * response if new else 2 * response
                    wanted.append((sweep * NEURONS + i + 1, i, new, change))
        count = events.count[r]
        assert state.made[r] == 3 + count == 3 + len(wanted)
        found = zip(*(column[r, :count].tolist() for column in events[:4]), strict=True)
        assert list(found) == wanted
        np.testing.assert_array_equal(state.x[r], x[r])
        columns = events.time[r, :count], events.neuron[r, :count], events.state[r, :count]
        assert state.total[r] == digest.of_events(*columns, before=3) % 2**64
        if wanted:
            assert state.last[r] == wanted[-1][0]
