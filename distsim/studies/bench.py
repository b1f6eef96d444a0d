"""Speed: the plain loop, race and relax side by side in one run, phase by phase.

The network is `gaussian` with g = 1. The unit of speed is a transition of an MPM, a neuron update
(a step, whether or not the state changes) of a BM. The plain loop is what a scientist writes who
knows NumPy: float32, one event or update at a time, a column of W contiguous in memory. On GPUs
(`bench_gpu`) it is the same with CuPy and NCCL.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.chains.opening import on_gpu, open_chain
from distsim.config.options import Config
from distsim.networks.gaussian import Gaussian
from distsim.pictures.figure import pyplot as load_pyplot
from distsim.pictures.figure import save
from distsim.ranks.communicator import Communicator
from distsim.recording.recorder import Recorder

WARM_UP = 0.3  # of the time of a measurement
BATCH = 8  # windows between two looks at the clock


def run(
    ranks: Communicator,
    models: Sequence[str],
    sizes: Sequence[int],
    weight_bits: Sequence[int],
    tau: float,
    seconds: float,
    device: str,
    window: int | None,
) -> list[dict[str, Any]]:
    """Measure every combination for `seconds` each; one row a measurement, alike on all ranks.

    Keys: model, neurons, weight_bits (None: float32), tau, engine (loop, race, relax), exchange,
    device, ranks, rate (a second), ratio (to the loop; None on GPUs for a BM), and of an engine
    target and events (a window), replays and applies (a window), microseconds (a window, by phase),
    consistent (z == W x). On GPUs also limit (fraction of what reading the events' columns once
    would allow at the rate of a copy) and joules (a transition or update, over all GPUs).
    """
    gpu = on_gpu(device, ranks)
    rows = []
    for model in models:
        for neurons in sizes:
            if gpu:
                from distsim.studies import bench_gpu

                for bits in weight_bits:
                    rows += bench_gpu.rows(ranks, model, neurons, bits, tau, seconds, window)
                continue
            loop = _loop(ranks, model, neurons, tau, seconds)
            rows.append(loop)
            for bits in weight_bits:
                for engine in ("race", "relax"):
                    row = _engine(ranks, model, neurons, bits, tau, engine, seconds, window)
                    rows.append({**row, "ratio": row["rate"] / loop["rate"]})
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as text."""
    lines = [
        f"{'model':6}{'neurons':>9}  {'weights':8}{'engine':12}{'ranks':>5}{'a second':>13}"
        f"{'the loop':>10}{'events':>8}{'replays':>8}{'applies':>8}{'limit':>6}{'uJ':>7}"
        "  microseconds a window"
    ]
    for row in rows:
        bits = "float32" if row["weight_bits"] is None else f"int{row['weight_bits']}"
        line = (
            f"{row['model']:6}{row['neurons']:>9,}  {bits:8}{label(row):12}{row['ranks']:>5}"
            f"{row['rate']:>13,.0f}{times(row):>10}"
        )
        if row["engine"] != "loop":
            limit = f"{row['limit']:.2f}" if "limit" in row else ""
            joules = f"{1e6 * row['joules']:.1f}" if row.get("joules") else ""
            line += f"{row['events']:>8.1f}{row['replays']:>8.2f}{row['applies']:>8.2f}"
            line += f"{limit:>6}{joules:>7}  "
            line += ", ".join(f"{name} {spent:.1f}" for name, spent in row["microseconds"].items())
        lines.append(line)
    return "\n".join(lines)


def times(row: dict[str, Any]) -> str:
    """How many times the loop, where there is one."""
    return f"{row['ratio']:,.1f} x" if row["ratio"] else ""


def label(row: dict[str, Any]) -> str:
    """The engine of a row and how its ranks exchange."""
    return f"{row['engine']} {row['exchange']}" if row["exchange"] else str(row["engine"])


def picture(rows: Sequence[dict[str, Any]], path: str) -> None:
    """A bar for each rate, on a logarithmic axis, as a PNG file (matplotlib, the extra `plot`)."""
    pyplot = load_pyplot()
    names = [
        f"{row['model']} {row['neurons']:,} "
        + ("float32" if row["weight_bits"] is None else f"int{row['weight_bits']}")
        + f", {label(row)}"
        for row in rows
    ]
    figure, axes = pyplot.subplots(figsize=(8, 1 + 0.25 * len(rows)), layout="constrained")
    colours = {"loop": "0.6", "race": "tab:blue", "relax": "tab:orange"}
    bars = axes.barh(
        range(len(rows)),
        [row["rate"] for row in rows],
        color=[colours[row["engine"]] for row in rows],
    )
    axes.bar_label(bars, [f"{row['rate']:,.0f}  {times(row)}" for row in rows], padding=3)
    axes.set_yticks(range(len(rows)), names)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.margins(x=0.3)
    axes.set_xlabel("transitions (mpm) or updates (bm) a second; x the plain loop")
    axes.set_title(f"distsim bench, {rows[0]['device']}")
    save(figure, path)


def _engine(
    ranks: Communicator,
    model: str,
    neurons: int,
    bits: int,
    tau: float,
    engine: str,
    seconds: float,
    window: int | None,
) -> dict[str, Any]:
    config = Config(
        model=model,
        network="gaussian",
        neurons=neurons,
        tau=tau,
        transitions=2**62,
        engine=engine,
        weight_bits=bits,
        initial="random",
        device="cpu",
        window=window,
    )
    chain = open_chain(Gaussian(neurons, 1.0, 0, model == "bm"), config, ranks)
    recorder = Recorder(config.transitions, None, None)

    def batch() -> float:
        for _ in range(BATCH):
            chain.advance(recorder)
        return float(recorder.transitions) if model == "mpm" else chain.now()

    _measure(ranks, batch, WARM_UP * seconds)
    before = (recorder.transitions, chain.windows, chain.replays, chain.applies)
    chain.timer.phases.clear()
    done, spent = _measure(ranks, batch, seconds)
    after = (recorder.transitions, chain.windows, chain.replays, chain.applies)
    events, windows, replays, applies = (b - a for a, b in zip(before, after, strict=True))
    return {
        "model": model,
        "neurons": neurons,
        "weight_bits": bits,
        "tau": tau,
        "engine": engine,
        "exchange": chain.exchange,
        "device": "cpu",
        "ranks": ranks.size,
        "rate": done / spent,
        "microseconds": {k: 1e6 * v / windows for k, v in chain.timer.phases.items()},
        "target": chain.target,
        "events": events / windows,
        "replays": replays / windows,
        "applies": applies / windows,
        "consistent": chain.consistent(chain.final()),
    }


def _measure(
    ranks: Communicator, batch: Callable[[], float], seconds: float
) -> tuple[float, float]:
    """Repeat `batch`, which returns a running count: (how much it grew, seconds), on all ranks."""
    ranks.barrier()
    start, begin = batch(), time.perf_counter()
    while True:
        done = batch() - start
        spent = ranks.largest(time.perf_counter() - begin)
        if spent >= seconds:
            return done, spent


def _loop(
    ranks: Communicator, model: str, neurons: int, tau: float, seconds: float
) -> dict[str, Any]:
    """The plain loop, on the root while the others wait."""
    rate = 0.0
    if ranks.rank == 0:
        network = Gaussian(neurons, 1.0, 0, model == "bm")
        columns = np.empty((neurons, neurons), np.float32)
        for i in range(0, neurons, 64):
            columns[:, i : i + 64] = network.rows(i, min(i + 64, neurons)).T
        loop = mpm_loop if model == "mpm" else bm_loop
        generator = np.random.default_rng(0)
        x = (generator.random(neurons) < 0.5).astype(np.float32)
        loop(columns, x, tau, WARM_UP * seconds, generator)
        rate = loop(columns, x, tau, seconds, generator)
    return {
        "model": model,
        "neurons": neurons,
        "weight_bits": None,
        "tau": tau,
        "engine": "loop",
        "exchange": None,
        "device": "cpu",
        "ranks": 1,
        "rate": ranks.largest(rate),
        "ratio": 1.0,
    }


def mpm_loop(
    columns: NDArray[np.float32],
    x: NDArray[np.float32],
    tau: float,
    seconds: float,
    generator: np.random.Generator,
) -> float:
    """Transitions a second of the direct method (Gillespie 1977); columns[j] = W[:, j]."""
    z = x @ columns
    sign = 1 - 2 * x
    rates = np.empty_like(z)
    sums = np.empty_like(z)
    scale = np.float32(1 / (2 * tau))
    model_time, transitions, begin = 0.0, 0, time.perf_counter()
    while transitions % 256 or time.perf_counter() - begin < seconds:
        np.multiply(sign, z, out=rates)
        rates *= scale
        np.exp(rates, out=rates)
        np.cumsum(rates, out=sums)
        total = sums[-1]
        model_time += generator.standard_exponential() / total
        i = min(int(sums.searchsorted(generator.random() * total)), len(x) - 1)
        if sign[i] > 0:
            z += columns[i]
        else:
            z -= columns[i]
        sign[i] = -sign[i]
        transitions += 1
    x[:] = (1 - sign) / 2
    return transitions / (time.perf_counter() - begin)


def bm_loop(
    columns: NDArray[np.float32],
    x: NDArray[np.float32],
    tau: float,
    seconds: float,
    generator: np.random.Generator,
) -> float:
    """Neuron updates a second of a sequential Gibbs scan; columns[j] = W[:, j]."""
    z = x @ columns
    state = [value > 0 for value in x]
    updates, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        uniforms = generator.random(len(x)).tolist()
        for i, u in enumerate(uniforms):
            new = u * (1 + math.exp(-z[i] / tau)) < 1
            if new != state[i]:
                state[i] = new
                if new:
                    z += columns[i]
                else:
                    z -= columns[i]
        updates += len(x)
    x[:] = state
    return updates / (time.perf_counter() - begin)
