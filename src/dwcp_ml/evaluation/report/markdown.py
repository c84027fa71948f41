"""The same verdicts as Markdown, for a pull request or a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dwcp_ml.evaluation.report import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dwcp_ml.evaluation.report.rows import Report


def markdown(master: Mapping[str, Any], reports: Mapping[str, Report]) -> str:
    """Headline table, then gates and figures of each model."""
    readiness = master["production_readiness"]
    lines = [
        f"# DWCP models: {readiness['deployment_recommendation']}",
        "",
        f"{master['models_passed']} of {len(master['models'])} models passed every gate.",
        "",
        *headline_lines(master),
    ]
    for name, entry in master["models"].items():
        if name not in reports:
            lines += ["", f"## {name}", "", entry["why"]]
    for report in reports.values():
        lines += ["", f"## {report['title']}", "", "### Figures", "", *figure_lines(report)]
        lines += ["", "### Gates", "", *gate_lines(report["gates"])]
        lines += ["", *(f"- {note}" for note in report["notes"])] if report["notes"] else []
    return "\n".join(lines) + "\n"


def grid(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(str(c).replace("|", "\\|") for c in line) + " |" for line in lines]


def headline_lines(master: Mapping[str, Any]) -> list[str]:
    """The table that ``make run`` prints, with intervals."""
    rows = []
    for name, model in master["models"].items():
        for row in model["headline"]:
            parts = (row["test"], row["fresh"])
            values = [text.NONE if p is None else _value(p, row["unit"]) for p in parts]
            rival = row["baseline"]
            best = text.NONE if rival is None else f"{text.number(rival['value'])} {rival['name']}"
            ceiling = text.number(row["ceiling"])
            rows.append([name, row["target"], *values, best, ceiling, text.verdict(row["passed"])])
    header = ["model", "target", "test", "fresh seeds", "best baseline", "ceiling", "verdict"]
    return grid(header, rows)


def figure_lines(report: Report) -> list[str]:
    """Every predictor and metric, datasets one below the other."""
    definitions = report["metric_definitions"]
    found = {(r["dataset"], r["predictor"], r["metric"]): r for r in report["metrics"]}
    pairs = dict.fromkeys((r["dataset"], r["predictor"]) for r in report["metrics"])
    rows = [
        [dataset, who, *(_value(found[dataset, who, m], "") for m in definitions)]
        for dataset, who in pairs
    ]
    titles = (f"{d['title']} ({d['unit']})" for d in definitions.values())
    return grid(["dataset", "predictor", *titles], rows)


def gate_lines(gates: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every gate with its verdict."""
    rows = [
        [g["name"], g["metric"], g["slice"], text.bound(g["direction"], g["bound"]),
         _value(g, ""), text.verdict(g["passed"]), g["why"]]
        for g in gates
    ]  # fmt: skip
    return grid(["gate", "figure", "on", "bound", "value (interval)", "verdict", "why"], rows)


def _value(row: Mapping[str, Any], unit: str) -> str:
    value = text.number(row["value"], unit)
    return value if row.get("ci_low") is None else f"{value} ({text.interval(row)})"
