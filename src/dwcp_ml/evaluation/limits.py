"""Gates that every model has: parity, size, latency, training time, champion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.evaluation.bootstrap import Draws
from dwcp_ml.evaluation.dataset import CHAMPION, MODEL
from dwcp_ml.evaluation.gates import Gate, judge, nothing, skill

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from dwcp_ml.evaluation.artifact import Artifact
    from dwcp_ml.evaluation.dataset import Dataset
    from dwcp_ml.models.base import Array, Metric
    from dwcp_ml.params import EvaluateParams

EVERYWHERE = "all"  # a gate that no examples enter
ROUNDS, CALLS = 8, 300  # of timing; the quietest round is the model's own need


def limit_gates(artifact: Artifact, p99_ms: float, limits: EvaluateParams) -> list[Gate]:
    """Parity with the native model, file size, single-row latency, training time."""
    hours = None if artifact.training_s is None else artifact.training_s / 3600
    return [
        judge("parity", "worst difference over tolerance", EVERYWHERE, _parity(artifact), 1, "max"),
        judge(
            "size",
            "model_size_mb",
            EVERYWHERE,
            _known(artifact.size_mb, "the file has no size"),
            limits.max_size_mb,
            "max",
        ),
        judge(
            "latency",
            "row_p99_ms",
            EVERYWHERE,
            _known(p99_ms, "no row was timed"),
            limits.max_row_p99_ms,
            "max",
        ),
        judge(
            "training_time",
            "training_hours",
            EVERYWHERE,
            _known(hours, "history.json does not say how long training took"),
            limits.max_training_hours,
            "max",
        ),
    ]


def champion_gate(dataset: Dataset, primary: Metric, limits: EvaluateParams) -> Gate:
    """How much worse than the champion on the same examples, as a fraction of its figure.

    The resamples are paired: both answer the same drawn groups.
    """
    ours, theirs = dataset.draws(primary, MODEL), dataset.draws(primary, CHAMPION)
    return judge(
        "champion",
        f"{primary.name} worse than the champion's, fraction",
        f"{dataset.name}:all",
        worsening(ours, theirs, primary),
        limits.champion_tolerance,
        "max",
        confidence=limits.confidence,
    )


def worsening(ours: Draws, theirs: Draws, metric: Metric) -> Draws:
    """Fraction of the champion's figure by which ours is worse; negative where it is better."""
    loss = skill(ours, theirs, metric.better)
    if metric.better == "lower":
        return Draws(-loss.value, -loss.resamples, loss.problem)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(-loss.value / np.abs(np.float64(theirs.value)))
        return Draws(value, -loss.resamples / np.abs(theirs.resamples), loss.problem)


def row_p99_ms(session: InferenceSession, features: Array) -> float:
    """99th percentile of one row through the session in the quietest of a few rounds.

    Other processes on the machine can only add to it, so the least is what the model needs.
    """
    from dwcp_ml.export.session import row_latency

    rows = np.asarray(features[:256], dtype=np.float32)
    rounds = [row_latency(session, rows, runs=CALLS, warmup=CALLS // 4) for _ in range(ROUNDS)]
    return float(min(r.p99_ms for r in rounds))


def _parity(artifact: Artifact) -> Draws:
    """Worst difference between graph and native model in units of the tolerance."""
    if artifact.metadata.get("onnx_sha256") != artifact.digest:
        return nothing("metadata.json describes another model.onnx; export again")
    worst = (artifact.metadata.get("parity") or {}).get("worst_tolerated")
    if worst is None:
        return nothing("metadata.json holds no comparison with the native model")
    # A model that answers labels only has no float to differ; export refuses other labels.
    return _known(max(worst.values(), default=0.0), "the difference is undefined")


def _known(value: float | None, problem: str) -> Draws:
    """A measured figure without resamples."""
    return nothing(problem) if value is None else Draws(float(value), np.empty(0), problem)
