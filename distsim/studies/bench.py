"""Speed: the plain loop, race and relax side by side in one run, phase by phase.

The network is `gaussian` with g = 1, or `random` with k synapses a neuron. The unit of speed is a
transition of an MPM, a neuron update (a step, whether or not the state changes) of a BM. A chain
is measured through its contract alone, on any device. The plain loop is what a scientist writes who
knows NumPy (`plain_loops`) or, on GPUs, CuPy and NCCL (`bench_gpu`); of a sparse network, C.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distsim.chains.chain import Chain
from distsim.chains.opening import on_gpu, open_chain
from distsim.config.options import Config
from distsim.networks.drawn import Drawn
from distsim.networks.gaussian import Gaussian
from distsim.pictures.figure import (
    ACCENT,
    GREY,
    INK,
    SECOND,
    WIDTH,
    new_figure,
    plain,
    save,
    style,
)
from distsim.ranks.communicator import Communicator
from distsim.recording.recorder import Recorder
from distsim.studies import plain_loops
from distsim.weights.source import Network

if TYPE_CHECKING:
    from distsim.studies.bench_gpu import Meter

WARM_UP = 0.3  # of the time of a measurement
ENDLESS = 2**62  # transitions that no measurement makes


@dataclass(frozen=True)
class Setting:
    """What the rows of one network share.

    advances: of a chain between two looks at the clock; looks: the least of a warm-up. On a GPU an
    advance is many windows, and the first are fewer.
    """

    ranks: Communicator
    gpu: bool
    model: str
    neurons: int
    tau: float
    seconds: float
    window: int | None
    synapses: int | None

    @property
    def advances(self) -> int:
        return 1 if self.gpu else 8

    @property
    def looks(self) -> int:
        return 6 if self.gpu else 1

    @property
    def network(self) -> Network:
        symmetric = self.model == "bm"
        if self.synapses is None:
            return Gaussian(self.neurons, 1.0, 0, symmetric)
        return Drawn("random", self.neurons, self.synapses, 1.0, 0, symmetric=symmetric)

    def config(self, engine: str, exchange: str, bits: int) -> Config:
        return Config(
            model=self.model,
            network="gaussian" if self.synapses is None else "random",
            neurons=self.neurons,
            synapses=self.synapses,
            storage="dense" if self.synapses is None else "sparse",
            tau=self.tau,
            transitions=ENDLESS,
            engine=engine,
            exchange=exchange,
            weight_bits=bits,
            initial="random",
            device="gpu" if self.gpu else "cpu",
            window=self.window,
        )

    def row(self, **values: Any) -> dict[str, Any]:
        """A row's first columns, and these."""
        return {
            "model": self.model,
            "neurons": self.neurons,
            "synapses": self.synapses,
            "tau": self.tau,
            "device": "gpu" if self.gpu else "cpu",
            **values,
        }


def run(
    ranks: Communicator,
    models: Sequence[str],
    sizes: Sequence[int],
    weight_bits: Sequence[int],
    tau: float,
    seconds: float,
    device: str,
    window: int | None,
    *,
    synapses: int | None = None,
) -> list[dict[str, Any]]:
    """Measure every combination for `seconds` each; one row a measurement, alike on all ranks.

    Keys: model, neurons, synapses (None: all), weight_bits (None: float32), tau, engine (loop,
    race, relax, walk), exchange, device, ranks, rate (a second), ratio (to the loop; None on GPUs
    for a BM), and of an engine target and events (a window), replays and applies (a window),
    microseconds (a window, by phase), consistent (z == W x). On GPUs also limit (fraction of what
    reading the events' columns once would allow at the rate of a copy) and joules (a transition or
    update, over all GPUs).
    """
    gpu = on_gpu(device, ranks)
    if synapses is not None:
        plain_loops.check(sizes, synapses, gpu=gpu)
    # The loop on the CPU is the same for all weights, that on GPUs reads them as they are stored.
    groups = [[bits] for bits in weight_bits] if gpu else [list(weight_bits)]
    rows = []
    for model in models:
        for neurons in sizes:
            setting = Setting(ranks, gpu, model, neurons, tau, seconds, window, synapses)
            for group in groups:
                rows += _group(setting, group)
    return rows


def _group(setting: Setting, group: Sequence[int]) -> list[dict[str, Any]]:
    """A loop, where there is one, and the engines that are compared with it.

    The loop is shown first and runs last: a network that does not fit is refused by its chain.
    """
    engines = [
        _engine(setting, engine, exchange, bits)
        for bits in group
        for engine, exchange in _ways(setting)
    ]
    loop = _loop(setting, group[0])
    if loop is None:
        return [{**row, "ratio": None} for row in engines]
    return [{**row, "ratio": row["rate"] / loop["rate"]} for row in (loop, *engines)]


def _ways(setting: Setting) -> list[tuple[str, str]]:
    """The engines, and how their ranks may exchange."""
    if setting.gpu:
        from distsim.studies import bench_gpu

        return bench_gpu.ways(setting.ranks)
    if setting.synapses is not None:
        return [("walk" if setting.ranks.size == 1 else "relax", "auto")]
    walk = [("walk", "auto")] if setting.ranks.side_by_side() else []
    return [("race", "auto"), ("relax", "auto"), *walk]


def _loop(setting: Setting, bits: int) -> dict[str, Any] | None:
    """The plain loop's row; on the CPU it runs on the root while the others wait.

    There is none on GPUs for a BM.
    """
    ranks, seconds = setting.ranks, setting.seconds
    if not setting.gpu:
        rate, warm_up = 0.0, WARM_UP * seconds
        if ranks.rank == 0 and setting.synapses is not None:
            lasting = (setting.tau, seconds, warm_up)
            rate = plain_loops.sparse_rate(setting.network, setting.model, *lasting)
        elif ranks.rank == 0:
            loop = plain_loops.LOOPS[setting.model]
            rate = plain_loops.rate(setting.network, loop, setting.tau, seconds, warm_up)
        return setting.row(
            weight_bits=None, engine="loop", exchange=None, ranks=1, rate=ranks.largest(rate)
        )
    if setting.model == "bm":
        return None
    from distsim.studies import bench_gpu

    rate = bench_gpu.loop_rate(ranks, setting.network, bits, setting.tau, seconds)
    return setting.row(
        weight_bits=bits, engine="loop", exchange="nccl", ranks=ranks.size, rate=rate
    )


def _engine(setting: Setting, engine: str, exchange: str, bits: int) -> dict[str, Any]:
    """The row of one chain."""
    ranks = setting.ranks
    chain = open_chain(setting.network, setting.config(engine, exchange, bits), ranks)
    meter = _meter(setting)  # before anything runs on a GPU
    recorder = Recorder(ENDLESS, None, None)
    _advance(setting, chain, recorder, WARM_UP * setting.seconds, setting.looks)
    if meter is not None:
        meter.start()
    phases, before = dict(chain.timer.phases), _counts(chain, recorder)
    spent = _advance(setting, chain, recorder, setting.seconds, 1)
    after = _counts(chain, recorder)
    done, events, windows, replays, applies = (b - a for a, b in zip(before, after, strict=True))
    row = setting.row(
        weight_bits=bits,
        engine=engine,
        exchange=chain.exchange,
        ranks=ranks.size,
        rate=done / spent,
        target=chain.target,
        events=events / windows,
        replays=replays / windows,
        applies=applies / windows,
        microseconds={
            phase: 1e6 * (total - phases.get(phase, 0.0)) / windows
            for phase, total in chain.timer.phases.items()
        },
    )
    if meter is not None:
        row |= meter.stop(done, events / spent, setting.neurons, bits)
    row["consistent"] = chain.consistent(chain.final())
    chain.close()
    return row


def _meter(setting: Setting) -> Meter | None:
    """What a chain on GPUs is measured with besides the clock."""
    if not setting.gpu:
        return None
    from distsim.studies import bench_gpu

    return bench_gpu.Meter(setting.ranks)


def _advance(
    setting: Setting, chain: Chain, recorder: Recorder, seconds: float, looks: int
) -> float:
    """Advance a chain for so long and so many looks at the clock; the seconds that it took."""
    setting.ranks.barrier()
    begin = time.perf_counter()
    while True:
        for _ in range(setting.advances):
            chain.advance(recorder)
        looks -= 1
        spent = setting.ranks.largest(time.perf_counter() - begin)
        if looks <= 0 and spent >= seconds:
            return spent


def _counts(chain: Chain, recorder: Recorder) -> tuple[float, ...]:
    """What was done so far, in units of speed; events, windows, replays, applies."""
    done = recorder.transitions if chain.config.model == "mpm" else chain.now()
    return done, recorder.transitions, chain.windows, chain.replays, chain.applies


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


@style()
def picture(rows: Sequence[dict[str, Any]], path: str) -> None:
    """A bar for each rate, on logarithmic axes of each model: their units of speed differ.
    Raises InputError."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    groups = [[row for row in rows if row["model"] == model] for model in models]
    figure = new_figure(WIDTH, 0.6 + sum(0.7 + 0.2 * len(group) for group in groups))
    panels = figure.subplots(
        len(models), 1, squeeze=False, height_ratios=[2 + len(group) for group in groups]
    )[:, 0]
    for axes, model, group in zip(panels, models, groups, strict=True):
        _draw_rates(axes, model, group)
    panels[0].set_title(
        f"distsim bench, {rows[0]['device']}", loc="left", fontweight="bold", fontsize=9
    )
    save(figure, path)


def _draw_rates(axes: Any, model: str, rows: Sequence[dict[str, Any]]) -> None:
    plain(axes)
    names = [
        f"{row['neurons']:,} "
        + ("float32" if row["weight_bits"] is None else f"int{row['weight_bits']}")
        + f", {label(row)}"
        for row in rows
    ]
    colours = {"loop": GREY, "race": SECOND, "relax": ACCENT, "walk": INK}
    bars = axes.barh(
        range(len(rows)),
        [row["rate"] for row in rows],
        color=[colours[row["engine"]] for row in rows],
        height=0.7,
    )
    axes.bar_label(bars, [f"{row['rate']:,.0f}  {times(row)}" for row in rows], padding=3)
    axes.set_yticks(range(len(rows)), names)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.margins(x=0.3)
    unit = "transitions" if model == "mpm" else "updates"
    axes.set_xlabel(f"{model}: {unit} a second; x the plain loop")
