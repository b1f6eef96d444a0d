"""Says which rank has died, where a launcher does not: python guard.py SIZE RANK:PROCESS ...

MPICH's mpirun kills all ranks as soon as one has died, before any of them can say a word, and
names a process that need not be the first. This is a process of its own, which it leaves alone.
It ends without a word when it is told to, by a byte on its standard input.
"""

import contextlib
import os
import select
import sys

_LATE = 1.0  # seconds by which a process may be seen to die after its files are closed


def main(size: str, *processes: str) -> None:
    ranks = {}
    for pair in processes:
        rank, _, process = pair.partition(":")
        with contextlib.suppress(ProcessLookupError):  # too late for this one
            ranks[os.pidfd_open(int(process))] = f"{rank} of {size} (process {process})"
    gone, _, _ = select.select([0, *ranks], [], [])
    if gone == [0]:
        if os.read(0, 1):
            return
        gone, _, _ = select.select(ranks, [], [], _LATE)
    died = " and rank ".join(ranks[one] for one in gone if one in ranks)
    if died:
        os.write(2, f"distsim: rank {died} has died\n".encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
