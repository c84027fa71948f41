"""Rules that the consensus network stands beside; thresholds as the network's own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.models.consensus_features import LABEL, LEAST_HIGH, WINDOW
from dwcp_ml.models.consensus_network import FLAG, FLOOR_MS, SCORE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dwcp_ml.models.base import Array, Examples, Outputs, Predictor

Score = Callable[["Array"], "Array"]  # (n, steps, 1) ms -> (n,)
ORDERS = range(3, 9)  # candidates of the order-statistic rule


def fit_rivals(
    validation: Examples, percentile: float, window: int = WINDOW
) -> Mapping[str, Predictor]:
    """Median + MAD, the best order statistic and a global threshold on the raw latency."""
    order = best_order(validation, percentile, window)
    rules: dict[str, Score] = {
        "median_mad": partial(median_mad, window=window),
        f"order_statistic_{order}": partial(order_statistic, order=order, window=window),
        "static_threshold": partial(static, window=window),
    }
    return {name: partial(_answer, rule, _threshold(rule, validation, percentile))
            for name, rule in rules.items()}  # fmt: skip


def log_ratio(features: Array, window: int = WINDOW) -> Array:
    """Log of the window over the median of its history, (n, window); no smoothing."""
    latency = np.maximum(features[:, :, 0], FLOOR_MS)
    history = latency[:, : max(latency.shape[1] - window, window)]
    return np.asarray(np.log(latency[:, -window:] / np.median(history, axis=1, keepdims=True)))


def median_mad(features: Array, window: int = WINDOW) -> Array:
    """|median| + median absolute deviation of the log ratio."""
    x = log_ratio(features, window)
    middle = np.median(x, axis=1, keepdims=True)
    return np.abs(middle[:, 0]) + np.median(np.abs(x - middle), axis=1)


def order_statistic(features: Array, order: int, window: int = WINDOW) -> Array:
    """The ``order``-th largest absolute log ratio of the window."""
    return np.asarray(np.sort(np.abs(log_ratio(features, window)), axis=1)[:, -order])


def static(features: Array, window: int = WINDOW) -> Array:
    """The fifth-largest latency of the window, ms, the same bound for every cluster."""
    return np.asarray(np.sort(features[:, -window:, 0], axis=1)[:, -LEAST_HIGH])


def best_order(validation: Examples, percentile: float, window: int = WINDOW) -> int:
    """Order with the highest recall on validation at equal false alarms; 5 without labels."""
    if LABEL not in validation.targets:
        return LEAST_HIGH
    positive = validation.targets[LABEL] > 0
    ranked = np.sort(np.abs(log_ratio(validation.features, window)), axis=1)

    def found(order: int) -> float:
        score = ranked[:, -order]
        bound = np.percentile(score[~positive], percentile)
        return float(np.mean(score[positive] > bound)) if positive.any() else 0.0

    return max(ORDERS, key=lambda k: (found(k), -abs(k - LEAST_HIGH)))


def normal(examples: Examples) -> Array:
    """(n,) windows taken as normal: those without the label, or all where the source has none."""
    if LABEL not in examples.targets:
        return np.ones(len(examples), bool)
    return np.asarray(examples.targets[LABEL] == 0)


def _threshold(rule: Score, validation: Examples, percentile: float) -> float:
    return float(np.percentile(rule(validation.features[normal(validation)]), percentile))


def _answer(rule: Score, threshold: float, examples: Examples) -> Outputs:
    score = rule(examples.features)
    return {SCORE: score, FLAG: (score > threshold).astype(np.int64)}
