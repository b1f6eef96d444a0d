"""`distsim network`: what is written, what the disk has no room for, and nothing left behind."""

import os
import resource
import shutil
import signal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from made_networks import asymmetric, lines, opened, save_npz
from processes import Run

from distsim.config.options import Config
from distsim.errors import InputError, OutputError
from distsim.networks import write as module
from distsim.networks.write import write


def settings(network: object, model: str = "mpm", **options: Any) -> Config:
    return Config(network=str(network), model=model, transitions=1, **options)


@pytest.mark.parametrize("tile", [1, 7, 8, 1 << 21])
def test_what_is_written_is_the_network(
    tile: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TILE", tile)
    save_npz(tmp_path, asymmetric())
    bias = lines(tmp_path / "b.txt", "1 2 3 4 5 6 7")
    path = str(tmp_path / "made.npz")
    write(settings(tmp_path / "w.npz", bias=str(bias)), path)
    with np.load(path) as made:
        assert sorted(made) == ["bias", "weights"]
        np.testing.assert_array_equal(made["weights"], asymmetric())
        np.testing.assert_array_equal(made["bias"], np.arange(1.0, 8.0))
    assert opened(path).neurons == 7
    assert sorted(os.listdir(tmp_path)) == ["b.txt", "made.npz", "w.npz"]


@pytest.mark.parametrize(
    ("w", "model", "message"),
    [
        ([[0, np.nan], [0, 0]], "mpm", r"weight W\[0, 1\] = nan given; allowed: finite"),
        ([[0, 1], [2, 0]], "bm", r"W\[0, 1\] = 1\.0, W\[1, 0\] = 2\.0 given; allowed for the bm"),
    ],
)
def test_what_a_run_refuses_is_not_written(
    w: Any, model: str, message: str, tmp_path: Path
) -> None:
    save_npz(tmp_path, np.array(w))
    with pytest.raises(InputError, match=message):
        write(settings(tmp_path / "w.npz", model), str(tmp_path / "made.npz"))
    assert os.listdir(tmp_path) == ["w.npz"]


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_what_the_disk_has_no_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "made.npz")
    with pytest.raises(
        InputError,
        match=r"made\.npz: 4,000,000 neurons given, a file of 116\.4 TiB; allowed: .* is free on",
    ):
        write(settings("gaussian", neurons=4_000_000), path)

    write(settings("gaussian", neurons=100), path)
    size = os.path.getsize(path)
    os.unlink(path)
    room = {str(tmp_path): size - 1}
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(1 << 40, 0, room[folder]))
    with pytest.raises(InputError, match=r"100 neurons given, a file of .*; allowed: 7.* KiB"):
        write(settings("gaussian", neurons=100), path)
    assert os.listdir(tmp_path) == []
    room[str(tmp_path)] = size + 4096
    write(settings("gaussian", neurons=100), path)


def test_a_disk_that_fills_up_meanwhile(tmp_path: Path) -> None:
    """A limit of the size of files, as a full disk is hard to have."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OutputError, match=r"output .*made\.npz: File too large"):
            write(settings("gaussian", neurons=500), str(tmp_path / "made.npz"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_nothing_is_left_behind_when_it_is_ended(
    number: signal.Signals, status: int, tmp_path: Path
) -> None:
    (tmp_path / "made.npz").write_text("before")
    run = Run(
        tmp_path, "network", "gaussian", "--neurons", 12000, "--output", "made.npz", "--overwrite"
    )
    run.wait_for(tmp_path / "made.npz.writing")
    run.signal(0, number)
    done = run.end()
    assert done.status == status
    assert "Traceback" not in done.err
    assert os.listdir(tmp_path) == ["made.npz"]
    assert (tmp_path / "made.npz").read_text() == "before"
