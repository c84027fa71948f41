"""One verdict over all models: JSON for machines, Markdown and one HTML page for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dwcp_ml.evaluation.jsons import read_json
from dwcp_ml.evaluation.report.markdown import markdown
from dwcp_ml.evaluation.report.master import (
    APPROVED,
    FAILED,
    QUALITY,
    approved,
    master_report,
    read_reports,
)
from dwcp_ml.evaluation.report.page import page
from dwcp_ml.evaluation.report.terminal import summary_table
from dwcp_ml.files import write_json, write_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = [
    "APPROVED",
    "FAILED",
    "MASTER",
    "approved",
    "read_reports",
    "report",
    "summary_table",
]

MASTER = "master_training_report"


def report(reports: Path, models: Sequence[str]) -> dict[str, Any]:
    """Join the models' reports into master_training_report.{json,md,html}.

    It never fails on a bad verdict: a model without a report counts as failed.

    Args:
        reports: folder of MODEL_report.json, figures/ and, where a contract ran,
            data_quality.json; receives the three files.
        models: names of the models that were asked for, in the order shown.

    Returns:
        The master report.
    """
    found = read_reports(reports, models)
    quality_file = reports / QUALITY
    quality = read_json(quality_file) if quality_file.exists() else None
    master = master_report(found, models, quality)
    write_json(reports / f"{MASTER}.json", master)
    write_text(reports / f"{MASTER}.md", markdown(master, found))
    write_text(reports / f"{MASTER}.html", page(master, found, quality, reports / "figures"))
    return master
