"""HTML by small functions: text is escaped wherever it stands."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping


class Markup(str):
    """HTML; a str that is none is a text."""


def element(name: str, *inside: str, **attributes: str) -> Markup:
    """An element; class_ is the attribute class."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(value)}"'
        for key, value in attributes.items()
    )
    return Markup(f"<{name}{given}>{joined(*inside)}</{name}>")


def joined(*parts: str) -> Markup:
    """One after the other."""
    return Markup(
        "".join(part if isinstance(part, Markup) else html.escape(part) for part in parts)
    )


def section(title: str, *inside: str) -> Markup:
    return element("section", element("h2", title), *inside)


def folded(title: str, *inside: str) -> Markup:
    """What is not seen before one asks for it."""
    return element("details", element("summary", title), *inside)


def facts(of: Mapping[str, str]) -> Markup:
    """Names and values."""
    rows = (element("div", element("dt", name), element("dd", value)) for name, value in of.items())
    return element("dl", *rows)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Markup:
    """Rows whose first cell is what the others are of."""
    top = element("tr", *(element("th", name, scope="col") for name in head))
    lines = [
        element("tr", element("th", first, scope="row"), *(element("td", cell) for cell in rest))
        for first, *rest in rows
    ]
    whole = element("table", element("thead", top), element("tbody", *lines))
    return element("div", whole, class_="wide", tabindex="0")
