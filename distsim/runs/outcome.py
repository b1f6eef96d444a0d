"""What one of several chains was and did, passed on to the root, and what all are together."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.chains.chain import Seen
from distsim.config.options import Config
from distsim.files.events import EVENTS
from distsim.ranks.communicator import Communicator
from distsim.recording import digest, scalars
from distsim.recording.recorder import Recorder
from distsim.recording.sinks import Collected
from distsim.runs.results import Summary
from distsim.weights.source import Network

EVENTS_OF, ROWS_OF = "events/", "observables/"  # what names of arrays begin with


@dataclass(frozen=True)
class Outcome:
    """A chain at its end (`over`), or where it was stopped.

    total: of its digest; before, since: transitions and time with which this attempt began it;
    samples, scalars, observed: of its observables, the last their digest. arrays, on the root of
    the ranks that made it: initial, final: uint8[N]; events/time ...: columns; observables/...
    """

    replica: int
    total: int
    transitions: int
    time: float
    before: int
    since: float
    windows: int
    replays: int
    applies: int
    consistent: bool
    over: bool
    samples: int | None
    scalars: dict[str, float | None]
    observed: int | None
    arrays: dict[str, NDArray[Any]]

    def told(self) -> dict[str, Any]:
        """For programs."""
        found: dict[str, Any] = {
            "replica": self.replica,
            "digest": digest.text(self.total),
            "transitions": self.transitions,
            "time": self.time,
            **{name: value for name, value in self.scalars.items() if value is not None},
        }
        if self.observed is not None:
            found["observables_digest"] = digest.text(self.observed)
        return found


def of_chain(
    chain: Seen,
    recorder: Recorder,
    initial: NDArray[np.uint8],
    arrays: Mapping[str, NDArray[Any]],
    begun: tuple[int, float],
    *,
    over: bool,
) -> Outcome:
    """On all ranks of the chain. arrays: what it has `given`; begun: transitions and time with
    which this attempt began it; over: it is at its end."""
    final = chain.final().copy()
    end = recorder.last if recorder.until is None else recorder.until
    observation = recorder.observation
    arrays = {"initial": initial, "final": final, **arrays}
    if observation is not None:
        totals = observation.totals()
        arrays |= {f"{ROWS_OF}{name}": value for name, value in totals.items()}
    return Outcome(
        replica=chain.config.replica,
        total=(recorder.total + digest.of_state(final)) % 2**64,
        transitions=recorder.transitions,
        time=end if over else chain.now(),
        before=begun[0],
        since=begun[1],
        windows=chain.windows,
        replays=chain.replays,
        applies=chain.applies,
        consistent=chain.consistent(final),
        over=over,
        samples=None if observation is None else observation.samples,
        scalars={} if observation is None else observation.scalars()._asdict(),
        observed=None if observation is None else int(observation.digest(), 16),
        arrays=arrays,
    )


def given(recorder: Recorder, kept: Collected) -> dict[str, NDArray[Any]]:
    """The events and rows of observables that a chain has given so far, on its root."""
    found: dict[str, NDArray[Any]] = {}
    if recorder.sink is not None:
        found = {
            f"{EVENTS_OF}{name}": column
            for name, column in zip(EVENTS, kept.columns(), strict=True)
        }
    if recorder.observation is not None:
        rows = kept.rows()
        for name, (row, kind) in recorder.observation.plan.datasets.items():
            found[f"{ROWS_OF}{name}"] = rows.get(name, np.empty((0, *row), kind))
    return found


def gathered(
    ranks: Communicator, mine: Mapping[int, Outcome], chains: int, *, root: bool
) -> list[Outcome]:
    """Those of all ranks, by replica; root: whether this rank passes its own on. Arrays are on the
    world's root alone."""
    found = []
    for replica in range(chains):
        part = _packed(mine[replica]) if root and replica in mine else b""
        data = ranks.gather(np.frombuffer(part, np.uint8)).tobytes()
        if data:
            found.append(_unpacked(data, arrays=ranks.rank == 0))
    return found


def _packed(outcome: Outcome) -> bytes:
    """A line of JSON, and the bytes of the arrays."""
    shapes = {name: (one.dtype.str, one.shape) for name, one in outcome.arrays.items()}
    line = json.dumps({**vars(outcome), "arrays": shapes}).encode()
    return b"".join([line, b"\n", *(one.tobytes() for one in outcome.arrays.values())])


def _unpacked(data: bytes, *, arrays: bool) -> Outcome:
    line, _, rest = data.partition(b"\n")
    fields = json.loads(line)
    shapes, found, start = fields.pop("arrays"), {}, 0
    for name, (kind, shape) in shapes.items() if arrays else ():
        count = math.prod(shape)
        found[name] = np.frombuffer(rest, kind, count, start).reshape(shape)
        start += found[name].nbytes
    return Outcome(**fields, arrays=found)


def of_each(outcomes: Sequence[Outcome]) -> dict[str, NDArray[Any]]:
    """What the output file says of each chain, by the names of its datasets."""
    found = {
        "digest": np.array([digest.text(one.total) for one in outcomes], "S16"),
        "transitions": np.array([one.transitions for one in outcomes]),
        "time": np.array([one.time for one in outcomes]),
    }
    observed = [digest.text(one.observed) for one in outcomes if one.observed is not None]
    return found | ({"observables_digest": np.array(observed, "S16")} if observed else {})


def summary(
    chain: Seen,
    ranks: Communicator,
    network: Network,
    outcomes: Sequence[Outcome],
    config: Config,
    *,
    seconds: float,
    stopped: str | None,
) -> Summary:
    """Of all chains; chain: the last one of this rank, for what they share."""
    time = max((one.time for one in outcomes), default=0.0)
    steps = None
    rate = None
    if config.model == "bm":
        steps = int(time)
        rate = sum(int(one.time) - int(one.since) for one in outcomes) / seconds
    observed = {one.replica: one.observed for one in outcomes if one.observed is not None}
    found = Summary(
        model=config.model,
        network=network.name,
        neurons=network.neurons,
        connections=chain.shard.connections,
        unconnected=chain.shard.unconnected,
        named=network.names is not None,
        tau=config.temper or config.tau,
        seed=config.seed,
        engine=chain.engine,
        device=chain.place,
        ranks=ranks.size,
        transitions=sum(one.transitions for one in outcomes),
        time=time,
        steps=steps,
        seconds=seconds,
        transitions_per_second=sum(one.transitions - one.before for one in outcomes) / seconds,
        steps_per_second=rate,
        windows=sum(one.windows for one in outcomes),
        replays=sum(one.replays for one in outcomes),
        applies=sum(one.applies for one in outcomes),
        consistent=all(one.consistent for one in outcomes),
        digest=digest.text(digest.of_chains({one.replica: one.total for one in outcomes})),
        storage=chain.shard.storage.name,
        bytes_of_weights=chain.shard.storage.bytes,
        phases=chain.timer.phases,
        stopped=stopped,
        checkpoint=config.checkpoint,
        populations=len(set(network.population or ())),
        notes=list(network.notes),
        conditions=chain.conditions.counts(),
        chains=config.chains,
        each=[one.told() for one in outcomes],
    )
    if not observed:
        return found
    return replace(
        found,
        samples=max(one.samples or 0 for one in outcomes),
        observables_digest=digest.text(digest.of_chains(observed)),
        **_over_chains(outcomes),
    )


def _over_chains(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Means over the chains; of the best energy the lowest, of the best cut the largest."""
    found: dict[str, Any] = {}
    for name in scalars.NAMES:
        values = [value for one in outcomes if (value := one.scalars.get(name)) is not None]
        if values:
            best = {"best_energy": min, "best_cut": max}.get(name)
            found[name] = math.fsum(values) / len(values) if best is None else best(values)
    return found
