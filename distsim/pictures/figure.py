"""What every picture needs: matplotlib (the extra `plot`), without a display, and a file.

No picture touches pyplot: a notebook keeps its backend. All have one style and one palette, whose
colours differ in lightness, too, so that a picture printed in grey still says what it says.
"""

from __future__ import annotations

import html
import io
import re
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distsim.errors import InputError
from distsim.files.places import check_writable

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Axes  # for those who may not know matplotlib
    from matplotlib.figure import Figure as Figure

# Text and dots; what is measured; a second measure; areas; a third line.
INK, ACCENT, SECOND, PALE, GREY = "#1b2a41", "#c8553d", "#2a7f9e", "#d9dee5", "#8a94a3"
GROUPS = (INK, ACCENT, "#d39a1c", SECOND, "#8fbf6a", "#8f5fa8")  # populations, series, phases
MARKERS = "osD^v"  # of series
DPI = 200  # of files of pixels, and of pixels in files of lines
PAGE_DPI = 130  # of pixels in pages, which are read on screens
WIDTH = 6.8  # inches: two columns of a page

_NO_METADATA: Any = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_STYLE: Any = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "font.family": "sans-serif",
    "font.size": 8.0,
    "legend.fontsize": 7.0,
    "legend.frameon": False,
    "pdf.fonttype": 42,  # letters that can be searched and edited
    "svg.hashsalt": "distsim",  # the same picture twice is the same file
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


@contextmanager
def style() -> Iterator[None]:
    """In which pictures are drawn. Raises InputError if matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        raise InputError(
            "matplotlib is not installed; a picture needs it: pip install 'distsim[plot]'"
        ) from None
    with matplotlib.rc_context(_STYLE):
        yield


def new_figure(width: float, height: float) -> Any:
    """An empty figure, in inches. Raises InputError if matplotlib is not installed."""
    with style():
        from distsim.pictures.canvas import Picture

        return Picture(figsize=(width, height), layout="constrained", facecolor="white", dpi=DPI)


def plain(axes: Any) -> None:
    """Axes in the style of all pictures."""
    axes.spines[["top", "right"]].set_visible(False)


def literal(text: str) -> str:
    """A name as it stands, whatever it means to matplotlib."""
    return text.replace("$", r"\$")


def key(axes: Any) -> None:
    """A legend of what has a label, between the title and the axes."""
    names = axes.get_legend_handles_labels()[1]
    room = _letters(axes) // (max(map(len, names)) + 6)
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=max(1, min(len(names), room)),
        borderaxespad=0.3, borderpad=0, handlelength=1.6, columnspacing=1.2,
    )  # fmt: skip


def scale(axes: Any, image: Any, name: str, **how: Any) -> None:
    """What the colours of an image mean, beside the axes and as high; how: as `Figure.colorbar`
    takes it."""
    beside = axes.inset_axes((1.02, 0, 0.025, 1))
    axes.figure.colorbar(image, cax=beside, label=name, **how)


def titled(axes: Any, title: str, subtitle: str) -> None:
    """A title in bold, and below it what is shown, on as many lines as they need."""
    above, legend = 4.0, axes.get_legend()
    if legend is not None:
        top = legend.get_window_extent().y1 - axes.get_window_extent().y1
        above += max(0.0, 72 * top / axes.figure.dpi)
    room = _letters(axes)
    lines = textwrap.wrap(subtitle, room)
    below = axes.annotate(
        "\n".join(lines), (0, 1), xytext=(0, above), xycoords="axes fraction",
        textcoords="offset points", linespacing=1.15,
    )  # fmt: skip
    below.set_in_layout(not title)  # a title is above it, and takes its room
    above += len(lines) * 10.5 + 2
    text = textwrap.fill(literal(title), int(0.9 * room))
    axes.set_title(text, loc="left", pad=above, fontweight="bold", fontsize=9)


def _letters(axes: Any) -> int:
    """How many stand side by side above axes, most likely."""
    return int(14.5 * (axes.figure.get_figwidth() - 0.6))


def check(path: str, *, overwrite: bool, source: str | None = None) -> None:
    """Refuse a picture that could not be saved, before the work for it. Raises InputError.

    source: a file that is read for it.
    """
    check_writable(path, overwrite, "picture", source)
    formats = new_figure(1, 1).canvas.get_supported_filetypes()
    if Path(path).suffix.removeprefix(".").lower() not in formats:
        endings = ", ".join(f".{name}" for name in sorted(formats))
        raise InputError(f"picture {path}: allowed: a name that ends with one of {endings}")


def save(figure: Any, path: str) -> None:
    """Write a figure; the ending of `path` names the format. Raises InputError."""
    try:
        with style():
            figure.savefig(path)
    except (OSError, ValueError) as error:
        raise InputError(f"picture {path}: {error}") from None


def svg(figure: Any, name: str, described: str) -> str:
    """A figure as an <svg> element, to stand in a page. name: no other's there, its ids begin with
    it; described: what it shows, for those who do not see it."""
    buffer = io.StringIO()
    with style():
        figure.savefig(buffer, format="svg", dpi=PAGE_DPI, metadata=_NO_METADATA)
    text = buffer.getvalue()
    text = re.sub(r"<!--.*?-->\s*", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r"\n\s+", "\n", text)
    text = re.sub(r'( [xy]="-?\d+\.\d\d)\d+', r"\g<1>", text)  # of dots: 0.01 points are enough
    label = html.escape(described)
    return text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)


def shades(colour: str, most: float) -> dict[str, Any]:
    """How an image shows counts from 1 to `most`: by their square roots, from a tint of a colour to
    itself."""
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm, to_rgb

    ends: Any = [tuple(1 - 0.25 * (1 - part) for part in to_rgb(colour)), colour]
    colours = LinearSegmentedColormap.from_list("shades", ends)
    return {"cmap": colours, "norm": PowerNorm(0.5, 0, max(most, 1))}


def shares(colour: str) -> dict[str, Any]:
    """How an image shows shares from 0, white, to 1."""
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("shares", ["white", colour])
    return {"cmap": colours, "vmin": 0.0, "vmax": 1.0}


def diverging(most: float) -> dict[str, Any]:
    """How an image shows values of both signs up to `most`, those that there are not pale."""
    from matplotlib.colors import LinearSegmentedColormap

    ends = [(0.0, INK), (0.2, SECOND), (0.5, "white"), (1.0, ACCENT)]
    colours = LinearSegmentedColormap.from_list("diverging", ends).with_extremes(bad=PALE)
    return {"cmap": colours, "vmin": -most, "vmax": most}


def squares(axes: Any, x: Any, y: Any, sides: Any, colours: list[str]) -> None:
    """Filled squares with these centres and sides, in the units of the axes."""
    import numpy as np
    from matplotlib.collections import PolyCollection

    corners = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
    places = np.stack([x, y], axis=1)[:, None, :] + sides[:, None, None] * corners
    axes.add_collection(PolyCollection(list(places), facecolors=colours, linewidths=0))
