"""Where the ranks of one host meet: words in memory that all of them see, without a message.

Each rank has lines of its own, to which no other writes. What a rank wrote before it stores a
number is there for who loads that number. It has no twin: GPUs have NCCL.
"""

import platform
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from distsim.kernels.memory import LINE, UNCOUNTED

_intrinsic: Any = intrinsic  # its calls lack the first argument

_WORDS = LINE // 8  # of a cache line
# Lines of a rank: one for every other meeting, of which word 0 says which it is for; its own, which
# counts its meetings.
_LINES, _OWN = 3, 2
GIVEN = _WORDS - 1  # words that a rank may give
_BRIEF = 1 << 8  # looks without a pause, which takes longer on some processors than a word does
_SPINS = 1 << 12  # looks, some hundred microseconds, after which a rank that waits yields its core
# By the machine's name: LLVM's intrinsic for it, and its operands.
_X86: tuple[str, tuple[int, ...]] = ("llvm.x86.sse2.pause", ())
_ARM: tuple[str, tuple[int, ...]] = ("llvm.aarch64.hint", (1,))
_PAUSES = {"x86_64": _X86, "amd64": _X86, "aarch64": _ARM, "arm64": _ARM}


class Places(NamedTuple):
    """words: uint64[room_of(ranks)], from the start of a cache line, zeros at first, the same
    memory on all ranks; ranks: how many; rank: which is this one."""

    words: Any
    ranks: int
    rank: int


def room_of(ranks: int) -> int:
    """How many words so many ranks need to meet."""
    return (ranks * _LINES + 1) * _WORDS


def make_places(memory: Any, ranks: int, rank: int) -> Places:
    """memory: uint64[room_of(ranks)] or more."""
    return Places(memory[: room_of(ranks)], ranks, rank)


@_intrinsic
def _load(typing, words, k):
    """words[k], and with it all that was written before it was stored."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load_atomic(builder.gep(data, [arguments[1]]), "acquire", 8)

    return types.uint64(words, types.int64), generate


@_intrinsic
def _store(typing, words, k, value):
    """words[k] = value, after all that was written before."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        builder.store_atomic(arguments[2], builder.gep(data, [arguments[1]]), "release", 8)
        return context.get_dummy_value()

    return types.void(words, types.int64, types.uint64), generate


def _function(builder: Any, kind: Any, name: str) -> Any:
    """LLVM's, or one of the C library."""
    module = builder.module
    return module.globals.get(name) or ir.Function(module, kind, name)


@_intrinsic
def _pause(typing):
    """Let the core's other thread, or the memory, come first for a moment."""

    def generate(context, builder, signature, arguments):
        name, numbers = _PAUSES.get(platform.machine().lower(), ("", ()))
        if name:
            words = [ir.IntType(32)(number) for number in numbers]
            kind = ir.FunctionType(ir.VoidType(), [word.type for word in words])
            builder.call(_function(builder, kind, name), words)
        return context.get_dummy_value()

    return types.void(), generate


@_intrinsic
def _yield(typing):
    """Leave the core to another process."""

    def generate(context, builder, signature, arguments):
        kind = ir.FunctionType(ir.IntType(32), [])
        builder.call(_function(builder, kind, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), generate


@njit(**UNCOUNTED)
def wait(spins):
    """For a moment, after so many others; how many there are then."""
    if spins >= _SPINS:
        _yield()
    elif spins >= _BRIEF:
        _pause()
    return spins + 1


@njit(inline="always")
def _line(places, rank, meeting):
    """Where a rank's line for a meeting begins."""
    return (rank * _LINES + np.int64(meeting & np.uint64(1))) * _WORDS


@njit(inline="always")
def _meetings(places):
    """Where the number of this rank's meetings is."""
    return (places.rank * _LINES + _OWN) * _WORDS


@njit(inline="always")
def give(places, k, word):
    """Word k, a uint64, of those that this rank gives at the next meeting."""
    words = places.words
    line = _line(places, places.rank, words[_meetings(places)] + np.uint64(1))
    words[line + 1 + k] = word


@njit(inline="always")
def given(places, rank, k):
    """Word k of those that a rank gave at the last meeting, until the next one."""
    words = places.words
    return words[_line(places, rank, words[_meetings(places)]) + 1 + k]


@njit(**UNCOUNTED)
def meet(places):
    """Wait until all ranks are here, each with what it gives."""
    words, ranks, rank = places
    own = _meetings(places)
    meeting = words[own] + np.uint64(1)
    words[own] = meeting
    _store(words, _line(places, rank, meeting), meeting)
    for other in range(ranks):
        line = _line(places, other, meeting)
        spins = 0
        while _load(words, line) < meeting:
            spins = wait(spins)


@njit(**UNCOUNTED)
def least(places, word):
    """Meet: the least of all ranks' words."""
    give(places, 0, word)
    meet(places)
    for rank in range(places.ranks):
        word = min(word, given(places, rank, 0))
    return word


@njit(**UNCOUNTED)
def tell(places, so_far, events):
    """Show all ranks how far the run has come, and how many events it has: only the one whose turn
    it is may tell."""
    words, ranks, _ = places
    _store(words, ranks * _LINES * _WORDS + 1, np.uint64(events))
    _store(words, ranks * _LINES * _WORDS, np.uint64(so_far))


@njit(**UNCOUNTED)
def told(places):
    """How far the run has come, and how many events it has: at least those till then."""
    words, ranks, _ = places
    so_far = _load(words, ranks * _LINES * _WORDS)
    return np.int64(so_far), np.int64(_load(words, ranks * _LINES * _WORDS + 1))
