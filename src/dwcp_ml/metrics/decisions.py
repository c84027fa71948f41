"""Figures of decisions: what was flagged against what should have been."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from dwcp_ml.metrics.scores import Score, Sums, ratio
from dwcp_ml.metrics.values import mean, ratio_of_sums


def accuracy(truth: ArrayLike, predicted: ArrayLike) -> Score:
    """Fraction of examples on which both agree."""
    return mean(np.asarray(truth) == np.asarray(predicted))


def recall(truth: ArrayLike, flagged: ArrayLike) -> Score:
    """Flagged positives over positives."""
    positive = np.asarray(truth).astype(bool)
    return ratio_of_sums(positive & np.asarray(flagged).astype(bool), positive)


def false_positive_rate(truth: ArrayLike, flagged: ArrayLike) -> Score:
    """Flagged negatives over negatives."""
    return recall(~np.asarray(truth).astype(bool), flagged)


def balanced_accuracy(truth: ArrayLike, flagged: ArrayLike) -> Score:
    """Mean of the true-positive and the true-negative rate."""
    positive, alarm = np.asarray(truth).astype(bool), np.asarray(flagged).astype(bool)
    rows = np.stack([positive & alarm, positive, ~positive & ~alarm, ~positive])
    return Sums(rows.astype(np.float64), lambda s: (ratio(s[0], s[1]) + ratio(s[2], s[3])) / 2)
