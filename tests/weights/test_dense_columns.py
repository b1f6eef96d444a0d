"""Dense columns in memory: how they lie."""

import numpy as np
import pytest

from distsim.kernels.dense import digest
from distsim.weights import capacity
from distsim.weights.dense import DenseColumns


@pytest.mark.parametrize(("neurons", "spare"), [(100, 0), (511, 0), (512, 16), (1024, 16)])
def test_columns_do_not_crowd_the_same_places_of_the_caches(neurons: int, spare: int) -> None:
    columns = DenseColumns(neurons, neurons, 32).columns
    assert columns.shape == (neurons, neurons + spare)
    assert not columns[:, neurons:].any()
    assert columns.ctypes.data % 64 == 0


def test_zeros_after_a_column_change_nothing() -> None:
    w = np.random.default_rng(1).integers(-127, 128, (2048, 30)).astype(np.int8)
    storage = DenseColumns(30, 2048, 8)
    storage.store_rows(w, 0)
    assert storage.columns.shape[1] > 2048
    assert storage.digest(0) == digest(np.ascontiguousarray(w.T), 0)


@pytest.mark.parametrize("bits", [8, 16, 32])
@pytest.mark.parametrize("neurons", [100, 511, 512, 2048])
def test_the_plan_holds_what_is_allocated(neurons: int, bits: int) -> None:
    made = DenseColumns(neurons, neurons, bits).bytes
    planned = capacity.bytes_on_host(neurons, bits, 1) - capacity.SPARE
    planned -= capacity.bytes_of_state(neurons, 1)
    assert made <= planned <= made + capacity.COLUMN_SPARE * neurons
