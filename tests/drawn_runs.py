"""Runs for pictures, made by hand: few neurons, all kinds of observables, no simulation."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from distsim.config.options import Config
from distsim.files.events import Events
from distsim.pictures.run import Block, Run, of_events

NEURONS, TRANSITIONS, END, EVERY = 12, 3_000, 60.0, 0.5
SAMPLES = 120
POPULATION = ("PN", "Kenyon", "Kenyon", "MBON") * 3
W = np.random.default_rng(5).normal(0, 1, (NEURONS, NEURONS)) * (np.arange(NEURONS) % 3 > 0)


def events(model: str = "mpm", **changed: Any) -> Events:
    """A run of 60 units of time, or of 60 sweeps of 12 steps; neuron 7 never changes."""
    rng = np.random.default_rng(2)
    initial = (np.arange(NEURONS) % 4 == 1).astype(np.uint8)
    likely = np.where(np.arange(NEURONS) == 7, 0, np.arange(1, NEURONS + 1))
    neuron = rng.choice(NEURONS, TRANSITIONS, p=likely / likely.sum())
    if model == "mpm":
        time = np.sort(rng.uniform(0, END, TRANSITIONS))
    else:  # steps, some of them on the edges of sweeps
        time = np.sort(rng.choice(np.arange(1.0, END * NEURONS + 1), 600, replace=False))
        neuron = neuron[:600]
    state, x = np.empty(time.size, np.uint8), initial.copy()
    for k, i in enumerate(neuron):
        x[i] ^= 1
        state[k] = x[i]
    config = Config(
        model=model, network="gaussian", neurons=NEURONS, every=EVERY, observe="energy",
        **({"time": END} if model == "mpm" else {"sweeps": int(END)}),
    ).asdict()  # fmt: skip
    found: dict[str, Any] = {
        "time": time, "neuron": neuron, "state": state, "initial": initial, "final": x,
        "config": config, "digest": "00", "version": "1",
    }  # fmt: skip
    return Events(**(found | changed))


def states(found: Events, times: NDArray[Any]) -> NDArray[np.uint8]:
    """After all events up to each time, uint8[D, N]."""
    changed = np.zeros((found.time.size + 1, NEURONS), np.int64)
    changed[np.arange(found.time.size) + 1, found.neuron] = 1
    counts = np.cumsum(changed, axis=0)[np.searchsorted(found.time, times, side="right")]
    return ((found.initial + counts) % 2).astype(np.uint8)


def observables(found: Events) -> dict[str, NDArray[Any]]:
    """What such a run would have observed (an mpm), but for energies, which are made up."""
    times = np.arange(1, SAMPLES + 1) * EVERY
    x = states(found, times)
    ups = found.state == 1
    rates = [
        np.bincount(found.neuron[ups & (found.time > t - EVERY) & (found.time <= t)],
                    minlength=NEURONS) / EVERY
        for t in times
    ]  # fmt: skip
    energy = np.random.default_rng(3).normal(-50, 5, SAMPLES)
    return {
        "time": times,
        "energy": energy,
        "cut": -energy / 2,
        "activity": x.mean(axis=1),
        "mean_activity": x.mean(axis=1) * 0.9,
        "rates": np.array(rates),
        "samples": np.packbits(x, axis=1),
        "moments": x.astype(np.int64).T @ x,
        "moments_of": np.arange(NEURONS),
        "moments_count": np.array(SAMPLES),
        "best/energy": np.array(-77.5),
    }


class Given:
    """W as a network."""

    neurons = NEURONS

    def rows(self, start: int, stop: int) -> NDArray[np.float64]:
        return W[start:stop]


def run(model: str = "mpm", **changed: Any) -> Run:
    """The run with all that a picture could be drawn of."""
    found = events(model, population=POPULATION, **changed)
    if model == "mpm" and "observables" not in changed:
        found.observables.update(observables(found))
    return of_events(found, "run.h5", Given)


def in_blocks(whole: Run, size: int) -> list[Block]:
    """All events of a run, `size` at a time."""
    parts = [Block(*block) for block in whole.blocks()]
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    starts = range(0, whole.transitions, size)
    return [Block(*(column[k : k + size] for column in columns)) for k in starts]


def write(path: Path, found: Events) -> str:
    """Its output file, as the format says; a partial one without digest."""
    with h5py.File(path, "w") as file:
        for name in ("time", "neuron", "state"):
            file.create_dataset(f"events/{name}", data=getattr(found, name), maxshape=(None,))
        for name, values in found.observables.items():
            rows = values.ndim and "moments" not in name and "/" not in name
            shape = (None, *values.shape[1:]) if rows else None
            file.create_dataset(f"observables/{name}", data=values, maxshape=shape)
        file["state/initial"], file["state/final"] = found.initial, found.final
        for name in ("names", "population"):
            if getattr(found, name) is not None:
                file[f"network/{name}"] = [*getattr(found, name)]
        file.attrs["config"] = Config(**found.config).json()
        file.attrs["version"] = found.version
        if not found.partial:
            file.attrs["digest"] = found.digest
    return str(path)
