"""What host and kernels share: the structs of `kernels/chain.cuh`, without CuPy."""

import ctypes

import numpy as np

HEADER = 8
SLOT_BYTES, TICKET_BYTES = 64, 40
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
STATE_NAMES = [name for name, _ in _FIELDS]
STATE = np.dtype([*((name, kind) for name, kind in _FIELDS), ("spent", "i8", 9)])
CONTEXT = """
    weights stride neurons first size ranks rank z0 z1 bound rest x slot_of levels slots
    slot_capacity tickets ticket_capacity heads links events0 events1 event_capacity out
    gathered log_capacity peer0 peer1 peer2 peer3 peer4 peer5 peer6 peer7 ring ring_capacity
    recording state live seed scale:f8 patience margin guard target sequential per_neuron
    cap_bits start_bits limit timed until:f8
"""


class Context(ctypes.Structure):
    """`Context` of chain.cuh."""

    _fields_ = [
        (name.removesuffix(":f8"), ctypes.c_double if name.endswith(":f8") else ctypes.c_uint64)
        for name in CONTEXT.split()
    ]
