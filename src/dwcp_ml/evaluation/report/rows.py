"""The headline table: one row for each headline target of each model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from dwcp_ml.evaluation.dataset import CEILING
from dwcp_ml.evaluation.report.text import bound

if TYPE_CHECKING:
    from collections.abc import Mapping

Report = dict[str, Any]
SKILL = " skill over "


class Row(TypedDict):
    """A target with the model's figures; baseline and ceiling are those of the test part."""

    target: str
    unit: str
    test: dict[str, Any] | None  # value, ci_low, ci_high
    fresh: dict[str, Any] | None
    baseline: dict[str, Any] | None  # name, value
    ceiling: float | None
    passed: bool


def headline_rows(report: Report) -> list[Row]:
    """Rows in the order of the model's rules; gates of all models are not among them."""
    rows = []
    for name in report["headline"]:
        gates = {
            gate["slice"].removesuffix(":all"): gate
            for gate in report["gates"]
            if gate["name"] == name and gate["slice"].endswith(":all")
        }
        if gates:
            rows.append(_row(report, gates))
    return rows


def _row(report: Report, gates: Mapping[str, Mapping[str, Any]]) -> Row:
    first = next(iter(gates.values()))
    metric, _, against = first["metric"].partition(SKILL)
    definition = report["metric_definitions"].get(metric, {"title": metric, "unit": ""})
    relative = against and definition.get("better") == "lower"
    unit = "" if relative else definition["unit"]
    title = definition["title"] + (f", skill over {against}" if against else "")
    return {
        "target": f"{title} {bound(first['direction'], first['bound'], unit)}",
        "unit": unit,
        "test": _part(gates, "test"),
        "fresh": _part(gates, "fresh"),
        "baseline": _best_baseline(report, metric, against),
        "ceiling": _figure(report, metric, against, CEILING),
        "passed": all(gate["passed"] for gate in gates.values()),
    }


def _part(gates: Mapping[str, Mapping[str, Any]], dataset: str) -> dict[str, Any] | None:
    gate = gates.get(dataset)
    return None if gate is None else {k: gate[k] for k in ("value", "ci_low", "ci_high")}


def value_of(report: Report, metric: str, predictor: str, dataset: str = "test") -> float | None:
    """One figure of the metrics table; None where it is undefined or was not computed."""
    for row in report["metrics"]:
        if (row["dataset"], row["metric"], row["predictor"]) == (dataset, metric, predictor):
            value: float | None = row["value"]
            return value
    return None


def baselines(report: Report) -> list[str]:
    """Names of the baselines in their order."""
    return list(dict.fromkeys(r["predictor"] for r in report["metrics"] if r["kind"] == "baseline"))


def _figure(report: Report, metric: str, against: str, predictor: str) -> float | None:
    """The predictor's figure, or its skill over ``against``, like the gate of the model."""
    value = value_of(report, metric, predictor)
    if not against or value is None:
        return value
    rival = value_of(report, metric, against)
    if rival is None:
        return None
    if report["metric_definitions"][metric]["better"] == "higher":
        return value - rival
    return 1 - value / rival if rival else None


def _best_baseline(report: Report, metric: str, against: str) -> dict[str, Any] | None:
    lower = report["metric_definitions"].get(metric, {}).get("better") == "lower"
    found = [
        (who, value)
        for who in baselines(report)
        if who != against and (value := _figure(report, metric, against, who)) is not None
    ]
    if not found:
        return None
    falling = lower and not against  # a skill is better when higher, whatever the metric
    name, value = min(found, key=lambda f: f[1] if falling else -f[1])
    return {"name": name, "value": value}
