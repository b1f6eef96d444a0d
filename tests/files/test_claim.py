"""A claim on a file's name: one holder at a time, and none that is dead."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import launchers
import pytest

from distsim.files import claim
from distsim.files.claim import CLAIM, Claim


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "run.ck")


def test_a_name_has_one_holder(path: str) -> None:
    first = Claim(path)
    with pytest.raises(OSError, match="another run is writing it"):
        Claim(path)
    Claim(path + "2").release()
    first.release()
    Claim(path).release()
    assert os.listdir(os.path.dirname(path)) == []


def test_it_outlives_the_file_that_it_is_for(path: str) -> None:
    first = Claim(path)
    Path(path).write_text("new")
    os.replace(path, path + ".previous")
    with pytest.raises(OSError, match="another run is writing it"):
        Claim(path)
    first.release()


def test_one_that_was_killed_claims_nothing(path: str) -> None:
    hold = (
        f"from distsim.files.claim import Claim; c = Claim({path!r}); print(1, flush=True); input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", hold],
        env=launchers.ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout is not None
    holder.stdout.readline()
    with pytest.raises(OSError, match="another run is writing it"):
        Claim(path)
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    assert os.path.exists(path + CLAIM)
    Claim(path).release()
    assert not os.path.exists(path + CLAIM)


def test_what_its_last_holder_removes_meanwhile_is_no_claim(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the opening of the file and its lock."""
    first: list[Claim] = [Claim(path)]
    lock = claim.lock

    def late(descriptor: int) -> None:
        if first:
            first.pop().release()
        lock(descriptor)

    monkeypatch.setattr(claim, "lock", late)
    second = Claim(path)
    with pytest.raises(OSError, match="another run is writing it"):
        Claim(path)
    second.release()


def test_of_many_at_once_one_has_it(path: str) -> None:
    """Each holds it for a moment, again and again; never two at once."""
    holders = 0
    most = 0
    count = 0
    guard = threading.Lock()

    def contend() -> None:
        nonlocal holders, most, count
        for _ in range(300):
            try:
                mine = Claim(path)
            except OSError:
                continue
            with guard:
                holders += 1
                count += 1
                most = max(most, holders)
            with guard:
                holders -= 1
            mine.release()

    threads = [threading.Thread(target=contend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert count > 10


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Claim(str(tmp_path / "none" / "run.ck"))
