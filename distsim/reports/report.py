"""One page that holds a run: its digest, its numbers, its pictures, its options, where it ran, and
the command that runs it again. It asks for nothing from anywhere, and says so to browsers.

Memory is that of a picture, however many events there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from distsim import __version__
from distsim.config.options import FIELDS, flag
from distsim.errors import InputError, OutputError
from distsim.files import events
from distsim.files.events import Events
from distsim.files.places import check_writable
from distsim.files.whole import ended_by_exceptions, whole
from distsim.pictures import kinds
from distsim.pictures.figure import new_figure, svg
from distsim.pictures.run import Run, Selection, Weights, of_file
from distsim.reports import again, numbers
from distsim.reports.markup import Markup, element, facts, folded, joined, section, table
from distsim.reports.numbers import Spread

ENDINGS = (".html", ".htm")
PICTURE = 4.6  # inches: two beside each other on a screen, one on a telephone
LONGEST = 16  # letters of a population's name that have room beside it
MOST_NAMES, MOST_POPULATIONS = 1_000, 100  # that a page names
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
Network = Callable[[Mapping[str, Any]], Weights]
Tell = Callable[[float], None]


def of(source: str, target: str, network: Network, *, overwrite: bool, tell: Tell) -> None:
    """Write the page of an output file, or of the partial one.

    network: opens the one that a configuration names; tell: gets the fraction that is done. Raises
    InputError before anything is written, OutputError for what went wrong later.
    """
    check(target, overwrite=overwrite, source=source)
    with events.opened(source) as file:
        write(of_file(file, network), file.head, target, tell)


def check(target: str, *, overwrite: bool, source: str | None = None) -> None:
    """Refuse a page that could not be written, before the work for it. Raises InputError."""
    check_writable(target, overwrite, "report", source)
    if not target.endswith(ENDINGS):
        raise InputError(f"report {target}: allowed: a name that ends with {' or '.join(ENDINGS)}")
    new_figure(1, 1)  # without matplotlib there is no page


def write(run: Run, head: Events, target: str, tell: Tell = lambda fraction: None) -> None:
    """Write the page of a run; head: the rest of what its file says. Raises OutputError."""
    try:
        with ended_by_exceptions(), whole(target) as temporary:
            text = page(run, head, tell)
            Path(temporary).write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise OutputError(f"report {target}: {error.strerror or error}") from error


def page(run: Run, head: Events, tell: Tell) -> str:
    """The page, as text."""
    title = kinds.described(run)
    lacks = kinds.possible(run)
    meta = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<link rel="icon" href="data:,">'
    )
    style = resources.files("distsim.reports").joinpath("report.css").read_text(encoding="utf-8")
    body = element(
        "main",
        _head(run, head, title),
        _observed(run),
        _pictures(run, lacks, tell),
        _again(run),
        _options(run.config),
        _network(run, lacks["weights"]),
        _attempts(head),
    )
    footer = element("footer", f"Written by distsim {__version__}. Times are {run.clock}.")
    whole_head = joined(element("title", title), element("style", Markup(style)))
    return f"{meta}{whole_head}</head><body>{body}{footer}</body></html>\n"


# ------------------------------------------------------------------------------------------ parts
def _head(run: Run, head: Events, title: str) -> Markup:
    """Which run it is, and how far it went."""
    known = {
        "model": {"mpm": "McCulloch-Pitts machine", "bm": "Boltzmann machine"}[run.config["model"]],
        "temperature": again.shown(run.config["tau"]),
        "seed": str(run.config["seed"]),
        "neurons": f"{run.neurons:,}",
        "transitions": f"{run.transitions:,}" if run.config["events"] else "not kept",
        run.clock: f"{run.end:.6g}",
    }
    digests = {"digest": head.digest, "digest of observables": head.observables_digest}
    known |= {name: element("code", text) for name, text in digests.items() if text}
    shown = [element("h1", title), element("p", run.name, class_="source")]
    if run.partial:
        words = "Partial: the run has not come to its end. This page shows what its file has."
        shown.append(element("p", words, class_="partial"))
    return element("header", *shown, facts(known))


def _observed(run: Run) -> Markup:
    """Means and the best."""
    known, rows = dict[str, str](), list[list[str]]()
    if run.observed_at.size:
        every = again.shown(run.config["every"])
        known["samples"] = f"{run.observed_at.size:,}, every {every} of {run.clock}"
    for name, best in (("energy", "lowest energy"), ("cut", "best cut")):
        if f"best/{name}" in run.observables:
            known[best] = f"{float(run.observables[f'best/{name}']):.10g}"
    if "best/time" in run.observables:
        known["reached at"] = f"{float(run.observables['best/time']):.6g}"
    state = "share in state 1" if run.bm else "share refractory"
    unit = "a sweep" if run.bm else "a unit of time"
    words = {
        "activity": f"{state}, at samples",
        "mean_activity": f"{state}, between samples",
        "rates": f"rate, {unit}",
        "occupation": "share of time in state 1",
    }
    rows += [_row(words.get(name, name), "samples", it) for name, it in numbers.series(run).items()]
    found = numbers.of_neurons(run)
    counted = numbers.of_events(run)
    if counted is not None:
        found = {"rates": counted[0], **found}
        known[f"{state}, whole run"] = f"{counted[1]:.6g}"
    rows += [_row(words[name], "neurons", it) for name, it in found.items()]
    if not known:
        return section("In numbers", element("p", "No events and no observables."))
    inside = [facts(known)]
    if rows:
        head = ("", "over", "mean", "deviation", "lowest", "highest", "last")
        inside.append(element("div", table(head, rows), class_="numbers"))
    return section("In numbers", *inside)


def _row(name: str, over: str, spread: Spread) -> list[str]:
    return [name, over, *("" if value is None else f"{value:.6g}" for value in spread)]


def _pictures(run: Run, lacks: Mapping[str, str | None], tell: Tell) -> Markup:
    """All that can be drawn, and why the rest cannot."""
    drawn, absent = [], dict[str, str]()
    for number, (name, reason) in enumerate(lacks.items()):
        tell(number / len(lacks))
        try:
            if reason is not None:
                raise InputError(reason)
            drawn.append(_picture(name, run))
        except InputError as error:
            absent[name] = str(error).removeprefix(f"{run.name}: ")
    tell(1.0)
    why = [folded("Pictures that there are not, and why", facts(absent))] if absent else []
    return section("Pictures", element("div", *drawn, class_="pictures"), *why)


def _picture(name: str, run: Run) -> Markup:
    """One of them, with neurons in the order that says most."""
    kind, sort = kinds.KINDS[name], "none"
    longest = max(map(len, run.population or ()), default=0)
    if "sort" in kind.heeds and 0 < longest <= LONGEST:
        sort = "population"
    if name == "raster" or (name == "rates" and sort == "none"):  # the overview is a raster, too
        sort = "rate"
    figure = kinds.draw(name, run, Selection(sort=sort), width=PICTURE, title=False)
    how = f"--kind {name}" + (f" --sort {sort}" if sort != "none" else "")
    caption = element("figcaption", kind.about[0].upper() + kind.about[1:], element("code", how))
    drawing = Markup(svg(figure, name, f"{kind.about}: {figure.get_label()}"))
    return element("figure", caption, drawing, id=name)


def _again(run: Run) -> Markup:
    """The command, and what else it takes."""
    words: list[str] = []
    config, line = run.config, again.command(run.config)
    arrays = again.arrays(config)
    if line is None:
        line = again.call(config)
        what = {"network": "W (and bias, if it was given)", "tau_schedule": "tau"}
        needed = " and ".join(what.get(name, name) for name in arrays)
        words.append(f"Arrays of a Python program are needed, which no file holds: {needed}.")
    reads = ("network", "bias", "populations", "patterns", "initial", "tau_schedule", "clamp",
             "stimulus")  # fmt: skip
    files = [config[name] for name in reads if config.get(name) and Path(str(config[name])).suffix]
    if files:
        words.append(f"It reads {', '.join(files)}, as named where the run was started.")
    if run.partial:
        words.append("It makes the whole run, whose first events are those of this page.")
    else:
        gpu = ", CPU or GPU" if again.on_gpus(config) else ""
        words.append(f"It gives the same digest, on any number of ranks{gpu}.")
    if again.over_length(config):
        words.append("Not so if the run was prolonged: its temperature then stays where it came to "
                     "in its first length, and here goes over the whole one.")  # fmt: skip
    return section(
        "To run it again", element("pre", element("code", line)), element("p", " ".join(words))
    )


def _options(config: Mapping[str, Any]) -> Markup:
    """Those that were chosen, then all others."""
    chosen = [name for name in config if again.differs(name, config[name])]
    others = [name for name in config if name not in chosen]
    return section(
        "Options",
        _table(config, chosen) if chosen else element("p", "All have their defaults."),
        folded("Options that have their defaults", _table(config, others)),
    )


def _table(config: Mapping[str, Any], names: Iterable[str]) -> Markup:
    rows = []
    for name in names:
        value = config[name]
        text = FIELDS[name].metadata["help"] if name in FIELDS else "Of another version."
        rows.append((flag(name), "-" if value is None else again.shown(value), text))
    return element("div", table(("option", "value", ""), rows), class_="options")


def _network(run: Run, lacks: str | None) -> Markup:
    """What its neurons are, and what is between them."""
    config, more = run.config, list[str]()
    known = {"network": str(config["network"]), "neurons": f"{run.neurons:,}"}
    if lacks is None:
        counted = numbers.connections(run)
        if counted is not None:
            above, below, unconnected = counted
            known["weights that are not 0"] = f"{above + below:,}"
            known["above and below 0"] = f"{above:,} and {below:,}"
            known["neurons without any"] = f"{unconnected:,}"
    else:
        more.append(element("p", f"Its weights are not here: {lacks}"))
    found = numbers.populations(run)
    if found:
        known["populations"] = f"{len(found):,}"
        rows = [(name, f"{size:,}") for name, size in found[:MOST_POPULATIONS]]
        if found[MOST_POPULATIONS:]:
            rest = found[MOST_POPULATIONS:]
            rows.append((f"{len(rest):,} others", f"{sum(size for _, size in rest):,}"))
        more.append(folded("Populations", table(("population", "neurons"), rows)))
    if run.names is not None:
        named = ", ".join(run.names[:MOST_NAMES])
        left = max(0, run.neurons - MOST_NAMES)
        ending = f" and {left:,} more" if left else ""
        more.append(folded("Names of neurons", element("p", named + ending)))
    return section("Network", facts(known), *more)


def _attempts(head: Events) -> Markup:
    """Where and when it ran."""
    if not head.attempts:
        return section("Machine", element("p", f"Not recorded. Written by distsim {head.version}."))
    names = list(dict.fromkeys(name for record in head.attempts for name in record))
    rows = [[_word(name, record.get(name)) for name in names] for record in head.attempts]
    words = "Each attempt: the run's start, and each time that it was resumed."
    return section(
        "Machine",
        element("p", words, class_="about"),
        table((name.replace("_", " ") for name in names), rows),
    )


def _word(name: str, value: Any) -> str:
    match name, value:
        case _, None:
            return "-"
        case "begun", str():
            return f"{value[:19].replace('T', ' ')} UTC"
        case "hosts", list():
            return ", ".join(map(str, value))
        case _, int():
            return f"{value:,}"
    return str(value)
