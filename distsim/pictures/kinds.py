"""The kinds of pictures of a run, by name: what `distsim plot --kind`, `result.plot` and a report
draw.

    with opened("run.h5", network_of) as run:  # of pictures.run, front.plots
        for name, reason in possible(run).items():  # why it cannot be drawn, or None
            if reason is None:
                figure = draw(name, run, Selection(start=10.0, neurons=range(50)), width=6.8)
                text = svg(figure)  # of pictures.figure; or save(figure, path)

| name | what it draws | of the selection |
|---|---|---|
| overview | raster, rate, share of neurons in state 1 | window, neurons, sort |
| raster | a dot a transition 0 -> 1; how many a pixel where they are many | window, neurons, sort |
| rates | the rate of each neuron, and how many have which | window, neurons, sort |
| energy | E at each sample; the cut of a MaxCut; the lowest | window |
| activity | share of neurons in state 1 | window, neurons |
| correlation | of each two neurons | window, neurons, sort |
| weights | the Hinton diagram of W; means of blocks where it is large | neurons, sort |
| samples | the states at each sample | window, neurons, sort |
| autocorrelation | of energy and activity, with its integrated time | window |

A selection that a kind does not heed is refused. `network` is called once, when it is asked whether
`weights` can be drawn.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from distsim.errors import InputError
from distsim.pictures import courses, matrices, raster, rates, states
from distsim.pictures.figure import WIDTH, new_figure, style, titled
from distsim.pictures.run import Run, Selection


@dataclass(frozen=True)
class Kind:
    """A kind of picture.

    about: what it draws. heeds: the parts of a selection that it heeds. draw: draws on panels,
    axes, and returns in words what they show. lacks: why a run cannot be drawn so, or None. height:
    of a figure over its width. layout: of its panels, as `Figure.subplots` takes it; a caller's
    own axes take their place where it is one panel, or where the first says it all.
    """

    about: str
    heeds: frozenset[str]
    draw: Callable[[Run, Selection, list[Any]], str]
    lacks: Callable[[Run], str | None]
    height: float
    layout: Mapping[str, Any] = field(default_factory=dict)
    alone: bool = True  # whether the first panel says it all
    least: float = 2.2  # inches of its height


NARROWEST, WIDEST = 2, 40  # inches
WINDOW, ALL = frozenset({"window"}), frozenset({"window", "neurons", "sort"})
BELOW = {"nrows": 3, "sharex": True, "height_ratios": (5, 2, 2)}
BESIDE = {"ncols": 2, "sharey": True, "width_ratios": (3, 1)}
KINDS = {
    "overview": Kind(
        "raster, rate and share of neurons in state 1",
        ALL, raster.overview, raster.lacks, 0.75, BELOW, alone=False, least=4.2,
    ),
    "raster": Kind("transitions 0 to 1", ALL, raster.raster, raster.lacks, 0.55),
    "rates": Kind("the rate of each neuron", ALL, rates.draw, rates.lacks, 0.5, BESIDE),
    "energy": Kind("the energy", WINDOW, courses.energy, courses.lacks_energy, 0.45),
    "activity": Kind(
        "the share of neurons in state 1",
        WINDOW | {"neurons"}, courses.activity, courses.lacks_activity, 0.45,
    ),
    "correlation": Kind(
        "the correlation of neurons", ALL, matrices.correlation, matrices.lacks_correlation, 0.8
    ),
    "weights": Kind(
        "the Hinton diagram of W",
        ALL - WINDOW, matrices.weights, matrices.lacks_weights, 0.85,
    ),
    "samples": Kind("the states", ALL, states.samples, states.lacks, 0.6),
    "autocorrelation": Kind(
        "autocorrelation of energy and activity",
        WINDOW, courses.autocorrelation, courses.lacks_series, 0.5,
    ),
}  # fmt: skip


def possible(run: Run) -> dict[str, str | None]:
    """Of each kind: why this run has nothing for it, or None.

    `draw` may still refuse what only shows in the data: too many neurons, an energy that never
    changes.
    """
    return {name: kind.lacks(run) for name, kind in KINDS.items()}


def draw(
    name: str,
    run: Run,
    selection: Selection,
    *,
    axes: Any = None,
    width: float = WIDTH,
    title: bool = True,
) -> Any:
    """A picture of a run: matplotlib's figure, `width` inches wide, whose label says what it shows;
    on `axes`, their figure, and without a title. title: whether it names the run.

    Raises InputError for what cannot be drawn, and why.
    """
    kind = _kind(name, selection, own=axes is None)
    if not NARROWEST <= width <= WIDEST:
        raise InputError(f"width: {width:g} given; allowed: {NARROWEST} to {WIDEST} inches")
    reason = kind.lacks(run)
    if reason is not None:
        raise InputError(f"{run.name}: {reason}")
    with style():
        if axes is not None:
            kind.draw(run, selection, [axes])
            return axes.figure
        figure = new_figure(width, max(kind.least, width * kind.height))
        panels = list(figure.subplots(squeeze=False, **kind.layout).flat)
        shown = kind.draw(run, selection, panels)
        titled(panels[0], described(run) if title else "", shown)
        figure.set_label(shown)
        figure.align_ylabels()
    return figure


def _kind(name: str, selection: Selection, *, own: bool) -> Kind:
    """The kind of this name. Raises InputError if there is none, or if it does not heed all."""
    if name not in KINDS:
        raise InputError(f"kind: {name} given; allowed: {', '.join(KINDS)}")
    kind = KINDS[name]
    if not (own or kind.alone):
        raise InputError(f"axes: given for the kind {name}; allowed: for a kind of one panel")
    window = selection.start is not None or selection.stop is not None
    given = {
        "window": "a part of the time" if window else None,
        "neurons": "neurons" if selection.neurons is not None else None,
        "sort": f"sort {selection.sort}" if selection.sort != "none" else None,
    }
    for part, words in given.items():
        if words is not None and part not in kind.heeds:
            heed = ", ".join(other for other, one in KINDS.items() if part in one.heeds)
            raise InputError(f"{words} given for the kind {name}; allowed for {heed}")
    return kind


def described(run: Run) -> str:
    """Which run it is, on one line."""
    network = os.path.basename(run.config["network"])
    tau = run.config["tau"]
    return (
        f"{network}, {run.neurons:,} neurons, {run.config['model']}, "
        f"tau {tau if isinstance(tau, str) else format(tau, 'g')}"
        f"{', partial' * run.partial}"
    )
