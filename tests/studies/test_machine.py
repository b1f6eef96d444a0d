"""What a network would need, beside what is here and what is allowed."""

import json

import pytest

from distsim.cli.launch import Launch
from distsim.cli.main import main
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


def test_a_network_is_described_but_not_made(capsys: pytest.CaptureFixture[str]) -> None:
    """32 GB of it would not fit here."""
    options = ["--network", "random", "--neurons", "4000000", "--synapses", "1000", "--ranks", "8"]
    assert main(["info", *options, "--weight-bits", "8", "--json"], Launch()) == 0
    text = capsys.readouterr().out
    assert "network  random: 4,000,000 neurons, 4,000,000,000 synapses, 0.025% of all pairs" in text
    found = json.loads(text.splitlines()[-1])
    assert found["network"] == {"name": "random", "neurons": 4_000_000, "synapses": 4_000_000_000}
    (needs,) = found["needs"]
    assert needs["sparse"] == 500_000_000 * 5 + 16 * 4_000_000
    assert needs["here"] < needs["here_sparse"]
    assert main(["info", "--network", "celegans", "--json"], Launch()) == 0
    text = capsys.readouterr().out
    assert "network  celegans: 281 neurons, a matrix of all weights" in text
    assert json.loads(text.splitlines()[-1])["needs"][0]["sparse"] is None


def test_options_of_a_network_are_refused_without_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--synapses", "5"], Launch()) == 2
    assert "--synapses: 5 given without a network; allowed: with --network" in (
        capsys.readouterr().err
    )
