"""Figures of predicted values: absolute and relative error."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from dwcp_ml.metrics.scores import Score, Sums, as_float, ratio


def ratio_of_sums(numerator: ArrayLike, denominator: ArrayLike) -> Score:
    """Sum of ``numerator`` (n,) over the sum of ``denominator`` (n,)."""
    rows = np.stack([as_float(numerator), as_float(denominator)])
    return Sums(rows, lambda s: ratio(s[0], s[1]))


def mean(values: ArrayLike) -> Score:
    """Weighted mean of ``values`` (n,), for example of a regret or a delay."""
    array = as_float(values)
    return ratio_of_sums(array, np.ones_like(array))


def mae(truth: ArrayLike, predicted: ArrayLike) -> Score:
    """Mean absolute error, in the unit of ``truth``."""
    return mean(np.abs(as_float(predicted) - as_float(truth)))


def mape(truth: ArrayLike, predicted: ArrayLike, *, floor: float) -> Score:
    """Mean absolute percentage error, in percent; the divisor is at least ``floor``."""
    wanted = as_float(truth)
    return mean(100 * np.abs(as_float(predicted) - wanted) / np.maximum(np.abs(wanted), floor))


def wape(truth: ArrayLike, predicted: ArrayLike) -> Score:
    """Weighted absolute percentage error, in percent: sum of errors over sum of truth."""
    wanted = as_float(truth)
    return ratio_of_sums(100 * np.abs(as_float(predicted) - wanted), np.abs(wanted))
