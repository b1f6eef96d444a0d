"""Ranks that meet in memory: what each learns there, in whatever order they come."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from distsim.kernels.meeting import make_places, meet, room_of, tell, told, wait

ROUNDS = 3000


@njit(nogil=True)
def least_words(places: Any, words: Any, following: Any, numbers: Any, found: Any) -> None:
    """found: uint64[rounds, 3] (out): what each meeting says, for words: uint64[rounds]."""
    for k in range(words.size):
        least, number, second = meet(places, words[k], numbers[k], following[k])
        found[k, 0], found[k, 1], found[k, 2] = least, np.uint64(number), second


@njit(nogil=True)
def in_turn(places: Any, turns: int, log: Any) -> int:
    """Each rank writes down the turns that are its own, once the run has come to them; returns the
    sum of what all wrote."""
    _, ranks, rank = places
    total = seen = 0
    for turn in range(turns):
        spins = 0
        while told(places)[0] < turn:
            spins = wait(spins)
        made = told(places)[1]
        for k in range(seen, made):
            total += log[k]
        seen = made
        if turn % ranks == rank:
            log[turn] = turn * turn
            tell(places, turn + 1, turn + 1)
    while told(places)[0] < turns:
        wait(0)
    for k in range(seen, turns):
        total += log[k]
    return total


def of_threads(action: Callable[..., Any], given: list[tuple[Any, ...]]) -> None:
    threads = [threading.Thread(target=action, args=each) for each in given]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_all_learn_the_least_word_its_number_and_the_next() -> None:
    for ranks in (1, 2, 3):
        memory = np.zeros(room_of(ranks), np.uint64)
        random = np.random.default_rng(ranks)
        words, following = random.integers(2**62, 2**64, (2, ranks, ROUNDS), np.uint64)
        numbers = random.integers(-(2**62), 2**62, (ranks, ROUNDS))
        found = np.zeros((ranks, ROUNDS, 3), np.uint64)
        given = [
            (
                make_places(memory, ranks, rank),
                words[rank],
                following[rank],
                numbers[rank],
                found[rank],
            )
            for rank in range(ranks)
        ]
        of_threads(least_words, given)
        ordered = np.sort(words, axis=0)
        for rank in range(ranks):
            np.testing.assert_array_equal(found[rank, :, 0], ordered[0])
            its = np.take_along_axis(numbers, words.argmin(axis=0)[None], axis=0)[0]
            np.testing.assert_array_equal(found[rank, :, 1].view(np.int64), its)
            others = np.concatenate([ordered[1:], following]).min(axis=0)
            np.testing.assert_array_equal(found[rank, :, 2], others)


def test_what_was_written_before_it_was_told_is_seen_by_all() -> None:
    ranks, turns = 2, 5000
    memory, log = np.zeros(room_of(ranks), np.uint64), np.zeros(turns, np.int64)
    totals = [0] * ranks

    def act(rank: int) -> None:
        totals[rank] = in_turn(make_places(memory, ranks, rank), turns, log)

    of_threads(act, [(rank,) for rank in range(ranks)])
    assert totals == [sum(turn * turn for turn in range(turns))] * ranks
