"""Plots as inline SVG whose colours follow the page, light or dark.

matplotlib draws with marker colours that exist nowhere else; they are then replaced by CSS
variables, so one drawing serves both modes.
"""

from __future__ import annotations

import io
import re
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml.evaluation.report.text import words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from dwcp_ml.models.base import Figure

Dot = tuple[str, float, float | None, float | None, int]  # label, value, low, high, colour
INK, LINE = "#010203", "#010204"
SERIES = tuple(f"#01020{i}" for i in "56789a")
_VARIABLES = {INK: "var(--muted)", LINE: "var(--line)"} | {
    colour: f"var(--s{i + 1})" for i, colour in enumerate(SERIES)
}
_MARKS = ("-", "--", "-.", ":", "-", "--")
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.edgecolor": LINE,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.6,
}


@contextmanager
def canvas(width: float, height: float) -> Iterator[tuple[Axes, list[str]]]:
    """Yield axes to draw on, in inches, and a list that receives the SVG and takes the title."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Sheet

    result: list[str] = []
    with mpl.rc_context({**_STYLE, "svg.hashsalt": "dwcp"}):
        sheet = Sheet(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(sheet)
        yield sheet.add_subplot(), result
        stream = io.StringIO()
        sheet.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    result.append(_inline(stream.getvalue()))


def draw(figure: Figure) -> str:
    """The figure of a model as an SVG element."""
    with canvas(5.2, 3.3) as (axes, result):
        kinds = {"line": _lines, "scatter": _points, "bar": _bars}
        kinds[figure.kind](axes, figure)
        axes.set(xlabel=figure.x_label, ylabel=figure.y_label)
        if all(_whole(x) for x, _ in figure.series.values()):
            axes.locator_params(axis="x", integer=True)
        if figure.log_x:
            axes.set_xscale("log")
        if figure.log_y:
            axes.set_yscale("log")
        if figure.diagonal:
            _diagonal(axes)
        if len(figure.series) > 1:
            axes.figure.legend(loc="outside lower center", ncols=4)
    return _titled(result[0], figure.title)


def dots(title: str, rows: Sequence[Dot], label: str, overall: float | None = None) -> str:
    """Values with intervals, one line each, and a dotted line at the figure over everything."""
    with canvas(5.2, 0.75 + 0.24 * len(rows)) as (axes, result):
        for height, (_, value, low, high, colour) in enumerate(rows):
            shade = SERIES[colour % len(SERIES)]
            if low is not None and high is not None:
                axes.plot([low, high], [height, height], color=shade, linewidth=2.2, alpha=0.55)
            axes.plot([value], [height], "o", color=shade, markersize=5)
        if overall is not None:
            axes.axvline(overall, color=INK, linewidth=0.8, linestyle=":")
        axes.set_yticks(range(len(rows)), [row[0] for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(label)
    return _titled(result[0], title)


def band(title: str, rows: Sequence[Dot], label: str, overall: float | None = None) -> str:
    """Values from left to right with their intervals as a band, for slices of many values."""
    places = np.arange(len(rows))
    low, high = (
        np.array([np.nan if row[i] is None else row[i] for row in rows], dtype=np.float64)
        for i in (2, 3)
    )
    shade = SERIES[rows[0][4] % len(SERIES)]
    with canvas(5.2, 2.4) as (axes, result):
        axes.fill_between(places, low, high, color=shade, alpha=0.2, linewidth=0)
        axes.plot(places, [row[1] for row in rows], "o-", color=shade, markersize=3)
        if overall is not None:
            axes.axhline(overall, color=INK, linewidth=0.8, linestyle=":")
        step = max(1, len(rows) // 12)
        axes.set_xticks(places[::step], [row[0] for row in rows][::step])
        axes.set_ylabel(label)
    return _titled(result[0], title)


def _diagonal(axes: Axes) -> None:
    """Where predicted is true; drawn between the ends because a log axis knows no slope."""
    both = (*axes.get_xlim(), *axes.get_ylim())
    axes.plot([min(both), max(both)], [min(both), max(both)], ":", color=INK, linewidth=0.8)
    axes.set(xlim=(min(both), max(both)), ylim=(min(both), max(both)))


def _whole(x: NDArray[Any]) -> bool:
    """Whether the axis counts something, such as epochs."""
    return x.dtype.kind in "iuf" and bool((x % 1 == 0).all())


def _lines(axes: Axes, figure: Figure) -> None:
    for i, (label, (x, y)) in enumerate(figure.series.items()):
        style: dict[str, Any] = {"color": SERIES[i % len(SERIES)], "linestyle": _MARKS[i % 6]}
        marker = "o" if len(x) < 3 else None
        axes.plot(x, y, label=words(label), marker=marker, **style)


def _points(axes: Axes, figure: Figure) -> None:
    for i, (label, (x, y)) in enumerate(figure.series.items()):
        axes.plot(
            x, y, "o", label=words(label), color=SERIES[i % 6], markersize=3, alpha=0.45, mew=0
        )


def _bars(axes: Axes, figure: Figure) -> None:
    names = list(dict.fromkeys(str(n) for x, _ in figure.series.values() for n in x))
    width = 0.8 / len(figure.series)
    for i, (label, (x, y)) in enumerate(figure.series.items()):
        places = np.array([names.index(str(n)) for n in x]) + (i + 0.5) * width - 0.4
        axes.bar(places, y, width * 0.92, label=words(label), color=SERIES[i % 6])
    axes.set_xticks(range(len(names)), [words(n) for n in names])
    if max((len(n) for n in names), default=0) * len(names) > 60:
        axes.tick_params(axis="x", rotation=35)
    axes.grid(visible=False, axis="x")


def _inline(svg: str) -> str:
    """The bare element: no XML prolog, fixed size or group names; colours as variables."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    return re.sub(r"\n\s*", "\n", svg)


def _titled(svg: str, title: str) -> str:
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(title, quote=True)}"', 1)
