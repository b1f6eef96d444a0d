"""The recorder: the run's length, blocks, the digest."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from distsim.recording import digest
from distsim.recording.recorder import BLOCK, Recorder
from distsim.recording.sinks import Collected


def some(count: int, start: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    """Times, float64[count], and event words, uint64[count]."""
    index = np.arange(start, start + count, dtype=np.uint64)
    words = index + np.uint64(1) << np.uint64(23) | index % np.uint64(7) << np.uint64(1)
    return 0.5 * (index + 1.0), words | index % np.uint64(2)


class Sizes(Collected):
    """With the size of each block."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes = [0]

    def append(self, time: NDArray[Any], neuron: NDArray[Any], state: NDArray[Any]) -> None:
        self.sizes.append(len(time))
        super().append(time, neuron, state)


@pytest.mark.parametrize(
    "sizes", [[5], [0, 3, 0, 2], [BLOCK], [BLOCK - 1, 3, 2 * BLOCK + 5], [10] * 7]
)
def test_all_events_arrive_in_order(sizes: list[int]) -> None:
    collected = Sizes()
    recorder = Recorder(sum(sizes), None, collected)
    done = 0
    for size in sizes:
        recorder.record(*some(size, done))
        done += size
    recorder.flush()
    time, neuron, state = collected.columns()
    index = np.arange(done)
    np.testing.assert_array_equal(time, 0.5 * (index + 1.0))
    np.testing.assert_array_equal(neuron, index % 7)
    np.testing.assert_array_equal(state, index % 2)
    assert max(collected.sizes) <= BLOCK
    assert recorder.transitions == done
    assert recorder.last == 0.5 * done
    empty = np.empty(0, np.uint8)
    assert digest.text(recorder.total) == digest.of(time, neuron, state, empty)


def test_length_in_transitions() -> None:
    recorder = Recorder(7, None, None)
    times, events = some(5)
    assert recorder.belonging(times) == 5
    recorder.record(times, events)
    assert not recorder.finished(1e9)
    assert recorder.belonging(times) == 2
    recorder.record(times[:2], events[:2])
    assert recorder.finished(0.0)
    assert recorder.fraction(0.0) == 1.0


def test_length_in_time_includes_its_end() -> None:
    recorder = Recorder(None, 2.0, None)
    times, _ = some(10)
    assert recorder.belonging(times) == 4  # 0.5, 1.0, 1.5, 2.0
    assert not recorder.finished(1.99)
    assert recorder.finished(2.0)
    assert recorder.fraction(1.0) == 0.5


def test_digest_notices_every_change() -> None:
    time, neuron, state = np.array([1.0, 2.0]), np.array([3, 4]), np.array([1, 0], np.uint8)
    final = np.array([0, 1], np.uint8)
    changed = [
        digest.of(time, neuron, state, final),
        digest.of(np.nextafter(time, 9.0), neuron, state, final),
        digest.of(time[::-1], neuron, state, final),
        digest.of(time, neuron[::-1], state, final),
        digest.of(time, neuron, 1 - state, final),
        digest.of(time, neuron, state, 1 - final),
        digest.of(time[:1], neuron[:1], state[:1], final),
        digest.of(time[::-1], neuron[::-1], state[::-1], final),
    ]
    assert len(set(changed)) == len(changed)


def test_the_digest_of_chains_is_a_sum_over_replicas() -> None:
    def mixed(h: int) -> int:
        h = (h ^ h >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        h = (h ^ h >> 27) * 0x94D049BB133111EB % 2**64
        return h ^ h >> 31

    totals = {0: 5, 3: 2**64 + 7, 65_535: 2**64 - 1}
    expected = sum(mixed((h + r * 0x9E3779B97F4A7C15) % 2**64) for r, h in totals.items())
    assert digest.text(digest.of_chains(totals)) == f"{expected % 2**64:016x}"
    swapped = {3: 5, 0: 7, 65_535: 2**64 - 1}
    assert digest.of_chains(swapped) != digest.of_chains(totals)
