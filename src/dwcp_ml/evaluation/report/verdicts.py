"""Gates as tables: the headline of all models, and every gate of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dwcp_ml.evaluation.report import text
from dwcp_ml.evaluation.report.cells import with_interval
from dwcp_ml.evaluation.report.html import Markup, fold, join, mark, table, tag
from dwcp_ml.evaluation.report.rows import SKILL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dwcp_ml.evaluation.report.rows import Report


def headline_table(master: Mapping[str, Any]) -> Markup:
    """Model, target, value on test and fresh, best baseline, ceiling, verdict."""
    body = []
    for name, model in master["models"].items():
        for i, row in enumerate(model["headline"]):
            parts = (row["test"], row["fresh"])
            values = [
                text.NONE if p is None else with_interval(p["value"], p, row["unit"]) for p in parts
            ]
            cells = [*values, _rival(row["baseline"]), text.number(row["ceiling"])]
            link = "" if i else Markup(f'<a href="#{name}">{tag("span", model["title"])}</a>')
            target = row["target"].replace("≥ ", "≥\u00a0").replace("≤ ", "≤\u00a0")
            body.append([link, target, *cells, mark(row["passed"])])
    header = ["Model", "Target", "Test", "Fresh seeds", "Best baseline", "Ceiling", "Verdict"]
    return table(header, body, numeric=(2, 3, 4, 5))


def _rival(baseline: Mapping[str, Any] | None) -> Markup:
    if baseline is None:
        return Markup(text.NONE)
    name = tag("span", text.words(baseline["name"]), css="ci")
    return join([text.number(baseline["value"]), name], between="")


def gates(report: Report) -> Markup:
    """All gates but those by slice that passed, which open on a click."""
    quiet = [g for g in report["gates"] if g["passed"] and "=" in g["slice"]]
    shown = [g for g in report["gates"] if g not in quiet]
    parts = [_gate_table(shown, report)]
    if quiet:
        words = f"{len(quiet)} gates by slice, all passed"
        parts.append(fold(words, _gate_table(quiet, report)))
    return join(parts)


def _gate_table(chosen: Sequence[Mapping[str, Any]], report: Report) -> Markup:
    rows = []
    for gate in chosen:
        metric, _, against = gate["metric"].partition(SKILL)
        about = report["metric_definitions"].get(metric)
        title = about["title"] if about else text.words(metric)
        unit = about["unit"] if about and not against else ""
        rows.append(
            [
                text.words(gate["name"]),
                f"{title}{SKILL}{text.words(against)}" if against else title,
                gate["slice"],
                with_interval(gate["value"], gate, unit),
                text.bound(gate["direction"], gate["bound"], unit),
                mark(gate["passed"]),
                gate["why"],
            ]
        )
    header = ["Gate", "Figure", "On", "Value", "Bound", "Verdict", "Why"]
    return table(header, rows, numeric=(3, 4))
