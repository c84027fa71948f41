"""Every model of a checkpoints folder against one set of test data."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from dwcp_ml import models
from dwcp_ml.errors import UnreadableFileError
from dwcp_ml.evaluation.artifact import ONNX
from dwcp_ml.evaluation.evaluate import assess
from dwcp_ml.evaluation.report.master import APPROVED, FAILED
from dwcp_ml.evaluation.sources import test_data_sources
from dwcp_ml.files import write_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from dwcp_ml.params import Params

COMPREHENSIVE = "comprehensive_evaluation_report.json"


def evaluate_all(
    checkpoints: Path,
    test_data: Path,
    out: Path,
    params: Params,
    *,
    registry: Path | None = None,
    tick: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[str, Any]:
    """Evaluate what was trained, without DVC.

    Args:
        checkpoints: folder that holds NAME/model.onnx for one model or more.
        test_data: a folder of splits, a raw telemetry folder, or one Parquet or CSV file.
        out: receives comprehensive_evaluation_report.json, NAME_report.json and figures/.
        params: all parameters.
        registry: root of the registry whose latest versions are the champions, or None.
        tick: progress as (done, total).

    Returns:
        The comprehensive report; its deployment_recommendation is APPROVED or FAILED.

    Raises:
        UnreadableFileError: no known model lies in ``checkpoints``, or the data cannot be read.
    """
    names = [name for name in models.available() if (checkpoints / name / ONNX).is_file()]
    if not names:
        known = ", ".join(models.available())
        raise UnreadableFileError(
            f"{checkpoints} holds no model; expected NAME/{ONNX} for one of {known}"
        )
    with TemporaryDirectory() as scratch:
        sources = test_data_sources(test_data, Path(scratch))
        found = {}
        for done, name in enumerate(names):
            tick(done, len(names))
            champion = None if registry is None else registry / name / "latest"
            found[name] = assess(name, checkpoints / name, sources, out, params, champion=champion)
    passed = [name for name, report in found.items() if report["deployment_ready"]]
    summary = {
        "test_data": test_data.name,
        "source": sources.source,
        "models_evaluated": len(found),
        "models_passed": len(passed),
        "overall_success": len(passed) == len(found),
        "deployment_recommendation": APPROVED if len(passed) == len(found) else FAILED,
        "models": found,
    }
    write_json(out / COMPREHENSIVE, summary)
    tick(len(names), len(names))
    return summary
