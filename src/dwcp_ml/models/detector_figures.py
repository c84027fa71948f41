"""Plots of detectors: precision against recall, recall by kind of trouble, calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.models.base import Figure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dwcp_ml.models.base import Array, Outputs

POINTS = 150  # of a curve
TENTHS = 10


def precision_recall(
    positive: Array, predictors: Mapping[str, Outputs], score: str, counted: Array
) -> Figure:
    """Precision against recall of every predictor, over the examples ``counted`` (n,) bool."""
    truth = positive[counted] > 0
    series = {
        name: _curve(truth, np.asarray(answer[score], np.float64)[counted])
        for name, answer in predictors.items()
    }
    return Figure(
        "precision_recall", "Precision against recall", "line", "recall", "precision", series
    )


def recall_by(
    kind: Array, predictors: Mapping[str, Outputs], flag: str, title: str, label: str
) -> Figure:
    """Recall of every predictor for each value of ``kind`` (n,), "" being no trouble."""
    names = np.array([k for k in np.unique(kind) if k])
    series = {
        who: (names, np.array([np.mean(answer[flag][kind == k]) for k in names]))
        for who, answer in predictors.items()
    }
    return Figure("recall_by_kind", title, "bar", label, "recall", series)


def calibration(positive: Array, score: Array, counted: Array) -> Figure:
    """Share of positives against the mean of a score in 0..1, by tenths of the score.

    Args:
        positive: (n,) of examples.
        score: (n,) of them.
        counted: (n,) bool, the examples that count; an empty tenth is left out.
    """
    truth, said = positive[counted] > 0, np.asarray(score, np.float64)[counted]
    tenth = np.minimum((said * TENTHS).astype(int), TENTHS - 1)
    rows = np.bincount(tenth, minlength=TENTHS)
    seen = rows > 0
    means, shares = (np.bincount(tenth, v, TENTHS)[seen] / rows[seen] for v in (said, truth))
    return Figure(
        "calibration",
        "Calibration of the score",
        "line",
        "mean score of a tenth",
        "share of incidents",
        {"model": (means, shares)},
        diagonal=True,
    )


def _curve(truth: Array, score: Array) -> tuple[Array, Array]:
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(truth[order])
    if not len(hits) or not hits[-1]:
        return np.array([]), np.array([])
    precision = hits / np.arange(1, len(hits) + 1)
    wanted = np.searchsorted(hits, np.linspace(0.02, 1, POINTS) * hits[-1])
    at = np.minimum(wanted, len(hits) - 1)
    return hits[at] / hits[-1], precision[at]
