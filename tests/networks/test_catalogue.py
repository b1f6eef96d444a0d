"""Which network a configuration names, and which options it has a use for."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from made_networks import opened

from distsim.errors import InputError


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    for ending in ("npy", "npz", "csv", "txt", "mtx", "graphml", "h5"):
        with pytest.raises(InputError, match=rf"none\.{ending}: No such file or directory"):
            opened(tmp_path / f"none.{ending}")
        (tmp_path / f"folder.{ending}").mkdir()
        with pytest.raises(InputError, match=rf"folder\.{ending}: Is a directory"):
            opened(tmp_path / f"folder.{ending}")
    with pytest.raises(InputError, match=r"gausian: No such file .*; allowed: celegans, gaussian"):
        opened("gausian")


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        ("gaussian", {}, "network gaussian: no size given; allowed: --neurons N"),
        ("hopfield", {"patterns": "3"}, "network hopfield: no size given; allowed: --neurons N"),
        ("hopfield", {"neurons": 9}, "hopfield: no patterns given; allowed: --patterns FILE.npy"),
        ("hopfield", {"patterns": "0", "neurons": 9}, "--patterns: 0 given; allowed: a file, or 1"),
        ("hopfield", {"patterns": "none.npy"}, r"none\.npy: No such file"),
        ("gaussian", {"neurons": 2**22 + 1}, "--neurons: 4194305 neurons given; allowed: 1 to 41"),
        ("celegans", {"neurons": 5}, "--neurons: 5 given for network celegans; allowed only for g"),
        ("celegans", {"patterns": "5"}, "--patterns: 5 given for network celegans; allowed only"),
        ("celegans", {"network_seed": 0}, "--network-seed: 0 given for network celegans; allowed"),
        ("w.npy", {"coupling": 2.0}, r"--coupling: 2.0 given for network w\.npy; allowed only for"),
        ("w.npz", {"neurons": 2}, r"--neurons: 2 given for network w\.npz; allowed only for"),
        ("w.mtx", {"neurons": 2}, r"--neurons: 2 given for network w\.mtx; allowed only for"),
        ("w.npy", {"columns": "a,b"}, r"--columns: a,b given for network w\.npy; allowed only for"),
        ("celegans", {"repeats": "sum"}, "--repeats: sum given for network celegans; allowed only"),
        ("w.csv", {"coupling": 1.0}, r"--coupling: 1.0 given for network w\.csv; allowed only"),
        (
            "gaussian",
            {"neurons": 2, "symmetrize": True},
            "--symmetrize: True given for network gau",
        ),
        (
            "hopfield",
            {"patterns": "3", "neurons": 2, "diagonal_to_bias": True},
            "--diagonal-to-bia",
        ),
        ("gaussian", {"neurons": 2, "patterns": "p"}, "--patterns: p given for network gaussian"),
        ("hopfield", {"patterns": "p", "neurons": 2}, "--neurons: 2 given for network hopfield"),
    ],
)
def test_options_that_are_missing_or_have_no_meaning(
    network: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        opened(network, **options)


def test_networks_are_known_without_compilation() -> None:
    """`distsim sweep count` asks for them."""
    program = "import sys, distsim.networks.catalogue; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    loaded = done.stdout.split()
    assert "distsim.networks.hopfield" in loaded
    assert not {"numba", "scipy", "mpi4py", "h5py"} & set(loaded)
