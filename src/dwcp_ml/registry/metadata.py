"""metadata.json of a registered version: what export knew, and what evaluation found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dwcp_ml.evaluation.report.rows import Report


def completed(
    metadata: Mapping[str, Any], report: Report, version: str, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Add version, time, commit, metrics, gates and baselines to what export wrote.

    Args:
        metadata: of the export stage.
        report: of the evaluation stage.
        version: the version it gets.
        facts: created, git_commit and data_revision; None keeps what export knew.
    """
    data = dict(metadata.get("data") or {})
    data["dvc_revision"] = facts["data_revision"] or data.get("dvc_revision")
    return {
        **metadata,
        "version": version,
        "created": facts["created"],
        "git_commit": facts["git_commit"] or metadata.get("git_commit"),
        "data": data,
        "metrics": _figures(report, "model").get("model", {}),
        "gates": report["gates"],
        "baselines": _figures(report, "baseline"),
        "ceiling": _figures(report, "ceiling").get("ceiling", {}),
    }


def _figures(report: Report, kind: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Predictor -> dataset -> metric -> value with its interval and unit."""
    definitions = report["metric_definitions"]
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in report["metrics"]:
        if row["kind"] == kind:
            figure = {key: row[key] for key in ("value", "ci_low", "ci_high")}
            figure["unit"] = definitions[row["metric"]]["unit"]
            by_dataset = found.setdefault(row["predictor"], {})
            by_dataset.setdefault(row["dataset"], {})[row["metric"]] = figure
    return found
