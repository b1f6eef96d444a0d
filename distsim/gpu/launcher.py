"""What one rank's GPU holds of a chain, and the launches that move it on."""

import ctypes
import os
from collections.abc import Callable
from typing import Any

import cupy
import numpy as np
from numpy.typing import NDArray

from distsim.gpu.compiler import compile_module
from distsim.gpu.dense import DeviceColumns
from distsim.gpu.driver import multiprocessors
from distsim.gpu.layout import (
    CONTEXT,
    HEADER,
    SLOT_BYTES,
    STATE,
    STATE_NAMES,
    TICKET_BYTES,
    Context,
)
from distsim.kernels.mcculloch_pitts import lowest_levels

os.environ.setdefault("NCCL_NVLS_ENABLE", "0")  # NVLink multicast: not to be relied on
THREADS = 512
PEERS, MOST_RANKS = 8, 64  # of a peer exchange, of any exchange of `relax`
SHARED = 65536  # bytes of shared memory of a block: events of a phase, or stretches of columns
STAGES = ("draw", "replay", "exchange", "order", "trim", "apply", "search", "step", "close")
SLOTS, TICKETS, EVENTS, AT_REST, LOST_RANK = 1, 2, 4, 8, 16


# ------------------------------------------------------------------------------------ a chain
class Device:
    """What one rank's GPU holds of a chain, and the launches that move it on.

    z: int32 or int64[n] at the start; x: uint8[n]; rest: float64[n]; slots: about how many
    neurons of this rank will hold tickets.
    """

    def __init__(
        self,
        weights: DeviceColumns, z: NDArray[Any], x: NDArray[np.uint8], rest: NDArray[np.float64],
        *, boltzmann: bool, race: bool, neurons: int, first: int, ranks: int, rank: int, slots: int,
    ) -> None:  # fmt: skip
        self.weights = weights
        self.ranks, self.rank = ranks, rank
        self.race = race
        n = weights.size
        column_bytes = next((b for b in (16, 8) if n * weights.bits // 8 >= 8192 * b), 4)
        span = 32 * column_bytes * 8 // weights.bits
        wanted = -(-n // THREADS) if race else max(8, -(-n // (2 * span)))
        self.blocks = max(1, min((2 if race else 1) * multiprocessors(), wanted))
        apart = 64 // column_bytes
        # By how much `apply` may take z of int8 weights to rise too far: SLACK of apply.cuh.
        self.slack = apart if weights.bits == 8 else 0
        # As many threads a neuron as let all neurons with tickets be replayed at once.
        group = next((g for g in (128, 64) if self.blocks * THREADS // g >= slots), 32)
        constants = {
            "WEIGHT_BITS": weights.bits,
            "Z_BITS": 8 * z.itemsize,
            "BOLTZMANN": int(boltzmann),
            "COLUMN_BYTES": column_bytes,
            "APART": apart,
            "GROUP": group,
        }
        self._relax = compile_module("relax.cu", **constants)
        self._module = compile_module("race.cu", **constants) if race else self._relax
        self.stream = cupy.cuda.Stream(non_blocking=True)
        self._copies = cupy.cuda.Stream(non_blocking=True)
        self._graph: Any = None
        self._opened: list[int] = []  # other ranks' areas
        self._kept: dict[str, Any] = {}  # device arrays, by the name of their pointer
        self.context = Context(
            weights=weights.pointer, stride=weights.stride, neurons=neurons, first=first, size=n,
            ranks=ranks, rank=rank,
        )  # fmt: skip
        padded = n + 16
        self.keep("z0", self._padded(z, padded))
        self.keep("z1", cupy.zeros(padded, z.dtype))
        self.keep("bound", cupy.zeros(padded, z.dtype))
        self.keep("rest", self._padded(rest, padded))
        self.keep("x", self._padded(21 * x, padded))  # X_START | X_END | X_BEFORE
        self.keep("slot_of", cupy.zeros(padded, np.int32))
        self.keep("levels", cupy.asarray(lowest_levels()))
        if boltzmann:
            self.keep("heads", cupy.zeros(padded, np.uint64))
            self.keep("links", cupy.zeros(neurons + 1, np.int32))
        self.keep("state", cupy.zeros(STATE.itemsize, np.uint8))
        self.keep("live", cupy.zeros(64, np.int64))  # `Live` of chain.cuh
        self._pinned = np.frombuffer(
            cupy.cuda.alloc_pinned_memory(STATE.itemsize), np.uint8, STATE.itemsize
        )
        self._tail = np.frombuffer(cupy.cuda.alloc_pinned_memory(8), np.int64, 1)
        self.reserve_ring(0, recording=False)

    @staticmethod
    def _padded(values: NDArray[Any], size: int) -> Any:
        array = np.zeros(size, values.dtype)
        array[: values.size] = values
        return cupy.asarray(array)

    def keep(self, name: str, array: Any) -> None:
        """Hold an array whose pointer the kernels know by this name."""
        self._kept[name] = array
        setattr(self.context, name, array.data.ptr)

    def set(self, **values: float) -> None:
        """Constants of the run."""
        for name, value in values.items():
            real = f"{name}:f8" in CONTEXT.split()
            setattr(self.context, name, value if real else int(value) % 2**64)

    def reserve(self, slots: int, tickets: int, events: int) -> None:
        """Room for the window: slots and tickets of this rank, words of a rank's log."""
        self.context.slot_capacity = slots
        self.keep("slots", cupy.zeros(slots * SLOT_BYTES, np.uint8))
        self.context.ticket_capacity = tickets
        self.keep("tickets", cupy.zeros(tickets * TICKET_BYTES, np.uint8))
        self.context.log_capacity = events
        self.context.event_capacity = self.ranks * events
        self.keep("events0", cupy.zeros(self.ranks * events, np.uint64))
        self.keep("events1", cupy.zeros(self.ranks * events, np.uint64))
        self.keep("out", cupy.zeros(HEADER + events, np.uint64))
        if self.ranks == 1:
            self.keep("gathered", self._kept["out"])
        else:
            self.keep("gathered", cupy.zeros(self.ranks * (HEADER + events), np.uint64))
        self._graph = None

    def open_peers(
        self, exchange: Callable[[bytes], list[bytes]], wait: Callable[[], None]
    ) -> None:
        """Areas for a peer exchange, each rank's open to all ranks of this host.

        exchange: this rank's handle to all ranks' handles; wait: a barrier. Raises CuPy's error
        where a GPU cannot reach another's memory.
        """
        runtime = cupy.cuda.runtime
        self.close_peers()
        wait()  # no rank writes any more into what is freed now
        size = 16 * self.ranks * (2 * HEADER + self.context.log_capacity)
        self._area = cupy.cuda.Memory(size)
        runtime.memset(self._area.ptr, 0, size)
        runtime.deviceSynchronize()
        handles = exchange(runtime.ipcGetMemHandle(self._area.ptr))
        for rank, handle in enumerate(handles):
            address = self._area.ptr
            if rank != self.rank:
                address = runtime.ipcOpenMemHandle(handle)
                self._opened.append(address)
            setattr(self.context, f"peer{rank}", address)
        wait()

    def close_peers(self) -> None:
        for address in self._opened:
            cupy.cuda.runtime.ipcCloseMemHandle(address)
        self._opened = []

    def reserve_ring(self, entries: int, *, recording: bool) -> None:
        """Room for recorded events, a power of two; 0: they are not kept."""
        self.context.recording = recording
        self.context.ring_capacity = entries or 1 << 62
        self.keep("ring", cupy.zeros(max(1, 2 * entries if recording else 0), np.uint64))

    def upload(self) -> None:
        """Tell the kernels all pointers and constants."""
        self.stream.synchronize()
        size = ctypes.sizeof(self.context)
        for module in (self._module, self._relax):
            constant = module.get_global("C")
            cupy.cuda.runtime.memcpy(constant.ptr, ctypes.addressof(self.context), size, 1)
        cupy.cuda.Device().synchronize()

    # --------------------------------------------------------------------------------- launches
    def begin(self, top: int, *, again: bool) -> None:
        """The first window, from the largest s z of all ranks; or the same one with more room."""
        first = self._relax.get_function("begin")
        first((1,), (1,), (np.int64(top), np.int64(again)), stream=self.stream)

    def _launch(self, name: str, *given: Any) -> None:
        function, shared = self._module.get_function(name), 0
        if name != "race":
            function.max_dynamic_shared_size_bytes = shared = SHARED
        function((self.blocks,), (THREADS,), given, shared_mem=shared, stream=self.stream)

    def capture(self, rounds: int, exchange: Callable[[int, int, int], None] | None) -> None:
        """A CUDA graph of so many rounds; `exchange(from, to, stream)` is the ranks' collective."""
        out, gathered = self.context.out, self.context.gathered
        with self.stream:
            self.stream.begin_capture()
            for _ in range(rounds):
                self._launch("race" if self.race else "one_round")
                if exchange is not None:
                    exchange(out, gathered, self.stream.ptr)
            self._graph = self.stream.end_capture()

    @property
    def captured(self) -> bool:
        return self._graph is not None

    def replay_graph(self, times: int) -> None:
        for _ in range(times):
            self._graph.launch(self.stream)

    def run_resident(self, rounds: int) -> None:
        self._launch("resident", np.int64(rounds))

    # ------------------------------------------------------------------------------------ looking
    def look(self) -> Any:
        """The state when all that was launched is done: a record of STATE."""
        source = self.context.state
        cupy.cuda.runtime.memcpyAsync(
            self._pinned.ctypes.data, source, STATE.itemsize, 2, self.stream.ptr
        )
        self.stream.synchronize()
        return self._pinned.view(STATE)[0].copy()

    def set_tail(self, taken: int) -> None:
        """Recorded events up to here may be overwritten by what is launched next."""
        self._tail[0] = taken
        place = self.context.state + 8 * STATE_NAMES.index("ring_tail")
        cupy.cuda.runtime.memcpyAsync(place, self._tail.ctypes.data, 8, 1, self.stream.ptr)

    def write_state(self, **values: float) -> None:
        """Set fields of the state, when nothing runs."""
        state = np.frombuffer(self._kept["state"].get().tobytes(), STATE).copy()
        for name, value in values.items():
            state[name] = value
        self._kept["state"].set(state.view(np.uint8))
        cupy.cuda.Device().synchronize()

    def recorded(self, start: int, stop: int) -> NDArray[np.uint64]:
        """uint64[stop - start, 2]: recorded (time, neuron << 1 | state), while kernels run."""
        capacity = self.context.ring_capacity
        entries = np.empty((stop - start, 2), np.uint64)
        base = self.context.ring
        while start < stop:
            place = start % capacity
            count = min(stop - start, capacity - place)
            into = entries[entries.shape[0] - (stop - start) :]
            pinned = cupy.cuda.alloc_pinned_memory(16 * count)
            cupy.cuda.runtime.memcpyAsync(
                pinned.ptr, base + 16 * place, 16 * count, 2, self._copies.ptr
            )
            self._copies.synchronize()
            into[:count] = np.frombuffer(pinned, np.uint64, 2 * count).reshape(-1, 2)
            start += count
        return entries

    def states(self, *, before: bool = False) -> NDArray[np.uint8]:
        """uint8[n] at the start of the window, or of the one before."""
        x: NDArray[np.uint8] = self._kept["x"].get()[: self.weights.size]
        return (x & (16 if before else 1)).astype(bool).astype(np.uint8)

    def responses(self, current: int) -> NDArray[Any]:
        """z[n] at the start of the window."""
        z: NDArray[Any] = self._kept[f"z{current}"].get()[: self.weights.size]
        return z
