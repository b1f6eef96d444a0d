"""Says which rank has died, where a launcher does not: python witness.py SIZE RANK:PROCESS ...

MPICH's mpirun kills all ranks as soon as one has died, before any of them can say a word, and
names a process that need not be the first. This is a process of its own, which it leaves alone.
It ends without a word when it is told to, by a byte on its standard input.
"""

import os
import select
import sys

_LATE = 1.0  # seconds by which a process may be seen to die after its files are closed


def main(size: str, *processes: str) -> None:
    ranks, died = {}, []
    for pair in processes:
        rank, _, process = pair.partition(":")
        name = f"{rank} of {size} (process {process})"
        try:
            ranks[os.pidfd_open(int(process))] = name
        except ProcessLookupError:  # before this process could look
            died.append(name)
    gone, _, _ = select.select([0, *ranks], [], [], _LATE if died else None)
    if 0 in gone and os.read(0, 1):
        return
    if not died:
        if gone == [0]:
            gone, _, _ = select.select(ranks, [], [], _LATE)
        died = [ranks[one] for one in gone if one in ranks]
    if died:
        os.write(2, f"distsim: rank {' and rank '.join(died)} has died\n".encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
