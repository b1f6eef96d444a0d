"""Runs in processes of their own, to be disturbed: signals, kills, stops."""

import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import launchers
import pytest

from distsim.files.claim import Claim

SHARED = "/dev/shm/mpich"


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str
    seconds: float  # since `end` was called

    @property
    def summary(self) -> dict[str, Any]:
        """Of a run with --json."""
        summary: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return summary


class Run:
    """distsim on so many ranks; without mpirun on one."""

    def __init__(
        self,
        folder: Path,
        *arguments: object,
        ranks: int = 1,
        mpi: str | None = None,
        program: tuple[str, ...] = ("-m", "distsim"),
    ) -> None:
        command = [sys.executable]
        if ranks > 1:
            command = launchers.python(ranks, mpi)
        self._ranks = ranks
        self._shared: set[Path] = set()  # what MPICH leaves behind of an aborted run
        self._process = subprocess.Popen(
            [*command, *program, *map(str, arguments)],
            cwd=folder,
            env=launchers.ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def launcher(self) -> int:
        return self._process.pid

    def pids(self) -> list[int]:
        """The process of each rank."""
        if self._ranks == 1:
            return [self._process.pid]
        ranks: dict[int, int] = {}
        for pid in _descendants(self._process.pid):
            try:
                environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                program = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
            except OSError:
                continue
            for entry in environ:
                name, _, value = entry.partition(b"=")
                if name in (b"PMI_RANK", b"OMPI_COMM_WORLD_RANK") and b"python" in program:
                    ranks[int(value)] = pid
        for pid in ranks.values():
            with contextlib.suppress(OSError):
                maps = Path(f"/proc/{pid}/maps").read_text().split()
                self._shared |= {Path(word) for word in maps if word.startswith(SHARED)}
        return [ranks[rank] for rank in sorted(ranks)]

    def wait_for(self, path: Path, seconds: float = 60.0) -> None:
        """Until a file is there: the first checkpoint, for instance."""
        begin = time.monotonic()
        while not path.exists():
            assert self._process.poll() is None, self._process.communicate()
            assert time.monotonic() - begin < seconds
            time.sleep(0.01)
        self.pids()

    def signal(self, rank: int, number: int) -> None:
        os.kill(self.pids()[rank], number)

    def running(self) -> bool:
        return self._process.poll() is None

    def end(self, seconds: float = 60.0) -> Done:
        """Wait until all ranks are gone."""
        begin = time.monotonic()
        try:
            out, err = self._process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            for pid in [*_descendants(self._process.pid), self._process.pid]:
                os.kill(pid, 9)
            out, err = self._process.communicate()
            pytest.fail(f"hangs\n{out}\n{err}")
        finally:
            for path in self._shared:
                path.unlink(missing_ok=True)
        return Done(self._process.returncode, out, err, time.monotonic() - begin)


def wait_until_unclaimed(path: str) -> None:
    """A rank may outlive its launcher for a moment."""
    begin = time.monotonic()
    while True:
        try:
            return Claim(path).release()
        except OSError:
            assert time.monotonic() - begin < 10
            time.sleep(0.05)


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = list(children.get(pid, []))
    for child in found:
        found.extend(children.get(child, []))
    return found
