"""launch/: the jobs of one host, as README calls them."""

import json
import subprocess
import sys
from pathlib import Path

import launchers
import pytest

from distsim import simulate

ROOT = Path(__file__).parents[2]
# Without the path to this checkout, which is installed.
ENVIRONMENT = {
    name: launchers.ENVIRONMENT[name] for name in {*launchers.ENVIRONMENT} - {"PYTHONPATH"}
}

pytestmark = pytest.mark.skipif(
    Path(sys.prefix) != ROOT / ".venv", reason="not in the environment that launch/test makes"
)


def launch(folder: Path, job: str, *arguments: object) -> str:
    """What a script prints, on two ranks."""
    done = subprocess.run(
        [ROOT / "launch" / job, *map(str, arguments)],
        cwd=folder,
        env={**ENVIRONMENT, "RANKS": "2"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_run(tmp_path: Path) -> None:
    out = launch(tmp_path, "run", "--transitions", 1000, "--json", "--output", "run.h5")
    summary = json.loads(out.splitlines()[-1])
    assert summary["ranks"] == 2
    assert summary["digest"] == simulate("celegans", transitions=1000).digest
    assert (tmp_path / "run.h5").exists()


def test_sweep(tmp_path: Path) -> None:
    (tmp_path / "sweep.toml").write_text("transitions = 100\ntau = [0.5, 1.0]\n")
    table = launch(tmp_path, "sweep", "sweep.toml").splitlines()
    assert simulate("celegans", transitions=100, tau=0.5).digest in table[-3]
    assert simulate("celegans", transitions=100, tau=1.0).digest in table[-2]
    assert table[-1] == "2 of 2 points done"


def test_scaling(tmp_path: Path) -> None:
    table = launch(tmp_path, "scaling", "--neurons", 64, "--repeats", 1, "--seconds", 0.001)
    assert "strong" in table
    assert (tmp_path / "scaling.png").stat().st_size > 1000
    measured = (tmp_path / "scaling.jsonl").read_text().splitlines()
    assert {json.loads(line)["ranks"] for line in measured} == {1, 2}
