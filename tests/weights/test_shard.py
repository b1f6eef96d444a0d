"""Weights as integers: the unit, the error, the sums, what is refused."""

import math
from typing import Any

import numpy as np
import pytest

from distsim.errors import InputError
from distsim.networks.matrices import from_array
from distsim.ranks.communicator import Serial
from distsim.weights.dense import DenseColumns
from distsim.weights.shard import Shard, load

RANDOM = np.random.default_rng(1)
WEIGHTS = RANDOM.normal(size=(9, 9))


class OneOf(Serial):
    """One rank of several, as far as its neurons go."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size


def shard(
    weights: Any, bits: int = 32, bias: Any = None, ranks: Serial | None = None
) -> Shard[DenseColumns]:
    return load(from_array(weights, bias), bits, ranks or Serial(), DenseColumns)


@pytest.mark.parametrize("bits", [8, 16, 32])
@pytest.mark.parametrize("factor", [1.0, 1e-3, 1e100, 2.0**-500, 0.999, 127.0, 255.0])
def test_rounding(bits: int, factor: float) -> None:
    made = shard(factor * WEIGHTS, bits)
    assert math.frexp(made.unit)[0] == 0.5  # a power of two
    assert made.storage.columns.dtype == f"int{bits}"
    error = np.abs(made.storage.columns.T * made.unit - factor * WEIGHTS)
    assert error.max() <= made.unit / 2
    assert 2 ** (bits - 2) - 1 < np.abs(made.storage.columns.astype(int)).max() < 2 ** (bits - 1)


@pytest.mark.parametrize("peak", [1.0, 127.0, 127.4, 128.0, 2.0**-8, 3.0])
def test_peak_is_held(peak: float) -> None:
    made = shard(np.array([[peak, 0.0], [0.0, -peak]]), 8)
    assert np.abs(np.diag(made.storage.columns) * made.unit - [peak, -peak]).max() <= made.unit / 2
    assert np.abs(made.storage.columns.astype(int)).max() <= 127


def test_columns_belong_to_sources() -> None:
    weights = np.zeros((3, 3))
    weights[2, 0] = 1.0  # onto 2 from 0
    assert shard(weights).storage.columns[0, 2] != 0


def test_no_weights() -> None:
    made = shard(np.zeros((3, 3)))
    assert made.unit == 1.0
    assert not made.storage.columns.any()


def test_bias_is_a_whole_number_of_units_and_a_rest() -> None:
    bias = RANDOM.normal(size=9)
    made = shard(WEIGHTS, 8, bias)
    np.testing.assert_allclose((made.bias + made.rest) * made.unit, bias, rtol=1e-15)
    assert np.abs(made.rest).max() <= 0.5
    assert np.abs(made.rest).max() > 0.1


@pytest.mark.parametrize("size", [2, 3, 5, 11])
def test_ranks_hold_the_columns_between_them(size: int) -> None:
    weights = WEIGHTS.copy()
    weights[:, 0] = 8.0  # the largest of every row: all ranks find the same unit without asking
    whole = shard(weights, 16)
    parts = [shard(weights, 16, ranks=OneOf(rank, size)) for rank in range(size)]
    assert sum(part.size for part in parts) == 9
    for part in parts:
        columns = whole.storage.columns[:, part.first : part.first + part.size]
        np.testing.assert_array_equal(part.storage.columns, columns)
        assert part.size == 0 or part.unit == whole.unit


def test_z_has_32_bits_only_where_no_sum_overflows() -> None:
    assert shard(WEIGHTS, 8).kind is np.int32
    assert shard(WEIGHTS, 32).kind is np.int64
    assert shard(WEIGHTS, 16, 2e9 * np.ones(9) * shard(WEIGHTS, 16).unit).kind is np.int64


def test_too_large_a_bias_is_refused() -> None:
    bias = np.zeros(9)
    bias[4] = 1e20
    with pytest.raises(InputError, match=r"too large for exact sums.*less than 2\^61"):
        shard(WEIGHTS, 32, bias)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_not_a_number_is_refused(bad: float) -> None:
    weights = WEIGHTS.copy()
    weights[3, 5] = bad
    with pytest.raises(InputError, match=r"3, 5"):
        shard(weights)
