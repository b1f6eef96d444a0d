"""No hangs: a thread that ends all ranks when one dies, or when this one makes no progress.

A rank that dies or stalls leaves the others waiting in a collective for ever. Each rank looks at
its own progress, and waits for the end of the next rank on its node: so the others learn of a
death at once, whatever the launcher does, and of anything else in the allowed time.
"""

import contextlib
import hashlib
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import numpy as np

from distsim.errors import InputError, OutputError
from distsim.ranks import witness
from distsim.ranks.agreement import agreed
from distsim.ranks.communicator import Communicator, launcher_is_silent

FAILED = 1  # exit status
_LOOKS = 20  # in the allowed time
_FEW = _LOOKS - 2  # without progress, so that all is over when the allowed time is
_MANY = 10 * _FEW  # for the first window, which may compile kernels, and for files
_OTHERS = 0.5  # seconds in which the other ranks that wait may say so too
_STOPPED = "Tt"  # states of a process that is stopped (proc(5))


class Watchdog:
    """Ends all ranks after so many seconds in which `progress` gives the same value.

    Ten times as many before the first window is done and where files are written, unless a rank of
    this node is stopped: that one neither loads, compiles nor writes. doing: says where this rank
    is. Counts the looks, not the time: a machine that slept, or a rank that was itself stopped, has
    not waited.
    """

    def __init__(
        self,
        seconds: float,
        ranks: Communicator,
        progress: Callable[[], object],
        doing: Callable[[], str],
    ) -> None:
        self._seconds = seconds
        self._ranks = ranks
        self._progress = progress
        self._doing = doing
        self._limit = _MANY
        self._near = _neighbours(ranks)
        self._witness = _witness(ranks.size, self._near) if ranks.rank == min(self._near) else None
        self._end, self._over = agreed(ranks, os.pipe)  # written to when the run is over
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def look_at(self, progress: Callable[[], object], doing: Callable[[], str]) -> None:
        """From now on."""
        self._progress, self._doing = progress, doing

    def begun(self) -> None:
        """The first window is done: from now on the allowed time holds."""
        self._limit = _FEW

    def wait_long(self) -> None:
        """What comes is not a window."""
        self._limit = _MANY

    def __enter__(self) -> "Watchdog":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.write(self._over, b".")
        self._thread.join()
        os.close(self._over)
        os.close(self._end)
        if self._witness is not None:
            with contextlib.suppress(OSError):  # it has ended already
                self._witness.communicate(b".")
        if error is None or isinstance(error, InputError | OutputError):  # the same on every rank
            self._ranks.barrier()  # before any process ends, which would look like a death

    def _watch(self) -> None:
        seen: object = None
        looks = stopped = 0
        with contextlib.ExitStack() as files:
            next_rank, next_process = self._next(files)
            ends = [self._end] if next_process is None else [self._end, next_process]
            while True:
                ready, _, _ = select.select(ends, [], [], self._seconds / _LOOKS)
                if self._end in ready:
                    return
                if ready:
                    self._stop(f"rank {next_rank} of {self._ranks.size} has died; ending all ranks")
                now = self._progress()
                looks = looks + 1 if now == seen else 0
                seen = now
                # Twice: after a stop of the whole job some go on before others.
                stopped = stopped + 1 if looks >= _FEW - 1 and self._stopped() else 0
                if looks >= self._limit or stopped > 1:
                    self._stall(looks * self._seconds / _LOOKS)

    def _next(self, files: contextlib.ExitStack) -> tuple[int, int | None]:
        """The next rank on this node, and a file that is readable when its process has ended."""
        others = [rank for rank in self._near if rank != self._ranks.rank]
        if not others:
            return self._ranks.rank, None
        rank = min((r for r in others if r > self._ranks.rank), default=others[0])
        try:
            process = os.pidfd_open(self._near[rank])
        except (AttributeError, OSError):  # not on Linux; or it has died already
            return rank, None
        files.callback(os.close, process)
        return rank, process

    def _stall(self, waited: float) -> None:
        """Say so, on every rank that waits, and who here does not wait but stands still."""
        ranks = self._ranks
        stopped = [f"rank {rank}" for rank in self._stopped()]
        self._stop(
            f"rank {ranks.rank} of {ranks.size} has made no progress for {waited:.3g} s, "
            f"{self._doing()}: it stalls, or waits for another one"
            + (f"; {', '.join(stopped)} stopped" if stopped else "")
            + "; ending all ranks"
        )

    def _stopped(self) -> list[int]:
        """The ranks on this node that are stopped."""
        return [rank for rank, process in self._near.items() if _state(process) in _STOPPED]

    def _stop(self, reason: str) -> None:
        print(f"distsim: {reason}", file=sys.stderr, flush=True)
        wait = min(_OTHERS, self._seconds / _LOOKS)
        if not select.select([self._end], [], [], wait)[0]:
            self._ranks.abort(FAILED)


def _witness(size: int, near: dict[int, int]) -> subprocess.Popen[bytes] | None:
    """A process that outlives these ranks, where nobody else says which of them has died."""
    if len(near) == 1 or not launcher_is_silent() or not hasattr(os, "pidfd_open"):
        return None
    processes = [f"{rank}:{process}" for rank, process in near.items()]
    program = [sys.executable, "-I", "-S", witness.__file__, str(size), *processes]
    return subprocess.Popen(
        program, env={}, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
    )


def _neighbours(ranks: Communicator) -> dict[int, int]:
    """The ranks on this node, in order, and their processes."""
    node = f"{socket.gethostname()} {_text('/proc/sys/kernel/random/boot_id')}"
    with contextlib.suppress(OSError):  # process numbers are those of a name space
        node += f" {os.stat('/proc/self/ns/pid').st_ino}"
    here = hashlib.blake2b(node.encode(), digest_size=8).digest()
    mine = here + os.getpid().to_bytes(8, "little")
    found = ranks.gather(np.frombuffer(mine, np.uint8)).reshape(ranks.size, 16)
    near = (found[:, :8] == np.frombuffer(here, np.uint8)).all(axis=1)
    pids = found[:, 8:].copy().view(np.int64)[:, 0]
    return {int(rank): int(pids[rank]) for rank in np.nonzero(near)[0]}


def _state(process: int) -> str:
    """The letter of a process's state; of one that is gone, X."""
    return (_text(f"/proc/{process}/stat").rpartition(")")[2].split() or ["X"])[0]


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
