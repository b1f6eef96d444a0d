"""README and docs/: every command they show runs, every test and file they name is there.

Commands run in this process, in the order of their page, with small numbers in place of large ones.
What needs GPUs, a cluster, or minutes is parsed, not run: its options must exist.
"""

import gzip
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
import scipy.sparse

from distsim.cli.launch import Launch
from distsim.cli.main import group, main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SMALL = {
    "--neurons": "49", "--synapses": "4", "--width": "2", "--transitions": "200", "--sweeps": "3",
    "--checkpoint-every": "1s", "--max-time": "1h",
}  # fmt: skip
PROGRAMS = ("distsim", "python", "mpirun", "sbatch", "pip", "launch")
PARSED = {"verify": "takes a minute", "scaling": "starts ranks; see test_launch.py"}


def commands(page: Path) -> Iterator[str]:
    """The commands of a page's indented blocks, without comments and prompts."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in re.findall(r"^    (\S.*)$", text, re.MULTILINE):
        command = re.sub(r"\s+#.*", "", line).strip()
        if command.split("/")[0].split()[0] in PROGRAMS:
            yield command


def parse(arguments: list[str]) -> None:
    """Have click look at all options, without running anything."""
    command: click.Command = group
    rest = arguments
    if not rest or rest[0].startswith("-") or rest[0].endswith(".toml"):
        rest = ["run", *rest]
    while isinstance(command, click.Group):
        found = command.commands.get(rest[0])
        if found is None:
            raise click.UsageError(f"no command {rest[0]}")
        command, rest = found, rest[1:]
    command.make_context("distsim", list(rest))


def small(arguments: list[str]) -> list[str]:
    made = [*arguments]
    for k, name in enumerate(arguments[:-1]):
        made[k + 1] = SMALL.get(name, made[k + 1])
    if "bench" in made:
        made += ["--seconds", "0.01", "--neurons", "40"]
    return made


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the pages take for granted."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "G14.txt").write_text("3 2\n1 2 1\n2 3 1\n")
    (tmp_path / "connections.csv").write_text(
        "pre_root_id,post_root_id,neuropil,syn_count,nt_type\n"
        "720575940628857210,720575940626838909,ME_R,5,GABA\n"
        "720575940626838909,720575940628857210,ME_R,7,GLUT\n"
    )
    with gzip.open(tmp_path / "connections.csv.gz", "wt") as file:
        file.write((tmp_path / "connections.csv").read_text())
    (tmp_path / "lattice.json").write_text(
        '{"nodes": [{"name": "L1", "pattern": ["stride", [1, 1]]}],'
        '"edges": [{"src": "L1", "tar": "L1", "alpha": -1, "offsets": [[[1, 0], 0.5]]}]}'
    )
    (tmp_path / "neurons.csv").write_text(
        "root_id,cell_type\n720575940628857210,Mi1\n720575940626838909,Mi4\n"
    )
    (tmp_path / "pulses.csv").write_text("start,stop,neuron,bias\n10,12,AVAL,20\n")
    (tmp_path / "config.toml").write_text("transitions = 100\n")
    (tmp_path / "run.toml").write_text("transitions = 100\n")
    (tmp_path / "sweep.toml").write_text(
        'transitions = 20\ntau = [1.0, 2.0]\nobserve = "activity"\nevery = 0.001\n'
    )
    scipy.sparse.save_npz(tmp_path / "connections.npz", scipy.sparse.eye_array(40, format="csr"))
    np.save(tmp_path / "rbm.npy", np.kron([[0, 1], [1, 0]], np.full((20, 20), 0.1)))
    np.save(tmp_path / "W.npy", np.random.default_rng(0).normal(0, 0.1, (40, 40)))
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_runs(page: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for command in commands(page):
        words = shlex.split(re.sub(r"\$\(\(.*?\)\)|\$\(.*?\)", "1", command))
        if words[0] == "pip":
            extras = re.findall(r"\[(.*)\]", words[-1])[0].split(",")
            assert set(extras) <= set(pyproject["project"]["optional-dependencies"]), command
        elif words[0].startswith("launch/"):
            assert (ROOT / words[0]).stat().st_mode & 0o100, command
        elif words[0] == "sbatch":
            k = next(k for k, word in enumerate(words) if word.endswith(".sbatch"))
            assert (ROOT / words[k]).exists(), command
            if words[k].endswith("run.sbatch"):
                parse(words[k + 1 :])
        else:
            if words[0] == "mpirun":
                words = words[3:]
            arguments = words[3:] if words[0] == "python" else words[1:]
            parse(arguments)
            if "gpu" in arguments or (arguments and arguments[0] in PARSED):
                continue
            reads = arguments and arguments[0] in ("plot", "export", "report")
            for made in (folder / "run.h5", folder / "run.png", folder / "W.npz"):
                if arguments and not reads and made.name in arguments:
                    made.unlink(missing_ok=True)
            status = main(small(arguments), Launch())
            assert status in (0, 1 if "collect" in arguments else 0), (command, capsys.readouterr())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_runs(page: Path, folder: Path) -> None:
    names: dict[str, object] = {}
    text = page.read_text(encoding="utf-8")
    main(["--transitions", "50", "--output", "run.h5", "--overwrite"], Launch())
    for command in commands(page):  # what the blocks read
        if command.startswith("distsim export"):
            assert main(shlex.split(command)[1:], Launch()) == 0
    for block in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        exec(block, names)


def test_a_command_that_is_not_there_fails() -> None:
    for text in ("--temperature 3", "fly", "sweep fly", "plot a --to b"):
        with pytest.raises(click.ClickException):
            parse(text.split())


def test_named_tests_are_there() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    named = re.findall(
        r"`(test_\w+)`", (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
    )
    assert len(named) > 30
    assert [name for name in named if f"def {name}(" not in sources] == []


def test_named_files_are_there() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"`((?:distsim|tests|launch|slurm)/[\w./]+?\.?\w*)`", text):
            assert (ROOT / name).exists(), f"{page.name}: {name}"
        for name in re.findall(r"`((?:laws|engines|kernels|runs|ranks|gpu)/[\w/]+\.\w+)`", text):
            assert (ROOT / "distsim" / name).exists() or "x." in name, f"{page.name}: {name}"
        for link in re.findall(r"\]\(([^):#]+?)(?:#[\w-]+)?\)", text):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
