"""Speed on GPUs: the plain loop, race, and relax with each exchange, side by side in one run.

The network is `gaussian` with g = 1, as in `bench`. The plain loop is what a scientist writes who
knows CuPy and NCCL: float32, one transition at a time, the host in the loop, one collective a
transition. The limit is what reading the events' columns once would take at the rate of a copy.
"""

import ctypes
import time
from typing import Any

import cupy
import numpy as np

from distsim.chains.gpu import DeviceChain
from distsim.config.options import Config
from distsim.gpu.layout import PEERS
from distsim.networks.gaussian import Gaussian
from distsim.ranks.communicator import Communicator
from distsim.ranks.nccl import connect_gpus
from distsim.recording.recorder import Recorder

WARM_UP = 6  # looks at the device


def rows(
    ranks: Communicator,
    model: str,
    neurons: int,
    weight_bits: int,
    tau: float,
    seconds: float,
    window: int | None,
) -> list[dict[str, Any]]:
    """The rows of one network (see bench.run), alike on all ranks; the loop is that of an MPM."""
    found: list[dict[str, Any]] = []
    ways = [("race", "nccl"), ("relax", "nccl")]
    if ranks.minimum(ranks.here()[1]) == ranks.size <= PEERS:
        ways.append(("relax", "peer"))
    for engine, exchange in ways:
        config = Config(
            model=model,
            network="gaussian",
            neurons=neurons,
            tau=tau,
            transitions=2**62,
            engine=engine,
            exchange=exchange,
            weight_bits=weight_bits,
            initial="random",
            window=window,
        )
        network = Gaussian(neurons, 1.0, 0, model == "bm")
        states = (np.random.default_rng(0).random(neurons) < 0.5).astype(np.uint8)
        chain = DeviceChain(network, config, ranks, states)
        same = {
            "model": model,
            "neurons": neurons,
            "weight_bits": weight_bits,
            "tau": tau,
            "device": "gpu",
            "ranks": ranks.size,
        }
        if not found and model == "mpm":
            rate = _plain_loop(ranks, chain, tau, seconds)
            found.append({**same, "engine": "loop", "exchange": "nccl", "rate": rate})
        row = {**same, "engine": engine, "exchange": exchange, **_engine(ranks, chain, seconds)}
        found.append(row)
        chain.close()
    loop = found[0]["rate"] if model == "mpm" else None
    return [{**row, "ratio": row["rate"] / loop if loop else None} for row in found]


def _engine(ranks: Communicator, chain: DeviceChain, seconds: float) -> dict[str, Any]:
    copy_rate = _copy_rate()  # before anything else runs on the GPU
    recorder = Recorder(2**62, None, None)
    for _ in range(WARM_UP):
        chain.advance(recorder)

    def counts() -> np.ndarray[Any, np.dtype[np.float64]]:
        done = recorder.transitions if chain.config.model == "mpm" else chain.now()
        counted = (done, recorder.transitions, chain.windows, chain.replays, chain.applies)
        return np.array(counted, np.float64)

    phases, energy, before, begin = dict(chain.timer.phases), _joules(), counts(), _now()
    while ranks.maximum(int(_now() - begin < seconds)):
        chain.advance(recorder)
    done, events, windows, replays, applies = counts() - before
    spent = ranks.largest(_now() - begin)
    used = None if energy is None else (_joules() or 0.0) - energy
    joules = None if used is None else ranks.total(int(1000 * used)) / 1000 / done
    column = chain.shard.storage.stride * chain.shard.storage.bits / 8
    return {
        "rate": done / spent,
        "target": chain.target,
        "events": events / windows,
        "replays": replays / windows,
        "applies": applies / windows,
        "microseconds": {
            phase: 1e6 * (time - phases.get(phase, 0.0)) / windows
            for phase, time in chain.timer.phases.items()
        },
        "limit": events / spent * column / copy_rate,
        "joules": joules,
        "consistent": chain.consistent(chain.final()),
    }


def _now() -> float:
    return time.perf_counter()


def _copy_rate() -> float:
    """Bytes read and written a second by a copy on this GPU."""
    size = 1 << 30
    source, target = cupy.empty(size, cupy.uint8), cupy.empty(size, cupy.uint8)
    begin, end = cupy.cuda.Event(), cupy.cuda.Event()
    cupy.copyto(target, source)
    begin.record()
    for _ in range(8):
        cupy.copyto(target, source)
    end.record()
    end.synchronize()
    rate = 8 * 2 * size / (1e-3 * cupy.cuda.get_elapsed_time(begin, end))
    del source, target
    cupy.get_default_memory_pool().free_all_blocks()
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


def _plain_loop(ranks: Communicator, chain: DeviceChain, tau: float, seconds: float) -> float:
    """Transitions a second of the plain loop on the weights of a chain."""
    columns = chain.shard.storage.array()
    n, unit = chain.shard.size, np.float32(chain.shard.unit)
    z = cupy.asarray(chain.device.responses(0)).astype(cupy.float32) * unit
    x = cupy.asarray(chain.device.states()).astype(cupy.float32)
    send, receive = cupy.zeros(1, cupy.uint64), cupy.zeros(1, cupy.uint64)
    gpus = connect_gpus(ranks) if ranks.size > 1 else None
    stream = cupy.cuda.Stream(non_blocking=True)

    def transition() -> None:
        key = 2**64 - 1  # waiting time, neuron, new state
        if n:
            rates = cupy.exp((1 - 2 * x) * z / np.float32(2 * tau))
            waits = -cupy.log1p(-cupy.random.random(n, dtype=cupy.float32)) / rates
            i = int(cupy.argmin(waits))
            who = (chain.shard.first + i) << 1 | (1 - int(x[i]))
            key = int(np.float32(waits[i].get()).view(np.uint32)) << 32 | who
        send.fill(key)
        if gpus is not None:
            gpus.minimum(send.data.ptr, receive.data.ptr, 1, stream.ptr)
            key = int(receive[0])
        j, state = (key & 0xFFFFFFFF) >> 1, key & 1
        if chain.shard.first <= j < chain.shard.first + n:
            x[j - chain.shard.first] = state
        z[...] += ((2 * state - 1) * unit) * columns[j, :n]

    with stream:
        for _ in range(20):
            transition()
        stream.synchronize()
        ranks.barrier()
        count, begin = 0, _now()
        while ranks.maximum(int(_now() - begin < seconds)):
            for _ in range(50):
                transition()
            count += 50
        stream.synchronize()
        return count / ranks.largest(_now() - begin)
