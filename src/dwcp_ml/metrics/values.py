"""Figures of predicted values: absolute, relative and explained error."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from dwcp_ml.metrics.scores import Score, Sums, Weights, as_float, ratio


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


def rmse(truth: ArrayLike, predicted: ArrayLike) -> Score:
    """Root of the mean squared error, in the unit of ``truth``."""
    squared = (as_float(predicted) - as_float(truth)) ** 2
    rows = np.stack([squared, np.ones_like(squared)])
    return Sums(rows, lambda s: float(np.sqrt(ratio(s[0], s[1]))))


def mape(truth: ArrayLike, predicted: ArrayLike, *, floor: float) -> Score:
    """Mean absolute percentage error, in percent; the divisor is at least ``floor``."""
    wanted = as_float(truth)
    return mean(100 * np.abs(as_float(predicted) - wanted) / np.maximum(np.abs(wanted), floor))


def wape(truth: ArrayLike, predicted: ArrayLike) -> Score:
    """Weighted absolute percentage error, in percent: sum of errors over sum of truth."""
    wanted = as_float(truth)
    return ratio_of_sums(100 * np.abs(as_float(predicted) - wanted), np.abs(wanted))


def r2(truth: ArrayLike, predicted: ArrayLike) -> Score:
    """Coefficient of determination against the weighted mean of ``truth``."""
    wanted = as_float(truth)
    centred = wanted - (wanted.mean() if len(wanted) else 0.0)  # keeps the digits of the squares
    error = as_float(predicted) - wanted
    rows = np.stack([error**2, centred, centred**2, np.ones_like(wanted)])

    def finish(s: Weights) -> float:
        spread = s[2] - ratio(s[1] ** 2, s[3])
        return 1 - ratio(s[0], spread if spread > 1e-12 * s[2] else 0.0)

    return Sums(rows, finish)
