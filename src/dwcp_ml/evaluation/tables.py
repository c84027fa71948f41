"""Rows of figures: every predictor on every dataset, and the model on every slice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml.evaluation.dataset import CEILING, CHAMPION, MODEL
from dwcp_ml.evaluation.gates import finite
from dwcp_ml.models.base import ORACLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dwcp_ml.evaluation.bootstrap import Draws
    from dwcp_ml.evaluation.dataset import Dataset
    from dwcp_ml.models.base import GateRule, Metric


def predictor_rows(
    dataset: Dataset, metrics: Sequence[Metric], confidence: float, *, rivals: bool = True
) -> list[dict[str, Any]]:
    """One row for each metric and predictor, or for the model alone without ``rivals``."""
    return [
        {"dataset": dataset.name, "predictor": who, "kind": _kind(who), "metric": metric.name}
        | _figures(dataset.draws(metric, who), confidence)
        for who in (dataset.answers if rivals else [MODEL])
        for metric in metrics
    ]


def slice_rows(
    dataset: Dataset, metrics: Sequence[Metric], confidence: float
) -> list[dict[str, Any]]:
    """One row for each slice value and metric, for the model alone."""
    rows = []
    for name in dataset.examples.slices:
        for value in dataset.values(name):
            part = dataset.at(name, value)
            rows += [
                {
                    "dataset": dataset.name,
                    "slice": name,
                    "slice_value": value,
                    "metric": metric.name,
                    "examples": len(part.examples),
                    "groups": part.groups(),
                }
                | _figures(part.draws(metric, MODEL), confidence)
                for metric in metrics
            ]
    return rows


def slice_metrics(
    metrics: Sequence[Metric], primary: str, rules: Sequence[GateRule]
) -> list[Metric]:
    """The metrics worth showing by slice: the primary one and those gated by slice."""
    names = {primary} | {r.metric for r in rules if r.slice != "all"}
    return [m for m in metrics if m.name in names]


def prevalence(dataset: Dataset) -> dict[str, float]:
    """Share of positives of each target that is only 0 or 1."""
    flags = {
        name: np.asarray(values)
        for name, values in dataset.examples.targets.items()
        if values.ndim == 1 and len(values) and values.dtype.kind in "biu"
    }
    return {n: float(v.mean()) for n, v in flags.items() if set(np.unique(v).tolist()) <= {0, 1}}


def _figures(draws: Draws, confidence: float) -> dict[str, float | None]:
    low, high = draws.interval(confidence)
    return {"value": finite(draws.value), "ci_low": finite(low), "ci_high": finite(high)}


def _kind(predictor: str) -> str:
    if predictor in (MODEL, CEILING, CHAMPION):
        return predictor
    return "reference" if predictor.startswith(ORACLE) else "baseline"
