"""Is a score of 0.3 an incident three times in ten? Calibration of a detector's score."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 10
Array = NDArray[np.float64]


def calibration(
    score: Array, label: NDArray[np.int64], trained_prevalence: float, group: NDArray[Any]
) -> dict[str, Any]:
    """Reliability, expected calibration error and Brier score beside the base rate's.

    Args:
        score: (n,) in 0..1.
        label: (n,) 0 or 1.
        trained_prevalence: share of positives among the training rows. A share that differs
            here shifts the odds of every score, which is corrected for in a second figure.
        group: (n,) nodes, for the interval of the error.
    """
    prevalence = float(label.mean())
    found = {
        "rows": len(label),
        "prevalence": prevalence,
        "trained_prevalence": trained_prevalence,
        "brier_base_rate": prevalence * (1 - prevalence),
    }
    odds = prevalence / (1 - prevalence) * (1 - trained_prevalence) / trained_prevalence
    for name, values in (("as_served", score), ("prevalence_corrected", shifted(score, odds))):
        brier = float(np.mean((values - label) ** 2))
        found[name] = {
            "brier": brier,
            "brier_skill": 1 - brier / found["brier_base_rate"],
            "expected_calibration_error": error(values, label),
            "ece_interval": _interval(values, label, group),
            "reliability": reliability(values, label),
        }
    return found


def shifted(score: Array, odds: float) -> Array:
    """Scores whose odds are multiplied by ``odds``."""
    return np.asarray(score * odds / (score * odds + 1 - score))


def reliability(score: Array, label: NDArray[np.int64]) -> list[dict[str, float]]:
    """Rows, mean score and share of positives by tenths of the score; empty tenths are left out."""
    place = np.minimum((score * BINS).astype(int), BINS - 1)
    return [
        {
            "from": k / BINS,
            "to": (k + 1) / BINS,
            "rows": int(mine.sum()),
            "mean_score": float(score[mine].mean()),
            "share_positive": float(label[mine].mean()),
        }
        for k in range(BINS)
        if (mine := place == k).any()
    ]


def error(score: Array, label: NDArray[np.int64], weight: Array | None = None) -> float:
    """Mean distance of score and share of positives over the bins, weighted by their rows."""
    w = np.ones(len(score)) if weight is None else weight
    place = np.minimum((score * BINS).astype(int), BINS - 1)
    gap = np.bincount(place, w * (score - label), BINS)
    return float(np.abs(gap).sum() / w.sum())


def _interval(
    score: Array, label: NDArray[np.int64], group: NDArray[Any], draws: int = 200
) -> list[float]:
    """95 % interval of the error over resampled groups."""
    code = np.unique(group, return_inverse=True)[1]
    rng, count = np.random.default_rng(42), int(code.max()) + 1
    found = []
    for _ in range(draws):
        times = np.bincount(rng.integers(count, size=count), minlength=count)
        found.append(error(score, label, times[code].astype(float)))
    return [float(v) for v in np.percentile(found, [2.5, 97.5])]
