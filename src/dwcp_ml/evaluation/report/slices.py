"""The model on every slice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dwcp_ml.evaluation.dataset import MODEL
from dwcp_ml.evaluation.report import plots, text
from dwcp_ml.evaluation.report.cells import axis, plot, with_interval
from dwcp_ml.evaluation.report.html import Markup, fold, table, tag
from dwcp_ml.evaluation.report.rows import value_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dwcp_ml.evaluation.report.rows import Report

LONG = 14  # values; longer slices (hours of the day) are drawn from left to right


def slices(report: Report) -> Iterable[Markup]:
    """A plot for each slice, and a table of all slice figures."""
    if not report["slices"]:
        return
    yield tag("h3", "Slices")
    names = dict.fromkeys(r["slice"] for r in report["slices"])
    drawn = (_drawn(report, name, colour) for colour, name in enumerate(names))
    yield tag("div", *(d for d in drawn if d is not None), css="plots")
    yield fold("All slices, test and fresh", _slice_table(report))


def _drawn(report: Report, name: str, colour: int) -> Markup | None:
    """The model by one slice; None where no metric has a figure for two values of it."""
    for metric in _metrics(report, name):
        rows = [
            (r["slice_value"], r["value"], r["ci_low"], r["ci_high"], colour)
            for r in report["slices"]
            if (r["dataset"], r["slice"], r["metric"]) == ("test", name, metric)
            and r["value"] is not None
        ]
        if len(rows) > 1:
            about = report["metric_definitions"][metric]
            title = f"{about['title']} by {text.words(name)}"
            kind = plots.band if len(rows) > LONG else plots.dots
            return plot(title, kind(title, rows, axis(about), value_of(report, metric, MODEL)))
    return None


def _metrics(report: Report, name: str) -> list[str]:
    """Metrics to show by a slice: those gated on it first, then the primary one, then others."""
    gated = [g["metric"] for g in report["gates"] if g["slice"].startswith(f"test:{name}=")]
    others = [r["metric"] for r in report["slices"] if r["slice"] == name]
    chosen = dict.fromkeys([*gated, report["primary_metric"], *others])
    return [metric for metric in chosen if metric in report["metric_definitions"]]


def _slice_table(report: Report) -> Markup:
    definitions = report["metric_definitions"]
    rows = [
        [
            r["dataset"],
            text.words(r["slice"]),
            r["slice_value"],
            text.number(r["examples"]),
            definitions[r["metric"]]["title"],
            with_interval(r["value"], r, definitions[r["metric"]]["unit"]),
        ]
        for r in report["slices"]
    ]
    return table(["On", "Slice", "Value", "n", "Figure", "Result"], rows, numeric=(3, 5))
