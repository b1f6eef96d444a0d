"""What a benchmark on GPUs needs besides chains, by CuPy: the plain loop, a copy's rate, joules.

The plain loop is what a scientist writes who knows CuPy and NCCL: float32, one transition at a
time, the host in the loop, one collective a transition. The limit is what reading the events'
columns once would take at the rate of a copy.
"""

import ctypes
import time
from typing import Any

import cupy
import numpy as np
from numpy.typing import NDArray

from distsim.gpu.capacity import stride
from distsim.gpu.dense import DeviceColumns
from distsim.gpu.driver import free_unused
from distsim.gpu.layout import PEERS
from distsim.ranks import partition
from distsim.ranks.communicator import Communicator
from distsim.ranks.nccl import connect_gpus
from distsim.weights.shard import Shard, load
from distsim.weights.source import Network

_WARM_UP = 20  # transitions of the plain loop
_BATCH = 50  # its transitions between two looks at the clock
_COPY_BYTES, _COPIES = 1 << 30, 8


def ways(ranks: Communicator) -> list[tuple[str, str]]:
    """The engines and exchanges that there are on these ranks: nccl, and peer on one host."""
    found = [("race", "nccl"), ("relax", "nccl")]
    if ranks.minimum(ranks.here()[1]) == ranks.size <= PEERS:
        found.append(("relax", "peer"))
    return found


# ------------------------------------------------------------------------------------ what it takes
class Meter:
    """The joules of a measurement, and how near to a copy's rate columns were read.

    To be made before anything else runs on the GPUs: it measures the copy's rate.
    """

    def __init__(self, ranks: Communicator) -> None:
        self._ranks = ranks
        self._copy_rate = _copy_rate()
        self.start()

    def start(self) -> None:
        """The measurement begins."""
        self._joules = _joules()

    def stop(self, done: float, columns: float, neurons: int, bits: int) -> dict[str, Any]:
        """What it took: limit and joules, as `bench.run` describes them.

        done: transitions or updates of it; columns: how many it read a second, of so many neurons'
        weights of so many bits.
        """
        first, stop = (
            partition.start(rank, neurons, self._ranks.size)
            for rank in (self._ranks.rank, self._ranks.rank + 1)
        )
        column = stride(stop - first, bits) * bits / 8
        return {"limit": columns * column / self._copy_rate, "joules": self._spent(done)}

    def _spent(self, done: float) -> float | None:
        before, after = self._joules, _joules()
        told = before is not None and after is not None
        if self._ranks.minimum(int(told)) == 0:
            return None
        spent = (after or 0.0) - (before or 0.0)
        return self._ranks.total(int(1000 * spent)) / 1000 / done


def _copy_rate() -> float:
    """Bytes read and written a second by a copy on this GPU."""
    source, target = (cupy.empty(_COPY_BYTES, cupy.uint8) for _ in range(2))
    begin, end = cupy.cuda.Event(), cupy.cuda.Event()
    cupy.copyto(target, source)
    begin.record()
    for _ in range(_COPIES):
        cupy.copyto(target, source)
    end.record()
    end.synchronize()
    rate = _COPIES * 2 * _COPY_BYTES / (1e-3 * cupy.cuda.get_elapsed_time(begin, end))
    del source, target
    free_unused()
    return float(rate)


def _joules() -> float | None:
    """Joules that this rank's GPU has taken since the driver was loaded, if NVML tells."""
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None
    bus = cupy.cuda.Device().pci_bus_id.encode()
    handle, millijoules = ctypes.c_void_p(), ctypes.c_ulonglong()
    if nvml.nvmlInit_v2() or nvml.nvmlDeviceGetHandleByPciBusId_v2(bus, ctypes.byref(handle)):
        return None
    if nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules)):
        return None
    return millijoules.value / 1000


# ----------------------------------------------------------------------------------- the plain loop
def loop_rate(
    ranks: Communicator, network: Network, bits: int, tau: float, seconds: float
) -> float:
    """Transitions a second that `mpm_loop` makes of a network from random states."""
    states = (np.random.default_rng(0).random(network.neurons) < 0.5).astype(np.uint8)
    shard = load(network, bits, ranks, DeviceColumns)
    try:
        return mpm_loop(ranks, shard, states, tau, seconds)
    finally:
        del shard
        free_unused()


def mpm_loop(
    ranks: Communicator,
    shard: Shard[DeviceColumns],
    states: NDArray[np.uint8],
    tau: float,
    seconds: float,
) -> float:
    """Transitions a second of the first of all waiting times; states: uint8[N] at the start."""
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        columns = shard.storage.array()
        first, n, unit = shard.first, shard.size, np.float32(shard.unit)
        z = cupy.asarray(shard.responses(states)).astype(cupy.float32) * unit
        x = cupy.asarray(states[first : first + n]).astype(cupy.float32)
        send, receive = cupy.zeros(1, cupy.uint64), cupy.zeros(1, cupy.uint64)
        gpus = connect_gpus(ranks) if ranks.size > 1 else None

        def transition() -> None:
            key = 2**64 - 1  # waiting time, neuron, new state
            if n:
                rates = cupy.exp((1 - 2 * x) * z / np.float32(2 * tau))
                waits = -cupy.log1p(-cupy.random.random(n, dtype=cupy.float32)) / rates
                i = int(cupy.argmin(waits))
                who = (first + i) << 1 | (1 - int(x[i]))
                key = int(np.float32(waits[i].get()).view(np.uint32)) << 32 | who
            send.fill(key)
            if gpus is not None:
                gpus.minimum(send.data.ptr, receive.data.ptr, 1, stream.ptr)
                key = int(receive[0])
            j, state = (key & 0xFFFFFFFF) >> 1, key & 1
            if first <= j < first + n:
                x[j - first] = state
            z[...] += ((2 * state - 1) * unit) * columns[j, :n]

        for _ in range(_WARM_UP):
            transition()
        stream.synchronize()
        ranks.barrier()
        count, begin = 0, time.perf_counter()
        while ranks.maximum(int(time.perf_counter() - begin < seconds)):
            for _ in range(_BATCH):
                transition()
            count += _BATCH
        stream.synchronize()
        return count / ranks.largest(time.perf_counter() - begin)
