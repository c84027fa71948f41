"""One backtest: train the model's own code, export it, score the ONNX file beside its rivals."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from dwcp_ml import backtest, models
from dwcp_ml.backtest.tables import read_table
from dwcp_ml.evaluation.dataset import MODEL, Dataset, numbered
from dwcp_ml.evaluation.gates import rule_gates
from dwcp_ml.evaluation.tables import predictor_rows, prevalence
from dwcp_ml.files import sha256

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dwcp_ml.backtest.task import By, Prepared
    from dwcp_ml.models.base import Examples, Model, Outputs, TrainingLog
    from dwcp_ml.params import Params


def run(task_name: str, file: Path, by: By, params: Params, log: TrainingLog) -> dict[str, Any]:
    """Figures of one task on one file as plain JSON values.

    Args:
        task_name: which task.
        file: the table.
        by: what the test part is apart by.
        params: all parameters.
        log: receives the progress of the training.

    Raises:
        BacktestError, GapError, MissingColumnError, UnreadableFileError: see the task.
        TrainingError: the model did not train on this table.
    """
    task = backtest.get(task_name)
    model = models.get(task.model)
    table = read_table(file, task)
    ready = task.prepare(table, by, models.section(params, task.model), file.name)
    began = time.monotonic()
    fitted = model.fit(ready.train, ready.validation, ready.section, log)
    trained_s = time.monotonic() - began
    test = numbered(ready.test)
    answers = _answers(model, fitted, ready, test)
    dataset = Dataset("test", test, answers, params.evaluate.resamples, params.seed)
    metrics = (*model.metrics, *ready.metrics)
    by_name = {metric.name: metric for metric in metrics}
    confidence = params.evaluate.confidence
    gates = [g for rule in ready.rules for g in rule_gates(rule, dataset, by_name, confidence)]
    rows = [row for row in predictor_rows(dataset, metrics, confidence) if row["value"] is not None]
    return {
        "task": task.name,
        "title": task.title,
        "model": task.model,
        "data": {"file": file.name, "path": str(file), "sha256": sha256(file), "rows": len(table)},
        "by": by,
        "examples": {p: len(getattr(ready, p)) for p in ("train", "validation", "test")},
        "groups": dataset.groups(),
        "prevalence": prevalence(dataset),
        "training_time_seconds": round(trained_s, 2),
        "hyperparameters": ready.section.model_dump(mode="json"),
        "shown": list(task.shown),
        "metric_definitions": {
            m.name: {"title": m.title or m.name, "unit": m.unit, "better": m.better}
            for m in metrics
        },
        "metrics": rows,
        "gates": [gate.as_dict() for gate in gates],
        "notes": list(ready.notes),
    }


def _answers(model: Model, fitted: Any, ready: Prepared, test: Examples) -> Mapping[str, Outputs]:
    """Of the ONNX graph that would be served, and of every rival."""
    from dwcp_ml.export.canonical import canonical_bytes
    from dwcp_ml.export.session import open_session, score

    session = open_session(canonical_bytes(model.graph(fitted)))
    rivals = {**model.baselines(ready.train, ready.validation, ready.section), **ready.rivals}
    return {
        MODEL: score(session, test.features),
        **{who: predict(test) for who, predict in rivals.items()},
    }
