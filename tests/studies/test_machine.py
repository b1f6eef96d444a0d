"""What a network would need, beside what is here and what is allowed."""

import json

import pytest

from distsim.limits import MOST_NEURONS
from distsim.studies import machine
from distsim.weights import capacity, fitting


def test_what_is_beyond_the_memory_here_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    free = 3 * capacity.bytes_on_host(100_000, 16, 12)
    monkeypatch.setattr(fitting, "available", lambda: free)
    rows = machine.needs(100_000, 16, [1, 4, 12, 100])
    assert [row["here"] for row in rows] == [0, 1, 3, 16]
    found = {"memory": 2 * free, "available": free, "gpus": [], "limit": MOST_NEURONS}
    ends = [line.split()[-1] for line in machine.table(found, rows).splitlines()[-4:]]
    assert ends == ["none", "1", "3", "16"]
    assert [row["beyond"] for row in rows] == 4 * [False]


def test_what_is_beyond_any_network_is_said() -> None:
    found = {"memory": 1 << 40, "available": 1 << 40, "gpus": [], "limit": MOST_NEURONS}
    for neurons, beyond in ((MOST_NEURONS, False), (MOST_NEURONS + 1, True)):
        rows = machine.needs(neurons, 8, [64])
        text = machine.table(found, rows)
        assert json.dumps(rows)
        assert ("beyond the limit: no network has more than 4,194,304 neurons" in text) == beyond
