"""`distsim plot` of files and `result.plot` of results: the same pictures, the same refusals."""

import sys
from pathlib import Path
from typing import Any

import drawn_runs
import numpy as np
import pytest
from drawn_runs import NEURONS, POPULATION, W

import distsim
from distsim.cli.launch import Launch
from distsim.cli.main import main
from distsim.errors import InputError
from distsim.files.events import Events
from distsim.front.plots import network_of
from distsim.pictures.kinds import KINDS, draw, possible
from distsim.pictures.run import Selection, opened

pytest.importorskip("matplotlib")


def seen(**changed: Any) -> Events:
    found = drawn_runs.events(**changed)
    found.observables.update(drawn_runs.observables(drawn_runs.events()))
    return found


@pytest.fixture
def file(tmp_path: Path) -> str:
    names = tuple(f"n{i}" for i in range(NEURONS))
    return drawn_runs.write(tmp_path / "run.h5", seen(names=names, population=POPULATION))


def test_a_file_is_drawn_as_the_run_in_memory(file: str) -> None:
    memory = drawn_runs.run()
    with opened(file, network_of) as run:
        assert possible(run) == dict.fromkeys(KINDS)
        assert (run.end, run.population) == (60.0, POPULATION)
        for kind in ("raster", "samples", "correlation", "energy"):
            one, other = (draw(kind, it, Selection(10.0, 30.0)).axes[0] for it in (run, memory))
            for found, wanted in zip(one.images, other.images, strict=True):
                np.testing.assert_array_equal(found.get_array(), wanted.get_array())
            for found, wanted in zip(one.collections, other.collections, strict=True):
                np.testing.assert_array_equal(found.get_offsets(), wanted.get_offsets())
            for found, wanted in zip(one.get_lines(), other.get_lines(), strict=True):
                np.testing.assert_array_equal(found.get_xydata(), wanted.get_xydata())
        axes = draw("raster", run, Selection(neurons=[3, 5])).axes[0]
        assert [text.get_text() for text in axes.get_yticklabels()] == ["n3", "n5"]


def test_the_network_is_the_one_that_the_configuration_names(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "W.npy"
    np.save(path, W)
    config = {**drawn_runs.events().config, "network": str(path), "neurons": None}
    given = drawn_runs.write(tmp_path / "given.h5", drawn_runs.events(config=config))
    with opened(given, network_of) as run:
        np.testing.assert_array_equal(run.weights.rows(2, 5), W[2:5])
    arguments = ["plot", given, "--kind", "weights", "--output", str(tmp_path / "it.svg")]
    assert main(arguments, Launch()) == 0
    np.save(path, W[:5, :5])
    assert main([*arguments, "--overwrite"], Launch()) == 2
    assert "has 5 neurons now, the run had 12; allowed: the same" in capsys.readouterr().err
    path.unlink()
    assert main([*arguments, "--overwrite"], Launch()) == 2
    err = capsys.readouterr().err
    assert "W.npy: " in err
    assert err.count("\n") == 1


def test_a_partial_file_is_drawn_as_far_as_it_goes(tmp_path: Path) -> None:
    found = seen(partial=True)
    for name in ("moments", "moments_of", "moments_count", "best/energy"):
        del found.observables[name]
    drawn_runs.write(tmp_path / "run.h5.partial", found)
    for name in ("run.h5", "run.h5.partial"):
        with opened(str(tmp_path / name), network_of) as run:
            assert run.end == max(found.time[-1], 60.0)
            axes = draw("raster", run, Selection()).axes[0]
            assert axes.get_title(loc="left").endswith("partial")
            assert possible(run)["energy"] is None


def test_the_options_of_plot_choose_what_is_drawn(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distsim.pictures import figure

    drawn = []
    monkeypatch.setattr(figure, "save", lambda figure, path: drawn.append(figure))
    arguments = ["plot", file, "--output", str(tmp_path / "it.pdf")]
    options = ["--kind", "raster", "--from", "10", "--to", "20.5", "--neurons", "3:9"]
    assert main([*arguments, *options, "--sort", "rate", "--width", "3.5"], Launch()) == 0
    assert main([*arguments, "--neurons", "9,2"], Launch()) == 0
    assert [len(one.axes) for one in drawn] == [1, 3]
    assert drawn[0].axes[0].get_xlim() == (10.0, 20.5)
    assert drawn[0].axes[0].get_ylabel() == "neuron, by rate"
    assert drawn[0].get_figwidth() == 3.5
    labels = [text.get_text() for text in drawn[1].axes[0].get_yticklabels()]
    assert labels == ["n9", "n2"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--kind", "spectrum"], "kind: spectrum given; allowed: overview, raster"),
        (["--from", "9", "--to", "3"], "run.h5: from 9 to 3 given; allowed: a later end"),
        (["--neurons", "12"], "--neurons: neuron 12 given; allowed: 0 to 11"),
        (["--neurons", "3:13"], "--neurons: neuron 12 given; allowed: 0 to 11"),
        (["--neurons", "0:999999999999"], "--neurons: neuron 999999999998 given; allowed: 0 to 11"),
        (["--neurons", "AVAL"], "--neurons: neuron AVAL given; allowed: 0 to 11"),
        (["--sort", "name"], "sort: name given; allowed: none, rate, population"),
        (["--kind", "energy"], "no energy observed; allowed: of a run with --observe energy"),
        (["--kind", "samples"], "no samples observed; allowed: of a run with --observe samples"),
        (["--kind", "correlation"], "allowed: of a run with --observe moments"),
        (["--kind", "autocorrelation"], "allowed: with --observe energy,activity"),
        (["--width", "nan"], "width: nan given; allowed: 2 to 40 inches"),
    ],
)
def test_bad_input_is_one_message(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = drawn_runs.write(tmp_path / "run.h5", drawn_runs.events())
    assert main(["plot", file, "--output", str(tmp_path / "it.png"), *options], Launch()) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "it.png").exists()


def test_files_without_events_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nothing: dict[str, Any] = {
        "time": np.empty(0),
        "neuron": np.empty(0, int),
        "state": np.empty(0, np.uint8),
    }
    file = drawn_runs.write(tmp_path / "run.h5", drawn_runs.events(**nothing))
    assert main(["plot", file, "--output", str(tmp_path / "it.png")], Launch()) == 2
    assert "no events given; allowed: an output file that has some" in capsys.readouterr().err


def test_help_names_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", "--help"], Launch()) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert [name for name in KINDS if name not in shown] == []


# ------------------------------------------------------------------------------------- results
def test_results_have_the_same_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # an import fails
    file = drawn_runs.write(tmp_path / "run.h5", seen())
    result = distsim.read(file)
    assert set(KINDS) == {name for name in dir(result.plot) if not name.startswith("_")}
    with opened(file, network_of) as run:
        for name in ("raster", "activity", "correlation"):
            wanted = draw(name, run, Selection(10.0, 30.0)).axes[0]
            found = getattr(result.plot, name)(start=10.0, stop=30.0).axes[0]
            for one, other in zip(found.collections, wanted.collections, strict=True):
                np.testing.assert_array_equal(one.get_offsets(), other.get_offsets())
            for one, other in zip(found.get_lines(), wanted.get_lines(), strict=True):
                np.testing.assert_array_equal(one.get_xydata(), other.get_xydata())
    assert len(result.plot.overview(neurons=range(3)).axes) == 3


def test_a_result_draws_on_the_axes_of_a_figure(file: str) -> None:
    from matplotlib.figure import Figure

    result = distsim.read(file)
    figure = Figure()
    axes = figure.subplots(2, 4).flat
    for ax, name in zip(axes, [name for name in KINDS if name != "overview"], strict=True):
        plot = getattr(result.plot, name)
        assert (plot(W, ax=ax) if name == "weights" else plot(ax)) is figure
        assert ax.has_data(), name
        assert not ax.get_title(loc="left")
    assert len(figure.axes) == 8
    with pytest.raises(InputError, match="neuron 99 given; allowed: 0 to 11"):
        result.plot.raster(neurons=[99])


def test_weights_of_a_result_are_those_given() -> None:
    result = distsim.simulate(W, tau=5.0, transitions=20, device="cpu", show_progress=False)
    with pytest.raises(InputError, match=r"was an array of a Python program; .*plot\.weights\(W\)"):
        result.plot.weights()
    (squares,) = result.plot.weights(W).axes[0].collections
    assert len(squares.get_paths()) == np.count_nonzero(W)
    with pytest.raises(InputError, match="has 5 neurons now, the run had 12"):
        result.plot.weights(W[:5, :5])
