"""Figures over weighted examples; a bootstrap resample is a vector of weights.

Every function takes the arrays once, does the costly part (errors, sorting) and returns a
``Score``: weights (n,) float64 in, float out, NaN where the figure is undefined. Integer weights
give exactly what repeated rows would give. A model wires one into a ``Metric`` so::

    Metric("mape_pct", "%", "lower", prepared(
        lambda ex, out: mape(ex.targets["mbps"], out["mbps"], floor=1.0)))
"""

from dwcp_ml.metrics.correlation import median_group_correlation
from dwcp_ml.metrics.decisions import (
    accuracy,
    balanced_accuracy,
    false_positive_rate,
    recall,
)
from dwcp_ml.metrics.rankings import average_precision, recall_at_fpr
from dwcp_ml.metrics.scores import Score, Weights, per_group, prepared, where
from dwcp_ml.metrics.values import mae, mape, mean, ratio_of_sums, wape

__all__ = [
    "Score",
    "Weights",
    "accuracy",
    "average_precision",
    "balanced_accuracy",
    "false_positive_rate",
    "mae",
    "mape",
    "mean",
    "median_group_correlation",
    "per_group",
    "prepared",
    "ratio_of_sums",
    "recall",
    "recall_at_fpr",
    "wape",
    "where",
]
