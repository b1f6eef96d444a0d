"""Energy and activity over time, and their autocorrelation.

The integrated time of a series of D samples is, in samples,

    tau = 1 + 2 sum_{k = 1 .. M} rho(k),   rho(k) = c(k) / c(0),   c(k) = sum_d y_d y_{d + k} / D,

y the series less its mean, with the smallest window M that is 5 tau or more (A. Sokal, Monte Carlo
methods in statistical mechanics: foundations and new algorithms, 1997, section 3, in units in which
independent samples have 1). D / tau samples are as good as independent ones. It takes some 50 tau
samples to be worth its name.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.errors import InputError
from distsim.pictures.counting import Course, count
from distsim.pictures.figure import ACCENT, GREY, INK, PALE, SECOND, key, plain
from distsim.pictures.raster import INTERVALS, steps
from distsim.pictures.run import Run, Selection

POINTS = 2_000  # of a line; of more samples the mean, lowest and highest of so many parts
FEWEST = 16  # samples of an autocorrelation
SERIES = {"energy": (ACCENT, "-"), "activity": (SECOND, "--")}
WINDOW, ENOUGH = 5, 50  # integrated times: Sokal's window; a series that is long enough


def lacks_energy(run: Run) -> str | None:
    """Why no energy of this run can be drawn."""
    return _lacks(run, "energy")


def lacks_activity(run: Run) -> str | None:
    """Why no activity of this run can be drawn."""
    return None if run.transitions and run.end > 0 else _lacks(run, "activity")


def lacks_series(run: Run) -> str | None:
    """Why no autocorrelation of this run can be drawn."""
    if not any(name in run.observables for name in SERIES):
        return "no energy and no activity observed; allowed: with --observe energy,activity"
    found = run.observed_at.size
    return None if found >= FEWEST else f"{found} samples observed; allowed: {FEWEST} or more"


def _lacks(run: Run, name: str) -> str | None:
    if name not in run.observables:
        return f"no {name} observed; allowed: of a run with --observe {name}"
    found = run.observed_at.size
    return None if found >= 2 else f"{found} samples of {name} observed; allowed: 2 or more"


def energy(run: Run, selection: Selection, panels: list[Any]) -> str:
    """E at each sample; the cut of a MaxCut on the right; the lowest of all events, if observed."""
    axes, window = panels[0], selection.window(run)
    part = run.samples(window)
    values = run.values("energy", part)
    plain(axes)
    line(axes, run.observed_at[part], values, ACCENT)
    axes.set_xlim(window)
    axes.set_xlabel(run.clock)
    axes.set_ylabel("energy")
    shown = f"{values.size:,} samples, mean {values.mean():.6g}"
    if "cut" in run.observables:
        axes.spines["right"].set_visible(True)
        axes.secondary_yaxis("right", functions=(_cut, _energy)).set_ylabel("cut")
    if "best/energy" in run.observables:
        lowest = float(run.observables["best/energy"])
        axes.axhline(lowest, color=GREY, linewidth=0.8, linestyle="--")
        shown += f"; dashed: the lowest at any event, {lowest:.6g}"
    return shown


def _cut(energy: Any) -> Any:
    return -energy / 2


def _energy(cut: Any) -> Any:
    return -2 * cut


def activity(run: Run, selection: Selection, panels: list[Any]) -> str:
    """The share of neurons in state 1: as observed; of chosen ones, or where it was not observed,
    from the events."""
    axes, window = panels[0], selection.window(run)
    if "activity" in run.observables and selection.neurons is None:
        part = run.samples(window)
        values, times = run.values("mean_activity", part), run.observed_at[part]
        plain(axes)
        line(axes, times, run.values("activity", part), GREY, label="at the sample", width=0.6)
        line(axes, times, values, SECOND, label="mean since the sample before")
        key(axes)
        axes.set_xlim(window)
        shown = f"{values.size:,} samples, mean {values.mean():.3g}"
    elif run.transitions:
        edges, chosen = np.linspace(*window, INTERVALS + 1), selection.chosen(run)
        course = Course(run, edges, chosen)
        count(run, window[1], course)
        steps(axes, course.mean(), edges, SECOND)
        shown = f"{chosen.size:,} neurons, mean {course.mean().mean():.3g}"
    else:
        raise InputError(
            f"{run.name}: neurons given for the activity; allowed: of a run with events"
        )
    axes.set_ylim(bottom=0)
    axes.set_xlabel(run.clock)
    axes.set_ylabel("share in state 1" if run.bm else "share refractory")
    return shown


def autocorrelation(run: Run, selection: Selection, panels: list[Any]) -> str:
    """rho of energy and activity over the lag, up to the window of the sum or further."""
    axes, window = panels[0], selection.window(run)
    part = run.samples(window)
    every, shown, furthest = float(run.config["every"]), [], 1
    plain(axes)
    axes.axhline(0, color=INK, linewidth=0.6)
    for name in (name for name in SERIES if name in run.observables):
        rho = correlations(run.values(name, part))
        if rho is None:
            shown.append(f"{name} does not change")
            continue
        tau, until = integrated(rho)
        short = f", fewer than {ENOUGH}" if rho.size < ENOUGH * tau else ""
        shown.append(f"{name} has {rho.size / tau:,.0f} integrated times{short}")
        furthest = max(furthest, min(rho.size // 2, 2 * until))
        colour, style = SERIES[name]
        axes.plot(
            np.arange(rho.size) * every, rho, style, color=colour, linewidth=1.2,
            label=f"{name}, integrated time {tau * every:.3g}",
        )  # fmt: skip
        axes.axvline(until * every, color=colour, linewidth=0.8, linestyle=":")
    if not axes.get_lines()[1:]:
        raise InputError(f"{run.name}: {'; '.join(shown)}; allowed: a series that does")
    axes.set_xlim(0, furthest * every)
    axes.set_xlabel(f"lag, {run.clock}")
    axes.set_ylabel("autocorrelation")
    key(axes)
    return "; ".join((*shown, "dotted: their windows"))


def correlations(values: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """rho(k) for k = 0 .. D - 1, by FFT; None of a series that does not change."""
    centred = values - values.mean()
    size = 1 << (2 * values.size - 1).bit_length()
    power = np.abs(np.fft.rfft(centred, size)) ** 2
    found = np.fft.irfft(power, size)[: values.size]
    if np.ptp(values) == 0:
        return None
    rho: NDArray[np.float64] = found / found[0]
    return rho


def integrated(rho: NDArray[np.float64]) -> tuple[float, int]:
    """The integrated time in samples, and the window of its sum."""
    taus = 2 * np.cumsum(rho) - 1
    enough = np.arange(rho.size) >= WINDOW * taus
    until = int(np.argmax(enough)) if enough.any() else rho.size - 1
    return float(taus[until]), until


def line(
    axes: Any,
    times: NDArray[np.float64],
    values: NDArray[np.float64],
    colour: str,
    *,
    label: str | None = None,
    width: float = 1.2,
) -> None:
    """A series; of a long one the mean of parts of equal size, over a band from their lowest to
    their highest."""
    if times.size > 2 * POINTS:
        starts = np.arange(POINTS) * times.size // POINTS
        sizes = np.diff([*starts, times.size])
        times = np.add.reduceat(times, starts) / sizes
        low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
        axes.fill_between(times, low, high, color=PALE, linewidth=0)
        values = np.add.reduceat(values, starts) / sizes
    axes.plot(times, values, color=colour, linewidth=width, label=label)
