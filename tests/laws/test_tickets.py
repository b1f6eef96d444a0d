"""The arrays of a window's tickets grow, and keep what they hold."""

import numpy as np

from distsim.laws.tickets import Tickets


def test_growing_keeps_what_is_held() -> None:
    tickets = Tickets(3)
    tickets.fill(lambda held, room: (64, 64, True))
    tickets.drawn.tickets["key"] = tickets.drawn.slots["neuron"] = np.arange(64)
    answers = iter([(64, 64, False), (64, 64, True)])
    assert tickets.fill(lambda held, room: next(answers)) == (64, 64, True)
    assert {len(array) for array in tickets.room} == {128}
    np.testing.assert_array_equal(tickets.drawn.tickets["key"], np.arange(64))
    np.testing.assert_array_equal(tickets.drawn.slots["neuron"], np.arange(64))
