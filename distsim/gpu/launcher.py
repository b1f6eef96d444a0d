"""What one rank's GPU holds of a chain, and the launches that move it on."""

import ctypes
import os
from collections.abc import Callable
from typing import Any

import cupy
import numpy as np
from numpy.typing import NDArray

from distsim.gpu.capacity import Room
from distsim.gpu.compiler import compile_module
from distsim.gpu.dense import DeviceColumns
from distsim.gpu.driver import multiprocessors
from distsim.gpu.layout import (
    HEADER,
    LIVE_BYTES,
    MARKS,
    REALS,
    SHARED,
    SLOT_BYTES,
    STATE,
    TAIL_OFFSET,
    THREADS,
    TICKET_BYTES,
    Context,
    StateBit,
)
from distsim.gpu.peers import Peers
from distsim.gpu.shape import shape
from distsim.kernels.mcculloch_pitts import lowest_levels

os.environ.setdefault("NCCL_NVLS_ENABLE", "0")  # NVLink multicast: not to be relied on
_SPARE = 16  # elements after those of the last neuron: some kernels touch whole words of them
_WORD = 8  # bytes
_ENTRY_WORDS = 2  # of a recorded event: its time, its neuron and state
_UNBOUNDED = 1 << 62  # entries of a ring that is not kept, and never full
_TO_DEVICE, _TO_HOST = 1, 2  # of cudaMemcpyKind


class Device:
    """What one rank's GPU holds of a chain, and the launches that move it on."""

    def __init__(
        self,
        *,
        weights: DeviceColumns,
        z: NDArray[Any],
        x: NDArray[np.uint8],
        rest: NDArray[np.float64],
        boltzmann: bool,
        race: bool,
        neurons: int,
        first: int,
        ranks: int,
        rank: int,
        active: int,
        most: int,
    ) -> None:
        """z: int32 or int64[n] at the start; x: uint8[n]; rest: float64[n]; active: about how many
        neurons of this rank will hold tickets; most: the law's, steps of a BM's longest window."""
        self.weights = weights
        self.ranks = ranks
        self.race = race
        self.peers = Peers(ranks, rank)
        self._graph: Any = None
        self._arrays: dict[str, Any] = {}  # on the device, by the name of their pointer
        try:
            n = weights.size
            self.shape = shape(
                n, weights.bits, race=race, multiprocessors=multiprocessors(), active=active
            )
            constants = {
                "WEIGHT_BITS": weights.bits,
                "Z_BITS": 8 * z.itemsize,
                "BOLTZMANN": int(boltzmann),
                "COLUMN_BYTES": self.shape.column_bytes,
                "APART": self.shape.apart,
                "GROUP": self.shape.group,
            }
            self._relax = compile_module("relax.cu", **constants)
            self._module = compile_module("race.cu", **constants) if race else self._relax
            self.stream = cupy.cuda.Stream(non_blocking=True)
            self._copies = cupy.cuda.Stream(non_blocking=True)
            self.context = Context(
                weights=weights.pointer, stride=weights.stride, neurons=neurons, first=first,
                size=n, ranks=ranks, rank=rank,
            )  # fmt: skip
            padded = n + _SPARE
            bits = StateBit.START | StateBit.END | StateBit.BEFORE
            self._bind("z0", self._padded(z, padded))
            self._bind("z1", cupy.zeros(padded, z.dtype))
            self._bind("bound", cupy.zeros(padded, z.dtype))
            self._bind("rest", self._padded(rest, padded))
            self._bind("x", self._padded(np.uint8(bits) * x, padded))
            self._bind("slot_of", cupy.zeros(padded, np.int32))
            self._bind("levels", cupy.asarray(lowest_levels()))
            if boltzmann:
                self._bind("heads", cupy.zeros(padded, np.uint64))
                self._bind("links", cupy.zeros(most, np.int32))
            self._bind("state", cupy.zeros(STATE.itemsize, np.uint8))
            self._bind("live", cupy.zeros(LIVE_BYTES, np.uint8))
            pinned = cupy.cuda.alloc_pinned_memory(STATE.itemsize)
            self._fetched = np.frombuffer(pinned, np.uint8, STATE.itemsize)
            self._tail = np.frombuffer(cupy.cuda.alloc_pinned_memory(_WORD), np.int64, 1)
            self.reserve_ring(0, recording=False, energies=False)
        except BaseException:
            self.release()  # what holds the error holds this object too
            raise

    @staticmethod
    def _padded(values: NDArray[Any], size: int) -> Any:
        array = np.zeros(size, values.dtype)
        array[: values.size] = values
        return cupy.asarray(array)

    def _bind(self, name: str, array: Any) -> None:
        """Hold an array whose pointer the kernels know by this name."""
        self._arrays[name] = array
        setattr(self.context, name, array.data.ptr)

    @property
    def slack(self) -> int:
        """By how much `apply` may take z to rise too far: SLACK of apply.cuh."""
        return self.shape.apart if self.weights.bits == 8 else 0

    def set_constants(self, **values: float) -> None:
        """Constants of the run, for the next `upload`."""
        for name, value in values.items():
            setattr(self.context, name, value if name in REALS else int(value) % 2**64)

    def reserve(self, room: Room) -> None:
        """Room for the window: slots and tickets of this rank, words of a rank's log."""
        log, all_logs = room.events, self.ranks * room.events
        self.context.slot_capacity = room.slots
        self.context.ticket_capacity = room.tickets
        self.context.log_capacity = log
        self.context.event_capacity = all_logs
        self._bind("slots", cupy.zeros(room.slots * SLOT_BYTES, np.uint8))
        self._bind("tickets", cupy.zeros(room.tickets * TICKET_BYTES, np.uint8))
        self._bind("events0", cupy.zeros(all_logs, np.uint64))
        self._bind("events1", cupy.zeros(all_logs, np.uint64))
        self._bind("out", cupy.zeros(HEADER + log, np.uint64))
        if self.ranks == 1:
            self._bind("gathered", self._arrays["out"])
        else:
            self._bind("gathered", cupy.zeros(self.ranks * HEADER + all_logs, np.uint64))
        self._graph = None

    def reach_peers(self, areas: list[int]) -> None:
        """Exchange through these areas of all ranks, by their addresses."""
        for rank, address in enumerate(areas):
            setattr(self.context, f"peer{rank}", address)

    def reserve_ring(self, entries: int, *, recording: bool, energies: bool) -> None:
        """Room for recorded events, a power of two; 0: they are not kept.

        energies: with by how much each of this rank's changes the energy.
        """
        self.context.recording = recording
        self.context.ring_capacity = entries or _UNBOUNDED
        self._bind("ring", cupy.zeros(max(1, _ENTRY_WORDS * entries * recording), np.uint64))
        if not energies:
            return
        self._bind("changes", cupy.zeros(entries, np.int64))
        if not self.race:
            z = self._arrays["z0"].dtype
            self._bind("marks", cupy.zeros(MARKS * max(1, self.weights.size), z))

    def upload(self) -> None:
        """Tell the kernels all pointers and constants."""
        self.stream.synchronize()
        size = ctypes.sizeof(self.context)
        for module in (self._module, self._relax):
            there = module.get_global("C").ptr
            cupy.cuda.runtime.memcpy(there, ctypes.addressof(self.context), size, _TO_DEVICE)
        cupy.cuda.Device().synchronize()

    def release(self) -> None:
        """Give all memory back, which no kernel uses any more."""
        self._graph = None
        self._arrays.clear()
        self.peers.close()
        self.peers.release()

    # --------------------------------------------------------------------------------- launches
    def begin(self, top: int, *, again: bool) -> None:
        """The first window, from the largest s z of all ranks; or the same one with more room."""
        first = self._relax.get_function("begin")
        first((1,), (1,), (np.int64(top), np.int64(again)), stream=self.stream)

    def _launch(self, name: str, *given: Any) -> None:
        function, shared = self._module.get_function(name), 0
        if name != "race":
            function.max_dynamic_shared_size_bytes = shared = SHARED
        grid = (self.shape.blocks,)
        function(grid, (THREADS,), given, shared_mem=shared, stream=self.stream)

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

    def run_graph(self, times: int) -> None:
        for _ in range(times):
            self._graph.launch(self.stream)

    def run_resident(self, rounds: int) -> None:
        self._launch("resident", np.int64(rounds))

    # --------------------------------------------------------------------------------- the state
    def fetch_state(self) -> Any:
        """The state when all that was launched is done: a record of STATE."""
        source = self.context.state
        cupy.cuda.runtime.memcpyAsync(
            self._fetched.ctypes.data, source, STATE.itemsize, _TO_HOST, self.stream.ptr
        )
        self.stream.synchronize()
        return self._fetched.view(STATE)[0].copy()

    def free_ring(self, taken: int) -> None:
        """Recorded events up to here may be overwritten by what is launched next."""
        self._tail[0] = taken
        place = self.context.state + TAIL_OFFSET
        cupy.cuda.runtime.memcpyAsync(
            place, self._tail.ctypes.data, _WORD, _TO_DEVICE, self.stream.ptr
        )

    def write_state(self, **values: float) -> None:
        """Set fields of the state, when nothing runs."""
        state = np.frombuffer(self._arrays["state"].get().tobytes(), STATE).copy()
        for name, value in values.items():
            state[name] = value
        self._arrays["state"].set(state.view(np.uint8))
        cupy.cuda.Device().synchronize()

    def recorded(
        self, start: int, stop: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.uint8]]:
        """Time, neuron and state of recorded events start .. stop - 1, while kernels run."""
        entries = self._copied(self.context.ring, _ENTRY_WORDS, start, stop)
        time, who = np.ascontiguousarray(entries.T)
        state = who & np.uint64(1)
        return time.view(np.float64), (who >> np.uint64(1)).astype(np.int64), state.astype(np.uint8)

    def changes(self, start: int, stop: int) -> NDArray[np.int64]:
        """int64[K]: by how much recorded events start .. stop - 1 change the energy, those of this
        rank's neurons; of others without meaning."""
        return self._copied(self.context.changes, 1, start, stop)[:, 0].view(np.int64)

    def _copied(self, ring: int, words: int, start: int, stop: int) -> NDArray[np.uint64]:
        """uint64[stop - start, words]: entries of a ring of so many words each."""
        capacity, size = self.context.ring_capacity, _WORD * words
        entries = np.empty((stop - start, words), np.uint64)
        done = 0
        while start + done < stop:
            place = (start + done) % capacity
            count = min(stop - start - done, capacity - place)
            pinned = cupy.cuda.alloc_pinned_memory(size * count)
            cupy.cuda.runtime.memcpyAsync(
                pinned.ptr, ring + size * place, size * count, _TO_HOST, self._copies.ptr
            )
            self._copies.synchronize()
            part = np.frombuffer(pinned, np.uint64, words * count)
            entries[done : done + count] = part.reshape(-1, words)
            done += count
        return entries

    def states(self, *, before: bool = False) -> NDArray[np.uint8]:
        """uint8[n] at the start of the window, or of the one before."""
        x: NDArray[np.uint8] = self._arrays["x"].get()[: self.weights.size]
        bit = StateBit.BEFORE if before else StateBit.START
        return (x & np.uint8(bit)).astype(bool).astype(np.uint8)

    def responses(self, current: int) -> NDArray[Any]:
        """z[n] at the start of the window."""
        z: NDArray[Any] = self._arrays[f"z{current}"].get()[: self.weights.size]
        return z
