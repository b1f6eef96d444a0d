"""Whether all ranks read the same: options, and the files that these name.

Each rank reads its own rows from its own node, where a file may be a stale copy. Before anything
is read, each rank hashes the options and, of each file, its size and its bytes: all of them up to
16 MiB, and of a larger file 256 blocks of 64 KiB at equal distances, the first and the last ones
among them. So any difference is seen in size, in a small file, or where a sample lies; a large
file of the same size that differs between the samples only is not told apart.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim import __version__
from distsim.config.options import Config
from distsim.errors import InputError
from distsim.ranks.communicator import Communicator

_BLOCK = 1 << 16  # bytes of a sample,
_SAMPLES = 256  # and how many
_SIZE = 16  # bytes of a hash


def check_alike(
    config: Config, ranks: Communicator, arrays: Mapping[str, Sequence[NDArray[Any]]] | None = None
) -> None:
    """Raise InputError on every rank alike if one reads something else than the root does.

    arrays: what each rank has in memory, by its name in messages; all of it counts.
    """
    if ranks.size == 1:
        return
    hashes = {"the options": _hash(f"{__version__} {config.json()}".encode())}
    for name, parts in (arrays or {}).items():
        hashes[name] = _hash_of_arrays(parts)
    for path in dict.fromkeys(path for _, path in config.files_read()):
        hashes[path] = _hash(_sample(path))
    mine = np.frombuffer(b"".join(hashes.values()), np.uint8)
    sizes = {ranks.minimum(mine.size), ranks.maximum(mine.size)}
    found = ranks.gather(mine[:_SIZE] if len(sizes) > 1 else mine).reshape(ranks.size, -1, _SIZE)
    different = (found != found[0]).any(axis=2)  # bool[ranks, hashes]
    if different.any():
        rank, k = (int(index[0]) for index in np.nonzero(different))
        what = list(hashes)[k]
        copy = "" if k == 0 or what in (arrays or ()) else " (a stale copy on its node?)"
        raise InputError(
            f"{what}: rank {rank} has others than rank 0{copy}; allowed: the same on every rank"
        )


def _sample(path: str) -> bytes:
    """The size of a file and its bytes, or some of them; why it cannot be read."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size <= _BLOCK * _SAMPLES:
                return file.read()
            parts = [str(size).encode()]
            for k in range(_SAMPLES):
                file.seek(k * (size - _BLOCK) // (_SAMPLES - 1))
                parts.append(file.read(_BLOCK))
            return b"".join(parts)
    except OSError as error:
        return str(error).encode()


def _hash_of_arrays(parts: Sequence[NDArray[Any]]) -> bytes:
    found = hashlib.blake2b(digest_size=_SIZE)
    for part in parts:
        found.update(f"{part.dtype} {part.shape}".encode())
        for row in part if part.ndim > 1 else [part]:
            found.update(np.ascontiguousarray(row).data)
    return found.digest()


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_SIZE).digest()
