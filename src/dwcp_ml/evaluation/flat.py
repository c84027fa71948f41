"""The few figures of a report that `dvc metrics show` and `dvc metrics diff` print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def flat_metrics(report: Mapping[str, Any]) -> dict[str, Any]:
    """The model's own figures by data set, and how many gates failed."""
    found: dict[str, Any] = {"failed_gates": sum(not g["passed"] for g in report["gates"])}
    for row in report["metrics"]:
        if row["predictor"] == "model" and row["dataset"] in ("test", "fresh"):
            found.setdefault(row["dataset"], {})[row["metric"]] = row["value"]
    return found
