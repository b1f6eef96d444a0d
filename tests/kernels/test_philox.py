"""The generator gives the known answers of Random123."""

import numpy as np
import pytest

from distsim.kernels.philox import UPDATE, VISIT, draw, philox

# tests/kat_vectors of Random123: counter, key, words of philox4x32-10.
KNOWN = [
    (4 * "00000000 ", 2 * "00000000 ", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    (4 * "ffffffff ", 2 * "ffffffff ", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (
        "243f6a88 85a308d3 13198a2e 03707344",  # digits of pi
        "a4093822 299f31d0",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_known_answers(counter: str, key: str, expected: str) -> None:
    low, high = words(key)
    given = [np.uint64(word) for word in words(counter)]
    assert list(philox(np.uint64(high << 32 | low), *given)) == words(expected)


def test_a_draw_is_named_by_all_its_counters() -> None:
    names = [
        (1, 2, 3, 4, UPDATE),
        (2, 2, 3, 4, UPDATE),
        (1 + 2**32, 2, 3, 4, UPDATE),
        (1, 3, 3, 4, UPDATE),
        (1, 2, 4, 4, UPDATE),
        (1, 2, 3 + 2**32, 4, UPDATE),
        (1, 2, 3, 5, UPDATE),
        (1, 2, 3, 4, VISIT),
    ]
    drawn = {tuple(draw(np.uint64(seed), *rest)) for seed, *rest in names}
    assert len(drawn) == len(names)


def test_counters_of_a_draw() -> None:
    given = [np.uint64(word) for word in (7, 5, 2, 9 << 8 | UPDATE)]
    assert draw(np.uint64(3), 7, 2 * 2**32 + 5, 9, UPDATE) == philox(np.uint64(3), *given)
