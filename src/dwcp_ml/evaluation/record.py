"""The report of one model as plain JSON values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dwcp_ml.evaluation.tables import predictor_rows, prevalence, slice_metrics, slice_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dwcp_ml.evaluation.dataset import Dataset
    from dwcp_ml.evaluation.gates import Gate
    from dwcp_ml.evaluation.run import Run


def record(
    run: Run,
    judged: Sequence[Dataset],
    seeds: Sequence[Dataset],
    gates: Sequence[Gate],
    p99_ms: float,
) -> dict[str, Any]:
    """Everything known about the model, under the plan's keys first.

    ``success`` says that the model's own targets were met; ``deployment_ready`` that every gate
    was, size, latency, parity and champion included. The version is given by the registry.

    Args:
        run: the evaluation.
        judged: the test part, and the fresh seeds pooled where there are some.
        seeds: each fresh seed by itself.
        gates: all verdicts.
        p99_ms: single-row latency.
    """
    return (
        _plan_keys(run, judged[0], gates)
        | _context(run, p99_ms)
        | _figures(run, judged, seeds)
        | {"gates": [gate.as_dict() for gate in gates], "notes": _notes(run)}
    )


def _plan_keys(run: Run, test: Dataset, gates: Sequence[Gate]) -> dict[str, Any]:
    own = {rule.name for rule in run.rules}
    overall = [g for g in gates if g.name in own and g.slice == "test:all"]
    targets = [g for g in gates if g.name in own]
    return {
        "model_name": run.model.name,
        "title": run.model.title,
        "version": run.artifact.metadata.get("version"),
        "training_date": run.artifact.history.get("training_date"),
        "target_metrics": {g.name: g.bound for g in overall},
        "achieved_metrics": {g.name: g.value for g in overall},
        "test_set_size": len(test.examples),
        "training_time_seconds": run.artifact.training_s,
        "model_size_mb": run.artifact.size_mb,
        "success": bool(targets) and all(g.passed for g in targets),
        "hyperparameters": run.section.model_dump(mode="json"),
        "deployment_ready": bool(gates) and all(g.passed for g in gates),
    }


def _context(run: Run, p99_ms: float) -> dict[str, Any]:
    return {
        "onnx_sha256": run.artifact.digest,
        "source": run.sources.source,
        "simulated": run.sources.simulated,
        "absent_columns": list(run.sources.absent_columns),
        "champion": None if run.champion is None else run.champion.describe(),
        "row_p99_ms": p99_ms,
        "confidence": run.params.evaluate.confidence,
        "resamples": run.params.evaluate.resamples,
        "seed": run.section.seed,
    }


def _figures(run: Run, judged: Sequence[Dataset], seeds: Sequence[Dataset]) -> dict[str, Any]:
    confidence, metrics = run.params.evaluate.confidence, run.model.metrics
    sliced = slice_metrics(metrics, run.model.primary_metric, run.rules)
    rows = [row for d in judged for row in predictor_rows(d, metrics, confidence)]
    rows += [row for d in seeds for row in predictor_rows(d, metrics, confidence, rivals=False)]
    return {
        "primary_metric": run.model.primary_metric,
        "headline": [rule.name for rule in run.rules if rule.headline],
        "metric_definitions": {
            m.name: {"title": m.title or m.name, "unit": m.unit, "better": m.better}
            for m in metrics
        },
        "datasets": [_description(d) for d in [*judged, *seeds]],
        "prevalence": prevalence(judged[0]),
        "metrics": rows,
        "slices": [row for d in judged for row in slice_rows(d, sliced, confidence)],
    }


def _description(dataset: Dataset) -> dict[str, Any]:
    times = dataset.examples.time_s
    span = [datetime.fromtimestamp(int(t), UTC) for t in (times.min(), times.max())]
    return {
        "name": dataset.name,
        "examples": len(times),
        "groups": dataset.groups(),
        "start": f"{span[0]:%Y-%m-%d %H:%M} UTC",
        "end": f"{span[1]:%Y-%m-%d %H:%M} UTC",
    }


def _notes(run: Run) -> list[str]:
    notes = [run.champion_note] if run.champion_note else []
    if not run.sources.fresh:
        notes.append("No fresh seeds were given, so there is one verdict only, on the test part.")
    if not run.baselines:
        notes.append("No training part was given, so no baseline could be tuned.")
    if not run.sources.simulated:
        notes.append("The telemetry was not simulated, so no ceiling is known.")
    return notes
