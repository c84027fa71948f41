"""Figures on real measurements as rows, and as a section of the HTML page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dwcp_ml.evaluation.report import text
from dwcp_ml.evaluation.report.html import Markup, join, table, tag

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BACKTEST = "backtest.json"


def figure_rows(entry: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of one backtest: predictors down, shown metrics across, with intervals."""
    found = {(row["predictor"], row["metric"]): row for row in entry["metrics"]}
    definitions = entry["metric_definitions"]
    shown = [name for name in entry["shown"] if any(name == metric for _, metric in found)]
    arrows = {"lower": "↓", "higher": "↑"}
    header = ["", *(f"{definitions[n]['title']} {arrows[definitions[n]['better']]}" for n in shown)]
    rows = []
    for who in dict.fromkeys(who for who, _ in found):
        cells = [_cell(found.get((who, name)), definitions[name]["unit"]) for name in shown]
        rows.append([text.words(who), *cells])
    return header, rows


def bound_rows(entry: Mapping[str, Any]) -> list[list[str]]:
    """Figure, bound, value with interval and verdict of each bound."""
    return [
        [
            text.words(gate["metric"]),
            text.bound(gate["direction"], gate["bound"]),
            _cell(gate, ""),
            text.verdict(gate["passed"]),
            gate["why"],
        ]
        for gate in entry["gates"]
    ]


def facts(entry: Mapping[str, Any]) -> str:
    """One sentence about the data and the split."""
    counts = entry["examples"]
    share = "; ".join(f"{n} in {v:.1%} of the test" for n, v in entry["prevalence"].items())
    parts = (
        f"{entry['data']['rows']:,} rows; {counts['train']:,} examples to train, "
        f"{counts['validation']:,} to validate, {counts['test']:,} to test",
        f"test apart by {entry['by']}",
        share,
    )
    return "; ".join(part for part in parts if part) + "."


def backtest_section(report: Mapping[str, Any] | None) -> Markup:
    """The section "Real measurements"; it says so where no backtest was run."""
    heading = tag("h2", "Real measurements")
    if report is None:
        words = "No backtest was run beside these reports (dwcp backtest)."
        return tag("section", heading, tag("p", words), anchor="backtest")
    intro = (
        "Each model's own code, trained and tested on public measurements that nobody here made. "
        "A bound that is missed is shown as such; it does not decide the verdict above, which is "
        "about the models that would be served."
    )
    entries: Sequence[Mapping[str, Any]] = report["backtests"]
    return tag("section", heading, tag("p", intro), *(_entry(e) for e in entries),
               anchor="backtest")  # fmt: skip


def _entry(entry: Mapping[str, Any]) -> Markup:
    header, rows = figure_rows(entry)
    bounds = [row[:4] for row in bound_rows(entry)]
    source = f"{entry['source']} ({entry['licence']}). " if entry.get("source") else ""
    return join(
        [
            tag("h3", entry["title"]),
            tag("p", source + facts(entry), css="sub"),
            table(header, rows, numeric=range(1, len(header)), strong_rows=[0]),
            table(["Figure", "Bound", "Value", "Verdict"], bounds, numeric=[2]),
            *(tag("p", note, css="note") for note in entry["notes"]),
        ]
    )


def _cell(row: Mapping[str, Any] | None, unit: str) -> str:
    if row is None:
        return text.NONE
    value = text.number(row["value"], unit)
    return value if row.get("ci_low") is None else f"{value} ({text.interval(row)})"
