"""Small pieces of HTML; all text is escaped here and nowhere else."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence


class Markup(str):
    """Text that already is HTML."""

    __slots__ = ()


def text(value: object) -> Markup:
    """Escaped text; Markup passes through."""
    return value if isinstance(value, Markup) else Markup(escape(str(value)))


def tag(name: str, *inner: object, css: str = "", anchor: str = "") -> Markup:
    """An element around its inner parts."""
    attributes = (f' class="{css}"' if css else "") + (f' id="{anchor}"' if anchor else "")
    return Markup(f"<{name}{attributes}>{''.join(text(i) for i in inner)}</{name}>")


def join(parts: Iterable[object], between: str = "\n") -> Markup:
    """Parts one after the other."""
    return Markup(between.join(text(p) for p in parts))


def table(
    header: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    numeric: Iterable[int] = (),
    strong: Iterable[int] = (),
    strong_rows: Container[int] = (),
) -> Markup:
    """A table that scrolls by itself where it is wider than the page.

    Args:
        header: column titles.
        rows: cells of each row.
        numeric: columns that are aligned to the right.
        strong: columns that stand out.
        strong_rows: rows that stand out.
    """
    css = dict.fromkeys(numeric, "num")
    css |= {i: f"{css.get(i, '')} strong".strip() for i in strong}

    def line(kind: str, row: Sequence[object], stands_out: bool = False) -> Markup:
        cells = (tag(kind, cell, css=css.get(i, "")) for i, cell in enumerate(row))
        return tag("tr", join(cells, between=""), css="strong" if stands_out else "")

    lines = (line("td", row, i in strong_rows) for i, row in enumerate(rows))
    head, body = tag("thead", line("th", header)), join(lines)
    return tag("div", tag("table", head, tag("tbody", body)), css="scroll")


def fold(summary: object, *inner: object) -> Markup:
    """Something that opens on a click."""
    return tag("details", tag("summary", summary), *inner)


def mark(passed: bool | None) -> Markup:
    """Pass, fail or not checked, in colour and in words."""
    if passed is None:
        return tag("span", "not checked", css="mark none")
    return tag("span", "✓ pass" if passed else "✗ fail", css=f"mark {'ok' if passed else 'bad'}")
