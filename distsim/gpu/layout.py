"""What host and kernels share: the structs of `kernels/layout.cuh`, without CuPy."""

import ctypes
from enum import IntFlag, auto

import numpy as np

THREADS = 512  # of a block
TEAMS = 2  # of them in `apply`: one loads while another checks
RACE_BLOCKS, RELAX_BLOCKS = 2, 1  # on a multiprocessor at once
SHARED = 65536  # bytes of a block's shared memory: events of a phase, or stretches of columns
STORE_TILE, STORE_LINES = 32, 8  # rows that `store_rows` turns over, and takes at a time
HEADER = 8  # words before a rank's log in an exchange
MARKS = 16  # of z of a neuron that fires, in a window: of 4096 events, more than most have
PEERS, MOST_RANKS = 8, 64  # of a peer exchange, of any exchange of `relax`

# What the next phase of a chain is, by its name in the report of where the time went.
STAGES = ("draw", "replay", "exchange", "order", "trim", "apply", "search", "step", "close")


class Halt(IntFlag):
    """Why a chain stands still until the host acts: a buffer too small, or one of the others."""

    SLOTS = auto()
    TICKETS = auto()
    EVENTS = auto()
    LOST_RANK = auto()


class StateBit(IntFlag):
    """Bits of a neuron's byte in `x`: see `layout.cuh`."""

    START = auto()
    ACTIVE = auto()
    END = auto()
    FIRED = auto()
    BEFORE = auto()


# The members of `State` and `Context`, all of 8 bytes: integers but for `:`. An array's members
# are numbered.
_STATE = """
    stage halted finished number exponent started width steps most cap high:f8 low:f8 count
    total parity current early last_pass cut commit record finishing now:u8 before:u8
    ordered:u8 heard tag ending:u8 made:u8 deeper cross top stop:u8 earliest:u8 new_slots
    new_tickets new_overflow digest:u8 last:f8 slots tickets overflow best:u8 recorded
    record_high:f8 record_low:f8 record_tick:f8 record_offset:f8 left_number left_exponent
    left_windows left_replays left_applies left_transitions left_digest:u8 left_high:f8
    left_low:f8 left_last:f8 windows replays applies transitions draws ring_head
    ring_tail need_slots need_tickets need_events turn goal epoch stamp
"""
_CONTEXT = """
    weights stride neurons first size ranks rank z0 z1 bound marks rest x slot_of levels slots
    slot_capacity tickets ticket_capacity heads links events0 events1 event_capacity out
    gathered log_capacity peer0 peer1 peer2 peer3 peer4 peer5 peer6 peer7 ring changes ring_capacity
    recording state live seed scale:f8 patience margin doubt target most per_neuron sequential
    limit timed until:f8
"""
_STATE_FIELDS = [f"{field}:i8".split(":")[:2] for field in _STATE.split()]
STATE = np.dtype([*((name, kind) for name, kind in _STATE_FIELDS), ("spent", "i8", len(STAGES))])
assert STATE.fields is not None
TAIL_OFFSET: int = STATE.fields["ring_tail"][1]  # bytes
REALS = frozenset(field.removesuffix(":f8") for field in _CONTEXT.split() if ":f8" in field)


class Context(ctypes.Structure):
    """`Context` of layout.cuh."""

    _fields_ = [
        (name, ctypes.c_double if name in REALS else ctypes.c_uint64)
        for name in (field.removesuffix(":f8") for field in _CONTEXT.split())
    ]


# Of `Slot`, `Ticket`, `Live`, which only kernels look into, and of the two above: kernels do not
# compile if these disagree.
SLOT_BYTES, TICKET_BYTES, LIVE_BYTES = 64, 40, 256
STATE_BYTES, CONTEXT_BYTES = STATE.itemsize, ctypes.sizeof(Context)
