"""One verdict over all models: JSON for machines, Markdown and one HTML page for people."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from dwcp_ml.evaluation.jsons import read_json
from dwcp_ml.evaluation.report.backtests import BACKTEST
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
from dwcp_ml.files import as_json, whole_file

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
            data_quality.json and backtest.json; receives the three files.
        models: names of the models that were asked for, in the order shown.

    Returns:
        The master report.
    """
    found = read_reports(reports, models)
    quality_file = reports / QUALITY
    quality = read_json(quality_file) if quality_file.exists() else None
    measured = reports / BACKTEST
    backtest = read_json(measured) if measured.exists() else None
    master = master_report(found, models, quality)
    with ExitStack() as all_or_none:
        texts = {
            "json": as_json(master),  # the first to enter appears last
            "md": markdown(master, found),
            "html": page(master, found, quality, backtest, reports / "figures"),
        }
        for ending, text in texts.items():
            draft = all_or_none.enter_context(whole_file(reports / f"{MASTER}.{ending}"))
            draft.write_text(text, encoding="utf-8")
    return master
