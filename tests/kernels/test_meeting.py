"""Ranks that meet in memory: what each learns there, in whatever order they come."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numba import njit

from distsim.kernels.meeting import (
    GIVEN,
    give,
    given,
    least,
    make_places,
    meet,
    room_of,
    tell,
    told,
    wait,
)

ROUNDS = 2000


@njit(nogil=True)
def tour(places: Any, words: Any, found: Any) -> None:
    """words: uint64[rounds, GIVEN], what this rank gives; found: uint64[rounds, ranks, GIVEN], what
    it is given (out)."""
    for k in range(len(words)):
        for j in range(GIVEN):
            give(places, j, words[k, j])
        meet(places)
        for rank in range(places.ranks):
            for j in range(GIVEN):
                found[k, rank, j] = given(places, rank, j)


@njit(nogil=True)
def least_words(places: Any, words: Any, found: Any) -> None:
    """found: uint64[rounds] (out): what each meeting says, for words: uint64[rounds]."""
    for k in range(words.size):
        found[k] = least(places, words[k])


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


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_all_learn_what_all_give(ranks: int) -> None:
    memory = np.zeros(room_of(ranks), np.uint64)
    places = [make_places(memory, ranks, rank) for rank in range(ranks)]
    words = np.random.default_rng(ranks).integers(2**64, size=(ranks, ROUNDS, GIVEN), dtype="u8")
    found = np.zeros((ranks, ROUNDS, ranks, GIVEN), np.uint64)
    of_threads(tour, [(places[rank], words[rank], found[rank]) for rank in range(ranks)])
    for rank in range(ranks):
        np.testing.assert_array_equal(found[rank], words.swapaxes(0, 1))
    lowest = np.zeros((ranks, ROUNDS), np.uint64)
    of_threads(least_words, [(places[r], words[r, :, 0], lowest[r]) for r in range(ranks)])
    for rank in range(ranks):
        np.testing.assert_array_equal(lowest[rank], words[:, :, 0].min(axis=0))


def test_what_was_written_before_it_was_told_is_seen_by_all() -> None:
    ranks, turns = 2, 5000
    memory, log = np.zeros(room_of(ranks), np.uint64), np.zeros(turns, np.int64)
    totals = [0] * ranks

    def act(rank: int) -> None:
        totals[rank] = in_turn(make_places(memory, ranks, rank), turns, log)

    of_threads(act, [(rank,) for rank in range(ranks)])
    assert totals == [sum(turn * turn for turn in range(turns))] * ranks
