"""The two estimators of the node detector: isolation forest and gradient boosting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dwcp_ml.metrics import average_precision
from dwcp_ml.models.node_features import LABEL
from dwcp_ml.models.node_history import summary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dwcp_ml.models.base import Array, Examples, TrainingLog
    from dwcp_ml.models.node_reliability import NodeReliabilityParams

Kind = Literal["isolation_forest", "gradient_boosting"]
LOG_EVERY = 10  # boosting stages between two entries of the training log


def fit_both(
    train: Examples, validation: Examples, params: NodeReliabilityParams
) -> tuple[dict[Kind, Any], dict[Kind, float]]:
    """Both estimators and their average precision on validation.

    The forest sees no label, so it also learns from rows that nobody labelled (-1). Boosting stops
    on validation, not on rows drawn from train, which are neighbours in time of those it learns
    from.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    forest = IsolationForest(
        n_estimators=params.forest_trees,
        max_samples=min(params.forest_rows_per_tree, len(train)),
        random_state=params.seed,
    )
    boosting = HistGradientBoostingClassifier(
        max_iter=params.boosting_iterations,
        learning_rate=params.boosting_learning_rate,
        max_leaf_nodes=params.boosting_leaves,
        early_stopping=True,
        n_iter_no_change=params.patience,
        random_state=params.seed,
    )
    label = validation.targets[LABEL]
    rows, judged = summary(train.features), summary(validation.features)
    known = train.targets[LABEL] >= 0
    with threadpool_limits(limits=1):  # OpenMP's threads wait for each other on a shared machine
        forest.fit(rows)
        boosting.fit(rows[known], train.targets[LABEL][known], X_val=judged, y_val=label)
        fitted: dict[Kind, Any] = {"isolation_forest": forest, "gradient_boosting": boosting}
        weights = np.ones(len(label))
        figures = {
            kind: average_precision(label, _score(kind, model, judged))(weights)
            for kind, model in fitted.items()
        }
    return fitted, figures


def score(kind: Kind, estimator: Any, features: Array) -> NDArray[np.float32]:
    """Anomaly score in 0..1, (n,), of rows (n, k) or of their history (n, steps, k)."""
    return _score(kind, estimator, summary(features))


def _score(kind: Kind, estimator: Any, features: Array) -> NDArray[np.float32]:
    if kind == "isolation_forest":
        return np.asarray(-estimator.score_samples(features), np.float32)
    return np.asarray(estimator.predict_proba(features)[:, 1], np.float32)


def record(boosting: Any, log: TrainingLog) -> None:
    """Losses of the boosting stages; scikit-learn keeps them with the sign turned."""
    stages = int(boosting.n_iter_)
    for stage in sorted({*range(LOG_EVERY, stages, LOG_EVERY), stages}):
        losses = {
            "loss": -float(boosting.train_score_[stage]),
            "val_loss": -float(boosting.validation_score_[stage]),
        }
        log.epoch(stage, stages, losses)
