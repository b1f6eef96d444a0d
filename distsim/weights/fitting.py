"""Whether a network fits: memory that a rank may still take on its host, and refusals.

Three limits, the least counts: what the host has (Linux: MemAvailable), what is left to the control
groups of this process (of a batch job or a container: version 1 and 2), what is left of its own
limit (`ulimit -v`). The ranks of a host share the first two.
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

from distsim.errors import InputError
from distsim.limits import amount
from distsim.ranks import partition
from distsim.ranks.agreement import agreed
from distsim.ranks.communicator import Communicator
from distsim.weights import capacity
from distsim.weights.source import Network

# Of each version of control groups: its folder; a group's limit and use; what of the use are files
# that were read or written, which give way.
_GROUPS = {
    1: (
        "sys/fs/cgroup/memory",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        ("total_active_file", "total_inactive_file"),
    ),
    2: ("sys/fs/cgroup", "memory.max", "memory.current", ("active_file", "inactive_file")),
}
# From how many neurons on, and up to which share of N^2 weights, sparse ones are faster (measured).
_SPARSE_NEURONS, _SPARSE_SHARE = 1024, 16


def check_memory(
    network: Network,
    bits: int,
    ranks: Communicator,
    entries: int | None = None,
    here: int | None = None,
) -> None:
    """Refuse weights that do not fit, on every rank alike, before any is allocated. entries: of
    `sparse_entries`; here: how many ranks this host has, where there are others than these."""
    beside = ranks.here()[1] if here is None else here
    name, neurons = network.name, network.neurons
    agreed(ranks, lambda: _check(name, neurons, bits, ranks.size, beside, entries))


def sparse_entries(
    storage: str, network: Network, bits: int, ranks: Communicator, *, walks: bool
) -> int | None:
    """How many weights there are, if each rank has as many as the one with most, where they are to
    be held sparse; None: dense, as `storage` has it, or, if that is auto, as is faster.

    walks: the engine is `walk`; others are faster on dense weights, where these fit.
    """
    if storage == "dense":
        return None
    start, stop = (
        partition.start(rank, network.neurons, ranks.size) for rank in (ranks.rank, ranks.rank + 1)
    )
    mine = network.entries(start, stop)
    if storage == "auto" and (
        mine is None
        or network.neurons < _SPARSE_NEURONS
        or ranks.total(mine) * _SPARSE_SHARE > network.neurons**2
    ):
        return None
    if storage == "auto" and not walks:
        dense = capacity.bytes_on_host(network.neurons, bits, ranks.size)
        if ranks.minimum(int(dense <= available(ranks.here()[1]))):
            return None
    if mine is None:
        mine = (stop - start) * network.neurons
    return ranks.size * ranks.maximum(mine)


def check_bytes(place: str, given: str, wanted: int) -> None:
    """Refuse what would take so many bytes of this process."""
    free = available()
    if wanted > free:
        raise InputError(
            f"{place}: {given} given, {amount(wanted)}; allowed: {amount(free)}, "
            "what is available of this host's memory"
        )


def available(here: int = 1, root: Path = Path("/")) -> int:
    """Bytes that this process may still take, as one of `here` ranks of its host."""
    shared = min([_of_host(root), *_of_groups(root)])
    return max(0, min(shared // here, _of_process(root)))


def _check(name: str, neurons: int, bits: int, size: int, here: int, entries: int | None) -> None:
    wanted, free = capacity.bytes_on_host(neurons, bits, size, entries), available(here)
    if wanted <= free:
        return
    narrower = [
        b for b in (16, 8) if b < bits and capacity.bytes_on_host(neurons, b, size, entries) <= free
    ]
    ways = [f"weights of {b} bits" for b in narrower[:1]]
    enough = capacity.ranks_for(neurons, bits, size, free, entries)
    if enough is not None:
        ways.append(f"{enough:,} ranks, {here} a host like this,")
    held = "" if entries is None else f"{entries:,} sparse "
    would = " or ".join(ways) if ways else "no number of ranks"
    raise InputError(
        f"{name}: {neurons:,} neurons with {held}weights of {bits} bits given, {amount(wanted)} on "
        f"each of {size} rank(s); allowed: {amount(free)}, what is available on this host to each "
        f"of its {here} rank(s); {would} would do"
    )


def _of_host(root: Path) -> int:
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _of_groups(root: Path) -> Iterator[int]:
    """What is left to each control group of this process that has a limit, and to those above."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        folder, limit, use, files = _GROUPS[1 if controllers else 2]
        # A container may see its own group as the folder, under a path that the host knows.
        group = Path(path)
        for inner in (group, *group.parents):
            place = root / folder / inner.relative_to("/")
            with contextlib.suppress(OSError, ValueError):  # not there, or "max"
                most, taken = (int((place / name).read_text()) for name in (limit, use))
                pairs = (entry.split() for entry in _lines(place / "memory.stat"))
                yield most - taken + sum(int(count) for name, count in pairs if name in files)


def _of_process(root: Path) -> int:
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return 1 << 62
    pages = next(_lines(root / "proc/self/statm"), "0").split()[0]
    return limit - int(pages) * os.sysconf("SC_PAGE_SIZE")


def _lines(path: Path) -> Iterator[str]:
    """The lines of a file, none if it is not there: a host without Linux has no such files."""
    with contextlib.suppress(OSError), path.open() as file:
        yield from file.read().splitlines()
