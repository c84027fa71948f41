"""What a component shows on Kubeflow's pages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dwcp_ml.kubeflow import figures
from dwcp_ml.kubeflow.steps import FIGURES, REPORTS
from dwcp_ml.kubeflow.workflow import failed_containers

if TYPE_CHECKING:
    from dwcp_ml.evaluation.report.rows import Report

CATEGORIES = ["normal (of 10,000)", "positive (of 10,000)"]  # figures.PER_CLASS
SUCCEEDED = "SUCCEEDED"
COMPLETE = "COMPLETE"  # what backends of KFP 2.14 say of tasks that ended, local runs do not


class Shown(Protocol):
    """The part of KFP's metrics artifacts that is used here."""

    metadata: dict[str, Any]


class Decisions(Shown, Protocol):
    """KFP's ClassificationMetrics."""

    def log_confusion_matrix(self, categories: list[str], matrix: list[list[int]]) -> None:
        """Show a matrix, rows of truth."""

    def log_roc_curve(self, fpr: list[float], tpr: list[float], threshold: list[float]) -> None:
        """Show a curve."""


def evaluation(
    report: Report, evaluated: str, gates: str, metrics: Shown, decisions: Decisions
) -> None:
    """Show one model's gates, figures, confusion matrix and ROC curve."""
    Path(gates).write_text(figures.gate_table(report), encoding="utf-8")
    metrics.metadata.update(figures.report_metrics(report))
    matrix = figures.confusion(report)
    if matrix is not None:
        decisions.log_confusion_matrix(CATEGORIES, matrix)
    curve = figures.roc(report, Path(evaluated, REPORTS, FIGURES))
    if curve is not None:
        decisions.log_roc_curve(curve.false_positive_rate, curve.true_positive_rate, curve.rank)


def outcome(state: str, workflow: str, page: str) -> None:
    """Say how the run ended and what failed, in the log and on a page.

    Args:
        state: of everything but the exit handler.
        workflow: name of the run's workflow, in a cluster.
        page: receives the same as Markdown.
    """
    failed = failed_containers(workflow) if state != SUCCEEDED else []
    if state == COMPLETE:
        state = "FAILED" if failed else SUCCEEDED
    lines = [f"# {state}"]
    if state != SUCCEEDED:
        lines += ["", *(f"- {line}" for line in failed or ["see the tasks of the run"])]
    text = "\n".join(lines)
    print(text, flush=True)
    Path(page).write_text(text + "\n", encoding="utf-8")
