"""What pictures count: exactly, in blocks of any size, in memory of one block."""

import dataclasses
import tracemalloc
from collections.abc import Iterator

import drawn_runs
import numpy as np
import pytest

from distsim.pictures import counting
from distsim.pictures.counting import Course, Fired, Grid, count
from distsim.pictures.run import Block, Run

SIZES = (1, 7, 1000, 10**6)


def blocked(model: str, size: int) -> Run:
    run = drawn_runs.run(model)
    blocks = drawn_runs.in_blocks(run, size)
    return dataclasses.replace(run, blocks=lambda: iter(blocks))


@pytest.mark.parametrize("model", ["mpm", "bm"])
def test_the_mean_activity_is_exact(model: str) -> None:
    """Neuron by neuron, interval by interval."""
    chosen = np.array([9, 1, 4, 2])
    edges = np.array([3.0, 3.5, 20.0, 20.25, 58.0])
    for size in SIZES:
        run = blocked(model, size)
        course = Course(run, edges, chosen)
        count(run, edges[-1], course)
        times, neurons, states = next(drawn_runs.run(model).blocks())
        for k, mean in enumerate(course.mean()):
            ones = 0.0
            for i in chosen:
                mine = neurons == i
                x, since = int(run.initial[i]), 0.0
                for t, s in [*zip(times[mine], states[mine], strict=True), (run.end, 0)]:
                    ones += x * max(0.0, min(t, edges[k + 1]) - max(since, edges[k]))
                    x, since = int(s), t
            assert mean == pytest.approx(ones / chosen.size / (edges[k + 1] - edges[k]))
            between = (times > edges[k]) & (times <= edges[k + 1]) & np.isin(neurons, chosen)
            assert course.counts[k] == np.count_nonzero(between & (states == 1))


def test_an_event_on_an_edge_belongs_to_the_interval_before_it() -> None:
    """As in observables, and steps of a BM are on edges often; at the first edge, to the first."""
    for size in SIZES:
        run = blocked("bm", size)
        edges = np.arange(0.0, 61.0)
        course, fired = Course(run, edges, np.arange(12)), Fired(run, 10.0)
        count(run, 60.0, course, fired)
        steps, neurons, states = next(drawn_runs.run("bm").blocks())
        sweeps = np.ceil(steps).astype(int)
        assert (steps == sweeps).sum() > 20
        wanted = np.bincount(sweeps[states == 1], minlength=61)[1:]
        np.testing.assert_array_equal(course.counts, wanted)
        from_10 = (steps >= 10.0) & (states == 1)
        np.testing.assert_array_equal(fired.counts, np.bincount(neurons[from_10], minlength=12))


def test_a_grid_counts_cells_of_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    edges = np.linspace(5.0, 50.0, 10)
    row = np.array([0, 0, 1, 1, -1, 2, 2, 2, 0, -1, 1, 2])
    group = np.arange(12) % 2
    times, neurons, states = next(drawn_runs.run().blocks())
    wanted = np.zeros((2, 3, 9), int)
    for t, i, s in zip(times, neurons, states, strict=True):
        if s and row[i] >= 0 and 5.0 <= t <= 50.0:
            wanted[group[i], row[i], int((t - 5.0) // 5.0)] += 1
    for most in (10**6, int(wanted.sum()), int(wanted.sum()) - 1):
        monkeypatch.setattr(counting, "DOTS", most)
        for size in SIZES:
            run = blocked("mpm", size)
            grid = Grid(edges, row, 3, group, 2)
            count(run, 50.0, grid)
            np.testing.assert_array_equal(grid.counts, wanted)
            assert grid.total == wanted.sum()
            assert (grid.dots is None) == (wanted.sum() > most)
            if grid.dots is not None:
                drawn = (states == 1) & (row[neurons] >= 0) & (times >= 5.0) & (times <= 50.0)
                np.testing.assert_array_equal(grid.dots[0], times[drawn])
                np.testing.assert_array_equal(grid.dots[1], neurons[drawn])


def test_memory_is_that_of_a_block() -> None:
    size = 1 << 17

    def peak(blocks: int) -> int:
        def events() -> Iterator[Block]:
            for k in range(blocks):
                time = (k + np.arange(size) / size) * 60.0 / blocks
                yield Block(
                    time, np.arange(size) % 12, (np.arange(size) // 12 % 2).astype(np.uint8)
                )

        run = dataclasses.replace(drawn_runs.run(), blocks=events, transitions=size * blocks)
        edges = np.linspace(0, 60.0, 101)
        tracemalloc.start()
        grid = Grid(edges, np.arange(12), 12, np.zeros(12, np.int64), 1)
        count(run, 60.0, grid, Course(run, edges, np.arange(11)), Fired(run, 0.0))
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert grid.total == pytest.approx(size * blocks / 2, rel=0.01)
        return found

    assert peak(12) < 1.2 * peak(3)
