"""What pictures draw, read back from their figures."""

import sys
from pathlib import Path
from typing import Any

import drawn_runs
import numpy as np
import pytest
from drawn_runs import NEURONS, POPULATION, W
from numpy.typing import NDArray

from distsim.errors import InputError
from distsim.pictures import counting, courses, matrices
from distsim.pictures.figure import ACCENT, INK, save, svg
from distsim.pictures.kinds import KINDS, draw, possible
from distsim.pictures.run import Run, Selection, of_events

pytest.importorskip("matplotlib")

MPM, BM = drawn_runs.run(), drawn_runs.run("bm")
EVENTS = drawn_runs.events()
ALL = Selection()


@pytest.fixture(autouse=True)
def no_pyplot(monkeypatch: pytest.MonkeyPatch) -> None:
    """No picture knows it: its import fails."""
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)


def spikes(run: Run, start: float, stop: float) -> tuple[NDArray[Any], NDArray[Any]]:
    time, neuron, state = next(run.blocks())
    drawn = (state == 1) & (time >= start) & (time <= stop)
    return time[drawn], neuron[drawn]


def dots(axes: Any) -> set[tuple[float, float, str]]:
    """Place and colour of each dot."""
    from matplotlib.colors import to_hex

    return {
        (float(x), float(y), to_hex(part.get_facecolor()[0]))
        for part in axes.collections
        for x, y in part.get_offsets()
    }


def colours(axes: Any) -> dict[str, str]:
    """Of each name in the legend."""
    from matplotlib.colors import to_hex

    handles, labels = axes.get_legend_handles_labels()
    return {name: to_hex(one.get_color()) for name, one in zip(labels, handles, strict=True)}


def line(axes: Any, number: int) -> NDArray[np.float64]:
    found: NDArray[np.float64] = axes.get_lines()[number].get_xydata()
    return found


# ------------------------------------------------------------------------------------- raster
@pytest.mark.parametrize("run", [MPM, BM], ids=["mpm", "bm"])
def test_a_raster_has_a_dot_a_spike_in_the_colour_of_its_population(run: Run) -> None:
    axes = draw("raster", run, Selection(7.0, 31.0)).axes[0]
    colour = colours(axes)
    assert len(set(colour.values())) == 3
    time, neuron = spikes(run, 7.0, 31.0)
    assert dots(axes) == {(t, i, colour[POPULATION[i]]) for t, i in zip(time, neuron, strict=True)}
    assert axes.get_xlim() == (7.0, 31.0)
    assert axes.get_xlabel() == run.clock == ("sweeps" if run.bm else "model time")
    assert f"{time.size:,} transitions" in axes.texts[0].get_text()


def test_neurons_are_drawn_in_the_order_asked_for() -> None:
    time, neuron = spikes(MPM, 0.0, 60.0)
    chosen = [8, 2, 11]
    for selection, order in (
        (Selection(neurons=chosen), chosen),
        (Selection(neurons=chosen, sort="rate"), sorted(chosen, key=(neuron.tolist()).count)),
        (
            Selection(sort="population"),
            sorted(range(NEURONS), key=lambda i: (sorted(POPULATION).index(POPULATION[i]), i)),
        ),
    ):
        axes = draw("raster", MPM, selection).axes[0]
        mine = np.isin(neuron, order)
        assert {(x, y) for x, y, _ in dots(axes)} == {
            (t, order.index(i)) for t, i in zip(time[mine], neuron[mine], strict=True)
        }
    assert [text.get_text() for text in axes.get_yticklabels()] == ["Kenyon", "MBON", "PN"]
    axes = draw("raster", MPM, Selection(neurons=chosen)).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["8", "2", "11"]


def test_a_raster_of_many_counts_what_is_in_each_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "DOTS", 100)
    for run, parts in ((MPM, 3), (of_events(EVENTS, "run.h5"), 1)):
        axes = draw("raster", run, Selection(10.0, 50.0)).axes[0]
        images = [np.ma.filled(image.get_array(), 0) for image in axes.images]
        assert (len(images), len(axes.collections)) == (parts, 0)
        together = np.sum(images, axis=0)
        assert together.shape[0] == NEURONS
        assert together.shape[1] > 300
        time, neuron = spikes(run, 10.0, 50.0)
        edges = np.linspace(10.0, 50.0, together.shape[1] + 1)
        wanted = np.histogram2d(neuron, time, [np.arange(NEURONS + 1), edges])[0]
        np.testing.assert_array_equal(together, wanted)
        assert axes.images[0].get_extent() == [10.0, 50.0, -0.5, 11.5]
        assert f"at most {int(wanted.max())} in a cell" in axes.texts[0].get_text()
    mine = np.array(POPULATION) == sorted(POPULATION)[0]
    first = np.ma.filled(
        draw("raster", MPM, Selection(10.0, 50.0)).axes[0].images[0].get_array(), 0
    )
    np.testing.assert_array_equal(first.sum(axis=1), np.where(mine, wanted.sum(axis=1), 0))


def test_the_overview_has_rate_and_share_below_the_raster() -> None:
    for run, sweep in ((MPM, 1), (BM, NEURONS)):
        raster, rate, share = draw("overview", run, Selection(5.0, 55.0)).axes
        time, neuron = spikes(run, 5.0, 55.0)
        assert {(x, y) for x, y, _ in dots(raster)} == set(zip(time, neuron, strict=True))
        values, edges, _ = rate.patches[0].get_data()
        np.testing.assert_allclose(edges, np.linspace(5.0, 55.0, 201))
        assert values.sum() * 0.25 * NEURONS == pytest.approx(time.size)
        found = drawn_runs.events("bm" if run.bm else "mpm")
        fine = drawn_runs.states(found, np.linspace(5.0, 55.0, 4001)[1:] * sweep)
        values = share.patches[0].get_data().values
        np.testing.assert_allclose(values.mean(), fine.mean(), atol=2e-3)
        np.testing.assert_allclose(
            values, fine.mean(axis=1).reshape(200, 20).mean(axis=1), atol=0.06
        )


# ------------------------------------------------------------------------- rates and courses
def test_rates_are_those_counted_or_those_observed() -> None:
    counted = np.bincount(spikes(MPM, 10.0, 50.0)[1], minlength=NEURONS) / 40.0
    no_events = drawn_runs.events(
        time=np.empty(0), neuron=np.empty(0, np.int64), state=np.empty(0, np.uint8)
    )
    no_events.observables.update(drawn_runs.observables(EVENTS))
    for run in (MPM, of_events(no_events, "run.h5")):
        main, beside = draw("rates", run, Selection(10.0, 50.0)).axes
        found = sorted((x, y) for x, y, _ in dots(main))
        np.testing.assert_allclose(found, [*enumerate(counted)])
        heights = np.zeros(10_000)  # of bars in their order, populations on top of each other
        for bar in beside.patches:
            heights[round((bar.get_y() + bar.get_height() / 2) * 1000)] += bar.get_width()
        high = beside.patches[0].get_height()
        wanted = np.histogram(counted, np.arange(-0.5 / 40, 9.0, high))[0]
        np.testing.assert_array_equal(heights[heights > 0], wanted[wanted > 0])
        assert line(main, 0)[0, 1] == pytest.approx(counted.mean())
    ordered = draw("rates", MPM, Selection(neurons=[3, 9, 5], sort="rate")).axes[0]
    whole = np.bincount(spikes(MPM, 0.0, 60.0)[1], minlength=NEURONS) / 60.0
    found = sorted((x, y) for x, y, _ in dots(ordered))
    np.testing.assert_allclose(found, [*enumerate(sorted(whole[[3, 9, 5]]))])


def test_energies_are_the_observed_ones_with_cut_and_lowest() -> None:
    axes = draw("energy", MPM, Selection(10.0, 20.0)).axes[0]
    wanted = np.column_stack([MPM.observables["time"], MPM.observables["energy"]])[20:40]
    np.testing.assert_array_equal(line(axes, 0), wanted)
    assert line(axes, 1)[:, 1].tolist() == [-77.5, -77.5]
    axes.figure.draw_without_rendering()
    (cut,) = axes.child_axes
    assert cut.get_ylabel() == "cut"
    assert cut.get_ylim() == pytest.approx(tuple(-y / 2 for y in axes.get_ylim()[::-1]))


def test_a_long_series_is_a_mean_over_a_band(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courses, "POINTS", 30)
    axes = draw("energy", MPM, ALL).axes[0]
    parts = MPM.observables["energy"].reshape(30, 4)
    np.testing.assert_allclose(line(axes, 0)[:, 1], parts.mean(axis=1))
    (band,) = axes.collections
    corners = band.get_paths()[0].vertices
    for time, part in zip(line(axes, 0)[:, 0], parts, strict=True):
        here = corners[np.isclose(corners[:, 0], time), 1]
        assert (here.min(), here.max()) == (part.min(), part.max())


def test_the_activity_is_the_observed_one_or_that_of_the_events() -> None:
    axes = draw("activity", MPM, ALL).axes[0]
    for number, name in enumerate(("activity", "mean_activity")):
        np.testing.assert_array_equal(line(axes, number)[:, 1], MPM.observables[name])
    chosen = [3, 7, 9]
    values, edges, _ = (
        draw("activity", MPM, Selection(neurons=chosen)).axes[0].patches[0].get_data()
    )
    fine = drawn_runs.states(EVENTS, np.linspace(0.0, 60.0, 4001)[1:])[:, chosen]
    np.testing.assert_allclose(values, fine.mean(axis=1).reshape(200, 20).mean(axis=1), atol=0.1)
    assert edges[-1] == 60.0


def test_the_autocorrelation_of_a_process_that_is_known() -> None:
    """y_d = phi y_{d - 1} + noise has rho(k) = phi^k and integrated time (1 + phi) / (1 - phi)."""
    rng, phi, samples = np.random.default_rng(1), 0.8, 100_000
    noise, y = rng.normal(size=samples), np.zeros(samples)
    for d in range(1, samples):
        y[d] = phi * y[d - 1] + noise[d]
    seen = {"time": np.arange(1, samples + 1) * 0.5, "energy": y, "activity": np.ones(samples)}
    config = {**EVENTS.config, "time": samples / 2}
    run = of_events(drawn_runs.events(observables=seen, config=config), "run.h5")
    axes = draw("autocorrelation", run, ALL).axes[0]
    lag, rho = line(axes, 1)[:20].T
    np.testing.assert_allclose(lag, np.arange(20) * 0.5)
    np.testing.assert_allclose(rho, phi ** np.arange(20), atol=0.03)
    (label,) = (text.get_text() for text in axes.get_legend().get_texts())
    assert float(label.split()[-1]) == pytest.approx(0.5 * 9, rel=0.1)
    shown = " ".join(axes.texts[0].get_text().split())
    assert "activity does not change" in shown
    short = courses.correlations(y[:50])
    assert short is not None
    centred = y[:50] - y[:50].mean()
    direct = [(centred[: 50 - k] * centred[k:]).sum() for k in range(50)]
    np.testing.assert_allclose(short, np.array(direct) / direct[0])


# ---------------------------------------------------------------------------------- matrices
def test_correlations_are_those_of_the_samples() -> None:
    x = np.unpackbits(MPM.observables["samples"], axis=1, count=NEURONS)
    for selection, rows, neurons in (
        (ALL, slice(None), [*range(NEURONS)]),  # from the moments
        (Selection(30.0, 60.0), slice(60, None), [*range(NEURONS)]),
        (Selection(neurons=[9, 4, 7, 0]), slice(None), [9, 4, 7, 0]),
    ):
        axes = draw("correlation", MPM, selection).axes[0]
        found = np.ma.filled(axes.images[0].get_array(), np.nan)
        with np.errstate(invalid="ignore"):
            wanted = np.corrcoef(x[rows][:, neurons].T)
        assert np.isnan(found[neurons.index(7)]).all()
        np.testing.assert_allclose(found, wanted, atol=1e-12)
        assert "neurons that never change: 1" in axes.texts[0].get_text()


def test_correlations_of_moments_alone() -> None:
    seen = drawn_runs.observables(EVENTS)
    of = np.array([2, 3, 11])
    seen |= {"moments": seen["moments"][np.ix_(of, of)], "moments_of": of}
    x = np.unpackbits(seen.pop("samples"), axis=1, count=NEURONS)
    run = of_events(drawn_runs.events(observables=seen), "run.h5")
    axes = draw("correlation", run, ALL).axes[0]
    np.testing.assert_allclose(axes.images[0].get_array(), np.corrcoef(x[:, of].T))
    assert [text.get_text() for text in axes.get_xticklabels()] == ["2", "3", "11"]
    for selection in (Selection(30.0), Selection(neurons=[2, 4])):
        with pytest.raises(InputError, match="moments are of the whole run and of the neurons of"):
            draw("correlation", run, selection)


def drawn_squares(axes: Any) -> list[tuple[float, float, float, str]]:
    """Centre, area and colour of each."""
    from matplotlib.colors import to_hex

    (squares,) = axes.collections
    found = []
    for path, face in zip(squares.get_paths(), squares.get_facecolors(), strict=True):
        low, high = path.vertices.min(axis=0), path.vertices.max(axis=0)
        x, y = (low + high) / 2
        found.append((round(x, 6), round(y, 6), float(np.prod(high - low)), to_hex(face)))
    return found


def test_a_hinton_diagram_has_a_square_a_weight() -> None:
    for neurons in ([*range(NEURONS)], [5, 1, 2, 10]):
        axes = draw("weights", MPM, Selection(neurons=neurons)).axes[0]
        mine = W[np.ix_(neurons, neurons)]
        found = drawn_squares(axes)
        assert len(found) == np.count_nonzero(mine)
        for x, y, area, colour in found:
            weight = mine[int(y), int(x)]  # onto y, from x
            assert area == pytest.approx(0.95**2 * abs(weight) / np.abs(mine).max())
            assert colour == (ACCENT if weight > 0 else INK)
        assert axes.get_ylim() == (len(neurons) - 0.5, -0.5)


def test_a_large_w_is_drawn_as_means_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrices, "SQUARES", 10)
    monkeypatch.setattr(matrices, "BLOCKS", 3)
    monkeypatch.setattr(matrices, "BLOCK", 5 * NEURONS)  # W in tiles of 5 rows
    axes = draw("weights", MPM, ALL).axes[0]
    means = W.reshape(3, 4, 3, 4).mean(axis=(1, 3))
    assert len(drawn_squares(axes)) == 9
    for x, y, area, colour in drawn_squares(axes):
        mean = means[int((y + 0.5) // 4), int((x + 0.5) // 4)]
        assert area == pytest.approx(16 * 0.95**2 * abs(mean) / np.abs(means).max())
        assert colour == (ACCENT if mean > 0 else INK)
    order = np.random.default_rng(0).permutation(NEURONS)[:11]
    found = matrices.block_means(MPM, order, 11)
    np.testing.assert_allclose(found, W[np.ix_(order, order)])


def test_samples_are_an_image_of_the_states() -> None:
    x = np.unpackbits(MPM.observables["samples"], axis=1, count=NEURONS)
    axes = draw("samples", MPM, Selection(10.0, 20.0, neurons=[4, 0, 9])).axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array(), x[20:40][:, [4, 0, 9]])
    assert axes.images[0].get_extent() == [-0.5, 2.5, 20.25, 10.25]
    from matplotlib.figure import Figure

    small = Figure(figsize=(0.1, 0.6), dpi=100).add_axes((0, 0, 1, 1))  # 10 columns, 60 rows
    draw("samples", MPM, ALL, axes=small)
    found = np.asarray(small.images[0].get_array())
    assert found.shape == (60, 10)
    columns = [[k for k in range(NEURONS) if k * 10 // 12 == c] for c in range(10)]
    for c, mine in enumerate(columns):
        np.testing.assert_allclose(found[:, c], x[:, mine].reshape(60, -1).mean(axis=1))


# ------------------------------------------------------------------------------- all of them
@pytest.mark.parametrize("title", [True, False])
@pytest.mark.parametrize("name", KINDS)
def test_texts_stay_within_a_column_of_a_page_and_clear_of_each_other(
    name: str, title: bool
) -> None:
    figure = draw(name, MPM, ALL, width=3.4, title=title)
    figure.draw_without_rendering()
    texts = []
    for axes in (part for one in figure.axes for part in (one, *one.child_axes)):
        texts += [*axes.texts, axes._left_title, axes.xaxis.label, axes.yaxis.label]
        texts += [] if axes.get_legend() is None else axes.get_legend().get_texts()
        for axis, (low, high) in (
            (axes.xaxis, sorted(axes.get_xlim())),
            (axes.yaxis, sorted(axes.get_ylim())),
        ):
            ticks = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=False)
            texts += [text for place, text in ticks if low <= place <= high]
    boxes = [text.get_window_extent() for text in texts if text.get_text() and text.get_visible()]
    for box in boxes:
        assert box.x0 >= -1, (name, box)
        assert box.y0 >= -1, (name, box)
        assert box.x1 <= figure.bbox.x1 + 1, (name, box)
        assert box.y1 <= figure.bbox.y1 + 1, (name, box)
    for k, box in enumerate(boxes):
        for other in boxes[:k]:
            assert not (box.width and other.width and box.overlaps(other)), (name, box, other)


def test_a_notebook_shows_a_picture_and_keeps_its_settings(tmp_path: Path) -> None:
    import matplotlib

    def settings() -> dict[str, Any]:  # the backend among them, as it is
        return {name: dict.__getitem__(matplotlib.rcParams, name) for name in matplotlib.rcParams}

    before = settings()
    figure = draw("weights", MPM, ALL, width=2.5)
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert svg(figure, "W", 'a "<W>"').startswith('<svg role="img" aria-label="a &quot;&lt;W&gt;')
    for ending, begin in (("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")):
        save(figure, str(tmp_path / f"it.{ending}"))
        assert (tmp_path / f"it.{ending}").read_bytes().startswith(begin)
    assert settings() == before


def test_a_run_says_what_it_can_show() -> None:
    assert possible(MPM) == dict.fromkeys(KINDS)
    bare = possible(of_events(EVENTS, "run.h5"))
    assert [name for name, reason in bare.items() if reason is None] == [
        "overview", "raster", "rates", "activity",
    ]  # fmt: skip
    assert bare["energy"] == "no energy observed; allowed: of a run with --observe energy"
    for name, reason in bare.items():
        if reason is not None:
            with pytest.raises(InputError) as told:
                draw(name, of_events(EVENTS, "run.h5"), ALL)
            assert str(told.value) == f"run.h5: {reason}"


@pytest.mark.parametrize(
    ("name", "selection", "message"),
    [
        ("spectrum", ALL, "kind: spectrum given; allowed: overview, raster, rates, energy"),
        ("raster", Selection(5.0, 3.0), "from 5 to 3 given; allowed: a later end than start"),
        ("raster", Selection(5.0, 5.0), "from 5 to 5 given"),
        ("energy", Selection(stop=60.5), "from 0 to 60.5 given; .* between 0 and 60, where"),
        ("rates", Selection(-1.0), "from -1 to 60 given"),
        ("rates", Selection(float("nan")), "from nan to 60 given"),
        ("raster", Selection(neurons=[3, 12]), "neuron 12 given; allowed: 0 to 11"),
        ("samples", Selection(neurons=[-1]), "neuron -1 given; allowed: 0 to 11"),
        ("weights", Selection(neurons=[3, 3]), "a neuron given twice; allowed: each once"),
        ("raster", Selection(neurons=[]), "neurons: allowed: indices, from 0 to 11"),
        ("raster", Selection(neurons=[1.5]), "neurons: allowed: indices"),  # type: ignore[list-item]
        ("raster", Selection(sort="name"), "sort: name given; allowed: none, rate, population"),
        (
            "weights",
            Selection(1.0),
            "a part of the time given for the kind weights; allowed for ov",
        ),
        ("energy", Selection(neurons=[1]), "neurons given for the kind energy; allowed for"),
        ("autocorrelation", Selection(sort="rate"), "sort rate given for the kind autocorrelation"),
        ("samples", Selection(10.0, 10.8), "1 samples from 10 to 10.8 given; allowed: 2 or more"),
    ],
)
def test_what_cannot_be_drawn_is_refused(name: str, selection: Selection, message: str) -> None:
    with pytest.raises(InputError, match=message):
        draw(name, MPM, selection)


def test_names_stand_as_they_are(tmp_path: Path) -> None:
    names = tuple(f"$n_{i}$" for i in range(NEURONS))
    config = {**EVENTS.config, "network": "a$b_{.npy"}
    found = drawn_runs.events(names=names, population=("$p", "q$_") * 6, config=config)
    figure = draw("raster", of_events(found, "run.h5"), Selection(neurons=[1, 4]))
    axes = figure.axes[0]
    save(figure, str(tmp_path / "it.svg"))
    ticks = [text.get_text().replace("\\$", "$") for text in axes.get_yticklabels()]
    assert ticks == ["$n_1$", "$n_4$"]
    assert axes.get_title(loc="left").replace("\\$", "$").startswith("a$b_{.npy, 12 neurons")


def test_other_refusals() -> None:
    with pytest.raises(InputError, match="sort by population given; allowed: of a network with"):
        draw("raster", of_events(EVENTS, "run.h5"), Selection(sort="population"))
    with pytest.raises(InputError, match="width: 1 given; allowed: 2 to 40 inches"):
        draw("raster", MPM, ALL, width=1.0)
    axes = draw("raster", MPM, ALL).axes[0]
    with pytest.raises(InputError, match="axes: given for the kind overview; allowed: for a kind"):
        draw("overview", MPM, ALL, axes=axes)
