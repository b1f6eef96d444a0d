"""The pictures of scaling measurements and of the benchmark, read back."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from distsim.studies import bench, scaling_report
from distsim.studies.scaling_series import Series, Speed

pytest.importorskip("matplotlib")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is drawn instead of being saved."""
    figures: list[Any] = []
    for room in (bench, scaling_report):
        monkeypatch.setattr(room, "save", lambda figure, path: figures.append(figure))
    return figures


def speed(ranks: int, speed_up: float, repeats: int = 3) -> Speed:
    found = Speed(1000, ranks, 1, None, repeats, 1e6, 9e5, 2e6, 10.0, 3.0, 10.0, 1e-5)
    return replace(
        found, speed_up=speed_up, efficiency=speed_up / ranks,
        shares={"apply": 0.75, "exchange": 0.25},
    )  # fmt: skip


def test_strong_scaling_is_a_speed_up_and_weak_scaling_an_efficiency(drawn: list[Any]) -> None:
    speeds = [speed(ranks, 0.9 * ranks**0.9) for ranks in (1, 2, 4)]
    further = [speed(8, 5.0, 0)]
    found = [
        Series(kind, "relax", 1000, {"tau": 1.0}, speeds, further, None)
        for kind in ("strong", "weak")
    ]
    scaling_report.picture(found, "any.png")
    strong, weak, *phases = drawn[0].axes
    for axes, name, factor in ((strong, "speed-up", 1.0), (weak, "efficiency, %", 100.0)):
        ideal, beyond, measured, _ = axes.get_lines()
        assert axes.get_ylabel() == name
        for line, points in ((measured, speeds), (beyond, [speeds[-1], *further])):
            wanted = [one.speed_up if factor == 1.0 else 100 * one.efficiency for one in points]
            np.testing.assert_allclose(line.get_ydata(), wanted)
            np.testing.assert_array_equal(line.get_xdata(), [one.ranks for one in points])
        np.testing.assert_array_equal(ideal.get_ydata(), [1, 8] if factor == 1.0 else [100, 100])
    assert weak.get_ylim()[0] == 0
    assert [bar.get_width() for bar in phases[0].patches] == [75.0] * 3 + [25.0] * 3


def test_each_model_of_the_benchmark_has_axes_of_its_own(drawn: list[Any]) -> None:
    rows = [
        {"model": model, "neurons": 40, "weight_bits": bits, "engine": engine, "exchange": None,
         "device": "cpu", "rate": rate, "ratio": 2.0}
        for model, engine, bits, rate in (
            ("mpm", "loop", None, 1e4), ("mpm", "relax", 8, 2e6), ("bm", "relax", 32, 5e7),
        )
    ]  # fmt: skip
    bench.picture(rows, "any.png")
    mpm, bm = drawn[0].axes
    assert [bar.get_width() for bar in mpm.patches] == [1e4, 2e6]
    assert [bar.get_width() for bar in bm.patches] == [5e7]
    assert mpm.get_xlabel().startswith("mpm: transitions a second")
    assert bm.get_xlabel().startswith("bm: updates a second")
    assert [text.get_text() for text in mpm.get_yticklabels()] == [
        "40 float32, loop",
        "40 int8, relax",
    ]
