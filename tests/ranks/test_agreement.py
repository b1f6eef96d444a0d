"""Errors alike on every rank, and decisions after the same window."""

import errno
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from thread_ranks import on_ranks

from distsim.errors import InputError, OutputError
from distsim.ranks import agreement
from distsim.ranks.agreement import Decision, Decisions, Wish, agreed
from distsim.ranks.communicator import Communicator, Serial


def raising(error: Exception) -> Callable[[], Any]:
    def action() -> Any:
        raise error

    return action


def test_a_result_is_passed_on() -> None:
    assert agreed(Serial(), lambda: 3) == 3


@pytest.mark.parametrize("kind", [InputError, OutputError])
def test_an_error_of_the_kind_is_raised(kind: type[InputError | OutputError]) -> None:
    with pytest.raises(kind, match="no"):
        agreed(Serial(), raising(kind("no")), kind)


@pytest.mark.parametrize("error", [InputError("no"), OSError(errno.ENOSPC, "full"), KeyError("k")])
def test_others_are_bugs_of_this_rank(error: Exception) -> None:
    with pytest.raises(type(error)):
        agreed(Serial(), raising(error), OutputError)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_too_many_files_are_a_limit_that_is_named(number: int) -> None:
    with pytest.raises(InputError, match=r"rank 0: Too many files; allowed: .*ulimit -n"):
        agreed(Serial(), raising(OSError(number, "Too many files")))


def test_too_little_memory_is_said_with_what_was_wanted() -> None:
    with pytest.raises(InputError, match=r"too little on rank 0 \(Unable to allocate .*EiB"):
        agreed(Serial(), lambda: np.empty(1 << 60, np.int8))
    with pytest.raises(InputError, match=r"too little on rank 0 \(of this process\); allowed:"):
        agreed(Serial(), raising(MemoryError()))


class Loudest(Serial):
    """This rank, and one with this wish and signal."""

    def __init__(self, wish: Wish, number: int) -> None:
        self.other = (wish << 7 | number) << 24 | 1

    def maximum(self, number: int) -> int:
        return max(number, self.other << agreement._BITS)


def test_the_strongest_wish_is_everybodys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "_EVERY", 0.0)
    other = Decisions(Loudest(Wish.STOP, 15))
    assert other.after_window(lambda: (Wish.SAVE, 0)) == Decision(Wish.STOP, rank=1, signal=15)
    mine = Decisions(Loudest(Wish.SAVE, 0))
    assert mine.after_window(lambda: (Wish.FAIL, 0)) == Decision(Wish.FAIL)
    assert Decisions(Serial()).after_window(lambda: (Wish.GO_ON, 0)) == Decision(Wish.GO_ON)


def test_groups_decide_alike_after_different_numbers_of_windows() -> None:
    """Each counts its own, and those that have none left only take part."""

    def decided(ranks: Communicator) -> list[Decision]:
        decisions, found = Decisions(ranks, Serial()), []
        for k in range(5):
            while ranks.rank < 2 and not decisions.due():
                pass
            wish = Wish.STOP if (ranks.rank, k) == (1, 3) else Wish.GO_ON
            found.append(decisions.decide(lambda wish=wish: (wish, 15)))  # type: ignore[misc]
        return found

    go_on = Decision(Wish.GO_ON)
    expected = [go_on, go_on, go_on, Decision(Wish.STOP, rank=1, signal=15), go_on]
    assert on_ranks(3, decided) == [expected] * 3
