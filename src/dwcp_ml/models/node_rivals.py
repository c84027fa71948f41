"""Simple scores that the node detector has to beat; thresholds as the detector's own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml.metrics import average_precision
from dwcp_ml.models.node_features import LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dwcp_ml.models.base import Array, Examples, Outputs, Predictor

SCORE, FLAG = "anomaly_score", "is_anomaly"
CAP = 50.0  # |z| beyond which the logistic regression sees no difference
UNKNOWN = -1  # label of a row that nobody looked at
Score = Callable[["Array"], "Array"]  # (n, k) raw values, or their history (n, steps, k) -> (n,)


def fit_rivals(
    train: Examples, validation: Examples, percentile: float, seed: int
) -> Mapping[str, Predictor]:
    """max|z|, mean|z|, the best single |z| on validation, logistic regression on |z|."""
    distance = robust_distance(train)
    logistic = _logistic(train, distance, seed)
    rules: dict[str, Score] = {
        "max_z": lambda x: distance(x).max(axis=1),
        "mean_z": lambda x: distance(x).mean(axis=1),
        "best_single": partial(_column, distance, best_single(validation, distance)),
        "logistic_z": logistic,
    }
    return {name: detector(rule, validation, percentile) for name, rule in rules.items()}


def detector(rule: Score, validation: Examples, percentile: float) -> Predictor:
    """A score with the percentile of its normal validation rows as threshold."""
    normal = validation.features[validation.targets[LABEL] == 0]
    return partial(_answer, rule, float(np.percentile(rule(normal), percentile)))


def robust_distance(train: Examples) -> Score:
    """|z| of the newest step, (n, k).

    By median and median absolute deviation of the training rows that are not anomalies.
    """
    normal = newest(train.features)[train.targets[LABEL] != 1].astype(np.float64)
    centre = np.median(normal, axis=0)
    spread = np.maximum(1.4826 * np.median(np.abs(normal - centre), axis=0), 1e-9)
    return lambda x: np.asarray(np.abs((newest(x) - centre) / spread))


def newest(features: Array) -> Array:
    """The newest step of each example, (n, k)."""
    return features[:, -1] if features.ndim == 3 else features


def best_single(validation: Examples, distance: Score) -> int:
    """Column whose |z| has the highest average precision on validation."""
    z, label = distance(validation.features), validation.targets[LABEL]
    weights = np.ones(len(label))
    figures = [average_precision(label, z[:, i])(weights) for i in range(z.shape[1])]
    return int(np.argmax(figures))


def _column(distance: Score, column: int, x: Array) -> Array:
    return np.asarray(distance(x)[:, column])


def _logistic(train: Examples, distance: Score, seed: int) -> Score:
    from sklearn.linear_model import LogisticRegression

    def inputs(x: Array) -> Any:
        return np.minimum(distance(x), CAP)

    model = LogisticRegression(max_iter=500, random_state=seed)
    known = train.targets[LABEL] != UNKNOWN
    model.fit(inputs(train.features)[known], train.targets[LABEL][known])
    return lambda x: np.asarray(model.decision_function(inputs(x)))


def _answer(rule: Score, threshold: float, examples: Examples) -> Outputs:
    score = rule(examples.features)
    return {SCORE: score, FLAG: (score > threshold).astype(np.int64)}
