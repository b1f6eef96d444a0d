"""What the kernels are compiled with, without CuPy: every number stands once, in Python.

What has to be in both languages, since both compute it, is two files of one name under `kernels`.
"""

from collections.abc import Iterable

from distsim.gpu import layout
from distsim.kernels import elementary, events, mcculloch_pitts, philox, record, window

_OF_KERNELS = (
    (elementary, ("LN2",)),
    (events, ("NEURON_BITS", "MPM_TICK_BITS", "LIMIT")),
    (mcculloch_pitts, ("BIN_SHIFT", "BIN_ORIGIN")),
    (philox, ("REPLICA_SHIFT",)),
    (record, ("GOLDEN", "MIX_FIRST", "MIX_SECOND")),
    (window, ("CAP_BITS", "START_BITS", "WIDEST", "NEVER")),
    (layout, ("THREADS", "TEAMS", "RACE_BLOCKS", "RELAX_BLOCKS", "SHARED")),
    (layout, ("HEADER", "PEERS", "MOST_RANKS", "MARKS", "STORE_TILE", "STORE_LINES")),
    (layout, ("SLOT_BYTES", "TICKET_BYTES", "STATE_BYTES", "CONTEXT_BYTES", "LIVE_BYTES")),
)
_PURPOSES = ("TICKET", "FIRST", "UPDATE", "VISIT", "WEIGHT", "SWEEP")  # of draws that kernels make
FLAGS = ("-std=c++17", "-fmad=false")  # contraction would change bits


def constants(**given: int) -> dict[str, int | float]:
    """All constants of the kernels by name; given: those of one chain, or others (in tests)."""
    found: dict[str, int | float] = {
        name: getattr(module, name) for module, names in _OF_KERNELS for name in names
    }
    found |= {f"PURPOSE_{name}": getattr(philox, name) for name in _PURPOSES}
    found |= {f"STAGE_{name.upper()}": number for number, name in enumerate(layout.STAGES)}
    found |= {f"HALT_{halt.name}": int(halt) for halt in layout.Halt}
    found |= {f"X_{bit.name}": int(bit) for bit in layout.StateBit}
    found["STAGES"] = len(layout.STAGES)
    found["SHARED_WORDS"] = layout.SHARED // 8  # of a block's shared memory, for events
    return found | given


def definitions(constants: dict[str, int | float]) -> Iterable[str]:
    """The compiler's options that define constants."""
    return [f"-D{name}={_literal(value)}" for name, value in constants.items()]


def _literal(value: int | float) -> str:
    """As C++ reads it: a double, an int, or a 64-bit word."""
    if isinstance(value, float):
        return repr(value)
    return str(int(value)) if abs(int(value)) < 2**31 else f"0x{int(value):X}ull"
