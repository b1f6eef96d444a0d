"""Scaling: what is measured, the arithmetic of speed-ups, the model and its predictions."""

import json
import math
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import launchers
import pytest

from distsim.cli import main as cli
from distsim.cli.launch import Launch
from distsim.errors import InputError
from distsim.studies import scaling, scaling_report
from distsim.studies.scaling import Line, Plan, RunError, Task
from distsim.studies.scaling_series import analyse

A, B, C, BANDWIDTH = 20e-6, 2e-6, 5e-6, 4e9  # of a made-up machine
OPTIONS = {"model": "mpm", "tau": 1.0, "weight_bits": 8}


def line(engine: str, neurons: int, ranks: int, weak: list[int] | None = None) -> Line:
    """A measurement of a machine that follows the model exactly."""
    windows, events = 1000, 2 * math.sqrt(neurons)
    replays, applies = (1 if ranks == 1 else 4, 1) if engine == "relax" else (events, events)
    columns = events * applies if engine == "relax" else applies
    volume = columns * -(-neurons // ranks)
    seconds = windows * (A + (B + C * math.log2(ranks)) * replays + volume / BANDWIDTH)
    return {
        "options": OPTIONS,
        "weak": weak,
        "nodes": 1,
        "per_node": 4,
        "engine": engine,
        "neurons": neurons,
        "ranks": ranks,
        "transitions": events * windows,
        "windows": windows,
        "replays": replays * windows,
        "applies": applies * windows,
        "seconds": seconds,
        "transitions_per_second": events * windows / seconds,
        "phases": {"apply": 3.0, "exchange": 1.0},
        "device": "cpu",
        "exchange": None,
    }


def lines() -> list[Line]:
    measured = []
    for engine in ("relax", "race"):
        measured += [line(engine, n, ranks) for n in (10_000, 40_000) for ranks in (1, 2, 4)]
        measured += [line(engine, 20_000, 4, [10_000, 1])]
    return measured


def plan(**changes: Any) -> Plan:
    values: dict[str, Any] = {
        "ranks": (1, 2),
        "neurons": (50,),
        "repeats": 1,
        "seconds": 0.001,
        "launcher": "",
        "per_node": None,
        "options": OPTIONS,
    }
    return Plan(**{**values, **changes})


def silent(text: str) -> None:
    """For measurements whose progress is of no interest."""


def fake(folder: Path) -> str:
    """A launcher that starts nothing, and prints what a run would: as many ranks as its word says.

    It fails where the environment has options.
    """
    script = folder / "launcher.py"
    script.write_text(
        "import json, os, sys\n"
        "if found := [name for name in os.environ if name.startswith('DISTSIM_')]:\n"
        "    sys.exit(f'{found} in the environment')\n"
        "given = dict(zip(sys.argv[1:], sys.argv[2:]))\n"
        "events = int(given['--transitions'])\n"
        "print(json.dumps(dict(engine=given['--engine'], neurons=int(given['--neurons']),\n"
        "    ranks=int(sys.argv[1]), transitions=events, windows=10, replays=30, applies=10,\n"
        "    seconds=events / 1e6, transitions_per_second=1e6, phases=dict(apply=1),\n"
        "    device='cpu', exchange=None)))\n",
        encoding="utf-8",
    )
    return f"{sys.executable} {script} {{ranks}} {{nodes}}"


def test_weak_series_keep_the_weights_of_a_rank() -> None:
    assert list(scaling.tasks(plan(ranks=(2, 8), neurons=(1000,))))[:3] == [
        Task("relax", 1000, 2, None),
        Task("relax", 1000, 8, None),
        Task("relax", 2000, 8, (1000, 2)),
    ]


def test_measurements_are_added_once(tmp_path: Path) -> None:
    file = str(tmp_path / "scaling.jsonl")
    said: list[str] = []
    small = plan(launcher=fake(tmp_path))
    scaling.measure(file, small, said.append)
    assert len(said) == 6
    assert said[0] == "relax, 50 neurons, ranks: 1: 1,000,000 transitions a second"
    scaling.measure(file, small, said.append)
    assert len(said) == 6
    scaling.measure(file, plan(launcher=fake(tmp_path), repeats=3), said.append)
    assert len(scaling.read(file)) == 18
    assert {series.speeds[0].repeats for series in analyse(scaling.read(file))} == {3}


def test_runs_are_as_long_as_asked_for(tmp_path: Path) -> None:
    file = str(tmp_path / "scaling.jsonl")
    scaling.measure(file, plan(launcher=fake(tmp_path), seconds=2.0), silent)
    assert {one["transitions"] for one in scaling.read(file)} == {2_000_000}


def test_speed_up_and_efficiency_count_columns() -> None:
    strong, *_, weak = (series for series in analyse(lines()) if series.engine == "relax")
    one, two, four = strong.speeds
    assert four.speed_up == pytest.approx(four.rate / one.rate)
    assert two.efficiency == pytest.approx(two.rate / one.rate / 2)
    assert [speed.neurons for speed in weak.speeds] == [10_000, 20_000]
    assert weak.speeds[1].speed_up == pytest.approx(2 * weak.speeds[1].rate / one.rate)


def test_what_ran_elsewhere_is_another_series() -> None:
    asked = {**OPTIONS, "device": "auto", "exchange": "auto"}
    measured = [
        {**line("relax", 1000, ranks), "options": asked, "device": device, "exchange": exchange}
        for device, exchange in (("cpu", None), ("gpu", "nccl"), ("gpu", "peer"))
        for ranks in (1, 2)
    ]
    found = analyse(measured)
    assert [one.options for one in found] == [
        {**OPTIONS, "device": "cpu"},
        {**OPTIONS, "device": "gpu", "exchange": "nccl"},
        {**OPTIONS, "device": "gpu", "exchange": "peer"},
    ]
    assert all([speed.repeats for speed in one.speeds] == [1, 1] for one in found)
    assert "weight bits 8, device gpu, exchange nccl)" in scaling_report.table(found)


def test_a_weak_series_may_start_beyond_the_fewest_ranks() -> None:
    """The start of 1 rank exchanged otherwise, so the series begins with 4."""
    ran = {"device": "gpu", "exchange": "nccl"}
    measured = [line("relax", n, ranks, [1000, 1]) | ran for n, ranks in ((2000, 4), (4000, 16))]
    (series,) = analyse([line("relax", 1000, 1), *measured])[1:]
    assert (series.kind, series.neurons) == ("weak", 2000)
    assert "weights a rank of 2,000 neurons on 4 (" in scaling_report.table([series])


def test_the_model_is_found_again_and_predicts() -> None:
    for series in analyse(lines()):
        model = series.model
        assert model is not None
        assert model.error < 1e-6
        assert model.b == pytest.approx(B, rel=1e-3)
        assert model.c == pytest.approx(C, rel=1e-3)
        assert model.per_byte == pytest.approx(1 / BANDWIDTH, rel=1e-3)
        assert [speed.ranks for speed in series.predictions] == [8, 16, 32]
        assert [speed.nodes for speed in series.predictions] == [2, 4, 8]
        for speed in series.predictions:
            expected = line(series.engine, speed.neurons, speed.ranks)
            assert speed.rate == pytest.approx(expected["transitions_per_second"], rel=1e-3)


def test_the_line_of_json_has_its_keys() -> None:
    found = scaling_report.as_json(analyse(lines()))["series"]
    assert found[0].keys() == {
        "kind", "engine", "neurons", "options", "points", "predictions", "model",
    }  # fmt: skip
    assert found[0]["model"].keys() == {"a", "b", "c", "per_byte", "error", "points", "nodes"}
    assert [one["ranks"] for one in found[0]["points"]] == [1, 2, 4]
    assert found[0]["model"]["points"] == 7
    few = [one for one in lines() if one["ranks"] == 1]
    assert {one["model"] for one in scaling_report.as_json(analyse(few))["series"]} == {None}


def test_too_few_measurements_make_no_model() -> None:
    few = [one for one in lines() if one["ranks"] == 1]
    series = analyse(few)
    assert all(one.model is None and not one.predictions for one in series)
    assert "none; it needs 4 measurements" in scaling_report.table(series)


def test_only_predictions_are_marked_as_such() -> None:
    text = scaling_report.table(analyse(lines()))
    for row in text.splitlines():
        words = row.split()
        if words and words[0].isdigit():
            assert ("PREDICTION" in row) == (int(words[0]) > 4)
    assert "model of relax" in text
    assert "window = 20 us + (2 + 5 log2 ranks) us x rounds + bytes / 4 GB/s" in text
    assert "measured on 1 node(s)" in text


def test_a_failing_run_shows_its_message(tmp_path: Path) -> None:
    file = str(tmp_path / "scaling.jsonl")
    with pytest.raises(RunError, match=r"left with status 2:\ndistsim: .*tau.*-1"):
        scaling.measure(file, plan(ranks=(1,), options={**OPTIONS, "tau": -1.0}), silent)
    with pytest.raises(RunError, match=r"echo 1 .* ended without a summary"):
        scaling.measure(file, plan(launcher="echo {ranks}"), silent)


@pytest.mark.parametrize(
    ("launcher", "message"),
    [
        ("nowhere {ranks}", "--launcher: nowhere: No such file"),
        ("mpirun -n {size}", r"no \{ranks\}; allowed: a command with \{ranks\}"),
        ("mpirun -n {ranks} {size}", r"'size'; allowed: a command with \{ranks\}"),
        ("mpirun -n {ranks.all}", r"allowed: a command with \{ranks\}"),
        ("mpirun -n {ranks} '", r"No closing quotation; allowed: a command with \{ranks\}"),
        ("", r"no \{ranks\}; allowed: a command with \{ranks\}"),
    ],
)
def test_a_bad_launcher_is_refused(tmp_path: Path, launcher: str, message: str) -> None:
    file = tmp_path / "scaling.jsonl"
    with pytest.raises(InputError, match=message):
        scaling.measure(str(file), plan(launcher=launcher), silent)
    assert not file.exists()


def test_a_launcher_that_starts_another_number_of_ranks_is_refused(tmp_path: Path) -> None:
    file = str(tmp_path / "scaling.jsonl")
    launcher = fake(tmp_path).replace("{ranks}", "1 {ranks}")
    message = r"which started ranks: 1; allowed: a command that starts \{ranks\}, here 2"
    with pytest.raises(InputError, match=message):
        scaling.measure(file, plan(launcher=launcher), silent)
    assert {one["ranks"] for one in scaling.read(file)} == {1}


def test_runs_have_no_options_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTSIM_WINDOW", "7")
    scaling.measure(str(tmp_path / "scaling.jsonl"), plan(launcher=fake(tmp_path)), silent)


def run(file: Path, launcher: str, *more: str) -> int:
    command = ["scaling", str(file), "--ranks", "1", "--seconds", "0.001", "--launcher", launcher]
    return cli.main([*command, *more], Launch())


def test_exit_statuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "scaling.jsonl"
    assert run(file, "false") == 1
    assert capsys.readouterr().err.startswith("distsim: false ")
    assert run(file, "nowhere") == 2
    assert run(file, fake(tmp_path)) == 0


def test_a_vanished_folder_ends_with_status_74(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "folder" / "scaling.jsonl"
    file.parent.mkdir()
    assert run(file, f"sh -c 'rm -r {file.parent}; \"$@\"' - {fake(tmp_path)}") == 74
    assert f"distsim: measurements {file}: No such file" in capsys.readouterr().err


def test_a_line_that_is_no_measurement_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "scaling.jsonl"
    file.write_text(json.dumps(lines()[0]) + "\n{}\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 2 is not a measurement"):
        scaling.read(str(file))


def test_a_cut_last_line_does_not_count_and_is_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "scaling.jsonl"
    small = plan(launcher=fake(tmp_path))
    scaling.measure(str(file), small, silent)
    whole = file.read_bytes()
    lines = whole.splitlines(keepends=True)
    for length in (1, 5, 40, len(lines[-1]) - 1):
        file.write_bytes(b"".join(lines[:-1]) + lines[-1][:length])
        assert len(scaling.read(str(file))) == 5
        scaling.measure(str(file), small, silent)
        assert file.read_bytes() == whole


@pytest.mark.parametrize("text", ["", '{"opti'])
def test_a_file_without_measurements_is_named(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "scaling.jsonl"
    file.write_text(text, encoding="utf-8")
    for path in (file, tmp_path / "nowhere.jsonl"):
        assert cli.main(["scaling", str(path)], Launch()) == 2
        assert capsys.readouterr().err.startswith(f"distsim: no measurements in {path};")


@pytest.mark.parametrize("text", ["[1, 2]", "\xff\n", "{}\n"])
def test_a_file_of_something_else_is_refused_and_not_touched(tmp_path: Path, text: str) -> None:
    file = tmp_path / "scaling.jsonl"
    file.write_text(text, encoding="latin-1")
    assert run(file, fake(tmp_path)) == 2
    assert file.read_text(encoding="latin-1") == text


def test_where_no_line_can_be_added_nothing_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in (tmp_path / "nowhere" / "scaling.jsonl", tmp_path):
        assert run(file, "false") == 2
        assert capsys.readouterr().err.startswith(f"distsim: measurements {file}: ")


@pytest.mark.parametrize("name", ["nowhere/scaling.png", "scaling", "scaling.jsonl", ""])
def test_where_no_picture_can_be_drawn_nothing_is_measured(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file, picture = tmp_path / "scaling.jsonl", tmp_path / name
    assert run(file, fake(tmp_path), "--picture", str(picture)) == 2
    assert capsys.readouterr().err.startswith(f"distsim: picture {picture}: ")
    assert not file.exists()


def test_without_matplotlib_no_picture_is_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("matplotlib", "matplotlib.figure"):  # the second is found without the first
        monkeypatch.setitem(sys.modules, name, None)
    file = tmp_path / "scaling.jsonl"
    assert run(file, fake(tmp_path), "--picture", str(tmp_path / "scaling.png")) == 2
    assert "a picture needs it" in capsys.readouterr().err
    assert not file.exists()


@pytest.mark.parametrize(
    ("tasks", "ranks"), [("1", ["1"]), ("4", ["1", "2", "4"]), ("6", ["1", "2", "4", "6"])]
)
def test_the_script_measures_on_all_ranks_of_its_job(tasks: str, ranks: list[str]) -> None:
    script = Path(__file__).parents[2] / "slurm" / "scaling.sbatch"
    job = {"SLURM_NTASKS": tasks, "SLURM_NTASKS_PER_NODE": tasks, "PYTHON": "echo"}
    command = ["bash", str(script), "scaling.jsonl"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **job})
    words = done.stdout.split()
    assert [value for name, value in pairwise(words) if name == "--ranks"] == ranks


@launchers.needs_mpich
def test_a_table_and_a_picture_of_real_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(cli.__file__).parents[1]))
    file, picture = tmp_path / "scaling.jsonl", tmp_path / "scaling.png"
    launcher = f"{launchers.found()['mpich'][0]} -n {{ranks}}"
    arguments = f"{file} --ranks 1 --neurons 60 --repeats 1 --seconds 0.01 --picture {picture}"
    command = ["scaling", *arguments.split(), "--json", "--launcher", launcher]
    assert cli.main(command, Launch()) == 0
    *table, data = capsys.readouterr().out.splitlines()
    assert table[0].startswith("strong scaling, relax, 60 neurons (model mpm, tau 1.0")
    series = json.loads(data)["series"]
    assert [(one["engine"], one["points"][0]["ranks"]) for one in series] == [
        ("relax", 1),
        ("race", 1),
    ]
    assert picture.read_bytes().startswith(b"\x89PNG")
