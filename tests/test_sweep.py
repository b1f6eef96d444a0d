"""Sweeps: every combination of a file's lists, each with its own files, one table."""

import json
import shutil
from pathlib import Path

import pytest

from distsim import cli, output, simulation, sweep
from distsim.communicator import Serial
from distsim.config import Config
from distsim.errors import InputError

FILE = """\
network = "celegans"
transitions = 2_000
tau = [0.5, 1.0]
seed = [1, 2, 3]
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "cold.toml"
    path.write_text(FILE, encoding="utf-8")
    return str(path)


def run(*arguments: str) -> int:
    return cli.main(["sweep", *arguments], cli.Launch())


def test_points_are_all_combinations_the_last_list_fastest(file: str) -> None:
    points = sweep.read(file)
    assert [tuple(point.values.values()) for point in points] == [
        (tau, seed) for tau in (0.5, 1.0) for seed in (1, 2, 3)
    ]
    assert [point.index for point in points] == list(range(6))
    assert points[4].config.seed == 2
    assert points[4].result == Path(file).parent / "cold" / "0004.json"


def test_count_prints_the_number_of_points(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("count", file) == 0
    assert capsys.readouterr().out == "6\n"


def test_a_point_leaves_its_events_and_its_line(file: str) -> None:
    assert run("run", file, "4") == 0
    point = sweep.read(file)[4]
    line = json.loads(point.result.read_text(encoding="utf-8"))
    expected = simulation.run(Config(transitions=2_000, tau=1.0, seed=2), Serial()).digest
    assert line["digest"] == expected
    assert output.read(str(point.config.output)).digest == expected


def test_collect_names_what_is_missing_and_what_was_begun(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for index in ("0", "4"):
        run("run", file, index)
    Path(sweep.read(file)[2].checkpoint).touch()
    capsys.readouterr()
    assert run("collect", file, "--json") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["point", "tau", "seed"]
    assert lines[2].split()[:4] == ["4", "1", "2", "1"]
    assert lines[3:6] == ["2 of 6 points done", "begun: 2", "missing: 1,3,5"]
    found = json.loads(lines[6])
    assert [line["index"] for line in found["points"]] == [0, 4]
    assert (found["begun"], found["missing"]) == ([2], [1, 3, 5])


def test_all_points_run_in_turn_and_none_twice(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run("run", file, "3")
    before = sweep.read(file)[3].result.stat().st_mtime_ns
    capsys.readouterr()
    assert run("run", file) == 0
    assert "point 3 (tau 1, seed 1) is done" in capsys.readouterr().out
    assert sweep.read(file)[3].result.stat().st_mtime_ns == before
    assert run("collect", file) == 0


def test_a_point_that_was_begun_goes_on(file: str) -> None:
    point = sweep.read(file)[1]
    point.result.parent.mkdir()
    begun = Config(
        transitions=1_500,
        tau=0.5,
        seed=2,
        output=point.config.output,
        checkpoint=point.checkpoint,
    )
    simulation.run(begun, Serial())
    assert run("run", file, "1") == 0
    expected = simulation.run(Config(transitions=2_000, tau=0.5, seed=2), Serial()).digest
    result = sweep.result(point)
    assert result is not None
    assert result["digest"] == expected
    assert output.read(str(point.config.output)).digest == expected


def test_a_result_of_other_options_is_refused(file: str) -> None:
    run("run", file, "0")
    Path(file).write_text(FILE.replace("0.5", "0.6"), encoding="utf-8")
    with pytest.raises(InputError, match=r"0000\.json is of a point with other options \(tau\)"):
        sweep.collect(sweep.read(file))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tau = [", "not TOML"),
        ("tua = [1.0]", "key tua; allowed: model, network"),
        ('output = "a.h5"', "key output; allowed"),
        ("tau = []", "tau is an empty list"),
        ("tau = [1.0, -1.0]", r"tau in .*cold\.toml: -1.0 given"),
    ],
)
def test_a_bad_file_is_refused(file: str, text: str, message: str) -> None:
    Path(file).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        sweep.read(file)


def test_a_bad_number_or_name_is_refused(file: str) -> None:
    assert run("run", file, "6") == 2
    shutil.copy(file, Path(file).with_suffix(""))
    assert run("count", str(Path(file).with_suffix(""))) == 2
    assert run("count", "nowhere.toml") == 2


def test_ranges_are_those_of_sbatch() -> None:
    assert sweep.ranges([0, 3, 4, 5, 9]) == "0,3-5,9"
    assert sweep.ranges([]) == ""


def test_the_example_is_a_sweep() -> None:
    points = sweep.read(str(Path(__file__).parents[1] / "slurm" / "sweep.toml"))
    assert len(points) == 12
