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
    """Plots of the primary metric by slice, and a table of all slice figures."""
    if not report["slices"]:
        return
    yield tag("h3", "Slices")
    primary, definitions = report["primary_metric"], report["metric_definitions"]
    names = list(dict.fromkeys(r["slice"] for r in report["slices"]))
    overall = value_of(report, primary, MODEL)
    drawn = []
    for i, name in enumerate(names):
        rows = [
            (r["slice_value"], r["value"], r["ci_low"], r["ci_high"], i)
            for r in report["slices"]
            if r["dataset"] == "test" and r["slice"] == name and r["metric"] == primary
            and r["value"] is not None
        ]  # fmt: skip
        if len(rows) > 1:
            title = f"{definitions[primary]['title']} by {text.words(name)}"
            kind = plots.band if len(rows) > LONG else plots.dots
            drawn.append(plot(title, kind(title, rows, axis(definitions[primary]), overall)))
    yield tag("div", *drawn, css="plots")
    yield fold("All slices, test and fresh", _slice_table(report))


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
