"""Areas in GPU memory that the ranks of one host write into each other's: the peer exchange."""

import cupy

from distsim.gpu.layout import HEADER

NO_HANDLE = bytes(64)  # as long as CUDA's handles of memory
_TAGGED_BYTES = 16  # of a word with its tag: see `put` and `get` of exchange.cuh


class Peers:
    """This rank's area, and those of the others that it has opened."""

    def __init__(self, ranks: int, rank: int) -> None:
        self.ranks, self.rank = ranks, rank
        self._area: cupy.cuda.Memory | None = None
        self._opened: list[int] = []

    def make(self, log: int) -> bytes:
        """Take an area for logs of so many words instead of the last one: its handle, for others.

        Raises CuPy's error where there is no memory, or none that others could open.
        """
        runtime = cupy.cuda.runtime
        size = _TAGGED_BYTES * self.ranks * (2 * HEADER + log)  # two headers of a rank: in turn
        self._area = None  # given back before the next is taken
        self._area = cupy.cuda.Memory(size)
        runtime.memset(self._area.ptr, 0, size)
        runtime.deviceSynchronize()
        handle: bytes = runtime.ipcGetMemHandle(self._area.ptr)
        return handle

    def open(self, handles: list[bytes]) -> list[int]:
        """The addresses of all ranks' areas. Raises CuPy's error for what cannot be reached."""
        assert self._area is not None
        addresses = []
        for rank, handle in enumerate(handles):
            if rank == self.rank:
                addresses.append(self._area.ptr)
            else:
                self._opened.append(cupy.cuda.runtime.ipcOpenMemHandle(handle))
                addresses.append(self._opened[-1])
        return addresses

    def close(self) -> None:
        """Leave the others' areas."""
        while self._opened:
            cupy.cuda.runtime.ipcCloseMemHandle(self._opened.pop())

    def release(self) -> None:
        """Give this rank's area back, which no other rank has open any more."""
        self._area = None
