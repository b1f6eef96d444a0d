"""Launches and buffers of a chain on a GPU, from sizes alone."""

import pytest

from distsim.gpu.capacity import Room, active_neurons, enlarged, first_room
from distsim.gpu.layout import Halt
from distsim.gpu.shape import Shape, shape


@pytest.mark.parametrize(
    ("n", "bits", "race", "active", "wanted"),
    [
        (1, 8, False, 24, Shape(8, 4, 16, 128)),
        (10_000, 8, False, 800, Shape(40, 4, 16, 32)),
        (65_536, 8, False, 500, Shape(128, 8, 8, 128)),
        (131_072, 8, False, 1000, Shape(128, 16, 4, 64)),
        (10**6, 16, False, 1536, Shape(132, 16, 4, 32)),
        (0, 32, True, 24, Shape(1, 4, 16, 32)),
        (10_000, 8, True, 24, Shape(20, 4, 16, 128)),
        (10**6, 8, True, 24, Shape(264, 16, 4, 128)),
    ],
)
def test_launches_fill_a_gpu_of_132_multiprocessors(
    n: int, bits: int, race: bool, active: int, wanted: Shape
) -> None:
    assert shape(n, bits, race=race, multiprocessors=132, active=active) == wanted


def test_rooms_hold_what_the_rule_aims_at() -> None:
    assert first_room(100, 1, race=False, target=64, most=256) == Room(101, 6656, 320)
    assert first_room(100, 3, race=False, target=64, most=256) == Room(101, 4952, 107)
    # A race has no tickets, and holds the longest window: a BM's has as many steps as neurons.
    assert first_room(9999, 1, race=True, target=64, most=9999) == Room(10_000, 0, 10_063)
    assert active_neurons(1024, 1, bounded=True) == 1536
    assert active_neurons(1024, 3, bounded=False) == 854


def test_only_what_is_too_small_is_enlarged() -> None:
    room, need = Room(10, 100, 1000), Room(11, 500, 5000)
    assert enlarged(room, Halt.SLOTS, need) == Room(75, 100, 1000)
    assert enlarged(room, Halt.TICKETS | Halt.EVENTS, need) == Room(10, 564, 5064)
    assert enlarged(room, Halt.EVENTS, Room(0, 0, 1001)) == Room(10, 100, 2000)
