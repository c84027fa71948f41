"""A backtest for people: a table in the terminal, a page for the documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dwcp_ml.evaluation.report.backtests import bound_rows, facts, figure_rows
from dwcp_ml.evaluation.report.markdown import grid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Group

HEADING = """\
# The models on real measurements

Each model's own code is trained on public measurements and scored, as the ONNX file that would be
served, on a part that it never saw. Baselines are tuned on the training and validation parts.
In brackets: 95 % bootstrap intervals. Bounds are targets, not promises: a missed one stays here.
Sources and licences of what is in data/public: [NOTICE](../data/public/NOTICE).
"""


def table(entry: Mapping[str, Any]) -> Group:
    """Figures and bounds of one data set, for rich."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table

    header, rows = figure_rows(entry)
    title = f"{entry['task']}: {entry['data']['file']}"
    figures = Table(box=SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
    for index, column in enumerate(header):
        figures.add_column(column, justify="right" if index else "left")
    for row in rows:
        figures.add_row(*row)
    bounds = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("bound", "", "value", "verdict"):
        bounds.add_column(column)
    for row in bound_rows(entry):
        bounds.add_row(*row[:4])
    return Group(figures, bounds, *entry["notes"])


def markdown(report: Mapping[str, Any]) -> str:
    """All data sets as a page, with the command that makes each entry."""
    lines = [HEADING]
    for entry in report["backtests"]:
        header, rows = figure_rows(entry)
        by = "" if entry["by"] == "time" else f" --by {entry['by']}"
        known = entry.get("source")
        lines += [f"## {entry['title'] if known else entry['data']['file']}", ""]
        if known:
            lines += [f"{entry['source']}, {entry['licence']}.", ""]
        lines += [
            facts(entry),
            "",
            f"    dwcp backtest {entry['task']} --data {entry['data']['path']}{by}",
            "",
            *grid(header, rows),
            "",
            *grid(["figure", "bound", "value", "verdict", "why"], bound_rows(entry)),
            "",
            *(f"- {note}" for note in entry["notes"]),
            "",
        ]
    return "\n".join(lines)
