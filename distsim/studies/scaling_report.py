"""What scaling measurements show: a table and a picture, predictions marked as such."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from distsim.pictures.figure import (
    ACCENT,
    GREY,
    GROUPS,
    INK,
    MARKERS,
    PALE,
    SECOND,
    WIDTH,
    new_figure,
    plain,
    save,
    style,
)
from distsim.studies.scaling_series import COLLECTIVE, Model, Series, Speed

PHASES = {  # from what is calculated to what is waited for
    "open": PALE,
    "draw": GREY,
    "replay": GROUPS[4],
    "apply": SECOND,
    "deepen": GROUPS[5],
    "record": GROUPS[2],
    "commit": INK,
    COLLECTIVE: ACCENT,
}


def as_json(found: Sequence[Series]) -> dict[str, Any]:
    """All series with their speeds, models and predictions; a speed is a point of a series here."""
    written = [asdict(series) for series in found]
    for one in written:
        one["points"] = one.pop("speeds")
        if one["model"] is not None:
            one["model"]["points"] = one["model"].pop("fitted")
    return {"series": written}


def table(found: Sequence[Series]) -> str:
    """A block a series, with a prediction's word where a measurement has its phases; the models."""
    models = dict.fromkeys(_model_text(series) for series in found)
    return "\n\n".join([*map(_block, found), *models])


def _block(series: Series) -> str:
    neurons = f"{series.neurons:,} neurons"
    if series.kind == "weak":
        neurons = f"weights a rank of {neurons} on {series.speeds[0].ranks}"
    rows = [["ranks", "nodes", "neurons", "transitions/s", "range", "speed-up", "efficiency"]]
    rows[0] += ["model", "collective"]
    rows += [_row(speed) for speed in (*series.speeds, *series.predictions)]
    notes = ["the other phases", *(_phases(speed) for speed in series.speeds)]
    notes += ["PREDICTION of the model"] * len(series.predictions)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"{series.kind} scaling, {series.engine}, {neurons} ({_setup(series)})"]
    for row, note in zip(rows, notes, strict=True):
        lines.append("  " + "  ".join(map(str.rjust, row, widths)) + "  " + note)
    return "\n".join(lines)


def _setup(series: Series) -> str:
    return _named(series.options)


def _named(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in options.items())


def _differing(series: Series, found: Sequence[Series]) -> str:
    """Its options that not all series share, for a label; nothing if they share all."""
    own = {
        name: value
        for name, value in series.options.items()
        if any(other.options.get(name) != value for other in found)
    }
    return f", {_named(own)}" if own else ""


def _row(speed: Speed) -> list[str]:
    share = speed.shares.get(COLLECTIVE, 0.0)
    return [
        f"{speed.ranks:,}",
        f"{speed.nodes:,}",
        f"{speed.neurons:,}",
        f"{speed.rate:,.0f}",
        f"{100 * (speed.high - speed.low) / speed.rate:.0f}%" if speed.repeats > 1 else "-",
        f"{speed.speed_up:.2f}",
        f"{100 * speed.efficiency:.0f}%",
        "-" if speed.modelled is None else f"{speed.modelled:,.0f}",
        f"{100 * share:.0f}%" if speed.shares else "-",
    ]


def _phases(speed: Speed) -> str:
    """The phases but for the collectives, largest first; the small ones are left out."""
    shares = sorted(speed.shares.items(), key=lambda item: -item[1])
    return ", ".join(
        f"{name} {100 * share:.0f}%"
        for name, share in shares
        if share >= 0.05 and name != COLLECTIVE
    )


def _model_text(series: Series) -> str:
    """The model of all series of an engine, what it rests on, and what it does not know."""
    title = f"model of {series.engine} ({_setup(series)})"
    model = series.model
    if model is None:
        return f"{title}: none; it needs 4 measurements of different neurons or ranks"
    lines = [
        title,
        f"  {equation(model)}",
        f"  fitted to {model.fitted} measurements, off by {100 * model.error:.0f}% (rms)",
    ]
    if any(speed.nodes > model.nodes for speed in series.predictions):
        lines.append(
            f"  measured on {model.nodes} node(s): predictions for more nodes take what "
            "connects them to be as fast as what was measured"
        )
    return "\n".join(lines)


def equation(model: Model) -> str:
    """The fitted equation, in microseconds and bytes a second."""
    volume = f"bytes / {1e-9 / model.per_byte:,.3g} GB/s" if model.per_byte > 0 else "0 x bytes"
    a, b, c = (f"{1e6 * value:.3g}" for value in (model.a, model.b, model.c))
    return f"window = {a} us + ({b} + {c} log2 ranks) us x rounds + {volume}"


@style()
def picture(found: Sequence[Series], output: str) -> None:
    """Strong scaling as speed-up over ranks, weak scaling as efficiency, and where the time goes.
    Raises InputError."""
    kinds = [kind for kind in ("strong", "weak") if any(one.kind == kind for one in found)]
    bars = max(sum(len(s.speeds) for s in found if s.kind == kind) for kind in kinds)
    heights = (3.2, 0.2 * bars + 0.8)
    figure = new_figure(max(4.6, 0.8 * WIDTH * len(kinds)), sum(heights))
    axes = figure.subplots(2, len(kinds), squeeze=False, height_ratios=heights)
    for column, kind in enumerate(kinds):
        mine = [series for series in found if series.kind == kind]
        _draw_series(axes[0][column], kind, mine)
        _draw_phases(axes[1][column], mine)
    for one in axes.flat:
        plain(one)
    save(figure, output)


def _draw_series(axes: Any, kind: str, found: Sequence[Series]) -> None:
    least = min(series.speeds[0].ranks for series in found)
    most = max(speed.ranks for s in found for speed in (*s.speeds, *s.predictions))
    ideal = [1, most / least] if kind == "strong" else [100, 100]
    axes.plot([least, most], ideal, color=PALE, linewidth=3, label="ideal", zorder=1)
    for number, series in enumerate(found):
        color = GROUPS[number % len(GROUPS)]
        beyond = [series.speeds[-1], *series.predictions]
        label = f"{series.engine}, {series.neurons:,} neurons"
        if kind == "weak":
            label += f" on {series.speeds[0].ranks}"
        label += _differing(series, found)
        for speeds, line, face in ((beyond, "--", "white"), (series.speeds, "-", color)):
            axes.plot(
                [speed.ranks for speed in speeds],
                [
                    speed.speed_up if kind == "strong" else 100 * speed.efficiency
                    for speed in speeds
                ],
                line,
                marker=MARKERS[number % len(MARKERS)],
                markersize=4,
                color=color,
                markerfacecolor=face,
                linewidth=1.2,
                label=label if line == "-" else None,
            )
    if any(series.predictions for series in found):
        axes.plot([], [], "--", marker="o", color=INK, markerfacecolor="white", label="prediction")
    axes.set_xscale("log", base=2)
    ticks = [2**k for k in range(math.ceil(math.log2(least)), math.floor(math.log2(most)) + 1)]
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    if kind == "strong":
        axes.set_yscale("log", base=2)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    else:
        axes.set_ylim(0, max(105.0, 1.05 * axes.get_ylim()[1]))
    axes.set_xlabel("ranks")
    axes.set_ylabel("speed-up" if kind == "strong" else "efficiency, %")
    axes.set_title(f"{kind} scaling", loc="left", fontweight="bold", fontsize=9)
    axes.legend(loc="best")


def _draw_phases(axes: Any, found: Sequence[Series]) -> None:
    bars = [
        (f"{s.engine}, {speed.neurons:,} on {speed.ranks}{_differing(s, found)}", speed.shares)
        for s in found
        for speed in s.speeds
    ]
    measured = {name for _, shares in bars for name in shares}
    order = [*PHASES, *sorted(measured - set(PHASES))]
    left = [0.0] * len(bars)
    for name in (name for name in order if name in measured):
        widths = [100 * shares.get(name, 0.0) for _, shares in bars]
        axes.barh(
            range(len(bars)),
            widths,
            left=left,
            color=PHASES.get(name, PALE),
            label=name,
            height=0.7,
        )
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.set_yticks(range(len(bars)), [label for label, _ in bars])
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("% of the time, by phase (exchange: the collectives)")
    axes.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1.0))
