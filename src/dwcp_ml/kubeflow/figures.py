"""Reports as what Kubeflow's pages draw: metrics, confusion matrix, ROC curve, gate table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml.evaluation.figures import read_figure
from dwcp_ml.evaluation.flat import flat_metrics
from dwcp_ml.evaluation.report.markdown import gate_lines
from dwcp_ml.evaluation.report.master import approved

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from dwcp_ml.evaluation.report.rows import Report

PER_CLASS = 10_000  # rows of each true class that the confusion matrix is scaled to
RECALL, FALSE_POSITIVES, CURVE = "recall", "false_positive_rate", "precision_recall"


@dataclass(frozen=True)
class Roc:
    """Three arrays of (points,): rates, and the rank of the score at which they hold."""

    false_positive_rate: list[float]
    true_positive_rate: list[float]
    rank: list[float]


def report_metrics(report: Report) -> dict[str, float]:
    """The model's own figures as one number each, for example "test_recall"."""
    found = {"approved": float(approved(report)), "gates": float(len(report["gates"]))}
    for name, value in flat_metrics(report).items():
        figures = value if isinstance(value, dict) else {"": value}
        for metric, figure in figures.items():
            if figure is not None:
                found["_".join(filter(None, (name, metric)))] = float(figure)
    return found


def confusion(report: Report) -> list[list[int]] | None:
    """Rows of truth (normal, positive) by decision on the test part; None without a detector.

    Scaled to ``PER_CLASS`` rows of each class, so that a rare class can be read.
    """
    rates = _rates(report)
    if rates is None:
        return None
    hits, alarms = (round(PER_CLASS * rates[name]) for name in (RECALL, FALSE_POSITIVES))
    return [[PER_CLASS - alarms, alarms], [PER_CLASS - hits, hits]]


def roc(report: Report, figures: Path) -> Roc | None:
    """The model's ROC curve on the test part; None where it has no precision-recall curve.

    Args:
        report: of the evaluation.
        figures: folder of the models' figures, as ``write_figures`` left it.
    """
    rates = _rates(report)
    described = [f for f in report["figures"] if f["name"] == CURVE]
    if rates is None or not described:
        return None
    curve = read_figure(described[0], figures).series.get("model")
    if curve is None:
        return None
    recall, precision = curve
    wrong = recall * (1 / precision - 1)  # false positives for each positive there is
    # At the model's threshold both rates are known, which gives the odds of the two classes.
    there = float(np.interp(rates[RECALL], recall, wrong))
    if there <= 0 or rates[FALSE_POSITIVES] <= 0:
        return None
    return _roc(recall, wrong, there / rates[FALSE_POSITIVES])


def _roc(recall: NDArray[Any], wrong: NDArray[Any], negatives: float) -> Roc:
    """Rates from hits and false positives for each positive; ``negatives`` is counted alike."""
    alarms = np.clip(wrong / negatives, 0, 1)
    flagged = (recall + wrong) / (1 + negatives)
    rows = [(0.0, 0.0, 1.0), *zip(alarms, recall, 1 - flagged, strict=True), (1.0, 1.0, 0.0)]
    return Roc(*([float(value) for value in column] for column in zip(*rows, strict=True)))


def gate_table(report: Report) -> str:
    """Every gate of a model as Markdown."""
    verdict = "APPROVED" if approved(report) else "FAILED"
    lines = [f"# {report['title']}: {verdict}", "", *gate_lines(report["gates"])]
    return "\n".join(lines) + "\n"


def master_metrics(master: Mapping[str, Any]) -> dict[str, float]:
    """Counts of the master report."""
    return {
        "approved": float(master["overall_success"]),
        "models": float(len(master["models"])),
        "models_passed": float(master["models_passed"]),
        "training_seconds": float(master["total_training_time_seconds"]),
    }


def reasons(master: Mapping[str, Any]) -> list[str]:
    """Why the master report does not say APPROVED; empty where it does."""
    found = []
    if master["production_readiness"]["data_contract_passed"] is False:
        found.append("the data contract failed")
    for name, model in master["models"].items():
        if model["why"]:
            found.append(f"{name}: {model['why']}")
        found += [f"{name} {gate}" for gate in model["failed_gates"]]
    return found


def _rates(report: Report) -> dict[str, float] | None:
    test = flat_metrics(report).get("test", {})
    rates = {name: test.get(name) for name in (RECALL, FALSE_POSITIVES)}
    return None if None in rates.values() else rates
