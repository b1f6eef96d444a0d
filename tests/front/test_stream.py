"""`stream`: all parts together are a run."""

import signal
from typing import Any

import numpy as np
import pytest

from distsim import Part, simulate, stream
from distsim.chains.cpu import HostChain
from distsim.front.simulate import alone

W = np.random.default_rng(3).normal(0, 0.5, (24, 24))
OPTIONS: dict[str, Any] = {
    "tau": 2.0, "time": 30.0, "observe": "activity,samples,occupation,moments", "every": 0.5,
}  # fmt: skip


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How chains were ended."""
    ends: list[str] = []
    monkeypatch.setattr(HostChain, "close", lambda _: ends.append("closed"))
    monkeypatch.setattr(HostChain, "abandon", lambda _: ends.append("abandoned"))
    return ends


def test_parts_together_are_the_run(closed: list[str]) -> None:
    wanted = simulate(W, **OPTIONS)
    parts = list(stream(W, **OPTIONS, block=100))
    assert len(parts) > 5
    for name in ("time", "neuron", "state"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(joined, getattr(wanted, name))
    for name, values in parts[0].observables.items():
        joined = np.concatenate([part.observables[name] for part in parts])
        np.testing.assert_array_equal(joined, wanted.observables[name], name)
        assert joined.shape[1:] == values.shape[1:]
    assert all(part.time.size >= 100 for part in parts[:-1])
    assert all(part.summary is None and part.final is None for part in parts[:-1])
    assert np.cumsum([part.time.size for part in parts]).tolist() == [
        part.transitions for part in parts
    ]
    assert sorted(part.now for part in parts) == [part.now for part in parts]
    assert [part.fraction for part in parts] == [part.now / 30.0 for part in parts]
    last = parts[-1]
    assert last.summary is not None
    assert last.final is not None
    assert (last.summary.digest, last.summary.observables_digest) == (
        wanted.digest,
        wanted.observables_digest,
    )
    np.testing.assert_array_equal(last.final, wanted.final)
    np.testing.assert_array_equal(last.observables["moments"], wanted.moments)
    assert "100%" in repr(last)
    assert closed == ["closed"] * 2


def test_parts_without_events_have_the_samples() -> None:
    parts = list(stream(W, **OPTIONS, events=False, block=100))
    assert len(parts) > 5
    assert not any(part.time.size for part in parts)
    assert sum(len(part.observables["time"]) for part in parts) == 60


def test_a_break_ends_the_run(closed: list[str]) -> None:
    for part in stream(W, **OPTIONS, block=100):
        assert isinstance(part, Part)
        break
    del part
    assert closed == ["closed"]
    parts = stream(W, **OPTIONS, block=100)
    next(parts)
    parts.close()
    assert closed == ["closed"] * 2
    assert list(parts) == []


def test_ctrl_c_ends_the_run_with_an_interrupt(
    closed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    advance = HostChain.advance

    def press(chain: HostChain, recorder: Any) -> None:
        advance(chain, recorder)
        if chain.windows == 5:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(HostChain, "advance", press)
    with pytest.raises(KeyboardInterrupt):
        list(stream(W, **OPTIONS))
    with pytest.raises(KeyboardInterrupt):
        alone(W, **OPTIONS)
    assert closed == ["abandoned"] * 2
