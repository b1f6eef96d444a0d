"""The kernels on NVIDIA GPUs, compiled by NVRTC through CuPy, and how they are launched.

The `.cu` and `.cuh` files beside this one are the kernels; functions that `kernels/cpu.py` has too
go by the same names here. Weights live on the device as `Columns`, everything of a chain in
`Device`. CuPy keeps compiled kernels on disk; the sources' hash is part of their name there.
"""

import ctypes
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cupy
import numpy as np
from numba import njit
from numpy.typing import NDArray

from distsim.elementary import exponential, ln
from distsim.kernels.cpu import BIN_ORIGIN, BIN_SHIFT, BINS
from distsim.memory import stride

os.environ.setdefault("NCCL_NVLS_ENABLE", "0")  # NVLink multicast: not to be relied on

THREADS = 512
HEADER = 8
PEERS, MOST_RANKS = 8, 64  # of a peer exchange, of any exchange of `relax`
SHARED = 65536  # bytes of shared memory of a block: events of a phase, or stretches of columns
STAGES = ("draw", "replay", "exchange", "order", "trim", "apply", "search", "step", "close")
SLOTS, TICKETS, EVENTS, AT_REST, LOST_RANK = 1, 2, 4, 8, 16
SLOT_BYTES, TICKET_BYTES = 64, 40

_FOLDER = Path(__file__).parent
# The members of `State` and `Context` of chain.cuh, all of 8 bytes: integers but for `:`.
_STATE = """
    stage halted finished number exponent started width steps most cap high:f8 low:f8 count
    total parity current early last_pass cut commit record finishing now:u8 before:u8
    ordered:u8 heard tag ending:u8 made:u8 deeper cross top stop:u8 earliest:u8 new_slots
    new_tickets new_overflow digest:u8 last:f8 slots tickets overflow best:u8 recorded
    record_high:f8 record_low:f8 record_tick:f8 record_offset:f8 left_number left_exponent
    left_windows left_replays left_applies left_transitions left_digest:u8 left_high:f8
    left_low:f8 left_last:f8 windows replays applies transitions draws ring_head
    ring_tail need_slots need_tickets need_events octaves:f8 turn goal epoch stamp
"""
_FIELDS = [f"{field}:i8".split(":")[:2] for field in _STATE.split()]
_NAMES = [name for name, _ in _FIELDS]
STATE = np.dtype([*((name, kind) for name, kind in _FIELDS), ("spent", "i8", 9)])
_CONTEXT = """
    weights stride neurons first size ranks rank z0 z1 bound rest x slot_of levels slots
    slot_capacity tickets ticket_capacity heads links events0 events1 event_capacity out
    gathered log_capacity peer0 peer1 peer2 peer3 peer4 peer5 peer6 peer7 ring ring_capacity
    recording state live seed scale:f8 patience margin guard target sequential per_neuron
    cap_bits start_bits limit timed until:f8
"""


class _Context(ctypes.Structure):
    """`Context` of chain.cuh."""

    _fields_ = [
        (name.removesuffix(":f8"), ctypes.c_double if name.endswith(":f8") else ctypes.c_uint64)
        for name in _CONTEXT.split()
    ]


def missing() -> str | None:
    """Why there is no GPU to be had, or None."""
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"CUDA finds none ({error})"
    return None if count else "CUDA finds none"


def choose(local_rank: int) -> str:
    """Take the GPU of this rank of its host for this process; its name and UUID."""
    device = cupy.cuda.Device(local_rank % cupy.cuda.runtime.getDeviceCount())
    device.use()
    properties = cupy.cuda.runtime.getDeviceProperties(device.id)
    return f"{properties['name'].decode()} {bytes(b % 256 for b in properties['uuid']).hex()}"


def free_memory() -> int:
    """Bytes that can still be taken on this rank's GPU."""
    free: int = cupy.cuda.runtime.memGetInfo()[0]
    return free


def free_unused() -> None:
    """Return the memory that CuPy keeps for later."""
    cupy.get_default_memory_pool().free_all_blocks()


def compile_module(name: str, **constants: int) -> Any:
    """The kernels of one file with these -D constants. Raises RuntimeError with the log."""
    sources = b"".join(path.read_bytes() for path in sorted(_FOLDER.glob("*.cu*")))
    options = (
        "-std=c++17",
        "--fmad=false",  # contraction would change bits
        f"-I{_FOLDER}",
        f"-DSOURCES=0x{hashlib.sha256(sources).hexdigest()[:15]}",
        *(f"-D{key}={value}" for key, value in constants.items()),
    )
    module = cupy.RawModule(
        code=(_FOLDER / name).read_text(encoding="utf-8"), options=options, backend="nvrtc"
    )
    try:
        module.compile()
    except cupy.cuda.compiler.CompileException as error:
        raise RuntimeError(f"kernels/{name} does not compile:\n{error.get_message()}") from error
    return module


# -------------------------------------------------------------------------------- networks
class Columns:
    """A rank's weights on its GPU: int8/16/32[N, stride], column by column, n of stride used."""

    def __init__(self, neurons: int, n: int, bits: int) -> None:
        item = bits // 8
        self.bits = bits
        self.neurons, self.n = neurons, n
        self.stride = stride(n, bits)
        self.bytes = neurons * self.stride * item
        self._memory = cupy.cuda.Memory(self.bytes)  # of its own: no pool rounds it up
        self.pointer: int = self._memory.ptr
        cupy.cuda.runtime.memset(self.pointer, 0, self.bytes)
        self.module = compile_module("network.cu", WEIGHT_BITS=bits)

    def array(self) -> Any:
        """All columns as one array."""
        return cupy.ndarray(
            (self.neurons, self.stride),
            f"int{self.bits}",
            cupy.cuda.MemoryPointer(self._memory, 0),
        )

    def launch(self, name: str, grid: tuple[int, ...], block: tuple[int, ...], *given: Any) -> None:
        self.module.get_function(name)(grid, block, given)


def columns(neurons: int, n: int, bits: int) -> Columns:
    """Room for a rank's weights."""
    return Columns(neurons, n, bits)


def fill_gaussian(
    seed: np.uint64,
    first: int,
    stop: int,
    scale: float,
    unit: float,
    symmetric: bool,
    weights: Columns,
) -> None:
    """The Gaussian network's rows first .. stop - 1."""
    if stop > first:
        weights.launch(
            "fill_gaussian", (132 * 16,), (256,),
            np.uint64(seed), np.int64(first), np.float64(scale), np.float64(unit),
            np.int32(symmetric), np.uint64(weights.pointer), np.int64(weights.neurons),
            np.int64(stop - first), np.int64(weights.stride),
        )  # fmt: skip


def store_rows(rows: NDArray[Any], start: int, weights: Columns) -> None:
    """Put a tile of rows, integers[count, N] on the host, at local neuron `start`."""
    count = rows.shape[0]
    pinned = cupy.cuda.alloc_pinned_memory(rows.nbytes)
    tile: NDArray[Any] = np.frombuffer(pinned, rows.dtype, rows.size).reshape(rows.shape)
    tile[:] = rows
    there = cupy.asarray(tile)
    weights.launch(
        "store_rows", (-(-weights.neurons // 32), -(-count // 32)), (32, 8),
        there, np.uint64(weights.pointer), np.int64(count), np.int64(weights.neurons),
        np.int64(start), np.int64(weights.stride),
    )  # fmt: skip
    cupy.cuda.get_current_stream().synchronize()


def _by_rows(weights: Columns) -> tuple[int, int]:
    return -(-weights.n // 128), min(64, weights.neurons)


def magnitudes(weights: Columns, absolute: NDArray[np.int64]) -> float:
    """absolute: int64[n] = sum over j of |weights[j, i]| (out). Returns the sum of squares."""
    if weights.n == 0:
        return 0.0
    sums, squares = cupy.zeros(weights.n, cupy.uint64), cupy.zeros(weights.n)
    weights.launch(
        "magnitudes", _by_rows(weights), (128,), np.uint64(weights.pointer), sums, squares,
        np.int64(weights.neurons), np.int64(weights.n), np.int64(weights.stride),
    )  # fmt: skip
    absolute[:] = sums.get().astype(np.int64)
    return float(squares.sum())


def multiply(weights: Columns, states: NDArray[np.uint8], z: NDArray[Any]) -> None:
    """z[n] += W x for the global states, uint8[N]; both on the host."""
    if weights.n == 0:
        return
    sums = cupy.zeros(weights.n, cupy.uint64)
    weights.launch(
        "multiply", _by_rows(weights), (128,), np.uint64(weights.pointer), cupy.asarray(states),
        sums, np.int64(weights.neurons), np.int64(weights.n), np.int64(weights.stride),
    )  # fmt: skip
    z += sums.get().view(np.int64).astype(z.dtype)


def weights_digest(weights: Columns, first: int) -> int:
    """sum over i, j of W_ij a_i b_j modulo 2^64, of the neurons from `first` on."""
    total = cupy.zeros(1, cupy.uint64)
    if weights.n:
        weights.launch(
            "weights_digest", _by_rows(weights), (128,), np.uint64(weights.pointer), total,
            np.int64(first), np.int64(weights.neurons), np.int64(weights.n),
            np.int64(weights.stride),
        )  # fmt: skip
    return int(total[0])


def logarithms(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """ln of each x, as the tickets use it; for the tests."""
    given = cupy.asarray(x)
    found = cupy.empty_like(given)
    function = compile_module("network.cu", WEIGHT_BITS=8).get_function("logarithms")
    function((-(-x.size // 256),), (256,), (given, found, np.int64(x.size)))
    values: NDArray[np.float64] = found.get()
    return values


def level_logarithms() -> NDArray[np.float64]:
    """float64[BINS]: ln of the least level of ticket 0, by the bin of its high word."""
    table = np.full(BINS, -np.inf)
    for k in range(1, BINS):
        edge = np.array([(k + BIN_ORIGIN) << BIN_SHIFT], np.int64).view(np.float64)[0]
        table[k] = _lowest_level(edge * 2.0**-32)
    return table


@njit(cache=True)
def _lowest_level(edge):
    return ln(exponential(edge))


# ------------------------------------------------------------------------------------ a chain
class Device:
    """What one rank's GPU holds of a chain, and the launches that move it on.

    z: int32 or int64[n] at the start; x: uint8[n]; rest: float64[n]; slots: about how many
    neurons of this rank will hold tickets.
    """

    def __init__(
        self, weights: Columns, z: NDArray[Any], x: NDArray[np.uint8], rest: NDArray[np.float64],
        *, boltzmann: bool, race: bool, neurons: int, first: int, ranks: int, rank: int, slots: int,
    ) -> None:  # fmt: skip
        self.weights = weights
        self.ranks, self.rank = ranks, rank
        self.race = race
        n = weights.n
        multiprocessors = cupy.cuda.Device().attributes["MultiProcessorCount"]
        column_bytes = next((b for b in (16, 8) if n * weights.bits // 8 >= 8192 * b), 4)
        span = 32 * column_bytes * 8 // weights.bits
        wanted = -(-n // THREADS) if race else max(8, -(-n // (2 * span)))
        self.blocks = max(1, min((2 if race else 1) * multiprocessors, wanted))
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
        self.context = _Context(
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
        self.keep("levels", cupy.asarray(level_logarithms()))
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
            real = f"{name}:f8" in _CONTEXT.split()
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
        place = self.context.state + 8 * _NAMES.index("ring_tail")
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
        x: NDArray[np.uint8] = self._kept["x"].get()[: self.weights.n]
        return (x & (16 if before else 1)).astype(bool).astype(np.uint8)

    def responses(self, current: int) -> NDArray[Any]:
        """z[n] at the start of the window."""
        z: NDArray[Any] = self._kept[f"z{current}"].get()[: self.weights.n]
        return z
