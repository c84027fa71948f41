"""The master report: what was trained, what passed, and whether it may be deployed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from dwcp_ml.evaluation.jsons import read_json
from dwcp_ml.evaluation.report.rows import headline_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dwcp_ml.evaluation.report.rows import Report

APPROVED, FAILED = "APPROVED", "FAILED"
QUALITY = "data_quality.json"
MODEL_KEYS = (
    "title",
    "version",
    "training_date",
    "success",
    "deployment_ready",
    "training_time_seconds",
    "model_size_mb",
    "test_set_size",
    "target_metrics",
    "achieved_metrics",
)


def read_reports(folder: Path, names: Sequence[str]) -> dict[str, Report]:
    """The models' reports by name; a model without one is left out."""
    paths = {name: folder / f"{name}_report.json" for name in names}
    return {name: read_json(path) for name, path in paths.items() if path.exists()}


def approved(report: Report) -> bool:
    """Every gate passed, and there was at least one."""
    return bool(report["gates"]) and all(gate["passed"] for gate in report["gates"])


def master_report(
    reports: Mapping[str, Report], names: Sequence[str], quality: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The keys of the plan's master report.

    Args:
        reports: the models' reports by name.
        names: the models that were asked for; one without a report has failed.
        quality: data_quality.json, or None where no contract was run.
    """
    verdicts = {n: n in reports and approved(reports[n]) for n in names}
    passed = [n for n, ok in verdicts.items() if ok]
    contract = None if quality is None else bool(quality.get("success"))
    met = bool(names) and len(passed) == len(names)
    return {
        "training_session": _session(reports),
        "overall_success": met and contract is not False,
        "models_trained": len(reports),
        "models_passed": len(passed),
        "total_training_time_seconds": sum(
            r["training_time_seconds"] or 0 for r in reports.values()
        ),
        "models": {n: _summary(reports.get(n), ok) for n, ok in verdicts.items()},
        "production_readiness": {
            "all_targets_met": met,
            "data_contract_passed": contract,
            "integration_tests_passed": None,
            "go_api_compatibility": None,
            "deployment_recommendation": APPROVED if met and contract is not False else FAILED,
        },
    }


def _session(reports: Mapping[str, Report]) -> dict[str, Any]:
    """Known by what it made: the same files give the same session."""
    digests = "".join(f"{n} {r['onnx_sha256']}\n" for n, r in sorted(reports.items()))
    dates = [r["training_date"] for r in reports.values() if r["training_date"]]
    return {
        "id": hashlib.sha256(digests.encode()).hexdigest()[:12],
        "started": min(dates, default=None),
        "last_trained": max(dates, default=None),
        "source": sorted({r["source"] for r in reports.values()}),
    }


def _summary(report: Report | None, passed: bool) -> dict[str, Any]:
    if report is None:
        why = "there is no report; train and evaluate this model"
        return {"passed": False, "why": why, "gates": 0, "failed_gates": [], "headline": []}
    failed = [g for g in report["gates"] if not g["passed"]]
    return {key: report[key] for key in MODEL_KEYS} | {
        "passed": passed,
        "why": None if report["gates"] else "no gate was evaluated",
        "gates": len(report["gates"]),
        "failed_gates": [f"{g['name']} on {g['slice']}: {g['why']}" for g in failed],
        "headline": headline_rows(report),
    }
