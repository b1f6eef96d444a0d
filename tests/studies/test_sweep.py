"""Sweeps: every combination of a file's lists, each with its own files, one table."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distsim.cli import main as cli
from distsim.cli.launch import Launch
from distsim.config.options import Config
from distsim.errors import InputError
from distsim.files.events import read
from distsim.networks.catalogue import open_network
from distsim.ranks.communicator import Serial
from distsim.runs import simulation
from distsim.studies import sweep, sweep_report

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
    return cli.main(["sweep", *arguments], Launch())


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
    assert read(str(point.config.output)).digest == expected


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
    assert read(str(point.config.output)).digest == expected


def test_a_result_of_other_options_is_refused(file: str) -> None:
    run("run", file, "0")
    Path(file).write_text(FILE.replace("0.5", "0.6"), encoding="utf-8")
    with pytest.raises(InputError, match=r"0000\.json is of a point with other options \(tau\)"):
        sweep.collect(sweep.read(file))


def test_a_point_begun_with_other_options_is_refused(file: str) -> None:
    point = sweep.read(file)[0]
    point.result.parent.mkdir()
    simulation.run(Config(transitions=100, tau=0.5, seed=1, checkpoint=point.checkpoint), Serial())
    Path(file).write_text(FILE.replace("0.5", "0.6"), encoding="utf-8")
    with pytest.raises(
        InputError, match=r"0000\.checkpoint is of a point with other options \(tau\)"
    ):
        sweep.resumed(sweep.read(file)[0], Serial())


@pytest.mark.parametrize("text", ["[]", "1", "{}", '{"options": []}'])
def test_a_result_that_is_none_is_refused(
    file: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = sweep.read(file)[0].result
    result.parent.mkdir()
    result.write_text(text, encoding="utf-8")
    assert run("collect", file) == 2
    assert capsys.readouterr().err.startswith(f"distsim: sweep: result {result}: not a result")


def test_a_sweep_over_networks_gives_each_its_own_options(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(file).write_text(
        'network = ["celegans", "gaussian"]\nneurons = [50, 100]\ntransitions = 100\n'
        "network_seed = 3\nseed = [1, 2]\n",
        encoding="utf-8",
    )
    points = sweep.read(file)
    assert [point.values for point in points] == [
        *({"network": "celegans", "seed": seed} for seed in (1, 2)),
        *(
            {"network": "gaussian", "neurons": neurons, "seed": seed}
            for neurons in (50, 100)
            for seed in (1, 2)
        ),
    ]
    assert [point.config.network_seed for point in points] == [None, None, 3, 3, 3, 3]
    assert run("run", file) == 0
    capsys.readouterr()
    assert run("collect", file) == 0
    rows = [line.split()[:4] for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["point", "network", "seed", "neurons"]
    assert rows[1] == ["0", "celegans", "1", "-"]
    assert rows[6] == ["5", "gaussian", "2", "100"]


@pytest.mark.parametrize(
    "options",
    [
        {"network": "celegans"},
        {"network": "gaussian", "neurons": 5},
        {"network": "hopfield", "neurons": 5, "patterns": "2"},
        {"network": "hopfield", "patterns": "patterns.npy"},
        {"network": "edges.csv"},
        {"network": "weights.npy"},
    ],
)
def test_the_options_of_a_network_are_those_it_is_opened_with(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("weights.npy", np.zeros((5, 5)))
    np.save("patterns.npy", np.zeros((2, 5), np.uint8))
    Path("edges.csv").write_text("source,target,weight\n1,2,0.5\n", encoding="utf-8")
    values = {"neurons": 7, "coupling": 0.5, "network_seed": 1, "patterns": "3"}
    for name, value in values.items():
        given = {**options, name: options.get(name, value)}
        Path("one.toml").write_text(
            "transitions = 1\n" + "".join(f"{key} = {one!r}\n" for key, one in given.items()),
            encoding="utf-8",
        )
        try:
            open_network(Config(**given, transitions=1))
        except InputError:
            with pytest.raises(InputError, match=f"{name} in one.toml: .* no network of the sweep"):
                sweep.read("one.toml")
        else:
            assert getattr(sweep.read("one.toml")[0].config, name) == given[name]


def test_numbers_are_shown_exactly(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(file).write_text(
        "transitions = 10\nseed = [12345678, 12345679]\ntau = [1.0, 1.0000001]\n",
        encoding="utf-8",
    )
    run("run", file)
    assert "point 3 (seed 12345679, tau 1.0000001) runs" in capsys.readouterr().out
    run("collect", file)
    rows = [line.split()[1:3] for line in capsys.readouterr().out.splitlines()]
    assert rows[1:5] == [
        [seed, tau] for seed in ("12345678", "12345679") for tau in ("1", "1.0000001")
    ]


def test_the_environment_is_not_heeded(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTSIM_TRANSITIONS", "10")
    assert run("run", file, "0") == 0
    assert (sweep.result(sweep.read(file)[0]) or {})["transitions"] == 2_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tau = [", "not TOML"),
        ("tua = [1.0]", "key tua; allowed: network, bias"),
        ('output = "a.h5"', "key output; allowed"),
        ("tau = []", "tau is an empty list"),
        ("tau = [1.0, -1.0]", r"tau in .*cold\.toml: -1.0 given"),
        ("neurons = 9", r"neurons in .*cold\.toml: 9 given, which no network of the sweep uses"),
        (
            'network = ["celegans", "gaussian"]\npatterns = 3\ntransitions = 1',
            r"patterns in .*cold\.toml: 3 given, which no network of the sweep uses",
        ),
        (
            'network = ["celegans", "gaussian"]\ntransitions = 1',
            r"sweep .*cold\.toml: network gaussian given; allowed: with neurons",
        ),
        (
            'network = "hopfield"\ntransitions = 1',
            r"sweep .*cold\.toml: network hopfield given; allowed: with patterns",
        ),
        (
            'network = "hopfield"\npatterns = [1, 0]\nneurons = 9\ntransitions = 1',
            r"patterns in .*cold\.toml: 0 given; allowed: 1 to",
        ),
        (
            'network = "gaussian"\nneurons = 1e9\ntransitions = 1',
            r"neurons in .*cold\.toml: 1000000000 given; allowed: 1 to",
        ),
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
    assert sweep_report.ranges([0, 3, 4, 5, 9]) == "0,3-5,9"
    assert sweep_report.ranges([]) == ""


OBSERVED = """\
network = "celegans"
model = "bm"
sweeps = 20
observe = "energy,activity,best"
events = false
tau = [8.0, 40.0]
seed = [1, 2]
"""


def test_a_sweep_says_what_it_saw(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("warm.toml").write_text(OBSERVED, encoding="utf-8")
    assert run("run", "warm.toml") == 0
    capsys.readouterr()
    files = ("--csv", "warm.csv", "--picture", "warm.svg")
    assert run("collect", "warm.toml", *files, "--json") == 0
    head, *rows, _, line = capsys.readouterr().out.splitlines()
    assert head.split()[-6:] == ["energy", "best", "energy", "activity", "rate", "digest"]
    points = json.loads(line)["points"]
    assert [row.split()[-5] for row in rows] == [f"{point['energy']:.6g}" for point in points]
    with Path("warm.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [float(one["energy"]) for one in lines] == [point["energy"] for point in points]
    assert [float(one["tau"]) for one in lines] == [8.0, 8.0, 40.0, 40.0]
    expected = Config(model="bm", sweeps=20, tau=40.0, seed=2, observe="energy")
    assert float(lines[3]["energy"]) == simulation.run(expected, Serial()).energy
    assert Path("warm.svg").read_text().count("<path") > 10
    assert run("collect", "warm.toml", "--csv", "warm.csv") == 2
    assert "csv warm.csv: exists; allowed" in capsys.readouterr().err


def test_a_picture_shows_means_and_errors_over_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is drawn, read back: two lines of two points each."""
    energies = {(1.0, "a", 1): -4.0, (1.0, "a", 2): -6.0, (2.0, "a", 1): -1.0, (2.0, "a", 2): -1.0,
                (1.0, "b", 1): -7.0, (2.0, "b", 1): -2.0}  # fmt: skip
    points = [
        {"index": k, "values": {"tau": tau, "scan": scan, "seed": seed}, "energy": energy}
        for k, ((tau, scan, seed), energy) in enumerate(energies.items())
    ]
    drawn: list[Any] = []
    monkeypatch.setattr(sweep_report, "save", lambda figure, path: drawn.append(figure))
    sweep_report.picture({"points": points}, "any.png")
    (axes,) = drawn[0].axes
    first, second = axes.containers
    np.testing.assert_array_equal(first.lines[0].get_data(), [[1.0, 2.0], [-5.0, -1.0]])
    np.testing.assert_array_equal(second.lines[0].get_data(), [[1.0, 2.0], [-7.0, -2.0]])
    bars = [segment[:, 1].tolist() for segment in first.lines[2][0].get_segments()]
    assert bars == [[-6.0, -4.0], [-1.0, -1.0]]  # one standard error: sqrt(2) / sqrt(2)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["scan a", "scan b"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("tau", "energy")


def test_a_sweep_without_observables_has_no_picture(
    file: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run("run", file, "0")
    capsys.readouterr()
    assert run("collect", file, "--picture", str(tmp_path / "a.png")) == 2
    assert "no observables in this sweep; allowed: with observe" in capsys.readouterr().err


def test_the_example_is_a_sweep() -> None:
    points = sweep.read(str(Path(__file__).parents[2] / "slurm" / "sweep.toml"))
    assert len(points) == 12
