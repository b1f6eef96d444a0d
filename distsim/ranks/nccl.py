"""The ranks' GPUs by NCCL, through CuPy."""

import ctypes
import pickle

import numpy as np

from distsim.ranks.communicator import Communicator


class Nccl:
    """The ranks' GPUs, one each, by NVIDIA's library: collectives on device memory and streams.

    NCCL's communicator is never destroyed: that is a collective too, and would hang a rank that
    leaves alone. The end of the process ends it.
    """

    def __init__(self, ranks: Communicator) -> None:
        from cupy.cuda import nccl

        self._nccl = nccl
        name = pickle.dumps(nccl.get_unique_id() if ranks.rank == 0 else None).ljust(4096, b"\0")
        root = ranks.gather(np.frombuffer(name, np.uint8))[:4096].tobytes()
        ranks.barrier()
        self._communicator = nccl.NcclCommunicator(ranks.size, pickle.loads(root), ranks.rank)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._communicator))  # for ever

    def all_gather(self, send: int, receive: int, words: int, stream: int) -> None:
        """`words` 64-bit words of every rank at device address `send` to all, by rank."""
        self._communicator.allGather(send, receive, words, self._nccl.NCCL_UINT64, stream)

    def minimum(self, send: int, receive: int, words: int, stream: int) -> None:
        """The minimum over the ranks of each of `words` unsigned 64-bit words."""
        self._communicator.allReduce(
            send, receive, words, self._nccl.NCCL_UINT64, self._nccl.NCCL_MIN, stream
        )


_gpus: list[Nccl] = []


def connect_gpus(ranks: Communicator) -> Nccl:
    """The one NCCL communicator of all ranks, each on the GPU that it has chosen."""
    if not _gpus:
        _gpus.append(Nccl(ranks))
    return _gpus[0]
